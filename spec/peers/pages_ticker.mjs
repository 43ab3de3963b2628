// Chromium and the page of the ticker (examples/broadcast.lua).
import { assert, becomes, end, finish, legible, says, screenshots, serve,
  tabStops, until, withSample } from "./pages.mjs";

// The time before now is drawn whole, so the axis grows while one looks.
const AGO = /^[0-9]+ s ago,[0-9]+ s ago,now$/;

const sample = (...rest) => withSample("broadcast", ...rest);
const output = (n) => `section:nth-child(${n}) output`;
const price = (page, n) => page.textContent(output(n));
const moves = (page, n) => price(page, n).then((before) =>
  until(page, "another price", ([selector, before]) =>
    document.querySelector(selector).textContent !== before,
  [output(n), before]));
// How many points the line of each chart has; where nothing came for two
// seconds it has a gap.
const drawn = (page, least) => until(page, "lines", (least) =>
  [...document.querySelectorAll("section")].length === 3
  && [...document.querySelectorAll("section")].every((section) =>
    [...section.querySelectorAll("polyline.first")].flatMap((line) =>
      line.getAttribute("points").split(" ")).length >= least), least);

await sample("values change, for all, and are drawn", async (tab) => {
  const one = await tab(), two = await tab();
  for (const page of [one, two]) {
    for (const n of [1, 2, 3]) await moves(page, n);
    await drawn(page, 4);
    assert.deepEqual(page.wrong, []);
  }
  await one.uncheck("section:nth-child(1) input");
  // with the first of them one of the other may have come, and be drawn later
  for (let i = 0; i < 2; i++) await moves(one, 2);
  const still = await price(one, 1);
  for (let i = 0; i < 3; i++) await moves(one, 2);
  assert.equal(await price(one, 1), still);
  await legible(one);
  await moves(two, 1);
  await one.check("section:nth-child(1) input");
  await moves(one, 1);
});

await sample("an axis with prices and times", async (tab) => {
  const page = await tab();
  await drawn(page, 6);
  for (const n of [1, 2, 3]) {
    const { texts, points, ticks } = await page.$eval(
      `section:nth-child(${n}) svg`, (svg) => ({
        texts: [...svg.querySelectorAll("text")].map((e) => e.textContent),
        points: svg.querySelector("polyline").getAttribute("points").split(" ")
          .map((point) => Number(point.split(",")[1])),
        ticks: [...svg.querySelectorAll(".grid")].map((e) =>
          e.y1.baseVal.value) }));
    assert.match(texts.slice(-3).join(), AGO);
    const prices = texts.slice(0, -3).map(Number);
    assert.ok(prices.length >= 2 && prices.every((p) => p > 0), texts);
    assert.ok(prices.every((p, i) => i === 0 || p > prices[i - 1]), texts);
    const [top, bottom] = [Math.min(...ticks), Math.max(...ticks)];
    assert.ok(points.every((y) => y >= top - 1 && y <= bottom + 1),
      "the line leaves the axis");
  }
});

await sample("a change in percent, with arrow, sign and colour",
  async (tab) => {
    const page = await tab();
    await drawn(page, 6);
    const seen = new Set();
    for (let i = 0; i < 280 && seen.size < 2; i++) {
      await moves(page, 1 + i % 3);
      const all = await page.$$eval(".change", (all) => all.map((e) =>
        [e.className.split(" ").at(-1), e.textContent]));
      for (const [way, text] of all) {
        const pattern = { up: /^▲ \+\d+\.\d\d % in \d+ s$/,
          down: /^▼ −\d+\.\d\d % in \d+ s$/,
          level: /^0\.00 % in \d+ s$/ }[way];
        assert.match(text, pattern);
        if (way !== "level") seen.add(way);
      }
    }
    assert.deepEqual([...seen].sort(), ["down", "up"]);
  }, 90);

await sample("by keyboard alone: a crosshair, and following", async (tab) => {
  const page = await tab();
  const press = (key) => page.keyboard.press(key);
  await drawn(page, 12);
  await becomes(() => tabStops(page), ["ALFA", "BETA", "GAMMA"].flatMap(
    (name) => [`Follow ${name}`, `Price of ${name}`]));
  await page.focus("[aria-label='Follow ALFA']");
  await press("Space");
  await press("Tab");
  await press("ArrowLeft");
  await press("ArrowLeft");
  await page.getByRole("slider", { name: "Price of ALFA" }).waitFor();
  await until(page, "the crosshair", () => /^2 s ago: price \d+\.\d\d$/.test(
    document.activeElement.getAttribute("aria-valuetext")));
  assert.equal(await page.locator(".cross + circle").count(), 1);
  await until(page, "when that was", () => /, 2 s ago$/.test(document
    .querySelector("section:nth-child(1) .change").textContent));
  await press("Escape");
  await until(page, "no crosshair", () => !document.querySelector(".cross"));
  assert.deepEqual(page.wrong, []);
});

await sample("the crosshair follows the pointer", async (tab) => {
  const page = await tab();
  await drawn(page, 12);
  await page.uncheck("section:nth-child(2) input");
  const { x, y, width, height } = await page.locator(
    "section:nth-child(2) svg").boundingBox();
  await page.mouse.move(x + width - 60, y + height / 2);
  // it stands where a price is, and those may come late
  await until(page, "the crosshair", (wanted) => {
    const at = document.querySelector(".cross")?.x1.baseVal.value;
    return Math.abs(at - wanted) < 25;
  }, width - 60);
  await page.mouse.move(x, y - 40);
  await until(page, "no crosshair", () => !document.querySelector(".cross"));
});

await sample("comes back after a restart", async (tab, server) => {
  const page = await tab();
  await moves(page, 1);
  await end(server);
  await says(page, "state", "Disconnected");
  await legible(page);
  Object.assign(server, await serve("broadcast", server.port));
  await says(page, "state", "Live");
  await moves(page, 1);
}, 60);

await screenshots("broadcast", "ticker", async (tab) => {
  const page = await tab();
  await drawn(page, 12);
  await page.uncheck("section:nth-child(3) input");
  return page;
});

await finish();
