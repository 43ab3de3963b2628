// Chromium and the page that lists the samples (examples/index.lua).
import { assert, becomes, finish, says, screenshots, tabStops, until,
  withSample } from "./pages.mjs";

const sample = (...rest) => withSample("index", ...rest);
// What is seen when it works.
const WORKS = { Echo: ["state", "Ready to connect"],
  Chat: ["state", "Connected"], Ticker: ["state", "Live"],
  Dashboard: ["state", "Live"], Token: ["state", "Ready"],
  Notes: ["state", "Live"], Hub: ["state", "Open"],
  Rooms: ["state", "Not connected"] };

await sample("leads to each of them, and each of them works", async (tab) => {
  for (const [name, [id, text]] of Object.entries(WORKS)) {
    const page = await tab();
    await page.getByRole("link", { name, exact: true }).click();
    await says(page, id, text);
    assert.equal(await page.evaluate(() => document.querySelector("h1")
      .textContent.match(/^(WebSocket |Notes|SignalR)/) !== null), true);
    assert.deepEqual(page.wrong, []);
  }
});

await sample("by keyboard alone", async (tab) => {
  const page = await tab();
  await becomes(() => tabStops(page), Object.keys(WORKS));
  await page.focus("a[href='/broadcast']");
  await page.keyboard.press("Enter");
  await says(page, "state", "Live");
  await until(page, "prices", () => /\d/.test(document.querySelector("output")
    .textContent));
});

await sample("needs no script", async (tab) => {
  const page = await tab("", { javaScriptEnabled: false });
  assert.equal(await page.locator("section").count(), 9);
  for (const name of ["echo", "chat", "broadcast", "dashboard", "auth", "tls",
    "client", "events", "signalr", "rooms"]) {
    assert.ok((await page.textContent("main")).includes(
      `make run EXAMPLE=${name}`));
  }
});

await screenshots("index", "index", (tab) => tab());

await finish();
