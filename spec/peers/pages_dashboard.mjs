// Chromium and the page of the dashboard (examples/dashboard.lua).
import { assert, becomes, end, finish, fits, PHONE, says, screenshots, serve,
  tabStops, until, withSample } from "./pages.mjs";

// The time before now is drawn whole, so the axis grows while one looks.
const AGO = /^[0-9]+ s ago,[0-9]+ s ago,now$/;

const sample = (...rest) => withSample("dashboard", ...rest);
const TITLES = ["Connections", "Messages per second", "Bytes per second",
  "Time the loop is busy", "How late timers are", "Memory"];
// Where nothing came for two seconds a line has a gap: it is in several parts.
const drawn = (page, least) => until(page, `${least} points`, (least) =>
  [...document.querySelectorAll("section")].length === 6
  && [...document.querySelectorAll("section")].every((section) =>
    [...section.querySelectorAll("polyline.first")].flatMap((line) =>
      line.getAttribute("points").split(" ")).length >= least), least);
const value = (page, n) => page.textContent(`section:nth-child(${n}) dd`);

await sample("charts appear, and load shows in them", async (tab) => {
  const page = await tab(), other = await tab();
  await says(page, "state", "Live");
  await drawn(page, 3);
  await becomes(() => value(page, 1), "2");
  await page.click("#load");
  assert.equal(await page.textContent("#load"), "Stop the load");
  await until(page, "the load", () => {
    const [open, rate] = [1, 2].map((n) => parseInt(document.querySelector(
      `section:nth-child(${n}) dd`).textContent.replaceAll(",", ""), 10));
    return open === 22 && rate > 50;
  });
  await other.close();
  await page.click("#load");
  await until(page, "its end", () => document.querySelector(
    "section:nth-child(1) dd").textContent === "1");
  assert.deepEqual(page.wrong, []);
});

await sample("axes have a zero, a unit and a span of time; lines a legend",
  async (tab) => {
    const page = await tab();
    await page.click("#load");
    await drawn(page, 4);
    const found = await page.$$eval("section", (all) => all.map((section) => ({
      title: section.querySelector("h2").textContent,
      names: [...section.querySelectorAll("dt")].map((e) => e.textContent),
      lines: new Set([...section.querySelectorAll("polyline")].map((e) =>
        e.getAttribute("class"))).size,
      texts: [...section.querySelectorAll("text")].map((e) => e.textContent),
      zero: section.querySelectorAll(".zero").length,
      apart: section.querySelector("dl").getBoundingClientRect().bottom
        <= section.querySelector("svg").getBoundingClientRect().top })));
    assert.deepEqual(found.map(({ title }) => title), TITLES);
    assert.deepEqual(found.map(({ names }) => names.join()), ["open",
      "in,out", "in,out", "busy", "late", "evws,Lua,queued"]);
    for (const { names, lines, texts, zero, apart, title } of found) {
      assert.equal(lines, names.length, title);
      assert.equal(zero, 1, title);
      assert.equal(texts[0], "0", title);
      assert.match(texts.slice(-3).join(), AGO);
      assert.ok(apart, `${title}: a value stands on a line`);
    }
    const units = found.map(({ texts }) =>
      texts.at(-4).replace(/^[\d.,]+ ?/, ""));
    assert.deepEqual(units.map((unit) => unit.replace(/^[kM]B/, "B")),
      ["", "", "B/s", "%", "ms", "B"]);
  });

await sample("whoever comes later sees what was before", async (tab) => {
  const early = await tab();
  await early.click("#load");
  await drawn(early, 5);
  const late = await tab();
  await drawn(late, 5);
  const [from, until_now] = await late.evaluate(() => {
    const svg = document.querySelector("svg[role=slider]");
    const parts = [...svg.querySelectorAll("polyline")].map((line) =>
      line.getBBox());
    return [Math.min(...parts.map(({ x }) => x)), Math.max(...parts.map(
      ({ x, width }) => x + width)) / svg.clientWidth];
  });
  assert.ok(until_now > 0.9 && from < 250);
});

await sample("one crosshair for all, by pointer and by keys", async (tab) => {
  const page = await tab();
  const press = (key) => page.keyboard.press(key);
  await drawn(page, 5);
  const { x, y, width, height } = await page.locator("svg[role=slider]")
    .nth(4).boundingBox();
  await page.mouse.move(x + width - 60, y + height / 2);
  await until(page, "crosshairs", () =>
    document.querySelectorAll(".cross").length === 6);
  assert.equal(await page.locator("circle[class]").count(), 10);
  await page.mouse.move(x, y - 60);
  await until(page, "none", () => !document.querySelector(".cross"));

  await becomes(() => tabStops(page), ["load", ...TITLES]);
  await page.focus("[aria-label='Messages per second']");
  await press("ArrowLeft");
  await press("ArrowLeft");
  await until(page, "crosshairs", () =>
    document.querySelectorAll(".cross").length === 6);
  await until(page, "its values", () => /^2 s ago: in [\d.]+, out [\d.]+$/.test(
    document.activeElement.getAttribute("aria-valuetext")));
  await press("Home");
  await until(page, "the far end", () => document.querySelector(
    "[role=slider]:focus").getAttribute("aria-valuenow") <= -4);
  await press("Escape");
  await until(page, "none", () => !document.querySelector(".cross"));
  await page.focus("#load");
  await press("Enter");
  assert.equal(await page.textContent("#load"), "Stop the load");
  assert.deepEqual(page.wrong, []);
});

await sample("on a phone the load is made on top", async (tab) => {
  const page = await tab("", PHONE);
  await drawn(page, 2);
  const [button, chart] = await page.evaluate(() => ["#load", "section"].map(
    (what) => document.querySelector(what).getBoundingClientRect()));
  assert.ok(button.bottom < chart.top && button.top < 200);
  await page.tap("#load");
  await fits(page);
});

await sample("comes back after a restart", async (tab, server) => {
  const page = await tab();
  await drawn(page, 3);
  await end(server);
  await says(page, "state", "Disconnected");
  Object.assign(server, await serve("dashboard", server.port));
  await says(page, "state", "Live");
  await drawn(page, 2);
  const low = await page.evaluate(() => [...document.querySelectorAll(
    "polyline")].every((line) => line.getBBox().y >= 0));
  assert.ok(low, "a new server's numbers were compared with the old one's");
}, 60);

await screenshots("dashboard", "dashboard", async (tab) => {
  const page = await tab();
  await drawn(page, 2);
  await page.click("#load");
  await drawn(page, 7);
  return page;
});

await finish();
