// Chromium with the bundle of Centrifugo's client, on a page of another origin
// than the channels': node chromium_centrifuge.mjs <file> [<pid>]. The first
// lines of the file are the URLs of channels.lua and of its page; with pid it
// runs in workers, which SIGHUP to pid replaces, and each says "ready".
import { readFileSync } from "node:fs";
import { Centrifuge } from "centrifuge";
import { chromium } from "playwright-core";
import WebSocket from "ws";
import { about, assert, factor, finish, test, within } from "./check.mjs";

const [file, pid] = process.argv.slice(2);
const [url, origin] = readFileSync(file, "utf8").split("\n");
const WORKERS = 4;
const timings = { minReconnectDelay: 10, maxReconnectDelay: 100,
  timeout: 4000 * factor, maxServerPingDelay: 10000 * factor };
let serial = 0;
about("Chromium with centrifuge", pid ? "workers" : "channels", "plain");
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium", timeout: 30000 * factor,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});

// Somebody in Node, who hears and says what the page is to hear.
async function beside(channel) {
  const client = new Centrifuge(url, { ...timings, websocket: WebSocket,
    data: { user: "beside" } });
  const sub = client.newSubscription(channel, { joinLeave: true });
  const waiting = new Set(), happened = new Set();
  for (const name of ["join", "leave"]) {
    sub.on(name, ({ info }) => {
      happened.add(`${name} ${info.user}`);
      for (const wake of waiting) wake();
    });
  }
  sub.subscribe();
  client.connect();
  await within(8, sub.ready(), "subscribe");
  return {
    client,
    publish: (value) => sub.publish(value),
    ready: () => within(20, sub.ready(), "subscribed again"),
    until: (what) => within(20, (async () => {
      while (!happened.has(what)) {
        await new Promise((wake) => waiting.add(wake));
      }
    })(), what),
  };
}

// Runs in the page: a client that keeps what it is told.
async function begin({ url, channel, timings, user, ours }) {
  const client = new window.Centrifuge(url, { ...timings,
    data: { user, subscribe: ours ? [channel] : undefined } });
  const self = window.self_ = { client, seen: [], offsets: [], places: [] };
  const source = ours ? client : client.newSubscription(channel);
  source.on("publication", ({ data, offset }) => {
    self.seen.push(data);
    self.offsets.push(offset);
  });
  const subscribed = new Promise((resolve) => {
    source.on("subscribed", ({ wasRecovering, recovered }) => {
      self.places.push({ wasRecovering, recovered });
      resolve();
    });
  });
  self.sub = ours ? null : source;
  if (!ours) source.subscribe();
  client.connect();
  await subscribed;
}

const here = url.replace("127.0.0.1", "localhost");

async function check(title, body, seconds = 30, ours = false) {
  await test(title, async () => {
    const channel = `${ours ? "ours" : "room"}:c${process.pid}-${++serial}`;
    const user = `page${serial}`;
    const context = await browser.newContext();
    const helper = await beside(channel);
    try {
      context.setDefaultTimeout(30000 * factor);
      const page = await context.newPage();
      await page.goto(origin);
      await page.evaluate(begin,
        { url: here, channel, timings, user, ours });
      await body({ page, helper, context, channel, user });
    } finally {
      helper.client.disconnect();
      await context.close();
    }
  }, seconds);
}

const facts = (page) => page.evaluate(() => {
  const { seen, offsets, places } = window.self_;
  return { seen, offsets, places };
});

// Has the page all of 0 .. n - 1, each once, in order, and none told as lost?
async function has(page, n) {
  await page.waitForFunction((n) => window.self_.seen.length >= n, n,
    { timeout: 20000 * factor, polling: 50 });
  const { seen, offsets, places } = await facts(page);
  assert.deepEqual(seen, [...Array(n).keys()]);
  assert.deepEqual(offsets, seen.map((i) => i + 1));
  assert.ok(places.slice(1).every(({ wasRecovering, recovered }) =>
    wasRecovering && recovered), JSON.stringify(places));
  return places.length;
}

async function publish(helper, from, to) {
  for (let i = from; i < to; i++) await helper.publish(i);
}

const until = (page, state) => page.waitForFunction((state) =>
  window.self_.client.state === state, state,
{ timeout: 20000 * factor, polling: 50 });

