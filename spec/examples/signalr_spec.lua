-- The hub sample (examples/signalr.lua), met over WebSockets without
-- negotiation; spec/peers meets it with the official client.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local kit = require "spec.examples.kit"

describe("the hub sample", function()
  local child

  before_each(function() child = kit.serve "signalr" end)
  after_each(kit.cleanup)

  -- The next record but for the pings: the first one comes after a second.
  local function hear(conn)
    local record
    repeat record = assert(conn:receive(kit.limit)) until record
      ~= '{"type":6}\30'
    return record
  end

  local function expect(conn, record) assert.equal(record, hear(conn)) end

  local function join()
    local conn = assert(kit.connect(child, "/hub"))
    conn:send '{"protocol":"json","version":1}\30'
    expect(conn, "{}\30")
    return conn
  end

  local function call(conn, target, arguments)
    conn:send(('{"type":1,"invocationId":"1","target":"%s","arguments":[%s]}'
      .. "\30"):format(target, arguments))
    local answer = hear(conn)
    return answer:match "HubException: ([^\"]+)" or answer
  end

  local done = '{"type":3,"invocationId":"1","result":null}\30'

  local function told(target, arguments)
    return ('{"type":1,"target":"%s","arguments":[%s]}\30'):format(target,
      arguments)
  end

  it("has rooms: who enters, says and types something, leaves", function()
    local ann, ben, eve = join(), join(), join()
    assert.equal(done, call(ann, "Enter", '"lobby","Ann"'))
    assert.equal(done, call(eve, "Enter", '"other","Eve"'))
    assert.equal(done, call(ben, "Enter", '"lobby","Ben"'))
    expect(ann, told("Entered", '"Ben"'))
    assert.equal(done, call(ben, "Say", '"h\u{E4}llo"'))
    expect(ann, told("Said", '"Ben","h\u{E4}llo"'))
    assert.equal(done, call(ann, "Typing", ""))
    expect(ben, told("Typing", '"Ann"'))
    ben:close()
    expect(ann, told("Left", '"Ben"'))
    assert.equal(done, call(eve, "Say", '"alone"'))
  end)

  it("says what is wrong with a name, a text or an order", function()
    local conn = join()
    assert.equal("enter a room first", call(conn, "Say", '"x"'))
    for arguments, why in pairs {
      ['"lobby",""'] = "a name has 1 to 24 characters",
      ['"lobby",7'] = "a name has 1 to 24 characters",
      ['"lobby","a b"'] = "a name has letters, digits, _ and -",
      ['"","Ann"'] = "a room's name has 1 to 24 characters" } do
      assert.equal(why, call(conn, "Enter", arguments))
    end
    assert.equal(done, call(conn, "Enter", '"lobby","Ann"'))
    assert.equal("you are in a room already", call(conn, "Enter",
      '"lobby","Ann"'))
    assert.equal("a message has 1 to 500 characters", call(conn, "Say",
      '""'))
  end)

  it("tells the progress of a job, until it is cancelled", function()
    local conn = join()
    local function start(steps)
      conn:send(('{"type":4,"invocationId":"w","target":"Work","arguments":'
        .. "[%s]}\30"):format(steps))
    end
    start(3)
    for i = 1, 3 do
      local item = hear(conn)
      assert.is_truthy(item:find(('"done":%d'):format(i), 1, true))
      assert.is_truthy(item:find('"of":3', 1, true))
    end
    expect(conn, '{"type":3,"invocationId":"w"}\30')
    start(100)
    assert.is_truthy(hear(conn):find '"done":1')
    conn:send '{"type":5,"invocationId":"w"}\30'
    local last
    repeat last = hear(conn) until last:find '"type":3'
    assert.equal('{"type":3,"invocationId":"w"}\30', last)
    start(101)
    assert.is_truthy(hear(conn):find("1 to 100 steps", 1, true))
  end)

  it("serves its page, and refuses ports that are taken or none", function()
    kit.has_page(child, "SignalR Hub")
    kit.refuses_ports "signalr"
  end)
end)
