---@meta evws.channels

-- ---------------------------------------------------------------------------
-- Channels
-- ---------------------------------------------------------------------------

---Channels for the unmodified clients of Centrifugo (`centrifuge` for
---JavaScript, those for Python and Go): publications with a history, so that who
---was away gets what was missed; who is there; calls. JSON over WebSockets.
---[docs/channels.md](channels.md) shows how to use it.
---
---```lua
---local ws = require "evws"
---local channels = require "evws.channels"
---
---local chat = channels.new { namespaces = {
---  ["room:*"] = { publish = "subscribers", history = { size = 100, ttl = 300 } },
---} }
---assert(ws.listen { port = 5000, history = chat.kept,
---  routes = chat:routes "/connection/websocket" })
---ws.run()
---```
---@class evws.channels
---Null inside of a table; as what a handler is given null is nil.
---@field null evws.Null
local channels = {}

---How long a channel keeps what was published.
---@class evws.ChannelHistory
---The last so many, 1 to 65536.
---@field size integer
---Seconds after the last one.
---@field ttl number

---The rights of a namespace: what clients may do in its channels. The program
---itself may do everything.
---@class evws.ChannelRights
---Default `true`. `"token"`: who brings a token for the channel. A function may
---wait; nothing or false refuses (error 103), a table goes to the client, and
---with `info` beside what it publishes.
---@field subscribe? boolean|"token"|fun(client: evws.ChannelClient, channel: string, request: evws.ChannelRequest): boolean|evws.ChannelGrant|nil
---Default `false`. A function may wait; a second value is published instead.
---@field publish? boolean|"subscribers"|fun(client: evws.ChannelClient, channel: string, data: any): boolean?, any
---Default: none. With it clients have a position, and recover.
---@field history? evws.ChannelHistory
---Of the history only the last is of interest, as a state: who subscribes or
---comes back is given that one. Default `false`.
---@field cache? boolean
---Is it known who is there? Default `false`.
---@field presence? boolean
---Are joins and leaves told, to those who ask for them (`joinLeave`), or
---`"always"` to all? Default `false`: in a room of thousands each of them goes to
---thousands.
---@field join_leave? boolean|"always"
---Default `"subscribers"`; true: anybody.
---@field read_history? boolean|"subscribers"
---Default `"subscribers"`; true: anybody.
---@field read_presence? boolean|"subscribers"

---@class evws.ChannelRequest
---What the client's subscription sends along.
---@field data any
---Its token, not looked at.
---@field token? string
---Is it here already, and asks to stay after `expires`?
---@field is_refresh? boolean

---@class evws.ChannelGrant
---For the client's `subscribed`.
---@field data? any
---Stands beside what it publishes, and in the presence of the channel.
---@field info? any
---Unix time at which the client has to ask again.
---@field expires? number

