---@meta evws

-- What `require "evws"` returns, for editors and for readers. Nothing here is
-- run; spec/library_spec.lua compares it with the module.
--
-- Manners, the same everywhere:
--   * Wrong use raises at the caller's line: "bad argument #1 to ...",
--     "unknown option 'prot' for 'listen' (did you mean 'port'?)".
--   * What the world does (peer gone, port taken) returns nil and a message.
--   * Times are seconds, sizes are bytes. `false` stands for "no limit" where
--     an option's type says so. Options that are not known raise.
--   * A message is a string and its kind: "text" (UTF-8) or "binary".
--   * Every handler may wait (ws.sleep, conn:receive, conn:drain, ws.connect):
--     it runs as a task of its own. Where no turn of the loop runs, in a
--     script's own code, a waiting call drives the loop until it has its
--     answer. Elsewhere (a coroutine of your own inside of a handler,
--     table.sort, string.gsub, a finalizer) it raises "cannot wait here (use
--     ws.spawn)".
--
-- docs/errors.md explains every message.

---WebSockets: servers and clients (RFC 6455).
---
---```lua
---local ws = require "evws"
---assert(ws.listen { port = 5000, path = "/ws", on_open = function(conn)
---  conn:on_message(conn.send)
---end })
---ws.run()
---```
---@class evws
---The version of evws.
---@field version string
---The defaults of the limits and of who may connect, by option:
---`ws.defaults.max_message`. A copy to read: changing it changes nothing.
---@field defaults table<string, any>
---What this process is among the workers of `evws serve`.
---@field worker evws.Worker
local ws = {}

---How a message was sent: `"text"` is UTF-8, `"binary"` any bytes
---(RFC 6455 5.6).
---@alias evws.Kind "text"|"binary"

---@alias evws.State "connecting"|"open"|"closing"|"closed"

---@class evws.Compression
---
---Bytes below which a message is sent as it is, default `1024`.
---@field threshold? integer
---
---1, fast, to 9, small; default `1`.
---@field level? integer
---
---Memory of a compressor beside its window, 1 to 9: 1 KiB doubled so many
---times; default `8`.
---@field memory? integer
---
---The window that the server compresses with is 2 to the power of this many
---bytes, 9 to 15, default `15`. A server keeps to it; a client demands it.
---@field server_max_window_bits? integer
---
---The same for the client's window, default `15`. A client keeps to it; a
---server asks it of clients that offer it.
---@field client_max_window_bits? integer
---
---Whether compression remembers what was sent before, default `false`: every
---message stands for itself and no connection has memory of its own for it.
---`true`: in both directions; `{ server =, client = }`: in what one of them
---sends. It is kept where both ends agree. A client that writes `false` does
---not connect to a server that keeps it; one that does not speak of it bears
---that.
---@field context_takeover? boolean|{ server?: boolean, client?: boolean }

---A limit that lets a burst through: `burst` at once, then `rate` a second.
---@class evws.Rate
---@field burst number at least 1
---@field rate number per second, at least 0

---HTTP requests on one connection, before an upgrade (RFC 9112 9.3).
---@class evws.HttpKeepalive
---Seconds to wait for a further request, default `75`, above the 60 that
---balancers keep theirs for, so that they end it first; then the connection is
---closed.
---@field timeout? number
---Requests answered on one connection, default `1000`; the last answer says
---`Connection: close`.
---@field requests? integer

-- ---------------------------------------------------------------------------
-- Options
-- ---------------------------------------------------------------------------

---Files in PEM form: a certificate with those that lead to its authority
---behind it, and its key, without a password.
---@class evws.TlsPair
---@field certificate string
---@field key string

---TLS 1.2 (with ECDHE and AES-GCM or ChaCha20 alone) and 1.3, without
---renegotiation, compression and early data. Clients that offer protocols by
---ALPN have to offer `http/1.1`.
---@class evws.ServerTls: evws.TlsPair
---Who has signed the certificates of clients, a file in PEM form.
---@field ca? string
---Are clients asked for a certificate, and have they got to have one? Default
---`"required"` with `ca`, else `"none"`. Then `request.client_certificate`.
---@field verify? "none"|"optional"|"required"
---Default `"1.2"`.
---@field minimum? "1.2"|"1.3"
---Other certificates for these names, `"*.host"` included; who asks for no name
---or an unknown one is shown the one above.
---@field hosts? table<string, evws.TlsPair>

---How `wss://` is spoken.
---@class evws.ClientTls
---Who signs certificates that are trusted, a file in PEM form. Default: those
---whom the system trusts.
---@field ca? string
---Default `true`. `false` lets anybody in between read and change everything;
---that is logged, once.
---@field verify? boolean
---A certificate of ours, for servers that ask for one.
---@field certificate? string
---@field key? string
---Whom to ask for, and to expect in the certificate. Default: the URL's host.
---@field server_name? string
---Default `"1.2"`.
---@field minimum? "1.2"|"1.3"

---What `ws.listen` and `ws.connect` both take: handlers and limits of a
---connection.
---@class evws.ConnectionOptions
---
---Called when the connection is open; may send at once. Until it has
---returned, messages wait. Afterwards they go to `on_message`; if there is
---none, they wait for `conn:receive`. An accepted connection that has neither an
---`on_message` nor called `receive` or `messages` by then discards them (a feed
---that only sends).
---
---Given to `ws.connect`, it makes that call return at once.
---@field on_open? fun(conn: evws.Conn)
---
---Called for each whole message, in order; the next one waits until it has
---returned (see `concurrency`). Set per connection by `conn:on_message`.
---@field on_message? fun(conn: evws.Conn, message: string, kind: evws.Kind)
---
---Instead of `on_message`: called for each piece of a message as it comes, one
---after the other. `final` tells whether the message ends with it; the piece may
---be empty then. A piece of text ends between two characters. Nothing is
---gathered, so `max_message` applies only where it is given, and of the
---fragments only empty ones count against `max_fragments`. While the handler
---waits, the next pieces wait and reading pauses. Of a message that the end of
---the connection cuts off there is no final piece. Both handlers at once raise,
---as do a `concurrency` above 1 and `conn:receive`. Set per connection by
---`conn:on_chunk`.
---@field on_chunk? fun(conn: evws.Conn, bytes: string, kind: evws.Kind, final: boolean)
---
---Called for a ping, which evws answers by itself, before any handler runs. In
---its place among the messages; where they are pulled, the handler is called
---before further messages, but does not wait for those that nobody has
---received. While a handler waits, up to 16 pings and pongs wait for it; of
---more it does not hear. Set per connection by `conn:on_ping`. RFC 6455 5.5.2.
---@field on_ping? fun(conn: evws.Conn, payload: string)
---
---Called for a pong, in the same manner: also for the answers to the pings of
---`keepalive_interval`, which have 8 bytes of their own as payload.
---RFC 6455 5.5.3.
---@field on_pong? fun(conn: evws.Conn, payload: string)
---
---Called once for each `on_open`, when the connection is over, and once for a
---client's attempt that failed. `code` and `reason` are those of the peer's
---close frame (1005: a frame without a code); otherwise why evws ended it:
---`1006, "keepalive timeout"`. docs/errors.md lists them. No other handler
---of the connection is started after it. RFC 6455 7.1.5, 7.1.6.
---@field on_close? fun(conn: evws.Conn, code: integer, reason: string)
---
---Called when the send queue has fallen to `low_water` after it was above
---`high_water`: time to send more.
---@field on_drain? fun(conn: evws.Conn)
---
---Called when a handler of this connection raised an error; `ws.on_error` is,
---where this is missing. The peer sees Close 1011 without a reason (500, while
---the request is being answered); the message never leaves the process. The
---traceback begins with the handler and the path: `in on_message of /ws: `.
---@field on_error? fun(conn: evws.Conn, message: string, traceback: string)
---
---Sub-protocols in order of preference: `{ "v2", "v1" }`. A server chooses the
---first of its own that the client offers; with none in common the connection
---opens without one. A client offers them; an answer that names another one
---fails the attempt. Default: none. RFC 6455 1.9.
---@field subprotocols? string[]
---
---Bytes of a received message, default `1024 * 1024` (1 MiB); `false`: no
---limit. Judged by the frames' heads, before anything is reserved. On breach
---the peer sees Close 1009, `on_close` gets `1009, "the message is too big"`.
---RFC 6455 7.4.1, 10.4.
---@field max_message? integer|false
---
---Bytes that a compressed message above 64 KiB may inflate to, times what was
---sent. Default `false`: a log or a list of like records passes 100:1 easily, and
---`max_message` bounds what is inflated in any case. On breach: Close 1009,
---`1009, "the message inflates too much"`. RFC 7692 8.
---@field max_ratio? integer|false
---
---Compression of messages by permessage-deflate (RFC 7692), default `false`:
---the extension is neither offered nor accepted. `true` is a table with every
---default. What it costs is told in docs/compression.md. Do not compress
---secrets together with what an attacker may choose (CRIME, BREACH); see
---`compress` of `conn:send`.
---@field compression? boolean|evws.Compression
---
---Frames of one received message, empty ones too, default `4096`; `false`: no
---limit. On breach: Close 1008, `1008, "too many fragments"`. RFC 6455 5.4.
---@field max_fragments? integer|false
---
---Seconds after which a ping is sent when nothing was heard, default `120`, up
---to a tenth less so that many connections do not act as one; `false`: no
---pings. Keeps proxies from closing the connection, also while evws is not
---reading (a handler at work, a pause). RFC 6455 5.5.2.
---@field keepalive_interval? number|false
---
---Seconds without a single byte from the peer, while evws is reading, after
---which the connection is cut: `on_close` gets `1006, "keepalive timeout"`.
---Default `240`: twice `keepalive_interval`, also when only that one is given,
---and `false` with it. `false`: never. A value that is not above 1.1 intervals
---raises.
---@field keepalive_timeout? number|false
---
---Seconds without a message, or bytes of one in either direction, while evws is
---reading, after which the connection is closed, default `false`: never. Pings
---and pongs do not count. The peer sees Close 1001, `on_close` gets
---`1001, "idle timeout"`.
---@field idle_timeout? number|false
---
---Seconds a connection may last, up to a tenth less, default `false`: as long
---as it likes. The peer sees Close 1001, `on_close` gets `1001, "max
---lifetime"`.
---@field max_lifetime? number|false
---
---Seconds to wait for the peer's close frame, counted from when ours has left,
---default `5`; `false`: for ever. Then the connection is cut: `on_close` gets
---`1006, "close timeout"`. When the peer closes first, the time that handlers
---still at work have before its close frame is answered. RFC 6455 7.1.1.
---@field close_timeout? number|false
---
---Seconds in which the peer's side takes none of the bytes that are queued,
---default `10`; `false`: for ever. Then the connection is cut: `on_close` gets
---`1006, "write stalled"`.
---@field stall_timeout? number|false
---
---Bytes in the connection's send queue above which its `on_message` is not
---called and its messages are not read (`read_ahead` turns that off), so that a
---handler that answers cannot overflow its queue: a peer that does not read
---slows itself down. Whoever receives (`conn:receive`, `conn:messages`) is
---always served, for it brakes by not receiving. Default `64 * 1024`.
---`on_drain` is due when the queue has been above it.
---@field high_water? integer
---
---Bytes at which `on_drain` is called, `conn:drain` returns and reading goes
---on. Default `32 * 1024`: half of `high_water`, also when only that one is
---given. Not above `high_water`.
---@field low_water? integer
---
---Bytes that may wait for a peer that does not read, default `1024 * 1024`;
---`false`: no limit. A message is refused (`conn:send` returns `nil, "queue
---full"`) when something waits already and the sum would be more; with nothing
---waiting a message of any size is taken. Pongs and close frames always fit.
---@field max_queued? integer|false
---
---When a message is refused for `max_queued`, default `"reject"`: it leaves the
---connection as it is. `"close"` ends it: the peer sees Close 1008, `on_close`
---gets `1008, "slow consumer"`.
---@field on_full? "reject"|"close"
---
---Call `on_message` and read whatever the connection's own queue holds. Default
---`false` of `ws.listen`, where handlers answer; `true` of `ws.connect`: two
---ends that both stop reading until the other reads would wait for ever.
---@field read_ahead? boolean
---
---How many `on_message` of one connection may be at work at a time, while they
---wait. Default `1`: one after the other. At most 60000.
---@field concurrency? integer
---
---Bytes of messages that are kept while nobody takes them (`conn:receive`, a
---handler at work), default `64 * 1024`; 256 messages at most, one at least.
---When it is full, reading pauses and the peer feels it; nothing is lost, but
---see `ws.connect` for clients that never receive.
---@field receive_queue? integer
---
---Messages of one connection delivered in one turn of the loop, default `256`;
---then the others have their turn.
---@field read_budget? integer
---
---Pings and pongs from the peer, default `{ burst = 50, rate = 10 }` (rate in
---frames per second); `false`: no limit. On breach: Close 1008, `1008,
---"control frame flood"`.
---@field control_rate? evws.Rate|false
---
---Messages from the peer, default `false`: no limit; `{ burst =, rate = }` with
---the rate in messages per second. On breach: Close 1008, `1008, "message
---flood"`, or what `on_flood` says.
---@field message_rate? evws.Rate|false
---
---What becomes of a peer that sends more than `message_rate`, default `"close"`:
---it is ended. `"wait"`: the next message is not read before its time, so that
---the peer feels it, and nothing is lost; its pings and Close wait as well, and
---its silence meanwhile is not counted. Needs a rate above 0.
---@field on_flood? "close"|"wait"

