// The official client of Centrifugo against channels: node npm_centrifuge.mjs
// <file> [workers], the first line of which is the server's URL. In Node.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect as dial, createServer } from "node:net";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";
import { about, assert, factor, finish, test, within } from "./check.mjs";

const url = readFileSync(process.argv[2], "utf8").split("\n")[0];
const isShared = process.argv[3] === "workers";
const open = new Set();
let serial = 0;
about("npm centrifuge", isShared ? "workers" : "channels", "plain");

// What happens, in order; next(name) is the next of that name.
function journal(source, names) {
  const list = [], waiting = new Set();
  for (const name of names) {
    source.on(name, (context) => {
      list.push({ name, ...context });
      for (const wake of waiting) wake();
    });
  }
  const find = (name, where) => {
    const at = list.findIndex((one) => one.name === name
      && (!where || where(one)));
    return at < 0 ? undefined : list.splice(at, 1)[0];
  };
  return {
    list,
    all: (name) => list.filter((one) => one.name === name),
    next: (name, where) => within(8, (async () => {
      for (;;) {
        const found = find(name, where);
        if (found) return found;
        await new Promise((wake) => {
          waiting.add(wake);
        });
      }
    })(), name),
    until: (what, condition) => within(20, (async () => {
      while (!condition(list)) {
        await new Promise((wake) => {
          waiting.add(wake);
        });
      }
    })(), what),
  };
}

function build(data = {}, options = {}) {
  const client = new Centrifuge(options.url ?? url, { websocket: WebSocket,
    minReconnectDelay: 10, maxReconnectDelay: 50, timeout: 4000 * factor,
    maxServerPingDelay: 10000 * factor, data, ...options });
  open.add(client);
  client.log = journal(client, ["connecting", "connected", "disconnected",
    "message", "error", "publication", "subscribed", "unsubscribed",
    "subscribing", "join", "leave"]);
  return client;
}

async function connect(data, options) {
  const client = build(data, options);
  client.connect();
  await within(8, client.ready(), "connect");
  return client;
}

const own = (name) => `${name}:${process.pid}-${++serial}`;

async function subscribe(client, channel, options = {}) {
  const sub = client.newSubscription(channel, options);
  sub.log = journal(sub, ["subscribing", "subscribed", "unsubscribed",
    "publication", "join", "leave", "error"]);
  sub.subscribe();
  await within(8, sub.ready(), "subscribe");
  return sub;
}

