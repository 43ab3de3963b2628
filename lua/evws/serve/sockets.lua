-- sockets.lua: the sockets that the workers of one supervisor listen on. The
-- first one that asks has it opened, all others get the same.

local core = require "evws.core"
local serve = core.serve

local sockets = {}
sockets.__index = sockets

-- Keys are places in the page that workers share, of which there are few.
local function add(self, entry)
  local taken, key = {}, 1
  for _, one in pairs(self.by_name) do taken[one.key] = true end
  while taken[key] do key = key + 1 end
  entry.key = key
  self.by_name[entry.name] = entry
  return entry
end

--- inherited: descriptors that listen already, as systemd passes them -> self
--- | nil, why
function sockets.new(inherited)
  local self = setmetatable({ by_name = {}, inherited = {} }, sockets)
  for _, fd in ipairs(inherited) do
    local port, address = serve.adopt(fd)
    if not port then return nil, ("descriptor %d: %s"):format(fd, address) end
    if port == 0 then
      add(self, { name = "u" .. address, port = 0, fds = { fd },
        is_inherited = true })
    else
      local same = self.inherited[port] or {}
      self.inherited[port] = same
      same[#same + 1] = { fd = fd, address = address }
    end
  end
  return self
end

-- Of several with a port those of the host's address; where there is none, all,
-- as a socket that was passed is meant by its number.
local function passed(self, place)
  local same = self.inherited[place.port]
  if not same then return nil end
  local fds, name = {}, "fd"
  for _, one in ipairs(same) do
    if one.address == place.host then fds[#fds + 1] = one.fd end
  end
  for i = 1, #fds == 0 and #same or 0 do fds[i] = same[i].fd end
  for _, fd in ipairs(fds) do name = name .. " " .. fd end
  return self.by_name[name] or add(self, { name = name, port = place.port,
    fds = fds, is_inherited = true })
end

local function open(self, name, place)
  local port, fds, errno = serve.open(place)
  if not port then return nil, fds, errno end
  return add(self, { name = name, port = port, fds = fds, host = place.host,
    unix = place.unix })
end

-- One that was opened as port 0 has a number since.
local function at_port(self, place)
  for _, entry in pairs(self.by_name) do
    if entry.port > 0 and entry.port == place.port
      and entry.host == place.host then
      return entry
    end
  end
end

-- Does the worker listen on one of these already?
local function is_taken(self, worker, entry)
  for _, other in pairs(self.by_name) do
    if worker.holds[other.key] then
      for _, fd in ipairs(other.fds) do
        for _, wanted in ipairs(entry.fds) do
          if fd == wanted then return true end
        end
      end
    end
  end
  return false
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
  local entry = place.host and passed(self, place) or self.by_name[name]
    or place.host and at_port(self, place)
  if entry and is_taken(self, worker, entry) then
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

--- Closes those that none of these workers holds, and that are ours.
function sockets:keep(workers)
  for _, entry in pairs(self.by_name) do
    local is_held = entry.is_inherited
    for worker in pairs(workers) do
      is_held = is_held or worker.holds[entry.key]
    end
    if not is_held then close(self, entry) end
  end
end

return sockets
