// Pictures: small ones in rows, which are one tab stop each, and a large one with what is known of the image.

const nameOf = (image) => {
  const { pid, camid } = data.images;
  const parts = [];
  if (pid[image] !== null) parts.push(pid[image] === 0 ? "person unknown (0)" : `person ${pid[image]}`);
  if (camid[image] !== null) parts.push(`camera ${camid[image]}`);
  return parts.join(", ") || data.images.file[image];
};

const source = (image) => (pictures[image] ? `data:image/webp;base64,${pictures[image]}` : null);

/** A picture that can be focused; `mark` is right, wrong or nothing, `told` what is said of it. */
function shot(image, told, mark = "") {
  const button = make("button", { type: "button", class: `shot ${mark}`, tabindex: "-1", "aria-label": told });
  button.dataset.image = image;
  const from = source(image);
  if (from) button.append(make("img", { src: from, alt: "", decoding: "async" }));
  else button.append(make("span", { class: "none", "aria-hidden": "true" }, ...nameOf(image).split(", ").flatMap((part) => [part, make("br")])));
  if (mark) button.append(make("span", { class: "mark", "aria-hidden": "true" }, mark === "right" ? "\u2713" : "\u2717"));
  return button;
}

/** Makes a box of pictures one tab stop, within which the arrow keys move. */
function roving(box) {
  const shots = () => [...box.querySelectorAll(".shot")];
  const first = shots()[0];
  if (first) first.tabIndex = 0;
  box.addEventListener("keydown", (event) => {
    const all = shots();
    const place = all.indexOf(document.activeElement);
    const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: all.length - 1 };
    const next = all[steps[event.key]];
    if (!next || place < 0) return;
    event.preventDefault();
    all[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

// --- the large one ---------------------------------------------------------------------------------------------------

const detail = byId("detail");
let shownOf = null;

function showDetail(button) {
  const image = Number(button.dataset.image);
  const from = source(image);
  detail.replaceChildren(
    ...[from && make("img", { src: from, alt: "" }), make("p", {}, button.getAttribute("aria-label")), make("p", { class: "soft" }, data.images.file[image])].filter(Boolean),
  );
  detail.hidden = false;
  shownOf = button;
  const at = button.getBoundingClientRect();
  const { width, height } = detail.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - width / 2), innerWidth - width - 8);
  const top = at.bottom + height + 12 < innerHeight ? at.bottom + 10 : Math.max(8, at.top - height - 10);
  Object.assign(detail.style, { left: `${left}px`, top: `${top}px` });
}

const hideDetail = () => {
  detail.hidden = true;
};
const shotOf = (event) => (event.target instanceof Element ? event.target.closest("button.shot") : null);

// where focus is what shows it, the page may scroll there, and move beneath a mouse that rests
const byFocus = () => !detail.hidden && shownOf === document.activeElement;

document.addEventListener("mouseover", (event) => (shotOf(event) ? showDetail(shotOf(event)) : byFocus() || hideDetail()));
document.addEventListener("focusin", (event) => (shotOf(event) ? showDetail(shotOf(event)) : hideDetail()));
document.addEventListener("focusout", hideDetail);
document.addEventListener("keydown", (event) => event.key === "Escape" && hideDetail());
addEventListener("scroll", () => (byFocus() ? showDetail(shownOf) : hideDetail()), { passive: true });

// --- galleries of clusters -------------------------------------------------------------------------------------------

for (const box of document.querySelectorAll(".shots[data-cluster]")) {
  const cluster = data.clusters[box.dataset.kind].clusters[box.dataset.cluster];
  cluster.images.forEach((image, place) => {
    const other = cluster.agree.length > 0 && !cluster.agree[place];
    box.append(shot(image, nameOf(image) + (other ? ", not the cluster's most frequent person" : ""), other ? "wrong" : ""));
  });
  roving(box);
}
