/* The chat. The room stands behind the #. What one types is kept until it has
   been seen in the room: over losses, and however fast it is typed. */
const $ = (id) => document.getElementById(id);
const base = location.origin.replace(/^http/, "ws");
const people = new Set();     // who is in our room, us included
const outbox = [];            // { room, text, row, sent }, the oldest first
const BURST = 8, RATE = 1.8;  // a little less than the server allows
let room, name = "";          // where, and as whom we want to be in
let socket, wait = 500, again, pumping;
let inside = false, returning = false;
const seen = new Set();   // lines, the last 200
let allowance = BURST, counted = 0;

/* ---- what is shown ---- */

function make(tag, className, text = "") {
  return Object.assign(document.createElement(tag),
    { className, textContent: text });
}

/* Names and messages are text, never markup: textContent keeps them so. */
function coloured(element, who) {
  let hash = 0x811c9dc5;   // FNV-1a
  for (const c of who.toLowerCase()) {
    hash = Math.imul(hash ^ c.codePointAt(), 0x01000193);
  }
  element.style.setProperty("--hue", (hash >>> 8) % 360);
  return element;
}

function show(state, text) {
  document.body.dataset.state = state;
  if ($("state").textContent !== text) $("state").textContent = text;
}

function showRoom() {
  const wanted = $("room").value || "lobby";
  document.title = `#${room} – WebSocket Chat`;
  $("title").textContent = `#${room}`;
  $("wanted").textContent = `#${wanted}`;
  $("join").textContent = `Join #${wanted}`;
  $("text").placeholder = `Message #${room}`;
}

function showView(view) {
  if (document.body.dataset.view === view) return;
  document.body.dataset.view = view;
  $("entrance").hidden = view !== "entrance";
  $("chat").hidden = view !== "chat";
  $(view === "chat" ? "text" : "name").focus();
}

function showPeople() {
  const names = [...people].sort((a, b) => a.localeCompare(b));
  $("people").replaceChildren(...names.map((who) =>
    coloured(make("li", "", who === name ? `${who} (you)` : who), who)));
  for (const count of document.querySelectorAll(".count")) {
    count.textContent = `${people.size} here`;
  }
}

function showRooms(pairs) {
  for (const list of document.querySelectorAll(".rooms")) {
    list.replaceChildren(...pairs.map(([title, count]) => {
      const item = make("li", ""), link = make("a", "", `#${title}`);
      link.href = `#${title}`;
      if (title === room) link.setAttribute("aria-current", "page");
      link.append(make("span", "number", count),
        make("span", "spoken", count === "1" ? " person" : " people"));
      item.append(link);
      return item;
    }));
  }
  $("busy").hidden = pairs.length === 0;
}

/* ---- the log ---- */

let unread = 0, following = true;

function toEnd() {
  $("scroll").scrollTop = $("scroll").scrollHeight;
  following = true;
}

/* The end stays in sight, unless somebody reads further up. */
function follow(change) {
  change();
  if (following) toEnd();
  showLatest();
}

function showLatest() {
  if (following) unread = 0;
  $("latest").hidden = following;
  $("latest").textContent = `\u2193 ${unread ? `${unread} new` : "Latest"}`;
}

function append(...rows) {
  unread += 1;
  follow(() => {
    $("log").append(...rows);
    while ($("log").children.length > 600) $("log").firstChild.remove();
  });
}

/* Messages of one person that follow each other have one head. */
let last = {};
function writeMessage(id, who, text) {
  const own = who === name, rows = [];
  const row = make("p", own ? "message own" : "message", text);
  row.prepend(make("span", "spoken", own ? "You: " : `${who}: `));
  if (last.who !== who || id - last.id > 180000) {
    const head = make("p", own ? "by own" : "by"), time = make("time", "");
    const date = new Date(id);
    time.dateTime = date.toISOString();
    time.title = date.toLocaleString();
    time.textContent = date.toLocaleTimeString([],
      { hour: "2-digit", minute: "2-digit" });
    if (!own) head.append(coloured(make("b", "", who), who));
    head.append(time);
    head.ariaHidden = true;
    rows.push(head);
  }
  last = { who, id };
  append(...rows, row);
}

function writeEvent(text) {
  last = {};
  append(make("p", "event", text));
}

function clear() {
  seen.clear();
  unread = 0;
  following = true;
  last = {};
  $("log").replaceChildren();
}

/* ---- what is sent ---- */

function showWaiting() {
  const ours = outbox.filter((item) => item.room === room);
  const waiting = ours.filter((item) => !item.sent).length;
  for (const { row, sent } of ours) row.classList.toggle("pending", !sent);
  $("waiting").textContent = waiting === 0 ? ""
    : `${waiting} ${waiting === 1 ? "message waits" : "messages wait"}: `
      + (inside ? "the room takes two a second" : "for the connection");
  follow(() => $("pending").replaceChildren(...ours.map(({ row }) => row)));
}

/* Sends what waits: a burst, then less than two a second, and never many
   before the first of them has come back. */
