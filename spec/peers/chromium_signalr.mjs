// Chromium with the official client's bundle, on a page of another origin than
// the hub's: node chromium_signalr.mjs <file with both URLs> [processes that
// serve both]
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { about, assert, factor, finish, test } from "./check.mjs";

const [hub, origin] = readFileSync(process.argv[2], "utf8").split("\n");
const url = hub.replace("127.0.0.1", "localhost");
const processes = Number(process.argv[3] ?? 1);
const peer = "Chromium with @microsoft/signalr"
  + (processes > 1 ? ` against ${processes} workers` : "");
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium", timeout: 30000 * factor,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});

// Runs in the page: a conversation over one transport.
async function talk({ url, transport, protocol, token, isBroken }) {
  if (isBroken) window.WebSocket = class { constructor() { throw 1; } };
  const { signalR } = window;
  const builder = new signalR.HubConnectionBuilder().withUrl(url, {
    ...(transport ? { transport: signalR.HttpTransportType[transport] } : {}),
    accessTokenFactory: () => token, headers: { "X-Own": "field" },
  }).configureLogging(signalR.LogLevel.None);
  if (protocol === "messagepack") {
    builder.withHubProtocol(
      new signalR.protocols.msgpack.MessagePackHubProtocol());
  }
  const connection = builder.build();
  const told = new Promise((resolve) => connection.on("Told", resolve));
  const ended = new Promise((resolve) => connection.onclose(resolve));
  await connection.start();
  const { transport: name, user } = await connection.invoke("Me");
  const sum = await connection.invoke("Add", 2, 3);
  await connection.invoke("To", "all", null, "hello");
  const items = [];
  await new Promise((complete, error) => connection.stream("Count", 3, 0)
    .subscribe({ next: (item) => items.push(item), complete, error }));
  const text = await told;
  await connection.stop();
  await ended;
  return { name, user, sum, items, text };
}

async function inPage(body) {
  const page = await browser.newPage();
  page.setDefaultTimeout(30000 * factor);
  try {
    await page.goto(`${origin}/`);
    return await body(page);
  } finally {
    await page.close();
  }
}

const said = { user: "good", sum: 5, items: [1, 2, 3], text: "hello" };

const ways = [["WebSockets", "json"], ["WebSockets", "messagepack"],
  ["ServerSentEvents", "json"], ["LongPolling", "json"],
  ["LongPolling", "messagepack"]];
for (const [transport, protocol] of ways) {
  about(peer, "hub", `${transport}, ${protocol}`);
  await test("a page of another origin", () => inPage(async (page) => {
    assert.deepEqual(await page.evaluate(talk,
      { url: `${url}/cross`, transport, protocol, token: "good" }),
    { name: transport, ...said });
  }), 20);
  await test("a page that is not welcome", () => inPage(async (page) => {
    await assert.rejects(page.evaluate(talk,
      { url: `${url}/hub`, transport, protocol, token: "good" }));
  }), 20);
  await test("a token that is not welcome", () => inPage(async (page) => {
    await assert.rejects(page.evaluate(talk,
      { url: `${url}/cross`, transport, protocol, token: "bad" }), /401/);
  }), 20);
}

about(peer, "hub", "any transport");
await test("falls back to events where WebSocket is broken", () =>
  inPage(async (page) => {
    assert.deepEqual(await page.evaluate(talk,
      { url: `${url}/cross`, token: "good", isBroken: true }),
    { name: "ServerSentEvents", ...said });
  }), 20);
// Runs in the page: a client by each way, of which all hear each. It
// is said until that was heard, for a process may be late to listen.
async function crowd({ url, ways }) {
  const { signalR } = window, all = [];
  for (const [transport, protocol] of ways) {
    const builder = new signalR.HubConnectionBuilder().withUrl(url, {
      transport: signalR.HttpTransportType[transport],
      accessTokenFactory: () => "good",
    }).configureLogging(signalR.LogLevel.None);
    if (protocol === "messagepack") {
      builder.withHubProtocol(
        new signalR.protocols.msgpack.MessagePackHubProtocol());
    }
    const connection = builder.build(), heard = new Set();
    let told = () => {};
    connection.on("Told", (text) => { heard.add(text); told(); });
    all.push({ connection, heard, next: () => new Promise((resolve) => {
      told = resolve;
      setTimeout(resolve, 500);
    }) });
    await connection.start();
  }
  for (const [i, { connection }] of all.entries()) {
    for (const { heard, next } of all) {
      while (!heard.has(`${i}`)) {
        const come = next();
        await connection.invoke("To", "all", null, `${i}`);
        await come;
      }
    }
  }
  const counts = all.map(({ heard }) => heard.size);
  for (const { connection } of all) await connection.stop();
  return counts;
}

await test("pages by every way hear each other", () =>
  inPage(async (page) => {
    assert.deepEqual(await page.evaluate(crowd,
      { url: `${url}/cross`, ways }),
    Array(ways.length).fill(ways.length));
  }), 40);
await test("a page that is left is gone at once", () =>
  inPage(async (page) => {
    const id = await page.evaluate(async (url) => {
      const { signalR } = window;
      const connection = new signalR.HubConnectionBuilder()
        .withUrl(url, { accessTokenFactory: () => "good" }).build();
      await connection.start();
      return connection.connectionId;
    }, `${url}/cross`);
    await page.goto(`${origin}/`);
    const left = await page.evaluate(async ({ url, id }) => {
      const { signalR } = window;
      const connection = new signalR.HubConnectionBuilder()
        .withUrl(url, { accessTokenFactory: () => "good" }).build();
      await connection.start();
      const left = await connection.invoke("Left", id);
      await connection.stop();
      return left;
    }, { url: `${url}/cross`, id });
    assert.equal(left, "clean");
  }), 20);

await browser.close();
finish();
