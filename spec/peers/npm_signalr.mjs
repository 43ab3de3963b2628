// The official client of SignalR against a hub: node npm_signalr.mjs <file>,
// whose first line is the server's URL. In Node; every transport and protocol.
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { about, assert, factor, finish, test, within } from "./check.mjs";

const url = readFileSync(process.argv[2], "utf8").split("\n")[0];
// node npm_signalr.mjs <file> 4: against so many processes.
const workers = process.argv[3];
const peer =
  "npm @microsoft/signalr" + (workers ? ` against ${workers} workers` : "");
const T = signalR.HttpTransportType;
const cells = [
  ["WebSockets", "json", T.WebSockets],
  ["WebSockets", "messagepack", T.WebSockets],
  ["ServerSentEvents", "json", T.ServerSentEvents],
  ["LongPolling", "json", T.LongPolling],
  ["LongPolling", "messagepack", T.LongPolling],
];

function build(transport, protocol, options = {}) {
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(`${options.url ?? url}${options.path ?? "/hub"}`, {
      transport,
      ...(options.skip ? { skipNegotiation: true } : {}),
      ...(options.token ? { accessTokenFactory: options.token } : {}),
      ...(options.headers ? { headers: options.headers } : {}),
    })
    .configureLogging(options.log ?? signalR.LogLevel.None);
  if (protocol === "messagepack")
    builder.withHubProtocol(new MessagePackHubProtocol());
  if (options.reconnect) builder.withAutomaticReconnect(options.reconnect);
  if (options.stateful) builder.withStatefulReconnect(options.statefulOptions);
  return builder.build();
}

const open = new Set();
async function start(transport, protocol, options) {
  const connection = build(transport, protocol, options);
  await connection.start();
  open.add(connection);
  return connection;
}

async function stopAll() {
  await Promise.all([...open].map((connection) => connection.stop()));
  open.clear();
}

function collect(stream, each) {
  return new Promise((resolve, reject) => {
    const items = [];
    const subscription = stream.subscribe({
      next: (item) => {
        items.push(item);
        each?.(item, subscription, resolve, items);
      },
      error: reject,
      complete: () => resolve(items),
    });
  });
}

function told(connection) {
  const list = [];
  connection.on("Told", (text) => {
    list.push(text);
    list.wake?.();
  });
  list.next = () =>
    within(
      5,
      (async () => {
        while (list.length === 0)
          await new Promise((resolve) => {
            list.wake = resolve;
          });
        return list.shift();
      })(),
      "a message",
    );
  return list;
}

// Between client and server; cut() is what a lost network does to all.
async function network() {
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(new URL(url).port), "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => sockets.forEach((socket) => socket.resetAndDestroy()),
    close: () => server.close(),
  };
}

const fails = (promise, text) =>
  assert.rejects(promise, (error) => {
    assert.ok(
      error.message.includes(text),
      `${error.message} has no "${text}"`,
    );
    return true;
  });

