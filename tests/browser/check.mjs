// The page in a browser: opened from disk it asks for nothing, complains of nothing, and everything on it can be used
// with the keyboard; axe-core finds no fault, in light and dark, wide and narrow.
//
//   node check.mjs PAGE.html [FOLDER FOR SCREENSHOTS]
//
// It needs Chromium (Debian: apt-get install chromium; elsewhere CHROME names it), Node 20 and `npm ci` in this folder.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import puppeteer from "puppeteer-core";

const [file, shots] = process.argv.slice(2);
if (!file || !existsSync(file)) {
  console.error("usage: node check.mjs PAGE.html [FOLDER FOR SCREENSHOTS]");
  process.exit(1);
}
const chrome = process.env.CHROME || ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
if (!chrome) {
  console.error("error: no Chromium found: install it, or name it in CHROME");
  process.exit(1);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const address = pathToFileURL(resolve(file)).href;
if (shots) mkdirSync(shots, { recursive: true });

const browser = await puppeteer.launch({ executablePath: chrome, args: ["--no-sandbox", "--force-color-profile=srgb"] });
const faults = [];
process.on("exit", () => faults.length && console.error([...new Set(faults)].join("\n"))); // also where a check fails

/** A page at this width and in this scheme, with everything that goes wrong on it noted. */
async function opened(width, scheme) {
  const page = await browser.newPage();
  page.on("console", (message) => ["error", "warn", "warning"].includes(message.type()) && faults.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("request", (request) => {
    if (request.url() !== address && !request.url().startsWith("data:")) faults.push(`request: ${request.url().slice(0, 100)}`);
  });
  await page.setBypassCSP(false);
  await page.setViewport({ width, height: 900, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(address);
  await page.waitForFunction(() => [...document.querySelectorAll(".chart")].every((box) => box.querySelector("svg")));
  await page.evaluate(() => document.fonts.ready);
  return page;
}

async function axeOn(page, what) {
  const client = await page.createCDPSession(); // the page's own policy would refuse a script element
  await client.send("Runtime.evaluate", { expression: axe });
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const each of found.violations) faults.push(`axe, ${what}: ${each.id}: ${each.nodes.map((node) => `${node.target} ${node.failureSummary}`).slice(0, 3).join("; ")}`);
  return found.passes.length;
}

const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const settled = (page, wait = 900) => new Promise((done) => setTimeout(done, wait));

for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [390, "light"], [390, "dark"], [1920, "light"]]) {
  const page = await opened(width, scheme);
  const what = `${width} ${scheme}`;
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= width, `${what}: the page is ${wide} pixels wide`);
  await settled(page);
  const passes = await axeOn(page, what);
  assert.ok(passes > 20, `${what}: axe looked at nothing`);
  if (shots) await page.screenshot({ path: join(shots, `${width}-${scheme}.png`), fullPage: true });
  await page.close();
}

// --- the round, by keyboard ------------------------------------------------------------------------------------------
const page = await opened(1280, "light");
const rounds = await page.evaluate(() => data.rounds.length);
const images = () => page.$$eval("#rows .shots .shot", (all) => all.map((each) => each.dataset.image).join());
const atTheEnd = await images();
assert.ok(atTheEnd.length > 0, "no list is shown");
await page.focus("#round");
await page.keyboard.press("Home");
assert.equal(await text(page, "#round-name"), "direct transfer");
assert.notEqual(await images(), atTheEnd, "the slider changes no list");
const drawn = await page.$eval("#canvas", (canvas) => canvas.toDataURL());
await page.keyboard.press("End");
assert.equal(await images(), atTheEnd);
await settled(page);
assert.notEqual(await page.$eval("#canvas", (canvas) => canvas.toDataURL()), drawn, "the slider does not move the map");
await page.keyboard.press("ArrowLeft");
assert.equal(await page.$eval("#round", (slider) => Number(slider.value)), rounds - 2);
assert.ok(await page.$eval("#round", (slider) => slider.getAttribute("aria-valuetext").length > 0));
await page.keyboard.press("End");

