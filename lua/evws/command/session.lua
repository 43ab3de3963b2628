-- A connection from its beginning to its end, and what the process ends with.

local pings = require "evws.command.pings"
local ws = require "evws"

local session = {}
session.__index = session

local well = { [1000] = true, [1001] = true, [1005] = true }

--- o: what arguments.read returns. What is done with the open connection is
--- `work(session)`, a task.
function session.new(o, screen, work)
  local self = setmetatable({ o = o, screen = screen, work = work,
    pings = pings.new(), last_heard = 0 }, session)
  function screen.on_failure() self:close() end
  return self
end

-- ---- words ----

--- An error of evws without Lua's words around it.
function session.plainly(why)
  return (tostring(why):gsub("^[^:\n]*:%d+: ", "")
    :gsub("^bad argument #%d+ to '[^']*' %((.*)%)$", "%1")
    :gsub("give headers = %b{}", "--auth USER:PASSWORD gives it")
    :gsub("^bad option '([%a_]+)' %((.*)%)$", function(name, what)
      return "--" .. name:gsub("s$", ""):gsub("_", "-") .. ": " .. what
    end))
end

local function closed(code, reason)
  if code == 1005 or reason == "" then return ("closed: %d"):format(code) end
  local more = code == 1009 and reason == "the message is too big"
    and " (--max-message allows more)" or ""
  return ("closed: %d %s%s"):format(code, reason, more)
end

-- ---- what happens to the connection ----

-- A loss is told once, however many attempts fail in the same way.
function session:lost(why)
  if why ~= self.told then
    self.screen:complain("%s; connecting again", why)
    self.told = why
  end
end

-- Called for each loss, and for each attempt that failed.
function session:on_close(conn, code, reason)
  self.ended = { code = code, reason = reason }
  if self.o.reconnect then
    ws.sleep(0) -- then the state tells whether it is the last time
    if conn.state == "connecting" then
      self:lost(self.was_open and closed(code, reason) or reason)
      return
    end
  end
  self.is_over = true
  ws.stop()
end

function session:greet(conn)
  local o = self.o
  local more = conn.subprotocol and "; sub-protocol " .. conn.subprotocol or ""
  if o.verbose then
    local address = conn.remote_address
    more = (address ~= "" and " (" .. address .. ")" or "") .. more
      .. (conn.compressed and "; compressed" or "")
  end
  if self.takes_commands then more = more .. "; /help lists commands" end
  if self.is_interactive then more = more .. "; Ctrl-D closes" end
  if self.is_interactive or o.verbose then
    self.screen:note("connected to %s%s", o.url, more)
  end
end

function session:on_open(conn)
  self.told, self.ended = nil, nil
  if self.was_open then
    self.screen:complain "connected again"
  else
    self.was_open = true
    self:greet(conn)
    ws.spawn(self.work, self)
  end
end

function session:on_pong(payload)
  local ms = self.pings:answered(payload)
  if ms then
    if self.on_ping then
      self.on_ping(payload, ms)
    else
      self.screen:note("pong: %.3f ms", ms)
    end
  elseif self.o.verbose then
    self.screen:note("pong: %s", payload)
  end
end

-- ---- the connection ----

local function tls_of(o)
  if not (o.insecure or o.ca or o.cert) then return nil end
  return { ca = o.ca, verify = not o.insecure, certificate = o.cert,
    key = o.cert and (o.key or o.cert) }
end

local function connect(self)
  local o, screen = self.o, self.screen
  return ws.connect(o.url, { headers = o.headers, tls = tls_of(o),
    subprotocols = o.subprotocols, origin = o.origin, timeout = o.timeout,
    max_message = o.max_message, compression = o.compress,
    reconnect = o.reconnect, proxy = o.proxy, proxy_tls = o.proxy_tls,
    on_open = function(conn) self:on_open(conn) end,
    on_close = function(...) self:on_close(...) end,
    on_pong = function(_, payload) self:on_pong(payload) end,
    on_ping = o.verbose and function(_, payload)
      screen:note("ping: %s", payload)
    end or nil,
    on_message = function(_, message, kind)
      self.last_heard = ws.now()
      if not o.ping then screen:received(message, kind) end
    end })
end

--- Closes, with 1000 by default; raises for a code or reason that cannot be.
function session:close(code, reason)
  local conn = self.conn
  if not conn or self.is_over then return end
  if conn.state == "connecting" then
    conn:terminate() -- without an on_close
    self.is_over = true
    ws.stop()
  else
    conn:close(code or 1000, reason)
    self.asked = code or 1000
  end
end

-- True when it came to an end by itself.
local function run(self)
  local finished = ws.run(function()
    local ok, why
    ok, self.conn, why = pcall(connect, self)
    if not ok then
      self.refused, self.conn = self.conn, nil
    elseif not self.conn then
      self.ended = { code = 1006, reason = why }
    end
  end)
  return finished or not self.conn or self.is_over
end

--- The whole of it -> the status of the process.
function session:run()
  if not run(self) then -- Ctrl-C
    self.is_interrupted = true
    self:close()
    if not self.is_over then ws.run() end
  end
  if self.before_end then self.before_end() end
  return self:tell()
end

-- Says how it ended, where that is not plain.
function session:tell()
  local screen, ended = self.screen, self.ended
  if screen.failure then
    screen:complain("cannot write: %s", screen.failure)
    return 4
  elseif self.refused then
    screen:complain("%s", session.plainly(self.refused))
    return 2
  elseif not self.was_open then
    screen:complain("cannot connect to %s: %s", self.o.url,
      ended and ended.reason or "interrupted")
    return 1
  elseif not ended then
    screen:complain "interrupted"
    return 3
  end
  local text = closed(ended.code, ended.reason)
  if not well[ended.code] and ended.code ~= self.asked then
    screen:complain("%s", text)
    return self.status or 3
  elseif self.is_interactive or self.o.verbose then
    screen:note("%s", text)
  end
  return self.status or 0
end

return session
