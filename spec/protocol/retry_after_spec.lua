-- src/protocol/retry_after.c: Retry-After of a response, RFC 9110 10.2.3.

local http = require "evws_probe".http

local now = os.time { year = 2026, month = 11, day = 30, hour = 12 }
local day = 86400

local function after(value, at)
  return http.retry_after(("HTTP/1.1 503 No\r\nServer: x\r\n"
    .. "Retry-After: %s\r\n\r\n"):format(value), at or now)
end

describe("Retry-After", function()
  it("may be seconds", function()
    for text, seconds in pairs { ["0"] = 0, ["1"] = 1, ["007"] = 7,
      ["120"] = 120, ["999999999"] = 999999999 } do
      assert.equal(seconds, after(text))
    end
    for _, text in ipairs { "", "-1", "+1", "1.5", "1e3", "0x1", "1 s", "x",
      "9999999999", "1, 2" } do
      assert.is_nil(after(text), text)
    end
  end)

  it("may be a date, in whatever month, and of the past", function()
    local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
      "Sep", "Oct", "Nov", "Dec" }
    for _, year in ipairs { 1970, 1999, 2000, 2004, 2100, 2400 } do
      local days = { 31, year % 4 == 0 and (year % 100 ~= 0
        or year % 400 == 0) and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
        31 }
      local sum = 0
      local first = http.retry_after(
        ("HTTP/1.1 503 No\r\nretry-after: Xxx, 01 Jan %04d 00:00:00 GMT"
          .. "\r\n\r\n"):format(year), 0)
      if year == 1970 then assert.equal(0, first) end
      if year == 2000 then assert.equal(946684800, first) end
      for month, name in ipairs(months) do
        for _, at in ipairs { 1, days[month] } do
          assert.equal(first + (sum + at - 1) * day + 3661,
            after(("Sun, %02d %s %04d 01:01:01 GMT"):format(at, name, year),
              0))
        end
        sum = sum + days[month]
      end
    end
    assert.equal(0, after "Sun, 06 Nov 1994 08:49:37 GMT")
    assert.equal(1, after("Thu, 01 Jan 1970 23:59:60 GMT", day - 1))
  end)

  it("is nothing where it is neither", function()
    local right = "Sun, 06 Nov 2094 08:49:37 GMT"
    assert.is_true(after(right) > 0)
    for at = 1, #right do -- each byte of what is not a name of a day
      local wrong = right:sub(1, at - 1) .. "~" .. right:sub(at + 1)
      if at > 3 then assert.is_nil(after(wrong), wrong) end
    end
    for _, wrong in ipairs {
      right .. " ~", right:sub(1, -2), "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994", "Sun, 00 Nov 2094 08:49:37 GMT",
      "Sun, 32 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 1969 08:49:37 GMT",
      "Sun, 06 Nov 2094 24:49:37 GMT", "Sun, 06 Nov 2094 08:60:37 GMT",
      "Sun, 06 Nov 2094 08:49:61 GMT", "Sun, 06 ovD 2094 08:49:37 GMT",
    } do
      assert.is_nil(after(wrong), wrong)
    end
  end)

  it("is nothing where it is not there, and the first where there are two",
    function()
      assert.is_nil(http.retry_after("HTTP/1.1 503 No\r\nA: 5\r\n\r\n",
        now))
      assert.equal(5, http.retry_after("HTTP/1.1 503 No\r\nA: 1\r\n"
        .. "Retry-After: 5\r\nRetry-After: 6\r\n\r\n", now))
    end)
end)