---The options of `ws.listen`. One of `port`, `unix` and `fd` must be there.
---@class evws.ListenOptions: evws.ConnectionOptions
---
---The TCP port; 0: any free one, to be read as `server.port`.
---@field port? integer
---Somebody has come to a topic or gone (`presence` of `conn:subscribe`):
---`change` is `"join"` or `"leave"`. Each call is a task of its own, in order,
---behind what is going on. With a backplane those of all processes are told, when
---Redis has them. The same is published to the topic `"\0p" .. topic`,
---as `{"join":id,"key":key,"topic":topic,"info":info}`: there `info` is a JSON
---text if it is one, else a string.
---@field on_presence? fun(topic: string, change: "join"|"leave", id: string, info: string, key: string)
---Topics that keep their last messages for who comes back (`recover` of
---`conn:subscribe`), in this process, or with a `backplane` in Redis, for all
---processes: a pattern for each, a topic's name or the beginning of names and a
---`*`; of several that match, the longest counts. All processes should say the
---same.
---`{ ["room/*"] = { size = 100, ttl = 300 } }`
---@field history? table<string, evws.HistoryRule>
---
---Where to listen: a name or an address. `"localhost"` (the default) is
---127.0.0.1 and, where there is one, ::1 on the same port; `"*"` is every
---address of the machine, IPv4 and IPv6.
---@field host? string
---
---TLS, for `wss://` and `https://`; with it nothing else is spoken on the port.
---The files are read at once, and again by `server:reload_tls`.
---@field tls? evws.ServerTls
---
---The path of a Unix socket to listen on, instead of `port`. A socket file
---left behind that nobody answers on is replaced; the file is removed when the
---server closes.
---@field unix? string
---
---Who may connect to the Unix socket: the mode of its file in octal digits, as
---chmod takes them (`"660"`: owner and group). Set before anybody can connect.
---Default: what the umask of the process leaves.
---@field unix_mode? string
---
---The descriptor of a stream socket that listens already, instead of `port`:
---systemd passes 3 (docs/deploy.md). The server makes it non-blocking and
---close-on-exec, closes it at the end, and removes no file of it.
---@field fd? integer
---
---Connections the kernel keeps until they are accepted, default `1024`.
---@field backlog? integer
---
---Shares the server's topics with other processes: what `ws.backplane` has
---made, or the URL of a Redis for one with its defaults, which closes with the
---server. Without it, what `EVWS_BACKPLANE` in the environment says; `false`:
---none.
---@field backplane? evws.Backplane|string|false
---
---Let several processes listen on the same port, default `false`: each has a
---queue of its own there, which is lost with it. Workers of `evws serve` need
---nothing of the kind.
---@field reuse_port? boolean
---
---In a worker of `evws serve`: listen on what its supervisor has opened for all
---of them. Default `true`, and `false` beside `fd` and `reuse_port`; `false`: on
---a socket of this worker alone, as for `port = 5000 + ws.worker.id`. Elsewhere
---it changes nothing.
---@field shared? boolean
---
---The proxies in front of the server, default none: addresses and ranges
---(`{ "10.0.0.5", "192.168.0.0/16", "fd00::/8" }`), `"unix"` for whoever comes
---over the Unix socket, `"loopback"` and `"private"` for the usual ranges (RFC
---1918, fc00::/7). Their X-Forwarded-For and X-Forwarded-Proto, or where
---neither is there Forwarded (RFC 7239), decide `remote_address`,
---`remote_port` and `secure`; everyone else's are ignored. The list is walked
---from the right over trusted addresses to the first that is not; an entry
---that is no address ends the walk. The port is 0 where none is told.
---X-Forwarded-Host is ignored: the proxy has to pass Host on. See
---docs/deploy.md.
---@field trusted_proxies? string[]
---
---Every connection begins with a PROXY header (version 1 or 2), default
---`false`: it tells `remote_address` and `remote_port`. It is taken from
---`trusted_proxies`, which must be given, and within `handshake_timeout`; who
---is none of them, or sends no valid header of at most 4 KiB, is closed.
---@field proxy_protocol? boolean
---
---The one path that is a WebSocket: `"/ws"`, or a pattern as in `routes`. Any
---other upgrade is answered with 404, a plain request for it with 426. With
---neither `path` nor `routes` every path is a WebSocket. For a page at the same
---path write it as one of the `routes`, with an `on_request` of its own: that
---answers what is no upgrade.
---@field path? string
---
---Several paths, each with handlers and options of its own: `{ ["/ws"] = {
---on_message = f }, ["/chat/:room"] = { ... }, ["/files/*"] = { ... } }`. In a
---pattern `:name` is one segment, which is then `conn.params.name` (decoded),
---and `*` at the end is whatever follows, `conn.params["*"]`. Literal text
---beats a parameter, a parameter the `*`. However a path is spelled, it is the
---same: `/café` is `/caf%C3%A9` and `/caf%c3%a9`, `%7E` is `~`, but `%2F` is no
---`/` (RFC 3986 6.2.2). What a route does not set it takes from the options
---beside `routes`, `on_upgrade` included; `on_request`, `on_closing` and
---`on_metrics` it does not.
---@field routes? table<string, evws.RouteOptions>
---
---Called for a plain HTTP request for which neither `path` nor a route is
---there; a route may have an `on_request` of its own, for the path of its
---WebSocket. Returns a status (200 to 599), a body and header fields;
---nothing: 404. Runs while its connection waits, at most `upgrade_timeout`;
---what it returns later is ignored. `ws.static` makes one. Without it: 404, or
---426 where a WebSocket is. RFC 9110, RFC 9112.
---
---A function as the body is called with an `evws.Body` when the head has left,
---and writes the body for as long as it runs; with a Content-Length among the
---fields just so many bytes, and the client sees it when they are fewer. A long
---string leaves in pieces, as the client takes them. `upgrade_timeout` ends with
---the head. For HEAD, 204 and 304 it is not called. An error in it cuts the
---answer off, so that the client sees that it is not whole.
---
---```lua
---on_request = function(request)
---  return 200, function(out)
---    while not out.is_closed do
---      out:write("data: " .. os.date() .. "\n\n")
---      ws.sleep(1)
---    end
---  end, { ["Content-Type"] = "text/event-stream" }
---end
---```
---@field on_request? fun(request: evws.Request): integer?, (string|fun(out: evws.Body))?, table<string, string|string[]>?
---
---Called when the server begins to close, by `server:close` or by a signal, and
---lets nobody new in; connections are still open, and bodies are still written.
---They are told when it has returned, or after `seconds`, which is a quarter of
---the time that closing may take. A route has its own, and all are called. Not
---called where the timeout is 0.
---@field on_closing? fun(server: evws.Server, seconds: number)
---
---Called by `server:metrics()`: what else its page tells, as text for Prometheus
---with a HELP and a TYPE line of each metric; nothing: no more. A function that
---several routes have is called once. It must not wait. The routes of a hub bring
---theirs along.
---@field on_metrics? fun(server: evws.Server): string?
---
---Called for a valid upgrade whose origin is accepted, before it is answered.
---Returns nothing: accept; a table `{ subprotocol =, headers =, data = }`:
---accept with these; a status (300 to 599), a body and header fields: refuse.
---Runs at most `upgrade_timeout`. RFC 6455 4.2.2.
---@field on_upgrade? fun(request: evws.Request): (integer|evws.Acceptance)?, string?, table<string, string|string[]>?
---
---Which web pages may connect, by the Origin field that browsers send. Default
---`"*"`: those of every origin. `"same"`: those whose host and
---port are the request's Host (without a port in it, that of the scheme the
---browser saw, see `trusted_proxies`). A list: exact origins and wildcards for
---sub-domains, `{ "https://client.com", "https://*.client.com" }`, compared
---without case and with default ports filled in; `"null"` and `"file://"` are
---pages without a host, see docs/origin.md. A function `(origin, request)`,
---which may wait: true accepts. A request without Origin (no browser) is
---accepted, see `require_origin`. Refused: 403. RFC 6455 4.2.2, 10.2.
---@field origins? "*"|"same"|string[]|fun(origin: string, request: evws.Request): boolean
---
---Refuse (403) an upgrade without an Origin field, default `false`.
---@field require_origin? boolean
---
---Which Host fields are answered. Default `"*"`: every one. `"auto"`: on a
---loopback listener only loopback names, which stops DNS rebinding. A list
---of names, `*.` in front for sub-domains, with a port only where that port is
---meant. Others: 421. RFC 9110 7.4.
---@field hosts? "*"|"auto"|string[]
---
---Connections, those that are not yet open included. Default: the process's
---limit of descriptors less 64; `false`: no limit. One more is closed at once.
---(`ws.defaults` says `false`, as the number is the machine's.)
---@field max_connections? integer|false
---
---Connections from one address, those that are not yet open included, default
---`false`: no limit. IPv6 counts by its first 64 bits, which are one customer's.
---One more is closed at once. Of `trusted_proxies` the address counts that they
---name, when it asks for a WebSocket: one more is refused with 429. Connections
---on a Unix socket without such a name do not count.
---@field max_per_address? integer|false
---
---Bytes that evws may use in this process, beside Lua, at least 1 MiB; default
---`false`: no limit. Above that nobody new comes in: a connection is closed at
---once, a request is refused with 503; and what compression keeps between
---messages is given back. `ws.stats()` and `server:metrics` tell what is in use.
---@field max_memory? integer|false
---
---Connections that are not yet open and not yet asking `on_upgrade` or
---`on_request`, default `1024`; `false`: no limit. One more makes the oldest
---leave, with 503 if it had begun a request.
---@field max_pending? integer|false
---
---Seconds from accept, or from the first byte of a further request, to the end
---of a request, default `10`, however slowly bytes trickle in. Then 408, or
---nothing when no byte came.
---@field handshake_timeout? number|false
---
---Seconds for `on_upgrade` or `on_request` to return, default `30`; `false`:
---no limit. Then 503.
---@field upgrade_timeout? number|false
---
---Bytes of the request line, default `8192`; 64 to 65535. More: 414.
---@field max_request_line? integer
---
---Bytes of all header lines together, default `32 * 1024`; 64 to 1 MiB. More:
---431.
---@field max_header_bytes? integer
---
---Bytes of one header line, default `8 * 1024`; 64 to 1 MiB. More: 431.
---@field max_header_line? integer
---
---Number of header lines, default `100`; 8 to 10000. More: 431.
---@field max_headers? integer
---
---Bytes of the body of a plain request, default `1024 * 1024`. More: 413.
---@field max_body? integer
---
---Further requests on one connection, default `{ timeout = 75, requests =
---1000 }`; `false`: none.
---@field http_keepalive? evws.HttpKeepalive|false

---What a route may have of its own: handlers, limits and who may connect; see
---`evws.ListenOptions` for what is not said here.
---@class evws.RouteOptions: evws.ConnectionOptions
---@field on_upgrade? fun(request: evws.Request): (integer|evws.Acceptance)?, string?, table<string, string|string[]>?
---@field origins? "*"|"same"|string[]|fun(origin: string, request: evws.Request): boolean
---@field require_origin? boolean
---
---For plain requests, of any method, to the route's path; not taken from the
---options beside `routes`: without it they are answered with 426.
---@field on_request? fun(request: evws.Request): integer?, (string|fun(out: evws.Body))?, table<string, string|string[]>?
---@field upgrade_timeout? number|false
---@field on_closing? fun(server: evws.Server, seconds: number)
---
---Called by `server:metrics()`: what else its page tells, as text for Prometheus
---with a HELP and a TYPE line of each metric; nothing: no more. A function that
---several routes have is called once. It must not wait. The routes of a hub bring
---theirs along.
---@field on_metrics? fun(server: evws.Server): string?

---The options of `ws.connect`.
---@class evws.ConnectOptions: evws.ConnectionOptions
---
---Seconds to the open connection, name look-up included, default `30`;
---`false`: no limit. Then `nil, "timeout"`.
---@field timeout? number|false
---
---Of `wss://`: whom to trust, and what to show. Without it certificate and host
---name are verified by what the system trusts.
---@field tls? evws.ClientTls
---
---The Origin field to send, as browsers do. Default: none. RFC 6454.
---@field origin? string
---
---More header fields: name to value, or to a list of values. Those of the
---handshake itself (Upgrade, Connection, Sec-WebSocket-..., Content-Length)
---raise, as does Host, which is the URL's, and Origin, which is `origin`.
---They go to the server of the URL alone: redirections are not followed, and
---a proxy does not see them.
---@field headers? table<string, string|string[]>
---
---An HTTP proxy that is asked for the way to the server (CONNECT, RFC 9110
---9.3.6), default `false`: none. `"http://host:port"`, or with a login that is
---sent to it (RFC 7617): `"http://user:password@host:port"`, percent-encoded
---where that has to be; the port is 80 where none is given. The proxy looks up
---the server's name; TLS and the certificate are the server's. `"https://..."`:
---TLS is spoken with the proxy itself as well (port 443, see `proxy_tls`), so
---that nobody on the way to it sees where to, and the login. One of SOCKS
---raises.
---
---`true`: as the environment says. `https_proxy` for `wss://`, `http_proxy` for
---`ws://`, else `all_proxy`; then these in upper case (`HTTP_PROXY` not in a CGI
---program, where it is a field of the request). Not for what `no_proxy` lists,
---apart by commas: names, which stand for all below them, addresses and ranges
---(`10.0.0.0/8`), or `*`; and not for Unix sockets. It is looked at once, by
---`ws.connect`, and not again when it reconnects.
---
---`conn.remote_address` is the proxy's. What goes wrong there begins with its
---name: `"proxy 10.0.0.1:3128: 407 Proxy Authentication Required"`.
---@field proxy? string|boolean
---
---Of a proxy with `https://`: whom to trust, and what to show, apart from the
---server's `tls`. Without it its certificate and name are verified by what the
---system trusts.
---@field proxy_tls? evws.ClientTls
---
---Connect again after a loss, as the same connection: `on_close`, then state
---`"connecting"`, then `on_open`. Default `false`; `true`: see `evws.Reconnect`.
---Meanwhile `conn:send` returns `nil, "closed"`. Messages that came before the
---loss can still be received; then `conn:receive` returns `nil, "closed", code`
---once, and the next one waits for the new connection. Nothing is sent again,
---the name is looked up anew, and handlers, `conn.id` and `conn.data` stay.
---
---Not after `conn:close`, `terminate` or `shutdown` (between two attempts they
---end it without a further `on_close`), nor after 1000, 1002 and 1008. An
---attempt that fails calls `on_close` and is followed by the next, but for an
---HTTP answer that would be the same again: 404, 408, 425, 429 and 5xx may
---pass, 401, 403 and all others end it. Of the first attempt a waiting
---`ws.connect` returns the error, and that is the end; with `on_open` it is an
---attempt like the others.
---@field reconnect? boolean|evws.Reconnect

---How long a client waits before it connects again. The waits double, and begin
---anew after a connection that lasted longer than the wait before it. Where the
---answer was 429 or 503 with a Retry-After (RFC 9110 10.2.3), no less than that,
---up to an hour.
---@class evws.Reconnect
---Seconds before the first attempt, default `1`.
---@field initial? number
---Seconds, at most, default `30` (or `initial`, if that is more).
---@field maximum? number
---The part of a wait that is left to chance, 0 to 1, default `0.5`: so that the
---clients of a server that was restarted do not all come back at once.
---@field jitter? number

---What `on_upgrade` may return to accept.
---@class evws.Acceptance
---The sub-protocol to name in the answer, one that was offered. Default: the
---first of the option `subprotocols` that was.
---@field subprotocol? string
---Header fields to add to the 101.
---@field headers? table<string, string|string[]>
---Becomes `conn.data`: who was authenticated, for example.
---@field data? any

-- ---------------------------------------------------------------------------
-- Servers
-- ---------------------------------------------------------------------------

---Starts to listen. The server is kept alive by evws until it is closed;
---connections are served while the loop runs (`ws.run`, `ws.step`, or any
---waiting call). Listening on other than loopback addresses with `origins`
---unset writes a warning to stderr.
---
---Returns the server; or nil, a message (`"cannot listen on localhost port
---5000: Address already in use"`) and errno. Bad options raise.
---@param options evws.ListenOptions
---@return evws.Server? server
---@return string? message
---@return integer? errno
function ws.listen(options) end

---A server. `tostring` tells where it listens and whether it still does.
---@class evws.Server: userdata
---The port it listens on; nil for a Unix socket.
---@field port integer?
---The option `host`, or the path of the Unix socket; with `fd` the address that
---socket has.
---@field host string
---How many WebSocket connections it has.
---@field connections integer
local server = {}

---@class evws.CloseOptions
---The code of the close frame, default `1001` (going away).
---@field code? integer
---Its reason, default `""`: up to 123 bytes of UTF-8.
---@field reason? string
---Seconds until connections that are still there are cut, default `10`; 0: at
---once.
---@field timeout? number

---Stops listening, sends a close frame to every connection and waits until all
---are gone. `on_close` of each gets the code and `"server closed"`. Of many
---connections a hundred are told at a time, spread over at most a quarter of
---the timeout, so that they do not all come back in one instant. What was sent
---before leaves first. A connection that has not asked for anything yet has one
---second to do so: an upgrade is answered with 503.
---
---Returns true; or nil and `"timeout"` when some had to be cut, or
---`"interrupted"` (Ctrl-C; see `ws.sleep`). Where waiting is not possible it returns true at once. A
---server is closed the same way when a variable `local server <close>` goes
---out of scope.
---@param options? evws.CloseOptions
---@return true? ok
---@return string? message
function server:close(options) end

---Adds a route, from now on: see `routes` of `ws.listen`. What it does not set
---it takes from the server's options. There must be none for the same paths.
---
---Returns the server; or nil and `"closed"`.
---@param pattern string
---@param route evws.RouteOptions
---@return evws.Server? server
---@return string? message
function server:route(pattern, route) end

---As `conn:publish`, to all who have subscribed to the topic, but for those that
---the options name. To a topic with a `history` it returns the offset and the
---epoch of the message instead of a count. With a `backplane` that history is in
---Redis, and so is the order: subscribers get the message when it comes back
---from there, and this returns true; or nil and `"backplane away"`,
---`"backplane full"` or `"backplane closed"`, and nobody gets it. A message that
---was taken is lost where the connection breaks before Redis has it: `wait` tells.
---@param topic string
---@param message string
---@param kind? evws.Kind default `"text"`
---@param options? evws.PublishOptions
---@return integer? count
---@return string? message
function server:publish(topic, message, kind, options) end

---@class evws.PublishOptions
---Connections that do not get the message; those of other servers, and those
---that have not subscribed, do not matter. Of `server:publish`.
---@field except? evws.Conn[]
---What views and functions that hear the topic get beside the message, up to
---4096 bytes. Who has subscribed to the topic as it is does not see it.
---@field meta? string
---The message stays in this process, default `false`.
---@field here? boolean
---To a topic whose history is in Redis: waits until the message has its place, at
---most so many seconds. Then it returns offset and epoch, or nil and `"timeout"`,
---`"lost"` (it may have been kept or not), `"refused"` (by Redis, this topic
---alone), `"closed"` or `"interrupted"`. To any other topic there is nothing to
---wait for.
---@field wait? number
---As with `conn:send`, for each receiver by itself: a slow one does not get what
---is older than so many seconds. Topics with a history have no holes: it does
---not matter there.
---@field ttl? number
---As with `conn:send`, for each receiver by itself: a slow one gets the last
---message with this key of this topic.
---@field key? string

---What a topic keeps (option `history`): a list of
---`{ offset =, message =, kind =, meta = }`, the oldest first, and where the
---topic is now: `{ offset =, epoch = }`. Nil and `"not kept"` where no pattern
---of `history` matches, `"another epoch"` where `since` names one that is over,
---`"closed"` or `"out of memory"`; with a backplane it may have to wait for Redis,
---up to 5 s, then `"timeout"`; or `"refused"`, where it refuses this topic.
---@param topic string
---@param options? evws.HistoryOptions
---@return evws.Message[]? messages
---@return evws.Position|string position_or_message
function server:history(topic, options) end

---@class evws.HistoryOptions
---Only what came after this position; with `reverse`, before it.
---@field since? evws.Position
---At most so many of them, 0: the position alone; default: all.
---@field limit? integer
---The newest first, default `false`.
---@field reverse? boolean

---What is kept of each topic that a pattern of `history` matches.
---@class evws.HistoryRule
---The last messages, 1 to 65536.
---@field size integer
---Seconds after a topic's last message that they are kept. Where the topic is
---stays ten times as long. Of more than 100,000 topics those go that nobody
---has, and that were published to longest ago.
---@field ttl number
---Bytes of all topics of the pattern together, default `64 * 1024 * 1024`.
---Beyond them those topics that were published to longest ago lose what they
---have.
---@field bytes? integer
---The view of who subscribes without naming one: how a client learns where it
---is. `"json"`: `{"offset":7,"epoch":"k3f9…","topic":"room/1","data":<message>}`;
---then only JSON text can be published. What comes past the history, from who
---has no such option or by `redis-cli publish`, has the offset 0, and is left out
---where it is no JSON. Default `false`: none.
---@field stamp? "json"|false|fun(message: string, kind: evws.Kind, about: evws.About): string?, evws.Kind?

---A place in the messages of a topic: all up to this one.
---@class evws.Position
---0: none, then 1, 2, 3 and so on, one for each message.
---@field offset? integer
---Which count that is. Another epoch is another count: the topic was reset or
---forgotten, or the program started anew. Without one, the topic's.
---@field epoch? string

---A message that is kept.
---@class evws.Message
---@field offset integer
---@field message string
---@field kind evws.Kind
---@field meta? string

---Who is in a topic, by the order of coming: those who subscribe with
---`presence`. Several with the same key are one. Nil and `"closed"`.
---
---With a backplane those of all processes, for which it waits: or nil and
---`"backplane away"`, `"timeout"`, `"refused"` or `"interrupted"`.
---@param topic string
---@return evws.Person[]? people
---@return string? message
function server:presence(topic) end

---@class evws.Person
---Of the first who came with this key.
---@field id string
---@field key string
---What the last who came said.
---@field info string
---How often he is there: tabs, devices.
---@field count integer

---Who somebody is in a topic.
---@class evws.Presence
---Whatever others should know, up to 4096 bytes, default `""`.
---@field info? string
---Those with the same key are one person, who comes with the first and goes with
---the last of them; up to 255 bytes, default: the id.
---@field key? string
---Of this connection among all, up to 255 bytes, default: made by evws.
---@field id? string

---Forgets what a topic keeps, and begins a new epoch: who comes back to an older
---one is told that it is not recovered. Functions that hear the topic, and views
---of those who have it, are told by their `reset`.
---
---Returns true; or nil and `"not kept"`, `"closed"` or `"out of memory"`.
---@param topic string
---@return true? ok
---@return string? message
function server:reset(topic) end

---A view of topics: what those get who subscribe with `{ view = name }`. The
---function is called once for each message that is published while somebody has
---that view of its topic, and what it returns is framed and compressed once for
---all of them: a message and its kind (`"text"` without one); nil: they do not
---get this one. It may not wait, publish or subscribe. What it raises goes to
---`ws.on_error`, and they do not get that message.
---
---    server:view("json", function(message, kind, about)
---      return ('{"topic":"%s","data":%s}'):format(about.topic, message)
---    end)
---    conn:subscribe("news", { view = "json" })
---
---A name of 1 to 64 bytes that is there already raises. Returns true; or nil and
---`"closed"`.
---@param name string
---@param fn fun(message: string, kind: evws.Kind, about: evws.About): string?, evws.Kind?
---@param options? evws.ViewOptions
---@return true? ok
---@return string? message
function server:view(name, fn, options) end

---@class evws.ViewOptions
---Called when a topic with a history has a new epoch (`server:reset`); what it
---returns is sent as that of the view is.
---@field reset? fun(about: evws.About): string?, evws.Kind?

---What is known of a message beside its bytes.
---@class evws.About
---@field topic string
---As it was published with.
---@field meta? string
---Its place, in a topic with a history.
---@field offset? integer
---@field epoch? string

---Calls a function for everything that is published to a topic from now on,
---wherever it comes from, in the order of publishing. Each call is a task of its
---own: it may wait, and the next one does not wait for it. It runs behind what
---is going on, not inside of `publish`. Hearing does not keep `ws.run` going.
---
---Returns a handle, `hearer:cancel()` of which ends it; or nil and `"closed"` or
---`"out of memory"`.
---@param topic string
---@param fn fun(message: string, kind: evws.Kind, about: evws.About)
---@param options? evws.HearOptions
---@return evws.Hearer? hearer
---@return string? message
function server:hear(topic, fn, options) end

---@class evws.HearOptions
---Only what is published in this process, default `false`.
---@field here? boolean
---With `joined`: what was missed since this position is told to that.
---@field recover? evws.Position
---Called once, before `fn` is called for anything, with what was found; it may
---not wait. `found.missed` is a list, and `fn` hears what follows.
---@field joined? fun(found: evws.Found)
---Called when a topic with a history has a new epoch (`server:reset`).
---@field reset? fun(about: evws.About)
---With a backplane: waits as `wait` of `conn:subscribe` does. Where Redis does
---not know of it in time there is the handle all the same, and behind it why.
---With `joined`, and a history in Redis: how long that may take to be read,
---default 5; then there is none.
---@field wait? number

---What was found for who comes back to a topic.
---@class evws.Found
---All that was missed is there.
---@field recovered boolean
---Where the topic is now; nil where it has no history.
---@field offset? integer
---@field epoch? string
---What was missed; without `joined` their number.
---@field missed evws.Message[]|integer

---@class evws.Hearer
local hearer = {}

---Ends the hearing, also of what was published and is not heard yet. Returns
---whether it was going on. So does the end of a variable
---`local hearer <close>`, and the server's.
---@return boolean
function hearer:cancel() end

---As `server:publish`, to every open connection of the server, and of all
---servers with the same backplane.
---@param message string
---@param kind? evws.Kind default `"text"`
---@return integer? count
---@return string? message
function server:broadcast(message, kind) end

---How many connections have subscribed to a topic.
---@param topic string
---@return integer
function server:subscribers(topic) end

---Iterates over the connections that are open now; those that end meanwhile
---are skipped: `for conn in server:each() do conn:send(news) end`. With a topic
---those that have subscribed to it: who is in a room.
---@param topic? string
---@return fun(): evws.Conn?
function server:each(topic) end

---Reads the files of the option `tls` again, for the connections to come; those
---that are open stay as they are. Returns true; or nil and a message, and then
---nothing has changed.
---@return true? ok
---@return string? message
function server:reload_tls() end
---What a server has counted since it began to listen; a table of its own at
---each call. docs/metrics.md explains each.
---@class evws.Stats
---Connections taken from the kernel, and those of them that became WebSockets.
---@field accepted integer
---@field opened integer
---WebSockets now, and connections that are none (yet).
---@field open integer
---@field pending integer
---HTTP requests that were answered.
---@field requests integer
---Turned away, by reason: `refused.origin`; every reason is there.
---@field refused table<string, integer>
---Ended, by close code: `closed[1000]`; codes that were not seen are missing.
---@field closed table<integer|"other", integer>
---Messages and their bytes, without the heads of frames.
---@field messages_in integer
---@field messages_out integer
---@field bytes_in integer
---@field bytes_out integer
---Messages that a slow reader missed: publishes that met a full queue, and what
---had a `ttl` or a `key` and was too old, or replaced.
---@field dropped integer
---People in topics now, those who came and those who left: one for each topic
---and key.
---@field present integer
---@field joins integer
---@field leaves integer
---Bytes that wait for peers to read.
---@field queued_bytes integer
---Bytes that evws has allocated in this process, beside Lua's own.
---@field memory integer
---Turns of the loop, the seconds they took, and how late a timer or deadline
---came at worst, of late.
---@field turns integer
---@field busy_seconds number
---@field lag_seconds number
---Of its backplane, if it has one.
---@field backplane? evws.BackplaneStats

---@class evws.BackplaneStats
---Whether Redis is there and knows all subscriptions, or has refused them.
---@field up boolean
---Messages for other processes, and of them.
---@field published integer
---@field received integer
---Those that did not travel, by reason: `full`, `timeout` (they had waited too
---long), `lost` (the connection broke before Redis had said that they came),
---`memory`, `bad` (what came in is no message), `refused` (by Redis: that one,
---not all).
---@field dropped table<string, integer>
---How often it came back.
---@field reconnects integer
---Bytes that wait for Redis; channels that are wanted there, and those of them
---that it does not let this process subscribe to; seconds that a ping took last.
---@field pending_bytes integer
---@field subscriptions integer
---@field subscriptions_refused integer
---@field rtt_seconds number

---@class evws.StatsOptions
---Of all workers of `evws serve` together, those that have ended too; what the
---others have counted may be a second old. Default `false`: of this process.
---@field all? boolean

---What the server has counted.
---@param options? evws.StatsOptions
---@return evws.Stats
function server:stats(options) end

---The same as text for Prometheus (exposition format 0.0.4), to be returned by
---an `on_request`: `return 200, server:metrics()`. In a worker of `evws serve`
---it is that of all of them, whichever is asked. With what `on_metrics` of its
---routes tells: a hub's metrics are among them.
---@return string
function server:metrics() end

---An HTTP request: a table of its own, which may be kept. RFC 9112 3.
---@class evws.Request
---As sent: `"GET"`.
---@field method string
---Without the query, not decoded: `"/chat/room%201"`. `"*"` where OPTIONS asks
---about the server as a whole, as load balancers may (RFC 9110 9.3.7); without
---an answer of yours that is 204.
---@field path string
---The parameters of its route's pattern, decoded.
---@field params table<string, string>
---What stands behind the `?`, not decoded; nil without one.
---@field query string?
---@field version "1.1"|"1.0"
---Names in lower case; a field that is repeated is joined by `", "` (cookies by
---`"; "`).
---@field headers table<string, string>
---The Host field, or the host of a request line that has a whole URL (RFC 9112
---3.2.2); nil where HTTP/1.0 has none.
---@field host string?
---The Origin field; nil without one.
---@field origin string?
---The body, `""` without one.
---@field body string
---Is it a valid WebSocket upgrade?
---@field is_websocket boolean
---May a page of this origin use the path, by the `origins` of its route? A plain
---request is not refused for it. Without an Origin: true, unless
---`require_origin` is set.
---@field is_origin_allowed boolean
---The sub-protocols as they were offered.
---@field subprotocols string[]
---The peer's address: IPv4 always as such; `""` on a Unix socket.
---@field remote_address string
---@field remote_port integer
---Over TLS?
---@field secure boolean
---The subject of the client's certificate, which was verified (option
---`tls.verify`), as RFC 2253 writes it: `"CN=a client,O=evws"`; `""` where it
---has none (its names are elsewhere, then).
---@field client_certificate string?
local request = {}

