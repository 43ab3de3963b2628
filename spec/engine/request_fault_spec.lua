-- Requests while an allocation fails, once and from then on: each is answered
-- as it should be, or with 503, or its connection ends; nothing is answered
-- twice, and the next one finds the server as it was. In builds with faults
-- only.

local t = require "spec.helper"
local core = require "evws.core"
local kit = require "spec.engine.kit"
local fail_at = kit.fail_at
local ws = t.ws

local piece = ("piece "):rep(20000)

local function on_request(r)
  if r.path == "/body" then return 200, "got " .. r.body end
  if r.path == "/slow" then
    ws.sleep(0.001)
    return 200, "slow"
  end
  if r.path == "/wide" then
    return 200, "wide", { ["X-Wide"] = ("w"):rep(40000) }
  end
  if r.path == "/small" then
    return 200, function(out)
      out:write "one "
      out:write "two"
    end
  end
  if r.path == "/pieces" then
    return 200, function(out)
      out:write "first "
      out:write(piece)
      out:drain(1)
      out:write " last"
    end
  end
  if r.path == "/counted" then
    return 200, function(out) out:write(piece) end,
      { ["Content-Length"] = tostring(#piece) }
  end
  return 200, "fine"
end

local streamed = { ["/pieces"] = "first " .. piece .. " last",
  ["/counted"] = piece, ["/small"] = "one two" }

local function get(path, more)
  return ("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(path, more or "")
end

local function post(body, more)
  return ("POST /body HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s")
    :format(more or "", #body, body)
end

local told

-- The next answer; its status must be 200 and its body that one. Also 500,
-- where the handler itself met the failure (whichever turn brings what, the
-- sleep of "/slow" can be its n-th allocation).
local function expect(raw, body, o)
  local status, _, got = raw:read_http(o)
  if not status or status == 503 then error("ended", 0) end
  if status == 500 and tostring(told):find "not enough memory" then
    error("ended", 0)
  end
  if status ~= 200 or got ~= body then
    error(("%d %.40s"):format(status, got))
  end
end

-- Each with a raw connection to a server. What is told as "ended" is that.
local scenes = {
  ["one after the other"] = function(raw)
    raw:send(get "/")
    expect(raw, "fine")
    raw:send(post "text")
    expect(raw, "got text")
  end,
  ["several at once"] = function(raw)
    raw:send(get "/" .. post "text" .. get "/slow" .. get "/")
    expect(raw, "fine")
    expect(raw, "got text")
    expect(raw, "slow")
    expect(raw, "fine")
  end,
  ["more while one is thought about"] = function(raw)
    raw:send(get "/slow")
    t.turn()
    raw:send(get "/" .. post(("long"):rep(5000)))
    expect(raw, "slow")
    expect(raw, "fine")
    expect(raw, "got " .. ("long"):rep(5000))
  end,
  ["in pieces"] = function(raw)
    local text = get("/", "X-Long: " .. ("l"):rep(3000) .. "\r\n")
      .. post(("body"):rep(3000))
    for from = 1, #text, 1400 do
      raw:send(text:sub(from, from + 1399))
      t.turn()
    end
    expect(raw, "fine")
    expect(raw, "got " .. ("body"):rep(3000))
  end,
  ["a body in chunks"] = function(raw)
    raw:send("POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n")
    t.turn()
    raw:send "3\r\none\r\n"
    t.turn()
    raw:send("3\r\ntwo\r\n0\r\n\r\n" .. get "/")
    local status, _, got = raw:read_http()
    if status == 100 then
      status, _, got = raw:read_http()
    end
    if not status or status == 503 then error("ended", 0) end
    assert(status == 200 and got == "got onetwo", got)
    expect(raw, "fine")
  end,
  ["wide fields"] = function(raw)
    raw:send(get "/wide" .. get "/")
    expect(raw, "wide")
    expect(raw, "fine")
  end,
  ["an upgrade, with a message behind it"] = function(raw)
    raw:send(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
      .. "Sec-WebSocket-Version: 13\r\nOrigin: http://a.test\r\n"
      .. "Sec-WebSocket-Protocol: a\r\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
      .. t.frame("text", "hello"))
    local status = raw:read_http()
    if status ~= 101 then error("ended", 0) end
    local f = raw:frame()
    if not f or f.opcode == 8 then error("ended", 0) end
    assert(f.payload == "hello")
  end,
  ["of HTTP/1.0, on a connection that stays"] = function(raw)
    for _ = 1, 2 do
      raw:send("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
      expect(raw, "fine")
    end
  end,
  ["what is refused"] = function(raw)
    raw:send(get "/nowhere")
    local status = raw:read_http()
    if not status or status == 503 then error("ended", 0) end
    assert(status == 404, status)
  end,
}

for path, body in pairs(streamed) do
  scenes["a body that is made: " .. path] = function(raw)
    raw:send(get(path) .. get "/")
    expect(raw, body)
    expect(raw, "fine")
  end
  scenes["a body that is made, of HTTP/1.0: " .. path] = function(raw)
    raw:send("GET " .. path .. " HTTP/1.0\r\nHost: x\r\n\r\n")
    expect(raw, body)
  end
end

describe("a request without memory", function()
  if not core.fail_at then
    it("is answered, or its connection ends", function()
      pending "built without WS_FAULT"
    end)
    return
  end

  local server, calm

  local function start(options)
    server = t.listen(options)
    calm = not options.proxy_protocol and t.bystander(server)
  end

  before_each(function()
    ws.on_error(function(_, message) told = message end)
  end)

  after_each(function()
    fail_at(0)
    t.cleanup()
    ws.on_error(nil)
  end)

  -- How many were opened or answered, and how many refused.
  local function counted()
    local stats, refused = server:stats(), 0
    for _, n in pairs(stats.refused) do refused = refused + n end
    return stats.opened + stats.requests, refused
  end

  -- `before` is what a connection sends first.
  local function sweep(scene, before, most)
    local kept = calm and 1 or 0
    for _, every in ipairs { false, true } do
      for n = 1, most do
        local raw, served, refused = t.raw(server), counted()
        raw:send(before)
        told = nil
        fail_at(n, every)
        local ok, why = pcall(scene, raw)
        fail_at(0)
        if not ok and not tostring(why):find "ended$"
          and not tostring(why):find "cut short" then
          error(("at %d: %s"):format(n, why), 0)
        end
        raw:close()
        t.wait(function() return server.connections == kept end,
          "the connection to end at " .. n)
        local now_served, now_refused = counted()
        local of_it = now_refused - refused
        if of_it > 1 or of_it == 0 and now_served == served then
          error(("at %d: refused %d times"):format(n, of_it), 0)
        end
      end
    end
    if calm then calm.check() end
    local raw = t.raw(server)
    raw:send(before)
    scene(raw)
    raw:close()
  end

  local function options(more)
    local own = { on_upgrade = function(r)
      if r.path == "/" then return { subprotocol = r.subprotocols[1] } end
      return 404
    end, on_message = t.echo, max_headers = 20, max_body = 1 << 20,
    on_request = function(r)
      if r.path == "/nowhere" then return 404, "no" end
      return on_request(r)
    end }
    for name, value in pairs(more or {}) do own[name] = value end
    return own
  end

  for name, scene in pairs(scenes) do
    it("is answered, or its connection ends: " .. name, function()
      local own = options()
      start(own)
      sweep(scene, "", 24)
    end)
  end

  it("comes through a proxy all the same", function()
    local own = options { proxy_protocol = true, max_per_address = 10,
      trusted_proxies = { "127.0.0.1" } }
    start(own)
    sweep(scenes["one after the other"],
      "PROXY TCP4 10.1.2.3 10.1.2.4 1000 2000\r\n", 24)
  end)

  it("counts for its address as long as it is there", function()
    local own = options { max_per_address = 3 }
    start(own)
    sweep(scenes["one after the other"], "", 24)
  end)
end)
