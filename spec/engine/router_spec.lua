-- Which route a path belongs to (src/engine/router.c).

local router = require "evws_probe".router

local function found(patterns, path)
  local pattern, params = router.find(patterns, path)
  return pattern, params
end

describe("a pattern", function()
  it("is a path of text, parameters and at most a wildcard at its end",
    function()
      for _, pattern in ipairs { "/", "/ws", "/ws/", "/a/b.c/d-e", "/:id",
        "/chat/:room", "/chat/:room/:_user1/", "/*", "/files/*", "/a//b",
        "/:a/x/*", "/caf%C3%A9", "/caf\u{E9}", "/a:b", "/100%", "/:x1" } do
        assert.is_true((router.is_pattern(pattern)), pattern)
      end
    end)

  it("is nothing else, and says why", function()
    for pattern, why in pairs {
      [""] = "does not start with '/'", ["ws"] = "does not start with '/'",
      ["*"] = "does not start with '/'", ["/a b"] = "no path does",
      ["/a?b"] = "no path does", ["/a#b"] = "no path does",
      ["/\n"] = "no path does", ["/\127"] = "no path does",
      ["/caf\xE9"] = "not UTF-8", ["/\xC3"] = "not UTF-8",
      ["/*/a"] = "last segment", ["/a*"] = "segment of its own",
      ["/a/**"] = "segment of its own", ["/:"] = "a parameter is",
      ["/:1"] = "a parameter is", ["/:a-b"] = "a parameter is",
      ["/:a/:a"] = "named twice", ["/:a/b/:a/c"] = "named twice"
    } do
      local is, text = router.is_pattern(pattern)
      assert.is_false(is, pattern)
      assert.is_truthy(text:find(why, 1, true), pattern .. ": " .. text)
    end
  end)

  it("is taken by one for the same paths", function()
    local patterns = { "/chat/:room", "/files/*", "/a" }
    for pattern, is_taken in pairs { ["/chat/:name"] = true,
      ["/chat/lobby"] = false, ["/chat/*"] = false, ["/files/*"] = true,
      ["/files/:x"] = false, ["/a"] = true, ["/a/"] = false, ["/b"] = false,
      ["/chat"] = false, ["/%61"] = true, ["/ch%61t/:x"] = true,
      ["/%41"] = false } do
      assert.equal(is_taken, router.is_taken(patterns, pattern), pattern)
    end
  end)
end)