---Of a request that is being answered: `fn()` is called, as a task, when its
---client has gone (it has ended its half of the connection, or is lost), or,
---while a function writes the body, when the server closes. At most once; one
---handler, the last one that was set; nil takes it away. An answer is still
---given: a client that has only ended its own half gets it.
---
---Returns the request; or nil and `"closed"` when there is nothing to answer any
---more.
---@param fn fun()|nil
---@return evws.Request? request
---@return string? message
function request:on_close(fn) end

---What writes the body of an answer, see `on_request`: in chunks (RFC 9112 7.1)
---where its length was not given, or, in HTTP/1.0, up to the end of the
---connection. What is written in a turn of
---the loop leaves together at its end.
---@class evws.Body: userdata
---Can nothing be written any more? The client is lost, the server closes, or
---the function has returned.
---@field is_closed boolean
---Bytes that wait for the client.
---@field buffered integer
local body = {}

---Writes a piece; never waits. Returns true and the bytes that now wait; or nil
---and `"closed"`, `"queue full"` (the option `max_queued`: this piece was not
---taken) or `"out of memory"`. More than the Content-Length raises. A client that takes nothing for `stall_timeout`
---is cut.
---@param bytes string
---@return true? ok
---@return integer|string buffered_or_message
function body:write(bytes) end

