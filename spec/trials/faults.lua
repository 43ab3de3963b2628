-- A session of everything, with its n-th allocation or call of the system, of
-- zlib or of OpenSSL failing, once and from then on, for every n; and with each
-- read and write cut to a few bytes.
--
--   make faults [FAULTS=n]    n: of each kind at most; default: all
--
-- What has to hold after each: no crash and no report of the sanitizers; one
-- on_close for each on_open, and none twice; a bystander, connected before,
-- gets each answer once and in order; nothing is held or open that was not
-- before; the server accepts and echoes.

local t = require "spec.helper"
local trial = require "spec.trials.kit"
local core = require "evws.core"
local faults = require "evws_probe".faults

local ws = t.ws
local most = tonumber(arg[1]) or math.huge
local large = ("large"):rep(30000)
local slow = ("slow to inflate "):rep(200000) -- in several turns
local patience = 0.15 * t.factor -- for what a fault has swallowed
local ends, opened, closed = {}, 0, 0

-- They are there already: a shell could not be started with what is preloaded.
local function file(name) return "build/certificates/" .. name end

assert(core.fail_at, "make faults builds with WS_FAULT")
assert(faults.is_on(), "evws_probe.so is not preloaded")

-- ---- the session ----

local function count_end(conn)
  ends[conn] = (ends[conn] or 0) + 1
end

local function options(more)
  local own = { close_timeout = patience,
    compression = { context_takeover = true, threshold = 5 },
    max_message = #slow, max_ratio = false, on_error = function() end,
    on_request = function(r)
      if r.path == "/body" then
        return 200, function(out) out:write "one" out:write "two" end
      end
      return 200, large
    end,
    on_open = function(conn)
      opened = opened + 1
      if conn.path ~= "/calm" then conn:subscribe "news" end
    end,
    on_message = function(conn, message, kind)
      if message == "publish" then
        conn.server:publish("news", "published", "text", { key = "k" })
      elseif message == "write" then
        local writer = conn:writer()
        writer:write "writ"
        conn:send("behind", "text", { ttl = 5, key = "k" })
        writer:write "ten"
        writer:finish()
      elseif #message == #slow then
        conn:send "inflated"
      else
        conn:send(message, kind)
      end
    end,
    on_close = function(conn)
      closed = closed + 1
      count_end(conn)
    end }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

local server = t.listen(options())
local secure = t.listen(options { tls = { certificate = file "localhost.pem",
  key = file "localhost.key" } })

local function expect(conn, wanted)
  local got = conn:receive(patience)
  if got ~= wanted then error("lost", 0) end
end

local function talk(url, more)
  local o = { timeout = 2 * patience, close_timeout = patience,
    max_ratio = false, on_close = count_end }
  for name, value in pairs(more or {}) do o[name] = value end
  local conn, why = ws.connect(url, o)
  if not conn then error(why, 0) end
  local ok, failure = pcall(function()
    for _, message in ipairs { "small", large, "" } do
      assert(conn:send(message))
      expect(conn, message)
    end
    assert(conn:send "publish")
    expect(conn, "published")
    assert(conn:send "write")
    expect(conn, "written")
    expect(conn, "behind")
    assert(conn:ping())
  end)
  conn:close()
  if not ok then error(failure, 0) end
end

