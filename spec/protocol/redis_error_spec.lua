-- src/protocol/redis_error.c: what an error of Redis is about.

local about = require "evws_probe".redis.about

describe("an error of Redis", function()
  it("is about what it says", function()
    for error, want in pairs {
      ["NOPERM this user has no permissions to run the 'ping' command"] =
        { "command", "ping" },
      ["NOPERM this user has no permissions to run the 'eval' command"] =
        { "command" },
      ["NOPERM this user has no permissions to access one of the channels"] =
        { "channel" },
      ["MISCONF Redis is configured to save RDB snapshots"] = { "ping" },
      ["CLUSTERDOWN The cluster is down"] = { "over" },
      ["LOADING Redis is loading the dataset in memory"] = { "over" },
      ["MASTERDOWN Link with MASTER is down"] = { "over" },
      ["NOAUTH Authentication required."] = { "over" },
      ["READONLY You can't write against a read only replica."] = { "over" },
      ["WRONGPASS invalid username-password pair"] = { "over" },
      ["ERR unknown command"] = {}, ["ERR no NOPERM to run 'ping'"] = {},
      ["NOPERM"] = { "channel" }, ["NOPER"] = {}, [""] = {},
    } do
      assert.same(want, about(error), error)
    end
  end)
end)
