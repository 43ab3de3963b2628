-- src/protocol/handshake_client.c: the opening handshake of RFC 6455 4.1, the
-- client's side.

local handshake = require "evws_probe".handshake

local protocol_error = -1002

local key = "dGhlIHNhbXBsZSBub25jZQ=="
local accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

local function head(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

describe("handshake of a client", function()
  it("asks as the RFC does (1.2)", function()
    local bytes = handshake.write_request {
      host = "server.example.com", target = "/chat", key = key,
      origin = "http://example.com", subprotocols = "chat, superchat",
      fields = "Authorization: Basic Og==\r\nX: y\r\n",
    }
    assert.equal(head("GET /chat HTTP/1.1", "Host: server.example.com",
      "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: " .. key, "Origin: http://example.com",
      "Sec-WebSocket-Protocol: chat, superchat",
      "Authorization: Basic Og==", "X: y"), bytes)
    assert.is_true(handshake.check(bytes).is_upgrade)
  end)

  it("asks with no more than it has to", function()
    local bytes = handshake.write_request {
      host = "a", target = "/", key = key
    }
    assert.equal(head("GET / HTTP/1.1", "Host: a", "Upgrade: websocket",
      "Connection: Upgrade", "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: " .. key), bytes)
    assert.is_true(handshake.check(bytes).is_upgrade)
  end)

  local function answer(...)
    return head("HTTP/1.1 101 Switching Protocols", ...)
  end

  local up, connection = "Upgrade: websocket", "Connection: Upgrade"
  local accepted = "Sec-WebSocket-Accept: " .. accept

  local function fails(list, offered)
    for _, bytes in ipairs(list) do
      local result, err, why = handshake.check_answer(bytes, key, offered)
      assert.is_nil(result, bytes)
      assert.equal(protocol_error, err)
      assert.is_truthy(why:find "^[%w './-]+$", why)
    end
  end

  it("takes the answer of the RFC (1.2) and of our server", function()
    local bytes = answer(up, connection, accepted,
                         "Sec-WebSocket-Protocol: chat")
    assert.equal("chat", handshake.check_answer(bytes, key, "chat, superchat"))
    assert.is_false(handshake.check_answer(handshake.write_101(key), key))
    assert.equal("b", handshake.check_answer(handshake.write_101(key, "b"), key,
                                             "a,b"))
  end)

  it("takes an answer however its fields are written", function()
    for _, bytes in ipairs {
      answer("upgrade: WebSocket", "connection: upgrade", accepted),
      answer("UPGRADE:websocket", "CONNECTION: keep-alive, Upgrade", accepted),
      answer(up, connection, "sec-websocket-accept:\t" .. accept .. " \t"),
      answer(up, "Connection: x", connection, "Server: y", accepted),
      answer(accepted, connection, up, "Content-Length: 0"),
      -- folded (RFC 9112 5.2)
      answer("Upgrade:", " websocket", "Connection:", "\tkeep-alive,",
             "\tUpgrade", "Sec-WebSocket-Accept: ", " " .. accept, " "),
    } do
      assert.is_false(handshake.check_answer(bytes, key))
    end
  end)

  it("refuses an answer that does not switch (4.1)", function()
    fails {
      answer(connection, accepted), answer(up, accepted),
      answer(up, up, connection, accepted),
      answer("Upgrade: h2c", connection, accepted),
      answer("Upgrade: websocket, h2c", connection, accepted),
      answer("Upgrade:", connection, accepted),
      answer(up, "Connection: keep-alive", accepted),
      answer(up, "Connection: upgraded", accepted),
      head("HTTP/1.0 101 Switching Protocols", up, connection, accepted),
    }
  end)

  it("wants the right Sec-WebSocket-Accept, once (4.1)", function()
    fails {
      answer(up, connection), answer(up, connection, accepted, accepted),
      answer(up, connection, accepted, "Sec-WebSocket-Accept: x"),
      answer(up, connection, "Sec-WebSocket-Accept:"),
      answer(up, connection, "Sec-WebSocket-Accept: " .. key),
      answer(up, connection, "Sec-WebSocket-Accept: " .. accept:lower()),
      answer(up, connection, "Sec-WebSocket-Accept: " .. accept:sub(1, -2)),
      answer(up, connection, "Sec-WebSocket-Accept: " .. accept .. "="),
      answer(up, connection, "Sec-WebSocket-Accept: \"" .. accept .. "\""),
    }
    local bytes = answer(up, connection, accepted)
    assert.is_nil((handshake.check_answer(bytes, "AAAAAAAAAAAAAAAAAAAAAA==")))
  end)

  it("refuses extensions, as none were offered (4.1)", function()
    fails {
      answer(up, connection, accepted,
             "Sec-WebSocket-Extensions: permessage-deflate"),
      answer(up, connection, accepted, "Sec-WebSocket-Extensions: x"),
    }
  end)

  it("takes one sub-protocol of those offered (4.1)", function()
    local function chosen(...) return answer(up, connection, accepted, ...) end
    local name = "Sec-WebSocket-Protocol: "
    assert.is_false(handshake.check_answer(chosen(), key, "chat"))
    assert.equal("chat", handshake.check_answer(chosen(name, " chat"), key,
                                                "chat"))
    for _, offered in ipairs { "", "chat" } do
      for _, line in ipairs { name, name .. "\t ", name:sub(1, -2) } do
        local _, err, why = handshake.check_answer(chosen(line), key, offered)
        assert.same({ protocol_error, "an empty Sec-WebSocket-Protocol" },
                    { err, why })
      end
    end
    fails { chosen(name .. "chat"), chosen(name) }
    fails({
      chosen(name .. "other"), chosen(name .. "CHAT"), chosen(name),
      chosen(name .. "chat, v2"), chosen(name .. "cha"),
      chosen(name .. "chats"), chosen(name .. "chat", name .. "chat"),
      chosen(name .. "v2", name .. "chat"),
      chosen(name .. "chat,"), chosen(name .. "\"chat\""),
      chosen(name .. "ch", " at"), chosen(name, name .. "chat"),
    }, "chat, v2")
  end)
end)