local url = "ws://127.0.0.1:" .. server.port .. "/"
local scenes = {
  { "plain", function() talk(url) end },
  { "deflate", function()
    talk(url, { compression = { context_takeover = true, threshold = 5 } })
  end },
  { "inflate", function()
    local conn, why = ws.connect(url, { timeout = 2 * patience,
      close_timeout = patience, compression = { threshold = 5 },
      on_close = count_end })
    if not conn then error(why, 0) end
    local ok, failure = pcall(function()
      assert(conn:send(slow))
      expect(conn, "inflated")
    end)
    conn:close()
    if not ok then error(failure, 0) end
  end },
  { "tls", function()
    talk("wss://localhost:" .. secure.port .. "/",
      { tls = { ca = file "ca.pem" } })
  end },
  { "server", function()
    local own, why = ws.listen { host = "127.0.0.1", port = 0,
      subprotocols = { "a" }, origins = { "https://a.test" },
      routes = { ["/x/:y"] = { on_message = t.echo } } }
    if not own then error(why, 0) end
    local ok, failure = pcall(function()
      own:route("/late", {})
      talk("ws://127.0.0.1:" .. own.port .. "/x/1", {})
    end)
    own:close { timeout = patience }
    -- it echoes, and knows no "publish"
    if not ok and failure ~= "lost" then error(failure, 0) end
  end },
  { "reload", function()
    assert(secure:reload_tls())
    talk("wss://localhost:" .. secure.port .. "/",
      { tls = { ca = file "ca.pem" } })
  end },
  { "tasks", function()
    local queue, got = ws.queue(2), {}
    local task = assert(ws.spawn(function()
      for _ = 1, 5 do got[#got + 1] = queue:take(patience) end
    end))
    for i = 1, 5 do queue:put(i, patience) end
    assert(task:wait(patience))
    local timer = ws.every(0.001, function() end)
    ws.sleep(0.003)
    timer:cancel()
    assert(#got == 5)
  end },
}

-- ---- what has to hold ----

local calm = t.bystander(server, { path = "/calm" })
local base_open = opened - closed

local function check(what)
  t.wait(function()
    return server.connections == 1 and secure.connections == 0
  end, "the connections to end: " .. what)
  t.wait(function() return opened == closed + base_open end,
    "on_close: " .. what)
  for _, n in pairs(ends) do trial.hold(n == 1, what .. ": on_close twice") end
  ends = setmetatable({}, { __mode = "k" })
  calm:check()
  t.wait(function()
    collectgarbage()
    return t.probe.fd_count() <= trial.descriptors
  end, "descriptors to be closed: " .. what)
end

-- One run as a task; did nothing go wrong?
local function attempt(scene)
  local done, ok, failure
  local began = pcall(ws.spawn, function()
    ok, failure = pcall(scene)
    done = true
  end)
  if not began then return false end
  trial.hold(pcall(t.wait, function() return done end, "the scene", 3),
    "it hangs")
  return ok, failure
end

-- set(n): the n-th fails, 0: none. Until three runs in a row met no fault.
local function sweep(name, scene, set, has_hit)
  local n, clean, injected = 0, 0, 0
  while clean < 3 and n < most do
    n = n + 1
    set(n)
    local ok = attempt(scene)
    local has_met = not ok or has_hit and faults.hits() > 0
    set(0)
    clean = has_met and 0 or clean + 1
    if has_met then injected = injected + 1 end
    check(name .. " at " .. n)
  end
  return injected
end

local function all()
  for _, scene in ipairs(scenes) do -- pools and caches are as they stay
    local ok, failure = attempt(scene[2])
    trial.hold(ok, scene[1] .. " without a fault: " .. tostring(failure))
  end
  trial.settle()
  trial.descriptors = t.fd_count()
  check "no fault"
  local before = server:stats().memory
  for _, scene in ipairs(scenes) do
    local name, fn = scene[1], scene[2]
    for _, every in ipairs { false, true } do
      local how = every and ", and all later ones" or ""
      trial.row(("%s: allocations%s"):format(name, how),
        sweep(name, fn, function(n) core.fail_at(n, every) end))
      if name ~= "tasks" then
        local sum = 0
        for _, kind in ipairs(faults.kinds) do
          local error_of = kind == "accept" and 24 or kind == "setsockopt"
            and 22 or 104
          sum = sum + sweep(name .. " " .. kind, fn, function(n)
            faults.fail(kind, n, error_of, every)
          end, true)
        end
        trial.row(("%s: calls of the system%s"):format(name, how), sum)
      end
    end
    if name ~= "tasks" then
      local cuts = 0
      local whole, waits = large, patience
      large, patience = large:sub(1, 4000), 10 * t.factor
      for n = 1, math.min(most, 64) do
        faults.cut(n)
        local ok, failure = attempt(fn)
        faults.cut(0)
        trial.hold(ok, ("%s, cut to %d: %s"):format(name, n,
          tostring(failure)))
        check(name .. ", cut")
        cuts = cuts + 1
      end
      large, patience = whole, waits
      trial.row(name .. ": reads and writes cut", cuts)
    end
  end
  trial.settle()
  local after = server:stats().memory
  trial.hold(after - before < 256 * 1024,
    ("memory grew from %d to %d"):format(before, after))
  calm:finish()
end

trial.run("faults", all)
