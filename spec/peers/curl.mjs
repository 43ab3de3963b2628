// curl against the echo sample: node curl.mjs <port>
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { about, assert, factor, finish, test } from "./check.mjs";

about("curl", "server", "plain");

const port = process.argv[2];
const LIMIT = String(5 * factor);   // seconds for a request
const base = `http://127.0.0.1:${port}`;
const page = readFileSync(new URL("../../examples/echo/index.html",
  import.meta.url));

// Runs curl and returns what it printed. With `headOnly` it is stopped after
// the response head: nothing ends a connection that was upgraded.
function run(args, headOnly = false) {
  return new Promise((resolve, reject) => {
    const child = spawn("curl", ["--disable", "--silent", "--show-error",
      "--noproxy", "*", "--max-time", LIMIT, ...args]);
    let out = Buffer.alloc(0), errors = "", stopped = false;
    child.on("error", reject);
    child.stderr.on("data", (data) => { errors += data; });
    child.stdout.on("data", (data) => {
      out = Buffer.concat([out, data]);
      if (headOnly && out.includes("\r\n\r\n")) {
        stopped = true;
        child.kill();
      }
    });
    child.on("close", (code) => {
      if (code === 0 || stopped) resolve(out);
      else reject(new Error(`curl: exit ${code}: ${errors.trim()}`));
    });
  });
}

// One request: { status, headers, body }.
async function request(path, args = [], headOnly = false) {
  const out = await run(["--include", "--http1.1", ...args, base + path],
    headOnly);
  const end = out.indexOf("\r\n\r\n");
  assert.notEqual(end, -1, "no response head");
  const [first, ...lines] = out.subarray(0, end).toString().split("\r\n");
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return {
    status: Number(first.split(" ")[1]), headers, body: out.subarray(end + 4),
  };
}

// The headers of the handshake in RFC 6455, 1.3, some of them changed.
function handshake(changes = {}) {
  const headers = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    ...changes,
  };
  return Object.entries(headers)
    .flatMap(([name, value]) => ["--header", `${name}: ${value}`]);
}

for (const path of ["/", "/index.html", "/?from=curl"]) {
  await test(`GET ${path} is the page`, async () => {
    const { status, headers, body } = await request(path);
    assert.equal(status, 200);
    assert.match(headers["content-type"], /^text\/html\b/);
    assert.equal(Number(headers["content-length"]), page.length);
    assert.ok(body.equals(page), "the body is not the file");
  });
}

await test("the page by name and by address", async () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    const out = await run([`http://${host}:${port}/`]);
    assert.ok(out.equals(page), `not by ${host}`);
  }
});

await test("HEAD / has the head of GET and no body", async () => {
  const { status, headers, body } = await request("/", ["--head"]);
  assert.equal(status, 200);
  assert.match(headers["content-type"], /^text\/html\b/);
  assert.equal(Number(headers["content-length"]), page.length);
  assert.equal(body.length, 0);
});

await test("GET /nothing is 404", async () => {
  assert.equal((await request("/nothing")).status, 404);
});

await test("GET /ws without upgrade is 426", async () => {
  const { status, headers } = await request("/ws");
  assert.equal(status, 426);
  assert.equal(headers.upgrade?.toLowerCase(), "websocket");
});

await test("the handshake of RFC 6455 gives its answer", async () => {
  const { status, headers } = await request("/ws", handshake(), true);
  assert.equal(status, 101);
  assert.equal(headers.upgrade.toLowerCase(), "websocket");
  assert.equal(headers.connection.toLowerCase(), "upgrade");
  assert.equal(headers["sec-websocket-accept"],
    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  assert.equal(headers["sec-websocket-protocol"], undefined);
  assert.equal(headers["sec-websocket-extensions"], undefined);
});

await test("upgrade headers in other cases and lists", async () => {
  const { status } = await request("/ws", handshake({
    Upgrade: "WebSocket", Connection: "keep-alive, upgrade",
  }), true);
  assert.equal(status, 101);
});

for (const version of ["8", "12", "14"]) {
  await test(`version ${version} is 426`, async () => {
    const { status, headers } = await request("/ws",
      handshake({ "Sec-WebSocket-Version": version }), true);
    assert.equal(status, 426);
    assert.equal(headers["sec-websocket-version"], "13");
  });
}

await test("a handshake on another path is 404", async () => {
  assert.equal((await request("/nothing", handshake(), true)).status, 404);
});

await test("POST / is 405", async () => {
  const { status, headers } = await request("/", ["--data", "a=1"]);
  assert.equal(status, 405);
  assert.match(headers.allow, /\bGET\b/);
});

for (const path of ["/../echo.lua", "/%2e%2e/echo.lua", "/..%2fecho.lua",
  "/%2e%2e%2fecho.lua", "/..%5cecho.lua", "/./../echo.lua",
  "/index.html/../../echo.lua", "/%252e%252e/echo.lua", "//etc/passwd",
  "/../../../../../../../../etc/passwd", "/echo.lua%00.html"]) {
  await test(`nothing outside the directory: ${path}`, async () => {
    const { status, body } = await request(path, ["--path-as-is"]);
    assert.ok(status >= 400 && status < 500, `status ${status}`);
    assert.ok(!body.includes("require") && !body.includes("root:"));
  });
}

await test("two requests share one connection", async () => {
  const out = await run(["--output", "/dev/null", "--output", "/dev/null",
    "--write-out", "%{http_code} %{num_connects}\n",
    `${base}/`, `${base}/nothing`]);
  assert.equal(out.toString(), "200 1\n404 0\n");
});

await test("what follows a HEAD and a POST is not mixed up", async () => {
  const out = await run(["--head", "--output", "/dev/null",
    "--write-out", "%{http_code} ", `${base}/`,
    "--next", "--max-time", LIMIT, "--silent", "--data", "GET / HTTP/1.1",
    "--output", "/dev/null", "--write-out", "%{http_code} ", `${base}/`,
    "--next", "--max-time", LIMIT, "--silent", `${base}/`]);
  assert.equal(out.subarray(0, 8).toString(), "200 405 ");
  assert.ok(out.subarray(8).equals(page), "the page is not the file");
});

finish();
