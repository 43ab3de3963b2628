-- docs/guides/files.md: uploads and downloads of any length.

local t = require "spec.helper"
local guide = require "spec.guides.kit"
local ws = t.ws

local MIB = 1 << 20

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function list(directory)
  local names = {}
  for name in io.popen("ls " .. directory):lines() do
    if name ~= "files.lua" then names[#names + 1] = name end
  end
  return names
end

describe("the guide to files", function()
  local directory, child

  before_each(function()
    directory = guide.write "files"
    child = guide.start(directory, "files.lua", directory, 0)
  end)
  after_each(guide.cleanup)

  -- Numbers, so that what is missing or doubled is seen.
  local function content(size)
    local parts = {}
    for i = 1, size // 8 do parts[i] = ("%8d"):format(i) end
    return table.concat(parts) .. ("x"):rep(size % 8)
  end

  local function upload(name, bytes)
    local conn = assert(guide.connect(child, "/up/" .. name))
    local told = {}
    t.pump(function()
      ws.spawn(function()
        local writer <close> = assert(conn:writer "binary")
        for at = 1, #bytes, 50000 do
          assert(writer:write(bytes:sub(at, at + 49999)))
          conn:drain()
        end
        writer:finish()
      end)
      for message in conn:messages() do told[#told + 1] = message end
    end)
    return told
  end

  it("takes a file, whatever its length, and tells how far it is", function()
    for _, size in ipairs { 0, 1, 100000, 5 * MIB + 1 } do
      local bytes = content(size)
      local told = upload("a.bin", bytes)
      assert.equal("done " .. size, told[#told])
      assert.is_true(#told - 1 >= size // (2 * MIB))
      assert.is_true(#told - 1 <= size // MIB)
      assert.is_true(read(directory .. "/a.bin") == bytes)
      assert.same({ "a.bin" }, list(directory))
    end
  end)

  it("sends a file, to a slow reader as well", function()
    local bytes = content(5 * MIB + 3)
    local file <close> = assert(io.open(directory .. "/b.bin", "wb"))
    file:write(bytes)
    file:flush()
    local conn = assert(guide.connect(child, "/down/b.bin",
      { max_message = false }))
    t.pump(function()
      local got, parts, ended = 0, {}, nil
      conn:on_chunk(function(_, piece, _, final)
        got = got + 1
        parts[got] = piece
        if got % 16 == 0 then ws.sleep(0.01) end
        ended = final
      end)
      while not ended do ws.sleep(0.01) end
      assert.is_true(table.concat(parts) == bytes)
    end)
  end)

  it("needs little memory for it", function()
    local before = guide.most_memory(child)
    if not before then return pending "nobody tells the memory of a process" end
    local bytes = content(24 * MIB)
    upload("c.bin", bytes)
    local conn = assert(guide.connect(child, "/down/c.bin",
      { max_message = false }))
    local got = conn:receive(8 * guide.limit)
    assert.is_true(got == bytes)
    assert.is_true(guide.most_memory(child) - before < 12 * MIB)
  end)

  it("throws away what was not finished", function()
    local conn = assert(guide.connect(child, "/up/d.bin"))
    local writer = assert(conn:writer "binary")
    writer:write(("x"):rep(100000))
    t.wait(function() return #list(directory) == 1 end, "a part")
    conn:terminate()
    t.wait(function() return #list(directory) == 0 end, "its end")
    assert.is_nil((writer:write "x"))
  end)

  it("has files of plain names alone, and no others", function()
    local conn = assert(guide.connect(child, "/down/nothing"))
    guide.expect_close(conn, 4004)
    for _, path in ipairs { "/down/..%2fsecret", "/up/..%2fx", "/up/.x",
      "/up/a%2fb", "/down/%00" } do
      local refused, _, status = guide.connect(child, path)
      assert.is_nil(refused)
      assert.is_true(status == 400 or status == 404, path)
    end
  end)
end)
