/* The rooms sample: a room, who is in it, and what was said meanwhile. */
const { Centrifuge } = window;
const $ = (id) => document.getElementById(id);
const name = decodeURIComponent(location.hash.slice(1)) || "lobby";
const AWAY = 10;   // seconds that the connection is cut for
let client, room, me, since, back, recovered;
const people = new Map();   // name by the client's id

function show(state, text) {
  const open = state === "open";
  document.body.dataset.state = state;
  $("state").textContent = text;
  $("text").disabled = $("send").disabled = !open;
}

function write(text, className, who, before) {
  $("log").querySelector(".empty")?.remove();
  const row = Object.assign(document.createElement("p"),
    { className });
  if (who) {
    row.append(Object.assign(document.createElement("span"),
      { textContent: who, className: "who" }));
  }
  row.append(text);
  if (before) before.before(row);
  else $("log").append(row);
  $("log").scrollTop = $("log").scrollHeight;
}

function say({ data, info }, before) {
  const own = info?.user === me;
  const missed = recovered === undefined ? "" : " missed";
  write(data.text, `message${own ? " own" : ""}${missed}`,
    own ? "" : info?.user, before);
}

function complain(why) {
  $("wrong").textContent = why;
  $("name").setAttribute("aria-invalid", why !== "");
}

/* ---- who is here ---- */

function list() {
  const names = [...new Set(people.values())].sort();
  $("people").replaceChildren(...names.map((who) =>
    Object.assign(document.createElement("li"),
      { textContent: who === me ? `${who} (you)` : who })));
}

async function look() {
  try {
    const { clients } = await room.presence();
    people.clear();
    for (const [id, { user }] of Object.entries(clients)) people.set(id, user);
    list();
  } catch { /* the connection is gone: again when it is back */ }
}

/* ---- coming and coming back ---- */

// What was said before, above all that has come since.
async function load(position) {
  const first = $("log").querySelector("p:not(.empty)");
  try {
    const { publications } = await room.history({ limit: 50, reverse: true });
    for (const one of publications.reverse()) {
      if (one.offset <= position) say(one, first);
    }
  } catch { /* the same */ }
}

function entered(context) {
  show("open", "Open");
  $("entrance").hidden = true;
  $("network").hidden = $("side").hidden = false;
  $("cut").disabled = false;
  $("cut").textContent = `Cut for ${AWAY} s`;
  look();
  if (!context.wasRecovering) {
    load(context.streamPosition.offset);
    write(`You are in #${name}`, "event");
    $("text").focus();
    return;
  }
  const away = Math.round((Date.now() - since) / 1000);
  since = undefined;
  if (!context.recovered) {
    $("log").replaceChildren();
    load(context.streamPosition.offset);
    write(`You were away for ${away} s, too long for what was said`, "event");
    return;
  }
  recovered = 0;   // they come at once, before anything else
  setTimeout(() => {
    const text = `You were away for ${away} s: `
      + `${recovered} message${recovered === 1 ? "" : "s"} recovered`;
    recovered = undefined;
    write(text, "event");
    $("missed").textContent = text;
  });
}

function heard(context) {
  if (recovered !== undefined) recovered += 1;
  say(context);
}

function lost(text) {
  since ??= Date.now();
  show("connecting", text);
}

function build() {
  const url = new URL("/connection/websocket", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  client = new Centrifuge(url.href, { data: { name: me } });
  client.on("connecting", ({ code }) => {
    if (code !== 0 || since) lost("Coming back");
    else show("connecting", "Connecting");
  });
  client.on("disconnected", ({ code, reason }) => {
    if (code === 0) return lost("Cut");
    show("closed", "Disconnected");
    client = undefined;
    complain(reason);
  });
  room = client.newSubscription(`room:${name}`, { joinLeave: true });
  room.on("subscribed", entered);
  room.on("publication", heard);
  room.on("join", ({ info }) => {
    people.set(info.client, info.user);
    list();
  });
  room.on("leave", ({ info }) => {
    people.delete(info.client);
    list();
  });
  room.subscribe();
  client.connect();
}

/* ---- the page ---- */

$("room").textContent = `#${name}`;
$("name").addEventListener("input", () => complain(""));
$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  if (client) return;
  me = $("name").value.trim();
  complain("");
  build();
});

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (text === "") return;
  $("text").value = "";
  try {
    await room.publish({ text });
  } catch (error) {
    write(`Not sent: ${error.message}`, "event");
  }
});

$("cut").addEventListener("click", () => {
  if (client.state === "disconnected") return client.connect();
  client.disconnect();
  $("cut").textContent = "Come back now";
  clearTimeout(back);
  back = setTimeout(() => client.connect(), AWAY * 1000);
});