---Waits until at most `low_water` bytes wait for the client. Returns true; or
---nil and `"timeout"`, `"closed"` or `"interrupted"` (Ctrl-C; see `ws.sleep`).
---@param timeout? number seconds; none: for ever
---@return true? ok
---@return string? message
function body:drain(timeout) end

---As `request:on_close`, in its place.
---@param fn fun()|nil
---@return evws.Body? body
---@return string? message
function body:on_close(fn) end

-- ---------------------------------------------------------------------------
-- Clients
-- ---------------------------------------------------------------------------

---The answer to a client's request.
---@class evws.Response
---101 where it was accepted.
---@field status integer
---The phrase behind it; may be empty.
---@field reason string
---By lower-case names; the values of repeated fields joined by `", "` (RFC 9110
---5.3).
---@field headers table<string, string>
---Of a refusal: what came of its body within a second, 1 KiB at most. nil where
---it was accepted.
---@field body string?

---Opens a connection to `ws://host[:port]/path?query`, to `wss://...` over TLS,
---or to a Unix socket: `ws+unix:/path/of/socket:/path?query`. An IPv6 address
---stands in brackets and may name its interface: `ws://[fe80::1%25eth0]/` (RFC
---6874). RFC 6455 3, 4.1.
---
---Waits for the open connection. With `on_open` among the options it returns at
---once, the connection being `"connecting"`; if it cannot be opened, `on_close`
---gets `1006` and the message, without an `on_open`. Redirections are not
---followed.
---
---A client that only sends needs no handler: Pings and Close are answered. Its
---messages are kept, up to `receive_queue`, until somebody receives; when that
---has been full for two seconds and nobody ever has, what comes is dropped and
---counted in `conn.missed`. From the first `receive`, `messages` or
---`on_message` on nothing is.
---
---Returns the connection; or nil, a message (`"cannot connect to
---ws://localhost:5000: connection refused"`, `"…: 403 Forbidden"`; the path is
---left out of it), and when the server (or a proxy) refused the HTTP status and
---the whole answer: its headers say where to (Location), who may
---(WWW-Authenticate) or when (Retry-After). A bad URL or option raises. Ctrl-C
---in a script's own code ends the wait (`"interrupted"`), and Lua says
---`interrupted!`.
---
---```lua
---local conn = assert(ws.connect "ws://localhost:5000/ws")
---conn:send "hello"
---print(conn:receive())
---conn:close()
---```
---@param url string
---@param options? evws.ConnectOptions
---@return evws.Conn? conn
---@return string? message
---@return integer? status
---@return evws.Response? response
function ws.connect(url, options) end


