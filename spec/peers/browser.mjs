// Chromium and the page of the echo sample: node browser.mjs <port>
// Leaves screenshots of the page in the current directory.
import { chromium } from "playwright-core";
import { about, assert, factor, finish, test } from "./check.mjs";

about("Chromium", "server", "plain");

const host = `localhost:${process.argv[2]}`;
const DESKTOP = { width: 1120, height: 840 };
const PHONE = { width: 360, height: 740 };
const LIMIT = 5000 * factor;   // ms for anything the page is waited for

// Playwright makes a new profile and removes it at the end.
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium", timeout: 30000 * factor,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});

// The page as people meet it, and all that went wrong while it was open.
async function load(options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      wrong.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("requestfailed", (request) => wrong.push(`failed: ${request.url()}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`http://${host}/`)
      && !request.url().startsWith("data:")) {
      wrong.push(`left for ${request.url()}`);
    }
  });
  page.on("response", (response) => {
    if (response.status() >= 400) {
      wrong.push(`${response.status()} for ${response.url()}`);
    }
  });
  await page.goto(`http://${host}/`);
  return { page, wrong };
}

// Runs body with a fresh page; nothing may have gone wrong in the end.
function withPage(name, body, options) {
  return test(name, async () => {
    const { page, wrong } = await load(options);
    try {
      await body(page);
      assert.deepEqual(wrong, []);
    } finally {
      await page.context().close();
    }
  }, 20);
}

function until(page, what, condition, value) {
  return page.waitForFunction(condition, value, { timeout: LIMIT })
    .catch(() => { throw new Error(`waited in vain for ${what}`); });
}

function state(page, wanted) {
  return until(page, `the state ${wanted}`, (text) =>
    document.querySelector("#state").textContent === text, wanted);
}

// Waits for n rows and returns them as lists of their cells' texts.
async function rows(page, n) {
  await until(page, `${n} rows`, (n) =>
    document.querySelectorAll("#log tbody tr").length >= n, n);
  return page.$$eval("#log tbody tr", (all) => all.map((row) =>
    [...row.cells].map((cell) => cell.innerText.trim())));
}

async function connect(page) {
  await page.click("#connect");
  await state(page, "Open");
}

async function send(page, text) {
  await page.fill("#message", text);
  await page.click("#send");
}

async function enabled(page, wanted) {
  const ids = await page.$$eval("#url, #connect, #message, #send, #close",
    (all) => all.filter((e) => !e.disabled).map((e) => e.id));
  assert.deepEqual(ids.sort(), wanted.sort());
}

function focusIs(page, id) {
  return until(page, `the focus on #${id}`, (id) =>
    document.activeElement.id === id, id);
}

async function noSidewaysScroll(page) {
  const [inner, outer] = await page.evaluate(() => [
    Math.max(document.documentElement.scrollWidth, document.body.scrollWidth,
      ...[...document.querySelectorAll("#log, #scroll")]
        .map((e) => e.scrollWidth)),
    window.innerWidth]);
  assert.ok(inner <= outer, `${inner} px wide in ${outer} px`);
}

await withPage("the page before connecting", async (page) => {
  assert.equal(await page.inputValue("#url"), `ws://${host}/ws`);
  assert.equal(await page.textContent("#state"), "Ready to connect");
  assert.deepEqual(await page.$$eval("#log th", (all) =>
    all.map((e) => e.textContent)), ["From", "To", "Data", "Time"]);
  await enabled(page, ["url", "connect"]);
});

await withPage("labels and live regions", async (page) => {
  assert.equal(await page.getByLabel("WebSocket Server URL").count(), 1);
  assert.equal(await page.getByLabel("Message to send").count(), 1);
  for (const name of ["Connect", "Send", "Close Socket", "Clear log"]) {
    assert.equal(await page.getByRole("button", { name, exact: true }).count(),
      1, name);
  }
  assert.equal(await page.getByRole("status").textContent(),
    "Ready to connect");
  assert.equal(await page.getByRole("log").count(), 1);
  assert.equal(await page.getByRole("table").count(), 1);
});

await withPage("connect, send, close, connect again", async (page) => {
  await connect(page);
  await enabled(page, ["close", "message", "send"]);
  assert.match((await rows(page, 1))[0][0], /^Connection opened\n/);

  const texts = ["Hello", "Grüße, 世界 🎉", "<b>not bold</b> & \"so\""];
  for (const [i, text] of texts.entries()) {
    await send(page, text);
    const found = (await rows(page, 3 + 2 * i)).slice(1 + 2 * i);
    assert.deepEqual(found.map((row) => row.slice(0, 3)), [
      ["Client", "Server", text], ["Server", "Client", text]]);
    assert.match(found[1][3], /^\d\d:\d\d:\d\d\.\d{3}$/);
  }
  await send(page, "");
  assert.equal((await rows(page, 9))[8][2], "empty");

  await page.click("#close");
  await state(page, "Closed");
  await enabled(page, ["url", "connect"]);
  const last = (await rows(page, 10)).at(-1);
  assert.equal(last.length, 1);
  assert.match(last[0],
    /^Connection closed\. Code: 1000(\. Reason: Closing from client)?\n/);

  await connect(page);
  await send(page, "again");
  assert.equal((await rows(page, 13)).at(-1)[2], "again");
});

