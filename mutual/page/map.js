// The map of the features: points that move from round to round, a picture of the one that is pointed at.

const chart = data.map;
const canvas = byId("canvas");
const pen = canvas.getContext("2d");
const modes = [["cluster", "Cluster"]];
if (data.images.camid[chart.images[0]] !== null) modes.push(["camid", "Camera"]);
if (data.images.pid[chart.images[0]] !== null) modes.push(["pid", "True identity"]);
const at = { mode: "cluster", only: null, state: 0, point: -1, from: null, start: 0 };
const SHAPES = 4;
const MOVE = 600; // milliseconds

/** The value that colours a point, null for an outlier. */
function valueOf(point) {
  if (at.mode === "cluster") {
    const cluster = chart.states[at.state].cluster[point];
    return cluster < 0 ? null : cluster;
  }
  return data.images[at.mode][chart.images[point]];
}

const values = () => [...new Set(chart.images.map((_, point) => valueOf(point)))].filter((value) => value !== null).sort((a, b) => a - b);

/** Hues a golden angle apart: neighbours in number are far in colour, however many there are. */
function hue(value, many) {
  const light = isDark() ? [66, 78, 58] : [42, 52, 34];
  const place = at.mode === "camid" ? values().indexOf(value) : value;
  return `hsl(${(place * 137.508) % 360} ${many ? 62 : 75}% ${light[place % 3]}%)`;
}

const placeOf = (state, point) => [chart.states[state].places[2 * point], chart.states[state].places[2 * point + 1]];

/** Places in pixels, on the way from the state before. */
function places() {
  const part = at.from === null ? 1 : Math.min(1, (performance.now() - at.start) / MOVE);
  const eased = 1 - (1 - part) ** 3;
  if (part === 1) at.from = null;
  const spread = chart.states[at.state].places;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [high, wide] = extent;
  const scale = Math.min((width - 24) / wide, (height - 24) / high);
  return chart.images.map((_, point) => {
    const [x, y] = [spread[2 * point], spread[2 * point + 1]];
    const [x0, y0] = at.from === null ? [x, y] : placeOf(at.from, point);
    return [(x0 + (x - x0) * eased) * scale + (width - wide * scale) / 2, (y0 + (y - y0) * eased) * scale + (height - high * scale) / 2];
  });
}

const extent = [1, 0].map((axis) => Math.max(1, ...chart.states.flatMap((state) => state.places.filter((_, i) => i % 2 === axis))));

function mark(x, y, shape, size) {
  pen.beginPath();
  if (shape === 0) pen.arc(x, y, size, 0, 7);
  else if (shape === 1) pen.rect(x - size * 0.85, y - size * 0.85, size * 1.7, size * 1.7);
  else {
    const up = shape === 2 ? -1 : 1;
    pen.moveTo(x, y + up * size * 1.15);
    pen.lineTo(x + size * 1.1, y - up * size * 0.8);
    pen.lineTo(x - size * 1.1, y - up * size * 0.8);
    pen.closePath();
  }
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const found = places();
  const of = at.mode === "camid" ? values() : [];
  const size = Math.max(2.2, Math.min(4.5, width / 220));
  found.forEach(([x, y], point) => {
    const value = valueOf(point);
    pen.globalAlpha = at.only !== null && value !== at.only ? 0.1 : 0.9;
    mark(x, y, at.mode === "camid" ? of.indexOf(value) % SHAPES : 0, size);
    if (value === null) {
      pen.strokeStyle = colour("soft");
      pen.lineWidth = 1;
      pen.stroke();
    } else {
      pen.fillStyle = hue(value, at.mode !== "camid");
      pen.fill();
    }
  });
  pen.globalAlpha = 1;
  if (at.point >= 0) {
    const [x, y] = found[at.point];
    const mine = valueOf(at.point);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.2;
    found.forEach(([a, b], point) => {
      if (mine === null || valueOf(point) !== mine) return;
      pen.beginPath();
      pen.arc(a, b, size + 1.8, 0, 7);
      pen.stroke();
    });
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x, y, size + 5, 0, 7);
    pen.stroke();
  }
  if (at.from !== null) requestAnimationFrame(draw);
}