-- ---------------------------------------------------------------------------
-- Connections
-- ---------------------------------------------------------------------------

---A WebSocket connection, of a server or of a client. evws keeps it alive while
---it is open: dropping the last reference does not close it. Afterwards it can
---still be asked; sending returns `nil, "closed"`.
---
---A variable `local conn <close>` closes it when it goes out of scope, and waits
---for the end where that is possible. `tostring` tells id and state.
---@class evws.Conn: userdata
---Never given twice: accepted connections are counted up, clients down from 0.
---@field id integer
---@field state evws.State
---The path of the request, not decoded; nil while a client is connecting.
---@field path string?
---The parameters of the route's pattern, decoded: `conn.params.room`. A table
---of its own at each look.
---@field params table<string, string>?
---Its query without the `?`; nil without one.
---@field query string?
---The Origin field that a server got; nil without one, and for a client.
---@field origin string?
---The sub-protocol agreed upon; nil without one.
---@field subprotocol string?
---The peer's address; nil while a client is connecting, `""` on a Unix socket.
---@field remote_address string?
---@field remote_port integer?
---Over TLS?
---@field secure boolean
---How it ended, as `on_close` got it; nil while it is open, or was not open yet.
---Of a client that comes back, of the last time, until it is open again.
---@field close_code integer?
---@field close_reason string?
---Whether permessage-deflate was agreed on (RFC 7692).
---@field compressed boolean
---Bytes in the send queue, what waits behind a writer included.
---@field buffered integer
---Seconds between a ping (of `keepalive_interval`, or `conn:ping`) and its
---pong, the last time; nil before the first.
---@field latency number?
---Publishes that were not for it after all, because its queue was full; messages
---with a `ttl` or `key` that were too old or replaced (`conn:send`); of a client
---that never received, the messages that were dropped (`ws.connect`).
---@field missed integer
---The server that accepted it; nil for a client, and when all is over.
---@field server evws.Server?
---The request of an accepted connection, until `on_open` first waits or
---returns, and afterwards if it was read by then; otherwise it raises. Nil for
---a client.
---@field request evws.Request?
---The last answer that a client has had, an acceptance or a refusal: its
---headers can be read at any time, in `on_close` as well. Nil before it came,
---and of an accepted connection. Each look makes a new table.
---@field response evws.Response?
---Yours: the one property that can be set.
---@field data any
local conn = {}

---Sends a message. Never waits, and never calls a handler. Messages arrive in
---the order they were sent in.
---
---Returns true and the bytes that now wait in the queue; or nil and `"closed"`
---(also once `close` or `shutdown` was called), `"queue full"` (see the option
---`max_queued`: this message was not queued, nothing else is lost) or `"out of
---memory"` (the connection ends). Text that is not UTF-8 raises. RFC 6455 5.6,
---6.1.
---
---Inside of a turn of the loop what is sent is gathered and leaves at its end at
---the latest; in a script's own code it is written at once, and what the kernel
---does not take leaves during the next waiting call.
---
---While more than `high_water` bytes wait, an accepted connection's `on_message`
---is not called: its peer has to read first. A task that sends much waits by
---`conn:drain`, and one that receives is served all the time.
---@param message string
---@param kind? evws.Kind default `"text"`
---@param options? evws.SendOptions
---@return true? ok
---@return integer|string buffered_or_message
function conn:send(message, kind, options) end

---@class evws.SendOptions
---`false`: this message is not compressed, whatever `compression` says. Default
---`true`.
---@field compress? boolean
---The message may go: while the kernel takes nothing for this connection it
---waits as it is, and after so many seconds it is not sent any more. Default:
---it waits until it is sent.
---@field ttl? number
---The message may go: while it waits, a newer one with the same key takes its
---place, for only the last counts (a position, a price, a cursor). 1 to 255
---bytes. The order of all others stays; what is replaced, or too old, is counted
---in `conn.missed` and as `dropped` in `server:stats()`. Who keeps up gets every
---message.
---@field key? string

---Begins a message that is sent in fragments, as it is made: for what is too
---long to hold, or not known yet. Other messages wait for its end, whoever
---sends them: `conn:send` takes them, and they are counted in `conn.buffered` and
---against `max_queued`. Pings and pongs do not wait. One writer at a time: a
---second one raises. RFC 6455 5.4.
---
---Returns the writer; or nil and `"closed"` or `"out of memory"`.
---
---```lua
---local writer <close> = assert(conn:writer "binary")
---for piece in pieces do
---  while not writer:write(piece) do assert(conn:drain()) end
---end
---writer:finish()
---```
---@param kind? evws.Kind default `"text"`
---@return evws.Writer? writer
---@return string? message
function conn:writer(kind) end

---What `conn:writer` returns. Collected unfinished, or at the end of a variable
---`local writer <close>`, it ends the connection with 1011, for the peer must
---not take half a message for a whole one. `conn:close` and `conn:shutdown`
---leave the message as it is: the peer discards it, what waits behind it is
---lost, and their code is 1011 by default. A Close of the peer is answered when
---the message is finished, `close_timeout` later at the latest.
---@class evws.Writer: userdata
local writer = {}

---Sends a piece. A character of a text may be split over two; bytes that
---cannot be UTF-8 raise, and are not sent. For an empty piece nothing is sent.
---
---Returns true and the bytes that now wait; or nil and `"closed"`, `"queue full"`
---(this piece was not taken, nothing is lost: `conn:drain()` waits for what the
---writer has written, not for messages behind it) or `"out of memory"`.
---@param bytes string
---@return true? ok
---@return integer|string buffered_or_message
function writer:write(bytes) end

---Ends the message; what has waited for that follows. Raises when a text ends
---inside of a character. Returns as `write` does.
---@return true? ok
---@return integer|string buffered_or_message
function writer:finish() end

---Waits for a message and returns it. RFC 6455 6.2.
---
---Returns the message and its kind; or nil and `"timeout"`, `"interrupted"`
---(Ctrl-C; see `ws.sleep`), `"nothing to wait for"` (nothing is left that could
---end the wait), or `"closed"`, the close code and its reason, as `on_close`
---gets them; messages that came before the end are returned first. Raises where
---there is an `on_message`, and while another task receives.
---@param timeout? number seconds; none: for ever
---@return string? message
---@return evws.Kind|string kind_or_message
---@return integer? code
---@return string? reason
function conn:receive(timeout) end

---Iterates over the messages until the connection ends:
---`for message, kind in conn:messages() do ... end`. Raises as `receive` does.
---@return fun(conn: evws.Conn): string?, evws.Kind?
---@return evws.Conn
function conn:messages() end

---Waits until the send queue holds at most `low_water` bytes; outside of any
---handler or task (a script that may be about to end), until it is empty.
---
---Returns true; or nil and `"timeout"`, `"closed"` (with code and reason, as
---`receive`) or `"interrupted"` (Ctrl-C; see `ws.sleep`).
---@param timeout? number seconds; none: for ever
---@return true? ok
---@return string? message
---@return integer? code
---@return string? reason
function conn:drain(timeout) end

