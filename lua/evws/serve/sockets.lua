-- sockets.lua: the sockets that the workers of one supervisor listen on. The
-- first one that asks has it opened, all others get the same.

local core = require "evws.core"
local serve = core.serve

local sockets = {}
sockets.__index = sockets

function sockets.new()
  return setmetatable({ by_name = {}, last_key = 0 }, sockets)
end

local function open(self, name, place)
  local port, fds, errno = serve.open(place)
  if not port then return nil, fds, errno end
  self.last_key = self.last_key + 1
  local entry = { name = name, key = self.last_key, port = port, fds = fds,
    host = place.host, unix = place.unix }
  self.by_name[name] = entry
  return entry
end

-- One that was opened as port 0 has a number since.
local function at_port(self, place)
  for _, entry in pairs(self.by_name) do
    if entry.host == place.host and entry.port == place.port then
      return entry
    end
  end
end

-- Port 0 is another port each time that one worker asks for it, and the same
-- for the first question of each.
local function name_of(self, worker, place)
  if place.unix then return "u" .. place.unix end
  local name = ("h%s %d"):format(place.host, place.port)
  if place.port > 0 then return name end
  local n = 1
  while true do
    local numbered = name .. " #" .. n
    local entry = self.by_name[numbered]
    if not entry or not worker.holds[entry.key] then return numbered end
    n = n + 1
  end
end

--- What a worker has asked for -> entry | nil, why, errno
function sockets:get(worker, place)
  local name = name_of(self, worker, place)
  local entry = self.by_name[name]
    or place.host and at_port(self, place)
  if entry and worker.holds[entry.key] then
    return nil, "Address already in use", serve.in_use
  elseif not entry then
    local why, errno
    entry, why, errno = open(self, name, place)
    if not entry then return nil, why, errno end
  end
  worker.holds[entry.key] = true
  return entry
end

local function close(self, entry)
  for _, fd in ipairs(entry.fds) do serve.close(fd) end
  if entry.unix then serve.unlink(entry.unix) end
  self.by_name[entry.name] = nil
end

--- Closes those that none of these workers holds.
function sockets:keep(workers)
  for _, entry in pairs(self.by_name) do
    local is_held = false
    for worker in pairs(workers) do
      is_held = is_held or worker.holds[entry.key]
    end
    if not is_held then close(self, entry) end
  end
end

return sockets
