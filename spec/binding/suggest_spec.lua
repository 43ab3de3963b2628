-- What is suggested to somebody who wrote a name that there is none of.

local t = require "spec.helper"
local ws = t.ws
local suggest = require "evws.core".suggest

local function said(fn, ...)
  local ok, why = pcall(fn, ...)
  assert.is_false(ok)
  return (why:gsub("^.-:%d+: ", ""))
end

local function of_listen(name)
  return said(ws.listen, { port = 0, [name] = true })
end

local function of_connect(name)
  return said(ws.connect, "ws://127.0.0.1:1", { [name] = true })
end

describe("a suggestion", function()
  after_each(t.cleanup)

  it("is the nearest name", function()
    local names = { "port", "path", "host", "on_message", "max_message",
      "certificate", "compression", "timeout" }
    for name, nearest in pairs { prot = "port", pth = "path", hosts = "host",
      onMessage = "on_message", ["max-message"] = "max_message",
      MaxMesage = "max_message", cert = "certificate", compress = "compression",
      timeout_seconds = "timeout", onmesage = "on_message" } do
      assert.equal(nearest, suggest(name, names), name)
    end
  end)

  it("is none where nothing is near", function()
    local names = { "port", "ca", "key", "path", "level" }
    for _, name in ipairs { "cert", "x", "", "_", "cat", "lexer_arm",
      ("port"):rep(30), "pxxh" } do
      local nearest = suggest(name, names)
      assert.is_true(nearest == nil or #name < 4, name .. " " ..
        tostring(nearest))
    end
    assert.is_nil(suggest("port", {}))
    assert.is_false((pcall(suggest, "port")))
  end)

  -- A slip: a letter more, less or other, or two that have changed places.
  it("forgives the more slips the longer the name is", function()
    local function check(is_near, pairs_of)
      for name, known in pairs(pairs_of) do
        assert.same({ name, is_near and known or nil },
          { name, suggest(name, { known }) })
      end
    end
    check(true, { abxd = "abcd", abd = "abcd", bacd = "abcd", abdc = "abcd",
      xbc = "abc", xabc = "abc", acbc = "abc", a = "ab", x = "y",
      axcye = "abcde", badce = "abcde", xyabc = "abc",
      axcdefx = "abcdefg", acdefx = "abcdefg", xbxdexgh = "abcdefgh",
      badcfegh = "abcdefgh", xbxdefgz = "abcdefg" })
    check(false, { abxy = "abcd", badc = "abcd", ab = "abcd", xab = "abc",
      xbydz = "abcde", xbxdexg = "abcdefg", badcfe = "abcdef",
      xbxdxfxh = "abcdefgh", efghijkl = "abcdefgh" })
  end)

  it("knows a beginning of four letters, on either side", function()
    for name, known in pairs { abcd = "abcdefghijkl", abcdefghijkl = "abcd",
      ["AB_CD-"] = "abcd_efghijkl" } do
      assert.equal(known, suggest(name, { known }))
    end
    assert.is_nil(suggest("abc", { "abcdefghijkl" }))
    assert.is_nil(suggest("abcdefghijkl", { "abc" }))
  end)

  it("looks at letters alone, in either case", function()
    for name, known in pairs { AA = "aa", ZZ = "zz", ["_m_Z-"] = "MZ",
      aa = "A-A", [("a"):rep(39)] = ("A_"):rep(39) } do
      assert.equal(known, suggest(name, { known }))
    end
    assert.is_nil(suggest(("a"):rep(40), { ("a"):rep(40) }))
  end)

  it("is the same name, a beginning or one with slips: in this order",
    function()
      for want, names in pairs {
        p_ort = { "ports", "p_ort", "port" },
        portability = { "pxrt", "portability" },
        ports = { "portability", "ports", "portal" },
        pxrt = { "pxrt", "pyrt" }, pyrt = { "pyrt", "pxrt" },
      } do
        assert.equal(want, suggest("port", names))
      end
      assert.equal("abxdefgh", suggest("abcdefgh", { "abxxefgh", "abxdefgh",
        "axxxefgh" }))
    end)

  it("is none for a name that is longer than all there are", function()
    for _, name in ipairs { ("x"):rep(40), ("port"):rep(60) } do
      assert.equal(("unknown option '%s' for 'listen'"):format(name),
        of_listen(name))
      assert.equal(("unknown option '%s' for 'connect'"):format(name),
        of_connect(name))
    end
  end)

  it("knows what other libraries call an option of both", function()
    for name, ours in pairs { on_connect = "on_open",
      on_connection = "on_open", onConnection = "on_open",
      on_disconnect = "on_close", max_payload = "max_message",
      maxPayload = "max_message", max_size = "max_message",
      ping_interval = "keepalive_interval",
      ping_timeout = "keepalive_timeout", ssl = "tls",
      cert = "tls.certificate", key = "tls.key", ca = "tls.ca",
      protocols = "subprotocols", protocol = "subprotocols",
      perMessageDeflate = "compression", insecure = "tls.verify",
      on_data = "on_message" } do
      local text = "unknown option '%s' for '%s' (did you mean '%s'?)"
      assert.equal(text:format(name, "listen", ours), of_listen(name))
      assert.equal(text:format(name, "connect", ours), of_connect(name))
    end
  end)

  it("knows what they call an option of one", function()
    for name, ours in pairs { bind = "host", address = "host",
      hostname = "host", root = "on_request = ws.static(directory)" } do
      assert.equal(("unknown option '%s' for 'listen' (did you mean '%s'?)")
        :format(name, ours), of_listen(name))
      assert.is_nil(of_connect(name):find("'" .. ours .. "'", 1, true))
    end
    assert.equal("unknown option 'uri' for 'connect' (the URL is the first "
      .. "argument)", of_connect "uri")
    assert.equal("unknown option 'handshake_timeout' for 'connect' (did you "
      .. "mean 'timeout'?)", of_connect "handshake_timeout")
  end)

  it("is of what a route can have", function()
    local server = t.listen { path = "/a" }
    local function of_route(name)
      return said(server.route, server, "/b", { [name] = true })
    end
    assert.equal("unknown option 'on_connect' for 'route' (did you mean "
      .. "'on_open'?)", of_route "on_connect")
    assert.equal("unknown option 'ssl' for 'route'", of_route "ssl")
    assert.equal("option 'port' belongs to 'listen', not to a route",
      of_route "port")
  end)

  it("is of the fields of an option too", function()
    assert.equal("bad option 'control_rate' (unknown field 'brust', did you "
      .. "mean 'burst'?)", said(ws.listen,
        { port = 0, control_rate = { brust = 1, rate = 1 } }))
    assert.equal("unknown option 'resaon' for 'close' (did you mean "
      .. "'reason'?)", said(function()
        t.listen {}:close { resaon = "x" }
      end))
    assert.equal("unknown option 'tls.cert' for 'listen' (did you mean "
      .. "'tls.certificate'?)", said(ws.listen,
        { port = 0, tls = { cert = "x" } }))
  end)
end)
