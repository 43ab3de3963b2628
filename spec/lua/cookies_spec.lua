-- ws.parse_cookies and ws.cookie (lua/evws/cookies.lua): RFC 6265.

local cookies = require "evws.cookies"
local parse, write = cookies.parse, cookies.write

local every_byte = {}
for code = 0, 255 do every_byte[#every_byte + 1] = string.char(code) end
every_byte = table.concat(every_byte)

describe("ws.parse_cookies", function()
  it("has the values by name", function()
    for field, values in pairs {
      ["SID=31d4d96e407aad42; lang=en-US"] = -- 3.1
        { SID = "31d4d96e407aad42", lang = "en-US" },
      [""] = {},
      ["a=1;b=2;  c=3\t; d = 4 "] = { a = "1", b = "2", c = "3", d = "4" },
      ["a=b=c; d=; =e; f; ; g=1"] = { a = "b=c", d = "", g = "1" },
      ["a=1; a=2; A=3"] = { a = "1", A = "3" },
      ['a="1 2"; b="; c=x"y'] = { a = "1 2", b = '"', c = 'x"y' },
      ["a=%41%20%zz%; b=100%"] = { a = "A %zz%", b = "100%" },
      ["xsid=1; sid=2; sid=3"] = { xsid = "1", sid = "2" },
      ["a=ä, b=2"] = { a = "ä, b=2" },
    } do
      assert.same(values, parse(field), field)
    end
    assert.same({}, parse(nil))
  end)

  it("looks at 256 of them", function()
    local list = {}
    for i = 1, 300 do list[i] = ("n%d=%d"):format(i, i) end
    local values = parse(table.concat(list, "; "))
    assert.same({ "256" }, { values.n256, values.n257 })
  end)

  it("takes its time for no field", function()
    for _, piece in ipairs { "=", ";", " ", "a=", '"', "%", "= ",
      "a \t" } do
      local before = os.clock()
      parse(piece:rep(32768 // #piece))
      assert.is_true(os.clock() - before < 2, piece)
    end
  end)

  it("raises for what is no string", function()
    assert.has_error(function() parse {} end,
      "bad argument #1 to 'parse_cookies' (string expected, got table)")
  end)
end)

describe("ws.cookie", function()
  it("is safe unless it is told otherwise", function()
    assert.equal("sid=31d4; Path=/; HttpOnly; SameSite=Lax",
      write("sid", "31d4"))
    assert.equal("sid=31d4", write("sid", "31d4",
      { path = false, http_only = false, same_site = false, secure = false }))
  end)

  it("has every attribute", function()
    assert.equal("a=; Max-Age=0; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
      .. "Domain=x.test; Path=/b c; Secure; HttpOnly; SameSite=None; "
      .. "Partitioned", write("a", "", { max_age = 0, expires = 784111777.9,
      domain = "x.test", path = "/b c", secure = true, same_site = "None",
      partitioned = true }))
    assert.equal("a=b; Max-Age=-1; Path=/; HttpOnly; SameSite=Strict",
      write("a", "b", { max_age = -1, same_site = "strict" }))
  end)

  it("carries any value there and back, and nothing out of it", function()
    for _, value in ipairs { "", "plain", "a b", 'a"b', "a;b", "a,b", "100%",
      "%41", "Müller", "x; Domain=evil.test", "x\r\nSet-Cookie: y=1", "\0",
      '"q"', every_byte } do
      local text = write("name", value)
      local octets = text:match "^name=([^;]*); Path=/; HttpOnly; SameSite=Lax$"
      assert.is_truthy(octets, text)
      assert.is_nil(octets:find '[^!#-+%-.-:<-Z%[%]^-~]') -- 4.1.1
      assert.same({ name = value }, parse("name=" .. octets))
    end
    assert.equal("a=eyJ.x-_~+/=:{}", (write("a", "eyJ.x-_~+/=:{}"):match
      "^[^;]*"))
  end)

  local caller = assert(load("local write = ...\nwrite(select(2, ...))\n"
    .. "return nil", "=app.lua"))

  local function refuses(why, ...)
    local ok, message = pcall(caller, write, ...)
    assert.is_false(ok)
    assert.equal("app.lua:2: " .. why, message)
  end

  it("raises for names and values that are none", function()
    for _, name in ipairs { "", "a b", "a=b", "a;b", "a\n", "ä", "a,b", '"' } do
      refuses(("bad argument #1 to 'cookie' (%q is no name of a cookie)")
        :format(name), name, "x")
    end
    write("!#$%&'*+-.^_`|~09azAZ", "x")
    refuses("bad argument #1 to 'cookie' (string expected, got nil)", nil, "x")
    refuses("bad argument #2 to 'cookie' (string expected, got number)", "a", 5)
    refuses("bad argument #3 to 'cookie' (table expected, got string)", "a",
      "b", "Secure")
    write("a", ("x"):rep(4094))
    for _, value in ipairs { ("x"):rep(4095), (";"):rep(1365) } do
      refuses("bad argument #2 to 'cookie' (name and value are longer than "
        .. "4096 bytes)", "a", value)
    end
  end)

  it("raises for attributes that are none", function()
    for option, values in pairs {
      max_age = { "whole seconds", 1.5, "60", true },
      expires = { "a time in seconds since 1970", -1, 1 / 0, 0 / 0, "x", 1e15 },
      domain = { "a host name", "a;b", "", "a b", 1, "a.test\n" },
      path = { "a path that begins with / and has no ;", "/;x", "a", "/\n", 1,
        "/ä", "" },
      secure = { "a boolean", 1, "yes" },
      http_only = { "a boolean", 0 },
      same_site = { '"strict", "lax" or "none"', "laxx", true, 1 },
    } do
      for i = 2, #values do
        local value = values[i]
        refuses(("bad option '%s' (%s expected, got %s)"):format(option,
          values[1], type(value) == "string" and ("%q"):format(value)
          or tostring(value)), "a", "b", { [option] = value })
      end
    end
    for wrong, right in pairs { httponly = "http_only", HttpOnly = "http_only",
      maxAge = "max_age", samesite = "same_site", Secure = "secure" } do
      refuses(("unknown option '%s' for 'cookie' (did you mean '%s'?)")
        :format(wrong, right), "a", "b", { [wrong] = 1 })
    end
    refuses("unknown option '1' for 'cookie'", "a", "b", { "Secure" })
  end)

  it("raises for what a browser drops without a word", function()
    local missing = "option 'secure' is missing (%s needs it)"
    refuses(missing:format 'same_site = "none"', "a", "b",
      { same_site = "none" })
    refuses(missing:format "'partitioned'", "a", "b", { partitioned = true })
    refuses(missing:format "a name that begins with __Host-", "__Host-a", "b")
    refuses(missing:format "a name that begins with __SECURE-", "__SECURE-a",
      "b", { secure = false })
    write("__Secure-a", "b", { secure = true, path = "/c", domain = "a.test" })
    write("__Host-a", "b", { secure = true })
    for _, options in ipairs { { path = "/c" }, { path = false },
      { domain = "a.test" } } do
      options.secure = true
      refuses("a name that begins with __Host- has the path / and no domain",
        "__Host-a", "b", options)
    end
  end)
end)
