-- Clients of workers that are replaced and killed, with a Redis between them:
-- each has every publication once, in the order that all have.

local kit = require "spec.serve.kit"
local core = require "evws.core"
local t = require "spec.helper"
local redis = require "spec.helper.redis"

local ws = t.ws

local script = [[
local channels = require "evws.channels"
local chat = channels.new { ping = false, max_recovered = 5000, namespaces = {
  room = { publish = true, history = { size = 5000, ttl = 300 } } } }
local server = assert(ws.listen { host = "127.0.0.1", port = 0,
  history = chat.kept, routes = chat:routes "/c" })
chat:serve(server)
say("port", server.port)
say("worker", pid(), ws.worker.generation)
ws.run()
]]

local has = redis.is_there()
local it_if = has and it or pending

local function decode(text) return core.json_decode(text, 20, false, nil) end

describe("clients of workers that go", function()
  local tasks, is_over = {}, false

  after_each(function()
    is_over = true
    for _, task in ipairs(tasks) do task:cancel() end
    kit.cleanup()
  end)

  -- A connection that has said who it is; nil where there is none just now.
  local function connect(url)
    local conn = ws.connect(url, { timeout = t.limit * t.factor })
    if not conn then return nil end
    conn:send '{"id":1,"connect":{}}'
    return conn:receive(t.limit * t.factor) and conn
  end

  local function take(self, pub)
    self.offset = pub.offset
    self.n = self.n + 1
    self.is_whole = self.is_whole and pub.offset == self.n
    self.data[self.n] = pub.data
  end

  local function handle(self, message)
    local reply = message.subscribe
    if reply then
      self.offset, self.epoch = reply.offset, reply.epoch
      if self.was_in and not reply.recovered then self.is_whole = false end
      self.was_in, self.joins = true, self.joins + 1
      for _, pub in ipairs(reply.publications or {}) do take(self, pub) end
    elseif message.push and message.push.pub then
      take(self, message.push.pub)
    elseif message.error then -- temporary: again, by a new connection
      self.conn:close()
    end
  end

  -- A subscriber that comes back whatever happens.
  local function follow(url)
    local self = { n = 0, joins = 0, data = {}, is_whole = true }
    tasks[#tasks + 1] = ws.spawn(function()
      while not is_over do
        self.conn = connect(url)
        if self.conn then
          self.conn:send(('{"id":2,"subscribe":{"channel":"room",'
            .. '"recover":%s,"offset":%d,"epoch":"%s"}}'):format(
            self.epoch ~= nil, self.offset or 0, self.epoch or ""))
          for text in self.conn:messages() do handle(self, decode(text)) end
        else
          ws.sleep(0.02)
        end
      end
    end)
    return self
  end

  -- Publishes without a pause; what was not answered is said again.
  local function publish(url)
    local self = { n = 0 }
    tasks[#tasks + 1] = ws.spawn(function()
      while not is_over do
        local conn = connect(url)
        while conn and conn.state == "open" and not self.is_over do
          conn:send(('{"id":3,"publish":{"channel":"room","data":%d}}'):format(
            self.n + 1))
          local text = conn:receive(t.limit * t.factor)
          if text and text:find('"publish"', 1, true) then
            self.n = self.n + 1
            ws.sleep(0.001)
          end
        end
        if self.is_over then return end
        ws.sleep(0.02)
      end
    end)
    return self
  end

  local function run(disturb)
    tasks, is_over = {}, false
    local served = kit.serve(script, "-w 2 --redis spawn")
    served:await("^worker", 2)
    local url = ("ws://127.0.0.1:%d/c"):format(served:port())
    local all = {}
    for i = 1, 20 do all[i] = follow(url) end
    t.wait(function()
      for _, one in ipairs(all) do
        if one.joins == 0 then return false end
      end
      return true
    end, "all to be there", 20)
    local source = publish(url)
    t.wait(function() return source.n > 20 end, "publications", 20)
    for round = 1, 3 do
      local from = source.n
      disturb(served, round)
      t.wait(function() return source.n > from + 50 end, "publications", 30)
    end
    source.is_over = true
    local last = 0
    t.wait(function()
      local top = 0
      for _, one in ipairs(all) do top = math.max(top, one.n) end
      for _, one in ipairs(all) do
        if one.n < top then return false end
      end
      local is_still = top == last and top >= source.n
      last = top
      return is_still
    end, "everything to arrive", 30)
    local joins = 0
    for _, one in ipairs(all) do
      assert.is_true(one.is_whole)
      assert.same(all[1].data, one.data)
      joins = joins + one.joins
    end
    assert.is_true(joins >= 2 * #all)
  end

  it_if("lose nothing when all are replaced under load, three times",
    function()
      run(function(served, round)
        served.child:signal "HUP"
        served:await(("^worker %%d+ %d$"):format(round + 1), 2, 30)
      end)
    end)

  it_if("lose nothing when one is killed, three times", function()
    run(function(served, round)
      local pids = {}
      for pid in served.child:output():gmatch "worker (%d+) %d+" do
        pids[#pids + 1] = tonumber(pid)
      end
      for _, pid in ipairs(pids) do -- the oldest: it has clients
        if kit.is_running(pid) then
          kit.kill(pid)
          break
        end
      end
      served:await("^worker", 2 + round, 30)
    end)
  end)
end)
