-- ws.static: the handler is called with request tables, over a tree of files
-- made here. Sections are those of RFC 9110; BI rows are regressions that other
-- servers had.

local lfs = require "lfs"
local file = require("evws.core").file
local static = require "evws.static"
local t = require "spec.helper"
local contains = t.contains

local tree -- the temporary directory: the root is tree/site
local page = "<p>hello</p>\n"
local alphabet = "abcdefghijklmnopqrstuvwxyz"
local secret = "SECRET"
local noon = 784111777 -- Sun, 06 Nov 1994 08:49:37 GMT

local function write(name, bytes)
  local out = assert(io.open(tree .. "/" .. name, "wb"))
  assert(out:write(bytes))
  assert(out:close())
end

local function mkdir(name) assert(lfs.mkdir(tree .. "/" .. name)) end

local function symlink(target, name)
  assert(lfs.link(target, tree .. "/" .. name, true))
end

local function request(path, headers, method)
  return { method = method or "GET", path = path, headers = headers or {} }
end

-- What a function writes as the body of an answer.
local function gather(fn)
  local pieces = {}
  fn {
    write = function(_, bytes)
      pieces[#pieces + 1] = bytes
      return true
    end,
    drain = function() return true end,
  }
  return table.concat(pieces)
end

-- What was answered; nothing of the outside is ever in it.
local function ask(handler, path, headers, method)
  local status, body, answered = handler(request(path, headers, method))
  if type(body) == "function" then body = t.pump(gather, body) end
  assert.is_table(answered)
  assert.equal("nosniff", answered["X-Content-Type-Options"])
  assert.is_nil((body or ""):find(secret, 1, true))
  return status, body, answered
end

local function status_of(handler, path, headers, method)
  return (ask(handler, path, headers, method))
end

local function open_descriptors()
  local n = 0
  for _ in lfs.dir("/proc/self/fd") do n = n + 1 end
  return n
end

-- Following links is left to the kernel (openat2): not every one can.
local function can_follow()
  local opened <close> = file.open_directory(tree .. "/site", true)
  return opened ~= nil
end

describe("ws.static", function()
  local serve

  setup(function()
    tree = os.tmpname()
    os.remove(tree)
    assert(lfs.mkdir(tree))
    for _, name in ipairs { "", "/css", "/empty", "/.git", "/odd", "/trap" } do
      mkdir("site" .. name)
    end
    mkdir("site/trap/index.html")
    write("secret.txt", secret)
    write("site-config.env", secret)
    write("site/index.html", page)
    write("site/letters.txt", alphabet)
    write("site/nothing.bin", "")
    write("site/css/index.html", "css index")
    write("site/css/main.css", "p {}")
    write("site/css-config.env", "beside")
    write("site/.env", secret)
    write("site/.git/config", secret)
    write("site/odd/a b%2e?#\xc3\xa9.txt", "odd")
    write("site/odd/Makefile", "all:")
    write("site/odd/SHOUT.HTML", "x")
    write("site/odd/scene.glb", "x")
    write("site/odd/back\\slash", "x")
    symlink("../secret.txt", "site/out.txt")
    symlink(tree .. "/secret.txt", "site/absolute.txt")
    symlink("..", "site/up")
    symlink("letters.txt", "site/inside.txt")
    symlink("css", "site/styles")
    symlink("loop", "site/loop")
    assert(os.execute("mkfifo " .. tree .. "/site/fifo"))
    lfs.touch(tree .. "/site/letters.txt", noon, noon)
    serve = static(tree .. "/site")
  end)

  teardown(function()
    os.execute("chmod -R u+rwx " .. tree .. "; rm -rf " .. tree)
  end)

  describe("files", function()
    it("are answered whole, with type, validators and no-cache", function()
      local status, body, headers = ask(serve, "/letters.txt")
      assert.equal(200, status)
      assert.equal(alphabet, body)
      assert.equal("text/plain; charset=utf-8", headers["Content-Type"])
      assert.equal("no-cache", headers["Cache-Control"])
      assert.equal("bytes", headers["Accept-Ranges"])
      assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", headers["Last-Modified"])
      assert.is_truthy(headers["ETag"]:find('^"[%x.-]+"$'))
      assert.is_nil(headers["Content-Length"])
    end)

    it("may be empty", function()
      local status, body = ask(serve, "/nothing.bin")
      assert.equal(200, status)
      assert.equal("", body)
    end)

    it("have a type by extension, in any case", function()
      local typed = static(tree .. "/site", { types = { glb = "model/gltf" } })
      for path, expected in pairs {
        ["/css/main.css"] = "text/css; charset=utf-8",
        ["/odd/SHOUT.HTML"] = "text/html; charset=utf-8",
        ["/odd/Makefile"] = "application/octet-stream",
        ["/css-config.env"] = "application/octet-stream",
        ["/odd/scene.glb"] = "model/gltf",
      } do
        local _, _, headers = ask(typed, path)
        assert.equal(expected, headers["Content-Type"], path)
      end
    end)

    it("with strange names are reached by escapes, decoded once", function()
      local path = "/odd/a%20b%252e%3f%23%C3%a9.txt"
      local status, body = ask(serve, path)
      assert.equal(200, status)
      assert.equal("odd", body)
    end)

    it("larger than max_file are 503", function()
      local small = static(tree .. "/site", { max_file = 25 })
      assert.equal(503, status_of(small, "/letters.txt"))
      assert.equal(200, status_of(small, "/letters.txt", {}, "HEAD"))
      assert.equal(206, status_of(small, "/letters.txt",
        { range = "bytes=1-25" }))
      assert.equal(503, status_of(small, "/letters.txt",
        { range = "bytes=0-25" }))
      small = static(tree .. "/site", { max_file = 26 })
      assert.equal(200, status_of(small, "/letters.txt"))
      small = static(tree .. "/site", { max_file = false })
      assert.equal(200, status_of(small, "/letters.txt"))
    end)

    it("change their entity tag with size or time (8.8.3)", function()
      local seen = {}
      for i, bytes in ipairs { "a", "b", "bb" } do
        write("site/odd/tag", bytes)
        lfs.touch(tree .. "/site/odd/tag", noon + i // 2, noon + i // 2)
        local _, _, headers = ask(serve, "/odd/tag")
        assert.is_nil(seen[headers["ETag"]])
        seen[headers["ETag"]] = true
      end
    end)

    it("built with one time for all have a tag for each (8.8.1)", function()
      local tags = {}
      for i, bytes in ipairs { "one one", "two two" } do
        os.remove(tree .. "/site/odd/built")
        write("site/odd/built", bytes)
        lfs.touch(tree .. "/site/odd/built", noon, noon)
        local _, body, headers = ask(serve, "/odd/built")
        assert.equal(bytes, body)
        tags[i] = headers["ETag"]
      end
      assert.not_equal(tags[1], tags[2])
      assert.equal(200, status_of(serve, "/odd/built",
        { ["if-none-match"] = tags[1] }))
      assert.equal(304, status_of(serve, "/odd/built",
        { ["if-none-match"] = tags[2] }))
      -- no part of the second behind one of the first
      local status, body = ask(serve, "/odd/built",
        { ["if-range"] = tags[1], range = "bytes=4-" })
      assert.same({ 200, "two two" }, { status, body })
    end)

    it("built in 1970 have no date, and none is compared", function()
      write("site/odd/epoch", "x")
      for _, time in ipairs { 0, 1, 86399 } do
        lfs.touch(tree .. "/site/odd/epoch", time, time)
        local status, _, headers = ask(serve, "/odd/epoch",
          { ["if-modified-since"] = "Sun, 06 Nov 1994 08:49:37 GMT" })
        assert.equal(200, status)
        assert.is_nil(headers["Last-Modified"])
        assert.equal(200, status_of(serve, "/odd/epoch", {
          ["if-range"] = "Thu, 01 Jan 1970 00:00:00 GMT", range = "bytes=0-0",
        }))
      end
    end)

    it("below /.well-known/ are served (RFC 8615), others hidden", function()
      mkdir "site/.well-known"
      mkdir "site/odd/.well-known"
      write("site/.well-known/security.txt", "Contact: me")
      write("site/.well-known/.hidden", secret)
      write("site/odd/.well-known/x", secret)
      for _, path in ipairs { "/.well-known/security.txt",
          "/%2ewell-known/security.txt" } do
        local status, body = ask(serve, path)
        assert.same({ 200, "Contact: me" }, { status, body })
      end
      for _, path in ipairs { "/.well-known/.hidden", "/.well-known/../x",
          "/.well-known/./security.txt", "/.well-known//security.txt",
          "/odd/.well-known/x", "/.well-knownx/security.txt",
          "/.well-known" } do
        assert.is_true(status_of(serve, path) >= 301, path)
      end
    end)

    it("modified in the future are dated now (8.8.2.1)", function()
      write("site/odd/future", "x")
      local later = os.time() + 86400
      lfs.touch(tree .. "/site/odd/future", later, later)
      local before = os.date "!%d %b %Y"
      local _, _, headers = ask(serve, "/odd/future")
      local modified = headers["Last-Modified"]
      if not modified:find(before, 1, true) then -- at midnight
        contains(modified, os.date "!%d %b %Y")
      end
    end)
  end)

  describe("methods", function()
    it("HEAD announces the length and reads nothing (9.3.2)", function()
      local status, body, headers = ask(serve, "/letters.txt", {}, "HEAD")
      local _, _, full = ask(serve, "/letters.txt")
      assert.equal(200, status)
      assert.is_nil(body)
      assert.equal("26", headers["Content-Length"])
      headers["Content-Length"] = nil
      assert.same(full, headers)
    end)

    it("HEAD ignores Range (14.2)", function()
      local status, _, headers =
        ask(serve, "/letters.txt", { range = "bytes=0-1" }, "HEAD")
      assert.equal(200, status)
      assert.equal("26", headers["Content-Length"])
    end)

    it("BI-47: HEAD of an error has the body of GET for its length", function()
      local _, expected = ask(serve, "/missing")
      local status, body = ask(serve, "/missing", {}, "HEAD")
      assert.equal(404, status)
      assert.equal(expected, body)
    end)

    it("other than GET and HEAD are 405 with Allow (15.5.6)", function()
      for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "get" } do
        local status, _, headers = ask(serve, "/", {}, method)
        assert.equal(405, status)
        assert.equal("GET, HEAD", headers["Allow"])
      end
    end)
  end)

  describe("directories", function()
    it("with a slash are their index", function()
      local status, body, headers = ask(serve, "/")
      assert.equal(200, status)
      assert.equal(page, body)
      assert.equal("text/html; charset=utf-8", headers["Content-Type"])
      assert.equal("css index", select(2, ask(serve, "/css/")))
    end)

    it("without one are redirected, the query kept (15.4.2)", function()
      local status, body, headers = ask(serve, "/css")
      assert.equal(301, status)
      assert.equal("/css/", headers["Location"])
      assert.equal("no-store", headers["Cache-Control"])
      assert.equal("301 Moved Permanently\n", body)
      local asked = request("/%63ss")
      asked.query = "v=1&x=%2f"
      assert.equal("/css/?v=1&x=%2f", select(3, serve(asked))["Location"])
    end)

    it("are redirected with every other byte escaped", function()
      mkdir("site/a b\r\n:\xff?%")
      local path = "/a%20b%0d%0a:%ff%3f%25"
      local status, _, headers = ask(serve, path)
      assert.equal(301, status)
      assert.equal("/a%20b%0D%0A%3A%FF%3F%25/", headers["Location"])
      local asked = request("/css")
      asked.query = "a\r\nSet-Cookie: b"
      assert.equal("/css/", select(3, serve(asked))["Location"])
    end)

    it("never redirect to another host", function()
      for _, path in ipairs { "//css", "//example.com", "/\\example.com",
          "/%2fexample.com", "/%5cexample.com", "///css", "//css/.." } do
        local status, _, headers = ask(serve, path)
        assert.equal(404, status, path)
        assert.is_nil(headers["Location"])
      end
    end)

    it("BI-69: are not listed and echo nothing", function()
      assert.equal(404, status_of(serve, "/empty/"))
      local path = "/<script>alert(1)</script>"
      local _, body, headers = ask(serve, path)
      assert.equal("404 Not Found\n", body)
      assert.equal("text/plain; charset=utf-8", headers["Content-Type"])
      assert.is_nil(headers["ETag"])
    end)

    it("named like the index are 404", function()
      assert.equal(404, status_of(serve, "/trap/"))
    end)

    it("are 404 in every form with index = false", function()
      local bare = static(tree .. "/site", { index = false })
      for _, path in ipairs { "/", "/css", "/css/" } do
        assert.equal(404, status_of(bare, path))
      end
      assert.equal(200, status_of(bare, "/index.html"))
    end)

    it("are not made of a file by a slash", function()
      assert.equal(404, status_of(serve, "/letters.txt/"))
      assert.equal(404, status_of(serve, "/letters.txt/x"))
    end)
  end)

  describe("paths", function()
    it("BI-65: that climb or stand still are 404", function()
      for _, path in ipairs { "/..", "/../secret.txt", "/css/../../secret.txt",
          "/%2e%2e/secret.txt", "/.%2E/secret.txt", "/css/%2e%2e/letters.txt",
          "/./letters.txt", "/%2e/letters.txt", "/css/./main.css", "/.", "/...",
          "/css/..", "/css/.", "/..%5csecret.txt", "/..\\secret.txt",
          "/css%5cmain.css", "/odd/back%5Cslash", "/odd/back\\slash" } do
        assert.equal(404, status_of(serve, path), path)
      end
    end)

    it("BI-65: encoded twice are decoded once", function()
      for _, path in ipairs { "/%252e%252e/secret.txt", "/%25%32%65",
          "/letters%252etxt", "/css%252fmain.css" } do
        assert.equal(404, status_of(serve, path), path)
      end
      assert.equal(200, status_of(serve, "/letters%2etxt"))
    end)

    it("BI-65: with NUL or a malformed escape are 400", function()
      for _, path in ipairs { "/letters.txt%00", "/%00", "/letters.txt\0.css",
          "/%", "/%2", "/%zz", "/%2g", "/%%32e", "/% 2e", "/%-1", "/%+1",
          "/%0x", "/%u002e", "", "letters.txt", "http://a/", "*" } do
        assert.equal(400, status_of(serve, path), path)
      end
    end)

    it("that stand for the server are told what it can do", function()
      local status, body, headers = ask(serve, "*", nil, "OPTIONS")
      assert.same({ 204, nil, "GET, HEAD, OPTIONS" },
        { status, body, headers.Allow })
      assert.equal(405, (ask(serve, "/", nil, "OPTIONS")))
      assert.equal(405, (ask(serve, "*", nil, "POST")))
    end)

    it("BI-65: with empty segments or an encoded slash are 404", function()
      for _, path in ipairs { "//", "//letters.txt", "/css//main.css",
          "/css//", "/css%2fmain.css", "/css%2Fmain.css", "/%2f",
          "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt" } do
        assert.equal(404, status_of(serve, path), path)
      end
    end)

    it("BI-65: in overlong UTF-8, with ? and # encoded are names", function()
      for _, path in ipairs { "/%c0%ae%c0%ae/secret.txt", "/%c0%afsecret.txt",
          "/letters.txt%3fx", "/letters.txt%23x", "/%e0%80%ae/letters.txt" } do
        assert.equal(404, status_of(serve, path), path)
      end
    end)

    it("BI-67: are not prefixes: /css is no part of /css-config.env", function()
      assert.equal(301, status_of(serve, "/css"))
      local css = static(tree .. "/site/css")
      for _, path in ipairs { "/-config.env", "-config.env",
          "/../css-config.env", "/%2e%2e/css-config.env" } do
        assert.is_true(status_of(css, path) >= 400, path)
      end
      assert.equal("beside", select(2, ask(serve, "/css-config.env")))
      assert.equal(404, status_of(serve, "/../site-config.env"))
    end)

    it("BI-67: are judged decoded: hidden files stay hidden", function()
      for _, path in ipairs { "/.env", "/%2eenv", "/%2Eenv", "/.git/config",
          "/%2egit/config", "/.git", "/.git/", "/css/.hidden" } do
        assert.equal(404, status_of(serve, path), path)
      end
    end)

    it("of any length end in an answer", function()
      assert.equal(404, status_of(serve, "/" .. ("a"):rep(256)))
      assert.equal(404, status_of(serve, ("/a"):rep(100000)))
      assert.equal(404, status_of(serve, "/" .. ("%41"):rep(100000)))
      assert.equal(404, status_of(serve, ("/css/"):rep(100000)))
    end)
  end)

  describe("conditions", function()
    local etag
    local path, date = "/letters.txt", "Sun, 06 Nov 1994 08:49:37 GMT"
    local before, after = date:gsub("37", "36"), date:gsub("37", "38")

    setup(function() etag = select(3, ask(serve, path))["ETag"] end)

    it("If-None-Match compares weakly, in a list, or * (13.1.2)", function()
      for _, value in ipairs { etag, "W/" .. etag, '"x", ' .. etag, "*",
          '"a","b" , W/' .. etag .. ',"c"' } do
        local status, body, headers =
          ask(serve, path, { ["if-none-match"] = value })
        assert.equal(304, status, value)
        assert.is_nil(body)
        assert.equal(etag, headers["ETag"])
        assert.equal("no-cache", headers["Cache-Control"])
        assert.equal("26", headers["Content-Length"])
      end
      for _, value in ipairs { "", '"x"', etag:gsub('"', ""), "**", "*, *",
          etag:sub(1, -2) .. 'x"', '"x' .. etag:sub(2), "W/", '"' } do
        local asked = { ["if-none-match"] = value }
        assert.equal(200, status_of(serve, path, asked), value)
      end
    end)

    it("If-Modified-Since is for those without a tag (13.1.3)", function()
      local function since(value, tag)
        local asked = { ["if-modified-since"] = value, ["if-none-match"] = tag }
        return status_of(serve, path, asked)
      end
      assert.equal(304, since(date))
      assert.equal(304, since((after)))
      assert.equal(200, since((before)))
      assert.equal(200, since(date, '"other"'))
      assert.equal(304, since((before), etag))
    end)

    it("take a date in all three forms, and no other (5.6.7)", function()
      for value, expected in pairs {
        ["Sunday, 06-Nov-94 08:49:37 GMT"] = 304,
        ["Sunday, 06-Nov-94 08:49:36 GMT"] = 200,
        ["Sun Nov  6 08:49:37 1994"] = 304,
        ["Sun Nov  6 08:49:36 1994"] = 200,
        ["Thu, 29 Feb 2024 00:00:00 GMT"] = 304,
        ["Sun, 06 Nov 1994 08:49:37"] = 200,
        ["Sun, 06 Nov 1994 08:49:37 GMT, x"] = 200,
        ["Sun, 06 Nov 1994 24:49:37 GMT"] = 200,
        ["Sun, 32 Dec 2024 00:00:00 GMT"] = 200,
        ["Sun, 06 Nox 2024 08:49:37 GMT"] = 200,
        ["784111777"] = 200,
        [("Sunday"):rep(1000)] = 200,
      } do
        local asked = { ["if-modified-since"] = value }
        assert.equal(expected, status_of(serve, path, asked), value)
      end
    end)

    it("If-Match and If-Unmodified-Since are 412 (13.1.1, 13.1.4)", function()
      for value, expected in pairs { [etag] = 200, ["*"] = 200, ['"x"'] = 412,
          ["W/" .. etag] = 412, ['"x", ' .. etag] = 200 } do
        local asked = { ["if-match"] = value }
        assert.equal(expected, status_of(serve, path, asked), value)
      end
      local asked = { ["if-unmodified-since"] = before }
      assert.equal(412, status_of(serve, path, asked))
      asked = { ["if-unmodified-since"] = date }
      assert.equal(200, status_of(serve, path, asked))
    end)

    it("mean nothing where there is no file (13.2.1)", function()
      local asked = { ["if-none-match"] = "*", ["if-match"] = '"x"' }
      assert.equal(404, status_of(serve, "/missing", asked))
      assert.equal(301, status_of(serve, "/css", asked))
    end)

    it("If-Range wants exactly this file (13.1.5)", function()
      for value, expected in pairs { [etag] = 206, [date] = 206,
          ["W/" .. etag] = 200, ['"x"'] = 200, [before] = 200,
          [after] = 200, ["*"] = 200 } do
        local asked = { range = "bytes=0-1", ["if-range"] = value }
        assert.equal(expected, status_of(serve, path, asked), value)
      end
    end)
  end)

  describe("ranges", function()
    local function range(value, path)
      local status, body, headers =
        ask(serve, path or "/letters.txt", { range = value })
      return status, body, headers["Content-Range"]
    end

    it("of one part are 206 with its place (15.3.7)", function()
      for value, expected in pairs {
        ["bytes=0-0"] = { "a", "0-0" },
        ["bytes=2-4"] = { "cde", "2-4" },
        ["bytes=23-"] = { "xyz", "23-25" },
        ["bytes=-2"] = { "yz", "24-25" },
        ["bytes=-100"] = { alphabet, "0-25" },
        ["bytes=20-99999999999999999999"] = { "uvwxyz", "20-25" },
        ["bytes=-99999999999999999999"] = { alphabet, "0-25" },
        ["Bytes=25-25"] = { "z", "25-25" },
      } do
        local status, body, place = range(value)
        assert.equal(206, status, value)
        assert.equal(expected[1], body)
        assert.equal("bytes " .. expected[2] .. "/26", place)
      end
    end)

    it("BI-68: beyond the file are 416 with its size (15.5.17)", function()
      for _, value in ipairs { "bytes=26-", "bytes=26-30", "bytes=-0",
          "bytes=99999999999999999999-", "bytes=" .. ("9"):rep(8000) .. "-" } do
        local status, body, place = range(value)
        assert.equal(416, status)
        assert.equal("416 Range Not Satisfiable\n", body)
        assert.equal("bytes */26", place)
      end
      assert.equal(416, range("bytes=0-", "/nothing.bin"))
      assert.equal(200, range("bytes=-1", "/nothing.bin"))
    end)

    it("BI-68: several, reversed or malformed: the whole file", function()
      for _, value in ipairs { "bytes=0-1,3-4", "bytes=0-1, 0-1", "bytes=4-2",
          "bytes=" .. ("0-,"):rep(1000), "bytes=", "bytes=-", "bytes=a-b",
          "bytes", "lines=0-1", "bytes=0-1-2", "bytes=--1", "bytes= 0-1",
          "bytes=0x1-0x2", "bytes=1.5-2", ("bytes=0-1"):rep(1000), "" } do
        local status, body, place = range(value)
        assert.equal(200, status)
        assert.equal(alphabet, body)
        assert.is_nil(place)
      end
    end)
  end)

  describe("links", function()
    it("BI-66: are not followed, in no component", function()
      for _, path in ipairs { "/out.txt", "/absolute.txt", "/up/secret.txt",
          "/inside.txt", "/styles/main.css", "/styles", "/loop", "/up" } do
        assert.equal(404, status_of(serve, path), path)
      end
    end)

    it("BI-66: are followed beneath the root with symlinks = true", function()
      if not can_follow() then return pending("openat2") end
      local follow = static(tree .. "/site", { symlinks = true })
      assert.equal(alphabet, select(2, ask(follow, "/inside.txt")))
      assert.equal(200, status_of(follow, "/styles/main.css"))
      for _, path in ipairs { "/out.txt", "/absolute.txt", "/up/secret.txt",
          "/loop", "/up", "/up/", "/up/site/letters.txt" } do
        assert.equal(404, status_of(follow, path), path)
      end
    end)

    -- Another process exchanges site/race/x and a link to the outside until
    -- there is a file "stop". `look` is called 2,000 times meanwhile, and on a
    -- busy machine until it has seen both, for at most half a minute.
    local function while_swapping(outside, look)
      local script = [[
        local x, link, spare = arg[1] .. "/x", arg[1] .. "/link", arg[1] .. "/s"
        io.stdout:write("ready\n")
        io.stdout:flush()
        while not io.open(arg[1] .. "/stop") and os.clock() < 60 do
          os.rename(x, spare) os.rename(link, x) -- outside
          os.rename(x, link) os.rename(spare, x) -- inside
        end]]
      write("swap.lua", script)
      symlink(outside, "site/race/link")
      local swapper = assert(io.popen((os.getenv "LUA" or "lua5.4")
        .. " " .. tree .. "/swap.lua " .. tree .. "/site/race"))
      assert.equal("ready", swapper:read())
      local seen, calls, limit = {}, 0, os.time() + 30 * t.factor
      repeat
        seen[look()] = true
        calls = calls + 1
        local is_enough = calls >= 2000 and seen[200] and seen[404]
      until is_enough or os.time() > limit
      write("site/race/stop", "")
      swapper:close()
      return seen
    end

    local function race(prepare, outside, path, options)
      os.execute("rm -rf " .. tree .. "/site/race")
      mkdir("site/race")
      prepare()
      local handler = static(tree .. "/site", options)
      local seen = while_swapping(outside, function()
        local status, body = ask(handler, path)
        assert.is_true(status == 404 or body == "inside")
        return status
      end)
      assert.is_truthy(seen[200], "never inside")
      assert.is_truthy(seen[404], "never outside")
    end

    local function make_file() write("site/race/x", "inside") end
    local function make_directory()
      mkdir("site/race/x")
      write("site/race/x/secret.txt", "inside")
    end

    it("BI-66: swapped for the file during requests stay outside", function()
      race(make_file, "../../secret.txt", "/race/x")
      if not can_follow() then return pending("openat2") end
      race(make_file, "../../secret.txt", "/race/x", { symlinks = true })
    end)

    it("BI-66: swapped for a directory likewise", function()
      race(make_directory, "../..", "/race/x/secret.txt")
      if not can_follow() then return pending("openat2") end
      local options = { symlinks = true }
      race(make_directory, "../..", "/race/x/secret.txt", options)
    end)

    it("cannot be followed where there is no openat2", function()
      local opened, _, code = file.open_directory(tree .. "/site", true, true)
      assert.is_nil(opened)
      assert.equal(file.ENOSYS, code)
    end)

    it("BI-66: swapped likewise where there is no openat2", function()
      local open = file.open_directory
      finally(function() file.open_directory = open end)
      file.open_directory = function(path) return open(path, false, true) end
      race(make_directory, "../..", "/race/x/secret.txt")
      race(make_file, "../../secret.txt", "/race/x")
    end)
  end)

  describe("what is no readable file", function()
    -- Lets the handler's next file be changed between opening and reading.
    local function after_opening(act)
      local open = file.open_directory
      finally(function() file.open_directory = open end)
      file.open_directory = function(...)
        local directory = assert(open(...))
        return { open = function(_, name)
          return (function(...) act(name) return ... end)(directory:open(name))
        end }
      end
      return static(tree .. "/site")
    end

    it("BI-70: a FIFO is 404 without waiting for a writer", function()
      assert.equal(404, status_of(serve, "/fifo"))
      assert.equal(404, status_of(serve, "/fifo/"))
    end)

    it("BI-70: a device is 404", function()
      local devices = static("/dev")
      for _, path in ipairs { "/null", "/zero", "/tty", "/full" } do
        assert.equal(404, status_of(devices, path), path)
      end
    end)

    it("unreadable is 404", function()
      write("site/odd/locked", secret)
      os.execute("chmod 0 " .. tree .. "/site/odd/locked")
      if io.open(tree .. "/site/odd/locked") then -- root reads everything
        local open = file.open_directory
        finally(function() file.open_directory = open end)
        file.open_directory = function()
          return { open = function() return nil, "", file.EACCES end }
        end
        assert.equal(404, status_of(static("x"), "/odd/locked"))
      else
        assert.equal(404, status_of(serve, "/odd/locked"))
      end
    end)

    it("for want of descriptors is 503, not 404", function()
      local open = file.open_directory
      finally(function() file.open_directory = open end)
      file.open_directory = function()
        return { open = function() return nil, "", file.EMFILE end }
      end
      assert.equal(503, status_of(static("x"), "/"))
    end)

    it("BI-70: truncated before it is read is 503, never short", function()
      write("site/odd/short", ("x"):rep(100000))
      local handler = after_opening(function() write("site/odd/short", "x") end)
      local status, body, headers = ask(handler, "/odd/short")
      assert.equal(503, status)
      assert.equal("503 Service Unavailable\n", body)
      assert.is_nil(headers["ETag"])
    end)

    it("BI-70: grown before it is read keeps its length, no tag", function()
      local function grow() write("site/odd/log", "one two") end
      write("site/odd/log", "one")
      local handler = after_opening(grow)
      local status, body, headers = ask(handler, "/odd/log")
      assert.equal(200, status)
      assert.equal("one", body)
      assert.is_nil(headers["ETag"] or headers["Last-Modified"])
      write("site/odd/log", "one")
      assert.equal(503, status_of(handler, "/odd/log", { range = "bytes=0-1" }))
    end)
  end)

  describe("its arguments", function()
    local here = debug.getinfo(1, "S").short_src

    -- The error names this file: the line of the caller.
    local function refusal(...)
      local arguments = table.pack(...)
      local ok, message = pcall(function()
        local handler = static(table.unpack(arguments, 1, arguments.n))
        return handler
      end)
      assert.is_false(ok)
      assert.equal(1, (message:find(here .. ":", 1, true)))
      return message
    end

    it("are a directory and a table", function()
      contains(refusal(), "bad argument #1 to 'static' (path expected")
      contains(refusal(1), "got number")
      contains(refusal("/tmp\0x"), "zero byte")
      contains(refusal("/tmp", "index"), "bad argument #2 to 'static' (table")
    end)

    it("raise with path and reason if there is no such directory", function()
      local missing = tree .. "/missing"
      local reason = "cannot serve '" .. missing .. "': No such file"
      contains(refusal(missing), reason)
      contains(refusal(tree .. "/secret.txt"), "Not a directory")
    end)

    it("may not be unknown: the closest name is suggested", function()
      contains(refusal("/tmp", { indx = false }),
        "unknown option 'indx' for 'static' (did you mean 'index'?)")
      contains(refusal("/tmp", { max_size = 1 }), "did you mean 'max_file'?")
      contains(refusal("/tmp", { "x" }), "unknown option '1' for 'static'")
    end)

    it("may not be of a wrong kind or split a header (BI-45)", function()
      for _, options in ipairs { { index = true }, { index = "" },
          { index = ".." }, { index = "a/b" }, { cache_control = false },
          { cache_control = "a\r\nb: c" }, { max_file = -1 },
          { max_file = "1" }, { max_file = 0 / 0 }, { symlinks = 1 },
          { types = "x" }, { types = { [".js"] = "a/b" } },
          { types = { JS = "a/b" } }, { types = { js = "a/b\n" } },
          { headers = { "x" } }, { headers = { ["a b"] = "c" } },
          { headers = { a = "b\r\nc: d" } }, { headers = { etag = "x" } },
          { headers = { ["Content-Length"] = "1" } } } do
        local name = next(options)
        contains(refusal("/tmp", options), "bad option '" .. name .. "'")
      end
    end)

    it("set the headers of every answer, and are copied", function()
      local options = {
        headers = { ["Access-Control-Allow-Origin"] = "*" },
        cache_control = "max-age=60",
      }
      local handler = static(tree .. "/site", options)
      options.headers["Access-Control-Allow-Origin"] = nil
      for path, kept in pairs { ["/"] = "max-age=60", ["/x"] = "no-store" } do
        local _, _, headers = ask(handler, path)
        assert.equal("*", headers["Access-Control-Allow-Origin"])
        assert.equal(kept, headers["Cache-Control"])
      end
    end)
  end)

  describe("its descriptors", function()
    it("are closed by each answer", function()
      ask(serve, "/")
      local before = open_descriptors()
      collectgarbage("stop")
      for _ = 1, 50 do
        for _, path in ipairs { "/", "/css", "/fifo", "/x", "/out.txt" } do
          ask(serve, path)
          ask(serve, path, { range = "bytes=9999-" })
          ask(serve, path, { ["if-none-match"] = "*" }, "HEAD")
        end
      end
      local after = open_descriptors()
      collectgarbage("restart")
      assert.equal(before, after)
    end)

    it("are closed by the collector, close and __close", function()
      collectgarbage()
      local before = open_descriptors()
      static(tree .. "/site")
      do
        local directory <close> = assert(file.open_directory(tree .. "/site"))
        local opened <close> = assert(directory:open("letters.txt"))
        assert.equal("evws.directory (open)", tostring(directory))
        assert.is_true(opened:close())
        assert.is_true(opened:close())
        assert.equal("evws.file (closed)", tostring(opened))
        assert.has_error(function() opened:read(0, 1) end)
      end
      collectgarbage()
      collectgarbage()
      assert.equal(before, open_descriptors())
    end)

    it("read exactly what is asked for, and raise beyond", function()
      for _, walk in ipairs { false, true } do
        local directory <close> =
          assert(file.open_directory(tree .. "/site", false, walk))
        local opened <close>, size, seconds = directory:open("letters.txt")
        assert.equal(26, size)
        assert.equal(noon, seconds)
        assert.equal("bcd", opened:read(1, 3))
        assert.equal("", opened:read(26, 0))
        for _, range in ipairs { { 0, 27 }, { 27, 0 }, { 1, 26 },
            { -1, 1 }, { 1, -1 }, { 1, math.maxinteger },
            { math.maxinteger, 1 } } do
          assert.has_error(function() opened:read(range[1], range[2]) end)
        end
        assert.is_false(opened:is_changed())
        assert.same(file.EISDIR, select(3, directory:open("css")))
        for _, path in ipairs { "", "/", "/css", "css/", "css//main.css", ".",
            "..", "css/..", "../secret.txt", "./letters.txt", "a\0b" } do
          assert.equal(file.EINVAL, select(3, directory:open(path)), path)
        end
        local before = open_descriptors()
        assert.is_true((assert(directory:open("css/main.css")):close()))
        for _, path in ipairs { "up/secret.txt", "out.txt", "inside.txt",
            "styles/main.css", "fifo", ("x"):rep(256), "css/x" } do
          assert.is_nil((directory:open(path)), path)
        end
        assert.equal(before, open_descriptors())
      end
    end)
  end)
end)
