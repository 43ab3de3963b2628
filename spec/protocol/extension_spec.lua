-- The negotiation of permessage-deflate, RFC 7692 5 and 7.1, in both roles.

local deflate = require "evws_probe".deflate

local name = "permessage-deflate"
local no_takeover = "; server_no_context_takeover; client_no_context_takeover"

local function head(first, values)
  local lines = { first }
  for _, value in ipairs(type(values) == "table" and values or { values }) do
    lines[#lines + 1] = "Sec-WebSocket-Extensions: " .. value
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function choose(values, wish)
  return deflate.choose(head("GET / HTTP/1.1", values), wish or {})
end

local function check(values, wish)
  return deflate.check(head("HTTP/1.1 101 Switching Protocols", values),
    wish)
end

local function declines(values, wish)
  assert.is_nil((choose(values, wish)))
end

local both = { server_takeover = true, client_takeover = true }

local function with(base, fields)
  local copy = {}
  for k, v in pairs(base) do copy[k] = v end
  for k, v in pairs(fields) do copy[k] = v end
  return copy
end

-- { offer, wish, answer without the name, agreed on where it is not obvious }
local accepted = {
  { "permessage-deflate", {}, no_takeover },
  { "permessage-deflate", both, "" },
  { "PerMessage-Deflate", both, "" },
  { "permessage-deflate; server_no_context_takeover", both,
    "; server_no_context_takeover" },
  { "permessage-deflate; client_no_context_takeover", both,
    "; client_no_context_takeover" },
  { "permessage-deflate; client_max_window_bits", both, "",
    { client_bits = 15 } },
  -- a hint that is not taken up is none
  { "permessage-deflate; client_max_window_bits=12", both, "",
    { client_bits = 15 } },
  { 'permessage-deflate; client_max_window_bits="12"', both, "",
    { client_bits = 15 } },
  { "permessage-deflate ;\t client_max_window_bits = 10 ", both, "",
    { client_bits = 15 } },
  { "permessage-deflate; client_max_window_bits=8", both, "",
    { client_bits = 15 } },
  { "permessage-deflate; client_max_window_bits=15",
    with(both, { client_bits = 14 }), "; client_max_window_bits=14",
    { client_bits = 14 } },
  { "permessage-deflate; client_max_window_bits=10",
    with(both, { client_bits = 10 }), "; client_max_window_bits=10",
    { client_bits = 10 } },
  { "permessage-deflate; client_max_window_bits=8",
    with(both, { client_bits = 9 }), "; client_max_window_bits=8",
    { client_bits = 8 } },
  { "permessage-deflate; client_max_window_bits=8; "
    .. "server_max_window_bits=10", with(both, { client_bits = 14 }),
    "; server_max_window_bits=10; client_max_window_bits=8",
    { client_bits = 8, server_bits = 10 } },
  { "permessage-deflate; client_max_window_bits",
    with(both, { client_bits = 10 }), "; client_max_window_bits=10",
    { client_bits = 10 } },
  { "permessage-deflate; client_max_window_bits=9",
    with(both, { client_bits = 10 }), "; client_max_window_bits=9",
    { client_bits = 9 } },
  { "permessage-deflate; client_max_window_bits=12",
    with(both, { client_bits = 10 }), "; client_max_window_bits=10",
    { client_bits = 10 } },
  { "permessage-deflate", with(both, { client_bits = 10 }), "",
    { client_bits = 15 } },
  { "permessage-deflate; server_max_window_bits=9", both,
    "; server_max_window_bits=9", { server_bits = 9 } },
  { "permessage-deflate; server_max_window_bits=15", both,
    "; server_max_window_bits=15", { server_bits = 15 } },
  { "permessage-deflate; server_max_window_bits=14",
    with(both, { server_bits = 11 }), "; server_max_window_bits=11",
    { server_bits = 11 } },
  { "permessage-deflate; server_max_window_bits=10",
    with(both, { server_bits = 11 }), "; server_max_window_bits=10",
    { server_bits = 10 } },
  { "permessage-deflate", with(both, { server_bits = 11 }),
    "; server_max_window_bits=11", { server_bits = 11 } },
  { "permessage-deflate", { server_takeover = true },
    "; client_no_context_takeover" },
  { "permessage-deflate", { client_takeover = true },
    "; server_no_context_takeover" },
  -- the first that is acceptable
  { "x-webkit-deflate-frame, permessage-deflate", both, "" },
  { "permessage-deflate; server_max_window_bits=8, permessage-deflate",
    both, "" },
  { "permessage-deflate; what=1, permessage-deflate; what, "
    .. "permessage-deflate; server_max_window_bits=9, permessage-deflate",
    both, "; server_max_window_bits=9" },
  { { "foo; bar=\"a,b;c\"", "", "permessage-deflate" }, both, "" },
  { ", ,permessage-deflate,,", both, "" },
}

describe("a server, asked for an extension", function()
  for _, case in ipairs(accepted) do
    local offer, wish, answer, want = table.unpack(case)
    local title = type(offer) == "table" and table.concat(offer, " | ")
      or offer
    it(("answers '%s' with '%s'"):format(title, answer), function()
      local agreed, text = choose(offer, wish)
      assert.equal(name .. answer, text)
      for key, value in pairs(want or {}) do
        assert.equal(value, agreed[key])
      end
      assert.equal(not text:find "server_no", agreed.server_takeover)
      assert.equal(not text:find "client_no", agreed.client_takeover)
    end)
  end

  it("declines what it does not know", function()
    declines "x-webkit-deflate-frame"
    declines "permessage-bzip2; a=1"
    declines "permessage-deflate2"
    declines {}
    declines ""
  end)

  it("declines an offer that asks it for a window of 256 bytes", function()
    declines "permessage-deflate; server_max_window_bits=8"
  end)

  it("BI-21 declines bad, unknown and repeated parameters", function()
    local values = { "", "=", "=7", "=16", "=99", "=-1", "=+9", "=08", "=09",
      "=0x9", '="7"', '="09"', '="+9"', "=9.0", "=150", '=""', '="1\\5"',
      "=20", "=1-", "=9 9", "= ,=9" }
    for _, value in ipairs(values) do
      declines(name .. "; server_max_window_bits" .. value)
      if value ~= "" then
        declines(name .. "; client_max_window_bits" .. value)
      end
    end
    for _, params in ipairs { "server_no_context_takeover=true",
      "client_no_context_takeover=1", "x", "x=y",
      "server_no_context_takeover; server_no_context_takeover",
      "client_no_context_takeover; client_no_context_takeover",
      "client_max_window_bits; client_max_window_bits=9",
      "server_max_window_bits=9; server_max_window_bits=9",
      "client_max_window_bits=\"\\c\"" } do
      declines(name .. "; " .. params)
    end
  end)

  it("declines everything when the field is no list of extensions", function()
    for _, value in ipairs { ";", "=", "permessage-deflate;",
      "permessage-deflate; ;", "permessage-deflate; =9", "permessage deflate",
      "permessage-deflate, a b", "permessage-deflate, \"x\"",
      "permessage-deflate; x=\"unclosed", "permessage-deflate; x=\"a b\"",
      "permessage-deflate; x=\"a\\\"", "(permessage-deflate)", "a=b",
      "permessage-deflate; a; b=;" } do
      declines(value)
    end
    declines { name, "a b" }
  end)

  it("BI-22 takes time in proportion to the field's length", function()
    local function cpu(value)
      local text = head("GET / HTTP/1.1", value)
      local best = math.huge
      for _ = 1, 5 do
        local from = os.clock()
        for _ = 1, 20 do deflate.choose(text, {}) end
        best = math.min(best, os.clock() - from)
      end
      return best
    end
    local shapes = {
      function(n) return 'a; b="' .. ("\\c"):rep(n // 2) end,
      function(n) return "a; b" .. (" "):rep(n) .. "x" end,
      function(n) return (","):rep(n) .. "a" end,
      function(n) return "a" .. ("; b"):rep(n // 3) end,
      function(n) return ("a; b=\"\", "):rep(n // 9) .. "c" end,
    }
    for i, shape in ipairs(shapes) do
      local small, large = cpu(shape(1 << 17)), cpu(shape(1 << 19))
      assert.is_true(large < small * 4 * 2.2,
        ("shape %d: %.6f s, then %.6f s"):format(i, small, large))
    end
  end)

  it("BI-22 knows no names of Lua's own", function()
    for _, word in ipairs { "__index", "__gc", "__metatable" } do
      declines(word)
      declines(name .. "; " .. word)
    end
  end)

  it("BI-23 takes the first acceptable of many offers", function()
    for _, n in ipairs { 1, 2, 3, 50, 200 } do
      local agreed, text = choose((name .. "; server_max_window_bits=9, ")
        :rep(n) .. name, both)
      assert.equal(9, agreed.server_bits)
      assert.equal(name .. "; server_max_window_bits=9", text)
      text = select(2, choose(("x, " .. name .. "; x, "):rep(n) .. name,
        both))
      assert.equal(name, text)
    end
  end)
end)

describe("a client's offer", function()
  it("says what it wishes for", function()
    assert.equal(name .. no_takeover .. "; client_max_window_bits",
      deflate.offer {})
    assert.equal(name .. "; client_max_window_bits", deflate.offer(both))
    assert.equal(name .. "; server_max_window_bits=9"
      .. "; client_max_window_bits=10",
      deflate.offer(with(both, { server_bits = 9, client_bits = 10 })))
    assert.equal("", deflate.offer())
  end)

  it("is acceptable to a server, whatever either wishes for", function()
    for _, s in ipairs { 9, 12, 15 } do for _, c in ipairs { 9, 12, 15 } do
      for takeover = 0, 15 do
        local function wish(a, b)
          return { server_bits = a, client_bits = b,
            server_takeover = takeover & 1 > 0,
            client_takeover = takeover & 2 > 0 }
        end
        local ours = wish(s, c)
        local theirs = with(wish(c, s), {
          server_takeover = takeover & 4 > 0,
          client_takeover = takeover & 8 > 0 })
        local agreed, answer = choose(deflate.offer(ours), theirs)
        local got, why = check(answer, ours)
        assert(got, why)
        -- a client may keep to less than it is asked to
        assert.equal(math.min(c, s), got.client_bits)
        assert.equal(s < 15 and math.min(c, s) or 15, agreed.client_bits)
        agreed.client_bits = got.client_bits
        assert.same(agreed, got)
      end
    end end
  end)
end)

describe("a client, answered", function()
  it("goes without compression when it was declined", function()
    assert.is_false(check({}, both))
    assert.is_false(check("", both))
  end)

  it("keeps to the answer", function()
    assert.same({ server_takeover = true, client_takeover = true,
      server_bits = 15, client_bits = 15 }, check(name, both))
    assert.same({ server_takeover = false, client_takeover = true,
      server_bits = 10, client_bits = 9 },
      check(name .. "; server_no_context_takeover; server_max_window_bits=10"
        .. "; client_max_window_bits=9", both))
    assert.same({ server_takeover = true, client_takeover = false,
      server_bits = 15, client_bits = 15 },
      check(name .. "; client_no_context_takeover", both))
    assert.equal(8, check(name .. "; client_max_window_bits=8",
      both).client_bits)
    assert.equal(8, check(name .. "; server_max_window_bits=8",
      both).server_bits)
  end)

  local function fails(values, wish, why)
    local agreed, got = check(values, wish)
    assert.is_nil(agreed)
    assert.equal(why, got)
  end

  it("fails on an extension that it has not offered", function()
    local why = "an extension that was not offered"
    fails(name, nil, why)
    fails("foo", both, why)
    fails("foo", nil, why)
    fails({ name, "foo" }, both, why)
    fails(name .. ", " .. name, both, why)
    fails({ name, name }, both, why)
  end)

  it("fails on what is no list of extensions", function()
    for _, value in ipairs { "a b", ";", name .. ";", name .. "; =",
      name .. '; x="' } do
      fails(value, both, "a malformed extension")
    end
  end)

  it("BI-21 fails on bad, unknown and repeated parameters", function()
    local why = "bad parameters of permessage-deflate"
    for _, params in ipairs { "x", "x=1", "client_max_window_bits",
      "client_max_window_bits=7", "client_max_window_bits=16",
      "client_max_window_bits=010", "server_max_window_bits",
      "server_max_window_bits=7", "server_max_window_bits=16",
      "server_no_context_takeover=1", "client_no_context_takeover=1",
      "server_no_context_takeover; server_no_context_takeover",
      "client_no_context_takeover; client_no_context_takeover",
      "server_max_window_bits=9; server_max_window_bits=9",
      "client_max_window_bits=9; client_max_window_bits=9" } do
      fails(name .. "; " .. params, both, why)
    end
    fails(name .. "; client_max_window_bits=12",
      with(both, { client_bits = 11 }), why)
  end)

  it("may bear that the server keeps its context", function()
    local wish = { bears_takeover = true }
    assert.equal(deflate.offer {}, deflate.offer(wish))
    local agreed = { server_takeover = true, client_takeover = false,
      server_bits = 15, client_bits = 15 }
    assert.same(agreed, check(name, wish))
    assert.same(agreed, check(name .. "; client_no_context_takeover", wish))
    assert.same(with(agreed, { server_bits = 10, client_bits = 9 }),
      check(name .. "; server_max_window_bits=10; client_max_window_bits=9",
        wish))
    assert.is_false(check(name .. no_takeover, wish).server_takeover)
    assert.is_false(check("", wish))
    -- but nothing else
    fails(name, with(wish, { server_bits = 10 }),
      "permessage-deflate with too large a window")
    fails(name .. "; x", wish, "bad parameters of permessage-deflate")
    fails(name .. ", " .. name, wish, "an extension that was not offered")
  end)

  it("fails when what it demanded is not granted", function()
    fails(name, { client_takeover = true },
      "permessage-deflate with the server's context takeover")
    local small = with(both, { server_bits = 10 })
    local why = "permessage-deflate with too large a window"
    fails(name, small, why)
    fails(name .. "; server_max_window_bits=11", small, why)
    assert.equal(10, check(name .. "; server_max_window_bits=10",
      small).server_bits)
    assert.equal(9, check(name .. "; server_max_window_bits=9",
      small).server_bits)
  end)
end)