for (const [name, protocol, transport] of cells) {
  about(peer, "hub", `${name}, ${protocol}`);

  await test("starts, and says how it is connected", async () => {
    const c = await start(transport, protocol);
    const me = await c.invoke("Me");
    assert.equal(me.transport, name);
    assert.equal(me.protocol, protocol);
    assert.equal(me.user, null);
    assert.equal(me.id, c.connectionId);
    await stopAll();
    const other = await start(transport, protocol);
    assert.equal(await other.invoke("Left", me.id), "clean");
    await stopAll();
  });

  await test("calls, with results, errors, arguments, case", async () => {
    const c = await start(transport, protocol);
    assert.equal(await c.invoke("Add", 2, 3), 5);
    assert.equal(await c.invoke("aDD", 2.5, 3), 5.5);
    assert.equal(await c.invoke("Nothing"), null);
    await c.send("Nothing");
    await fails(
      c.invoke("Fail"),
      "An unexpected error occurred invoking 'Fail' on the server.",
    );
    await assert.rejects(
      c.invoke("Fail"),
      (e) => !e.message.includes("secret"),
    );
    await fails(c.invoke("Refuse"), "HubException: not today");
    await fails(c.invoke("NoSuch"), "Unknown hub method 'NoSuch'");
    await fails(
      c.invoke("Add", 1),
      "Failed to invoke 'Add' due to an error on the server.",
    );
    await fails(
      c.invoke("Count", 1, 0),
      "attempted to invoke the streaming 'Count' method",
    );
    await stopAll();
  });

  await test("values go there and back", async () => {
    const c = await start(transport, protocol);
    for (const value of [
      null,
      true,
      "",
      "ä😀\n\u001e\u2028",
      0,
      -1,
      42,
      1.5,
      2 ** 40,
      [],
      {},
      [[], {}, null],
      { a: { b: [1, "x", null] } },
    ]) {
      assert.deepEqual(await c.invoke("Echo", value), value);
    }
    assert.equal(await c.invoke("Kind", 42), "integer");
    const v = await c.invoke("Values");
    assert.deepEqual(v, {
      list: [],
      map: {},
      null: null,
      float: 1.5,
      integer: 42,
      text: "ä😀\n\u001e",
      yes: true,
    });
    const bytes = await c.invoke("Bytes", 4),
      time = await c.invoke("Time");
    if (protocol === "json") {
      assert.equal(bytes, "AP8A/w==");
      assert.equal(time, "2023-11-14T22:13:20.5Z");
    } else {
      assert.deepEqual([...bytes], [0, 255, 0, 255]);
      assert.equal(time.getTime(), 1700000000500);
      assert.equal((await c.invoke("Echo", new Date(5))).getTime(), 5);
    }
    await stopAll();
  });

  await test("messages to all, others, groups, users, some", async () => {
    const a = await start(transport, protocol, { token: () => "ann" });
    const b = await start(T.WebSockets, "json", { token: () => "bob" });
    const c = await start(T.WebSockets, "messagepack", { token: () => "bob" });
    const heard = { a: told(a), b: told(b), c: told(c) };
    const expect = async (whom, target, names) => {
      const text = `${whom} ${JSON.stringify(target)}`;
      await a.invoke("To", whom, target, text);
      for (const key of names) assert.equal(await heard[key].next(), text);
      await a.invoke("To", "all", null, "end");
      for (const key of ["a", "b", "c"])
        assert.equal(await heard[key].next(), "end");
    };
    await a.invoke("Join", "red");
    await b.invoke("Join", "red");
    await c.invoke("Join", "blue");
    await expect("all", null, ["a", "b", "c"]);
    await expect("others", null, ["b", "c"]);
    await expect("caller", null, ["a"]);
    await expect("client", b.connectionId, ["b"]);
    await expect("clients", [a.connectionId, c.connectionId], ["a", "c"]);
    await expect("except", [a.connectionId, b.connectionId], ["c"]);
    await expect("group", "red", ["a", "b"]);
    await expect("groups", ["red", "blue"], ["a", "b", "c"]);
    await expect("others_in_group", "red", ["b"]);
    await expect("user", "bob", ["b", "c"]);
    await b.invoke("Leave", "red");
    await expect("group", "red", ["a"]);
    await stopAll();
  });

  await test("streams down, cancelled, failing", async () => {
    const c = await start(transport, protocol);
    assert.deepEqual(await collect(c.stream("Count", 5, 0)), [1, 2, 3, 4, 5]);
    const some = await collect(
      c.stream("Count", 10000, 0.01),
      (item, subscription, resolve, items) => {
        if (item === 3) {
          subscription.dispose();
          resolve(items);
        }
      },
    );
    assert.deepEqual(some, [1, 2, 3]);
    const { id } = await c.invoke("Me");
    assert.equal(await c.invoke("Left", `stream of ${id}`), "yes");
    await fails(collect(c.stream("CountAndFail", 2)), "HubException: enough");
    await fails(
      collect(c.stream("Add", 1, 2)),
      "attempted to invoke the non-streaming 'Add' method",
    );
    await stopAll();
  });

  await test("streams up, both ways, failing", async () => {
    const c = await start(transport, protocol);
    const subject = new signalR.Subject();
    const result = c.invoke("Collect", subject, "more");
    for (let i = 1; i <= 30; i++) subject.next(i);
    subject.complete();
    assert.deepEqual(await result, {
      items: [...Array(30).keys()].map((i) => i + 1),
      more: "more",
      error: null,
    });
    const both = new signalR.Subject();
    const doubled = collect(c.stream("Double", both));
    for (let i = 1; i <= 5; i++) both.next(i);
    both.complete();
    assert.deepEqual(await doubled, [2, 4, 6, 8, 10]);
    const broken = new signalR.Subject();
    const said = c.invoke("Collect", broken, 1);
    broken.next("x");
    broken.error("tired");
    assert.deepEqual(await said, { items: ["x"], more: 1, error: "tired" });
    await fails(
      c.invoke("Add", new signalR.Subject(), 1, 2),
      "Client sent 1 stream(s), Hub method expects 0.",
    );
    await stopAll();
  });

  await test("results of the client, also three at once with one slot", async () => {
    const c = await start(transport, protocol);
    c.on("Sum", async (a, b) => a + b);
    assert.equal(await c.invoke("Ask", 2, 3), 5);
    assert.deepEqual(await c.invoke("AskThree"), [2, 4, 6]);
    c.off("Sum");
    assert.match(await c.invoke("Ask", 1, 1), /Client didn't provide a result/);
    await stopAll();
  });

  await test("Close ends it for good, or lets it come back", async () => {
    const c = await start(transport, protocol, { reconnect: [0, 10, 10] });
    let closed = new Promise((resolve) => c.onclose(resolve));
    const again = new Promise((resolve) => c.onreconnected(resolve));
    await c.send("End", true);
    await within(5, again, "coming back");
    assert.equal(await c.invoke("Add", 1, 1), 2);
    await c.send("End", false);
    await within(5, closed, "the end");
    assert.equal(c.state, "Disconnected");
    open.clear();
  });

  await test("on_connected may refuse", async () => {
    const c = build(transport, protocol, { path: "/refusing" });
    const closed = new Promise((resolve) => c.onclose(resolve));
    await c.start().catch(() => {});
    if (c.state !== "Disconnected") {
      const error = await within(5, closed, "the end");
      assert.ok(error.message.includes("HubException: not you"), error.message);
    }
  });

  await test("a long record, and 1500 in one go", async () => {
    const c = await start(transport, protocol);
    const long = "x".repeat(30000);
    assert.equal(await c.invoke("Echo", long), long);
    const all = [];
    for (let i = 0; i < 1500; i++) all.push(c.invoke("Add", i, 1));
    assert.deepEqual(
      await Promise.all(all),
      [...Array(1500).keys()].map((i) => i + 1),
    );
    const closed = new Promise((resolve) => c.onclose(resolve));
    c.invoke("Echo", "x".repeat(40000)).catch(() => {});
    await within(5, closed, "the end");
    open.clear();
  }, 20);

  if (!workers)
  await test("quiet for longer than both timeouts", async () => {
    const c = build(transport, protocol);
    const patience = factor > 1 ? 8000 : 4000;
    c.serverTimeoutInMilliseconds = patience;
    c.keepAliveIntervalInMilliseconds = 1000;
    let ended = false;
    c.onclose(() => {
      ended = true;
    });
    await c.start();
    await new Promise((resolve) => setTimeout(resolve, patience + 2500));
    assert.equal(ended, false);
    assert.equal(await c.invoke("Add", 1, 1), 2);
    await c.stop();
  }, 15);

  await test("tokens by header and query, 401 at first", async () => {
    const c = await start(transport, protocol, {
      path: "/guarded",
      token: () => "good",
    });
    assert.equal((await c.invoke("Me")).user, "good");
    await stopAll();
    await fails(
      build(transport, protocol, {
        path: "/guarded",
        token: () => "bad",
      }).start(),
      "401",
    );
  });

  await test("headers of its own", async () => {
    const c = await start(transport, protocol, { headers: { "X-Tag": "t 1" } });
    assert.equal(await c.invoke("Tag"), "t 1");
    await stopAll();
  });

  await test("comes back after a cut network", async () => {
    const net = await network();
    const c = await start(transport, protocol, {
      url: net.url,
      reconnect: [0, 10, 100, 1000],
    });
    const before = c.connectionId;
    const again = new Promise((resolve) => c.onreconnected(resolve));
    net.cut();
    await within(8, again, "coming back");
    assert.notEqual(c.connectionId, before);
    assert.equal(await c.invoke("Add", 1, 2), 3);
    await stopAll();
    net.close();
  }, 15);

  if (transport === T.LongPolling || workers) continue;

  await test("notices a server that is silent", async () => {
    const c = build(transport, protocol, { path: "/silent" });
    const closed = new Promise((resolve) => c.onclose(resolve));
    await c.start();
    // from the next answer on: the handshake has all the time it needs
    c.serverTimeoutInMilliseconds = 500;
    assert.equal(await c.invoke("Add", 1, 1), 2);
    const error = await within(5, closed, "the end");
    assert.match(error.message, /Server timeout elapsed/);
  });

  await test("is told when it was silent itself", async () => {
    const c = build(transport, protocol, { path: "/impatient" });
    const closed = new Promise((resolve) => c.onclose(resolve));
    c.keepAliveIntervalInMilliseconds = 600000;
    await c.start();
    const error = await within(12, closed, "the end");
    assert.match(error.message, /Connection closed with an error/);
  }, 20);
}

for (const [name, transport] of [
  ["ServerSentEvents", T.ServerSentEvents],
  ["LongPolling", T.LongPolling],
]) {
  about(peer, "hub", `${name}, json`);

  // What it has for another try with a fresh token is never reached: its HTTP
  // clients raise where the status is no success.
  await test("is told that its token has expired", async () => {
    let n = 1;
    const token = () => `${name}.${n}`;
    const c = await start(transport, "json", { path: "/expiring", token });
    assert.equal(await c.invoke("Add", 1, 2), 3);
    n = 2;
    await c.invoke("Expire");
    // The process that serves it knows: a connection that is new may be taken
    // by another, which lets it in.
    await fails((async () => {
      for (;;) await c.invoke("Add", 2, 2);
    })(), "401");
    await c.stop();
    open.delete(c);
    await start(transport, "json", { path: "/expiring", token });
    await stopAll();
  });
}

for (const protocol of ["json", "messagepack"]) {
  about(peer, "hub", `WebSockets, ${protocol}`);

  await test("without negotiation", async () => {
    const c = await start(T.WebSockets, protocol, { skip: true });
    assert.equal(await c.invoke("Add", 1, 2), 3);
    await stopAll();
  });

  await test("comes back after a reset", async () => {
    const c = await start(T.WebSockets, protocol, { reconnect: [0, 10, 10] });
    const before = c.connectionId;
    const again = new Promise((resolve) => c.onreconnected(resolve));
    c.send("Cut").catch(() => {});
    await within(5, again, "coming back");
    assert.notEqual(c.connectionId, before);
    assert.equal(await c.invoke("Add", 1, 2), 3);
    await stopAll();
  });

  await test("nothing is lost or doubled by four resets (stateful)", async () => {
    const c = await start(T.WebSockets, protocol, {
      path: "/stateful",
      stateful: true,
    });
    const id = c.connectionId,
      heard = told(c),
      results = [];
    let reconnected = 0;
    c.onreconnected(() => {
      reconnected++;
    });
    for (let round = 0; round < 4; round++) {
      const calls = [];
      for (let i = 0; i < 20; i++) {
        calls.push(c.invoke("To", "caller", null, `${round} ${i}`));
        if (i === 10) c.send("Cut").catch(() => {});
      }
      results.push(...(await within(8, Promise.all(calls), `round ${round}`)));
    }
    assert.deepEqual(results, Array(80).fill(1));
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 20; i++)
        assert.equal(await heard.next(), `${round} ${i}`);
    }
    assert.equal(heard.length, 0);
    assert.equal(c.connectionId, id);
    assert.equal(reconnected, 0);
    await stopAll();
  }, 40);

  await test("more than the buffer across a reset (stateful)", async () => {
    const c = await start(T.WebSockets, protocol, {
      path: "/stateful",
      stateful: true,
    });
    setTimeout(() => c.send("Cut").catch(() => {}), 30);
    const down = await collect(c.stream("Long", 60, 10000));
    assert.deepEqual(
      down.map((text) => text.length),
      Array(60).fill(10000),
    );
    const up = new signalR.Subject();
    const result = c.invoke("Collect", up, "x");
    for (let i = 0; i < 60; i++) {
      up.next("u".repeat(10000));
      if (i === 20) c.send("Cut").catch(() => {});
    }
    up.complete();
    const { items, error } = await within(15, result, "what went up");
    assert.equal(error, null);
    assert.deepEqual(
      items.map((text) => text.length),
      Array(60).fill(10000),
    );
    await stopAll();
  }, 30);

  await test("Close leaves no socket behind (stateful)", async () => {
    const watcher = await start(T.WebSockets, protocol);
    const sockets = async (wanted) => {
      let now;
      for (let i = 0; i < 100 * factor; i++) {
        now = await watcher.invoke("Sockets");
        if (now === wanted) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return now;
    };
    const before = await sockets(1);   // those of other tests are gone
    for (let i = 0; i < 3; i++) {
      const c = await start(T.WebSockets, protocol, {
        path: "/stateful",
        stateful: true,
      });
      const closed = new Promise((resolve) => c.onclose(resolve));
      await c.send("End", false);
      await within(5, closed, "the end");
    }
    open.clear();
    open.add(watcher);
    assert.equal(await sockets(before), before);
    await stopAll();
  }, 30);

  await test("a stream goes on across a reset (stateful)", async () => {
    const c = await start(T.WebSockets, protocol, {
      path: "/stateful",
      stateful: true,
    });
    setTimeout(() => c.send("Cut").catch(() => {}), 100);
    const items = await collect(c.stream("Count", 200, 0.005));
    assert.deepEqual(
      items,
      [...Array(200).keys()].map((i) => i + 1),
    );
    await stopAll();
  }, 20);
}

about(peer, "hub", "any transport");
await test("chooses WebSockets first", async () => {
  const c = await start(undefined, "json");
  assert.equal((await c.invoke("Me")).transport, "WebSockets");
  await stopAll();
});
await test("falls back where there are no WebSockets", async () => {
  for (const [transport, name] of [
    [T.ServerSentEvents | T.LongPolling, "ServerSentEvents"],
    [T.LongPolling, "LongPolling"],
  ]) {
    const c = await start(transport, "json");
    assert.equal((await c.invoke("Me")).transport, name);
    await stopAll();
  }
});

finish();
