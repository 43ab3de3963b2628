-- docs/guides/channels.md: a screen that misses nothing.

local guide = require "spec.guides.kit"
local ws = require "evws"

describe("the guide to channels", function()
  local board

  before_each(function()
    board = guide.start(guide.write "channels", "board.lua", 0)
  end)

  after_each(guide.cleanup)

  local id = 0

  local function call(conn, name, fields)
    id = id + 1
    conn:send(('{"id":%d,"%s":%s}'):format(id, name, fields))
    local reply
    repeat
      reply = assert(ws.json_split(assert(conn:receive(guide.limit)), 3))
    until reply.id == tostring(id)
    return reply[name], reply.error
  end

  local function rpc(conn, method, data)
    local reply, why = call(conn, "rpc",
      ('{"method":"%s","data":%s}'):format(method, data))
    return reply and reply.data, why
  end

  local function open()
    local conn = assert(guide.connect(board, "/connection/websocket"))
    assert(call(conn, "connect", "{}"))
    return conn
  end

  it("gives all that is open, and its position", function()
    local conn = open()
    local data = rpc(conn, "load", "null")
    assert.equal("[]", data.orders)
    assert.equal("0", data.offset)
    assert.equal("1", rpc(conn, "order", '"soup"'))
    assert.equal("2", rpc(conn, "order", '"fish"'))
    assert.equal("1", rpc(conn, "done", "1"))
    data = rpc(conn, "load", "null")
    assert.equal("3", data.offset)
    local list = ws.json_split(data.orders, 2)
    assert.same({ { id = "2", dish = '"fish"' } }, list)
  end)

  it("recovers a screen that was away, by that position", function()
    local waiter, screen = open(), open()
    rpc(waiter, "order", '"soup"')
    local at = rpc(screen, "load", "null")
    screen:terminate()
    rpc(waiter, "done", "1")
    rpc(waiter, "order", '"fish"')
    local reply = call(open(), "subscribe",
      ('{"channel":"orders","recover":true,"offset":%s,"epoch":%s}'):format(
        at.offset, at.epoch))
    assert.equal("true", reply.recovered)
    local missed = ws.json_split(reply.publications, 3)
    assert.equal("true", missed[1].data.done)
    assert.equal('"fish"', missed[2].data.dish)
    assert.is_nil(missed[3])
  end)

  it("says what it does not take", function()
    local conn = open()
    for _, data in ipairs { "null", '""', "1" } do
      local _, why = rpc(conn, "order", data)
      assert.equal("400", why.code)
    end
    local _, why = rpc(conn, "done", "7")
    assert.equal("404", why.code)
    _, why = call(conn, "publish", '{"channel":"orders","data":1}')
    assert.equal("103", why.code)
  end)
end)

-- The page's half, with a client that says what it is told to say.
describe("screen.mjs", function()
  local script = [[
    const { follow } = await import(process.argv[1] + "/screen.mjs");
    const handlers = {}, shown = [], answers = [];
    const client = {
      newSubscription: () => ({ on: (name, fn) => { handlers[name] = fn; },
        subscribe() {} }),
      rpc: () => new Promise((answer) => { answers.push(answer); }),
    };
    follow(client, (open) => shown.push([...open.values()].join(",")));
    const say = (offset, data) => handlers.publication({ offset, data });
    const enter = (wasRecovering, recovered) =>
      handlers.subscribed({ wasRecovering, recovered });
    const answer = async (offset, orders) => {
      answers.shift()({ data: { offset, orders } });
      await new Promise((later) => setImmediate(later));
    };
    enter(false, false);
    say(3, { id: 3, dish: "pie" });
    say(4, { id: 1, done: true });
    await answer(3, [{ id: 1, dish: "soup" }, { id: 3, dish: "pie" }]);
    say(5, { id: 4, dish: "tea" });
    enter(true, true);
    say(6, { id: 3, done: true });
    enter(true, false);
    say(1, { id: 9, dish: "cake" });
    await answer(1, [{ id: 9, dish: "cake" }]);
    console.log(shown.join(" "), answers.length);]]

  it("shows what is open, through losses and restarts", function()
    if not os.execute "command -v node >/dev/null" then
      pending "is skipped: there is no node"
      return
    end
    finally(guide.cleanup)
    local pipe = assert(io.popen(
      ("node --input-type=module -e '%s' '%s' 2>&1"):format(script,
        guide.write "channels")))
    local output = pipe:read "a"
    pipe:close()
    assert.equal("pie pie,tea tea cake 0\n", output)
  end)
end)
