/* The dashboard: lines of "name=number" become rates and charts. */
import { Chart } from "/chart.js";

const base = location.origin.replace(/^http/, "ws");
const $ = (id) => document.getElementById(id);

/* ---- how values are written ---- */

/* As many digits as the axis up to `top` needs, with its unit behind. */
function number(value, top, unit = "") {
  const digits = top >= 10 ? 0 : top >= 1 ? 1 : 2;
  const text = value.toLocaleString("en", { maximumFractionDigits: digits });
  return unit ? `${text} ${unit}` : text;
}
const whole = (value) => Math.round(value).toLocaleString("en");
const unit = (name) => (value, top) => number(value, top, name);
function bytes(end = "") {
  return (value, top) => {
    const power = top >= 1e9 ? 3 : top >= 1e6 ? 2 : top >= 1e3 ? 1 : 0;
    const scale = 1e3 ** power, name = ["B", "kB", "MB", "GB"][power];
    return number(value / scale, top / scale, name + end);
  };
}

/* ---- the charts ---- */

/* How to write a value, how long an axis is at least, and how to get the lines
   out of what the server says now and what grew in a second. */
const charts = [
  ["Connections", whole, 4, { open: (now) => now.open }],
  ["Messages per second", whole, 4, {
    in: (_, grown) => grown.messages_in,
    out: (_, grown) => grown.messages_out }],
  ["Bytes per second", bytes("/s"), 1e3, {
    in: (_, grown) => grown.bytes_in,
    out: (_, grown) => grown.bytes_out }],
  ["Time the loop is busy", unit("%"), 1, {
    busy: (_, grown) => 100 * grown.busy_seconds }],
  ["How late timers are", unit("ms"), 1, {
    late: (now) => 1000 * now.lag_seconds }],
  ["Memory", bytes(), 1e5, {
    evws: (now) => now.memory,
    Lua: (now) => now.lua_memory,
    queued: (now) => now.queued_bytes }],
].map(([title, format, least, lines]) => {
  const names = Object.keys(lines);
  const part = $("chart").content.cloneNode(true);
  const svg = part.querySelector("svg");
  part.querySelector("h2").textContent = title;
  svg.setAttribute("aria-label", title);
  const outputs = names.map((name, n) => {
    const row = document.createElement("div");
    const [term, value] = ["dt", "dd"].map((tag) =>
      document.createElement(tag));
    row.className = ["first", "second", "third"][n];
    term.textContent = name;
    value.textContent = "–";
    row.append(term, value);
    part.querySelector("dl").append(row);
    return value;
  });
  $("charts").append(part);
  const chart = new Chart(svg, { names, format, least });
  chart.onread = (values) => values.forEach((value, n) => {
    outputs[n].textContent = value;
  });
  return { chart, values: Object.values(lines) };
});

/* One crosshair for all: what happened at that moment elsewhere? */
$("charts").addEventListener("cursor", ({ detail }) => {
  for (const { chart } of charts) chart.cursor = detail;
});

/* ---- the server ---- */

let last, wait = 500;

function take(line) {
  const now = Object.fromEntries(line.split(" ").map((field) => {
    const [name, value] = field.split("=");
    return [name, Number(value)];
  }));
  const grown = {};
  for (const name in now) {
    grown[name] = (now[name] - last?.[name]) / (now.now - last?.now);
  }
  for (const { chart, values } of last ? charts : []) {
    chart.add(now.now, values.map((value) => value(now, grown)));
  }
  last = now;
}

function show(state, text) {
  document.body.dataset.state = state;
  $("state").textContent = text;
}

function connect() {
  const socket = new WebSocket(`${base}/stats`);
  /* What comes first is the last minute: perhaps another server's. */
  socket.onopen = () => {
    wait = 500;
    last = undefined;
    for (const { chart } of charts) chart.points = [];
    show("open", "Live");
  };
  socket.onmessage = ({ data }) => {
    for (const line of data.split("\n")) take(line);
  };
  socket.onclose = () => {   // half of the wait is chance
    show("closed", "Disconnected");
    setTimeout(connect, wait * (0.5 + Math.random() / 2));
    wait = Math.min(wait * 2, 15000);
  };
}

/* ---- load ---- */

let workers = [];

$("load").addEventListener("click", () => {
  const start = workers.length === 0;
  $("load").textContent = start ? "Stop the load" : "Make load";
  $("load").className = start ? "end" : "main";
  for (const socket of workers) socket.close();
  workers = Array.from({ length: start ? 20 : 0 }, () => {
    const socket = new WebSocket(`${base}/echo`);
    socket.onopen = () => socket.send("x".repeat(200));
    socket.onmessage = ({ data }) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(data);
    };
    return socket;
  });
});

connect();
