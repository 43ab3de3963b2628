-- The notes by event stream (examples/events.lua).

local kit = require "spec.examples.kit"
local t = require "spec.helper"

describe("the notes", function()
  local child

  before_each(function() child = kit.serve "events" end)
  after_each(kit.cleanup)

  local function request(method, path, fields, body)
    local raw = t.raw(child.port, { address = "127.0.0.1" })
    raw:send(("%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s"
      .. "Content-Length: %d\r\n\r\n%s"):format(method, path, child.port,
      fields or "", #(body or ""), body or ""))
    return raw
  end

  local function note(text, fields)
    local status, _, body = request("POST", "/notes", fields, text)
      :read_http()
    return status, body
  end

  local function follow(last_id)
    local raw = request("GET", "/events", last_id
      and ("Last-Event-ID: %s\r\n"):format(last_id))
    local status, headers = raw:read_http { head = true }
    assert.same({ 200, "text/event-stream", "no-store" },
      { status, headers["content-type"], headers["cache-control"] })
    local text = ""
    -- The next event: its id and data.
    return function()
      while true do
        local event, rest = text:match "^(.-)\n\n(.*)$"
        if event then
          text = rest
          local id, data = event:match "^id: (%w+%-%d+)\ndata: (.*)$"
          if id then return data, id end
        else
          text = text .. assert(raw:chunk(kit.limit))
        end
      end
    end, raw
  end

  it("come as they are made, to all", function()
    local one, other = follow(), follow()
    assert.equal(204, (note "first"))
    assert.equal(204, (note "  <b>two</b>\n  lines  "))
    for _, following in ipairs { one, other } do
      local data, id = following()
      assert.equal("first", data)
      local next_data, next_id = following()
      assert.equal("<b>two</b> lines", next_data)
      local epoch, offset = id:match "^(.*)%-(%d+)$"
      assert.equal(("%s-%d"):format(epoch, offset + 1), next_id)
    end
  end)

  it("are there for who comes late, and go on where one has left", function()
    for i = 1, 60 do note("note " .. i) end
    local following = follow()
    local data, id = following()
    assert.equal("note 11", data)
    for i = 12, 30 do
      data, id = following()
      assert.equal("note " .. i, data)
    end
    following = follow(id)
    for i = 31, 60 do assert.equal("note " .. i, (following())) end
    note "after"
    assert.equal("after", (following()))
  end)

  it("are all there for who comes from another server, or from nowhere",
    function()
      for i = 1, 3 do note("note " .. i) end
      for _, id in ipairs { "elsewhere-2", "x", "a-", "-1", "a-1-1",
        "a-99999999999999999999" } do
        local following = follow(id)
        for i = 1, 3 do assert.equal("note " .. i, (following())) end
      end
    end)

  it("have 1 to 200 characters, and come from the page itself", function()
    assert.equal(204, (note(("\u{E4}"):rep(200))))
    for _, text in ipairs { "", " \n ", ("x"):rep(201), "\255" } do
      local status, body = note(text)
      assert.same({ 422, "A note has 1 to 200 characters." },
        { status, body })
    end
    assert.equal(413, (note(("x"):rep(5000))))
    assert.equal(403, (note("hi", "Origin: https://evil.example\r\n")))
    assert.equal(405, (request("GET", "/notes"):read_http()))
  end)

  it("end in order when the server does", function()
    local following, raw = follow()
    note "x"
    following()
    child:signal "TERM"
    assert.equal("", raw:chunk(kit.limit))
    assert.equal(0, child:ended(kit.limit))
  end)

  it("serve their page, and refuse ports that are taken or none", function()
    kit.has_page(child, "Notes by Event Stream")
    kit.refuses_ports "events"
  end)
end)
