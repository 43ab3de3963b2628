-- http_date.lua: dates as HTTP writes them (RFC 9110 5.6.7).

local format, match = string.format, string.match

local http_date = {
  last_second = 253402300799, -- of the year 9999
}

local weekdays = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" }
local months = {
  "Jan", "Feb", "Mar", "Apr", "May", "Jun",
  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
}
local month_numbers = {}
for number, name in ipairs(months) do month_numbers[name] = number end

-- IMF-fixdate, in English whatever the locale (so no %a and %b).
function http_date.format(seconds)
  local t = os.date("!*t", seconds)
  local weekday = weekdays[seconds // 86400 % 7 + 1] -- day 0 was a Thursday
  return format("%s, %02d %s %04d %02d:%02d:%02d GMT", weekday, t.day,
    months[t.month], t.year, t.hour, t.min, t.sec)
end

-- Seconds since 1970 in the Gregorian calendar: os.time would take local time.
-- Years begin in March, so that the leap day is the last one.
local function seconds_of(year, month, day, hour, min, sec)
  if month <= 2 then year = year - 1 end
  local leaps = year // 4 - year // 100 + year // 400
  local day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
  local day_number = year * 365 + leaps + day_of_year - 719468
  return ((day_number * 24 + hour) * 60 + min) * 60 + sec
end

-- Two digits of a year are never more than 50 years ahead.
local function full_year(year)
  local now = tonumber(os.date("!%Y"))
  year = year + now // 100 * 100
  return year > now + 50 and year - 100 or year
end

-- All three forms of a date must be understood. Seconds, or nil.
function http_date.parse(value)
  if not value or #value > 40 then return nil end
  local time = " (%d%d):(%d%d):(%d%d)"
  local day, month, year, hour, min, sec =
    match(value, "^%a%a%a, (%d%d) (%a%a%a) (%d%d%d%d)" .. time .. " GMT$")
  if not day then
    day, month, year, hour, min, sec =
      match(value, "^%a+, (%d%d)%-(%a%a%a)%-(%d%d)" .. time .. " GMT$")
    year = year and full_year(tonumber(year))
  end
  if not day then
    month, day, hour, min, sec, year =
      match(value, "^%a%a%a (%a%a%a) ([ %d]%d)" .. time .. " (%d%d%d%d)$")
  end
  month = month_numbers[month]
  if not month then return nil end
  year, day, hour = tonumber(year), tonumber(day), tonumber(hour)
  min, sec = tonumber(min), tonumber(sec)
  if day < 1 or day > 31 or hour > 23 or min > 59 or sec > 60 then
    return nil
  end
  return seconds_of(year, month, day, hour, min, sec)
end

return http_date
