-- Random conversations, with fixed seeds: wherever the bytes are cut, the
-- messages are the same; whatever the bytes are, nothing raises, and what is
-- said is whole records.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.signalr.kit"
local messagepack = require "evws.messagepack"
local ws = require "evws"

local random = math.random

local function options()
  return { on_error = function() end, max_record = 2000, methods = {
    Echo = function(ctx, ...) return ... end,
    Join = function(ctx, g) return ctx:join(g) end,
    All = function(ctx, x) return ctx.clients.all:send("Told", x) end,
    Sum = { function(ctx, items, start)
      for item in items:each() do
        start = start + (math.type(item) == "integer" and item or 0)
      end
      return start
    end, uploads = 1 } },
    streams = { Count = function(ctx, out, n)
      for i = 1, n do out:send(i) end
    end } }
end

-- ---- valid conversations ----

local function value(depth)
  local kind = random(depth > 0 and 7 or 5)
  if kind == 1 then return random(-1000, 1000) end
  if kind == 2 then return random() < 0.5 end
  if kind == 3 then return utf8.char(random(32, 0xd7ff)):rep(random(0, 9)) end
  if kind == 4 then return messagepack.null end
  if kind == 5 then return random(1, 9) + 0.5 end
  local list = {}
  for i = 1, random(1, 4) do
    list[kind == 6 and i or "k" .. i] = value(depth - 1)
  end
  return list
end

local json_writer = require "evws.json_writer"
local writers = {}

function writers.json(m)
  return json_writer.encode(m, 64) .. "\30"
end

function writers.messagepack(m)
  local map, null = messagepack.map {}, messagepack.null
  local list = { m.type }
  if m.type <= 5 then list[2], list[3] = map, m.invocationId or null end
  if m.target then list[4], list[5] = m.target, m.arguments end
  if m.target then list[6] = m.streamIds or {} end
  if m.type == 2 then list[4] = m.item end
  if m.type == 3 then list[4] = 2 end
  return kit.framed(messagepack.encode(list))
end

local function conversation()
  local list = {}
  for i = 1, random(3, 12) do
    local kind, id = random(7), "i" .. i
    local m
    if kind == 1 then
      m = { type = 1, invocationId = id, target = "Echo",
        arguments = { value(3) } }
    elseif kind == 2 then
      m = { type = 4, invocationId = id, target = "Count",
        arguments = { random(0, 5) } }
    elseif kind == 3 then
      m = { type = 6 }
    elseif kind == 4 then
      m = { type = 1, invocationId = id, target = "All",
        arguments = { value(2) } }
    elseif kind == 5 then
      m = { type = 1, invocationId = id, target = "Nope", arguments = {} }
    elseif kind == 6 then
      -- of what runs, the answer would depend on the moment
      m = { type = 5, invocationId = "x" .. random(9) }
    else
      list[#list + 1] = { type = 1, invocationId = id, target = "Sum",
        arguments = { 0 }, streamIds = { "u" .. i } }
      for _ = 1, random(0, 15) do
        list[#list + 1] = { type = 2, invocationId = "u" .. i,
          item = random(99) }
      end
      m = { type = 3, invocationId = "u" .. i }
    end
    list[#list + 1] = m
  end
  return list
end

-- What a client hears that says these bytes in pieces of so many.
local function heard(protocol, bytes, most)
  local hub = kit.hub(options())
  local c = kit.client(hub, { protocol = protocol })
  local at = 1
  while at <= #bytes do
    local n = most and random(1, most) or #bytes
    c:feed(bytes:sub(at, at + n - 1))
    at = at + n
  end
  for _ = 1, 12 do kit.settle() end
  local log = {}
  for i = 2, #c.log do log[#log + 1] = c.log[i] end
  -- methods run beside one another: their answers are in no order
  local by_id = {}
  for _, m in ipairs(log) do
    local id = m.invocationId or "-"
    by_id[id] = by_id[id] or {}
    table.insert(by_id[id], m)
  end
  assert.is_false(c.session.is_over)
  c:lose(true)
  return by_id
end

describe("random conversations", function()
  after_each(kit.cleanup)

  for _, protocol in ipairs { "json", "messagepack" } do
    it("are the same however they are cut: " .. protocol, function()
      math.randomseed(4711)
      for _ = 1, 40 do
        local pieces = {}
        for i, m in ipairs(conversation()) do
          pieces[i] = writers[protocol](m)
        end
        local bytes = table.concat(pieces)
        local whole = heard(protocol, bytes)
        assert.same(whole, heard(protocol, bytes, 1))
        assert.same(whole, heard(protocol, bytes, 7))
        assert.same(whole, heard(protocol, bytes, 200))
      end
    end)

    it("that were damaged raise nothing: " .. protocol, function()
      math.randomseed(815)
      local failures = {}
      ws.on_error(function(_, message) failures[#failures + 1] = message end)
      for round = 1, 300 do
        local hub = kit.hub(options())
        local c = kit.client(hub, { protocol = protocol,
          is_stateful = round % 3 == 0 })
        local pieces = {}
        for i, m in ipairs(conversation()) do
          pieces[i] = writers[protocol](m)
        end
        local bytes = table.concat(pieces)
        for _ = 1, random(1, 8) do
          local at, n = random(#bytes), random(0, 3)
          local noise = {}
          for i = 1, random(0, 3) do noise[i] = string.char(random(0, 255)) end
          bytes = bytes:sub(1, at - 1) .. table.concat(noise)
            .. bytes:sub(at + n)
        end
        c:feed(bytes) -- kit.client judges what is said
        if random() < 0.3 then hub:tick() end
        c:lose(random() < 0.5)
      end
      ws.on_error(nil)
      assert.same({}, failures)
    end)
  end

  it("of noise alone raise nothing", function()
    math.randomseed(99)
    local failures = {}
    ws.on_error(function(_, message) failures[#failures + 1] = message end)
    for round = 1, 600 do
      local hub = kit.hub(options())
      local c = kit.client(hub, { raw = round % 2 == 0,
        protocol = round % 3 == 0 and "messagepack" or "json" })
      for _ = 1, random(1, 6) do
        local noise = {}
        for i = 1, random(1, 60) do noise[i] = string.char(random(0, 255)) end
        c:feed(table.concat(noise) .. (random() < 0.3 and "\30" or ""))
      end
      c:lose(true)
      assert.equal(0, hub.n_sessions)
    end
    ws.on_error(nil)
    assert.same({}, failures)
  end)
end)
