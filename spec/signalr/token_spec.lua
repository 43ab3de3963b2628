-- token.lua: what a connection token says, and that nobody else can say it.

local token = require "evws.signalr.token"
local worker = require "evws.signalr.worker"

local secret = ("s"):rep(32)

describe("a connection token", function()
  it("of one process alone is random", function()
    local tokens, seen = token.new "/chat", {}
    for _ = 1, 200 do
      local text = tokens:make("id", "ann", "stateful", 15)
      assert.truthy(text:find "^[%w_-]+$")
      assert.equal(22, #text)
      assert.is_nil(seen[text])
      seen[text] = true
      assert.is_nil(tokens:read(text))
    end
  end)

  it("says what was promised", function()
    local tokens = token.new("/chat", secret)
    for _, user in ipairs { "ann", "", "a", "ab", "\255\0\254.%", "ä€",
      ("u"):rep(300), false } do
      for _, is_stateful in ipairs { true, false } do
        local id, from = token.new_id(), os.time()
        local text = tokens:make(id, user or nil,
          is_stateful and "stateful" or "plain", 14.5)
        assert.truthy(text:find "^[%w_.-]+$", text)
        local told = tokens:read(text)
        assert.same({ id, user or nil, is_stateful }, { told.id, told.user,
          told.is_stateful })
        assert.is_true(told.expires >= from + 15 and told.expires
          <= os.time() + 16)
        assert.is_true(token.is_ours(told))
        assert.equal(worker.serial > 0, token.is_near(told))
      end
    end
  end)

  it("is of its hub and its secret", function()
    local text = token.new("/chat", secret):make("id", nil, "plain", 15)
    assert.is_table(token.new("/chat", secret):read(text))
    assert.is_nil(token.new("/chat2", secret):read(text))
    assert.is_nil(token.new("/cha", secret):read(text))
    assert.is_nil(token.new("/chat", ("t"):rep(32)):read(text))
    assert.is_nil(token.new "/chat":read(text))
  end)

  it("of the version 0 is its id", function()
    local tokens = token.new("/chat", secret)
    local text = tokens:make("id", nil, "old", 15)
    assert.equal(text, tokens:read(text).id)
  end)

  it("begins one session, in time", function()
    local tokens = token.new("/chat", secret)
    local told = {}
    for i = 1, 3 do
      told[i] = tokens:read(tokens:make(token.new_id(), nil, "plain", 15))
      assert.is_true(tokens:use(told[i]))
    end
    for i = 1, 3 do assert.is_false(tokens:use(told[i])) end
    assert.is_false(tokens:use(tokens:read(tokens:make("id", nil, "plain",
      -3))))
    -- later they are forgotten, but not before they are no good
    local time, now = os.time, os.time()
    os.time = function() return now end -- luacheck: ignore
    for _ = 1, 100 do
      now = now + 1
      for i = 1, 3 do assert.is_false(tokens:use(told[i])) end
      assert.is_true(tokens:use(tokens:read(tokens:make(token.new_id(), nil,
        "plain", 15))))
    end
    os.time = time -- luacheck: ignore
    local n = 0
    for _, set in ipairs { tokens.used, tokens.before } do
      for _ in pairs(set) do n = n + 1 end
    end
    assert.is_true(n < 50)
  end)

  it("cannot be changed", function()
    local tokens = token.new("/chat", secret)
    local text = tokens:make(token.new_id(), "ann", "plain", 15)
    for i = 1, #text do
      for _, c in ipairs { "A", "b", "0", ".", "" } do
        local other = text:sub(1, i - 1) .. c .. text:sub(i + 1)
        if other ~= text then assert.is_nil(tokens:read(other), other) end
      end
      assert.is_nil(tokens:read(text:sub(1, i - 1)))
    end
    for _, noise in ipairs { "", ".", "......", "a.1-b.2.s.n.c",
      ("a"):rep(70000), "\0", text .. ".", "." .. text, text .. "=" } do
      assert.is_nil(tokens:read(noise))
    end
  end)
end)
