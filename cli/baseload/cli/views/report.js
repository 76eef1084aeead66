"use strict";
// Steps through figures that the planner computed: looks them up and puts their texts in place. Computes no cost.
const all = JSON.parse(document.getElementById("figures").textContent);

for (const article of document.querySelectorAll("[data-model]")) {
  const model = all[article.dataset.model];
  if (model) start(article, model);
}

function start(article, model) {
  const at = [...model.own];
  const inputs = [...article.querySelectorAll("[data-axis]")];
  const every = (selector, change) => article.querySelectorAll(selector).forEach(change);
  const pattern = article.querySelector("[data-targets] tr");
  const panel = article.querySelector(".controls");
  if (!panel) return;
  panel.parentElement.hidden = false;

  function show() {
    const point = model.points[at[0]][at[1]][at[2]];
    const own = at.every((place, axis) => place === model.own[axis]);
    const names = at.map((place, axis) => model.axes[axis][place]);
    for (const input of inputs) {
      const axis = Number(input.dataset.axis);
      input.value = at[axis];
      input.setAttribute("aria-valuetext", names[axis]);
      every(`[data-output="${axis}"]`, (output) => { output.textContent = names[axis]; });
      const [less, more] = input.parentElement.querySelectorAll("button");
      less.disabled = at[axis] === 0;
      more.disabled = at[axis] === model.axes[axis].length - 1;
    }
    const figures = { ...point.figures, traffic: names[0], where: own ? " of the spec as it stands" : " of the chosen settings" };
    every("[data-figure]", (place) => { place.textContent = figures[place.dataset.figure]; });
    every("[data-figure=warning]", (place) => { place.hidden = !figures.warning; });
    every("[data-reset]", (button) => { button.disabled = own; });
    point.parts.forEach(([from, width, text], part) => {
      every(`rect[data-part="${part}"]`, (bar) => {
        bar.setAttribute("x", `${from}%`);
        bar.setAttribute("width", `${width}%`);
      });
      every(`span[data-part="${part}"]`, (place) => { place.textContent = text; });
    });
    every("[data-bar=range]", (line) => {
      line.setAttribute("x1", `${point.range[0]}%`);
      line.setAttribute("x2", `${point.range[1]}%`);
    });
    ["low", "high"].forEach((end, place) => every(`[data-bar="${end}"]`, (line) => {
      for (const side of ["x1", "x2"]) line.setAttribute(side, `${point.range[place]}%`);
    }));
    every("[data-setting]", (cell) => {
      const [idle, least] = cell.dataset.setting.split(",").map(Number);
      model.points[at[0]][idle][least].setting.forEach((text, part) => { cell.children[part].textContent = text; });
      cell.classList.toggle("chosen", idle === at[1] && least === at[2]);
    });
    every("[data-at]", (line) => {
      const places = line.closest("svg").dataset.places.split(" ");
      for (const side of ["x1", "x2"]) line.setAttribute(side, places[at[0]]);
    });
    every("table.traffic tr", (row) => [...row.cells].forEach((cell, column) => {
      cell.classList.toggle("chosen", column === at[0] + 1);
    }));
    every("[data-targets]", (body) => body.replaceChildren(...model.targets[at[0]].map(target)));
  }

  function target(cells) {
    const row = pattern.cloneNode(true);
    row.className = cells.own ? "own" : "";
    for (const place of row.querySelectorAll("[data-cell]")) {
      const name = place.dataset.cell;
      if (name === "line") {
        place.setAttribute("x1", `${cells.strip[0]}%`);
        place.setAttribute("x2", `${cells.strip[2]}%`);
      } else if (name === "dot") {
        place.setAttribute("cx", `${cells.strip[1]}%`);
      } else {
        place.textContent = cells[name];
      }
    }
    return row;
  }

  function step(axis, place) {
    at[axis] = Math.min(Math.max(place, 0), model.axes[axis].length - 1);
    show();
    const figures = model.points[at[0]][at[1]][at[2]].figures;
    every("[data-status]", (status) => { status.textContent = `${figures.month} a month, ${figures.range}`; });
  }

  for (const input of inputs) {
    const axis = Number(input.dataset.axis);
    input.addEventListener("input", () => step(axis, Number(input.value)));
    input.parentElement.querySelectorAll("button").forEach((button) => {
      button.addEventListener("click", () => step(axis, at[axis] + Number(button.dataset.step)));
    });
  }
  every("[data-reset]", (button) => button.addEventListener("click", () => {
    model.own.forEach((place, axis) => { at[axis] = place; });
    step(0, at[0]);
  }));
  show();
}

addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
});
