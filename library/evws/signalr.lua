---@meta evws.signalr

-- ---------------------------------------------------------------------------
-- Hubs
-- ---------------------------------------------------------------------------

---SignalR hubs: methods that are called by name, results, groups and streams,
---for the unmodified official clients (`@microsoft/signalr` and others), over
---WebSockets, Server-Sent Events or long polling, as JSON or MessagePack. Needs
---lua-cjson. [docs/signalr.md](signalr.md) shows how to use it.
---
---```lua
---local ws = require "evws"
---local signalr = require "evws.signalr"
---
---local chat = signalr.hub { methods = {
---  Say = function(ctx, text) ctx.clients.all:send("Said", text) end,
---} }
---assert(ws.listen { port = 5000, routes = chat:routes "/chat" })
---ws.run()
---```
---@class evws.signalr
---Null inside of a table, and as an item of a stream; as an argument null is
---nil.
---@field null evws.Null
local signalr = {}

---A method: its function, or a table with it. Its parameters are the context,
---(of a stream) what the items are sent by, the uploads, then the arguments: as
---many as the function's own parameters say, exactly, or any number for `...`.
---@class evws.HubMethod
---@field [1] fun(ctx: evws.HubContext, ...): any
---How many streams of items the client sends with a call, default `0`.
---@field uploads? integer
---How many arguments, or the least and the most.
---@field args? integer|integer[]
---May this client call it?
---@field authorize? fun(ctx: evws.HubContext): boolean

---What a call, or the coming and going of a client, passes through. `next` goes
---on, and returns the method's result.
---@class evws.HubFilter
---@field invoke? fun(call: { method: string, args: table, ctx: evws.HubContext }, next: fun(call: table): any): any
---@field connected? fun(ctx: evws.HubContext, next: fun())
---@field disconnected? fun(ctx: evws.HubContext, next: fun(), why: string?)

---The options of `signalr.hub`.
---@class evws.HubOptions
---Methods by name, default none; clients may write the names in any case.
---@field methods? table<string, fun(ctx: evws.HubContext, ...): any | evws.HubMethod>
---Methods that return a stream of items: their second parameter is an
---`evws.HubOut`. Default none.
---@field streams? table<string, fun(ctx: evws.HubContext, out: evws.HubOut, ...) | evws.HubMethod>
---Called when a client is there, before anything of it is read. An error ends
---the connection.
---@field on_connected? fun(ctx: evws.HubContext)
---Called when it is over, after its last method; `why` is nil after an end in
---order.
---@field on_disconnected? fun(ctx: evws.HubContext, why: string?)
---Called for each request, a WebSocket's too: nothing lets it in, a status, a
---body and header fields refuse it.
---@field authorize? fun(request: evws.Request): integer?, string?, table?
---The name of the user of a request, or nil: for `clients:user`. A session
---belongs to the user that began it; another one is answered with 403.
---@field user_id? fun(request: evws.Request): string?
---Default none; the first is the outermost.
---@field filters? evws.HubFilter[]
---Which pages may connect, as in `ws.listen`; default `"same"`. It holds for all
---transports; pages of other origins are answered as CORS wants it.
---@field origins? "*"|"same"|string[]|fun(origin: string, request: evws.Request): boolean
---In the order in which they are offered: `"WebSockets"`,
---`"ServerSentEvents"`, `"LongPolling"`. Default: all.
---@field transports? string[]
---`"json"`, `"messagepack"`. Default: both.
---@field protocols? string[]
---Do clients learn what went wrong? Default `false`: only what `signalr.raise`
---says.
---@field detailed_errors? boolean
---Seconds between pings, default `15`; `false`: none.
---@field keepalive_interval? number|false
---Seconds of silence after which a client that has pinged is gone, default
---`30`; `false`: never.
---@field client_timeout? number|false
---Seconds for the handshake, default `15`.
---@field handshake_timeout? number
---Seconds that a session lasts without a transport, default `15`: negotiated and
---not used, between two polls, or lost and stateful.
---@field disconnect_timeout? number
---Seconds that a poll waits, default `90`.
---@field poll_timeout? number
---Seconds to wait for the peer's close frame, default `5`.
---@field close_timeout? number
---Seconds in which the peer takes none of what is queued, default `10`.
---@field stall_timeout? number
---Bytes of one record of a client, default `32 * 1024`; `false`: no limit. Of
---the record, not of a message: clients put many records into one.
---@field max_record? integer|false
---Bytes that may wait each way before a stream, or a client's next request, has
---to wait, default `64 * 1024`.
---@field max_buffered? integer
---Bytes that may wait for a client, default `1024 * 1024`; then it is told to
---come back.
---@field max_queued? integer
---Plain calls of one client at a time, default `1`. Streams do not count.
---@field parallel_invocations? integer
---Items of an upload that wait for the method, default `10`; then reading
---pauses.
---@field stream_buffer? integer
---Streams of one client at a time, up and down, default `100`.
---@field max_streams? integer
---Clients that have negotiated and whom no transport has come for, default
---`8192`; beyond them negotiations are answered with 503.
---@field max_negotiated? integer
---How many lists and maps may stand inside of one another, default `64`.
---@field max_depth? integer
---May clients come back to their session after a loss, with nothing lost or
---doubled? Default `false`.
---@field stateful_reconnect? boolean
---Bytes of what such a client has not acknowledged before its streams wait,
---default `100000`.
---@field replay_buffer? integer
---Of negotiation, default `0`; `1` refuses very old clients.
---@field minimum_version? integer
---What the hub's topics and tokens are called by, the same in every process;
---default: its first path.
---@field name? string
---Signs the tokens of its connections, 16 bytes or more, so that processes of
---several machines know each other's; default: of the supervisor, where there is
---one (`evws serve`).
---@field secret? string
---As in `ws.listen`, for the connections of WebSockets.
---@field compression? boolean|evws.Compression
---@field message_rate? evws.Rate|false
---@field max_lifetime? number|false
---Called when a method or a hook raised an error, other than by
---`signalr.raise`; the connection is there for WebSockets. Without it:
---`ws.on_error`.
---@field on_error? fun(conn: evws.Conn?, message: string, traceback: string)

