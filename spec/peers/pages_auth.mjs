// Chromium and the page of the token sample (examples/auth.lua).
import { assert, becomes, end, finish, legible, PHONE, says, screenshots,
  tabStops, until, withSample } from "./pages.mjs";

const sample = (...rest) => withSample("auth", ...rest);
const token_of = async (page, server, name) => {
  for (;;) {
    const line = server.lines.find((line) => line.startsWith(name));
    if (line) return line.split("\t")[1];
    await page.waitForTimeout(5);
  }
};
const focus = (page, id) => until(page, `the focus on #${id}`, (id) =>
  document.activeElement.id === id, id);

async function enter(page, token) {
  await page.fill("#token", token);
  await page.press("#token", "Enter");
}

await sample("a token opens it", async (tab, server) => {
  const page = await tab();
  assert.equal(await page.textContent("#state"), "Ready");
  await enter(page, await token_of(page, server, "anna"));
  await says(page, "log", "Hello, anna");
  assert.equal(await page.textContent("#state"), "Open");
  await page.fill("#text", "<i>hello</i>");
  await page.press("#text", "Enter");
  await until(page, "the echo", () =>
    document.querySelectorAll("#log .message").length === 3);
  assert.deepEqual(await page.$$eval("#log .message", (all) =>
    all.map((e) => [e.className, e.textContent])), [
    ["message", "Hello, anna"], ["message own", "<i>hello</i>"],
    ["message", "<i>hello</i>"]]);
  await page.click("#close");
  await says(page, "log", "Closed: 1000");
  await enter(page, await token_of(page, server, "ben"));
  await says(page, "log", "Hello, ben");
  await end(server);
  await says(page, "log", "Closed: 1001");
  assert.equal(await page.textContent("#state"), "Closed");
  assert.deepEqual(page.wrong, []);
});

for (const [where, options] of [["", {}], [" on a phone", PHONE]]) {
  await sample(`what is wrong with a token stands at its field${where}`,
    async (tab, server) => {
      const page = await tab("", options);
      const wrong = async (text) => {
        await says(page, "wrong", text);
        await focus(page, "token");
        assert.equal(await page.getAttribute("#token", "aria-invalid"), "true");
        assert.equal(await page.textContent("#state"), "Ready");
      };
      await enter(page, "wrong");
      await wrong("Nobody has this token.");
      await legible(page);
      const [at, field] = await page.evaluate(() => ["wrong", "token"].map(
        (id) => document.getElementById(id).getBoundingClientRect()));
      assert.ok(at.top >= field.bottom && at.top - field.bottom < 16);
      assert.equal(await page.getAttribute("#token", "aria-describedby"),
        "wrong hint");
      await page.keyboard.type("x");
      assert.equal(await page.textContent("#wrong"), "");
      assert.equal(await page.getAttribute("#token", "aria-invalid"), "false");
      assert.match(page.wrong.splice(0).join(), /^console: .*401[^,]*$/);

      await enter(page, "");
      await wrong("A token, please.");
      await enter(page, "Grüße");
      await wrong("Nobody has this token.");
      assert.deepEqual(page.wrong, []);
      await end(server);
      await enter(page, "anything");
      await wrong("The server does not answer.");
    });
}

await sample("by keyboard alone", async (tab, server) => {
  const page = await tab(), press = (key) => page.keyboard.press(key);
  await focus(page, "token");
  await page.keyboard.type(await token_of(page, server, "ben"));
  await press("Enter");
  await focus(page, "text");
  await page.keyboard.type("hello");
  await press("Tab");
  await press("Space");
  await says(page, "log", "hello");
  assert.equal(await page.getByRole("log").count(), 1);
  await becomes(() => tabStops(page), ["close", "log", "text", "send"]);
  await page.focus("#close");
  await press("Enter");
  await focus(page, "token");
  await becomes(() => tabStops(page), ["token", "connect", "log"]);
  assert.deepEqual(page.wrong, []);
});

await screenshots("auth", "auth", async (tab, server) => {
  const page = await tab();
  await enter(page, await token_of(page, server, "anna"));
  await says(page, "log", "Hello, anna");
  for (const text of ["Good morning", "A long message ".repeat(12)]) {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
  }
  await until(page, "the echoes", () =>
    document.querySelectorAll("#log .message").length === 5);
  return page;
});

await screenshots("auth", "auth-wrong", async (tab) => {
  const page = await tab();
  await enter(page, "wrong");
  await says(page, "wrong", "Nobody has this token.");
  page.wrong.length = 0;   // Chromium tells of the 401
  return page;
});

await finish();
