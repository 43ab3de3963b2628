-- What `evws serve` takes, as manual.lua says it of the rest of the command.

local manual = {}

manual.name = "evws serve"
manual.summary = "a script in several processes, on the same ports"
manual.usage = "[OPTION]... SCRIPT [-- ARGUMENT]..."

manual.description = {
  "Runs SCRIPT in several processes that share what it listens on, starts again"
    .. " those that end, and replaces them without refusing anybody.",
}

manual.defaults = { grace = 30, linger = 0, close_code = 1012, ready = 30,
  hang = 60 }

manual.groups = {
  { title = "Workers", options = {
    { long = "workers", short = "w", value = "N",
      about = "processes (the cores that may be used)" },
    { long = "grace", value = "SECONDS",
      about = "what a worker may take to leave (30)",
      more = "Its clients are told at once, and have this long to answer." },
    { long = "linger", value = "SECONDS",
      about = "before that, connections stay as they are (0)" },
    { long = "close-code", value = "CODE",
      about = "what clients are told at a reload (1012)",
      completes = { "1001", "1012" } },
    { long = "ready", value = "SECONDS",
      about = "a new worker has to serve within (30)" },
    { long = "hang", value = "SECONDS",
      about = "a worker whose loop does not turn for so long is ended (60; 0:"
        .. " never)" },
    { long = "redis", value = "URL",
      about = "topics by way of this Redis, or spawn",
      more = "The default of the option backplane of ws.listen. \"spawn\""
        .. " starts a redis-server that only these workers can reach, and that"
        .. " ends with them.",
      completes = { "spawn", "redis://localhost" } },
    { long = "lua", value = "PATH", completes = "file",
      about = "the interpreter (the one that runs evws)" },
    { long = "pid", value = "FILE", completes = "file",
      about = "where to write this process's id",
      more = "It is locked while this process runs, so that a second one ends"
        .. " with status 1, and what a dead one has left is taken over." },
    { long = "help", short = "h", about = "this text" },
  } },
}

manual.signals = {
  { "HUP", "replace the workers one by one; where the script does not get ready"
      .. " the old ones stay" },
  { "TERM, INT", "end: clients are told 1001; again: at once" },
  { "TTIN, TTOU", "one worker more, or less" },
}

manual.statuses = {
  { 0, "ended as it was told to" },
  { 1, "the script did not get ready, or could not be started" },
  { 2, "the command line was wrong" },
}

manual.examples = {
  { "evws serve server.lua --workers 4", "four processes" },
  { "evws serve server.lua -w 4 --redis spawn -- 8080",
    "topics reach the clients of all four; the script gets 8080" },
}

return manual