---Waits until the connection is over, whoever ends it: `conn:close()` does not
---wait, `conn:close() conn:wait()` does. A client that comes back (`reconnect`)
---is over when it does not come back any more. Messages still go to their
---handlers; where there is none and nobody receives, they are kept or dropped
---as told at `ws.connect`.
---
---Returns the close code and the reason, as `on_close` gets them; or nil and
---`"timeout"`, `"interrupted"` (Ctrl-C; see `ws.sleep`) or `"nothing to wait
---for"`. In an `on_message` the messages behind it wait too; `ws.spawn` a task.
---@param timeout? number seconds; none: for ever
---@return integer? code
---@return string reason_or_message
function conn:wait(timeout) end

---From now on the connection gets what is published to a topic. A topic is any
---string of 1 to 65535 bytes; it exists while somebody subscribes to it. Topics
---belong to one server: on a connection of `ws.connect` this raises.
---
---Returns true, also where it had subscribed before, perhaps in another view,
---which it has no more then; with `recover` or `joined` what was found. Nil and
---`"closed"`, or `"out of memory"`.
---
---    local found = conn:subscribe("room/1",
---      { recover = { offset = 12, epoch = "k3f9…" } })
---    if not found.recovered then send_everything(conn) end
---@param topic string
---@param options? evws.SubscribeOptions
---@return true|evws.Found|nil found
---@return string? message
function conn:subscribe(topic, options) end

---@class evws.SubscribeOptions
---A view of the server (`server:view`), in which it gets the messages; without
---one that of the topic's `history` (`stamp`), or as they are published; false:
---in any case as they are published.
---@field view? string|false
---It was there before, and has all up to this position. Of a topic with a
---`history` it is sent what it has missed, once and in order, then all that
---follows; or it is not recovered, and sent only what follows. `{}` asks for
---the position alone.
---@field recover? evws.Position
---Called at the moment of joining with what was found; it may not wait. What it
---sends stands before anything of the topic. `found.missed` is a list then, and
---not sent: that is up to it. What it raises ends the subscription.
---@field joined? fun(found: evws.Found)
---It is present in the topic (`server:presence`, `on_presence`) for as long as it
---has subscribed; a string is its `info`. Subscribing again without it changes
---nothing, with another one it is that one; `false` ends it.
---@field presence? string|evws.Presence|false
---Only what is published in this process, default `false`.
---@field here? boolean
---With a backplane: waits until Redis knows of it, at most so many seconds,
---from when on nothing is missed of what other processes publish. Of a Redis
---that is away, or says nothing, these seconds count from when that began. It
---returns nil and `"timeout"`, `"refused"` (by Redis, this topic alone),
---`"closed"`, `"unsubscribed"` (meanwhile, by all here) or `"interrupted"` where it did not
---come to that; but for the last but one it has subscribed all the same.
---With `recover` or `joined`, and a history in Redis: how long that may take to
---be read, default 5; then it has not subscribed. With 0 it does not wait at
---all: it has subscribed where the place of the topic is known here.
---@field wait? number

---From now on it does not any more. Returns whether it did.
---@param topic string
---@return boolean
function conn:unsubscribe(topic) end

---The topics it has subscribed to, in no particular order. When it is over
---(`on_close`): those that it had at its end.
---@return string[]
function conn:topics() end

---Sends a message to all who have subscribed to a topic, except this
---connection itself, which need not have subscribed.
---
---Returns to how many. A subscriber whose queue is full (`max_queued`) is not
---among them: it misses the message (`conn.missed`), or is closed, as its
---`on_full` says. Nil and `"closed"` or `"out of memory"` when nothing was
---sent.
---
---With a backplane the subscribers of other processes get it too, and are not
---counted. A second result beside the count is why they will not: `"backplane
---full"` (`max_queued` of `ws.backplane`), `"backplane closed"` or `"out of
---memory"`.
---
---What one connection is sent arrives in order, by `send` or by `publish`. All
---that is published in a turn of the loop leaves at its end, in one write for
---each subscriber.
---@param topic string
---@param message string
---@param kind? evws.Kind default `"text"`
---@param options? evws.PublishOptions but for `except`
---@return integer? count
---@return string? message
function conn:publish(topic, message, kind, options) end

---Sends a ping; pongs are answered and pings sent by evws itself
---(`keepalive_interval`), so this is rarely needed. RFC 6455 5.5.2.
---
---Returns true, or nil and `"closed"` or `"out of memory"`. A payload of more
---than 125 bytes raises.
---The pong sets `conn.latency`, if no other ping was sent meanwhile.
---@param payload? string without one the ping carries its time
---@return true? ok
---@return string? message
function conn:ping(payload) end

---Stops reading from the peer: nothing is delivered, pings are not answered,
---`keepalive_timeout` and `idle_timeout` do not count until `resume`. Our own
---pings go on, and a peer that has reset the connection or ended it with nothing
---left to read is noticed within seconds.
---@return evws.Conn conn itself
function conn:pause() end

---Goes on reading after `pause`.
---@return evws.Conn conn itself
function conn:resume() end

---Closes: what is queued leaves, then a close frame, then at most
---`close_timeout` seconds are given to the peer's; messages that still come are
---discarded. Does not wait: `on_close` tells when it is over. Closing twice
---is harmless. RFC 6455 7.1.2.
---
---Codes an application may send are 1000 to 1003, 1007 to 1014 and 3000 to
---4999; others raise, as does a reason of more than 123 bytes or one that is
---not UTF-8.
---@param code? integer default `1000`; 1011 while a writer is unfinished
---@param reason? string default `""`
---@return true
function conn:close(code, reason) end

---Sends the close frame but goes on receiving, until the peer's comes: the half
---of `close` that does not discard. Nothing is sent any more, pongs included;
---`close_timeout` counts as for `close`. Codes and reasons as there.
---RFC 6455 5.5.1.
---
---Returns true, or nil and `"closed"`.
---@param code? integer default `1000`
---@param reason? string default `""`
---@return true? ok
---@return string? message
function conn:shutdown(code, reason) end

---Cuts the connection at once, without a close frame and without what is still
---queued; messages that wait for a handler are dropped. `on_close` gets `1006,
---"terminated"`.
---@return true
function conn:terminate() end

---As `ws.after`, with the connection for an argument: `fn(conn)`. Ends when the
---connection does, before its `on_close`, and an error in it is one of a handler
---of the connection.
---
---Returns the timer; or nil and `"closed"`.
---@param seconds number at least 0
---@param fn fun(conn: evws.Conn)
---@return evws.Timer? timer
---@return string? message
function conn:after(seconds, fn) end

---As `ws.every`, and as told at `conn:after`:
---`conn:every(10, function() conn:send(os.date()) end)`.
---@param seconds number above 0
---@param fn fun(conn: evws.Conn)
---@return evws.Timer? timer
---@return string? message
function conn:every(seconds, fn) end

---Sets this connection's own handler, instead of the option's. What waits
---unread is delivered to it first. `nil` takes it away. Raises while a task
---waits in `receive`. `conn:on_message(conn.send)` is an echo.
---@param handler fun(conn: evws.Conn, message: string, kind: evws.Kind)|nil
---@return evws.Conn conn itself
function conn:on_message(handler) end

---Sets this connection's own `on_chunk`: messages that begin to arrive from now
---on come in pieces. What has begun before, or waits unread, is received whole
---as it was, and goes to `on_message`, or as one piece to this handler. In the
---same way a message in pieces stays one when `conn:on_message` is called
---meanwhile. `nil` takes it away. Raises while a task waits in `receive`, and
---where `concurrency` is above 1.
---@param handler fun(conn: evws.Conn, bytes: string, kind: evws.Kind, final: boolean)|nil
---@return evws.Conn conn itself
function conn:on_chunk(handler) end

---Sets this connection's own `on_close`, instead of the option's.
---@param handler fun(conn: evws.Conn, code: integer, reason: string)|nil
---@return evws.Conn conn itself
function conn:on_close(handler) end

---Sets this connection's own `on_ping`, instead of the option's.
---@param handler fun(conn: evws.Conn, payload: string)|nil
---@return evws.Conn conn itself
function conn:on_ping(handler) end

---Sets this connection's own `on_pong`, instead of the option's.
---@param handler fun(conn: evws.Conn, payload: string)|nil
---@return evws.Conn conn itself
function conn:on_pong(handler) end

---Sets this connection's own `on_drain`, instead of the option's.
---@param handler fun(conn: evws.Conn)|nil
---@return evws.Conn conn itself
function conn:on_drain(handler) end

---Sets this connection's own `on_error`, instead of the option's.
---@param handler fun(conn: evws.Conn, message: string, traceback: string)|nil
---@return evws.Conn conn itself
function conn:on_error(handler) end

-- ---------------------------------------------------------------------------
-- The loop
-- ---------------------------------------------------------------------------

---@class evws.RunOptions
---Take SIGINT and SIGTERM, default `true`.
---@field signals? boolean

---Serves until nothing is left to do, or `ws.stop` is called. `main` is run as a
---task; an error in it comes out of `ws.run`.
---
---In a worker of `evws serve` its supervisor may end it in the same way.
---
---SIGINT (Ctrl-C) or SIGTERM closes every server with 1001, a second one cuts
---what is left; a signal that the process ignores, and a SIGTERM that somebody
---handles, are left alone. Behind the servers Redis may take 10 s to answer what
---was published by a `backplane`.
---
---Returns true; or nil and `"interrupted"` after a signal. Raises `"the loop is
---already running"` inside of a handler or a task.
---@param main? fun()
---@param options? evws.RunOptions
---@return true? ok
---@return string? message
---@overload fun(options: evws.RunOptions): true?, string?
function ws.run(main, options) end

---Runs one turn of the loop: for programs with a loop of their own. Waits up to
---`timeout` seconds for something to do, by default not at all.
---@param timeout? number seconds, default `0`
---@return true
function ws.step(timeout) end

---A descriptor that becomes readable when `ws.step()` has something to do: a
---socket is ready, a timer is due, or work is left over from before. With it
---evws lives inside of another loop, which watches that one descriptor:
---
---```lua
---local fd = assert(ws.fd())
---while true do
---  poll(fd)  -- whatever the other loop has for it
---  ws.step() -- never waits
---end
---```
---
---It is evws' own, the same at each call: watch it for reading, never read or
---close it. Descriptors that lua-ev watches on the default loop count too, if a
---step was made since they were begun to be watched outside of one; timers of
---lua-ev do not.
---
---Returns nil and `"not supported"` where the system has no epoll (or libev was
---told not to use it), or what kept it from being opened.
---@return integer? fd
---@return string? message
function ws.fd() end

---Seconds until `ws.step` has something to do at the latest: 0 for at once, nil
---when only a descriptor could bring it. For loops that cannot watch `ws.fd`.
---@return number? seconds
function ws.timeout() end

---What a process is among the workers of `evws serve`; of one that runs alone
---`id`, `count` and `generation` are 1, `is_leader` is true and `supervised`
---false, so that the same script is right in both.
---@class evws.Worker
---Its number, 1 to `count`. While it is replaced there are two of one number.
---@field id integer
---How many workers there were to be when it began.
---@field count integer
---1, and one more for each reload.
---@field generation integer
---@field supervised boolean
---Is it the one that does what has to be done once? True in one worker at a
---time: the lowest number of those that serve and have not been told to leave.
---It may change at any time, so ask each time:
---
---```lua
---ws.every(60, function()
---  if ws.worker.is_leader then clean_up() end
---end)
---```
---@field is_leader boolean

