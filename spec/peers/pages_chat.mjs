// Chromium and the page of the chat (examples/chat.lua, examples/chat/).
import { assert, becomes, end, fits, finish, legible, PHONE, says,
  screenshots, serve, tabStops, until, withSample } from "./pages.mjs";

const sample = (...rest) => withSample("chat", ...rest);

async function enter(page, name) {
  await page.fill("#name", name);
  await page.press("#name", "Enter");
  await says(page, "people", `${name} (you)`);
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

const heard = (page, text) => says(page, "log", text);
// What was said, without who says it for those who only listen.
const shown = (page) => page.$$eval("#log .message", (all) => all.map((row) =>
  [...row.childNodes].slice(1).map((node) => node.textContent).join("")));
const people = (page) => page.$$eval("#people li", (all) =>
  all.map((e) => e.textContent).join(", "));
const rooms = (page) => page.$$eval("#busy a", (all) =>
  all.map((a) => a.textContent).join(", "));

await sample("the entrance: a name, a room, and who is where", async (tab) => {
  const anna = await tab();
  assert.equal(await anna.textContent("#enter h2"),
    "Pick a name to join #lobby");
  assert.equal(await anna.isVisible("#chat"), false);
  assert.equal(await anna.isVisible("#busy"), false);
  await anna.fill("#room", "my lua!");   // what no room is called is left out
  assert.equal(await anna.textContent("#enter h2"),
    "Pick a name to join #mylua");
  assert.equal(await anna.textContent("#join"), "Join #mylua");
  await enter(anna, "anna");
  assert.equal(new URL(anna.url()).hash, "#mylua");
  assert.equal(await anna.textContent("#title"), "#mylua");

  const ben = await tab("#mylua");
  await until(ben, "the list", () => document.querySelector("#busy a"));
  await becomes(() => rooms(ben), "#mylua1 person");
  await enter(ben, "ben");
  const carl = await tab();
  await until(carl, "both", () => document.querySelector("#busy a")
    ?.textContent === "#mylua2 people");
  await carl.click("#busy a");
  await until(carl, "the room", () => document.querySelector("#join")
    .textContent === "Join #mylua");
  await enter(carl, "carl");
  await becomes(() => people(carl), "anna, ben, carl (you)");
  await carl.click("#leave");
  await carl.waitForSelector("#entrance:not([hidden])");
  await says(anna, "log", "carl left");
  for (const page of [anna, ben, carl]) assert.deepEqual(page.wrong, []);
});

await sample("two tabs in a room, one in another", async (tab) => {
  const anna = await tab("#one"), ben = await tab("#one");
  const carl = await tab("#two");
  await enter(anna, "anna");
  await enter(carl, "carl");
  await enter(ben, "ben");
  await heard(anna, "ben joined");
  const texts = ["Grüße, 世界 🎉", "<b onclick=alert(1)>not bold</b>",
    "a\u2028b"];
  for (const text of texts) await say(anna, text);
  for (const page of [anna, ben]) {
    await heard(page, texts.at(-1));
    await becomes(() => shown(page), texts);
    assert.equal(await page.locator("#log p b, #log [onclick]").count(),
      page === ben ? 1 : 0);
  }
  await say(carl, "alone");
  await heard(carl, "alone");
  await becomes(() => shown(carl), ["alone"]);
  await ben.close();
  await heard(anna, "ben left");
  await becomes(() => people(anna), "anna (you)");
  for (const page of [anna, carl]) assert.deepEqual(page.wrong, []);
});

await sample("one's own stand apart, others have a name and its hue",
  async (tab) => {
    const anna = await tab(), ben = await tab();
    await enter(anna, "anna");
    await enter(ben, "ben");
    await say(anna, "mine");
    await heard(ben, "mine");
    await say(ben, "yours");
    await heard(anna, "yours");
    const [mine, yours] = await anna.$$eval("#log .message", (all) =>
      all.map((row) => [row.className, row.getBoundingClientRect().left,
        row.parentElement.getBoundingClientRect().left]));
    assert.equal(mine[0], "message own");
    assert.equal(yours[0], "message");
    assert.ok(yours[1] - yours[2] < 1 && mine[1] - mine[2] > 100);
    assert.equal(await anna.textContent("#log .by b"), "ben");
    await until(anna, "both", () =>   // who comes is told a little later
      document.querySelectorAll("#people li").length === 2);
    const hues = await anna.$$eval("#people li", (all) =>
      all.map((e) => e.style.getPropertyValue("--hue")));
    assert.equal(new Set(hues).size, 2);
    for (let hue = 0; hue < 360; hue += 15) {
      await anna.$eval("#log .by b", (b, hue) =>
        b.style.setProperty("--hue", hue), hue);
      await legible(anna);
    }
  });

await sample("history for who comes late, names are unique", async (tab) => {
  const anna = await tab();
  await enter(anna, "anna");
  for (const text of ["one", "two"]) await say(anna, text);
  await heard(anna, "two");
  const late = await tab();
  await late.fill("#name", "Anna");
  await late.press("#name", "Enter");
  await says(late, "wrong", "Somebody here has this name already.");
  assert.equal(await late.getAttribute("#name", "aria-invalid"), "true");
  assert.equal(await late.evaluate(() => document.activeElement.id), "name");
  await legible(late);
  await becomes(() => shown(late), []);
  await late.fill("#name", "");
  await late.press("#name", "Enter");
  await says(late, "wrong", "A name, please.");
  await enter(late, "late");
  await heard(late, "two");
  await becomes(() => shown(late), ["one", "two"]);
  assert.deepEqual([...anna.wrong, ...late.wrong], []);
});

await sample("typing too fast: what is too much waits, nothing is lost",
  async (tab) => {
    const anna = await tab(), ben = await tab();
    await enter(anna, "anna");
    await enter(ben, "ben");
    const texts = Array.from({ length: 14 }, (_, i) => `message ${i}`);
    // in one go, in which nothing can come back
    const [waiting, pending] = await anna.evaluate((texts) => {
      const input = document.getElementById("text");
      for (const text of texts) {
        input.value = text;
        input.form.requestSubmit();
      }
      return [document.getElementById("waiting").textContent,
        document.querySelectorAll(".pending").length];
    }, texts);
    assert.match(waiting, /^\d messages wait: the room takes two a second$/);
    assert.ok(pending > 0);
    assert.equal(await anna.isVisible("#latest"), false);
    await until(anna, "the end in sight", () => {
      const { scrollHeight, scrollTop, clientHeight } =
        document.getElementById("scroll");
      return scrollHeight - scrollTop - clientHeight < 2;
    });
    await heard(ben, texts.at(-1));
    await becomes(() => shown(ben), texts);
    await until(anna, "the end of the wait", () =>
      document.querySelector("#pending").children.length === 0);
    await becomes(() => shown(anna), texts);
    assert.equal(await anna.textContent("#waiting"), "");
    assert.deepEqual([...anna.wrong, ...ben.wrong], []);
  }, 60);

await sample("a restart: all come back, nothing is lost or shown twice",
  async (tab, server) => {
    const anna = await tab(), ben = await tab();
    await enter(anna, "anna");
    await enter(ben, "ben");
    await say(anna, "before");
    await heard(ben, "before");
    await end(server);
    await says(anna, "state", "Disconnected");
    await say(anna, "meanwhile");
    assert.equal(await anna.textContent("#waiting"),
      "1 message waits: for the connection");
    Object.assign(server, await serve("chat", server.port));
    await heard(ben, "meanwhile");
    for (const page of [anna, ben]) {
      await until(page, "both", () =>
        document.querySelectorAll("#people li").length === 2);
    }
    await say(ben, "after");
    for (const page of [anna, ben]) {
      await heard(page, "after");
      await becomes(() => shown(page), ["before", "meanwhile", "after"]);
    }
  }, 90);

await sample("follows the end, unless it is being read", async (tab) => {
  const anna = await tab("", PHONE), ben = await tab();
  await enter(anna, "anna");
  await enter(ben, "ben");
  for (let i = 0; i < 8; i++) await say(ben, "long ".repeat(60) + i);
  await heard(anna, "long 7");
  const left = () => anna.$eval("#scroll", (e) =>
    e.scrollHeight - e.scrollTop - e.clientHeight);
  assert.ok(await left() < 2, "it does not follow");
  await anna.$eval("#scroll", (e) => { e.scrollTop = 0; });
  await anna.waitForSelector("#latest", { state: "visible" });
  await say(ben, "news");
  await says(anna, "latest", "1 new");
  assert.equal(await anna.$eval("#scroll", (e) => e.scrollTop), 0);
  await anna.click("#latest");
  await anna.waitForSelector("#latest", { state: "hidden" });
  assert.ok(await left() < 2, "it does not go to the end");
});

await sample("by keyboard alone, with labels, a status and a log",
  async (tab) => {
    const page = await tab(), other = await tab("#else");
    await enter(other, "other");
    const press = (key) => page.keyboard.press(key);
    await becomes(() => page.getByRole("status").first().textContent(),
      "Connected");
    await until(page, "the focus", () => document.activeElement.id === "name");
    await page.keyboard.type("anna");
    await press("Tab");
    assert.equal(await page.getByLabel("Room", { exact: true }).inputValue(),
      "lobby");
    await press("Enter");
    await until(page, "the focus", () => document.activeElement.id === "text");
    await page.getByLabel("Message", { exact: true }).waitFor();
    assert.equal(await page.getByRole("log").count(), 1);
    await page.keyboard.type("hello");
    await press("Tab");
    await press("Space");
    await heard(page, "hello");
    await becomes(() => tabStops(page),
      ["leave", "scroll", "text", "Send", "#else1 person",
        "#lobby1 person"]);
    await page.focus("#side nav li:first-child a");
    await press("Enter");
    await says(page, "title", "#else");
    await says(page, "people", "anna (you)");
    await becomes(() => people(page), "anna (you), other");
    await page.focus("#leave");
    await press("Enter");
    await until(page, "the focus", () => document.activeElement.id === "name");
    await becomes(() => tabStops(page),
      ["name", "room", "join", "#else1 person"]);
    assert.deepEqual(page.wrong, []);
  });

await sample("on a phone a button shows who is here", async (tab) => {
  const page = await tab("", PHONE);
  await enter(page, "anna");
  assert.equal(await page.isVisible("#people"), false);
  assert.equal(await page.textContent("#more"), "1 here");
  await page.tap("#more");
  assert.equal(await page.isVisible("#people"), true);
  assert.equal(await page.getAttribute("#more", "aria-expanded"), "true");
  await fits(page);
  await page.tap("#more");
  assert.equal(await page.isVisible("#people"), false);
});

await screenshots("chat", "chat-entrance", async (tab) => {
  const ben = await tab("#lua"), page = await tab();
  await enter(ben, "Ben");
  await until(page, "the list", () => document.querySelector("#busy a"));
  return page;
});

await screenshots("chat", "chat", async (tab) => {
  const anna = await tab(), ben = await tab(), carl = await tab();
  await enter(anna, "Anna");
  await enter(ben, "Ben");
  await say(anna, "Good morning!");
  await say(ben, "A long message " + "that wraps ".repeat(20));
  await enter(carl, "Carl");
  await say(ben, "w".repeat(200));
  await say(carl, "Grüße, κόσμε 🎉");
  for (let i = 0; i < 9; i++) await say(anna, `message ${i}`);
  await heard(anna, "Grüße");
  assert.equal(await anna.isVisible("#latest"), false);
  return anna;
});

await finish();
