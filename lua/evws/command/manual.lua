-- What the command evws takes, in one table: arguments.lua reads command lines
-- by it, `evws --help` prints it, and tools/command.lua makes the man page and
-- the completions of bash, zsh and fish of it (make docs).
--
-- An option: long, short, value (what stands for it in the help), about (for
-- the help and the completions: short), more (for the man page as well),
-- repeats, completes ("file", or a list of words).

local serve = require "evws.command.serve_manual"

local manual = {}

manual.name = "evws"
manual.summary = "WebSockets from a terminal or a pipe"
manual.usage = "[OPTION]... URL [MESSAGE]..."

manual.description = {
  "Sends each line of standard input as a message, and prints each message"
    .. " that comes as a line. With messages behind the URL those are sent,"
    .. " and standard input is not read.",
  "URL: ws://, wss:// (also as http://, https://) or ws+unix:/path; without a"
    .. " scheme, ws://.",
}

manual.serve = serve
manual.serve_hint = "evws serve SCRIPT runs a server's script in several"
  .. " processes; evws serve --help says more. (A host of that name is"
  .. " ws://serve.)"

manual.groups = {
  { title = "Connection", options = {
    { long = "header", short = "H", value = "'Name: value'", repeats = true,
      about = "a header field of the request; may be repeated" },
    { long = "subprotocol", short = "s", value = "NAME", repeats = true,
      about = "a sub-protocol to offer; may be repeated" },
    { long = "origin", short = "o", value = "ORIGIN",
      about = "the Origin field, as a page of it would send" },
    { long = "auth", value = "USER:PASSWORD",
      about = "log in (Authorization: Basic)",
      more = "Other users of the machine can see the command line." },
    { long = "proxy", value = "URL",
      about = "connect by way of an HTTP proxy, or env",
      more = "http://[USER:PASSWORD@]HOST[:PORT]; it is asked to CONNECT, and"
        .. " TLS is spoken with the server. https://: with the proxy as well."
        .. " \"env\": as http_proxy, https_proxy, all_proxy and no_proxy say.",
      completes = { "env", "http://", "https://" } },
    { long = "timeout", short = "t", value = "SECONDS",
      about = "how long connecting may take (30)" },
    { long = "reconnect", about = "connect again after a loss",
      more = "Also when the first attempt fails. The waits double, from one"
        .. " second to thirty. Lines that are read meanwhile wait; what was"
        .. " sent into a connection that is lost is not sent again. Codes and"
        .. " HTTP answers that would be the same again (1000, 1002, 1008, 401,"
        .. " 403 and others) end it." },
    { long = "compress", about = "offer compression (permessage-deflate)" },
    { long = "max-message", value = "BYTES",
      about = "the longest message to take (1M), or none",
      more = "With K, M or G behind the number it is so many KiB, MiB or GiB."
        .. " A longer message ends the connection with 1009.",
      completes = { "1M", "16M", "256M", "none" } },
  } },
  { title = "TLS (wss)", options = {
    { long = "insecure", short = "k",
      about = "do not verify the server's certificate" },
    { long = "ca", value = "FILE", completes = "file",
      about = "verify the certificate with those in FILE" },
    { long = "proxy-ca", value = "FILE", completes = "file",
      about = "the same for that of a proxy (https://)" },
    { long = "cert", value = "FILE", completes = "file",
      about = "a certificate of one's own, to show to the server" },
    { long = "key", value = "FILE", completes = "file",
      about = "the key of --cert, if it is not in the same file" },
  } },
  { title = "Messages", options = {
    { long = "binary", short = "b",
      about = "send lines as binary messages" },
    { long = "raw", about = "print messages byte for byte",
      more = "Nothing is escaped, marked or coloured. Text has a line end"
        .. " behind it, a binary message nothing: \"evws --raw URL >file\""
        .. " keeps what came. At a terminal that lets the peer drive it." },
    { long = "slash", about = "take /ping, /close in a pipe, too",
      more = "At a terminal they are taken anyway; see COMMANDS." },
    { long = "wait", short = "w", value = "SECONDS",
      about = "after the last line, go on until nothing has come for so long"
        .. " (1; 0 at a terminal; or forever)",
      completes = { "0", "1", "10", "forever" } },
    { long = "verbose", short = "v",
      about = "tell how it is connected, and of pings and pongs" },
  } },
  { title = "Round trips", options = {
    { long = "ping", short = "p",
      about = "measure round trips, and nothing else" },
    { long = "count", short = "c", value = "N", about = "how many pings (4)" },
    { long = "interval", short = "i", value = "SECONDS",
      about = "between two pings (1)" },
  } },
  { title = "Other", options = {
    { long = "help", short = "h", about = "this text" },
    { long = "version", short = "V", about = "the version" },
  } },
}

