-- The rooms sample (examples/rooms.lua), met over a WebSocket of ours;
-- spec/peers meets it with the official client.

local kit = require "spec.examples.kit"
local ws = require "evws"

local function read(text) return assert(ws.json_split(text, 9)) end

describe("the rooms sample", function()
  local child

  before_each(function() child = kit.serve "rooms" end)
  after_each(kit.cleanup)

  local function open()
    return assert(kit.connect(child, "/connection/websocket"))
  end

  local id = 0

  local function call(conn, name, fields)
    id = id + 1
    conn:send(('{"id":%d,"%s":%s}'):format(id, name, fields))
    local reply
    repeat
      reply = read(assert(conn:receive(kit.limit)))
    until reply.id == tostring(id)
    return reply[name], reply.error
  end

  local function enter(name)
    local conn = open()
    assert(call(conn, "connect", ('{"data":{"name":"%s"}}'):format(name)))
    return conn, call(conn, "subscribe", '{"channel":"room:tea"}')
  end

  it("keeps what is said, for who comes back", function()
    local ann, at = enter "Ann"
    for _, text in ipairs { "one", "two", "three" } do
      assert.same({}, call(ann, "publish",
        ('{"channel":"room:tea","data":{"text":"%s"}}'):format(text)))
    end
    local ben = open()
    call(ben, "connect", '{"data":{"name":"Ben"}}')
    local reply = call(ben, "subscribe",
      ('{"channel":"room:tea","recover":true,"offset":1,"epoch":%s}'):format(
        at.epoch))
    assert.equal("true", reply.recovered)
    local missed = ws.json_split(reply.publications, 3)
    assert.equal(2, #missed)
    assert.equal('"three"', missed[2].data.text)
    assert.equal('"Ann"', missed[2].info.user)
    assert.equal("2", call(ben, "presence_stats",
      '{"channel":"room:tea"}').num_users)
  end)

  it("says what is wrong with a name or a text", function()
    for data, why in pairs {
      ["{}"] = '"a name has 1 to 24 characters"',
      ['{"name":"a b"}'] = '"a name has letters, digits, _ and -"' } do
      local _, err = call(open(), "connect", '{"data":' .. data .. "}")
      assert.equal("400", err.code)
      assert.equal(why, err.message)
    end
    local ann = enter "Ann"
    for _, data in ipairs { "1", '{"text":""}', '{"text":1}' } do
      local _, err = call(ann, "publish",
        '{"channel":"room:tea","data":' .. data .. "}")
      assert.equal("103", err.code)
    end
  end)

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "WebSocket Rooms")
    kit.refuses_ports "rooms"
  end)
end)