await check("calls, publishes, hears, asks who is there", async (given) => {
  const { page, helper, user } = given;
  await helper.until(`join ${user}`);
  await helper.publish(0);
  await page.evaluate(() => window.self_.sub.publish(1));
  await has(page, 2);
  const said = await page.evaluate(async () => {
    const { client, sub } = window.self_;
    const { clients } = await sub.presence();
    const { publications } = await sub.history({ limit: 1 });
    return { echo: (await client.rpc("echo", { a: ["\u00e4"] })).data,
      users: Object.values(clients).map((one) => one.user),
      first: publications[0].data };
  });
  assert.deepEqual(said.echo, { a: ["\u00e4"] });
  assert.ok(said.users.includes(user), said.users.join());
  assert.equal(said.first, 0);
});

// The processes of all pages; what the browser itself does goes on.
async function renderers() {
  const devtools = await browser.newBrowserCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  await devtools.detach();
  return processInfo.filter(({ type }) => type === "renderer")
    .map(({ id }) => id);
}

await check("a tab that sleeps is gone, and wakes with all of it",
  async ({ page, helper, user }) => {
    await helper.until(`join ${user}`);
    await publish(helper, 0, 5);
    await has(page, 5);
    const pids = await renderers();
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    try {
      await helper.until(`leave ${user}`);   // it has answered no ping
      await publish(helper, 5, 25);
    } finally {
      for (const pid of pids) process.kill(pid, "SIGCONT");
    }
    assert.ok(await has(page, 25) >= 2);
  });

async function comesAndGoes({ page, helper, context }) {
  for (let round = 0; round < 3; round++) {
    await context.setOffline(true);
    await until(page, "connecting");
    await publish(helper, round * 10, round * 10 + 10);
    await context.setOffline(false);
    await until(page, "connected");
    await has(page, round * 10 + 10);
  }
  assert.ok(await has(page, 30) >= 4);
}

await check("a tab that is offline comes back with all of it", comesAndGoes);

await check("a page that is left is gone at once, and may come again",
  async ({ page, helper, user, channel }) => {
    await helper.until(`join ${user}`);
    await page.goto(origin);
    await helper.until(`leave ${user}`);
    await publish(helper, 0, 3);
    await page.evaluate(begin, { url: here, channel, timings, user });
    await helper.publish(3);
    await page.waitForFunction(() => window.self_.seen[0] === 3, null,
      { timeout: 20000 * factor, polling: 50 });
  });

await check("a channel that the server subscribes to, offline and online",
  comesAndGoes, 30, true);

const count_ready = () => readFileSync(file, "utf8").split("ready\n").length;

async function reload() {
  const wanted = count_ready() + WORKERS;
  process.kill(Number(pid), "SIGHUP");
  await within(20, (async () => {
    while (count_ready() < wanted) {
      await new Promise((later) => setTimeout(later, 20));
    }
  })(), "new workers");
}

// Whether one was published whose answer was lost nobody knows: it is said
// again, and the offsets are what is counted.
async function publish_surely(helper, value) {
  for (;;) {
    try {
      return await helper.publish(value);
    } catch {
      await helper.ready();
    }
  }
}

async function publishing(helper, is_over) {
  let n = 0;
  while (!is_over()) {
    await publish_surely(helper, n);
    n++;
    await new Promise((later) => setTimeout(later, 5));
  }
  return n;
}

if (pid) {
  await check("three reloads under publications: each in order, none missing",
    async ({ page, helper }) => {
      let is_over = false;
      const all = publishing(helper, () => is_over);
      for (let round = 0; round < 3; round++) await reload();
      is_over = true;
      const n = await all;
      await publish_surely(helper, "end");
      await page.waitForFunction(() => window.self_.seen.includes("end"), null,
        { timeout: 20000 * factor, polling: 50 });
      const { seen, offsets, places } = await facts(page);
      assert.deepEqual(offsets, seen.map((_, i) => i + 1));
      assert.deepEqual([...new Set(seen)], [...Array(n).keys(), "end"]);
      assert.ok(places.length > 1);
      assert.ok(places.slice(1).every(({ recovered }) => recovered));
    }, 60);
}

await browser.close();
finish();
