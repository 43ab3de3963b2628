// Chromium and the pages of samples that are served by four processes, which a
// Redis joins: people in different ones are together.
import { assert, becomes, finish, says, withSample } from "./pages.mjs";

const WORKERS = 4;
const sample = (name, title, body) => withSample(name, title, body, 80, WORKERS);

await sample("chat", "one room in four processes", async (tab) => {
  const tabs = [], names = ["anna", "ben", "carl", "dora", "eva"];
  for (const name of names) {
    const page = await tab("#all");
    await page.fill("#name", name);
    await page.press("#name", "Enter");
    await says(page, "people", `${name} (you)`);
    tabs.push(page);
  }
  for (const [i, page] of tabs.entries()) {
    await becomes(() => page.$$eval("#people li", (all) =>
      all.map((e) => e.textContent)), names.map((name, k) =>
      k === i ? `${name} (you)` : name));
    await page.fill("#text", `by ${names[i]}`);
    await page.press("#text", "Enter");
    for (const one of tabs) await says(one, "log", `by ${names[i]}`);
  }
  for (const page of tabs) assert.deepEqual(page.wrong, []);
});

await sample("signalr", "one room in four processes", async (tab) => {
  const tabs = [], names = ["Ann", "Ben", "Cid", "Dora", "Eva"];
  for (const name of names) {
    const page = await tab("#tea");
    await says(page, "state", "Open");
    await page.fill("#name", name);
    await page.press("#name", "Enter");
    await says(page, "log", "You are in #tea");
    for (const one of tabs) await says(one, "log", `${name} has entered`);
    tabs.push(page);
  }
  for (const [i, page] of tabs.entries()) {
    await page.fill("#text", `by ${names[i]}`);
    await page.press("#text", "Enter");
    for (const one of tabs) {
      if (one !== page) await says(one, "log", `${names[i]}: by ${names[i]}`);
    }
  }
  for (const page of tabs) assert.deepEqual(page.wrong, []);
});

await finish();