---The options of `channels.new`.
---@class evws.ChannelOptions
---Who is it? May wait. What it leaves out comes from the token; nothing or false
---refuses (error 101). Default: everybody, nameless.
---@field connect? fun(client: evws.ChannelClient): evws.ChannelIdentity|boolean|nil
---Tokens (HS256) of connections and channels are signed with it. A token that is
---wrong closes the connection (3500), one that has expired makes the client ask
---for another (109). Without `connect` a token is needed. At least 32 bytes, as
---HS256 wants it (RFC 7518 3.2).
---@field secret? string
---The rights of channels by pattern: a name, or the beginning of names and a `*`;
---the longest that matches counts. A channel of none is unknown (102).
---@field namespaces? table<string, evws.ChannelRights>
---What clients may call. May wait.
---@field rpc? table<string, fun(client: evws.ChannelClient, data: any): any>
---What a client sends without an answer.
---@field on_message? fun(client: evws.ChannelClient, data: any)
---@field on_subscribed? fun(client: evws.ChannelClient, channel: string)
---code: 0 by the client, 1 the connection is over, else the server's.
---@field on_unsubscribed? fun(client: evws.ChannelClient, channel: string, code: integer)
---Of clients that were connected, once.
---@field on_disconnected? fun(client: evws.ChannelClient, code: integer, reason: string)
---A token's time is over and the client has brought another: `client.claims`. As
---`connect`; of what it returns `expires` counts.
---@field refresh? fun(client: evws.ChannelClient): evws.ChannelIdentity|boolean|nil
---Which pages may connect, as in `ws.listen`; default `"same"`.
---@field origins? "*"|"same"|string[]|fun(origin: string, request: evws.Request): boolean
---Seconds between pings, whole ones, default `25`; `false`: none.
---@field ping? integer|false
---Does the client have to answer them? Default `false`: those that are gone are
---found by pings of WebSocket.
---@field pong? boolean
---Seconds for that, default `8`.
---@field pong_timeout? number
---Seconds until a client has to say who it is, default `15`.
---@field connect_timeout? number
---Seconds for a refresh after the end of a token, default `25`.
---@field expiry_grace? number
---Bytes of one command, default `64 * 1024`.
---@field max_command? integer
---Bytes of a frame, which holds many commands when a client comes back, default
---`1024 * 1024`. More ends a client for good.
---@field max_message? integer
---Channels of one client at a time, default `128`.
---@field max_subscriptions? integer
---Bytes of a channel's name, default `255`.
---@field max_channel? integer
---Lists and objects inside of one another, in a command, default `64`.
---@field max_depth? integer
---Who has missed more is not recovered, default `300`.
---@field max_recovered? integer
---A history that clients read is cut to so many, default `300`.
---@field max_history? integer
---Commands of one client that wait in handlers at once, default `16`. Those of
---one channel are done one after the other.
---@field parallel? integer
---Beyond so many that wait for that reading pauses, default `256`.
---@field max_commands? integer
---Connections of one user in this process, default `false`: any number. One more
---is closed with 3504.
---@field max_per_user? integer|false
---As in `ws.listen`.
---@field compression? boolean|evws.Compression
---@field message_rate? evws.Rate|false
---@field max_lifetime? number|false
---Called when a handler raised an error, other than by `channels.raise`. Without
---it: `ws.on_error`.
---@field on_error? fun(conn: evws.Conn?, message: string, traceback: string)

---@class evws.ChannelIdentity
---Default: the token's `sub`, or `""`.
---@field user? string
---Stands beside what it publishes and in presence; up to 2048 bytes as JSON.
---Default: the token's `info`.
---@field info? any
---For the client's `connected`.
---@field data? any
---Channels that it is in without asking. Default: the token's `channels`.
---@field subscribe? string[]
---Unix time at which it has to refresh. Default: the token's `exp`.
---@field expires? number

---Makes an application. Wrong options raise at the caller's line.
---@param options? evws.ChannelOptions
---@return evws.Channels
function channels.new(options) end

---Opens a connection to a server of channels: one of evws, or a Centrifugo. It
---comes back by itself after a loss, and its channels with it; those with a
---history have what was missed, once and in order.
---
---Waits until the server has taken it, or returns nil, what is wrong, and a code:
---of the protocol's error, of a close, or of the HTTP answer; that is the end
---then. With `on_connected` among the options it returns at once, and the first
---attempt is like the others. A wrong URL or option raises at the caller's line.
---
---```lua
---local chat = assert(channels.connect("ws://localhost:5000/connection/websocket",
---  { data = { name = "Ann" } }))
---assert(chat:subscribe("room:1", { on_publication = function(room, publication)
---  print(room.channel, publication.data)
---end }))
---assert(chat:publish("room:1", { text = "hello" }))
---chat:wait()
---```
---@param url string
---@param options? evws.ChannelConnectOptions
---@return evws.ChannelConnection? connection
---@return string? message
---@return integer? code
function channels.connect(url, options) end