// --- groups and peers, lists by arrow keys ---------------------------------------------------------------------------
const groups = await page.$$("#groups button");
assert.ok(groups.length >= 3);
await groups[1].focus();
await page.keyboard.press("Enter");
assert.equal(await page.$eval("#groups button:nth-child(2)", (button) => button.getAttribute("aria-pressed")), "true");
const peers = await page.$$("#peers button");
if (peers.length > 1) {
  const first = await images();
  await peers[1].focus();
  await page.keyboard.press("Space");
  assert.notEqual(await images(), first, "another peer shows the same lists");
}
await page.focus("#rows .shots .shot");
const label = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
assert.match(await label(), /^rank 1, /);
await page.keyboard.press("ArrowRight");
assert.match(await label(), /^rank 2, /);
assert.equal(await page.$eval("#detail", (detail) => detail.hidden), false, "focus shows no detail");
await page.keyboard.press("Escape");
assert.equal(await page.$eval("#detail", (detail) => detail.hidden), true);

// --- hover -----------------------------------------------------------------------------------------------------------
await page.hover("#rows .shots .shot");
assert.equal(await page.$eval("#detail", (detail) => detail.hidden), false, "hovering shows no detail");
await page.mouse.move(0, 0);

// --- the map ---------------------------------------------------------------------------------------------------------
await page.$eval("#canvas", (canvas) => canvas.scrollIntoView({ block: "center" }));
await page.focus("#canvas");
await page.keyboard.press("Home");
const told = await text(page, "#map-told");
assert.ok(told.length > 0, "the map tells nothing of its first image");
for (const key of ["ArrowRight", "ArrowDown", "ArrowLeft"]) await page.keyboard.press(key);
assert.notEqual(await text(page, "#map-told"), told, "arrow keys do not move on the map");
await page.keyboard.press("Escape");
assert.equal(await text(page, "#map-told"), "");
const { x, y } = await page.evaluate(() => {
  const box = canvas.getBoundingClientRect();
  const [a, b] = places()[0];
  return { x: box.left + a, y: box.top + b };
});
await page.mouse.move(x + 1, y + 1);
assert.ok((await text(page, "#map-told")).length > 0, "hovering tells nothing");
const modes = await page.$$("#colours button");
for (const mode of modes.slice(1)) {
  const before = await page.$eval("#canvas", (canvas) => canvas.toDataURL());
  await mode.click();
  assert.notEqual(await page.$eval("#canvas", (canvas) => canvas.toDataURL()), before, "another colouring looks the same");
}

// --- play, and the theme ---------------------------------------------------------------------------------------------
await page.evaluate(() => {
  window.visited = [];
  whenRound.push((round) => window.visited.push(round));
});
await page.focus("#play");
await page.keyboard.press("Enter");
await page.waitForFunction(() => !playing); // it stops by itself
assert.deepEqual(await page.evaluate(() => window.visited), [...Array(rounds).keys()], "it does not play every round once");
const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const seen = new Set([await paper()]);
for (let i = 0; i < 2; i += 1) {
  await page.click("#theme");
  seen.add(await paper());
}
assert.equal(seen.size, 2, "the button changes no colours");
await settled(page);
await axeOn(page, "after all that");
if (shots) {
  await page.$eval("#map", (section) => section.scrollIntoView());
  await page.screenshot({ path: join(shots, "map.png") });
}

// --- without scripts -------------------------------------------------------------------------------------------------
const plain = await browser.newPage();
await plain.setJavaScriptEnabled(false);
await plain.goto(address);
assert.ok((await plain.$$("noscript")).length > 0);
await browser.close();

if (faults.length) process.exit(1);
console.log(`${file}: opened at five sizes and schemes, used by keyboard and mouse: no request, no error, no violation`);
