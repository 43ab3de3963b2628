/* The hub sample: calls, messages from others, and a stream. */
const { HubConnectionBuilder, LogLevel } = window.signalR;
const $ = (id) => document.getElementById(id);
const room = decodeURIComponent(location.hash.slice(1)) || "lobby";
let name, job, forget;

const hub = new HubConnectionBuilder().withUrl("/hub")
  .withAutomaticReconnect([0, 500, 1000, 2000, 5000, 10000])
  .configureLogging(LogLevel.None).build();

function show(state, text) {
  const open = state === "open";
  document.body.dataset.state = state;
  $("state").textContent = text;
  $("start").disabled = !open || job !== undefined;
  $("join").disabled = !open;
  $("text").disabled = $("send").disabled = !open || name === undefined;
}

function write(text, className) {
  $("log").querySelector(".empty")?.remove();
  $("log").append(Object.assign(document.createElement("p"),
    { textContent: text, className }));
  $("log").scrollTop = $("log").scrollHeight;
}

/* What the hub raised, without what it says around it. */
const reason = (error) => error.message.replace(/^.*HubException: /, "");

function complain(why) {
  $("wrong").textContent = why;
  $("name").setAttribute("aria-invalid", why !== "");
}

/* ---- the room ---- */

$("room").textContent = `#${room}`;
hub.on("Entered", (who) => write(`${who} has entered`, "event"));
hub.on("Left", (who) => write(`${who} has left`, "event"));
hub.on("Said", (who, text) => {
  $("typing").textContent = "";
  write(`${who}: ${text}`, "message");
});
hub.on("Typing", (who) => {
  clearTimeout(forget);
  $("typing").textContent = `${who} is typing`;
  forget = setTimeout(() => { $("typing").textContent = ""; }, 2000);
});

async function enter(wanted) {
  await hub.invoke("Enter", room, wanted);
  name = wanted;
  $("entrance").hidden = true;
  show("open", "Open");
  write(`You are in #${room}`, "event");
}

$("name").addEventListener("input", () => complain(""));
$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await enter($("name").value.trim());
    $("text").focus();
  } catch (error) {
    complain(reason(error));
    $("name").focus();
  }
});

let told = 0;
$("text").addEventListener("input", () => {   // once a second is enough
  if (Date.now() - told < 1000) return;
  told = Date.now();
  hub.send("Typing").catch(() => {});
});

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (text === "") return;
  $("text").value = "";
  try {
    await hub.invoke("Say", text);
    write(text, "message own");
  } catch (error) {
    write(`Not sent: ${reason(error)}`, "event");
  }
});

/* ---- the job ---- */

function end(text) {
  job = undefined;
  $("steps").textContent = text;
  $("cancel").disabled = true;
  $("start").disabled = document.body.dataset.state !== "open";
}

$("job").addEventListener("submit", (event) => {
  event.preventDefault();
  $("start").disabled = true;
  $("cancel").disabled = false;
  job = hub.stream("Work", 100).subscribe({
    next: ({ done, of }) => {
      $("progress").value = 100 * done / of;
      $("steps").textContent = `step ${done} of ${of}`;
    },
    complete: () => end("done"),
    error: () => end("broken off"),
  });
});

$("cancel").addEventListener("click", () => {
  job.dispose();
  end("cancelled");
  $("start").focus();
});

/* ---- the connection ---- */

hub.onreconnecting(() => show("connecting", "Coming back"));
hub.onreconnected(() => {   // as somebody new: groups are gone
  show("open", "Open");
  if (name !== undefined) enter(name).catch(() => {});
});
hub.onclose(() => show("closed", "Disconnected"));
try {
  await hub.start();
  show("open", "Open");
} catch {
  show("closed", "Disconnected");
}
