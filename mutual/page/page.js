"use strict";
// What all parts of the page share: the content, the round that is shown, the theme.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("data");
const pictures = read("pictures");
const byId = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** An element with attributes, and texts or elements in it. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const roundTitle = (name) => (name === "r00" ? "direct transfer" : `round ${Number(name.slice(1))}`);
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** Buttons of which one is pressed; `chosen` is called with the place of a button that is pressed. */
function choose(box, titles, first, chosen) {
  const buttons = titles.map((title, place) => {
    const button = make("button", { type: "button", "aria-pressed": String(place === first) }, title);
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      chosen(place);
    });
    return button;
  });
  box.replaceChildren(...buttons);
}

// --- the round -------------------------------------------------------------------------------------------------------

const whenRound = []; // called with the place of the round in data.rounds
const slider = byId("round");

function showRound(place) {
  slider.value = place;
  const title = roundTitle(data.rounds[place]);
  slider.setAttribute("aria-valuetext", title);
  byId("round-name").textContent = place ? `after ${title}` : title;
  whenRound.forEach((show) => show(place));
}

slider.addEventListener("input", () => {
  stop();
  showRound(Number(slider.value));
});

let playing = 0;

function stop() {
  clearInterval(playing);
  playing = 0;
  byId("play").setAttribute("aria-pressed", "false");
  byId("play").firstElementChild.textContent = "\u25b6";
}

byId("play").addEventListener("click", () => {
  if (playing) {
    stop();
    return;
  }
  let place = Number(slider.value);
  if (place === data.rounds.length - 1) place = -1;
  const step = () => {
    place += 1;
    showRound(place);
    if (place === data.rounds.length - 1) stop();
  };
  byId("play").setAttribute("aria-pressed", "true");
  byId("play").firstElementChild.textContent = "\u275a\u275a";
  playing = setInterval(step, Math.max(250, Math.min(1200, 15000 / data.rounds.length)));
  step();
});

// --- the theme -------------------------------------------------------------------------------------------------------

const whenTheme = [];
const dark = matchMedia("(prefers-color-scheme: dark)");
const themes = ["auto", "light", "dark"];
let theme = "auto";
try {
  theme = localStorage.getItem("theme") || "auto";
} catch {
  // a browser may refuse a page that was opened from disk to remember anything
}

const isDark = () => (theme === "auto" ? dark.matches : theme === "dark");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function showTheme() {
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
  byId("theme-name").textContent = `Theme: ${theme}`;
  whenTheme.forEach((show) => show());
}

byId("theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // as above
  }
  showTheme();
});
dark.addEventListener("change", showTheme);

addEventListener("DOMContentLoaded", () => {
  showTheme();
  showRound(data.rounds.length - 1);
});