---What is called of a channel. Handlers of one connection are called one after
---the other, in the order of what came, and may wait: what comes then waits too.
---@class evws.ChannelHandlers
---It is in, for the first time or again. Where `was_recovering` is true and
---`recovered` is not, more was missed than is kept: load everything anew.
---@field on_subscribed? fun(subscription: evws.ChannelSubscription, found: { recovered: boolean, was_recovering: boolean, data: any })
---@field on_publication? fun(subscription: evws.ChannelSubscription, publication: evws.ChannelPublication)
---@field on_join? fun(subscription: evws.ChannelSubscription, info: evws.ChannelInfo)
---@field on_leave? fun(subscription: evws.ChannelSubscription, info: evws.ChannelInfo)
---It is out for good. code: 0 by `unsubscribe`, else the server's, of an error or
---of its word; or the connection's, which is closed.
---@field on_unsubscribed? fun(subscription: evws.ChannelSubscription, code: integer, reason: string)

---The options of `channels.connect`. Handlers of channels that stand here are
---those of all channels that have none of their own, and of the ones that the
---server puts it into.
---@class evws.ChannelConnectOptions: evws.ChannelHandlers
---A token, or what brings one and may wait: asked at the beginning, before its
---time is over, and when the server says that it is. Nothing or false: error 101,
---for good; an error that it raises is told to `on_error`, and it is asked again.
---@field token? string|fun(connection: evws.ChannelConnection): string?
---For the server's `connect`: `client.data` there.
---@field data? any
---What it says of itself, default `"evws"`.
---@field name? string
---Default: that of evws.
---@field version? string
---Seconds that the server has for an answer, default `5`. Who leaves connect or
---subscribe without one is connected anew.
---@field timeout? number
---Does it come back? Default `true`: after 0.5 s and longer each time, up to 20.
---@field reconnect? boolean|evws.Reconnect
---Events that wait for handlers; beyond it reading pauses, unless a handler
---itself waits for an answer. Default `1024`.
---@field receive_queue? integer
---Bytes of a message: a reply has all that was missed, default
---`16 * 1024 * 1024`.
---@field max_message? integer|false
---These as in `ws.connect`.
---@field tls? evws.ClientTls
---@field origin? string
---@field headers? table<string, string|string[]>
---@field proxy? string|boolean
---@field proxy_tls? evws.ClientTls
---@field compression? boolean|evws.Compression
---The server has taken it, each time; data: what its `connect` says.
---@field on_connected? fun(connection: evws.ChannelConnection, data: any)
---It is lost, or an attempt has failed. `connection.state` tells whether it comes
---back: `"connecting"` or `"closed"`. code: of the close (1006: none), or of the
---error or HTTP answer that was given instead.
---@field on_disconnected? fun(connection: evws.ChannelConnection, code: integer, reason: string)
---What the server sends to it: `client:send`, `chat:send`.
---@field on_message? fun(connection: evws.ChannelConnection, data: any)
---A handler raised an error; the connection goes on. Without it: `ws.on_error`.
---@field on_error? fun(connection: evws.ChannelConnection, message: string, traceback: string)

---@class evws.ChannelSubscribeOptions: evws.ChannelHandlers
---Of a channel that wants one, as that of the connection.
---@field token? string|fun(subscription: evws.ChannelSubscription): string?
---For the server's `subscribe`: `request.data` there.
---@field data? any
---To be told who comes and goes, default `false`.
---@field join_leave? boolean
---To begin from there: what came since is given first.
---@field recover? evws.Position
---`false`: return at once. Default `true`: when it is in.
---@field wait? boolean

---@class evws.ChannelInfo
---@field user string
---The id of the connection.
---@field client string
---What the server knows of it: `info` of its `connect`, and of its `subscribe`.
---@field conn_info any
---@field chan_info any

---@class evws.ChannelPublication
---Null alone is nil, inside of tables `channels.null`.
---@field data any
---In a channel with a history.
---@field offset integer?
---Who has published it, if that was a client.
---@field info evws.ChannelInfo?
---@field tags table<string, string>?

---What `channels.connect` returns. What it asks of the server waits for the
---answer, and for the connection if there is none just now, up to `timeout`; and
---returns nil, a message and the server's code where there is one. Messages
---without a code: `"timeout"`, `"closed"`, `"queue full"` and `"lost"`: the
---connection was, after the request was sent; it may have been done or not.
---
---A variable `local chat <close>` closes it when it goes out of scope.
---@class evws.ChannelConnection
---The server's name for it, another each time; nil before the first.
---@field id string?
---@field state "connecting"|"connected"|"closed"
local connection = {}