---Makes `ws.run` return when the turn is over. Servers and connections stay as
---they are, and the next `ws.run` goes on with them.
function ws.stop() end

---Starts a task: `fn(...)` is called in this turn or the next, and may wait. It
---runs without being kept; what it returns is for whoever waits for it:
---
---```lua
---local price = ws.spawn(ask, "price")
---local stock = ws.spawn(ask, "stock") -- both at a time
---print(price:wait(), stock:wait())
---```
---@param fn fun(...): ...
---@param ... any
---@return evws.Task
function ws.spawn(fn, ...) end

---What `ws.spawn` returns. It is cancelled when a variable `local task <close>`
---goes out of scope. `tostring` tells whether it is running, has ended, failed
---or was cancelled.
---@class evws.Task: userdata
local task = {}

---Waits until it is over, any number of times and from any task but itself.
---
---Returns true and what its function returned; or nil and the error that it
---raised (`on_error` is told of it all the same), `"cancelled"`, `"timeout"`,
---`"interrupted"` (Ctrl-C; see `ws.sleep`) or `"nothing to wait for"`.
---@param timeout? number seconds; none: for ever
---@return true? ok
---@return any result_or_message
---@return any ...
function task:wait(timeout) end

---Ends it: what it waits for, or its next wait, raises `"cancelled"` in it, so
---that its variables are closed. One that has not begun never does; a
---connection that it was opening is given up. It may catch the error by `pcall`
---and go on. That it was cancelled is told to nobody but who waits for it. A
---task that cancels itself goes no further.
---
---Returns whether it was still running.
---@return boolean was_running
function task:cancel() end

---Waits. `ws.sleep(0)` lets one turn pass.
---
---Returns true; or nil and `"interrupted"`: Ctrl-C in a script's own code. The
---signal is raised again then, so that `lua` says `interrupted!` as always; in
---`ws.run` a signal closes the servers instead, and wakes nobody.
---@param seconds number
---@return true? ok
---@return string? message
function ws.sleep(seconds) end

---Waits for a descriptor of another library (a socket, a pipe, a database's
---connection), so that it need not hold up everybody else:
---
---```lua
---connection:settimeout(0)            -- luasocket: never waits itself
---local line, why = connection:receive "*l"
---while not line and why == "timeout" do
---  assert(ws.wait(connection, "r", 5)) -- the others go on meanwhile
---  line, why = connection:receive "*l"
---end
---```
---
---That it is ready says that reading (or writing) will not wait, at the end and
---after an error too. Nothing is read here; what the library has read before and
---keeps in a buffer of its own is not seen, so ask it first, as above. A regular
---file is always ready. Do not close it while somebody waits for it.
---
---Returns true; or nil and `"timeout"`, `"interrupted"` (Ctrl-C; see `ws.sleep`)
---or what the system says of a descriptor that is none.
---@param descriptor integer|{ getfd: fun(self): integer } a number, or an object that tells it
---@param mode? "r"|"w" until it can be read (the default) or written
---@param timeout? number seconds; none: for ever
---@return true? ok
---@return string? message
function ws.wait(descriptor, mode, timeout) end

---Runs a command of the shell, as `io.popen` does, but everything else goes on
---meanwhile: `"r"` is for what it writes to its standard output, `"w"` for what
---it reads from its standard input; the other two are those of this program.
---
---```lua
---local process = assert(ws.popen "tail -n 5 log")
---for line in process:lines() do conn:send(line) end
---process:close()
---```
---
---Text from a peer is no part of a command: the shell does whatever it says.
---
---Returns the process; or nil and the system's reason.
---@param command string
---@param mode? "r"|"w" default `"r"`
---@return evws.Process? process
---@return string? message
function ws.popen(command, mode) end

---What `ws.popen` returns. A variable `local process <close>` that goes out of
---scope sends it SIGTERM and does not wait. `tostring` tells the command and
---whether it is running.
---@class evws.Process: table
local process = {}

---The next piece of what it writes, as it comes: at most 64 KiB.
---
---Returns the bytes; or nil and `"closed"` (its end), `"timeout"`,
---`"interrupted"` (Ctrl-C; see `ws.sleep`), or the system's reason.
---@param timeout? number seconds; none: for ever
---@return string? bytes
---@return string? message
function process:read(timeout) end

---Iterates over the lines of what it writes, without their ends:
---`for line in process:lines() do ... end`.
---@return fun(process: evws.Process): string?
---@return evws.Process
function process:lines() end

---Writes to what it reads, and waits until all is taken.
---
---Returns true; or nil and `"closed"` (it does not read any more),
---`"timeout"` (some of it may have been taken), or the system's reason.
---@param bytes string
---@param timeout? number seconds; none: for ever
---@return true? ok
---@return string? message
function process:write(bytes, timeout) end

---Ends reading or writing, which tells the command that there is no more, and
---waits for its end. It may be called again.
---
---Returns as `file:close` does: true or nil (it failed), `"exit"` or `"signal"`,
---and the number; `"lost"` instead where another library has taken that. Or nil
---and `"timeout"`, `"interrupted"` (Ctrl-C; see `ws.sleep`).
---@param timeout? number seconds; none: for ever
---@return true? ok
---@return string how
---@return integer? number
function process:close(timeout) end

---Sends it a signal. Returns whether it was still there.
---@param signal? integer default `15`, SIGTERM
---@return boolean was_running
function process:kill(signal) end

---Calls `fn` once, as a task, in so many seconds.
---@param seconds number at least 0
---@param fn fun()
---@return evws.Timer
function ws.after(seconds, fn) end

---Calls `fn`, as a task, every so many seconds until it is cancelled. A beat
---comes to nothing while the last call still waits; an error does not end it.
---@param seconds number above 0
---@param fn fun()
---@return evws.Timer
function ws.every(seconds, fn) end

---What `ws.after`, `ws.every` and those of a connection return. It runs without being kept, and is
---cancelled when a variable `local timer <close>` goes out of scope.
---@class evws.Timer: userdata
local timer = {}

---Ends it: its function is not called any more. A call that is at work goes on.
---
---Returns whether it was still set.
---@return boolean was_set
function timer:cancel() end

---A queue through which tasks hand values to one another, and wait for one
---another: at most `limit` values stand in it.
---
---```lua
---local jobs = ws.queue(10)
---ws.spawn(function()
---  for job in jobs do work(job) end -- until it is closed
---end)
---jobs:put("first")
---```
---@param limit integer at least 1
---@return evws.Queue
function ws.queue(limit) end

---What `ws.queue` returns. `#queue` is how many values are in it. It is closed
---when a variable `local queue <close>` goes out of scope.
---@class evws.Queue: userdata
local queue = {}

---Adds a value, any but nil, behind all others. With `seconds` it waits for
---room, at most so long (`math.huge`: for ever); without, it never waits.
---
---Returns true; or nil and `"full"` (without `seconds`), `"timeout"`, `"closed"`,
---`"interrupted"` (Ctrl-C; see `ws.sleep`) or `"nothing to wait for"`, and the
---value was not taken.
---@param value any
---@param seconds? number
---@return true? ok
---@return string? message
function queue:put(value, seconds) end

---Takes the first value out, and waits for one where there is none; those who
---wait get theirs in the order in which they came.
---
---Returns the value; or nil and `"timeout"`, `"closed"`, `"interrupted"` or
---`"nothing to wait for"`; all as for `put`.
---@param seconds? number none: for ever
---@return any value
---@return string? message
function queue:take(seconds) end

---Ends it: nothing is put into it any more, and who waits is told. What stands
---in it can still be taken. Closing twice is harmless.
---@return true
function queue:close() end

---@class evws.BackplaneOptions
---Where Redis (6 or newer, or Valkey) is: `redis://user:password@host:6379/0`,
---`rediss://` with TLS, `redis+unix:/path/of/socket?db=0`. A list of URLs shares
---the topics out among them; it has to be the same list, in the same order, in
---all processes.
---@field url string|string[]
---Instead of those in the URL.
---@field username? string
---@field password? string
---As in `ws.connect`, for `rediss://`.
---@field tls? evws.ClientTls
---In front of the names of all channels, default `"evws:"`: those with the same
---prefix share their topics.
---@field prefix? string
---Bytes that may wait for Redis, default `1048576`; what is published beyond
---that stays in this process.
---@field max_queued? integer
---Seconds that a message waits for Redis, default `5`; then it stays here.
---@field pending_timeout? number
---Seconds that Redis has for a reply, default `5`.
---@field timeout? number
---Seconds between two looks whether Redis is there and is no replica, default
---`10`.
---@field ping_interval? number
---Seconds after which the people of a process that was killed are no longer
---present in topics, default `60`. The same for all processes.
---@field presence_ttl? number
---Who comes and goes, in all topics of all processes, as that of `ws.listen`;
---also where this process has no server.
---@field on_presence? fun(topic: string, change: "join"|"leave", id: string, info: string, key: string)
---When it tries again, default `{ initial = 0.1, maximum = 5, jitter = 0.5 }`.
---@field reconnect? evws.Reconnect
---Bytes of one message from Redis, default `16777216`; a larger one ends the
---connection to Redis.
---@field max_reply? integer

---Topics over processes and machines, by way of Redis: see
---[scaling.md](scaling.md). Servers that are given the same backplane share
---their topics, with each other and with all that have the same Redis and
---prefix; it can also be used without a server, to publish. A URL alone stands
---for `{ url = url }`. Raises where evws was built without hiredis.
---
---It connects by itself, and again when Redis was gone. Meanwhile everything
---goes on in this process. It does not keep `ws.run` going; messages that wait
---for Redis do.
---
---Returns the backplane; or nil and why certificates cannot be read.
---@param options evws.BackplaneOptions|string
---@return evws.Backplane? backplane
---@return string? message
function ws.backplane(options) end

---What `ws.backplane` returns. It is closed when a variable `local bus <close>`
---goes out of scope.
---@class evws.Backplane: userdata
---`"connecting"` at first, `"up"`, `"away"` while Redis is not there (or does not
---know all subscriptions yet), `"closed"`.
---@field state "connecting"|"up"|"away"|"closed"
local backplane = {}

---As `server:publish`, to the subscribers of all its servers, here and elsewhere.
---Returns to how many here, and why others will not get it, if so; or nil and
---`"closed"` or `"out of memory"`.
---@param topic string
---@param message string
---@param kind? evws.Kind default `"text"`
---@param options? evws.PublishOptions `meta` alone
---@return integer? count
---@return string? message
function backplane:publish(topic, message, kind, options) end

---Calls `fn(state)` when the state has become another one; nil: nobody any more.
---Returns the backplane.
---@param fn? fun(state: string)
---@return evws.Backplane
function backplane:on_state(fn) end

---What is kept of a topic, as `server:history`: nil and `"not kept"` where no
---server that has this backplane has a `history` for it.
---@param topic string
---@param options? evws.HistoryOptions
---@return evws.Message[]? messages
---@return evws.Position|string position_or_message
function backplane:history(topic, options) end

