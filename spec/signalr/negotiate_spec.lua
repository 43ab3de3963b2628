-- negotiate.lua: ids, versions, answers.

if not pcall(require, "cjson") then
  describe("what needs lua-cjson", function()
    pending "is skipped: it is not installed"
  end)
  return
end

local cjson = require "cjson"
local negotiate = require "evws.signalr.negotiate"

describe("negotiation", function()
  it("SR-28 knows the versions 0 and 1", function()
    for text, version in pairs { [""] = 0, ["0"] = 0, ["1"] = 1, ["2"] = 1,
      ["99"] = 1, ["-1"] = -1 } do
      if version >= 0 then
        assert.equal(version, (negotiate.version(text, 0)))
      else
        assert.is_nil((negotiate.version(text, 0)))
      end
    end
    assert.equal(0, (negotiate.version(nil, 0)))
    for _, text in ipairs { "abc", "1.5", "0x1", "1e0", ("9"):rep(40),
      '"<', "\255" } do
      local version, body = negotiate.version(text, 0)
      assert.is_nil(version)
      assert.is_truthy(cjson.decode(body).error:find("invalid protocol version",
        1, true))
    end
    assert.equal("The client requested version '0', but the server does not "
      .. "support this version.", cjson.decode(select(2,
      negotiate.version(nil, 1))).error)
    assert.equal(1, (negotiate.version("1", 1)))
  end)

  it("answers with what there is", function()
    local session = { id = "the-id", token = "the-token" }
    local all = { "WebSockets", "ServerSentEvents", "LongPolling" }
    local both = { "Text", "Binary" }
    assert.same({
      negotiateVersion = 1, connectionId = "the-id",
      connectionToken = "the-token", useStatefulReconnect = true,
      availableTransports = {
        { transport = "WebSockets", transferFormats = both },
        { transport = "ServerSentEvents", transferFormats = { "Text" } },
        { transport = "LongPolling", transferFormats = both },
      },
    }, cjson.decode(negotiate.answer(session, 1, all, true)))
    assert.same({
      negotiateVersion = 0, connectionId = "the-id",
      availableTransports = {
        { transport = "LongPolling", transferFormats = both } },
    }, cjson.decode(negotiate.answer(session, 0, { "LongPolling" })))
  end)
end)