describe("a path", function()
  it("belongs to the pattern it equals", function()
    local patterns = { "/", "/ws", "/ws/", "/ws/a", "/b" }
    for _, path in ipairs(patterns) do
      assert.equal(path, (found(patterns, path)))
    end
    for _, path in ipairs { "", "ws", "/w", "/wss", "/ws//", "/ws/a/", "/WS",
      "/ws%2Fa", "/c", "//", "*" } do
      assert.is_nil((found(patterns, path)), path)
    end
  end)

  -- Each line: spellings of one text. No two lines mean the same.
  local spellings = {
    { "/caf%C3%A9", "/caf%c3%a9", "/caf%C3%a9", "/caf\u{E9}", "/c%61f%C3\xA9",
      "/%63%61%66\xC3%A9" },
    { "/cafe\u{301}", "/cafe%cc%81" }, -- not composed: another text
    { "/~user", "/%7Euser", "/%7euser", "/~%75s%65r" },
    { "/a-b._~0", "/%61%2D%62%2E%5f%7e%30", "/a%2db%2e_%7E0" },
    { "/A", "/%41" }, { "/a", "/%61" },
    { "/a/b", "/%61/%62" }, { "/a%2Fb", "/a%2fb", "/%61%2f%62" },
    { "/a%252Fb", "/%61%252F%62" }, { "/a%252fb" }, -- "%2F" and "%2f", as text
    { "/a|b", "/a%7Cb", "/a%7cb" }, { "/a\\b", "/a%5Cb", "/a%5cb" },
    { "/\"<>^`{}", "/%22%3C%3e%5E%60%7B%7d" },
    { "/a+b" }, { "/a%2Bb", "/a%2bb" }, { "/a%20b" },
    { "/a:b", "/%61:b" }, { "/a%3Ab", "/a%3ab" },
    { "/a=b;c,d@e!$&'()[]" }, { "/a%3Db;c,d@e!$&'()[]" },
    { "/a%00b" }, { "/a%0ab", "/a%0Ab" }, { "/a%7Fb", "/a%7fb" },
    { "/a%" }, { "/a%25" }, { "/%zz" }, { "/%25zz" }, { "/a%4" },
    { "/%A", "/%%41" }, { "/%25A" }, { "/%%411" }, { "/%A1", "/%a1" },
    { "/." }, { "/.." }, { "/./a", "/%2E/a", "/%2e/%61" },
    { "/../a", "/%2e%2E/a", "/.%2e/a" },
  }

  local function is_utf8(text) return utf8.len(text) ~= nil end

  it("belongs to every spelling of its text (RFC 3986 6.2.2)", function()
    for _, line in ipairs(spellings) do
      for _, pattern in ipairs(line) do
        if is_utf8(pattern) then
          for _, path in ipairs(line) do
            assert.equal(pattern, (found({ pattern }, path)), path)
            assert.is_true(router.is_taken({ pattern }, path), path)
          end
        end
      end
    end
  end)

  it("belongs to no other text, however it is spelled", function()
    local patterns, want = {}, {}
    for i, line in ipairs(spellings) do
      if is_utf8(line[1]) then patterns[#patterns + 1] = line[1] end
      for _, path in ipairs(line) do want[path] = spellings[i][1] end
    end
    for path, pattern in pairs(want) do
      assert.equal(pattern, (found(patterns, path)), path)
    end
    for _, path in ipairs { "/CAF%C3%A9", "/caf%C3", "/caf%C3%A9%", "/a%2F",
      "/a%2Fb/", "/%2Fa/b", "/caf%E9", "/caf\xE9", "/a//b", "/a/./b",
      "/a/x/../b", "/%5Ca", "/a%2525" } do
      assert.is_nil((found(patterns, path)), path)
    end
  end)

  it("is one text among parameters and before the wildcard too", function()
    local pattern = "/caf%c3%a9/:id/~x/*"
    for _, start in ipairs { "/caf\u{E9}/7/%7ex/", "/c%61f%C3%A9/7/~x/" } do
      local got, params = found({ "/:a/:b/:c/*", pattern }, start .. "%2Fz/~")
      assert.equal(pattern, got)
      assert.same({ id = "7", ["*"] = "/z/~" }, params)
    end
  end)

  it("fills the parameters, each with one segment that is not empty",
    function()
      local patterns = { "/chat/:room", "/chat/:room/:user/" }
      local _, params = found(patterns, "/chat/lobby")
      assert.same({ room = "lobby" }, params)
      _, params = found(patterns, "/chat/a/b/")
      assert.same({ room = "a", user = "b" }, params)
      for _, path in ipairs { "/chat", "/chat/", "/chat//b/", "/chat/a/b" } do
        assert.is_nil((found(patterns, path)), path)
      end
    end)

  it("fills the wildcard with all that is left", function()
    local patterns = { "/files/:user/*" }
    for path, rest in pairs { ["/files/x/"] = "", ["/files/x/a"] = "a",
      ["/files/x/a/b/"] = "a/b/", ["/files/x//"] = "/" } do
      local _, params = found(patterns, path)
      assert.same({ user = "x", ["*"] = rest }, params)
    end
    assert.is_nil((found(patterns, "/files/x")))
  end)

  it("prefers text to a parameter and a parameter to the wildcard", function()
    local patterns = { "/*", "/:a", "/x", "/:a/:b", "/x/:b", "/:a/y", "/x/*",
      "/x/y/z/*" }
    for path, pattern in pairs { ["/x"] = "/x", ["/q"] = "/:a", ["/"] = "/*",
      ["/x/y"] = "/x/:b", ["/q/y"] = "/:a/y", ["/q/r"] = "/:a/:b",
      ["/x/y/q"] = "/x/*", ["/x/y/z/q"] = "/x/y/z/*", ["/q/r/s"] = "/*",
      ["/x/"] = "/x/*" } do
      assert.equal(pattern, (found(patterns, path)), path)
    end
  end)

  it("goes back where the more specific one leads nowhere", function()
    local patterns = { "/a/:x/c", "/:y/b/d" }
    assert.equal("/:y/b/d", (found(patterns, "/a/b/d")))
    assert.equal("/a/:x/c", (found(patterns, "/a/b/c")))
  end)

  it("is decoded where it fills a parameter, once", function()
    local patterns = { "/chat/:room", "/f/*" }
    for text, room in pairs { ["caf%C3%A9"] = "caf\u{E9}", ["a%2Fb"] = "a/b",
      ["%2541"] = "%41", ["a+b"] = "a+b", ["%41%62"] = "Ab" } do
      local _, params = found(patterns, "/chat/" .. text)
      assert.same({ room = room }, params)
    end
    local _, params = found(patterns, "/f/a%20b/c")
    assert.same({ ["*"] = "a b/c" }, params)
  end)

  it("that is badly encoded fills none", function()
    for _, text in ipairs { "%", "%4", "%4g", "a%", "%00", "a%00b", "%%41" } do
      assert.is_nil((found({ "/chat/:room" }, "/chat/" .. text)), text)
      assert.is_nil((found({ "/chat/*" }, "/chat/" .. text)), text)
    end
    assert.equal("/chat/%zz", (found({ "/chat/%zz" }, "/chat/%zz")))
  end)

  it("is found among thousands", function()
    local patterns = {}
    for i = 1, 2000 do
      patterns[#patterns + 1] = ("/r%d/:x"):format(i * 7919 % 2003)
    end
    for _, pattern in ipairs(patterns) do
      assert.equal(pattern, (found(patterns, (pattern:gsub(":x", "1")))))
      if pattern:find "77" then break end
    end
  end)

  it("of the greatest depth visits no node twice", function()
    local patterns = {}
    local alike = ("/a"):rep(40)
    for i = 1, 39 do
      patterns[i] = ("/a"):rep(i) .. "/:p" .. ("/a"):rep(39 - i) .. "/b"
    end
    assert.is_nil((found(patterns, alike .. "/c")))
  end)
end)
