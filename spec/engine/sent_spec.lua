-- What was said to be sent arrives, in its order, or the connection ends: each
-- way to send, by a server behind a message that was published in the same
-- turn, while an allocation fails (in builds with faults), or to a peer that is
-- gone. On a simulated network, so nothing here waits.

local t = require "spec.helper"
local sim = require "evws.sim"
local core = require "evws.core"
local kit = require "spec.engine.kit"
local fail_at = kit.fail_at
local ws = t.ws

local filler = ("filler "):rep(3000)
local url = "ws://localhost:5000/"

-- Two fragments, and what is done between them. True and what is sent as one
-- message, a list of it or nothing.
local function write(conn, pieces, between)
  local writer, sent = conn:writer(), {}
  if not writer then return true, {} end
  for i, piece in ipairs(pieces) do
    if writer:write(piece) then sent[#sent + 1] = piece end
    if i == 1 and between then between() end
  end
  return true, writer:finish() and { table.concat(sent) } or {}
end

-- Each way: conn, a text that is its own, its server or nil -> was it sent; and
-- what the peer gets of it, false or a list, nil for the text.
local ways = {
  message = function(conn, text) return (conn:send(text)) end,
  long = function(conn, text) return (conn:send(text)) end,
  fleeting = function(conn, text)
    return (conn:send(text, "text", { ttl = 600 }))
  end,
  keyed = function(conn, text)
    return (conn:send(text, "text", { key = text:sub(1, 40) }))
  end,
  plain = function(conn, text)
    return (conn:send(text, "text", { ttl = 600, compress = false }))
  end,
  uncompressed = function(conn, text)
    return (conn:send(text, "text", { compress = false }))
  end,
  ping = function(conn) return conn:ping "payload", false end,
  fragments = function(conn, text)
    return write(conn, { text:sub(1, 5), text:sub(6) })
  end,
  behind = function(conn, text)
    local is_behind
    local ok, sent = write(conn, { "frag", "ments" }, function()
      is_behind = conn:send(text)
    end)
    if is_behind then sent[#sent + 1] = text end
    return ok, sent
  end,
  -- it is still open when the turn ends
  slowly = function(conn, text)
    local is_behind
    local ok, sent = write(conn, { "frag", "ments" }, function()
      is_behind = conn:send(text, "text", { ttl = 600 })
      ws.sleep(0.002)
    end)
    if is_behind then sent[#sent + 1] = text end
    return ok, sent
  end,
  subscribe = function(conn, _, server)
    return server and conn:subscribe "another", false
  end,
  unsubscribe = function(conn, _, server)
    return server and conn:unsubscribe "news", false
  end,
  broadcast = function(_, text, server)
    return server and (server:broadcast(text) or 0) > 0
  end,
  close = function(conn) return conn:close(4000, "enough"), false end,
}

local lengths = { long = 70000 }

-- Who sends, who gets it, and the server.
local function ends(net, how, ended, got)
  local accepted, peer
  local options = { compression = how.compression or false,
    max_queued = how.room or false, on_full = how.on_full,
    stall_timeout = false, keepalive_interval = false,
    close_timeout = 2, max_ratio = false, receive_queue = 1,
    on_message = function(c, message)
      assert(c == peer)
      got[#got + 1] = message
    end,
    on_close = function(c) ended[c] = (ended[c] or 0) + 1 end }
  local own = {}
  for name, value in pairs(options) do own[name] = value end
  options.port = 5000
  function options.on_open(c) accepted = c end
  local server = assert(ws.listen(options))
  local conn = net:connect(url, own)
  while not accepted do ws.sleep(0.001) end
  peer = how.is_client and accepted or conn
  peer:pause() -- it reads when it is told to
  if how.is_client then return conn, accepted, server end
  accepted:subscribe "news"
  return accepted, conn, server
end

-- What has come is the beginning of what is due, and all of it if that is to
-- be.
local function compare(got, due, is_all)
  for i, each in ipairs(got) do
    if each ~= due[i] then
      error(("got %.20s... at %d of %d, for %.20s..."):format(each, i, #due,
        tostring(due[i])), 0)
    end
  end
  if is_all and #got < #due then
    error(("%d of %d have arrived"):format(#got, #due), 0)
  end
end

-- One session in which ways are taken one behind the other, in one turn, or
-- outside of turns (how.is_outside). What
-- goes wrong (`harm`, with the network and who sends) does so before that, or
-- when what was refused leaves (how.is_late), and until heal is called.
local function session(list, how, harm, heal)
  local ended = {}
  sim.new { seed = 1, buffer = 8192 }:run(function(net)
    local got, due = {}, {}
    local conn, peer, server = ends(net, how, ended, got)
    while how.is_blocked == true and conn.buffered == 0 and #due < 20 do
      assert(conn:send(filler, "text", { compress = false }))
      due[#due + 1] = filler
      ws.sleep(0.01)
    end
    local function publish(message)
      if how.is_client then return end
      if (server:publish("news", message) or 0) > 0 then
        due[#due + 1] = message
      end
    end
    local function take(way)
      local word = ("%s %d "):format(way, #due)
      local text = word:rep((lengths[way] or 600) // #word + 1)
      local ok, what = ways[way](conn, text, not how.is_client and server)
      if not ok or what == false then return end
      what = what or { text }
      table.move(what, 1, #what, #due + 1, due)
    end
    local is_done, failure
    local function act()
      if not how.is_late then harm(net, conn) end
      is_done, failure = pcall(function()
        publish(("first "):rep(how.is_blocked == "soon" and 5000 or 50))
        for _, way in ipairs(list) do take(way) end
        publish(("last "):rep(50))
      end)
    end
    if how.is_outside then
      act()
      heal()
    else
      ws.after(0.001, act)
    end
    ws.sleep(0.01)
    if not how.is_late then heal() end
    if not is_done then error(failure, 0) end
    peer:resume()
    if how.is_late then
      harm(net, conn)
      ws.sleep(0.01)
      heal()
    end
    net:advance(5)
    if conn:send "end" then due[#due + 1] = "end" end
    net:advance(1)
    -- what is on its way then is lost by the network if it has no memory
    compare(got, due, conn.state == "open" and not how.is_late)
    peer:terminate()
    server:close { timeout = 1 }
    net:advance(10)
  end)
  local n = 0
  for _, times in pairs(ended) do
    assert.equal(1, times)
    n = n + 1
  end
  assert.equal(2, n)
end

local function nothing() end
local compressed = { context_takeover = true, threshold = 5 }

-- Of servers and clients, which have no topics. The kernel takes all, or has
-- taken all that it does, or has so with what is published first.
local function each_circumstance(fn)
  for _, is_client in ipairs { false, true } do
    for _, compression in ipairs { false, compressed } do
      for _, is_blocked in ipairs { false, true, "soon", "outside" } do
        local how = { is_client = is_client, compression = compression,
          is_blocked = is_blocked, is_outside = is_blocked == "outside" }
        local ok, why = pcall(fn, how)
        if not ok then
          error(("%s, compressed %s, blocked %s: %s"):format(
            is_client and "client" or "server", compression and true,
            is_blocked, why), 0)
        end
      end
    end
  end
end

local names, outside = {}, { "message", "long", "behind", "keyed" }
for way in pairs(ways) do names[#names + 1] = way end
table.sort(names)

local function each_way(fn)
  each_circumstance(function(how)
    for _, way in ipairs(how.is_outside and outside or names) do
      local ok, why = pcall(fn, way, how)
      if not ok then error(("%s: %s"):format(way, why), 0) end
    end
  end)
end

-- Behind a way one of those that depend on what was before.
local function each_pair(fn)
  each_way(function(first, how)
    for _, second in ipairs { "message", "fleeting", "slowly", "close" } do
      local ok, why = pcall(fn, { first, second }, how)
      if not ok then error(("%s: %s"):format(second, why), 0) end
    end
  end)
end

describe("what was said to be sent", function()
  before_each(function() ws.on_error(nothing) end)

  after_each(function()
    fail_at(0)
    ws.on_error(nil)
  end)

  it("arrives", function()
    each_pair(function(list, how) session(list, how, nothing, nothing) end)
  end)

  it("is told of no more when the peer is gone", function()
    each_pair(function(list, how)
      session(list, how, function(net, conn) net:reset(conn) end, nothing)
    end)
  end)

  it("arrives up to where the peer went", function()
    each_way(function(way, how)
      for _, is_late in ipairs { false, how.is_blocked and true } do
        how.is_late = is_late
        for _, n in ipairs { 1, 300, 2000, 70000 } do
          session({ way }, how, function(net, conn) net:reset(conn, n) end,
            nothing)
        end
      end
    end)
  end)

  for _, every in ipairs { false, true } do
    it("arrives, or the connection ends: " .. (every and "no allocation from"
      .. " one on works" or "an allocation fails"), function()
      if not core.fail_at then return pending "built without WS_FAULT" end
      each_way(function(way, how)
        for _, is_late in ipairs { false, how.is_blocked and true } do
          how.is_late = is_late
          for n = 1, 14 do
            session({ way }, how, function() fail_at(n, every) end,
              function() fail_at(0) end)
          end
        end
      end)
    end)
  end

  -- In one turn more is sent than there is room for, with a peer that reads,
  -- does not, or is gone; 300 bytes have room in any case.
  it("arrives, or is refused where there is no room", function()
    for _, on_full in ipairs { "reject", "close" } do
      each_way(function(way, how)
        if way == "long" then return end
        how.room, how.on_full = 1000, on_full
        session({ way, way, way, way, "message" }, how, nothing, nothing)
        session({ way, way, way, "message" }, how,
          function(net, conn) net:reset(conn) end, nothing)
      end)
    end
  end)
end)
