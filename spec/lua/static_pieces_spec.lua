-- ws.static, of what is longer than one piece: which bytes are written, what
-- is done about a queue that is full, and about a file that changes meanwhile.

local static = require "evws.static"
local t = require "spec.helper"

local piece = 64 * 1024

describe("a long file", function()
  local path, name, handler

  setup(function()
    path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkdir " .. path))
    name = path .. "/long.bin"
    handler = static(path)
  end)

  teardown(function() os.execute("rm -rf " .. path) end)

  -- No two pieces of it are alike.
  local function bytes_of(n)
    local list = {}
    for i = 1, n // 8 + 1 do list[i] = ("%07d\n"):format(i) end
    return table.concat(list):sub(1, n)
  end

  local function write(n)
    local bytes, out = bytes_of(n), assert(io.open(name, "wb"))
    out:write(bytes)
    out:close()
    return bytes
  end

  local function ask(range)
    return handler { method = "GET", path = "/long.bin",
      headers = { range = range } }
  end

  -- What a body writes where `on_write` and `on_drain` may say something else
  -- of the nth time.
  local function gather(body, on_write, on_drain)
    local pieces, writes, drains = {}, 0, 0
    t.pump(body, {
      write = function(_, bytes)
        writes = writes + 1
        local why = on_write and on_write(writes, #pieces)
        if why then return nil, why end
        pieces[#pieces + 1] = bytes
        return true
      end,
      drain = function()
        drains = drains + 1
        return not (on_drain and on_drain(drains))
      end })
    return table.concat(pieces), pieces, writes
  end

  it("is text up to a piece, and is announced and written beyond", function()
    local bytes = write(piece)
    local status, body, headers = ask()
    assert.equal(200, status)
    assert.is_true(body == bytes)
    assert.is_nil(headers["Content-Length"])
    bytes = write(piece + 1)
    status, body, headers = ask()
    assert.same({ 200, "65537" }, { status, headers["Content-Length"] })
    local all, pieces = gather(body)
    assert.is_true(all == bytes)
    assert.same({ piece, 1 }, { #pieces[1], #pieces[2] })
    assert.equal(2, #pieces)
  end)

  it("is whole, piece by piece, and so is each part of it", function()
    local bytes = write(3 * piece + 5)
    local _, body = ask()
    local all, pieces = gather(body)
    assert.is_true(all == bytes)
    assert.equal(4, #pieces)
    for _, range in ipairs { { 0, 2 * piece - 1 }, { 1, 2 * piece },
      { piece - 1, 3 * piece + 4 }, { 3, piece + 3 } } do
      local status, part, headers = ask(("bytes=%d-%d"):format(range[1],
        range[2]))
      assert.equal(206, status)
      assert.equal(("bytes %d-%d/%d"):format(range[1], range[2], #bytes),
        headers["Content-Range"])
      assert.equal(tostring(range[2] - range[1] + 1),
        headers["Content-Length"])
      assert.is_true(gather(part) == bytes:sub(range[1] + 1, range[2] + 1))
    end
  end)

  it("is written again where a queue was full", function()
    local bytes = write(3 * piece)
    local _, body = ask()
    local all, pieces, writes = gather(body, function(n)
      return n % 2 == 1 and "queue full"
    end)
    assert.is_true(all == bytes)
    assert.same({ 3, 6 }, { #pieces, writes })
  end)

  it("ends with whoever has asked for it", function()
    local bytes = write(3 * piece)
    local _, body = ask()
    assert.is_true(gather(body, function(n)
      return n == 3 and "closed"
    end) == bytes:sub(1, 2 * piece))
    _, body = ask()
    local all, _, writes = gather(body, nil, function(n) return n == 2 end)
    assert.is_true(all == bytes:sub(1, 2 * piece))
    assert.equal(2, writes)
  end)

  it("is cut off where it has changed meanwhile", function()
    for _, n in ipairs { 2 * piece, 4 * piece } do
      local bytes = write(3 * piece)
      local _, body = ask()
      local all, pieces = gather(body, function(i)
        if i == 2 then write(n) end
      end)
      assert.equal(2, #pieces)
      assert.is_true(all == bytes:sub(1, 2 * piece))
    end
  end)

  it("leaves no descriptor open, however it ends", function()
    write(3 * piece)
    local before = t.fd_count()
    for i = 1, 3 do
      local _, body = ask()
      gather(body, function(n) return n > i and "closed" end)
      assert.equal(before, t.fd_count())
    end
  end)

  it("has no name with a zero byte", function()
    for _, directory in ipairs { "\0", path .. "\0", "\0" .. path } do
      local ok, why = pcall(function()
        local made = static(directory)
        return made
      end)
      assert.is_false(ok)
      t.contains(why, "spec/lua/static_pieces_spec.lua:")
      t.contains(why, "bad argument #1 to 'static' (path expected, got one "
        .. "with a zero byte)")
    end
  end)
end)
