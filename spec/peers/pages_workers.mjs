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

await sample("rooms", "one room in four processes", async (tab) => {
  const tabs = [], names = ["Ann", "Ben", "Cid", "Dora"];
  const shown = (page) => page.$$eval("#log .message", (all) =>
    all.map((row) => row.lastChild.textContent));
  const enter = async (name) => {
    const page = await tab("#tea");
    await page.fill("#name", name);
    await page.press("#name", "Enter");
    await says(page, "state", "Open");
    tabs.push(page);
    return page;
  };
  for (const name of names) await enter(name);
  for (const page of tabs) {
    for (const name of names) await says(page, "people", name);
  }
  for (const [i, page] of tabs.entries()) {
    await page.fill("#text", `by ${names[i]}`);
    await page.press("#text", "Enter");
    for (const one of tabs) await says(one, "log", `by ${names[i]}`);
  }
  const said = names.map((name) => `by ${name}`);
  await tabs[0].click("#cut");
  await says(tabs[0], "state", "Cut");
  await tabs[1].fill("#text", "meanwhile");
  await tabs[1].press("#text", "Enter");
  await says(tabs[1], "log", "meanwhile");
  await tabs[0].click("#cut");
  await says(tabs[0], "missed", "1 message recovered");
  const late = await enter("Eva");
  await says(late, "log", "meanwhile");
  for (const page of tabs) {
    assert.deepEqual(await shown(page), [...said, "meanwhile"]);
    assert.deepEqual(page.wrong, []);
  }
});

await finish();
