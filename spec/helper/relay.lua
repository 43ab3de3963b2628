-- Somebody in between, who cuts: bytes go from and to another port or socket,
-- and end after as many as one wants.
--
--   relay.start{ port = | unix = } -> r, which listens on r.port of 127.0.0.1
--     r.left = n    after so many more bytes of the other end the connection
--                   that brings them is cut, and r.left is nil again
--     r.hold = word  what the other end says to who has sent this word stays
--                   here until r.hold is nil; r.has_held: there is something
--     r.passed      bytes of the other end so far
--     r.count       connections so far
--     r:pump()      moves what there is; returns whether it did
--     r:wait(predicate[, what[, limit]])  turns and moves until it holds
--     r:run(fn, ...)  fn as a task, meanwhile; its results
--     r:drop()      cuts all
--   relay.between(target) -> r       the same, and every turn moves what there
--     is, until relay.cleanup
--   relay.cleanup() for after_each, behind t.cleanup

local t = require "spec.helper"

local relay = {}
relay.__index = relay

local open = {}

function relay.start(target)
  local self = setmetatable({ target = target, pairs = {}, passed = 0,
    count = 0, listener = assert(t.probe.listen "127.0.0.1") }, relay)
  self.port = self.listener.port
  open[#open + 1] = self
  return self
end

local turn = t.turn

function relay.between(target)
  local self = relay.start(target)
  t.turn = function(timeout)
    for _ = 1, 100 do
      if not self:pump() then break end
      turn(0)
    end
    return turn(timeout)
  end
  return self
end

local function side(socket) return { socket = socket, out = "" } end

local function accept(self)
  local socket = self.listener:accept()
  while socket do
    local target = self.target
    local other = t.probe.connect { host = target.port and "127.0.0.1",
      port = target.port, unix = target.unix }
    self.count = self.count + 1
    if other then
      self.pairs[#self.pairs + 1] = { near = side(socket), far = side(other),
        said = "" }
    else
      socket:close()
    end
    socket = self.listener:accept()
  end
end

-- What one end has goes to the other; no more than `most`. Returns how many
-- bytes have gone, and what has come.
local function move(from, to, most)
  local bytes, why
  if to.out == "" and not from.is_over then
    bytes, why = from.socket:recv(most)
    if bytes then
      to.out = bytes
    elseif why ~= "again" then
      from.is_over = true
    end
  end
  if to.out == "" then return 0, bytes end
  local n
  n, why = to.socket:send(to.out)
  if not n and why ~= "again" then from.is_over = true end
  if not n then return 0, bytes end
  to.out = to.out:sub(n + 1)
  return n, bytes
end

local function cut(pair)
  pair.near.socket:close()
  pair.far.socket:close()
end

-- What is held back stands in front of what comes when it goes on.
local function hold(self, pair)
  pair.held = (pair.held or "") .. (pair.far.socket:recv() or "")
  self.has_held = pair.held ~= ""
  return 0
end

local function move_back(self, pair, said)
  if self.hold and said then
    said = pair.said .. said
    pair.is_held = pair.is_held or said:find(self.hold, 1, true) ~= nil
    pair.said = said:sub(1 - #self.hold)
  end
  if self.hold and pair.is_held then return hold(self, pair) end
  pair.is_held = false
  if pair.held then
    pair.near.out, pair.held = pair.near.out .. pair.held, nil
  end
  return move(pair.far, pair.near, self.left and math.min(self.left, 65536))
end

local function serve(self, pair)
  if not pair.is_there then
    local ok, why = pair.far.socket:connected()
    if not ok and why == "again" then return 0 end
    pair.is_there = true
  end
  local n, said = move(pair.near, pair.far)
  local m = move_back(self, pair, said)
  self.passed = self.passed + m
  if self.left then
    self.left = self.left - m
    if self.left <= 0 then pair.is_over, self.left = true, nil end
  end
  pair.is_over = pair.is_over or pair.near.is_over
    or pair.far.is_over and pair.near.out == ""
  return n + m
end

function relay:pump()
  local n = 0
  accept(self)
  for i = #self.pairs, 1, -1 do
    local pair = self.pairs[i]
    n = n + serve(self, pair)
    if pair.is_over then
      cut(pair)
      table.remove(self.pairs, i)
      n = n + 1
    end
  end
  return n > 0
end

function relay:wait(predicate, what, limit)
  return t.wait(function()
    local idle = 0 -- turns in a row; and then one that waits
    for _ = 1, 1000 do
      idle = self:pump() and 0 or idle + 1
      if idle == 3 then break end
      t.turn(0)
    end
    return predicate()
  end, what, limit)
end

function relay:run(fn, ...)
  local results
  t.ws.spawn(function(...)
    results = table.pack(xpcall(fn, debug.traceback, ...))
  end, ...)
  self:wait(function() return results end, "the end of the task")
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

function relay:drop()
  for _, pair in ipairs(self.pairs) do cut(pair) end
  self.pairs = {}
end

function relay.cleanup()
  t.turn = turn
  for _, one in ipairs(open) do
    one:drop()
    one.listener:close()
  end
  open = {}
end

return relay
