/* Figures with a slider. The numbers of every position stand in the page, as `plots.Sliding` wrote them; Observable Plot
   draws them in the place of the picture, and native inputs choose. Without this script the picture stays. */

(() => {
function live(script) {
  const { controls, panels, said, start, columns } = JSON.parse(script.textContent);
  let cell = script.closest(".cell"); // the picture is in the cell above
  while (cell && !cell.querySelector("img")) cell = cell.previousElementSibling;
  const picture = cell?.querySelector("img");
  if (!picture) return;
  const figure = make("div", { className: "live", role: "group", ariaLabel: picture.alt });
  const inputs = controls.map(({ name, texts }, i) => {
    const label = make("label", {}, make("span", { textContent: name }));
    const input = make("input", { type: "range", min: 0, max: texts.length - 1, step: 1, value: start[i] });
    const value = make("span", { className: "value" });
    input.addEventListener("input", draw);
    label.append(input, value);
    figure.append(label);
    return input;
  });
  const words = make("output", { ariaLive: "polite" });
  const axes = panels.map((panel) => {
    const box = make("div", { className: "panel" }, make("p", { textContent: panel.title }, legend(panel)));
    box.append(make("div", { role: "img", ariaLabel: panel.title || picture.alt }));
    return box;
  });
  const board = make("div", { className: columns > 1 ? "panels several" : "panels" });
  board.append(...axes);
  figure.append(words, board);
  (picture.closest("a") ?? picture).replaceWith(figure);

  function draw() {
    let place = 0;
    inputs.forEach((input, i) => {
      const text = controls[i].texts[input.valueAsNumber];
      place = place * controls[i].texts.length + input.valueAsNumber;
      input.setAttribute("aria-valuetext", text);
      input.nextSibling.textContent = text;
    });
    words.textContent = said[place];
    axes.forEach((box, i) => box.lastChild.replaceChildren(drawn(panels[i], place, box.clientWidth)));
  }
  let width = 0;
  new ResizeObserver(() => {
    if (board.clientWidth !== width) draw();
    width = board.clientWidth;
  }).observe(board);
}

function make(tag, settings, ...children) {
  const { role, ...rest } = settings;
  const node = Object.assign(document.createElement(tag), rest);
  if (role) node.setAttribute("role", role);
  node.append(...children);
  return node;
}

const colour = (i) => `var(--mark-${i})`;
const now = (values, place) => values.all ?? values.each[place];

function legend({ marks }) {
  const named = marks.filter((mark) => mark.name);
  if (named.length < 2) return "";
  const keys = named.map((mark) => {
    const key = make("span", { className: `key ${mark.kind}`, textContent: mark.name });
    key.style.setProperty("--key", colour(mark.colour));
    return key;
  });
  return make("span", { className: "legend" }, ...keys);
}

function drawn(panel, place, width) {
  const grid = panel.marks.find((mark) => mark.kind === "cells");
  const scale = (axis) => ({
    label: panel[`${axis}label`] || null,
    labelAnchor: "center",
    labelArrow: "none",
    type: panel[`${axis}log`] ? "log" : "linear",
    domain: panel[`${axis}lim`],
    ticks: ticks(panel[`${axis}lim`], panel[`${axis}log`], axis === "x" ? width / 70 : 5),
    tickFormat: format(panel[`${axis}lim`], panel[`${axis}log`]),
  });
  const labels = (axis) => {
    const texts = now(grid[axis], place);
    return { label: panel[`${axis}label`] || null, labelAnchor: "center", labelArrow: "none", domain: d3.range(texts.length), tickFormat: (k) => texts[k], tickSize: 0 };
  };
  const margins = { marginLeft: 58, marginRight: 10, marginBottom: 38, marginTop: 10 };
  const svg = Plot.plot({
    ...margins,
    width,
    height: grid ? Math.min(width, 340) : Math.max(200, Math.min(0.62 * width, 250)),
    style: { background: "none", color: "inherit", fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
    x: grid ? labels("x") : scale("x"),
    y: grid ? labels("y") : scale("y"),
    color: grid && { scheme: "RdBu", reverse: true, domain: span(grid) },
    marks: panel.marks.flatMap((mark) => shape(mark, place, width)),
  });
  for (const group of svg.querySelectorAll("[aria-label]")) {
    group.dataset.mark = group.getAttribute("aria-label"); // the picture has one name, that of its panel
    group.removeAttribute("aria-label");
  }
  return svg;
}

const years = ([low, high]) => low > 1500 && high < 2200;

/* Where ticks go: at whole years and powers of ten, else where d3 puts them. */
function ticks([low, high], log, most) {
  if (!log) return d3.ticks(low, high, most).filter((value) => !years([low, high]) || Number.isInteger(value));
  const powers = d3.range(Math.ceil(Math.log10(low)), Math.floor(Math.log10(high)) + 1);
  const step = Math.ceil(powers.length / Math.max(3, most));
  return powers.filter((power) => power % step === 0).map((power) => Number(`1e${power}`));
}

function format(limits, log) {
  if (log) return (value) => (value >= 0.01 && value < 1e4 ? `${value}` : value.toExponential(0).replace("+", ""));
  return years(limits) ? d3.format("d") : undefined;
}

/* Cells have one scale of colours at all positions, white at zero. */
function span({ z }) {
  const most = d3.max((z.each ?? [z.all]).flat(2), Math.abs) || 1;
  return [-most, most];
}

function shape(mark, place, width) {
  const [x, y] = [now(mark.x, place), now(mark.y, place)];
  const index = d3.range(x.length);
  const at = { x: (i) => x[i], y: (i) => y[i] };
  if (mark.kind === "line") return Plot.line(index, { ...at, stroke: colour(mark.colour), strokeWidth: 2 });
  if (mark.kind === "dots") {
    const alone = x.length === 1;
    return Plot.dot(index, { ...at, r: alone ? 5.5 : 3, fill: colour(mark.colour), stroke: "var(--color-background-primary)", strokeWidth: 0.8 });
  }
  if (mark.kind === "bars") {
    const strokeWidth = Math.max(1.5, Math.min(14, (0.75 * width) / x.length));
    const stroke = (i) => colour(y[i] < 0 ? 0 : 1);
    return [Plot.ruleX(index, { x: at.x, y1: 0, y2: at.y, stroke, strokeWidth }), Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.4 })];
  }
  const z = now(mark.z, place);
  const cells = d3.cross(d3.range(y.length), index).filter(([r, q]) => z[r][q] !== null);
  return Plot.cell(cells, { x: (cell) => cell[1], y: (cell) => cell[0], fill: ([r, q]) => z[r][q], inset: 0.5 });
}

for (const script of document.querySelectorAll("script.sliding")) live(script);
})();
