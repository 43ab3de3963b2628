-- ws.parse_form (lua/evws/form.lua).

local t = require "spec.helper"
local parse = require "evws.form"

local function request(kind, body)
  return { headers = { ["content-type"] = kind }, body = body }
end

-- Each part: its head, and its body.
local function multipart(parts, boundary)
  local lines = {}
  for _, part in ipairs(parts) do
    lines[#lines + 1] = ("--%s\r\n%s\r\n\r\n%s\r\n"):format(boundary or "b",
      part[1], part[2])
  end
  lines[#lines + 1] = ("--%s--\r\n"):format(boundary or "b")
  return request("multipart/form-data; boundary=" .. (boundary or "b"),
    table.concat(lines))
end

local function field(name, value)
  return { ('Content-Disposition: form-data; name="%s"'):format(name), value }
end

local function file(name, of, value, more)
  return { ('Content-Disposition: form-data; name="%s"; filename="%s"%s')
    :format(name, of, more or ""), value }
end

describe("ws.parse_form", function()
  after_each(t.cleanup)

  it("reads a form that is written like a query", function()
    for _, kind in ipairs { "application/x-www-form-urlencoded",
      "APPLICATION/X-WWW-Form-URLEncoded; charset=UTF-8" } do
      assert.same({ { a = "1 ä", b = "" }, {} },
        { parse(request(kind, "a=1+%C3%A4&b=&a=2")) })
      assert.same({ {}, {} }, { parse(request(kind, "")) })
    end
  end)

  it("reads one in parts, as a browser writes it", function()
    -- RFC 7578 4.2, and what Chromium and Firefox send
    local boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    local form, files = parse(multipart({
      field("name", "Anna Müller"), field("a%22b%0D%0Ac", "x"),
      field("empty", ""), field("lines", "1\r\n--\r\n--" .. boundary:sub(1, 9)),
      file("photo", "cat 1.png", "\0\r\n\r\n\255",
        "\r\nContent-Type: image/png"),
      file("photo", "C:\\a\\dog.png", "x"), file("none", "", ""),
      file("pasted", "", "y"), field("name", "another"),
    }, boundary))
    assert.same({ name = "Anna Müller", ['a"b\r\nc'] = "x", empty = "",
      lines = "1\r\n--\r\n--" .. boundary:sub(1, 9) }, form)
    assert.same({
      { field = "photo", name = "cat 1.png", type = "image/png",
        body = "\0\r\n\r\n\255" },
      { field = "photo", name = "dog.png", type = "application/octet-stream",
        body = "x" },
      { field = "pasted", name = "", type = "application/octet-stream",
        body = "y" },
    }, files)
  end)

  it("reads it in other hands' writing", function()
    local body = "to be ignored\r\n--a b  \t\r\n"
      .. "content-type: text/plain\r\nCONTENT-DISPOSITION:form-data ;name=x\r\n"
      .. "\r\n1\r\n--a b\r\nContent-Disposition: form-data; filename*=UTF-8''z;"
      .. ' name="a\\"; name=b\\\\"\r\n\r\n2\r\n--a b\r\n'
      .. "Content-Disposition: form-data; name=c\r\n\r\n--a b--\r\n--a b\r\nno"
    for _, kind in ipairs { 'Multipart/Form-Data; a=b;Boundary="a b"',
      'multipart/form-data;x="; boundary=c";  boundary="a b";boundary=d' } do
      assert.same({ { x = "1", ['a"; name=b\\'] = "2", c = "" }, {} },
        { parse(request(kind, body)) })
    end
    assert.same({ {}, {} }, { parse(request("multipart/form-data; boundary=b",
      "--b--")) })
  end)

  it("never gives a file a name with directories", function()
    for name, left in pairs { ["../../etc/passwd"] = "passwd",
      ["/etc/passwd"] = "passwd", ["a\\..\\.."] = "", [".."] = "",
      ["a/"] = "", ["."] = "", [".a"] = ".a" } do
      local _, files = parse(multipart { file("f", name, "x") })
      assert.equal(left, files[1].name)
    end
  end)

  it("says what is wrong with one", function()
    local whole = multipart { field("a", "1"), field("b", "2") }
    for n = 0, #whole.body - 5 do
      local form, why = parse(request(whole.headers["content-type"],
        whole.body:sub(1, n)))
      assert.same({ nil, "the form is cut short" }, { form, why })
    end
    for why, parts in pairs {
      ["a part without Content-Disposition: form-data"] = {
        { "Content-Type: text/plain", "1" }, { "", "1" }, { "no field", "1" },
        { "Content-Disposition: attachment; name=a", "1" },
        { "Content-Disposition: form-data; name=a\r\n folded", "1" } },
      ["a part without a name"] = {
        { "Content-Disposition: form-data; filename=a", "1" },
        { "Content-Disposition: form-data;", "1" } },
      ["the head of a part is too long"] = {
        { "Content-Disposition: form-data; name=a\r\nX: " .. ("x"):rep(8192),
          "1" } },
    } do
      for _, part in ipairs(parts) do
        assert.same({ nil, why }, { parse(multipart { field("a", "1"),
          part }) })
      end
    end
    for _, kind in ipairs { "multipart/form-data", "multipart/form-data; b=c",
      "multipart/form-data; boundary=", 'multipart/form-data; boundary="a "',
      "multipart/form-data; boundary=" .. ("b"):rep(71) } do
      assert.same({ nil, "the form has no boundary" },
        { parse(request(kind, "--b--")) })
    end
  end)

  it("says what is none", function()
    assert.same({ nil, "no form: application/json" },
      { parse(request("application/json", "{}")) })
    assert.same({ nil, "no form: no Content-Type" },
      { parse(request(nil, "a=1")) })
    assert.has_error(function() parse "a=1" end,
      "bad argument #1 to 'parse_form' (a request expected, got string)")
  end)

  it("raises at the caller's line for what is no request", function()
    for got, given in pairs { string = "a=1", boolean = false,
      table = { headers = "x" } } do
      local line = debug.getinfo(1, "l").currentline + 2
      local ok, why = pcall(function()
        local form = parse(given)
        return form
      end)
      assert.is_false(ok)
      assert.equal(("spec/lua/form_spec.lua:%d: bad argument #1 to "
        .. "'parse_form' (a request expected, got %s)"):format(line, got), why)
    end
  end)

  it("takes heads of 8192 bytes, and no head at all for none", function()
    local function part(length)
      local head = "Content-Disposition: form-data; name=a\r\nX: "
      return multipart { { head .. ("x"):rep(length - #head - 4), "1" } }
    end
    assert.same({ { a = "1" }, {} }, { parse(part(8192)) })
    assert.same({ nil, "the head of a part is too long" },
      { parse(part(8193)) })
    assert.same({ nil, "a part without Content-Disposition: form-data" },
      { parse(request("multipart/form-data; boundary=b",
        "--b\r\n\r\n1\r\n--b--\r\n")) })
    local longest = ("b"):rep(70)
    assert.same({ { a = "1" }, {} }, { parse(multipart({ field("a", "1") },
      longest)) })
  end)

  it("has a bound for parts", function()
    local parts = {}
    for i = 1, 256 do parts[i] = field("n" .. i, "1") end
    assert.equal("1", parse(multipart(parts)).n256)
    parts[257] = field("a", "1")
    assert.same({ nil, "the form has too many parts" },
      { parse(multipart(parts)) })
  end)

  it("takes its time for no body", function()
    for _, piece in ipairs { "\r\n", "\r\n--", "\r\n--b", "-", "\r\n\r\n",
      "\r\n--b\r\n" } do
      local before = os.clock()
      local part = ("--b\r\nContent-Disposition:  %s\r\n\r\n\r\n"):format(
        piece:gsub("\r\n", " "):rep(1000))
      parse(request("multipart/form-data; boundary=b", part:rep(200)))
      parse(request("multipart/form-data; boundary=bb",
        piece:rep(2 ^ 20 // #piece | 0)))
      parse(request("multipart/form-data; boundary=b",
        piece:rep(2 ^ 20 // #piece | 0)))
      parse(request(("multipart/form-data; x=\"%s"):format(
        piece:rep(8000 // #piece)), ""))
      assert.is_true(os.clock() - before < 2, piece)
    end
  end)

  it("is there for what a server is sent, within max_body", function()
    local server = t.listen { max_body = 1000, on_request = function(r)
      local form, files = t.ws.parse_form(r)
      if not form then return 400, files end
      return 200, form.a .. files[1].body
    end }
    local body = multipart { field("a", "1"), file("f", "x", "2") }
    local function post(length)
      local raw = t.raw(server)
      raw:send(("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n"
        .. "Content-Length: %d\r\n\r\n%s"):format(
        body.headers["content-type"], length, body.body))
      local status, _, text = raw:read_http()
      return status, text
    end
    assert.same({ 200, "12" }, { post(#body.body) })
    assert.same({ 400, "the form is cut short" }, { post(#body.body - 5) })
    assert.equal(413, (post(1001)))
  end)
end)
