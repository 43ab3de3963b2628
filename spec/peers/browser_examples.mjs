// Chromium and the pages of the other samples, which are started and ended
// here: node browser_examples.mjs
// Leaves screenshots of the pages in the current directory.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { about, assert, factor, finish, test } from "./check.mjs";

about("Chromium", "server", "plain");

const LIMIT = 8000 * factor;   // ms for anything a page is waited for
const DESKTOP = { width: 1000, height: 720 };
const PHONE = { width: 360, height: 740 };
const children = new Set();

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});

// A sample on a free port, ready; lines are what it has said so far.
async function serve(name, port = 0) {
  const child = spawn(process.env.LUA ?? "lua5.4",
    [`../../examples/${name}.lua`, port],
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

async function end({ child }) {
  children.delete(child);
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
}

// A tab of its own; what goes wrong in it is kept in page.wrong.
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
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
    if (new URL(request.url()).host !== new URL(url).host
      && !request.url().startsWith("data:")) {
      page.wrong.push(`left for ${request.url()}`);
    }
  });
  await page.goto(url);
  return page;
}

// Runs body with a fresh server of a sample and a way to open its pages.
function withSample(name, title, body, seconds = 40) {
  return test(`${name}: ${title}`, async () => {
    const server = await serve(name), pages = [];
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

function until(page, what, condition, value) {
  return page.waitForFunction(condition, value, { timeout: LIMIT })
    .catch(() => { throw new Error(`waited in vain for ${what}`); });
}

function says(page, id, text) {
  return until(page, `"${text}" in #${id}`, ([id, text]) =>
    document.getElementById(id).textContent.includes(text), [id, text]);
}

async function fits(page) {
  const [inner, outer] = await page.evaluate(() =>
    [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(inner <= outer, `${inner} px wide in ${outer} px`);
}

const schemes = [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["phone", { colorScheme: "light", viewport: PHONE, isMobile: true,
    hasTouch: true, deviceScaleFactor: 2 }],
];

// ---- chat ----

async function type(page, text) {
  await until(page, "an open connection", () =>
    !document.querySelector("#send").disabled);
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function enter(page, name) {
  await type(page, name);
  await says(page, "people", name);
}

const heard = (page, text) => says(page, "log", text);
const shown = (page) => page.$$eval("#log b + span", (all) =>
  all.map((e) => e.textContent));

await withSample("chat", "two tabs in a room, one in another", async (tab) => {
  const anna = await tab("#one"), ben = await tab("#one");
  const carl = await tab("#two");
  await enter(anna, "anna");
  await enter(carl, "carl");
  await enter(ben, "ben");
  await heard(anna, "ben has come");
  await says(ben, "people", "anna, ben");
  const texts = ["Grüße, 世界 🎉", "<b onclick=alert(1)>not bold</b>", "a\u2028b"];
  for (const text of texts) await type(anna, text);
  for (const page of [anna, ben]) {
    await heard(page, texts.at(-1));
    assert.deepEqual(await shown(page), texts);
    assert.equal(await page.locator("#log b b, #log [onclick]").count(), 0);
  }
  await type(carl, "alone");
  await heard(carl, "alone");
  assert.deepEqual(await shown(carl), ["alone"]);
  await ben.close();
  await heard(anna, "ben has gone");
  assert.equal(await anna.textContent("#people"), "anna");
  for (const page of [anna, carl]) assert.deepEqual(page.wrong, []);
});

await withSample("chat", "history for who comes late, names are unique",
  async (tab) => {
    const anna = await tab();
    await enter(anna, "anna");
    for (const text of ["one", "two"]) await type(anna, text);
    await heard(anna, "two");
    const late = await tab();
    await type(late, "Anna");
    await says(late, "sorry", "somebody here has this name already");
    assert.deepEqual(await shown(late), []);
    await enter(late, "late");
    await heard(late, "two");
    assert.deepEqual(await shown(late), ["one", "two"]);
    assert.deepEqual([...anna.wrong, ...late.wrong], []);
  });

await withSample("chat", "a restart: all come back, nothing is shown twice",
  async (tab, server) => {
    const anna = await tab(), ben = await tab();
    await enter(anna, "anna");
    await enter(ben, "ben");
    await type(anna, "before");
    await heard(ben, "before");
    await end(server);
    await says(anna, "state", "again in");
    assert.equal(await anna.isDisabled("#send"), true);
    Object.assign(server, await serve("chat", server.port));
    for (const page of [anna, ben]) await says(page, "people", "anna, ben");
    await type(ben, "after");
    for (const page of [anna, ben]) {
      await heard(page, "after");
      assert.deepEqual(await shown(page), ["before", "after"]);
    }
  }, 90);

await withSample("chat", "by keyboard alone, with labels and a log",
  async (tab) => {
    const page = await tab();
    assert.equal(await page.getByRole("log").count(), 1);
    assert.equal(await page.getByRole("status").textContent(), "Connected");
    await until(page, "the focus", () => document.activeElement.id === "text");
    await page.keyboard.type("anna");
    await page.keyboard.press("Enter");
    await page.getByLabel("Message", { exact: true }).waitFor();
    await says(page, "people", "anna");
    await page.keyboard.type("hello");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await heard(page, "hello");
    assert.deepEqual(page.wrong, []);
  });

for (const [scheme, options] of schemes) {
  await withSample("chat", `screenshot chat-${scheme}.png`, async (tab) => {
    const anna = await tab("", options), ben = await tab("", options);
    await enter(anna, "Anna");
    await enter(ben, "Ben");
    await type(anna, "Good morning!");
    await type(ben, "A long message " + "that wraps ".repeat(20));
    await type(ben, "w".repeat(300));
    await heard(anna, "w".repeat(300));
    await fits(anna);
    await anna.screenshot({ path: `chat-${scheme}.png` });
  });
}

// ---- ticker ----

const price = (page, n) => page.textContent(`section:nth-child(${n}) output`);
const moves = (page, n) => price(page, n).then((before) =>
  until(page, "another price", ([n, before]) => document.querySelector(
    `section:nth-child(${n}) output`).textContent !== before, [n, before]));

await withSample("broadcast", "values change, for all, and are drawn",
  async (tab) => {
    const one = await tab(), two = await tab();
    for (const page of [one, two]) {
      for (const n of [1, 2, 3]) await moves(page, n);
      await until(page, "lines", () =>
        [...document.querySelectorAll("polyline")].every((line) =>
          line.getAttribute("points").split(" ").length > 3));
      assert.deepEqual(page.wrong, []);
    }
    await one.uncheck("section:nth-child(1) input");
    await moves(one, 2);
    const still = await price(one, 1);
    for (let i = 0; i < 3; i++) await moves(one, 2);
    assert.equal(await price(one, 1), still);
    await moves(two, 1);
  });

await withSample("broadcast", "comes back after a restart",
  async (tab, server) => {
    const page = await tab();
    await moves(page, 1);
    await end(server);
    await says(page, "state", "Disconnected");
    Object.assign(server, await serve("broadcast", server.port));
    await says(page, "state", "Live");
    await moves(page, 1);
  }, 60);

for (const [scheme, options] of schemes) {
  await withSample("broadcast", `screenshot ticker-${scheme}.png`,
    async (tab) => {
      const page = await tab("", options);
      await until(page, "a line", () => (document.querySelector("polyline")
        .getAttribute("points") ?? "").split(" ").length > 8);
      await fits(page);
      await page.screenshot({ path: `ticker-${scheme}.png` });
    });
}

// ---- dashboard ----

const points = (n) => [...document.querySelectorAll(
  `section:nth-child(${n}) polyline`)].map((line) =>
  (line.getAttribute("points") ?? "").split(" "));

await withSample("dashboard", "charts appear, and load shows in them",
  async (tab) => {
    const page = await tab(), other = await tab();
    await says(page, "state", "Live");
    await until(page, "three points in each chart", () =>
      [...document.querySelectorAll("section")].every((section) =>
        section.querySelector("polyline").getAttribute("points")
          ?.split(" ").length >= 3));
    assert.equal(await page.textContent("section:nth-child(1) output"), "2");
    await page.click("#load");
    await until(page, "the load", () => {
      const [open, rate] = [1, 2].map((n) => parseInt(document.querySelector(
        `section:nth-child(${n}) output`).textContent.replaceAll(",", ""), 10));
      return open === 22 && rate > 50;
    });
    await other.close();
    await page.click("#load");
    await until(page, "its end", () => document.querySelector(
      "section:nth-child(1) output").textContent === "1");
    assert.ok((await page.evaluate(points, 2)).every((line) =>
      line.length > 3));
    assert.deepEqual(page.wrong, []);
  });

for (const [scheme, options] of schemes) {
  await withSample("dashboard", `screenshot dashboard-${scheme}.png`,
    async (tab) => {
      const page = await tab("", options);
      await says(page, "state", "Live");
      await page.click("#load");
      await until(page, "a line", () => (document.querySelector("polyline")
        .getAttribute("points") ?? "").split(" ").length > 4);
      await fits(page);
      await page.screenshot({ path: `dashboard-${scheme}.png` });
    });
}

// ---- token ----

await withSample("auth", "a token opens it, a wrong one does not",
  async (tab, server) => {
    const page = await tab();
    await page.fill("#token", "wrong");
    await page.press("#token", "Enter");
    await says(page, "state", "Wrong token");
    page.wrong.length = 0;   // Chromium tells of the 401
    const line = server.lines.find((line) => line.startsWith("anna"));
    await page.fill("#token", line.split("\t")[1]);
    await page.press("#token", "Enter");
    await says(page, "log", "Hello, anna");
    await page.fill("#text", "<i>hello</i>");
    await page.press("#text", "Enter");
    await says(page, "log", "<i>hello</i>");
    assert.deepEqual(page.wrong, []);
    await page.screenshot({ path: "auth-light.png" });
    await end(server);
    await says(page, "state", "Closed (1001)");
  });

await browser.close();
for (const child of children) child.kill("SIGKILL");
finish();
