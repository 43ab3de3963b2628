// The client of npm's ws against the echo sample: node npm_ws.mjs <port>
import { randomBytes } from "node:crypto";
import WebSocket from "ws";
import { about, assert, finish, test, within } from "./check.mjs";

about("npm ws", "server", "plain");

const url = `ws://127.0.0.1:${process.argv[2]}`;
const MIB = 1 << 20;   // the default of max_message

// A client whose events can be waited for one after the other, in order.
class Client {
  static async open(options = {}) {
    const client = new Client(options);
    assert.equal((await client.next()).type, "open");
    return client;
  }

  constructor(options) {
    this.events = [];
    this.ws = new WebSocket(`${url}/ws`, {
      perMessageDeflate: false, maxPayload: 4 * MIB, ...options,
    });
    this.ws.on("open", () => this.add({ type: "open" }));
    this.ws.on("message", (data, binary) =>
      this.add({ type: binary ? "binary" : "text", data }));
    this.ws.on("pong", (data) => this.add({ type: "pong", data }));
    this.ws.on("error", () => {});   // a close event follows
    this.ws.on("close", (code, reason) =>
      this.add({ type: "close", code, reason: reason.toString() }));
  }

  add(event) {
    if (this.wake) this.wake(event);
    else this.events.push(event);
    this.wake = undefined;
  }

  next() {
    if (this.events.length > 0) return this.events.shift();
    return within(5, new Promise((resolve) => { this.wake = resolve; }),
      "the next event");
  }

  async expect(type, data) {
    const event = await this.next();
    assert.equal(event.type, type);
    assert.ok(Buffer.from(data).equals(event.data),
      `${type} of ${event.data?.length} bytes came back changed`);
  }

  async expectClose(...codes) {
    const event = await this.next();
    assert.equal(event.type, "close");
    assert.ok(codes.includes(event.code), `closed with ${event.code}`);
    return event.reason;
  }

  async close() {
    this.ws.close(1000);
    await this.expectClose(1000);
  }
}

// A test with an open client that must still close cleanly at its end.
function echo(name, body, options) {
  return test(name, async () => {
    const client = await Client.open(options);
    try {
      await body(client);
      await client.close();
    } finally {
      client.ws.terminate();
    }
  });
}

// A test whose body makes the server end the connection with this code.
function ends(name, codes, body) {
  return test(name, async () => {
    const client = await Client.open();
    try {
      await body(client);
      await client.expectClose(...codes);
    } finally {
      client.ws.terminate();
    }
  });
}

// A masked frame, byte for byte as given.
function frame(first, payload) {
  const mask = randomBytes(4);
  const length = payload.length < 126
    ? Buffer.from([0x80 | payload.length])
    : Buffer.from([0xfe, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([Buffer.from([first]), length, mask,
    payload.map((byte, i) => byte ^ mask[i & 3])]);
}

const bystander = await Client.open().catch((error) => error);

await echo("text", async (client) => {
  client.ws.send("Grüße, 世界 🎉");
  await client.expect("text", "Grüße, 世界 🎉");
});

await echo("binary stays binary", async (client) => {
  const data = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0x80, 0x0a]);
  client.ws.send(data);
  await client.expect("binary", data);
});

for (const size of [0, 1, 125, 126, 127, 65535, 65536, MIB]) {
  await echo(`${size} bytes as text and as binary`, async (client) => {
    const text = "evws".repeat(size / 4 + 1).slice(0, size);
    client.ws.send(text);
    await client.expect("text", text);
    const binary = randomBytes(size);
    client.ws.send(binary);
    await client.expect("binary", binary);
  });
}

await echo("fragments, an empty one among them", async (client) => {
  for (const part of ["one ", "", "two ", "three"]) {
    client.ws.send(part, { fin: part === "three" });
  }
  await client.expect("text", "one two three");
});

await echo("1,286 fragments that cut characters", async (client) => {
  const whole = Buffer.from("ä€🎉".repeat(1000));
  for (let i = 0; i < whole.length; i += 7) {
    client.ws.send(whole.subarray(i, i + 7),
      { binary: false, fin: i + 7 >= whole.length });
  }
  await client.expect("text", whole);
});

await echo("a ping between fragments", async (client) => {
  client.ws.send("first, ", { fin: false });
  client.ws.ping("between");
  client.ws.send("last", { fin: true });
  await client.expect("pong", "between");
  await client.expect("text", "first, last");
});

