// The harness of the JavaScript peers: one line per test, a limit on each.
//   ok - <peer>, <role of evws>, <over what>: <name>
import assert from "node:assert/strict";

// Where the machine is shared, all limits are longer.
const factor = Number(process.env.EVWS_TIME_FACTOR ?? 1);
let failed = 0, heading = "";

// What the tests that follow are about: "npm ws", "server", "plain".
export function about(...words) { heading = words.join(", "); }

// Runs body and prints its line. A test that is not done in time has failed.
export async function test(title, body, seconds = 10) {
  const name = `${heading}: ${title}`;
  try {
    await within(seconds, Promise.resolve().then(body));
    console.log(`ok - ${name}`);
  } catch (error) {
    failed++;
    const why = String(error?.message ?? error)
      .replace(/\x1b\[\d*m/g, "").replace(/\s+/g, " ");
    console.log(`not ok - ${name}: ${why.slice(0, 300)}`);
  }
}

// The promise's value, or an error when it takes longer than that.
export function within(seconds, promise, what = "the test") {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(
      `${what} took more than ${seconds * factor} s`)), seconds * factor * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// 2: a test failed; 1 is left for a peer that breaks down itself.
export function finish() {
  process.exit(failed > 0 ? 2 : 0);
}

export { assert, factor };
