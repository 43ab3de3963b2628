-- What a build for `make pgo` is trained with (bench/train): it has to come to
-- its end, and the server to a normal one, or nothing would be noted.

local probe = require "evws_probe"

local build = os.getenv "EVWS_BUILD"
local is_sanitized = probe.buf.fail_at(0, false)

describe("training", function()
  it("comes to its end", function()
    local load = io.open(build .. "/evws_load")
    if not load or is_sanitized then
      return pending("no load generator here, or a slow build")
    end
    load:close()
    local pipe = assert(io.popen(("BUILD='%s' bench/train 2>&1"):format(build)))
    local said = pipe:read "a"
    assert.is_true(pipe:close(), said)
    assert.equal("", said)
  end)
end)