// A network between client and server, which can be cut, and be away.
async function network() {
  const sockets = new Set();
  let is_away = false;
  const server = createServer((near) => {
    if (is_away) return near.on("error", () => {}).resetAndDestroy();
    const far = dial(Number(new URL(url).port), "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on("error", () => {});
      one.on("data", (bytes) => other.write(bytes));
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    url: `ws://127.0.0.1:${server.address().port}/connection/websocket`,
    leave() {
      is_away = true;
      this.cut();
    },
    come() {
      is_away = false;
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    end() {
      this.cut();
      server.close();
    },
  };
}

async function check(title, body, seconds = 15) {
  await test(title, body, seconds);
  for (const client of open) client.disconnect();
  open.clear();
}

const data_of = (list) => list.map((one) => one.data);

await check("connects, and is told who it is", async () => {
  const client = await connect({ user: "ann", data: { hello: 1 } },
    { name: "peer", headers: { own: "field" } });
  const said = await client.log.next("connected");
  assert.deepEqual(said.data, { hello: 1 });
  const { data } = await client.rpc("me", null);
  assert.deepEqual(data, { id: said.client, user: "ann", name: "peer",
    headers: { own: "field" } });
});

await check("is refused for good, or comes again, as it is told", async () => {
  for (const [data, code] of [[{ refuse: true }, 101], [{ raise: 1234 },
    1234]]) {
    const client = build(data);
    client.connect();
    assert.equal((await client.log.next("disconnected")).code, code);
    client.disconnect();
  }
});

await check("waits while connect waits", async () => {
  const client = await connect({ user: "ann", wait: 0.1 });
  assert.equal(client.state, "connected");
});

await check("takes a token, and another when its time is over", async () => {
  const helper = await connect({ user: "ann" });
  let asked = 0;
  const sign = async (seconds) => (await helper.rpc("token",
    { sub: "bob", exp_in: seconds })).data;
  const client = await connect({}, { token: await sign(2),
    getToken: async () => {
      asked++;
      return sign(100);
    } });
  assert.equal((await client.rpc("me", null)).data.user, "bob");
  await within(8, (async () => {
    while (!asked) await new Promise((later) => setTimeout(later, 50));
  })(), "getToken");
  assert.equal((await client.rpc("echo", 1)).data, 1);
  assert.equal(client.state, "connected");
});

await check("asks for a token where its own has expired", async () => {
  const helper = await connect({ user: "ann" });
  const client = await connect({}, {
    token: (await helper.rpc("token", { sub: "bob", exp_in: -5 })).data,
    getToken: async () => (await helper.rpc("token",
      { sub: "bob", exp_in: 100 })).data });
  assert.equal((await client.rpc("me", null)).data.user, "bob");
});

await check("goes for good with a token that is none", async () => {
  const client = build({}, { token: "a.b.c" });
  client.connect();
  assert.equal((await client.log.next("disconnected")).code, 3500);
});

await check("is ended by code: for good, or to come back", async () => {
  const helper = await connect({ user: "ann" });
  for (const [code, reason, stays] of [[3503, "bye", false], [4500, "5", false],
    [3500, "", false], [3001, "true", true], [4001, "again", true]]) {
    const user = own("u");
    const client = await connect({ user });
    await client.log.next("connected");
    await helper.rpc("disconnect", { user, code, reason });
    if (stays) await client.log.next("connected");
    else assert.equal((await client.log.next("disconnected")).code, code);
    client.disconnect();
  }
});

await check("stays through pings that it answers", async () => {
  const client = await connect({ user: "ann" });
  await new Promise((later) => setTimeout(later, 3500));
  assert.equal(client.log.all("connecting").length, 1);
  assert.equal((await client.rpc("echo", 1)).data, 1);
});

await check("calls, all values", async () => {
  const client = await connect({ user: "ann" });
  for (const value of [null, true, 1, 1.5, "ä😀\n\u0000", [], {}, [[]],
    { a: [{}, null], "": 1 }, 9007199254740991]) {
    assert.deepEqual((await client.rpc("echo", value)).data, value);
  }
});

await check("is told what went wrong, and no more", async () => {
  const client = await connect({ user: "ann" });
  const failed = (name) => client.rpc(name, 1).then(() => null, (e) => e);
  assert.deepEqual(await failed("fail"), { code: 100,
    message: "internal server error", temporary: true });
  assert.deepEqual(await failed("refuse"), { code: 444,
    message: "not today", temporary: false });
  assert.equal((await failed("constructor")).code, 104);
});

await check("many calls at once, slow ones beside quick ones", async () => {
  const client = await connect({ user: "ann" });
  const calls = [];
  for (let i = 0; i < 300; i++) {
    calls.push(client.rpc(i % 3 ? "echo" : "slow", i));
  }
  const answers = await within(10, Promise.all(calls), "300 calls");
  answers.forEach(({ data }, i) => assert.equal(data, i));
});

await check("sends, and is sent", async () => {
  const client = await connect({ user: "ann" });
  await client.send([1, { a: "b" }]);
  assert.deepEqual((await client.log.next("message")).data,
    { heard: [1, { a: "b" }] });
});

await check("publishes and hears, with who it was", async () => {
  const ann = await connect({ user: "ann", info: { age: 7 } });
  const ben = await connect({ user: "ben" });
  const channel = own("plain");
  const one = await subscribe(ann, channel), other = await subscribe(ben,
    channel);
  await one.publish({ text: "hello" });
  for (const sub of [one, other]) {
    const said = await sub.log.next("publication");
    assert.deepEqual(said.data, { text: "hello" });
    assert.equal(said.info.user, "ann");
    assert.deepEqual(said.info.connInfo, { age: 7 });
  }
});

await check("is refused what it may not", async () => {
  const client = await connect({ user: "ann" });
  for (const [channel, code] of [["shut", 103], ["nothing", 102],
    ["x".repeat(300), 107], ["own:1", 103], ["token:1", 103]]) {
    const sub = client.newSubscription(channel, { data: "no" });
    const log = journal(sub, ["unsubscribed"]);
    sub.subscribe();
    assert.equal((await log.next("unsubscribed")).code, code, channel);
  }
});

await check("brings data and a token to a channel", async () => {
  const client = await connect({ user: "ann" });
  const sub = await subscribe(client, own("own"), { data: { x: 1 } });
  assert.deepEqual((await sub.log.next("subscribed")).data,
    { given: { x: 1 } });
  await sub.publish(2);
  assert.deepEqual((await sub.log.next("publication")).info.chanInfo,
    { nick: "ann" });
  await assert.rejects(sub.publish(3));
  const channel = own("token");
  await subscribe(client, channel, { getToken: async () =>
    (await client.rpc("token", { sub: "ann", channel, exp_in: 100 })).data });
});

await check("a channel's token is refreshed", async () => {
  const client = await connect({ user: "ann" });
  const channel = own("token");
  let asked = 0;
  const sub = await subscribe(client, channel, { getToken: async () => {
    asked++;
    return (await client.rpc("token", { sub: "ann", channel,
      exp_in: asked === 1 ? 2 : 100 })).data;
  } });
  await within(8, (async () => {
    while (asked < 2) await new Promise((later) => setTimeout(later, 50));
  })(), "the second token");
  assert.equal(sub.state, "subscribed");
});

await check("leaves and comes back in one breath, many times", async () => {
  const client = await connect({ user: "ann" });
  const sub = await subscribe(client, own("own"));
  for (let i = 0; i < 20; i++) {
    sub.unsubscribe();
    sub.subscribe();
  }
  await within(8, sub.ready(), "subscribed again");
  await sub.publish(4);
  assert.equal((await sub.log.next("publication")).data, 4);
});

await check("a hundred channels come back in one frame", async () => {
  const net = await network();
  const client = await connect({ user: "ann" }, { url: net.url });
  const asked = [];
  for (let i = 0; i < 100; i++) asked.push(subscribe(client, own("plain")));
  const subs = await Promise.all(asked);
  for (const sub of subs) await sub.log.next("subscribed");
  net.cut();
  for (const sub of subs) await sub.log.next("subscribed");
  await subs[99].publish(1);
  assert.equal((await subs[99].log.next("publication")).data, 1);
  net.end();
});

await check("payloads with several lines, none that is no JSON", async () => {
  const client = await connect({ user: "ann" });
  const channel = own("room");
  const sub = await subscribe(client, channel);
  for (const text of ['{"a":\n1}', "no JSON", '1},"x":{', "[\r\n2]"]) {
    await client.rpc("raw", { channel, text });
  }
  await client.rpc("raw", { channel, text: "7", kind: "binary" });
  await client.rpc("raw", { channel, text: '"end"' });
  await sub.log.next("publication", ({ data }) => data === "end");
  assert.deepEqual(data_of(sub.log.all("publication")), [{ a: 1 }, [2]]);
  const late = await subscribe(await connect({ user: "ben" }), channel,
    { since: { offset: 0, epoch: "" } });
  await late.log.next("publication", ({ data }) => data === "end");
  assert.deepEqual(data_of(late.log.all("publication")), [{ a: 1 }, [2]]);
});

await check("joins and leaves", async () => {
  const ann = await connect({ user: "ann" });
  const ben = await connect({ user: "ben" });
  const channel = own("plain");
  const sub = await subscribe(ann, channel, { joinLeave: true });
  assert.equal((await sub.log.next("join")).info.user, "ann");
  await subscribe(ben, channel);
  assert.equal((await sub.log.next("join")).info.user, "ben");
  ben.disconnect();
  assert.equal((await sub.log.next("leave")).info.user, "ben");
});

await check("presence", async () => {
  const ann = await connect({ user: "ann" });
  const ben = await connect({ user: "ben" });
  const channel = own("plain");
  const sub = await subscribe(ann, channel);
  await subscribe(ben, channel);
  let clients;
  for (let i = 0; i < 100 * factor; i++) {   // others come later
    ({ clients } = await sub.presence());
    if (Object.keys(clients).length === 2) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(Object.values(clients).map(({ user }) => user).sort(),
    ["ann", "ben"]);
  assert.deepEqual(await sub.presenceStats(), { numClients: 2, numUsers: 2 });
});

await check("the server subscribes, sends and unsubscribes", async () => {
  const user = own("u"), channel = own("ours");
  const client = await connect({ user, subscribe: [channel] });
  const helper = await connect({ user: "ann" });
  assert.equal((await client.log.next("subscribed")).channel, channel);
  await helper.publish(channel, { a: 1 });
  assert.deepEqual((await client.log.next("publication")).data, { a: 1 });
  const other = own("ours");
  await helper.rpc("subscribe", { user, channel: other });
  assert.equal((await client.log.next("subscribed")).channel, other);
  await helper.rpc("unsubscribe", { user, channel: other });
  assert.equal((await client.log.next("unsubscribed")).channel, other);
  await helper.rpc("send", { user, value: [1] });
  assert.deepEqual((await client.log.next("message")).data, [1]);
});

await check("reads it forwards, backwards, and from a place", async () => {
  const client = await connect({ user: "ann" });
  const sub = await subscribe(client, own("room"));
  for (let i = 1; i <= 6; i++) await sub.publish(i);
  let place; // its worker hears of them from Redis as the others do
  do place = await sub.history({ limit: 0 }); while (place.offset < 6);
  const { epoch, offset } = place;
  assert.equal(offset, 6);
  const read = async (options) =>
    data_of((await sub.history(options)).publications);
  assert.deepEqual(await read({ limit: -1 }), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(await read({ limit: 2, reverse: true }), [6, 5]);
  assert.deepEqual(await read({ limit: 2, since: { offset: 3, epoch } }),
    [4, 5]);
  await assert.rejects(read({ since: { offset: 3, epoch: "x" } }));
});

await check("a cache gives its state, first and again", async () => {
  const client = await connect({ user: "ann" });
  await client.publish("state", "old");
  await client.publish("state", "new");
  const sub = await subscribe(client, "state");
  assert.equal((await sub.log.next("publication")).data, "new");
  assert.equal(sub.log.all("publication").length, 0);
});

await check("who missed too much is told so", async () => {
  const net = await network();
  const client = await connect({ user: "ann" }, { url: net.url });
  const helper = await connect({ user: "ben" });
  const channel = own("short");
  const sub = await subscribe(client, channel);
  await sub.log.next("subscribed");
  net.leave();
  for (let i = 0; i < 20; i++) await helper.publish(channel, i);
  net.come();
  const again = await sub.log.next("subscribed");
  assert.equal(again.wasRecovering, true);
  assert.equal(again.recovered, false);
  await helper.publish(channel, "after");
  await sub.log.next("publication", ({ data }) => data === "after");
  assert.equal(sub.log.all("publication").length, 0);
  net.end();
});

await check("a new epoch is told, and goes on", async () => {
  const client = await connect({ user: "ann" });
  const channel = own("room");
  const sub = await subscribe(client, channel);
  await sub.publish(1);
  await sub.log.next("subscribed");
  await client.rpc("reset", channel);
  const again = await sub.log.next("subscribed");
  assert.equal(again.recovered, false);
  await sub.publish(2);
  assert.equal((await sub.log.next("publication", ({ data }) => data === 2))
    .offset, 1);
});

await check("ten lost connections under 900 publications: each once, in order",
  async () => {
    const net = await network();
    const client = await connect({ user: "ann" }, { url: net.url });
    const helper = await connect({ user: "ben" });
    const channel = own("room");
    const sub = await subscribe(client, channel);
    for (let i = 0; i < 900; i++) {
      await helper.publish(channel, i);
      if (i % 90 === 45) net.cut();
      if (i % 90 === 75) await within(8, client.ready(), "connected again");
    }
    await sub.log.until("all of them", (list) =>
      list.some(({ data }) => data === 899));
    const seen = sub.log.all("publication");
    assert.deepEqual(data_of(seen), [...Array(900).keys()]);
    seen.forEach(({ offset }, i) => assert.equal(offset, i + 1));
    assert.ok(client.log.all("connected").length === 11,
      `${client.log.all("connected").length} connections`);
    assert.ok(sub.log.all("subscribed").slice(1)
      .every(({ recovered }) => recovered));
    net.end();
  }, 60);

await check("the same of a channel that the server subscribes to", async () => {
  const net = await network(), channel = own("ours");
  const client = await connect({ user: "ann", subscribe: [channel] },
    { url: net.url });
  const helper = await connect({ user: "ben" });
  await client.log.next("subscribed");
  for (let i = 0; i < 300; i++) {
    await helper.publish(channel, i);
    if (i % 20 === 10) net.cut();   // wherever it is just now
  }
  await client.log.until("all of them", (list) =>
    list.some(({ data }) => data === 299));
  assert.deepEqual(data_of(client.log.all("publication")),
    [...Array(300).keys()]);
  assert.ok(client.log.all("subscribed").every(({ recovered }) => recovered));
  net.end();
}, 40);

// Publishes as soon as that is possible again.
async function insist(client, channel, data) {
  for (;;) {
    try {
      return await client.publish(channel, data);
    } catch (error) {
      assert.equal(error.code, 100);   // for now
      await new Promise((later) => setTimeout(later, 100));
    }
  }
}

if (isShared) {
  await check("is told that Redis has forgotten, and goes on", async () => {
    const client = await connect({ user: "ann" });
    const helper = await connect({ user: "ben" });
    const channel = own("room"), sub = await subscribe(client, channel);
    const plain = await subscribe(client, own("plain"));
    await sub.log.next("subscribed");
    for (let round = 1; round <= 2; round++) {
      await helper.publish(channel, `before ${round}`);
      await sub.log.next("publication",
        ({ data }) => data === `before ${round}`);
      const path = (await helper.rpc("backplane", null)).data
        .replace(/^redis\+unix:/, "");
      spawnSync("redis-cli", ["-s", path, "shutdown", "nosave"]);
      const again = await sub.log.next("subscribed");
      assert.deepEqual([again.wasRecovering, again.recovered], [true, false]);
      await insist(helper, channel, `after ${round}`);
      const { offset } = await sub.log.next("publication",
        ({ data }) => data === `after ${round}`);
      assert.equal(offset, 1);
    }
    assert.equal(client.log.all("disconnected").length, 0);
    await insist(helper, plain.channel, "still");
    await plain.log.next("publication", ({ data }) => data === "still");
    assert.equal(plain.log.all("subscribed").length, 1);
  }, 60);
}

finish();
