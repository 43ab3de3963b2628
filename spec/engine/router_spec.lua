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
        "/:a/x/*", "/caf%C3%A9", "/a:b" } do
        assert.is_true((router.is_pattern(pattern)), pattern)
      end
    end)

  it("is nothing else, and says why", function()
    for pattern, why in pairs {
      [""] = "does not start with '/'", ["ws"] = "does not start with '/'",
      ["*"] = "does not start with '/'", ["/a b"] = "no path does",
      ["/a?b"] = "no path does", ["/a#b"] = "no path does",
      ["/\n"] = "no path does", ["/caf\u{E9}"] = "no path does",
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
      ["/chat"] = false } do
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
