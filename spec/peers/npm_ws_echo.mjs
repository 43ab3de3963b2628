// The client of npm's ws against evws over TLS and with compression:
// node npm_ws_echo.mjs <file of echo.lua's lines> <file of the CA>
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import WebSocket from "ws";
import { about, assert, finish, test, within } from "./check.mjs";

const [file, authority] = process.argv.slice(2);
const ca = readFileSync(authority);
const MIB = 1 << 20;

// What a client may offer.
const offers = { "": true };
for (const serverNoContextTakeover of [undefined, true]) {
  for (const clientNoContextTakeover of [undefined, true]) {
    for (const bits of [9, 15]) {
      const name = `${serverNoContextTakeover ? "no " : ""}context of the `
        + `server's, ${clientNoContextTakeover ? "no " : ""}context of the `
        + `client's, ${bits} bits`;
      offers[name] = { serverNoContextTakeover, clientNoContextTakeover,
        threshold: 0, serverMaxWindowBits: bits, clientMaxWindowBits: bits };
    }
  }
}

// Opens, hands over a function that sends and expects its echo, and closes.
async function session(url, options, body) {
  const ws = new WebSocket(url, { ca, maxPayload: 4 * MIB, ...options });
  const messages = [];
  let wake = () => {};
  ws.on("message", (data, binary) => { messages.push([data, binary]); wake(); });
  const ended = new Promise((resolve) => ws.on("close", resolve));
  await within(5, new Promise((resolve, reject) => {
    ws.on("open", resolve);
    ws.on("error", reject);
  }), "to open");
  const expect = async (data, binary) => {
    while (messages.length === 0) {
      await within(5, new Promise((resolve) => { wake = resolve; }), "an echo");
    }
    const [got, kind] = messages.shift();
    assert.equal(kind, binary);
    assert.ok(Buffer.from(data).equals(got), "it came back changed");
  };
  try {
    await body(ws, expect);
    ws.close(1000);
    assert.equal(await within(5, ended, "the close"), 1000);
  } finally {
    ws.terminate();
  }
}

// It repeats itself as text does.
function text(size) {
  let all = "";
  for (let i = 0; all.length < size; i++) all += `${i * i} Grüße, 世界; `;
  return all.slice(0, size);
}

async function echoes(ws, expect, sizes) {
  for (const size of sizes) {
    ws.send(text(size));
    await expect(text(size), false);
    const data = randomBytes(size);
    ws.send(data);
    await expect(data, true);
  }
}

async function basics(url, options) {
  for (const size of [0, 125, 65536, MIB]) {
    await test(`${size} bytes as text and as binary`, () =>
      session(url, options, (ws, expect) => echoes(ws, expect, [size])));
  }
  await test("1,000 messages in order", () =>
    session(url, options, async (ws, expect) => {
      for (let i = 0; i < 1000; i++) ws.send(`message ${i}`);
      for (let i = 0; i < 1000; i++) await expect(`message ${i}`, false);
    }));
  await test("fragments with a ping between them", () =>
    session(url, options, async (ws, expect) => {
      const pong = new Promise((resolve) => ws.on("pong", resolve));
      ws.send(text(5000), { fin: false });
      ws.ping("between");
      ws.send("last", { fin: true });
      await expect(text(5000) + "last", false);
      assert.equal(String(await within(5, pong, "the pong")), "between");
    }));
  await test("16 MiB in flight", () =>
    session(url, options, async (ws, expect) => {
      const data = randomBytes(MIB / 4);
      for (let i = 0; i < 64; i++) ws.send(data);
      for (let i = 0; i < 64; i++) await expect(data, true);
    }));
  await test("the server's close code", async () => {
    const ws = new WebSocket(`${url}/close/4001`, { ca, ...options });
    assert.equal(await within(5, new Promise((resolve, reject) => {
      ws.on("close", resolve);
      ws.on("error", reject);
    }), "the close"), 4001);
  });
}

for (const line of readFileSync(file, "utf8").split("\n")) {
  const [over, variant, url] = line.split("\t");
  if (!url) continue;
  about("npm ws", "server", over);
  if (over.startsWith("TLS")) {
    const version = over.replace("TLS ", "TLSv");
    const options = { perMessageDeflate: false, minVersion: version,
      maxVersion: version };
    await test(`it is ${over}`, () => session(url, options, (ws) =>
      assert.equal(ws._socket.getProtocol(), version)));
    await basics(url, options);
  } else if (over === "deflate over TLS") {
    await basics(url, { perMessageDeflate: { threshold: 0 } });
  } else {
    for (const [offer, perMessageDeflate] of Object.entries(offers)) {
      await test(`${variant}, offer ${offer || "of its own"}`, () =>
        session(url, { perMessageDeflate }, async (ws, expect) => {
          assert.match(ws.extensions, /permessage-deflate/);
          await echoes(ws, expect, [0, 16, 1000, 1000, 70000, 200000, 1000]);
        }));
    }
  }
}

finish();