---Makes a hub. Wrong options raise at the caller's line, as does a missing
---lua-cjson.
---@param options evws.HubOptions
---@return evws.Hub
function signalr.hub(options) end

---Raises the one error whose text reaches the client: `An unexpected error
---occurred invoking 'Say' on the server. HubException: ` and the text.
---@param text string
function signalr.raise(text) end

---Marks a table as an object, and returns it: an empty table is a list
---otherwise.
---@param fields? table
---@return table fields
function signalr.object(fields) end

---Bytes: `bin` in MessagePack, base64 in JSON. Received, they are strings.
---@param bytes string
---@return evws.Binary
function signalr.binary(bytes) end

---A point in time: a timestamp in MessagePack, RFC 3339 in JSON.
---@param seconds number since 1970, UTC
---@param nanoseconds? integer
---@return evws.Time
function signalr.time(seconds, nanoseconds) end

---@class evws.Hub
---Whom to tell, from anywhere in the program.
---@field clients evws.HubClients
---Groups, by the ids of connections.
---@field groups evws.HubGroups
local hub = {}

---The routes of a path and of its negotiation, to be given as `routes` to
---`ws.listen`, or merged into others. A hub may have several paths, and several
---servers.
---@param path string
---@return table<string, evws.RouteOptions>
function hub:routes(path) end

---Adds those routes to a server. Returns it; or nil and `"closed"`.
---@param server evws.Server
---@param path string
---@return evws.Server? server
---@return string? message
function hub:mount(server, path) end

---Says Close to everybody, in batches, and waits until all have been told; takes
---nobody any more. Happens by itself, with `allow_reconnect`, when a server of
---the hub closes.
---@param options? { timeout?: number, allow_reconnect?: boolean } 10 seconds, true
---@return true
function hub:close(options) end

---What the hub has counted: `sessions` by transport (now), `invocations`,
---`errors`, `records_in`, `records_out`, `bytes_in`, `bytes_out`, `items_in`,
---`items_out` (of streams), `ignored`. Of this process alone.
---@return table
function hub:stats() end

---The same as text for Prometheus (docs/metrics.md), of all workers of `evws
---serve`. It is part of `server:metrics()` of a server that has the hub's routes.
---@return string
function hub:metrics() end

