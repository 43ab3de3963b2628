-- Clients that are lost at any moment: whatever is cut, each publication is
-- received once and in order, or the client is told that it was not.

local kit = require "spec.channels.kit"
local t = kit.t

-- A client that keeps its position as the official one does: it is moved by
-- the reply to subscribe and by each publication.
local function newcomer(server, channel)
  local self = { seen = {}, holes = 0 }

  local function take(pub)
    if pub.offset then self.offset = pub.offset end
    self.seen[#self.seen + 1] = pub.data
  end

  local function handle(message)
    if message.subscribe then
      local reply = message.subscribe
      self.is_in = true
      self.offset, self.epoch = reply.offset, reply.epoch
      if reply.was_recovering and not reply.recovered then
        self.holes = self.holes + 1
      end
      for _, pub in ipairs(reply.publications or {}) do take(pub) end
    elseif message.push then
      assert.is_true(self.is_in) -- a push before the reply would be dropped
      take(message.push.pub)
    end
  end

  function self.come()
    self.is_in, self.conn = false, kit.open(server)
    self.conn:say { id = 50, subscribe = { channel = channel,
      recover = self.epoch and true or nil, offset = self.offset,
      epoch = self.epoch } }
  end

  -- Reads so many messages, and is lost: what was on its way is gone.
  function self.read(n)
    for _ = 1, n do handle((self.conn:next())) end
  end

  -- All that has come, until it ends.
  function self.read_all()
    repeat until not pcall(self.read, 1)
  end

  function self.lose()
    self.conn.raw:reset()
    self.conn = nil
  end

  return self
end

describe("a client that is lost", function()
  after_each(kit.cleanup)

  local function serve(size)
    local chat, server = kit.serve { namespaces = {
      room = { history = { size = size, ttl = 300 } } } }
    return chat:serve(server) and chat, server
  end

  local function count_up_to(n)
    local list = {}
    for i = 1, n do list[i] = i end
    return list
  end

  it("at each message has every one, once and in order", function()
    local chat, server = serve(200)
    local one = newcomer(server, "room")
    one.come()
    one.read(1)
    for i = 1, 60 do
      chat:publish("room", i)
      one.read(1)
      one.lose()
      one.come()
      one.read(1)
    end
    assert.same(count_up_to(60), one.seen)
    assert.equal(0, one.holes)
  end)

  it("at any moment has every one, once and in order", function()
    for seed = 1, 12 do
      math.randomseed(seed)
      local chat, server = serve(1000)
      local one, n = newcomer(server, "room"), 0
      local function publish(most)
        for _ = 1, math.random(0, most) do
          n = n + 1
          chat:publish("room", n)
        end
      end
      one.come()
      one.read(1)
      for _ = 1, 25 do
        publish(4)
        if math.random(2) == 1 then t.turn(0) end
        publish(3)
        local owed = n - (one.offset or 0)
        one.read(math.random(0, owed))
        if math.random(3) > 1 then
          one.lose()
          publish(3)
          one.come()
          publish(3)
          if math.random(4) > 1 then
            one.read(1)
          else -- cut before the reply
            one.lose()
            one.come()
            one.read(1)
          end
        end
      end
      one.read(n - one.offset)
      assert.same(count_up_to(n), one.seen)
      assert.equal(0, one.holes)
      one.conn:quiet()
    end
  end)

  it("for longer than a history lasts is told so, each time", function()
    local chat, server = serve(5)
    local one, holes = newcomer(server, "room"), 0
    one.come()
    one.read(1)
    for round = 1, 10 do
      one.lose()
      local missed = round % 2 == 0 and 5 or 6
      for i = 1, missed do chat:publish("room", i) end
      if missed > 5 then holes = holes + 1 end
      one.come()
      one.read(1)
      assert.equal(holes, one.holes)
    end
    assert.equal(25, #one.seen)
  end)

  it("as it reads too slowly has every one, when it comes back", function()
    local code
    local chat, server = kit.serve { max_recovered = 500,
      on_disconnected = function(_, given) code = code or given end,
      namespaces = { room = { history = { size = 500, ttl = 300 } } } }
    chat:serve(server)
    local one, n = newcomer(server, "room"), 0
    one.come()
    one.read(1)
    while not code and n < 400 do
      n = n + 1
      chat:publish("room", { n, ("x"):rep(100000) })
      t.turn(0)
    end
    assert.equal(1008, code)
    one.read_all()
    assert.is_true(#one.seen < n)
    one.lose()
    one.come()
    one.read(1)
    assert.equal(n, #one.seen)
    for i = 1, n do assert.equal(i, one.seen[i][1]) end
    assert.equal(0, one.holes)
    one.conn:quiet()
  end)

  it("while others publish loses nothing, by hundreds at once", function()
    local chat, server = serve(1000)
    local all, n = {}, 0
    for i = 1, 40 do
      all[i] = newcomer(server, "room")
      all[i].come()
      all[i].read(1)
    end
    for round = 1, 6 do
      for i, one in ipairs(all) do
        if (i + round) % 3 == 0 then one.lose() end
        n = n + 1
        chat:publish("room", n)
        if i % 7 == 0 then t.turn(0) end
      end
      for _, one in ipairs(all) do
        if not one.conn then
          one.come()
          one.read(1)
        end
        one.read(n - one.offset)
      end
    end
    for _, one in ipairs(all) do
      assert.same(count_up_to(n), one.seen)
      assert.equal(0, one.holes)
    end
  end)
end)
