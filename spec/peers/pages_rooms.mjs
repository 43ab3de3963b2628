// Chromium and the page of the rooms sample (examples/rooms.lua).
import { assert, end, finish, screenshots, says, serve, tabStops, until,
  withSample } from "./pages.mjs";
import { factor } from "./check.mjs";

const sample = (...rest) => withSample("rooms", ...rest);

// Who has cut the connection comes back after ten seconds, on a shared machine
// later, so that there is time for what is to be missed.
const cut = (page) => page.evaluate((factor) => {
  const later = window.setTimeout;
  window.setTimeout = (fn, ms, ...rest) =>
    later(fn, ms === 10000 ? ms * factor : ms, ...rest);
}, factor).then(() => page.click("#cut"));

async function enter(page, name) {
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await says(page, "state", "Open");
  await says(page, "people", `${name} (you)`);
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
  await says(page, "log", text);
}

const shown = (page) => page.$$eval("#log .message", (all) =>
  all.map((row) => row.lastChild.textContent));

await sample("two talk in a room, and see who comes and goes", async (tab) => {
  const ann = await tab("#tea"), ben = await tab("#tea");
  await enter(ann, "Ann");
  await says(ann, "log", "You are in #tea");
  await enter(ben, "Ben");
  await says(ann, "people", "Ben");
  await say(ben, "<i>hi</i>");
  await says(ann, "log", "Ben<i>hi</i>");
  await ben.close();
  await until(ann, "Ben gone", () =>
    document.getElementById("people").textContent === "Ann (you)");
  assert.deepEqual(ann.wrong, []);
});

await sample("who enters sees what was said before", async (tab) => {
  const ann = await tab("#tea");
  await enter(ann, "Ann");
  for (const text of ["one", "two", "three"]) await say(ann, text);
  const ben = await tab("#tea"), eve = await tab("#other");
  await enter(ben, "Ben");
  await says(ben, "log", "three");
  assert.deepEqual(await shown(ben), ["one", "two", "three"]);
  await enter(eve, "Eve");
  assert.deepEqual(await shown(eve), []);
});

await sample("who was away is told what was missed, once", async (tab) => {
  const ann = await tab("#tea"), ben = await tab("#tea");
  await enter(ann, "Ann");
  await enter(ben, "Ben");
  await say(ben, "before");
  await says(ann, "log", "before");
  await cut(ann);
  await says(ann, "state", "Cut");
  await says(ben, "people", "Ben (you)");
  const missed = ["a", "b", "c", "d", "e"].map((letter) => `missed ${letter}`);
  for (const text of missed) await say(ben, text);
  assert.deepEqual(await shown(ann), ["before"]);
  await ann.click("#cut");
  await says(ann, "missed", "s: 5 messages recovered");
  await say(ben, "after");
  await says(ann, "log", "after");
  assert.deepEqual(await shown(ann), ["before", ...missed, "after"]);
  assert.equal(await ann.locator(".missed.message").count(), 5);
  assert.deepEqual(ann.wrong, []);
});

await sample("a tab that is offline comes back with all of it",
  async (tab) => {
    const ann = await tab("#tea"), ben = await tab("#tea");
    await enter(ann, "Ann");
    await enter(ben, "Ben");
    await ann.context().setOffline(true);
    await ann.evaluate(() => window.dispatchEvent(new Event("offline")));
    await cut(ann);   // what is sent into nothing is not waited for
    for (const text of ["x", "y"]) await say(ben, text);
    await ann.context().setOffline(false);
    await ann.click("#cut");
    await says(ann, "log", "2 messages recovered");
    assert.deepEqual(await shown(ann), ["x", "y"]);
  });

await sample("a tab that slept has all that was said", async (tab) => {
  const ann = await tab("#tea"), ben = await tab("#tea");
  await enter(ann, "Ann");
  await enter(ben, "Ben");
  const devtools = await ann.context().newCDPSession(ann);
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  const said = ["one", "two", "three"];
  for (const text of said) await say(ben, text);
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  await says(ann, "log", "three");
  assert.deepEqual(await shown(ann), said);
});

await sample("a page that was left and is gone back to", async (tab) => {
  const ann = await tab("#tea"), ben = await tab("#tea");
  await enter(ann, "Ann");
  await enter(ben, "Ben");
  await ann.goto("about:blank");
  await until(ben, "Ann gone", () =>
    document.getElementById("people").textContent === "Ben (you)");
  await say(ben, "meanwhile");
  await ann.goBack();
  // kept by the browser as it was, or loaded anew
  if (await ann.isVisible("#name")) await enter(ann, "Ann");
  await says(ann, "log", "meanwhile");
  assert.deepEqual(await shown(ann), ["meanwhile"]);
});

await sample("a page comes back after a restart, and says what is lost",
  async (tab, server) => {
    const page = await tab("#tea");
    await enter(page, "Ann");
    await say(page, "gone with the server");
    await end(server);
    await says(page, "state", "Coming back");
    const again = await serve("rooms", server.port);
    try {
      await says(page, "state", "Open");
      await says(page, "log", "too long for what was said");
      await say(page, "again");
      assert.deepEqual(await shown(page), ["again"]);
    } finally {
      await end(again);
    }
  });

await sample("what is wrong with a name stands at its field", async (tab) => {
  const page = await tab();
  await page.fill("#name", "a b");
  await page.press("#name", "Enter");
  await says(page, "wrong", "a name has letters, digits, _ and -");
  await page.fill("#name", "ab");
  assert.equal(await page.textContent("#wrong"), "");
  await enter(page, "ab");
});

await sample("by keyboard alone", async (tab) => {
  const page = await tab();
  await page.focus("#name");
  await page.keyboard.type("Ann");
  await page.keyboard.press("Enter");
  await says(page, "log", "You are in #lobby");
  await page.keyboard.type("hello");
  await page.keyboard.press("Enter");
  await says(page, "log", "hello");
  assert.deepEqual(await tabStops(page), ["cut", "log", "text", "send"]);
});

// Each in a room of its own: what was said in another is not there already.
let lobbies = 0;
await screenshots("rooms", "rooms", async (tab) => {
  lobbies += 1;
  const room = lobbies === 1 ? "" : `#lobby-${lobbies}`;
  const page = await tab(room), other = await tab(room);
  await enter(page, "Ann");
  await enter(other, "Ben");
  await say(page, "Is anybody here?");
  await say(other, "Yes: and your train goes through a tunnel now.");
  await says(page, "log", "tunnel now");
  await cut(page);
  await says(page, "state", "Cut");
  for (const text of ["One", "Two", "Three of the things you missed"]) {
    await say(other, text);
  }
  await page.click("#cut");
  await says(page, "missed", "3 messages recovered");
  await says(page, "people", "Ben");
  return page;
});

await finish();
