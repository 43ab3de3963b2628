-- What the specs of docs/guides/ share: each takes the programs out of its
-- page, into files of their own, and runs them as they stand there.
--
--   guide.read(name) -> { { language =, file =, text = } }   the blocks of
--     docs/guides/NAME.md; the first line of each names its file
--   guide.write(name) -> directory   with all of these files, until cleanup
--   guide.start(directory, arguments) -> child   arguments[1] is the file;
--     child.port is what it says first; see spec/binding/kit.lua for the rest
--   guide.connect(child, path[, options]) -> conn   with limits of time
--   guide.expect(conn, text)         the next message is this
--   guide.expect_close(conn, code)   nothing comes any more but this code
--   guide.cleanup()                  for after_each

local t = require "spec.helper"
local children = require "spec.binding.kit"
local visitor = require "spec.helper.visitor"
local assert = require "luassert"

local guide = { limit = visitor.limit, connect = visitor.connect,
  expect = visitor.expect, expect_close = visitor.expect_close }
local directories = {}

function guide.read(name)
  local file = assert(io.open(("docs/guides/%s.md"):format(name)))
  local page = file:read "a"
  file:close()
  local blocks = {}
  for language, text in page:gmatch "\n```(%l+)\n(.-\n)```\n" do
    blocks[#blocks + 1] = { language = language, text = text,
      file = text:match "^[-#/]+ ([%w_]+%.?%l*)[:\n]" }
  end
  return blocks, page
end

function guide.write(name)
  local directory = os.tmpname()
  os.remove(directory)
  assert(os.execute("mkdir " .. directory))
  directories[#directories + 1] = directory
  for _, block in ipairs(guide.read(name)) do
    local file = assert(io.open(directory .. "/" .. block.file, "w"))
    assert(file:write(block.text))
    assert(file:close())
  end
  return directory
end

function guide.start(directory, ...)
  local child = children.start(("%s/%s"):format(directory,
    table.concat({ ... }, " ")))
  child.port = tonumber((child:wait ".*localhost:(%d+)"))
  return child
end

-- The most memory that a child has had, in bytes; nil where nobody tells, and
-- with sanitizers, which keep what was freed.
function guide.most_memory(child)
  if os.getenv "ASAN_OPTIONS" or t.is_emulated then return nil end
  local file <close> = io.open(("/proc/%s/status"):format(child.pid))
  local kilobytes = file and file:read "a":match "VmHWM:%s*(%d+) kB"
  return kilobytes and tonumber(kilobytes) * 1024
end

function guide.cleanup()
  visitor.cleanup()
  children.cleanup()
  t.cleanup()
  for _, directory in ipairs(directories) do
    os.execute("rm -r " .. directory)
  end
  directories = {}
end

return guide
