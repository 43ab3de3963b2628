-- handshake.lua: the first record.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local cjson = require "cjson"
local handshake = require "evws.signalr.handshake"

local protocols = { json = { name = "json" },
  messagepack = { name = "messagepack", is_binary = true } }

local function refusal(record, can_binary)
  local protocol, answer = handshake.judge(record, protocols,
    can_binary ~= false)
  assert.is_nil(protocol)
  assert.equal("\30", answer:sub(-1))
  return cjson.decode(answer:sub(1, -2)).error
end

describe("the handshake", function()
  it("chooses the protocol, version 1 or 2", function()
    for _, record in ipairs { '{"protocol":"json","version":1}',
      '{"version":2.0,"protocol":"json","more":[1]}',
      '{"protocol":"json","version":0}', ' {"protocol":"json","version":1} ' }
    do
      assert.equal(protocols.json, (handshake.judge(record, protocols, false)))
    end
    assert.equal(protocols.messagepack, (handshake.judge(
      '{"protocol":"messagepack","version":1}', protocols, true)))
    assert.equal("{}\30", handshake.accepted)
  end)

  it("SR-2 refuses what is none", function()
    for _, record in ipairs { "", "x", "[]", "{}", "1", "\255",
      '{"protocol":"json"}', '{"version":1}', '{"protocol":1,"version":1}',
      '{"protocol":"json","version":"1"}', '{"protocol":"json","version":1.5}',
      '{"protocol":"json","version":1e999}',
      '{"protocol":null,"version":null}',
      '{"protocol":"json","version":1,"type":6}',
      '{"type":1,"target":"x","arguments":[]}',
      ('{"protocol":"json","version":1,"x":%s1%s}'):format(("["):rep(9),
        ("]"):rep(9)) } do
      assert.equal("An unexpected error occurred during connection handshake.",
        refusal(record))
    end
  end)

  it("SR-3 says which protocol or version it does not have", function()
    assert.equal("The protocol 'x\"y' is not supported.",
      refusal '{"protocol":"x\\"y","version":1}')
    assert.equal("The protocol 'JSON' is not supported.",
      refusal '{"protocol":"JSON","version":1}')
    assert.equal("The server does not support version 9 of the 'json' "
      .. "protocol.", refusal '{"protocol":"json","version":9}')
    assert.equal("Cannot use the 'messagepack' protocol on the current "
      .. "transport. The transport does not support 'Binary' transfer format.",
      refusal('{"protocol":"messagepack","version":1}', false))
  end)
end)
