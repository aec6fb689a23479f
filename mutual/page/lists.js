// Ranked lists: the queries of a group, and what was found for them after the round that is shown.

const lists = data.lists;
const shown = { group: 0, peer: 0, round: 0 };
const words = { tested: ["right", "wrong"], labelled: ["of the same person", "of another person"], clustered: ["in the same cluster", "in another cluster"] }[lists.kind];

/** The place in a run of the round that is shown; a run that ended before shows its last. */
function placeIn(run) {
  const places = run.after.map((name, place) => [name, place]).filter(([name]) => Number(name.slice(1)) <= Number(data.rounds[shown.round].slice(1)));
  return places.length ? places[places.length - 1][1] : 0;
}

const precisionOf = (run, place, query) => run.precision[place][Math.min(shown.peer, run.peers.length - 1)][query];

/** A line of a query's average precision over the rounds, with a dot at the one that is shown. */
function spark(run, query, place) {
  const [width, height] = [92, 22];
  const values = run.after.map((_, at) => precisionOf(run, at, query));
  const x = (at) => (run.after.length > 1 ? (at / (run.after.length - 1)) * width : width / 2);
  const y = (value) => height - value * height;
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const set = (element, of) => Object.entries(of).forEach(([name, value]) => element.setAttribute(name, value));
  set(svg, { width, height, "aria-hidden": "true" });
  const line = document.createElementNS(space, "polyline");
  set(line, { points: values.map((value, at) => `${x(at)},${y(value)}`).join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.5, opacity: 0.55 });
  const dot = document.createElementNS(space, "circle");
  set(dot, { cx: x(place), cy: y(values[place]), r: 3.5, fill: "var(--accent)" });
  svg.append(line, dot);
  return svg;
}

function measureOf(run, query, place, rights) {
  const name = lists.runs.length > 1 ? make("span", { class: "name" }, run.name) : null;
  const precision = precisionOf(run, place, query);
  const among = make("span", { class: "soft" }, `${rights} of the first ten ${words[0]}`);
  if (precision < 0) return [name, among];
  const gain = precision - precisionOf(run, 0, query);
  const track = make("span", { class: "track", "aria-hidden": "true" }, make("i", { style: `width:${100 * precision}%` }));
  const told = place > 0 ? make("span", { class: "soft" }, `${gain < 0 ? "\u2212" : "+"}${Math.abs(100 * gain).toFixed(0)} since direct transfer`) : null;
  return [name, make("b", {}, `AP ${percent(precision)}`), track, spark(run, query, place), told, among];
}

/** Fills a row of a run with what was found; pictures that were not there before come in. */
function fill(lane, run, query) {
  const place = placeIn(run);
  const peer = Math.min(shown.peer, run.peers.length - 1);
  const images = run.found[place][peer][query];
  const marks = run.right[place][peer][query];
  const measure = lane.firstElementChild;
  const box = lane.lastElementChild;
  const before = new Set([...box.children].map((child) => child.dataset.image));
  measure.replaceChildren(...measureOf(run, query, place, [...marks].filter((mark) => mark === "1").length).filter(Boolean));
  const focused = [...box.children].indexOf(document.activeElement);
  box.replaceChildren(
    ...images.flatMap((image, rank) => {
      if (image < 0) return [];
      const right = marks[rank] === "1";
      const button = shot(image, `rank ${rank + 1}, ${words[right ? 0 : 1]}: ${nameOf(image)}`, right ? "right" : "wrong");
      if (before.size && !before.has(String(image))) button.classList.add("fresh");
      return [button];
    }),
  );
  const stop = box.children[Math.max(0, focused)] || box.firstElementChild;
  if (stop) stop.tabIndex = 0;
  if (focused >= 0 && stop) stop.focus();
}

function showRows() {
  for (const row of byId("rows").children) {
    row.querySelectorAll(".lane").forEach((lane, place) => fill(lane, lists.runs[place], Number(row.dataset.query)));
  }
}

function showGroup() {
  const group = lists.groups[shown.group];
  byId("group-note").textContent = group.note;
  byId("rows").replaceChildren(
    ...group.queries.map((query) => {
      const image = lists.queries[query];
      const whose = shot(image, `query: ${nameOf(image)}`);
      whose.tabIndex = 0;
      const who = make("div", { class: "who" }, whose, make("p", {}, ...nameOf(image).split(", ").flatMap((part) => [part, make("br")])));
      const lanes = lists.runs.map(() => {
        const lane = make("div", { class: "lane" }, make("div", { class: "measure" }), make("div", { class: "shots", role: "group", "aria-label": "what was found, nearest first" }));
        roving(lane.lastElementChild);
        return lane;
      });
      const row = make("li", { class: "row" }, who, make("div", {}, ...lanes));
      row.dataset.query = query;
      return row;
    }),
  );
  showRows();
}

choose(byId("groups"), lists.groups.map((group) => group.title), 0, (place) => {
  shown.group = place;
  showGroup();
});
const peers = lists.runs[0].peers;
if (peers.length > 1) {
  choose(byId("peers"), peers.map((peer) => `peer ${peer}`), 0, (place) => {
    shown.peer = place;
    showRows();
  });
}
showGroup();
whenRound.push((round) => {
  shown.round = round;
  showRows();
});