---The first argument of methods and hooks: who calls. It may be kept.
---@class evws.HubContext
---The connection's id, as `clients:client` takes it.
---@field id string
---What `user_id` returned.
---@field user string?
---Yours, for as long as the connection lasts.
---@field items table
---Any value of yours, nil at first, as `conn.data`.
---@field data any
---The request of the transport, until `on_connected` has returned; afterwards
---where it was read by then.
---@field request evws.Request?
---@field transport "WebSockets"|"ServerSentEvents"|"LongPolling"|nil
---@field protocol "json"|"messagepack"|nil
---@field is_closed boolean
---As of the hub, and `.caller`, `.others`, `:others_in_group(group)`.
---@field clients evws.HubClients
local ctx = {}

---Returns true; or nil and `"closed"`. Joining twice is the same as once.
---@param group string 1 to 1024 bytes
---@return true? ok
---@return string? message
function ctx:join(group) end

---@param group string
---@return true? ok
---@return string? message
function ctx:leave(group) end

---Ends the connection, for good unless `allow_reconnect` is true.
---@param options? { error?: string, allow_reconnect?: boolean }
---@return true
function ctx:close(options) end

---Calls `fn(ctx)`, as a task, when the connection is over; at once where it is.
---@param fn fun(ctx: evws.HubContext)
---@return evws.HubContext ctx itself
function ctx:on_closed(fn) end

---@class evws.HubGroups
local groups = {}

---Returns true; or nil and `"unknown connection"`.
---@param id string of a connection
---@param group string
---@return true? ok
---@return string? message
function groups:add(id, group) end

---@param id string of a connection
---@param group string
---@return true? ok
---@return string? message
function groups:remove(id, group) end

---Whom to tell. Each method returns a proxy, which may be kept.
---@class evws.HubClients
---@field all evws.HubProxy
---Of a context: who calls, and everybody else.
---@field caller evws.HubProxy
---@field others evws.HubProxy
local clients = {}

---@param ids string[]
---@return evws.HubProxy
function clients:all_except(ids) end

---@param id string
---@return evws.HubProxy
function clients:client(id) end

---@param ids string[]
---@return evws.HubProxy
function clients:clients(ids) end

---@param group string
---@return evws.HubProxy
function clients:group(group) end

---Who is in two of them is told twice.
---@param names string[]
---@return evws.HubProxy
function clients:groups(names) end

---@param group string
---@param ids string[]
---@return evws.HubProxy
function clients:group_except(group, ids) end

---Of a context: a group without the caller.
---@param group string
---@return evws.HubProxy
function clients:others_in_group(group) end

---@param user string
---@return evws.HubProxy
function clients:user(user) end

---@param users string[]
---@return evws.HubProxy
function clients:users(users) end

---@class evws.HubProxy
local proxy = {}

---Calls a method of the clients, without an answer; never waits. It is encoded
---once for each protocol in use. What cannot be sent raises at the caller's
---line, with nothing sent.
---
---Returns how many connections it was for.
---@param method string
---@param ... any
---@return integer count
function proxy:send(method, ...) end

---Of `client(id)` and `caller`: calls a method and waits for its result. Raises
---in `on_connected`, before which nothing of the client is read.
---
---Returns the result (nil for null); or nil and the client's error, `"closed"`
---or `"timeout"`.
---@param method string
---@param ... any
---@return any result
---@return string? message
function proxy:invoke(method, ...) end

---The same proxy, whose `invoke` waits so long at most.
---@param seconds number
---@return evws.HubProxy
function proxy:within(seconds) end

---The second parameter of a stream.
---@class evws.HubOut
local out = {}

---Sends an item; waits while the client is slow. Returns true; or nil and
---`"cancelled"` or `"closed"`: the method should return.
---@param item any
---@return true? ok
---@return string? message
function out:send(item) end

---A stream of items from the client.
---@class evws.HubUpload
---After its end: the client's error, if there was one.
---@field error string?
local upload = {}

---The next item, `signalr.null` for null; or nil and `"ended"`, `"timeout"`,
---`"closed"` or the client's error.
---@param seconds? number
---@return any item
---@return string? message
function upload:receive(seconds) end

---Iterates over the items: `for item in items:each() do ... end`.
---@return fun(): any
function upload:each() end

return signalr
