"use strict";
(() => {
  const copy = document.getElementById("copy");
  if (copy) {
    const command = document.getElementById("command");
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      getSelection().selectAllChildren(command);
      try {
        await navigator.clipboard.writeText(command.textContent);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Selected";
      }
    });
  }
})();