---Subscribes, and waits until it is in; tries again while that may help. Nil, a
---message and a code where the server refuses, or after `timeout`; then it is
---over. With `wait = false` it returns at once, and goes on trying; a refusal is
---told to `on_unsubscribed`.
---@param channel string
---@param options? evws.ChannelSubscribeOptions
---@return evws.ChannelSubscription? subscription
---@return string? message
---@return integer? code
function connection:subscribe(channel, options) end

---@param channel string
---@param value any
---@return true? ok
---@return string? message
---@return integer? code
function connection:publish(channel, value) end

---What a channel keeps, and where it is now.
---@param channel string
---@param options? evws.HistoryOptions
---@return evws.ChannelPublication[]? publications
---@return evws.Position|string position_or_message
---@return integer? code
function connection:history(channel, options) end

---Who is in a channel, by the id of the connection.
---@param channel string
---@return table<string, evws.ChannelInfo>? clients
---@return string? message
---@return integer? code
function connection:presence(channel) end

---How many they are.
---@param channel string
---@return { clients: integer, users: integer }? count
---@return string? message
---@return integer? code
function connection:presence_stats(channel) end

---Calls a function of the server's `rpc`. Null as its result is `channels.null`.
---@param method string
---@param value? any
---@return any result
---@return string? message
---@return integer? code
function connection:rpc(method, value) end

---Sends a value for the server's `on_message`. Never waits; true says that it was
---sent. Nil and `"closed"` or `"queue full"`.
---@param value any
---@return true? ok
---@return string? message
function connection:send(value) end

---Ends it, for good.
---@return true
function connection:close() end

---Waits until it is over. Returns the code and the reason, as `on_disconnected`
---gets them; or nil and `"timeout"`, `"interrupted"` or `"nothing to wait for"`.
---@param timeout? number seconds; none: for ever
---@return integer? code
---@return string reason_or_message
function connection:wait(timeout) end

---A channel of a connection.
---@class evws.ChannelSubscription
---@field channel string
---@field connection evws.ChannelConnection
---`"unsubscribed"`: for good.
---@field state "subscribing"|"subscribed"|"unsubscribed"
---The last one that was received, where there is a history; handlers may be
---behind it.
---@field offset integer?
---@field epoch string?
---Has the server put it there?
---@field by_server boolean
local subscription = {}

---Ends it. Returns true; or nil and `"not subscribed"`.
---@return true? ok
---@return string? message
function subscription:unsubscribe() end

---As those of the connection.
---@param value any
---@return true? ok
---@return string? message
---@return integer? code
function subscription:publish(value) end

---@param options? evws.HistoryOptions
---@return evws.ChannelPublication[]? publications
---@return evws.Position|string position_or_message
---@return integer? code
function subscription:history(options) end

---@return table<string, evws.ChannelInfo>? clients
---@return string? message
---@return integer? code
function subscription:presence() end

---@return { clients: integer, users: integer }? count
---@return string? message
---@return integer? code
function subscription:presence_stats() end

---Raises an error that the client is told, in a handler that it waits for. Any
---other error is 100, `internal server error`.
---@param code integer 400 to 1999
---@param message string
---@param temporary? boolean clients try again; default `false`
function channels.raise(code, message, temporary) end

---Marks a table as an object, and returns it: an empty table is a list otherwise.
---@param fields? table
---@return table fields
function channels.object(fields) end

---Says that a table is a list, and returns it.
---@param list? table
---@return table list
function channels.array(list) end

---@class evws.Channels
---The option `history` of `ws.listen` for its channels; nil where none has a
---history.
---@field kept table<string, evws.HistoryRule>?
local chat = {}

---The route of a path, to be given as `routes` to `ws.listen`, or merged into
---others.
---@param path string
---@return table<string, evws.RouteOptions>
function chat:routes(path) end

---Makes a server known that has its routes. That happens by itself when the first
---client comes; before, nothing can be published. Raises where a namespace has a
---history that the server does not keep.
---
---    local server = assert(ws.listen { history = chat.kept, routes = ... })
---    chat:serve(server)
---@param server evws.Server
---@return evws.Server server
function chat:serve(server) end

