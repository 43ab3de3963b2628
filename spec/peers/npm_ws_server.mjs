// The server of npm's ws, for our client:
// node npm_ws_server.mjs <folder of certificates>
// Prints one line for each way to reach it, "<over what>\t<variant>\t<url>",
// then "ready". What its paths do is said in dial.lua.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { WebSocketServer } from "ws";

const certificates = process.argv[2];
const pair = {
  cert: readFileSync(`${certificates}/localhost.pem`),
  key: readFileSync(`${certificates}/localhost.key`),
};

const MIB = 1 << 20;
const ends = new Map();   // id -> { promise, resolve }: how it was closed

function end(id) {
  if (!ends.has(id)) {
    let resolve;
    const promise = new Promise((done) => { resolve = done; });
    ends.set(id, { promise, resolve });
  }
  return ends.get(id);
}

const paths = {
  echo(ws) {
    ws.on("message", (data, binary) => ws.send(data, { binary }));
  },
  close(ws, url) {
    ws.close(Number(url.searchParams.get("code")), "Grüße");
  },
  async end(ws, url) {
    ws.send(await end(url.searchParams.get("id")).promise);
    ws.close(1000);
  },
  ping(ws) {
    ws.on("pong", (data) => ws.send(`pong ${data}`));
    ws.ping("from the server");
  },
  fragments(ws) {
    for (const part of ["Grü", "", "ße, ", "世界"]) {
      ws.send(part, { fin: part === "世界" });
      ws.ping("between");
    }
  },
};

function server(perMessageDeflate) {
  const all = new WebSocketServer({ noServer: true, perMessageDeflate,
    maxPayload: 4 * MIB,
    handleProtocols: (offered) => offered.has("v2") ? "v2" : false });
  all.on("connection", (ws, request) => {
    const url = new URL(request.url, "ws://localhost");
    ws.on("close", (code, reason) =>
      end(url.searchParams.get("id")).resolve(`${code} ${reason}`));
    ws.on("error", () => {});
    paths[url.pathname.slice(1)](ws, url);
  });
  return all;
}

// Listens with these options of ws and of TLS, and says where.
async function listen(over, variant, perMessageDeflate, tls) {
  const all = server(perMessageDeflate);
  const front = tls ? https.createServer({ ...pair, ...tls })
    : http.createServer();
  front.on("upgrade", (request, socket, head) => {
    if (request.url.startsWith("/refuse")) {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    } else {
      all.handleUpgrade(request, socket, head,
        (ws) => all.emit("connection", ws, request));
    }
  });
  await new Promise((done) => front.listen(0, "127.0.0.1", done));
  console.log(`${over}\t${variant}\t${tls ? "wss" : "ws"}://`
    + `localhost:${front.address().port}`);
}

await listen("plain", "", false);
for (const version of ["1.2", "1.3"]) {
  await listen(`TLS ${version}`, "", false,
    { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` });
}
await listen("deflate", "", true);
for (const serverNoContextTakeover of [undefined, true]) {
  for (const clientNoContextTakeover of [undefined, true]) {
    for (const bits of [9, 15]) {
      await listen("deflate", `${serverNoContextTakeover ? "no " : ""}context `
        + `of the server's, ${clientNoContextTakeover ? "no " : ""}context of `
        + `the client's, ${bits} bits`,
        { serverNoContextTakeover, clientNoContextTakeover, threshold: 0,
          // with 15 it would refuse those who want less
          serverMaxWindowBits: bits < 15 ? bits : undefined,
          clientMaxWindowBits: bits < 15 ? bits : undefined });
    }
  }
}
await listen("deflate over TLS", "", { threshold: 0 }, {});
console.log("ready");
