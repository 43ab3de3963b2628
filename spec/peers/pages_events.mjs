// Chromium and the page of the event stream sample (examples/events.lua).
import { assert, end, finish, screenshots, says, tabStops, until, withSample }
  from "./pages.mjs";

const sample = (...rest) => withSample("events", ...rest);
const live = (page) => says(page, "state", "Live");
const notes = (page, count) => until(page, `${count} notes`, (count) =>
  document.querySelectorAll("#log .message").length === count, count)
  .then(() => page.$$eval("#log .message", (all) =>
    all.map((e) => e.textContent)));

async function add(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

await sample("notes come to all, as text", async (tab) => {
  const one = await tab(), other = await tab();
  await live(one);
  await live(other);
  await add(one, "<b>hello</b>");
  assert.deepEqual(await notes(other, 1), ["<b>hello</b>"]);
  assert.deepEqual(await notes(one, 1), ["<b>hello</b>"]);
  await until(one, "an empty field", () =>
    document.getElementById("text").value === "");
  assert.deepEqual([one.wrong, other.wrong], [[], []]);
});

await sample("what is wrong stands at its field", async (tab, server) => {
  const page = await tab();
  await live(page);
  await add(page, "  ");
  await says(page, "wrong", "A note, please.");
  await page.keyboard.type("x");
  assert.equal(await page.textContent("#wrong"), "");
  await end(server);
  await says(page, "state", "Disconnected");
  await add(page, "late");
  await says(page, "wrong", "The server does not answer.");
});

await sample("by keyboard alone", async (tab) => {
  const page = await tab();
  await live(page);
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  assert.deepEqual(await notes(page, 1), ["typed"]);
  assert.ok((await tabStops(page)).length >= 2);
});

await screenshots("events", "events", async (tab) => {
  const page = await tab();
  await live(page);
  for (const what of ["Milk", "Tea, the green one", "Bread"]) {
    await add(page, `${what} (${page.viewportSize().width} wide)`);
    await says(page, "log", `${what} (${page.viewportSize().width} wide)`);
  }
  return page;
});

await finish();
