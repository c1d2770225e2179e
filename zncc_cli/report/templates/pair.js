"use strict";
(() => {
  const viewer = document.getElementById("viewer");
  const form = viewer.querySelector("form");
  const scroll = viewer.querySelector(".scroll");
  const layers = viewer.querySelector(".layers");
  const handle = viewer.querySelector(".handle");
  const tags = viewer.querySelector(".tags");
  const picture = viewer.querySelector("img");
  const { play, swap, cut, zoom, squares, pace } = form.elements;
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const [width, height] = ["width", "height"].map((side) => Number(picture.getAttribute(side)));
  let timer = 0;

  const phase = (name) => { viewer.dataset.phase = name; label(); };
  const turn = () => phase(viewer.dataset.phase === "fixed" ? "moving" : "fixed");

  function run(on) {
    clearInterval(timer);
    timer = on ? setInterval(turn, 1000 * Number(pace.value)) : 0;
    play.setAttribute("aria-pressed", String(on));
    play.textContent = on ? "Pause" : "Play";
  }

  function label() {
    const { mode, moving } = viewer.dataset;
    const name = viewer.dataset[moving];
    const [left, right] = {
      flicker: [viewer.dataset.phase === "fixed" ? "fixed" : name, ""],
      slider: ["fixed", name],
      overlay: [form.elements.moving.length ? moving : "", ""],
    }[mode] || ["", ""];
    tags.hidden = !left;
    tags.children[0].textContent = left;
    tags.children[1].textContent = right;
  }

  function enlarge() {
    const factor = Number(zoom.value);
    const centre = [scroll.scrollLeft + scroll.clientWidth / 2, scroll.scrollTop + scroll.clientHeight / 2];
    const widthBefore = layers.offsetWidth;
    viewer.style.setProperty("--zoom", factor);
    const growth = layers.offsetWidth / widthBefore;
    scroll.scrollTo(centre[0] * growth - scroll.clientWidth / 2, centre[1] * growth - scroll.clientHeight / 2);
    // Pixels are not smoothed once they are larger than those of the screen.
    viewer.classList.toggle("sharp", layers.offsetWidth * devicePixelRatio > 2 * width);
    scroll.tabIndex = factor > 1 ? 0 : -1;
  }

  function divide() {
    const across = Number(squares.value);
    const down = Math.max(1, Math.round(across * height / width));
    viewer.style.setProperty("--tile-x", `${200 / across}%`);
    viewer.style.setProperty("--tile-y", `${200 / down}%`);
  }

  function update() {
    const { mode, moving } = Object.fromEntries(new FormData(form));
    const entered = mode !== viewer.dataset.mode;
    viewer.dataset.mode = mode;
    viewer.dataset.moving = moving;
    for (const part of form.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(mode);
    viewer.style.setProperty("--cut", `${cut.value}%`);
    if (entered) { phase("moving"); run(mode === "flicker" && !reducedMotion.matches); }
    enlarge();
    divide();
    label();
  }

  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  play.addEventListener("click", () => run(!timer));
  swap.addEventListener("click", () => { run(false); turn(); });
  pace.addEventListener("input", () => { if (timer) run(true); });
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = layers.getBoundingClientRect();
    cut.value = 100 * (event.clientX - box.left) / box.width;
    update();
  });
  viewer.style.setProperty("--aspect", width / height);
  viewer.classList.add("live");
  form.reset();
  form.hidden = false;
  update();
})();
