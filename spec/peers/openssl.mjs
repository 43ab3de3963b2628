// openssl s_client against evws: node openssl.mjs <file of echo.lua's lines>
// <file of the CA>
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { about, assert, finish, test, within } from "./check.mjs";

const [file, ca] = process.argv.slice(2);
const request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
  + "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
  + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
// "hello", masked with zeros, and its echo
const hello = Buffer.from("\x81\x85\0\0\0\0hello", "latin1");
const echo = "\x81\x05hello";

// What s_client prints until it ends or `enough` matches; what it is given
// to write is a list, one when the last has been answered.
async function client(port, args, input = [], enough = /$^/) {
  const child = spawn("openssl", ["s_client", "-connect", `localhost:${port}`,
    "-servername", "localhost", "-CAfile", ca, "-verify_return_error",
    "-verify_hostname", "localhost", ...args]);
  let out = "";
  const left = [...input];
  const step = () => {
    if (left.length > 0 && left[0].after.test(out)) {
      child.stdin.write(left.shift().bytes);
      step();
    } else if (enough.test(out)) {
      child.kill();
    }
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => { out += data.toString("latin1"); step(); });
  }
  child.stdin.on("error", () => {});
  try {
    await within(5, new Promise((resolve) => child.on("close", resolve)),
      "s_client");
  } finally {
    child.kill();
  }
  return out;
}

const session = [{ after: /Verify return code: 0 \(ok\)|^/, bytes: request },
  { after: new RegExp(accept.replace("+", "\\+")), bytes: hello }];

const lines = readFileSync(file, "utf8").split("\n")
  .map((line) => line.split("\t"));
for (const [over, flag] of [["TLS 1.2", "-tls1_2"], ["TLS 1.3", "-tls1_3"]]) {
  const port = new URL(lines.find(([name]) => name === over)[2]).port;
  about("openssl s_client", "server", over);

  await test("an echo, the certificate verified", async () => {
    const out = await client(port, ["-quiet", flag], session,
      new RegExp(echo));
    assert.match(out, /HTTP\/1\.1 101 /);
    assert.ok(out.includes(echo), "no echo");
  });

  await test("the version", async () => {
    const out = await client(port, [flag], [], /Verify return code: 0/);
    assert.match(out, new RegExp(`New, ${over.replace("TLS ", "TLSv")}`));
  });

  if (over === "TLS 1.2") {
    await test("no renegotiation", async () => {
      const out = await client(port, [flag], [{ after: /Verify return code/,
        bytes: "R\n" }]);
      assert.match(out, /RENEGOTIATING/);
      assert.match(out, /no[ _]renegotiation|error/i);
    });

    for (const cipher of ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"]) {
      await test(`no ${cipher}`, async () => assert.match(await client(port,
        [flag, "-cipher", `${cipher}:@SECLEVEL=0`]), /handshake failure/));
    }
  }
}

about("openssl s_client", "server", "TLS 1.2");
await test("no TLS 1.1", async () => {
  const { port } = new URL(lines.find(([name]) => name === "TLS 1.2")[2]);
  assert.match(await client(port, ["-tls1_1", "-cipher",
    "DEFAULT:@SECLEVEL=0"]), /alert protocol version|unsupported protocol/);
});

finish();
