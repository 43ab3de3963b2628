-- dispatch.lua: a message to the method it is for. A plain invocation takes a
-- slot and runs beside the reader, at once as far as its first wait; with none
-- free the reader waits, and with it everything that follows. Streams take
-- none.

local ws = require "evws"
local core = require "evws.core"
local errors = require "evws.signalr.errors"
local lower = require "evws.signalr.options".lower
local results = require "evws.signalr.results"
local streams = require "evws.signalr.streams"
local values = require "evws.values"

local detach, spawn_now = core.detach, core.spawn_now
local running, unpack = coroutine.running, table.unpack
local catch = errors.catch

local dispatch = {}

-- The call that a coroutine runs: { session =, holds_slot =, is_hook = }; of a
-- simple one the session, while it holds its slot.
local calls = setmetatable({}, { __mode = "k" })
local holders = setmetatable({}, { __mode = "k" })

-- ---- slots ----

-- Waits for a slot; false: the session is over.
local function take_slot(session)
  local hub = session.hub
  while session.n_calls >= hub.slots do
    if session.is_over then return false end
    session.slot = session.slot or ws.queue(hub.slots)
    hub.n_waiting = hub.n_waiting + 1
    session.slot:take()
    hub.n_waiting = hub.n_waiting - 1
  end
  if session.is_over then return false end
  session.n_calls = session.n_calls + 1
  return true
end

local function give_slot(session)
  session.n_calls = session.n_calls - 1
  -- few of them ever have one
  if session.hub.n_waiting > 0 and session.slot then session.slot:put(true) end
end

local function release_slot(call)
  if not call.holds_slot then return end
  call.holds_slot = false
  give_slot(call.session)
end

-- A method is about to await a client's result: it gives its slot back for
-- good, else the answer would stand behind the next invocation. Raises in
-- on_connected, before which nothing of the client is read.
function dispatch.before_result(level)
  local co = running()
  local call, session = calls[co], holders[co]
  if session then
    holders[co] = nil
    session:enter_call()
    return give_slot(session)
  end
  if not call then return end
  if call.is_hook then
    error("client results cannot be awaited in on_connected", level + 1)
  end
  release_slot(call)
end

-- ---- calling ----

-- Runs on_connected or on_disconnected through the filters of this name; nil,
-- or what it raised, caught.
function dispatch.hook(session, name, fn, why)
  local co, filters = running(), session.hub.options.filters or {}
  calls[co] = name == "connected" and { session = session, is_hook = true }
    or nil
  local function step(i)
    local filter = filters[i]
    if not filter then return fn and fn(session.ctx, why) end
    if not filter[name] then return step(i + 1) end
    return filter[name](session.ctx, function() return step(i + 1) end, why)
  end
  local ok, caught = xpcall(step, catch, 1)
  calls[co] = nil
  if ok then return nil end
  session.hub:report(session, caught)
  return caught
end

local function fail(session, id, text)
  session.hub.counts.failures = session.hub.counts.failures + 1
  if id then session:write(session.protocol.failure(id, text), true) end
end

