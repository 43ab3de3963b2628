// What the specs of the samples' pages share. Each runs a sample as a process
// of its own and meets it in Chromium.
//
//   withSample(name, title, async (tab, server) => ...)  one test; tab(hash,
//     options) opens a page, whose faults are kept in page.wrong: errors and
//     warnings of the console, requests that leave the server
//   until(page, what, condition, value), says(page, id, text)
//   becomes(read, wanted)  waits until read() is deeply equal to it
//   fits(page)           nothing is wider than the window
//   legible(page)        AA: contrasts of texts and of what must be seen (WCAG
//                        2.2 1.4.3, 1.4.11), computed of what is there now
//   tabStops(page)       Tab through the page: each stop's name; all of them
//                        must be seen to have the focus
//   screenshots(name, async (tab) => page)   at 1280 and 390, light and dark;
//     each must fit and be legible
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";
import { about, assert, factor, finish as end_of_tests, test } from
  "./check.mjs";

about("Chromium", "server", "plain");

export const LIMIT = 8000 * factor;   // ms for anything a page is waited for
export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true,
  hasTouch: true, deviceScaleFactor: 2 };
const children = new Set();

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium", timeout: 30000 * factor,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});

// A sample on a free port, ready; lines are what it has said so far. With
// workers in so many processes, which a Redis joins.
async function begin(name, port, workers) {
  const sample = `../../examples/${name}.lua`;
  const command = workers === 0 ? [sample, port] : ["../../bin/evws", "serve",
    "--workers", workers, "--redis", "spawn", sample, "--", port];
  const child = spawn(process.env.LUA ?? "lua5.4", command,
    { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const self = { child, lines: [] };
  self.url = await new Promise((found, failed) => {
    child.once("error", failed);
    child.once("exit", () => failed(new Error(`${name} has ended`)));
    createInterface(child.stdout).on("line", (line) => {
      self.lines.push(line);
      const [url] = line.match(/http:\/\/localhost:\d+$/) ?? [];
      if (url) found(url);
    });
  });
  self.port = new URL(self.url).port;
  return self;
}

// A port that was given back a connection of others may have just now.
export async function serve(name, port = 0, workers = 0) {
  for (const last = Date.now() + LIMIT;;) {
    try {
      return await begin(name, port, workers);
    } catch (error) {
      if (port === 0 || Date.now() > last) throw error;
      await pause(100);
    }
  }
}

export async function end({ child }) {
  children.delete(child);
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
}

async function open(url, options) {
  const context = await browser.newContext({ ...DESKTOP, ...options });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  page.wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      page.wrong.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => page.wrong.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (new URL(request.url()).hostname !== "localhost"
      && !request.url().startsWith("data:")) {
      page.wrong.push(`left for ${request.url()}`);
    }
  });
  await page.goto(url);
  return page;
}

export function withSample(name, title, body, seconds = 40, workers = 0) {
  return test(`${name}: ${title}`, async () => {
    const server = await serve(name, 0, workers), pages = [];
    const tab = async (hash = "", options = {}) => {
      pages.push(await open(server.url + "/" + hash, options));
      return pages.at(-1);
    };
    try {
      await body(tab, server);
    } finally {
      for (const page of pages) await page.context().close();
      await end(server);
    }
  }, seconds);
}

export function until(page, what, condition, value) {
  return page.waitForFunction(condition, value, { timeout: LIMIT })
    .catch(() => { throw new Error(`waited in vain for ${what}`); });
}

// Also where the page is just coming, and has no such element yet.
export function says(page, id, text) {
  return until(page, `"${text}" in #${id}`, ([id, text]) =>
    document.getElementById(id)?.textContent.includes(text), [id, text]);
}

export async function becomes(read, wanted) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const found = await read();
    if (isDeepStrictEqual(found, wanted)) return;
    if (Date.now() > end) assert.deepEqual(found, wanted);
    await pause(20);
  }
}