await withPage("binary comes back as binary", async (page) => {
  await connect(page);
  await page.check("#binary");
  await send(page, "ü!");
  for (const row of (await rows(page, 3)).slice(1)) {
    assert.equal(row[2].replace(/\s+/g, " "), "3 bytes c3 bc 21");
  }
});

await withPage("by keyboard alone", async (page) => {
  const press = (key) => page.keyboard.press(key);
  await press("Tab");
  await focusIs(page, "url");
  assert.notEqual(await page.$eval("#url", (e) =>
    getComputedStyle(e).outlineStyle), "none");
  await press("Enter");
  await state(page, "Open");
  await focusIs(page, "message");
  await page.keyboard.type("first");
  await press("Enter");
  await rows(page, 3);
  await page.keyboard.type("second");   // takes the place of the first
  await press("Tab");
  await focusIs(page, "send");
  await press("Space");
  const found = await rows(page, 5);
  assert.deepEqual(found.slice(1).map((row) => row[2]),
    ["first", "first", "second", "second"]);
  await focusIs(page, "message");
  await press("Shift+Tab");
  await focusIs(page, "close");
  await press("Enter");
  await state(page, "Closed");
  await focusIs(page, "connect");
  await press("Enter");
  await state(page, "Open");
  await focusIs(page, "message");
});

await withPage("the log follows, unless it is being read", async (page) => {
  const top = () => page.$eval("#scroll", (e) => e.scrollTop);
  const atEnd = () => page.$eval("#scroll", (e) =>
    e.scrollHeight - e.scrollTop - e.clientHeight < 2);
  await connect(page);
  for (let i = 0; i < 20; i++) await send(page, `message ${i}`);
  await rows(page, 41);
  assert.ok(await atEnd(), "it does not follow");

  await page.$eval("#scroll", (e) => { e.scrollTop = 100; });
  await page.waitForSelector("#latest", { state: "visible" });
  await send(page, "news");
  await rows(page, 43);
  assert.equal(await top(), 100);
  assert.match(await page.textContent("#latest"), /2 new/);

  await page.click("#latest");
  assert.ok(await atEnd(), "it does not go to the end");
  await page.waitForSelector("#latest", { state: "hidden" });

  await page.click("#clear");
  assert.equal((await page.$$("#log tbody tr")).length, 0);
});

await withPage("the log keeps 1,000 rows", async (page) => {
  await connect(page);
  await page.evaluate(() => {
    for (let i = 0; i < 700; i++) {
      document.querySelector("#message").value = `message ${i}`;
      document.querySelector("#send-form").requestSubmit();
    }
  });
  await until(page, "the last echo", () => {
    const last = document.querySelector("#log tbody").rows;
    return last.length > 0 && last[last.length - 1].className === "received"
      && last[last.length - 1].cells[2].textContent === "message 699";
  });
  assert.equal((await page.$$("#log tbody tr")).length, 1000);
  assert.equal(await page.textContent("#count"), "1,400 messages");
});

await withPage("long messages wrap at 360 px", async (page) => {
  await noSidewaysScroll(page);
  await connect(page);
  for (const text of ["w".repeat(5000), "many words ".repeat(200),
    "https://example.com/" + "path/".repeat(100)]) {
    await send(page, text);
  }
  await page.check("#binary");
  await send(page, "b".repeat(3000));
  await rows(page, 9);
  await noSidewaysScroll(page);
}, { viewport: PHONE });

await test("what cannot be connected is said", async () => {
  const { page } = await load();   // Chromium reports these on its console
  await page.fill("#url", "ftp://example.com");
  await page.click("#connect");
  const [[text]] = await rows(page, 1);
  assert.match(text, /URL/);
  assert.equal(await page.textContent("#state"), "Ready to connect");

  await page.fill("#url", `ws://${host}/nothing`);
  await page.click("#connect");
  await state(page, "Closed");
  const found = (await rows(page, 3)).slice(1).map(([text]) => text);
  assert.match(found[0], /^Cannot connect to ws:/);
  assert.match(found[1], /^Connection closed\. Code: 1006\n/);
  await enabled(page, ["url", "connect"]);
  await page.context().close();
}, 20);

for (const [name, options] of [
  ["light", { colorScheme: "light", deviceScaleFactor: 2 }],
  ["dark", { colorScheme: "dark", deviceScaleFactor: 2 }],
  ["phone", { colorScheme: "light", viewport: PHONE, deviceScaleFactor: 3,
    hasTouch: true, isMobile: true }],
  ["phone-dark", { colorScheme: "dark", viewport: PHONE, deviceScaleFactor: 3,
    hasTouch: true, isMobile: true }],
]) {
  await withPage(`screenshot ${name}.png`, async (page) => {
    await connect(page);
    await send(page, "Hello from the browser");
    await rows(page, 3);
    await send(page, "Grüße aus Lua, κόσμε");
    await rows(page, 5);
    await send(page, JSON.stringify({ type: "order", id: 4711, items: [
      { name: "lamp", price: 24.5 }, { name: "table", price: 180 }],
      note: "long messages wrap, however long they are" }));
    await rows(page, 7);
    await page.check("#binary");
    await send(page, "bytes stay bytes");
    await rows(page, 9);
    await page.uncheck("#binary");
    if (name === "dark") {
      await page.click("#close");
      await state(page, "Closed");
      await rows(page, 10);
    }
    await page.screenshot({ path: `${name}.png` });
    await noSidewaysScroll(page);
  }, { reducedMotion: "reduce", ...options });
}

await browser.close();
finish();
