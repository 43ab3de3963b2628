/* The notes: an EventSource comes back by itself, and says what it has seen. */
const $ = (id) => document.getElementById(id);

function show(state, text) {
  document.body.dataset.state = state;
  $("state").textContent = text;
}

function write(text) {
  const log = $("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.querySelector(".empty")?.remove();
  log.append(Object.assign(document.createElement("p"),
    { textContent: text, className: "message" }));
  while (log.children.length > 50) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

const events = new EventSource("/events");
events.onopen = () => show("open", "Live");
events.onmessage = ({ data }) => write(data);
events.onerror = () => show("closed", "Disconnected");

/* What is wrong with a note stands at its field. */
function complain(why) {
  $("wrong").textContent = why;
  $("text").setAttribute("aria-invalid", why !== "");
}

$("text").addEventListener("input", () => complain(""));

$("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text === "") return complain("A note, please.");
  try {
    const answer = await fetch("/notes", { method: "POST", body: text });
    if (!answer.ok) return complain(await answer.text());
    $("text").value = "";
  } catch {
    complain("The server does not answer.");
  }
});
