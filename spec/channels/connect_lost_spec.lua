-- channels.connect over connections that are lost: cut at every byte and at
-- every message, each publication is received once and in order.

local kit = require "spec.channels.kit"
local channels = require "evws.channels"
local relay = require "spec.helper.relay"
local t = kit.t

local soon = { initial = 0.001, maximum = 0.002, jitter = 0 }

describe("channels.connect", function()
  local conn

  after_each(function()
    if conn then conn:close() end
    conn = nil
    relay.cleanup()
    kit.cleanup()
  end)

  local function serve(size)
    local chat, server = kit.serve { namespaces = { room = { publish = true,
      history = { size = size or 1000, ttl = 300 } } } }
    return chat:serve(server) and chat, server
  end

  -- One that follows a room through a relay.
  local function follow(server)
    local self = { seen = {}, holes = 0, losses = 0, checked = 0,
      relay = relay.start { port = server.port } }
    local url = ("ws://127.0.0.1:%d/c"):format(self.relay.port)
    conn = self.relay:run(channels.connect, url, { reconnect = soon,
      on_disconnected = function() self.losses = self.losses + 1 end })
    assert(self.relay:run(conn.subscribe, conn, "room", {
      on_subscribed = function(_, found)
        if found.was_recovering and not found.recovered then
          self.holes = self.holes + 1
        end
      end,
      on_publication = function(_, one)
        self.seen[#self.seen + 1] = one.data
      end }))
    return self
  end

  local function check(self, n)
    self.relay:wait(function() return #self.seen >= n end, "all of them", 20)
    while self.checked < n do
      self.checked = self.checked + 1
      if self.seen[self.checked] ~= self.checked then
        assert.equal(self.checked, self.seen[self.checked])
      end
    end
    assert.same({ n, 0 }, { #self.seen, self.holes })
  end

  it("has every publication where it is cut at each byte of them", function()
    local chat, server = serve()
    local one, n = follow(server), 0
    for bytes = 1, 160 do -- two publications and more
      one.relay.left = bytes
      local from = n
      repeat
        n = n + 1
        chat:publish("room", n)
        check(one, n)
      until not one.relay.left or n > from + 20
      assert.is_nil(one.relay.left)
    end
    assert.is_true(one.losses >= 160)
  end)

  it("has every publication where it is cut at each byte of coming back",
    function()
      local chat, server = serve()
      local one, n = follow(server), 0
      for bytes = 1, 640 do -- the upgrade, and all that is said
        one.relay:drop()
        one.relay.left = bytes
        local from = n
        repeat
          for _ = 1, 2 do
            n = n + 1
            chat:publish("room", n)
          end
          check(one, n)
        until not one.relay.left or n > from + 40
        assert.is_nil(one.relay.left)
      end
    end)

  it("has every publication where it is lost at each of them", function()
    local chat, server = serve()
    local seen, losses = {}, 0
    conn = t.pump(channels.connect, t.url_of(server) .. "/c", {
      reconnect = soon,
      on_disconnected = function() losses = losses + 1 end,
      on_publication = function(_, one)
        seen[#seen + 1] = one.data
        if conn.conn then conn.conn:terminate() end
      end })
    assert(t.pump(conn.subscribe, conn, "room"))
    for i = 1, 100 do
      chat:publish("room", i)
      if i % 3 == 0 then t.turn(0) end
    end
    t.wait(function() return #seen >= 100 end, "all of them", 20)
    for i = 1, 100 do assert.equal(i, seen[i]) end
    assert.is_true(losses > 0)
    assert.equal(100, #seen)
  end)

  it("publishes once, or says that it is not known", function()
    local chat, server = serve(4000)
    local one, n, unknown = follow(server), 0, 0
    for bytes = 1, 200 do
      one.relay.left = bytes
      local ok, why, code = one.relay:run(conn.publish, conn, "room",
        { tag = bytes })
      if ok then
        n = n + 1
      else
        assert.same({ "lost" }, { why, code })
        unknown = unknown + 1
      end
    end
    local list = chat:history "room"
    one.relay:wait(function() return #one.seen >= #list end, "all of them", 20)
    local last = 0
    for i, data in ipairs(one.seen) do
      assert.equal(list[i].data.tag, data.tag)
      assert.is_true(data.tag > last) -- none twice
      last = data.tag
    end
    assert.is_true(#list >= n and #list <= n + unknown and unknown > 0)
    assert.equal(#list, #one.seen)
  end)
end)