---Who is in a topic, of all processes, as `server:presence`.
---@param topic string
---@return evws.Person[]? people
---@return string? message
function backplane:presence(topic) end

---Waits until it is up, at most so many seconds. Returns true; or nil and
---`"timeout"`, `"closed"` or `"interrupted"`.
---@param seconds? number none: for ever
---@return true? ok
---@return string? message
function backplane:wait(seconds) end

---Ends it; its servers go on by themselves. What was published before leaves
---first, and is answered by Redis where it answers at all. Closing twice is
---harmless.
---@return true
function backplane:close() end

---Seconds of a clock that never goes back, read afresh.
---@return number
function ws.now() end

---Tells who holds the loop up: while a turn lasts longer than `seconds`, no other
---handler, timer or peer has its turn. Once for each such turn, while it still
---lasts, `fn(seconds, traceback)` is called with where the running handler or
---task is; without `fn` the same goes to `ws.log` as a warning `held_up`
---(message, seconds, traceback), by default to stderr. What blocks in a C
---function (`os.execute`) is told when that returns; what no Lua code runs in,
---at the turn's end and without a traceback. In a coroutine of your own inside of a
---handler it is told when that returns to the handler. `false` turns it off.
---
---A thread looks on, and sends SIGURG to the one that called this, which must be
---the one that runs the loop. `fn` may not wait.
---
---Returns true; or nil and `"SIGURG has a handler already"`, `"no thread for the
---watchdog"` or `"out of memory"`.
---@param seconds number|false at least 0.001
---@param fn? fun(seconds: number, traceback: string?)
---@return true? ok
---@return string? message
function ws.watchdog(seconds, fn) end

---@alias evws.Level "info"|"warning"|"error"

---Called by evws when something happens to a server or a connection. What
---stands here at first writes warnings to stderr, one line each, and ignores
---the rest, which then costs next to nothing. Put a function of your own in its
---place to get everything; `ws.log = false` silences warnings too.
---
---```lua
---ws.log = function(level, event, fields)
---  local line = { os.date "!%FT%TZ", level, event }
---  for name, value in pairs(fields) do
---    line[#line + 1] = name .. "=" .. tostring(value)
---  end
---  io.stderr:write(table.concat(line, " "), "\n")
---end
---```
---
---Events, level `"info"`: `listening` and `server_closed` (host, port),
---`accepted` (id, address, port), `refused` (reason, status if one was
---answered, and what is known of the peer; docs/metrics.md has the reasons),
---`opened` (id, path, address, port), `closed` (the same, code, reason,
---seconds it was open). Level `"warning"`: `warning` (message). Level
---`"error"`: `handler_error` (id, path, address, port, handler, message), which
---goes to `on_error` as well.
---
---Text that came from a peer is cut at 128 bytes, and everything in it but
---printable ASCII is `\xNN`: a value is never more than one line. The function
---is called in the middle of things: it may use evws but not wait, and what it
---causes itself is not told to it. An error in it goes to stderr and affects
---nothing else.
---
---An application may call it for events of its own; while the function of the
---beginning stands here, `ws.log(fn)` puts another one in its place.
---@param level evws.Level
---@param event string
---@param fields? table<string, string|number>
function ws.log(level, event, fields) end

---Who is told of errors in tasks and timers, and in handlers of connections
---without an `on_error`: `fn(conn or nil, message, traceback)`. `nil` is the
---default, stderr. An error in it goes to stderr. `ws.on_error = fn` does the
---same.
---@param fn fun(conn: evws.Conn?, message: string, traceback: string)|nil
function ws.on_error(fn) end

---Compares two strings, a password or token with the right one, in a time that
---does not tell how far they agree (it does tell whether they are of the same
---length). What is no string raises.
---
---```lua
---on_upgrade = function(request)
---  if not ws.equals(request.headers.authorization or "", expected) then
---    return 401
---  end
---end
---```
---@param a string
---@param b string
---@return boolean
function ws.equals(a, b) end

---The signature of a text: HMAC with SHA-256 (RFC 2104), 32 bytes. What came
---with a text is compared by `ws.equals`.
---@param key string
---@param text string
---@return string bytes
function ws.hmac_sha256(key, text) end

---Checks a JSON text (RFC 8259), and takes it apart without decoding it: an
---object becomes a table of its keys, and each value stays the text that it is,
---with all digits and blanks. So values can be passed on as they came.
---
---With more `levels`, objects inside of it become tables as well. A list is
---taken apart where the whole text is one; with `levels` 0, or where it is
---neither, the text comes back without the blanks around it.
---
---Returns nil and why where it is no JSON, or is no UTF-8. Of a key that is
---there twice the last counts.
---
---```lua
---ws.json_split '{ "id": 1, "data": [1.0, {}] }' --> { id = "1", data = "[1.0, {}]" }
---```
---@param text string
---@param levels? integer default `1`, at most 1024
---@param depth? integer objects and lists inside of one another, default `64`, at most 1024
---@return table|string? value
---@return string? message `no JSON at byte 7`, `nested too deep`, `text is not UTF-8`
function ws.json_split(text, levels, depth) end

---Bytes that nobody can guess, from the system's generator: for tokens and ids.
---Raises where the system has none.
---@param n integer 0 to 65536
---@return string bytes
function ws.random(n) end

-- ---------------------------------------------------------------------------
-- Requests
-- ---------------------------------------------------------------------------

---The fields of a query, `request.query` or `conn.query`, decoded (`%` and `+`):
---name to value. Of a name that is there twice the first value; a name without
---a value has `""`. At most 256 pairs are looked at. What is no valid escape
---stays as it is, and nothing is said about UTF-8.
---
---```lua
---local token = ws.parse_query(request.query).access_token
---```
---@param query string? nil: no fields
---@return table<string, string>
function ws.parse_query(query) end

---A file of a form, of `ws.parse_form`.
---@class evws.FormFile
---The name of its field: `"photo"` of `<input type=file name=photo>`.
---@field field string
---What the sender calls the file, without the directories before it: text of
---others, as everything here. May be `""`.
---@field name string
---The content type that the sender says it has.
---@field type string
---Its bytes.
---@field body string

---The fields of a form that a page has sent by POST, as `ws.parse_query` has
---them: `application/x-www-form-urlencoded`, or `multipart/form-data` (RFC
---7578), which `<form enctype=multipart/form-data>` and `FormData` of `fetch`
---send. Files come in the second table, in their order; a field in which none
---was chosen has none. The option `max_body` bounds the whole.
---
---Returns both tables; or nil and what is wrong with the body, for a status of
---400, or with its content type, for 415 (docs/errors.md).
---
---```lua
---on_request = function(request)
---  local form, files = ws.parse_form(request)
---  if not form then return 400, files end
---  for _, file in ipairs(files) do keep(form.album, file.name, file.body) end
---  return 303, nil, { Location = "/" }
---end
---```
---@param received evws.Request
---@return table<string, string>? form
---@return evws.FormFile[]|string files
function ws.parse_form(received) end

---The cookies of a request, by name: of the field `Cookie`,
---`request.headers.cookie` (RFC 6265 4.2). Of a name that is there twice the
---first value, which is that of the longest path. Quotes around a value are
---taken off, and `%` with two digits is decoded, as `ws.cookie` writes it. At
---most 256 are looked at.
---
---```lua
---local session = sessions[ws.parse_cookies(request.headers.cookie).sid]
---```
---@param field string? nil: no cookies
---@return table<string, string>
function ws.parse_cookies(field) end

---The options of `ws.cookie`. `false` leaves an attribute out.
---@class evws.CookieOptions
---Seconds that the browser keeps it, whole; 0 and less take it away. Without it
---and `expires` it ends with the browser.
---@field max_age? integer
---When it ends, in seconds since 1970, as `os.time` has them; `max_age` counts
---where both are given.
---@field expires? number
---Also for all hosts below this one, which the request's is, or is below of.
---Without it for the request's host alone.
---@field domain? string
---For paths that begin with this one, default `"/"`. `false`: the directory of
---the request's path.
---@field path? string|false
---Never sent without TLS, and not taken from a page without it (but of
---localhost): `secure = request.secure`.
---@field secure? boolean
---No script of a page can read it, default `true`.
---@field http_only? boolean
---Whether it comes along with requests that another site's page causes, default
---`"lax"`: with links alone. `"strict"`: with none. `"none"`: with all, and needs
---`secure`. A WebSocket of a foreign page is none of those that it comes with,
---but a sub-domain is no other site: see docs/origin.md.
---@field same_site? "strict"|"lax"|"none"|false
---Apart for each site in whose pages ours is embedded (CHIPS); needs `secure`.
---@field partitioned? boolean

---A cookie as the value of `Set-Cookie` (RFC 6265 4.1). A value may be any
---string: what no value may hold (blanks, quotes, `,`, `;`, `\`, `%`, bytes
---outside of ASCII) is written as in a URL, which `ws.parse_cookies` undoes. A
---name is a token. What a browser would drop raises: more than 4096 bytes,
---`same_site = "none"` or a name with `__Secure-` or `__Host-` without `secure`.
---
---```lua
---return 303, nil, { Location = "/", ["Set-Cookie"] = {
---  ws.cookie("sid", id, { max_age = 3600, secure = request.secure }),
---  ws.cookie("old", "", { max_age = 0 }) } } -- takes it away
---```
---@param name string
---@param value string
---@param options? evws.CookieOptions
---@return string
function ws.cookie(name, value, options) end

-- ---------------------------------------------------------------------------
-- Files
-- ---------------------------------------------------------------------------

---The options of `ws.static`.
---@class evws.StaticOptions
---What a path ending in "/" serves, default `"index.html"`; `false`: nothing
---(404). Directories are never listed.
---@field index? string|false
---Cache-Control of the files, default `"no-cache"` (kept, but checked by its
---ETag each time). Errors and redirects are `no-store`.
---@field cache_control? string
---Content types to add or to replace, by extension, lower case, without the
---dot: `{ glb = "model/gltf-binary" }`. Default `{}`.
---@field types? table<string, string>
---Bytes to send of a file, of a range for example; more is answered with 503.
---Default `false`: no limit, since a long file leaves in pieces of 64 KiB, as the
---client takes them.
---@field max_file? integer|false
---Fields to add to every answer, errors included, default `{}`.
---@field headers? table<string, string>
---Default `false`: a link anywhere in the path is 404. `true` follows relative
---ones that stay beneath the directory (Linux 5.6).
---@field symlinks? boolean

---Returns an `on_request` handler that serves the files of one directory and
---nothing outside of it: GET and HEAD, ETag and Last-Modified, single ranges
---(RFC 9110 13, 14). What is no regular file, or has a name beginning with a
---dot, is 404.
---
---The directory is opened here and kept: when it is renamed, or a link to it
---changed, the handler stays with the old one. One that cannot be opened raises,
---with the path and the reason.
---
---```lua
---ws.listen { port = 5000, path = "/ws", on_request = ws.static "public",
---  on_message = handler }
---```
---@param directory string
---@param options? evws.StaticOptions
---@return fun(request: evws.Request): integer, string?, table<string, string>
function ws.static(directory, options) end

return ws
