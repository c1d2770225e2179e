"use strict";
(() => {
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const groups = [...document.querySelectorAll(".group")].map((group) => ({
    group, pairs: [...group.querySelectorAll(".pair")].map((pair) => ({ pair, text: pair.textContent.toLowerCase() })),
  }));
  const total = groups.reduce((sum, { pairs }) => sum + pairs.length, 0);
  let chosen = "";

  // Without a script the counts are links to their groups; here they become buttons that show one group alone.
  const buttons = [...document.querySelectorAll("a.count")].map((anchor) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "count";
    button.dataset.status = anchor.dataset.status;
    button.dataset.group = anchor.hash.slice(1);
    button.append(...anchor.childNodes);
    button.addEventListener("click", () => {
      chosen = chosen === button.dataset.group ? "" : button.dataset.group;
      update();
    });
    anchor.replaceWith(button);
    return button;
  });

  function update() {
    const wanted = find.value.trim().toLowerCase();
    let count = 0;
    for (const { group, pairs } of groups) {
      let any = false;
      for (const { pair, text } of pairs) {
        pair.hidden = (chosen && chosen !== group.id) || !text.includes(wanted);
        any = any || !pair.hidden;
        count += pair.hidden ? 0 : 1;
      }
      group.hidden = !any;
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.group === chosen));
    shown.textContent = count === total ? "" : `${count} of ${total} shown`;
  }

  find.parentElement.hidden = false;
  find.value = "";
  find.addEventListener("input", update);
  update();
})();
