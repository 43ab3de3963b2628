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
  local self = setmetatable({ by_name = {} }, sockets)
  for _, fd in ipairs(inherited) do
    local port, address = serve.adopt(fd)
    if not port then return nil, ("descriptor %d: %s"):format(fd, address) end
    local is_path = port == 0
    add(self, { name = is_path and "u" .. address or "fd " .. fd, port = port,
      fds = { fd }, is_inherited = true })
  end
  return self
end

local function open(self, name, place)
  local port, fds, errno = serve.open(place)
  if not port then return nil, fds, errno end
  return add(self, { name = name, port = port, fds = fds, host = place.host,
    unix = place.unix })
end

-- One that was opened as port 0 has a number since; one that was inherited is
-- meant by its number, whatever its address.
local function at_port(self, place)
  for _, entry in pairs(self.by_name) do
    if entry.port > 0 and entry.port == place.port
      and (entry.is_inherited or entry.host == place.host) then
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