-- Of lines that begin with a slash, at a terminal or with --slash.
manual.commands = {
  { usage = "/ping [TEXT]", about = "send a ping; its pong tells the time" },
  { usage = "/close [CODE [REASON]]", about = "close, with 1000 or CODE" },
  { usage = "/help", about = "list these" },
  { usage = "//TEXT", about = "send /TEXT" },
}

manual.output = {
  "At a terminal, what was sent is marked with > and what came with <, in"
    .. " colours unless NO_COLOR is set. Further lines of a message are set in"
    .. " by two columns. Bytes that could control the terminal are printed as"
    .. " \\xNN, and binary messages as b\"...\".",
  "Into a pipe or a file text goes as it is, each message with a line end;"
    .. " binary messages are b\"...\" there as well, so that a message stays a"
    .. " line. --raw writes their bytes.",
  "What evws itself has to say goes to standard error.",
}

manual.input = {
  "A line that is being typed is not torn by what arrives. It is edited as in"
    .. " a shell: arrows, Home, End, Ctrl-A, -E, -K, -U, -W, and earlier lines"
    .. " by Up and Down. Several lines that are pasted are one message. Where"
    .. " TERM is dumb or not set, lines are read as from a pipe.",
  "The end of input (Ctrl-D) and Ctrl-C close with 1000.",
}

manual.statuses = {
  { 0, "closed well: with 1000, 1001, 1005, or as /close said" },
  { 1, "could not connect" },
  { 2, "the command line, or a line of the input, was wrong" },
  { 3, "closed with another code, or lost; no ping was answered" },
  { 4, "what came could not be written" },
}

manual.environment = {
  { "NO_COLOR", "set and not empty: no colours" },
  { "http_proxy", "with --proxy env: the proxy for ws; https_proxy: for wss;"
      .. " all_proxy: for both" },
  { "no_proxy", "hosts and ranges of addresses that are reached without it" },
  { "TERM", "\"dumb\", or not set: no colours, and no editing" },
}

manual.examples = {
  { "evws ws://localhost:5000/ws", "talk to a server" },
  { "evws wss://example.org/ws '{\"op\":\"hello\"}'",
    "send one message and print the answers of the next second" },
  { "tail -f log | evws -H 'Authorization: Bearer ...' wss://example.org/log",
    "send lines as they come" },
  { "evws --raw -w forever wss://example.org/feed </dev/null >feed",
    "keep what a feed sends" },
  { "evws --ping -c 10 wss://example.org/ws", "measure round trips" },
}

function manual.each(of)
  return coroutine.wrap(function()
    for _, group in ipairs((of or manual).groups) do
      for _, option in ipairs(group.options) do coroutine.yield(option) end
    end
  end)
end

-- Text in lines of at most `width` columns, the later ones set in.
local function wrap(text, width, indent)
  local lines, line = {}, nil
  for word in text:gmatch "%S+" do
    if line and #line + 1 + #word > width then
      lines[#lines + 1] = line
      line = word
    else
      line = line and line .. " " .. word or word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (" "):rep(indent))
end

local function row(left, about)
  return ("  %-26s  %s"):format(left, wrap(about, 49, 30))
end

local function name_of(option)
  return (option.short and "-" .. option.short .. ", " or "    ")
    .. "--" .. option.long .. (option.value and " " .. option.value or "")
end

local function heading(of)
  local out = { "usage: " .. of.name .. " " .. of.usage }
  local function put(...) out[#out + 1] = table.concat { ... } end
  for _, text in ipairs(of.description) do put("\n", wrap(text, 79, 0)) end
  for _, group in ipairs(of.groups) do
    put("\n", group.title, ":")
    for _, option in ipairs(group.options) do
      local name = name_of(option)
      if #name > 26 then
        put("  ", name)
        put(row("", option.about))
      else
        put(row(name, option.about))
      end
    end
  end
  return out, put
end

local function put_statuses(of, put)
  put "\nExit status:"
  for _, status in ipairs(of.statuses) do
    put(("  %d  %s"):format(status[1], status[2]))
  end
end

function manual.help()
  local out, put = heading(manual)
  put "\nCommands, at a terminal or with --slash:"
  for _, command in ipairs(manual.commands) do
    put(row(command.usage, command.about))
  end
  put_statuses(manual, put)
  put("\n", wrap(manual.serve_hint, 79, 0))
  return table.concat(out, "\n")
end

function manual.serve_help()
  local out, put = heading(serve)
  put "\nSignals:"
  for _, signal in ipairs(serve.signals) do put(row(signal[1], signal[2])) end
  put_statuses(serve, put)
  return table.concat(out, "\n")
end

return manual