-- Run protected, as are its copies of the arguments: there may be more than a
-- stack holds.
local function call_method(fn, ctx, ours, args, n)
  if not ours then return fn(ctx, unpack(args, 1, n)) end
  local all = table.move(args, 1, n, #ours + 1, { unpack(ours) })
  return fn(ctx, unpack(all, 1, #ours + n))
end

local function through(filters, i, call, inner)
  local filter = filters[i]
  if not filter then return inner(call) end
  local function next_one(changed)
    return through(filters, i + 1, changed or call, inner)
  end
  if not filter.invoke then return next_one(call) end
  return filter.invoke(call, next_one)
end

-- fn(ctx, ours..., arguments...), through the filters. ours: out, uploads.
local function invoke(session, method, message, ours)
  local filters, fn = session.hub.options.filters, method.fn
  if not filters then
    return xpcall(call_method, catch, fn, session.ctx, ours, message.args,
      message.n)
  end
  local args = table.move(message.args, 1, message.n, 1, { n = message.n })
  local call = { method = method.name, ctx = session.ctx, args = args }
  return xpcall(through, catch, filters, 1, call, function(changed)
    local list = changed.args
    return call_method(fn, changed.ctx, ours, list, list.n or #list)
  end)
end

local function tell_failure(session, message, caught)
  session.hub:report(session, caught)
  fail(session, message.id, errors.of_method(message.target, caught,
    session.hub.options.detailed_errors))
end

local function tell_result(session, message, value)
  local id = message.id
  if not id or session.is_over then return end
  local record, why, _, where = session.protocol.result(id, value)
  if record then
    session:write(record, true)
  else
    tell_failure(session, message, { text = ("the result of '%s' cannot be "
      .. "sent: %s%s"):format(message.target, why, where ~= "" and " at "
      .. where or "") })
  end
end

-- Tells by fn how a call has ended. What that raises, where there is no memory,
-- is to be raised once the call is left.
local function tell(fn, ...)
  local ok, why = pcall(fn, ...)
  return not ok and why or nil
end

-- In a task of its own.
local function run_plain(session, method, message, uploads)
  local co = running()
  message.session = session
  calls[co] = message
  local ok, value = invoke(session, method, message, uploads)
  calls[co] = nil
  if message.streams then streams.close(session, message.streams) end
  local why = tell(ok and tell_result or tell_failure, session, message, value)
  release_slot(message)
  session:leave_call()
  if why then error(why, 0) end
end

local function run_stream(session, method, message, ours)
  local out, co = ours[1], running()
  message.session = session
  calls[co] = message
  local ok, caught = invoke(session, method, message, ours)
  calls[co] = nil
  if message.streams then streams.close(session, message.streams) end
  streams.finish(session, out)
  if not ok then
    tell_failure(session, message, caught)
  elseif not session.is_over then
    session:write(session.protocol.finished(message.id), true)
  end
  session:leave_call()
end

-- ---- judging ----

local function deliberate(target, text)
  return ("An unexpected error occurred invoking '%s' on the server. "
    .. "HubException: %s"):format(target, text)
end

local function is_authorized(session, method)
  local ok, yes = xpcall(method.authorize, catch, session.ctx)
  if not ok then session.hub:report(session, yes) end
  return ok and yes
end

-- The method, or nil and the text of the failure.
local function find(session, message)
  local hub, target = session.hub, message.target
  local method = hub.spelled[target] or hub.methods[lower(target)]
  if not method then return nil, errors.unknown(target) end
  local is_detailed = hub.options.detailed_errors
  if message.bad then
    return nil, errors.of_binding(target, message.bad, is_detailed)
  elseif message.n < method.least or message.n > method.most then
    return nil, errors.of_binding(target, ("Invocation provides %d argument(s)"
      .. " but target expects %d."):format(message.n, method.least),
      is_detailed)
  elseif method.authorize and not is_authorized(session, method) then
    return nil, errors.refused(target)
  elseif method.is_stream and message.type == 1 then
    return nil, errors.is_stream(target)
  elseif not method.is_stream and message.type == 4 then
    return nil, errors.is_no_stream(target)
  end
  local n = message.streams and #message.streams or 0
  if n ~= method.uploads then
    return nil, deliberate(target, ("Client sent %d stream(s), Hub method "
      .. "expects %d."):format(n, method.uploads))
  end
  return method
end

local function invocation(session, message)
  session.hub.counts.invocations = session.hub.counts.invocations + 1
  local method, why = find(session, message)
  if not method then return fail(session, message.id, why) end
  local uploads, out
  if method.is_stream then
    out, why = streams.begin(session, message.id)
    if not out then return fail(session, message.id, why) end
  end
  if message.streams then
    uploads, why = streams.open(session, message.streams)
    if not uploads then
      if out then streams.finish(session, out) end
      return fail(session, message.id, deliberate(message.target, why))
    end
  end
  if out then
    session:enter_call()
    spawn_now(run_stream, session, method, message, { out,
      unpack(uploads or {}) })
  elseif uploads then
    session:enter_call()
    spawn_now(run_plain, session, method, message, uploads)
  elseif take_slot(session) then
    message.holds_slot = true
    session:enter_call()
    spawn_now(run_plain, session, method, message)
  end
end

-- What a simple method has raised, or returned to nobody, or what cannot be
-- sent.
local function tell_rare(session, id, target, ok, value)
  local message = { id = id, target = target }
  if ok then return tell_result(session, message, value) end
  tell_failure(session, message, value)
end

-- A simple method has returned, in the task co.
local function leave(co, session)
  if not holders[co] then return session:leave_call() end
  holders[co] = nil
  give_slot(session)
  if session.is_over then session:rest() end
end

-- Its session is none that may come back, so it has a transport until it is
-- over.
local function answer(session, hub, id, target, ok, value)
  local protocol, is_over = session.protocol, session.state == "over"
  local record = ok and id and not is_over and protocol.result(id, value)
  if not record then return tell_rare(session, id, target, ok, value) end
  local conn = session.transport.conn
  if not conn then return session:write(record, true) end
  local counts = hub.counts
  counts.records_out = counts.records_out + 1
  counts.bytes_out = counts.bytes_out + #record
  local sent, why = hub.send(conn, record, protocol.kind)
  if not sent and why == "queue full" then session:overflow() end
end

-- A method that is a function and no more, in the task co; while it holds its
-- slot it is counted by that alone.
local function run_simple(co, session, hub, method, id, target, args, n)
  local ok, value
  co = co or running()
  holders[co] = session
  if n < 4 then
    ok, value = xpcall(method[1], catch, session.ctx, args[1], args[2], args[3])
  else
    ok, value = xpcall(call_method, catch, method[1], session.ctx, nil, args, n)
  end
  local why = tell(answer, session, hub, id, target, ok, value)
  leave(co, session)
  if why then error(why, 0) end
end

-- What is left to do for a call that core.short_call has run, where it was not
-- like most of them.
local function finish_short(session, id, target, ok, value, sent)
  local why
  if sent == "queue full" then
    why = tell(session.overflow, session)
  elseif not sent then
    why = tell(tell_rare, session, id, target, ok, value)
  end
  leave(running(), session)
  if why then error(why, 0) end
end

-- For a hub and one of its protocols: core.short_call's two functions.
function dispatch.short(hub, protocol)
  local options = hub.options
  return core.short_call(options.max_record or math.huge, options.max_depth,
    values.null, values.map_mark, protocol.is_binary, hub.slots, hub.simple,
    hub, hub.clock, holders, catch, finish_short)
end

-- An invocation, as its parts, by a reader that has nothing else to do. So the
-- method may run in its task, and if it waits another goes on reading.
function dispatch.call(session, hub, id, target, args, n, bad)
  local method, n_calls = hub.simple[target], session.n_calls
  if not method or n ~= method[2] or bad then
    return invocation(session, { type = 1, id = id, target = target,
      args = args, n = n, bad = bad, session = nil, holds_slot = nil })
  end
  local counts = hub.counts
  counts.invocations = counts.invocations + 1
  if n_calls < hub.slots then
    session.n_calls = n_calls + 1
  elseif not take_slot(session) then
    return
  end
  local co = detach()
  if not co then
    return spawn_now(run_simple, nil, session, hub, method, id, target, args, n)
  end
  run_simple(co, session, hub, method, id, target, args, n)
end

local handlers = {
  invocation,
  streams.item,
  function(session, message)
    if not streams.complete(session, message) then
      results.complete(session, message)
    end
  end,
  invocation,
  function(session, message) streams.cancel(session, message.id) end,
  function(session) session:pinged() end,
  function(session, message) session:leave(message.error) end,
}

-- May wait. What nobody knows is ignored.
function dispatch.message(session, message)
  local handle = handlers[message.type]
  if handle then
    handle(session, message)
  else
    session.hub.counts.ignored = session.hub.counts.ignored + 1
  end
end

-- The session is over: who waits in it is told.
function dispatch.drop(session)
  if session.slot then session.slot:close() end
  streams.drop(session)
  results.drop(session)
end

return dispatch
