// Chromium against evws over TLS and with compression:
// node chromium_echo.mjs <file of echo.lua's lines> <certificate>
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { about, assert, factor, finish, test } from "./check.mjs";

const [file, certificate] = process.argv.slice(2);

// Chromium knows nothing of the throw-away CA, but this public key is fine.
const key = new X509Certificate(readFileSync(certificate)).publicKey
  .export({ type: "spki", format: "der" });
const pin = createHash("sha256").update(key).digest("base64");

function launch(...flags) {
  return chromium.launch({
    executablePath: "/usr/bin/chromium", timeout: 30000 * factor,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
      "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
      `--ignore-certificate-errors-spki-list=${pin}`, ...flags],
  });
}

// Runs in the page: sends, compares what comes back, closes with 4000.
function session({ url, sizes, count }) {
  return new Promise((resolve, reject) => {
    const expected = [];
    const ws = new WebSocket(url, ["v1", "v2"]);
    ws.binaryType = "arraybuffer";
    const text = (size) => {
      let all = "";
      for (let i = 0; all.length < size; i++) all += `${i * i} Grüße, 世界; `;
      return all.slice(0, size);
    };
    ws.onopen = () => {
      for (const size of sizes) {
        expected.push(text(size));
        const bytes = new Uint8Array(size);
        for (let i = 0; i < size; i += 65536) {
          crypto.getRandomValues(bytes.subarray(i, i + 65536));
        }
        expected.push(bytes);
      }
      for (let i = 0; i < count; i++) expected.push(`message ${i}`);
      for (const message of expected) ws.send(message);
    };
    ws.onmessage = ({ data }) => {
      const wanted = expected.shift();
      const same = typeof data === "string" ? data === wanted
        : wanted instanceof Uint8Array && data.byteLength === wanted.length
          && new Uint8Array(data).every((byte, i) => byte === wanted[i]);
      if (!same) reject(new Error(`${wanted.length} came back changed`));
      if (expected.length === 0) ws.close(4000, "Grüße");
    };
    ws.onclose = ({ code, reason, wasClean }) => resolve({ code, reason,
      wasClean, left: expected.length, extensions: ws.extensions,
      protocol: ws.protocol });
  });
}

// The code and reason the server closes with.
function closed(url) {
  return new Promise((resolve) => {
    new WebSocket(url).onclose = ({ code, reason, wasClean }) =>
      resolve({ code, reason, wasClean });
  });
}

async function all(browser, lines) {
  const page = await browser.newPage();
  for (const [over, variant, url] of lines) {
    about("Chromium", "server", over);
    const title = variant ? `${variant}: ` : "";
    for (const [name, sizes, count] of [
      ["sizes up to 1 MiB", [0, 125, 126, 1000, 65535, 65536, 1 << 20], 0],
      ["1,000 messages", [], 1000]]) {
      await test(title + name, async () => {
        const { extensions, ...end } = await page.evaluate(session,
          { url, sizes, count });
        assert.deepEqual(end, { code: 4000, reason: "Grüße", wasClean: true,
          left: 0, protocol: "v2" });
        assert.equal(/permessage-deflate/.test(extensions),
          over.startsWith("deflate"));
      }, 20);
    }
    await test(`${title}the server's close code`, async () =>
      assert.deepEqual(await page.evaluate(closed, `${url}/close/4001`),
        { code: 4001, reason: "Grüße", wasClean: true }));
  }
  await browser.close();
}

const lines = readFileSync(file, "utf8").split("\n")
  .map((line) => line.split("\t")).filter(([, , url]) => url);
const is12 = ([over]) => over === "TLS 1.2";
await all(await launch("--ssl-version-max=tls1.2"), lines.filter(is12));
await all(await launch("--ssl-version-min=tls1.3"),
  lines.filter((line) => !is12(line)));
finish();