function tell(point) {
  if (point === at.point) return;
  at.point = point;
  if (point < 0) {
    byId("map-picture").replaceChildren();
    byId("map-told").textContent = "";
  } else {
    const image = chart.images[point];
    const cluster = chart.states[at.state].cluster[point];
    const picture = shot(image, nameOf(image));
    byId("map-picture").replaceChildren(make("div", { class: "shot" }, ...picture.childNodes));
    const same = chart.states[at.state].cluster.filter((other) => other === cluster).length - 1;
    const told = cluster < 0 ? "an outlier" : `in one cluster with ${same} other${same === 1 ? "" : "s"} of the map`;
    byId("map-told").textContent = `${nameOf(image)}; ${told}. ${data.images.file[image]}`;
  }
  draw();
}

function nearestTo(x, y, within) {
  let [best, least] = [-1, within * within];
  places().forEach(([a, b], point) => {
    const far = (a - x) ** 2 + (b - y) ** 2;
    if (far < least && (at.only === null || valueOf(point) === at.only)) [best, least] = [point, far];
  });
  return best;
}

const pointed = (event) => {
  const box = canvas.getBoundingClientRect();
  tell(nearestTo(event.clientX - box.left, event.clientY - box.top, 24));
};
canvas.addEventListener("pointermove", pointed);
canvas.addEventListener("pointerdown", pointed);

/** The nearest point in a direction: ahead, and more ahead than aside. */
function ahead(dx, dy) {
  const found = places();
  const [x, y] = found[at.point];
  let [best, least] = [at.point, Infinity];
  found.forEach(([a, b], point) => {
    const [along, aside] = [(a - x) * dx + (b - y) * dy, Math.abs((a - x) * dy) + Math.abs((b - y) * dx)];
    if (point === at.point || along <= 0 || aside > along || (at.only !== null && valueOf(point) !== at.only)) return;
    if (along + 2 * aside < least) [best, least] = [point, along + 2 * aside];
  });
  return best;
}

canvas.addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key === "Escape") tell(-1);
  else if (event.key === "Home" || (ways[event.key] && at.point < 0)) tell(Math.max(0, chart.images.findIndex((_, point) => at.only === null || valueOf(point) === at.only)));
  else if (ways[event.key]) tell(ahead(...ways[event.key]));
  else return;
  event.preventDefault();
});

/** Buttons that show one value alone, where there are few. */
function legend() {
  const all = values();
  const buttons = all.length > 24 ? [] : all.map((value, place) => {
    const title = { camid: "camera", pid: "person", cluster: "cluster" }[at.mode];
    const button = make("button", { type: "button", "aria-pressed": String(at.only === value) }, make("i", { style: `background:${hue(value, at.mode !== "camid")}` }), `${title} ${value}${at.mode === "camid" ? ` ${"\u25cf\u25a0\u25bc\u25b2"[place % SHAPES]}` : ""}`);
    button.addEventListener("click", () => {
      at.only = at.only === value ? null : value;
      legend();
      draw();
      byId("map-legend").children[place].focus();
    });
    return button;
  });
  byId("map-legend").replaceChildren(...buttons);
}

choose(byId("colours"), modes.map(([, title]) => `Colour: ${title}`), 0, (place) => {
  [at.mode, at.only] = [modes[place][0], null];
  legend();
  draw();
});

whenRound.push((round) => {
  let state = 0;
  chart.states.forEach((each, place) => {
    if (each.after <= round) state = place;
  });
  if (state !== at.state) {
    [at.from, at.start] = still.matches ? [null, 0] : [at.state, performance.now()];
    at.state = state;
    const point = at.point;
    at.point = -2;
    tell(point);
  }
  const after = chart.states[state].after;
  byId("map-round").textContent = `${chart.images.length} of the training images, after ${roundTitle(data.rounds[after])}${after === round ? "" : ", the nearest round before that has a map"}.`;
  legend();
  draw();
});
whenTheme.push(() => {
  legend();
  draw();
});
new ResizeObserver(draw).observe(byId("canvas-box"));
