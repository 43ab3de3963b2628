/* The ticker: a chart for each name, for as long as it is followed. */
import { Chart, whenIs } from "/chart.js";

const url = `${location.origin.replace(/^http/, "ws")}/ticker`;
const $ = (id) => document.getElementById(id);
const cards = new Map();
let socket, wait = 500;

function follow(card) {
  card.part.dataset.follow = card.box.checked;
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send((card.box.checked ? "+" : "-") + card.name);
}

/* The price that is pointed at, and what it is to the first that is seen: an
   arrow and a sign besides the colour. */
function read(card, ago) {
  const { points, end, span } = card.chart;
  const seen = points.filter(({ at }) => at >= end - span);
  const at = seen.findLast((point) => point.at <= end - ago + 1e-6) ?? seen[0];
  const change = 100 * (at.values[0] / seen[0].values[0] - 1);
  const way = change >= 0.005 ? "up" : change <= -0.005 ? "down" : "level";
  const sign = { up: "▲ +", down: "▼ −", level: "" }[way];
  card.price.textContent = at.values[0].toFixed(2);
  card.change.className = `change number ${way}`;
  card.change.textContent = `${sign}${Math.abs(change).toFixed(2)} % `
    + `in ${Math.round(at.at - seen[0].at)} s`
    + (ago > 0 ? `, ${whenIs(ago)}` : "");
}

for (const name of ["ALFA", "BETA", "GAMMA"]) {
  const part = $("chart").content.cloneNode(true).firstElementChild;
  const find = (what) => part.querySelector(what);
  const card = { name, part, box: find("input"), price: find("output"),
    change: find(".change") };
  find("h2").textContent = name;
  find("input").setAttribute("aria-label", `Follow ${name}`);
  find("svg").setAttribute("aria-label", `Price of ${name}`);
  card.chart = new Chart(find("svg"), { names: ["price"], zero: false,
    least: 0.5, longest: 30, format: (price) => price.toFixed(2) });
  card.chart.onread = (_, ago) => read(card, ago);
  card.box.addEventListener("change", () => follow(card));
  $("charts").append(part);
  cards.set(name, card);
}

function show(state, text) {
  document.body.dataset.state = state;
  $("state").textContent = text;
}

function connect() {
  show("connecting", "Connecting");
  socket = new WebSocket(url);
  socket.onopen = () => {
    wait = 500;
    show("open", "Live");
    for (const card of cards.values()) if (card.box.checked) follow(card);
  };
  socket.onmessage = ({ data }) => {
    const [name, price] = data.split(" ");
    cards.get(name).chart.add(performance.now() / 1000, [Number(price)]);
  };
  socket.onclose = () => {   // half of the wait is chance
    show("closed", "Disconnected");
    setTimeout(connect, wait * (0.5 + Math.random() / 2));
    wait = Math.min(wait * 2, 15000);
  };
}
connect();
