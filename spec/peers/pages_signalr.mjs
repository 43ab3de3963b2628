// Chromium and the page of the hub sample (examples/signalr.lua).
import { assert, becomes, end, finish, says, screenshots, serve, tabStops,
  until, withSample } from "./pages.mjs";

const sample = (...rest) => withSample("signalr", ...rest);

async function enter(page, name) {
  await says(page, "state", "Open");
  await page.fill("#name", name);
  await page.press("#name", "Enter");
}

await sample("two talk in a room, and see who types and leaves",
  async (tab) => {
    const ann = await tab("#tea"), ben = await tab("#tea");
    await enter(ann, "Ann");
    await says(ann, "log", "You are in #tea");
    await enter(ben, "Ben");
    await says(ann, "log", "Ben has entered");
    // which is said for two seconds
    const typing = says(ann, "typing", "Ben is typing");
    await ben.type("#text", "<i>hi</i>");
    await typing;
    await ben.press("#text", "Enter");
    await says(ann, "log", "Ben: <i>hi</i>");
    assert.equal(await ann.textContent("#typing"), "");
    await ben.close();
    await says(ann, "log", "Ben has left");
    assert.deepEqual(ann.wrong, []);
  });

await sample("what is wrong with a name stands at its field", async (tab) => {
  const page = await tab();
  await enter(page, "a b");
  await says(page, "wrong", "a name has letters, digits, _ and -");
  await page.keyboard.type("c");
  assert.equal(await page.textContent("#wrong"), "");
});

await sample("a job is told, cancelled, and done", async (tab) => {
  const page = await tab();
  await says(page, "state", "Open");
  await page.click("#start");
  await until(page, "step 5", () => /^step ([5-9]|\d\d) of 100$/.test(
    document.getElementById("steps").textContent));
  await page.click("#cancel");
  await says(page, "steps", "cancelled");
  await page.click("#start");
  await says(page, "steps", "done");
  assert.equal(await page.evaluate(() =>
    document.getElementById("progress").value), 100);
  assert.deepEqual(page.wrong, []);
});

await sample("a page comes back to its room after a restart",
  async (tab, server) => {
    const page = await tab();
    await enter(page, "Ann");
    await says(page, "log", "You are in #lobby");
    await end(server);
    await says(page, "state", "Coming back");
    const again = await serve("signalr", server.port);
    try {
      await says(page, "state", "Open");
      await until(page, "its room", () => document.getElementById("log")
        .textContent.match(/You are in #lobby/g)?.length === 2);
    } finally {
      await end(again);
    }
  });

await sample("by keyboard alone", async (tab) => {
  const page = await tab();
  await says(page, "state", "Open");
  await page.focus("#name");
  await page.keyboard.type("Ann");
  await page.keyboard.press("Enter");
  await says(page, "log", "You are in #lobby");
  await page.keyboard.type("hello");
  await page.keyboard.press("Enter");
  await says(page, "log", "hello");
  await becomes(() => tabStops(page), ["start", "log", "text", "send"]);
});

await screenshots("signalr", "signalr", async (tab) => {
  const page = await tab();
  await enter(page, "Ann");
  await says(page, "log", "You are in #lobby");
  await page.fill("#text", "Is anybody here?");
  await page.press("#text", "Enter");
  await page.click("#start");
  await says(page, "steps", "done");
  return page;
});

await finish();
