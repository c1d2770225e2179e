"use strict";
(() => {
  const film = document.getElementById("film");
  const form = film.querySelector("form");
  const screens = [...film.querySelectorAll(".screen")];
  const frames = [...film.querySelectorAll(".frames li")];
  const [number, mark] = [film.querySelector("output"), film.querySelector(".now .mark")];
  const { play, position, pace } = form.elements;
  let timer = 0;

  function show() {
    const place = Number(position.value);
    for (const screen of screens) {
      const picture = screen.querySelector("image");
      picture.setAttribute("y", String(-place * screen.viewBox.baseVal.height));
    }
    const { number: shown, status } = frames[place].dataset;
    number.textContent = shown;
    mark.textContent = mark.dataset.status = status;
  }

  function step() {
    position.value = String((Number(position.value) + 1) % frames.length);
    show();
  }

  function run(on) {
    clearInterval(timer);
    timer = on ? setInterval(step, 1000 / Number(pace.value)) : 0;
    play.setAttribute("aria-pressed", String(on));
    play.textContent = on ? "Pause" : "Play";
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  play.addEventListener("click", () => run(!timer));
  position.addEventListener("input", () => { run(false); show(); });
  pace.addEventListener("input", () => { if (timer) run(true); });
  form.reset();
  form.hidden = false;
  show();
  run(frames.length > 1 && !matchMedia("(prefers-reduced-motion: reduce)").matches);
})();