---Publishes a value in a channel; `server:publish(channel, text)` does the same
---with JSON of one's own. What cannot be written raises at the caller's line.
---
---Returns what `server:publish` does: to how many, or in a channel with a history
---the offset and the epoch; nil and `"no server"` before there is one.
---@param channel string
---@param value any
---@param options? { tags?: table<string, string>, wait?: number }
---@return integer|true|nil offset_or_count
---@return string? epoch_or_message
function chat:publish(channel, value, options) end

---What a channel keeps: a list of `{ offset =, data =, info =, tags = }`, and
---where it is now. Options and failures are those of `server:history`.
---@param channel string
---@param options? evws.HistoryOptions
---@return table[]? messages
---@return evws.Position|string position_or_message
function chat:history(channel, options) end

---Forgets what a channel keeps: a new epoch. Its clients come back by themselves,
---not recovered.
---@param channel string
---@return true? ok
---@return string? message
function chat:reset(channel) end

---Who is in a channel, by the client's id. Nil and why as `server:presence`, or
---`"no server"` before the first client has come.
---@param channel string
---@return table<string, { user: string, info: any, channel_info: any }>? clients
---@return string? message
function chat:presence(channel) end

---Ends all connections of a user. Codes from 3000 to 3499 and 4000 to 4499 let
---clients come back, others are for good.
---@param user string
---@param code? integer default `3503`
---@param reason? string
---@return true
function chat:disconnect(user, code, reason) end

---Puts all connections of a user into a channel, whatever its `subscribe` says.
---@param user string
---@param channel string
---@param options? evws.ChannelGrant
---@return true
function chat:subscribe(user, channel, options) end

---Takes all connections of a user out of a channel.
---@param user string
---@param channel string
---@param code? integer default `2000`; from 2500 to 2999 clients come back
---@param reason? string
---@return true
function chat:unsubscribe(user, channel, code, reason) end

---Sends a value to all connections of a user: `message` there.
---@param user string
---@param value any
---@return true
function chat:send(user, value) end

---What is counted: `clients` and `users` now; `connected`, `errors` (handlers that
---failed), `ignored` (sent without an `on_message`), `skipped` (publications that
---are no JSON) since the start.
---@return table<string, integer>
function chat:stats() end

---The same as text for Prometheus (docs/metrics.md), to be appended to
---`server:metrics()`.
---@return string
function chat:metrics() end

---A client, as handlers are given it. It may be kept.
---@class evws.ChannelClient
---Random, 22 characters.
---@field id string
---As `connect` has said; nil before.
---@field user string?
---As `connect` has said.
---@field info any
---Of its token, which was verified; nil without one.
---@field claims table?
---What it has sent with connect, then yours.
---@field data any
---What it says of itself: its library and that one's version, and header fields
---that a page cannot send otherwise.
---@field name string
---@field version string
---@field headers table
---The request it has come by, in `connect`.
---@field request evws.Request?
---@field conn evws.Conn
local client = {}

---Sends a value: `message` there. Returns true; or nil and `"closed"`.
---@param value any
---@return true? ok
---@return string? message
function client:send(value) end

---Puts it into a channel, whatever its `subscribe` says. Returns true, also where
---it is there already; or nil and `"closed"` or `"limit exceeded"`. With a
---backplane it waits until Redis knows of it, 3 seconds at most.
---@param channel string
---@param options? evws.ChannelGrant
---@return true? ok
---@return string? message
function client:subscribe(channel, options) end

---Returns true; or nil and `"not subscribed"`.
---@param channel string
---@param code? integer default `2000`; from 2500 to 2999 clients come back
---@param reason? string
---@return true? ok
---@return string? message
function client:unsubscribe(channel, code, reason) end

---Ends the connection. Returns true; or nil and `"closed"`.
---@param code? integer default `3503`
---@param reason? string
---@return true? ok
---@return string? message
function client:disconnect(code, reason) end

---The channels it is in, sorted.
---@return string[]
function client:channels() end

return channels