await echo("pings with payloads, in order", async (client) => {
  const payloads = ["", "Hello", randomBytes(125)];
  for (const payload of payloads) client.ws.ping(payload);
  for (const payload of payloads) await client.expect("pong", payload);
});

await echo("an unasked pong is ignored", async (client) => {
  client.ws.pong("nobody asked");
  client.ws.send("still here");
  await client.expect("text", "still here");
});

await echo("1,000 messages in order", async (client) => {
  for (let i = 0; i < 1000; i++) client.ws.send(`message ${i}`);
  for (let i = 0; i < 1000; i++) await client.expect("text", `message ${i}`);
});

await echo("16 MiB in flight, more than any queue", async (client) => {
  const data = randomBytes(MIB / 4);
  for (let i = 0; i < 64; i++) client.ws.send(data);
  for (let i = 0; i < 64; i++) await client.expect("binary", data);
});

await echo("a frame written byte by byte", async (client) => {
  for (const byte of frame(0x81, Buffer.from("slowly"))) {
    await new Promise((done) => client.ws._socket.write(
      Buffer.from([byte]), done));
  }
  await client.expect("text", "slowly");
});

for (const negotiate of [true, { serverNoContextTakeover: true,
  clientNoContextTakeover: true }]) {
  const kind = negotiate === true ? "" : " without context takeover";
  await echo(`permessage-deflate offered${kind}`, async (client) => {
    for (const text of ["short", "a long text ".repeat(10000), ""]) {
      client.ws.send(text);
      await client.expect("text", text);
    }
  }, { perMessageDeflate: negotiate });
}

for (const code of [1000, 3000, 4999]) {
  await ends(`close ${code} with a reason`, [code], (client) => {
    client.ws.send("before the close");
    client.ws.close(code, "Grüße");
    return client.expect("text", "before the close");
  });
}

await ends("close without a code", [1000, 1005], (client) =>
  client.ws.close());

await ends("invalid UTF-8 in text ends with 1007", [1007], (client) =>
  client.ws.send(Buffer.from([0x61, 0xc3, 0x28]), { binary: false }));

await ends("text that ends inside a character ends with 1007", [1007],
  (client) => client.ws.send(Buffer.from([0x61, 0xe2, 0x82]),
    { binary: false }));

await ends("an unmasked frame ends with 1002", [1002], (client) =>
  client.ws._socket.write(Buffer.from([0x81, 0x02, 0x68, 0x69])));

for (const [name, first, payload] of [
  ["a reserved bit", 0xc1, Buffer.from("hi")],
  ["a reserved opcode", 0x83, Buffer.from("hi")],
  ["a continuation of nothing", 0x80, Buffer.from("hi")],
  ["a fragmented ping", 0x09, Buffer.from("hi")],
  ["a ping of 126 bytes", 0x89, Buffer.alloc(126)],
  ["a close frame with one byte", 0x88, Buffer.from([3])],
  ["close code 1005 on the wire", 0x88, Buffer.from([3, 0xed])],
]) {
  await ends(`${name} ends with 1002`, [1002], (client) =>
    client.ws._socket.write(frame(first, payload)));
}

await ends("one byte above max_message ends with 1009", [1009], (client) =>
  client.ws.send(Buffer.alloc(MIB + 1)));

await ends("fragments above max_message end with 1009", [1009], (client) => {
  for (let i = 0; i < 5; i++) {
    client.ws.send(Buffer.alloc(MIB / 4), { fin: i === 4 });
  }
});

await test("any path but /ws is 404", async () => {
  const status = await within(5, new Promise((resolve, reject) => {
    const ws = new WebSocket(`${url}/other`);
    ws.on("open", () => reject(new Error("it was accepted")));
    ws.on("error", reject);
    ws.on("unexpected-response", (request, response) => {
      request.destroy();
      resolve(response.statusCode);
    });
  }), "the answer");
  assert.equal(status, 404);
});

await test("a query after the path is fine", () =>
  within(5, new Promise((resolve, reject) => {
    const ws = new WebSocket(`${url}/ws?room=1`);
    ws.on("error", reject);
    ws.on("open", () => ws.close());
    ws.on("close", resolve);
  }), "open and close"));

await test("a bystander has noticed nothing", async () => {
  if (bystander instanceof Error) throw bystander;
  bystander.ws.send("still there?");
  await bystander.expect("text", "still there?");
  await bystander.close();
});

finish();
