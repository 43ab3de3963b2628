---@meta evws.sim

-- ---------------------------------------------------------------------------
-- A simulated network
-- ---------------------------------------------------------------------------

---A network inside of the process, for specs of one's own application: with
---delays, short transfers, resets and silence, and with a clock that goes on
---when nothing is left to be done at the moment. Hours of keepalive, reconnects
---and timers take milliseconds, and the same seed brings the same again.
---[docs/guides/network.md](guides/network.md) shows how to use it.
---
---```lua
---local ws, sim = require "evws", require "evws.sim"
---
---sim.new { seed = 1, delay = { 0.01, 0.2 }, short = 0.1 }:run(function(net)
---  ws.listen { port = 5000, keepalive_interval = 20, on_message = function(conn, m)
---    conn:send(m)
---  end }
---  local conn = net:connect "ws://localhost:5000/"
---  conn:send "hi"
---  assert(conn:receive() == "hi")
---  net:vanish(conn)
---  net:advance(300)
---end)
---```
---
---While it is entered everything of evws happens there: `ws.listen`,
---`ws.connect`, `ws.after`, `ws.sleep`, `ws.now`, and what stands on them. What
---is open on the real network stays as it is, and no time passes for it. Each
---name is this machine, and whoever listens on a port is found by it; ports and
---Unix sockets of the system are neither seen nor taken. `os.time` and `os.date`
---tell the network's time, `math.random` draws by its seed. `ws.run` returns at
---once, so that a server's own file can be run as it is; a function given to it
---is a task. Not part of it are processes, standard input, `ws.wait` and `ws.fd`;
---a `backplane` finds no Redis there. TLS works, but its own random numbers are
---OpenSSL's.
---
---Who waits for what nothing will bring gets `nil, "nothing to wait for"`.
---@class evws.sim
local sim = {}

---How the way between two ends is.
---@class evws.SimLink
---Seconds that what was sent is on its way, or the least and the most of them,
---default `0.001`. The order stays.
---@field delay? number|number[]
---The part of reads and writes that take less than they could, 0 to 1, default
---`0`.
---@field short? number
---Bytes a second, in each direction, default `false`: no limit.
---@field rate? number|false
---Bytes that one direction holds, what its reader has not read included, default
---`65536`.
---@field buffer? integer

---@class evws.SimOptions: evws.SimLink
---Whatever goes by chance follows from it, default `1`.
---@field seed? integer
---What `os.time()` is at first, default `1000000000`.
---@field time? integer
---Seconds after which nothing happens any more, default a year: waits that never
---end do, then.
---@field limit? number
---Is everything that arrives noted for `net:trace`? Default `false`.
---@field trace? boolean

---A network. Each time it is entered it begins anew, with the same seed.
---@param options? evws.SimOptions
---@return evws.Sim
function sim.new(options) end

---@class evws.Sim
local net = {}

---Enters the network, calls `fn(net, ...)` and leaves, also where that raises.
---Returns what it returned.
---
---Leaving ends what is still open: connections are cut (each has its `on_close`,
---code 1006), servers closed, timers cancelled, tasks that wait are cancelled. An
---error in a handler is raised here, unless there is a `ws.on_error`.
---
---Raises in a handler, in a task, and inside of another network.
---@generic T
---@param fn fun(net: evws.Sim, ...): T...
---@param ... any
---@return T...
function net:run(fn, ...) end

---Enters it until `net:leave`: for `before_each` and `after_each`.
function net:enter() end

---Leaves it, as the end of `net:run` does.
function net:leave() end

---As `ws.connect`, but raises where that fails.
---@param url string
---@param options? evws.ConnectOptions
---@param link? evws.SimLink of this connection, once it is open
---@return evws.Conn
function net:connect(url, options, link) end

---Lets so much time pass; whatever is due meanwhile happens. Raises when the
---network's time is over.
---@param seconds number
---@return true
function net:advance(seconds) end

---Seconds since the network was entered.
---@return number
function net:now() end

---Changes how a connection's link is, from now on, or, without one, that of all
---there are and will be. What is not named stays. As with all that takes a
---connection, either end may be given; raises when it is not open on this
---network.
---@param conn? evws.Conn
---@param link evws.SimLink
---@overload fun(self: evws.Sim, link: evws.SimLink)
function net:link(conn, link) end

---The connection goes silent: nothing gets through any more, in either direction,
---and nobody is told, as if a cable had been pulled. Without one: the whole
---network; who connects then waits.
---@param conn? evws.Conn
function net:vanish(conn) end

---Mends what has vanished: what was sent meanwhile arrives.
---@param conn? evws.Conn
function net:heal(conn) end

---Resets the connection: this end is told at once, the other one as soon as it
---hears. Without one: all. With `after`, when this end has sent so many bytes
---more: in the middle of a message, if you like.
---@param conn? evws.Conn
---@param after? integer
function net:reset(conn, after) end

---What has arrived where, a line each: the time, the port it came to, the port
---it came from, `gets`, how many bytes, their checksum; or `is connected`, `is
---refused`, `gets the end`, `is reset`, `breaks`. Two runs that have the same
---trace have done the same. Needs the option `trace`.
---@return string
function net:trace() end

return sim