export async function fits(page) {
  const [inner, outer] = await page.evaluate(() =>
    [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(inner <= outer, `${inner} px wide in ${outer} px`);
}

// In the page: what is not legible, and how many things were looked at.
function contrasts() {
  const canvas = document.createElement("canvas").getContext("2d",
    { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) =>
    [r, g, b].map((c, i) => c * a + below[i] * (1 - a));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3)
      : over(own, ground(element.parentElement));
  };
  const light = (colour) => colour.map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (colour, element) => {
    const below = ground(element);
    const [a, b] = [light(over(rgba(colour), below)), light(below)]
      .sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  let seen = 0;
  const bad = [];
  const judge = (element, what, colour, on, least) => {
    const found = ratio(colour, on);
    seen += 1;
    if (found < least) {
      bad.push(`${what} ${element.tagName.toLowerCase()}.`
        + `${element.getAttribute("class") ?? ""} ${found.toFixed(2)}`);
    }
  };
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    if (!element.checkVisibility({ visibilityProperty: true })
      || element.closest(".spoken, :disabled, template, script")) continue;
    const big = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    const text = [...element.childNodes].some((node) =>
      node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (text) {
      const colour = element instanceof SVGElement ? style.fill : style.color;
      judge(element, "text", colour, element, big ? 3 : 4.5);
    }
    if (element.matches("input:not([type='checkbox'])")) {
      judge(element, "field", style.borderTopColor, element.parentElement, 3);
      judge(element, "typed", style.color, element, 4.5);
      if (element.placeholder) {
        judge(element, "placeholder", getComputedStyle(element,
          "::placeholder").color, element, 4.5);
      }
    }
    if (element.matches("i.dot")) {
      judge(element, "dot", style.backgroundColor, element.parentElement, 3);
    }
    if (element.matches("polyline")) {
      judge(element, "line", style.stroke, element, 3);
    }
  }
  const focus = document.createElement("button");
  focus.style.outlineColor = "var(--accent)";
  for (const on of document.querySelectorAll("body, .card")) {
    on.append(focus);
    judge(on, "focus", getComputedStyle(focus).outlineColor, on, 3);
  }
  focus.remove();
  return { seen, bad };
}

export async function legible(page) {
  await page.evaluate(() => Promise.all(document.getAnimations()
    .filter((one) => one instanceof CSSTransition)
    .map((one) => one.finished.catch(() => {}))));
  const { seen, bad } = await page.evaluate(contrasts);
  assert.deepEqual(bad, []);
  assert.ok(seen > 8, `only ${seen} things to look at`);
}

export async function tabStops(page) {
  const names = [];
  await page.evaluate(() => {   // from the beginning
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  for (;;) {
    await page.keyboard.press("Tab");
    const [name, ring] = await page.evaluate(() => {
      const stop = document.activeElement, style = (element) =>
        getComputedStyle(element).outlineStyle !== "none"
        && parseFloat(getComputedStyle(element).outlineWidth) >= 2;
      return [stop === document.body ? "" : stop.id
        || stop.getAttribute("aria-label") || stop.textContent.trim(),
      style(stop) || style(stop.closest("section") ?? stop)];
    });
    if (!name || names.includes(name)) return names;
    assert.ok(ring, `the focus on ${name} is not seen`);
    names.push(name);
  }
}

export function screenshots(sample, name, body) {
  return withSample(sample, `screenshots ${name}-*.png`,
    async (tab, server) => {
      for (const [scheme, options] of [
        ["light", { colorScheme: "light" }], ["dark", { colorScheme: "dark" }],
        ["phone-light", { ...PHONE, colorScheme: "light" }],
        ["phone-dark", { ...PHONE, colorScheme: "dark" }],
      ]) {
        const pages = [];
        const page = await body(async (hash) => {
          pages.push(await tab(hash, { reducedMotion: "reduce", ...options }));
          return pages.at(-1);
        }, server);
        await page.screenshot({ path: `${name}-${scheme}.png` });
        await fits(page);
        await legible(page);
        assert.deepEqual(page.wrong, []);
        for (const page of pages) await page.context().close();
      }
    }, 60);
}

export async function finish() {
  await browser.close();
  for (const child of children) child.kill("SIGKILL");
  end_of_tests();
}

export { assert };