function pump() {
  clearTimeout(pumping);
  const now = performance.now();
  allowance = Math.min(BURST, allowance + (now - counted) / 1000 * RATE);
  counted = now;
  const ours = outbox.filter((item) => item.room === room);
  let flying = ours.filter((item) => item.sent).length;
  for (const item of inside ? ours.filter((item) => !item.sent) : []) {
    if (allowance < 1 || flying >= BURST) {
      pumping = setTimeout(pump, 100);
      break;
    }
    socket.send(`say ${item.text}`);
    item.sent = true;
    allowance -= 1;
    flying += 1;
  }
  showWaiting();
}

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.toWellFormed().replace(/[\0-\x1f\x7f]/g, " ")
    .trim();
  $("text").value = "";
  if (!text) return;
  toEnd();
  outbox.push({ room, text, row: make("p", "message own", text) });
  pump();
});

/* ---- what the server says ---- */

const heard = {
  rooms(rest) {
    showRooms(Array.from(rest.matchAll(/(\S+) (\d+)/g), ([, a, b]) => [a, b]));
  },
  said(rest) {
    const [, id, who, text] = rest.match(/^(\d+) (\S+) (.*)$/s);
    if (seen.has(rest)) return;   // told again after a loss
    seen.add(rest);
    if (seen.size > 200) seen.delete(seen.values().next().value);
    const at = who !== name ? -1 : outbox.findIndex((item) =>
      item.room === room && item.sent && item.text === text);
    if (at >= 0) outbox.splice(at, 1);
    writeMessage(Number(id), who, text);
    if (at >= 0) pump();
  },
  here(names) {
    inside = returning = true;
    for (const who of names.split(" ")) people.add(who);
    /* What has not come back by now never will. */
    for (const item of outbox) item.sent = false;
    show("open", "Connected");
    showPeople();
    showView("chat");
    pump();
  },
  joined(who) {
    people.add(who);
    showPeople();
    writeEvent(`${who} joined`);
  },
  left(who) {
    people.delete(who);
    showPeople();
    writeEvent(`${who} left`);
  },
  sorry(why) {
    if (inside) return writeEvent(why);
    if (returning) {   // most likely to ourselves: the lost connection's
      show("connecting", "Your name is not free yet");
      again = setTimeout(() => socket.send(`name ${name}`), 4000);
      return;
    }
    name = "";
    complain(`${why[0].toUpperCase()}${why.slice(1)}.`);
  },
};

function connect() {
  clearTimeout(again);
  clearTimeout(pumping);
  if (socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
  inside = false;
  people.clear();
  show("connecting", "Connecting");
  socket = new WebSocket(`${base}/chat/${room}`);
  socket.onopen = () => {
    wait = 500;
    show("open", "Connected");
    if (name) socket.send(`name ${name}`);
  };
  socket.onmessage = ({ data }) => {
    const [verb] = data.split(" ", 1);
    heard[verb](data.slice(verb.length + 1));
  };
  /* Half of a wait is chance: not everybody comes back at the same moment. */
  socket.onclose = () => {
    const pause = wait * (0.5 + Math.random() / 2);
    inside = false;
    wait = Math.min(wait * 2, 15000);
    show("closed", "Disconnected");
    showWaiting();
    clearTimeout(again);
    again = setTimeout(connect, pause);
  };
}

/* ---- coming and going ---- */

function complain(why) {
  $("wrong").textContent = why;
  $("name").setAttribute("aria-invalid", why !== "");
  if (why) $("name").focus();
}

function goTo(wanted) {
  room = wanted;
  returning = false;
  $("room").value = room;
  showRoom();
  clear();
  $("more").setAttribute("aria-expanded", "false");
  connect();
}

const inAddress = () =>
  location.hash.replace(/[^\w-]/g, "").slice(0, 32) || "lobby";
addEventListener("hashchange", () => {
  if (inAddress() !== room) goTo(inAddress());
});

$("room").addEventListener("input", () => {
  $("room").value = $("room").value.replace(/[^\w-]/g, "");
  showRoom();
});
$("name").addEventListener("input", () => complain(""));

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  name = $("name").value.trim();
  if (!name) return complain("A name, please.");
  complain("");
  const wanted = $("room").value || "lobby";
  if (wanted !== room) {
    history.pushState(null, "", `#${wanted}`);
    goTo(wanted);
  } else if (socket.readyState === WebSocket.OPEN) {
    socket.send(`name ${name}`);
  }
});

$("leave").addEventListener("click", () => {
  name = "";
  returning = false;
  clear();
  showView("entrance");
  connect();
});

/* On a phone: who is here, and where else one could be. */
$("more").addEventListener("click", () => {
  const open = $("more").getAttribute("aria-expanded") === "true";
  $("more").setAttribute("aria-expanded", String(!open));
});

$("scroll").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  following = scrollHeight - scrollTop - clientHeight < 24;
  showLatest();
}, { passive: true });
/* As when the keyboard of a phone comes up. */
new ResizeObserver(() => follow(() => {})).observe($("scroll"));
$("latest").addEventListener("click", () => {
  toEnd();
  showLatest();
  $("text").focus();
});

goTo(inAddress());
