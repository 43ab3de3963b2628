/* The token sample: a page cannot set headers of a WebSocket's request. So it
   shows its token to fetch, and the ticket it gets for it, good once, as a
   sub-protocol. */
const $ = (id) => document.getElementById(id);
let socket;

function show(state, text) {
  const open = state === "open", busy = open || state === "connecting";
  document.body.dataset.state = state;
  $("state").textContent = text;
  $("token").disabled = $("connect").disabled = busy;
  $("close").disabled = $("text").disabled = $("send").disabled = !open;
}

/* What is wrong with the token stands at its field. */
function complain(why) {
  $("wrong").textContent = why;
  $("token").setAttribute("aria-invalid", why !== "");
}

function write(text, className) {
  $("log").querySelector(".empty")?.remove();
  $("log").append(Object.assign(document.createElement("p"),
    { textContent: text, className }));
  $("log").scrollTop = $("log").scrollHeight;
}

/* A ticket for the token; or nothing, and why stands at the field. */
async function exchange(token) {
  try {
    const answer = await fetch("/ticket", { method: "POST",
      headers: { Authorization: `Bearer ${token}` } });
    if (answer.ok) return await answer.text();
    complain(answer.status === 401 ? "Nobody has this token."
      : await answer.text());
  } catch {
    complain("The server does not answer.");
  }
}

function open(ticket) {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws",
    ["echo", `ticket.${ticket}`]);
  socket.onopen = () => {
    show("open", "Open");
    $("token").value = "";
    $("text").focus();
  };
  socket.onmessage = ({ data }) => write(data, "message");
  socket.onclose = ({ code, reason }) => {
    show("closed", "Closed");
    write(`Closed: ${code} ${reason}`.trim(), "event");
    $("token").focus();
  };
}

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  complain("");
  const token = $("token").value.trim();
  if (token === "") complain("A token, please.");
  /* What no header field can hold is nobody's token. */
  else if (/[^!-~]/.test(token)) complain("Nobody has this token.");
  else {
    show("connecting", "Connecting");
    const ticket = await exchange(token);
    if (ticket) return open(ticket);
  }
  show("ready", "Ready");
  $("token").focus();
  $("token").select();
});

$("token").addEventListener("input", () => complain(""));
$("close").addEventListener("click", () => socket.close(1000));

$("talk").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("text").value === "") return;
  socket.send($("text").value);
  write($("text").value, "message own");
  $("text").value = "";
});
