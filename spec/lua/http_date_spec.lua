-- Dates as HTTP writes them (lua/evws/http_date.lua): RFC 9110 5.6.7.

local http_date = require "evws.http_date"

local parse, format = http_date.parse, http_date.format
local day = 86400

describe("a date of HTTP", function()
  it("is that of the RFC, in all three forms", function()
    for _, text in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" } do
      assert.equal(784111777, parse(text), text)
    end
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", format(784111777))
  end)

  it("has a leap day in every fourth year but three centuries of four",
    function()
      for text, seconds in pairs {
        ["Thu, 01 Jan 1970 00:00:00 GMT"] = 0,
        ["Wed, 31 Dec 1969 23:59:59 GMT"] = -1,
        ["Wed, 01 Mar 1600 00:00:00 GMT"] = -11670912000,
        ["Wed, 28 Feb 1900 00:00:00 GMT"] = -2203977600,
        ["Thu, 01 Mar 1900 00:00:00 GMT"] = -2203891200,
        ["Tue, 29 Feb 2000 00:00:00 GMT"] = 951782400,
        ["Wed, 01 Mar 2000 00:00:00 GMT"] = 951868800,
        ["Sun, 28 Feb 2100 00:00:00 GMT"] = 4107456000,
        ["Mon, 01 Mar 2100 00:00:00 GMT"] = 4107542400,
        ["Sat, 01 Mar 2200 00:00:00 GMT"] = 7263216000,
        ["Tue, 29 Feb 2400 00:00:00 GMT"] = 13574563200,
        ["Wed, 01 Mar 2400 00:00:00 GMT"] = 13574649600,
        ["Fri, 31 Dec 9999 23:59:59 GMT"] = http_date.last_second,
      } do
        assert.equal(seconds, parse(text), text)
        assert.equal(text, format(seconds))
      end
    end)

  it("is read as it was written, on every day of 1500 years", function()
    for seconds = 43200, 1500 * 365 * day, day do
      if parse(format(seconds)) ~= seconds then
        error(format(seconds) .. " is read as " .. parse(format(seconds)))
      end
    end
  end)

  it("of two digits is at most 50 years ahead", function()
    local real = os.date
    finally(function() rawset(os, "date", real) end)
    local function year_of(digits, now)
      rawset(os, "date", function(form, ...)
        if form == "!%Y" then return tostring(now) end
        return real(form, ...)
      end)
      local seconds = parse(("Monday, 01-Jul-%02d 00:00:00 GMT"):format(digits))
      return tonumber(real("!%Y", seconds))
    end
    for _, row in ipairs { { 2026, 76, 2076 }, { 2026, 77, 1977 },
      { 2026, 26, 2026 }, { 2026, 0, 2000 }, { 2026, 99, 1999 },
      { 2049, 99, 2099 }, { 2048, 99, 1999 }, { 2099, 99, 2099 },
      { 2100, 0, 2100 }, { 2101, 51, 2151 }, { 2101, 52, 2052 } } do
      local now, digits, expected = table.unpack(row)
      assert.equal(expected, year_of(digits, now), digits .. " in " .. now)
    end
  end)

  it("is nothing else", function()
    for _, text in ipairs { "", "784111777", "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 00:60:00 GMT",
      "Sun, 06 Nov 1994 00:00:61 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
      ("x"):rep(41) } do
      assert.is_nil(parse(text), text)
    end
    assert.is_nil(parse(nil))
    assert.equal(parse "Mon, 07 Nov 1994 00:00:00 GMT",
      parse "Sun, 06 Nov 1994 23:59:60 GMT") -- a leap second
  end)
end)
