// npm's ws and node's https against the echo sample with nginx between them:
// node nginx.mjs <its plain port> <its TLS port> <file of the CA>
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import WebSocket from "ws";
import { about, assert, finish, test, within } from "./check.mjs";

const [plain, secure, authority] = process.argv.slice(2);
const ca = readFileSync(authority);
const MIB = 1 << 20;   // the default of max_message

// Opens, hands the socket and its messages to body, and wants this end.
async function session(url, body, wanted = 1000) {
  const ws = new WebSocket(url, { perMessageDeflate: false, ca });
  const events = [];
  let wake = () => {};
  const add = (event) => { events.push(event); wake(); };
  ws.on("open", () => add(["open"]));
  ws.on("message", (data, binary) => add([binary ? "binary" : "text", data]));
  ws.on("pong", (data) => add(["pong", data]));
  ws.on("error", (error) => add(["error", error.message]));
  ws.on("close", (code) => add(["close", code]));
  const next = async () => {
    while (events.length === 0) {
      await within(5, new Promise((resolve) => { wake = resolve; }), "an event");
    }
    return events.shift();
  };
  const expect = async (kind, data) => {
    const [got, bytes] = await next();
    assert.equal(got, kind, String(bytes));
    assert.ok(Buffer.from(data).equals(bytes), `${kind} came back changed`);
  };
  try {
    assert.deepEqual(await next(), ["open"]);
    await body(ws, expect);
    if (wanted === 1000) ws.close(1000);
    assert.deepEqual(await next(), ["close", wanted]);
  } finally {
    ws.terminate();
  }
}

function status(module, url) {
  return within(5, new Promise((resolve, reject) => {
    module.get(url, { ca }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
    }).on("error", reject);
  }), "the answer");
}

for (const [over, port, scheme, module] of [["plain", plain, "", http],
  ["TLS at the proxy", secure, "s", https]]) {
  about("nginx in front", "server", over);
  const url = `ws${scheme}://localhost:${port}/ws`;

  await test("text and binary", () => session(url, async (ws, expect) => {
    ws.send("Grüße, 世界 🎉");
    await expect("text", "Grüße, 世界 🎉");
    ws.send(Buffer.from([0, 255, 128]));
    await expect("binary", Buffer.from([0, 255, 128]));
  }));

  for (const size of [0, 125, 65536, MIB]) {
    await test(`${size} bytes`, () => session(url, async (ws, expect) => {
      const data = randomBytes(size);
      ws.send(data);
      await expect("binary", data);
    }));
  }

  await test("1,000 messages in order", () =>
    session(url, async (ws, expect) => {
      for (let i = 0; i < 1000; i++) ws.send(`message ${i}`);
      for (let i = 0; i < 1000; i++) await expect("text", `message ${i}`);
    }));

  await test("pings and fragments", () => session(url, async (ws, expect) => {
    ws.send("one, ", { fin: false });
    ws.ping("between");
    ws.send("two", { fin: true });
    await expect("pong", "between");
    await expect("text", "one, two");
  }));

  await test("the server's close code comes through", () =>
    session(url, (ws) => ws.send(Buffer.from([0xff]), { binary: false }),
      1007));

  await test("our close code comes back", () => session(url, async (ws) => {
    ws.close(4000, "Grüße");
  }, 4000));

  await test("50 clients at once", () => Promise.all(
    Array.from({ length: 50 }, (_, i) => session(url, async (ws, expect) => {
      for (let n = 0; n < 10; n++) {
        ws.send(`client ${i}, message ${n}`);
        await expect("text", `client ${i}, message ${n}`);
      }
    }))), 20);

  await test("the page and what is not there", async () => {
    const base = `http${scheme}://localhost:${port}`;
    assert.equal(await status(module, `${base}/`), 200);
    assert.equal(await status(module, `${base}/nothing`), 404);
    assert.equal(await status(module, `${base}/ws`), 426);
  });
}

finish();
