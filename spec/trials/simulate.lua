-- Random sends, publishes, writers, pauses and ends on some connections,
-- against a model that knows what has to arrive: a list for each of them.
--
--   make simulate [SEEDS=n] [SEED=first]
--
-- Of a seed that fails the steps are taken out one after the other, as long
-- as it still fails; what is left is printed, and becomes a spec.

local t = require "spec.helper"
local trial = require "spec.trials.kit"
local deflate = require "evws_probe".deflate
local core = require "evws.core"

local ws = t.ws
local seeds, first = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 1
local n_conns, n_steps, n_topics = 5, 120, 3

-- A generator of its own: the same on every Lua.
local function random(seed)
  local x = seed * 2654435761 & 0x7FFFFFFF
  return function(n)
    x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return (x >> 8) % n + 1
  end
end

-- ---- the steps, as data ----

local kinds = { "send", "send", "send", "echo", "echo", "publish", "publish",
  "publish", "subscribe", "subscribe", "unsubscribe", "write", "key", "key",
  "pause", "resume", "broadcast", "close", "reset", "turn", "collect" }

local function make(seed)
  local rnd, steps = random(seed), {}
  for i = 1, n_steps do
    steps[i] = { kinds[rnd(#kinds)], rnd(n_conns), rnd(n_topics),
      rnd(4) == 1 and rnd(70000) or rnd(200) }
  end
  return steps, { takeover = rnd(2) == 1, compressed = rnd(3) == 1,
    slow = rnd(4) == 1 }
end

-- ---- the model ----

local function text(n, length)
  return ("%d:%s"):format(n, ("abcdefghij"):rep(length // 10 + 1)
    :sub(1, length))
end

local function run(steps, how)
  local conns, ended = {}, {}
  local server = t.listen { path = "/", max_queued = false,
    stall_timeout = false, compression = how.compressed and {
      context_takeover = how.takeover, threshold = 50 } or false,
    on_open = function(conn) conns[#conns + 1] = conn end,
    on_message = function(conn, message, kind)
      conn:send(message == "bye" and "end" or message, kind)
    end,
    on_close = function(conn) ended[conn] = (ended[conn] or 0) + 1 end }
  local raws, inflaters, model, keyed = {}, {}, {}, {}
  local has, alive, count = {}, {}, 0
  for i = 1, n_conns do
    raws[i] = t.raw(server, { rcvbuf = i == 1 and how.slow and 4096 or nil })
    assert(raws[i]:upgrade { headers = how.compressed and {
      ["Sec-WebSocket-Extensions"] = "permessage-deflate" } or nil } == 101)
    t.wait(function() return conns[i] end)
    inflaters[i] = deflate.inflater()
    model[i], keyed[i], has[i], alive[i] = {}, {}, {}, true
  end
  local function due(i, message) model[i][#model[i] + 1] = message end
  local act = {}
  function act.send(i, _, message)
    if conns[i]:send(message) then due(i, message) end
  end
  function act.key(i, topic, message)
    message = "key " .. topic .. " " .. message
    if conns[i]:send(message, "text", { key = "key " .. topic }) then
      keyed[i][topic] = message
    end
  end
  function act.publish(i, topic, message)
    local by = count % 2 == 0 and i
    local name, n = "topic " .. topic, 0
    for k = 1, n_conns do
      if alive[k] == true and has[k][name] and k ~= by then
        due(k, message)
        n = n + 1
      end
    end
    local told
    if by then told = conns[i]:publish(name, message)
    else told = server:publish(name, message) end
    assert(told == n, "publish tells another number")
  end
  function act.broadcast(_, _, message)
    for k = 1, n_conns do
      if alive[k] == true then due(k, message) end
    end
    server:broadcast(message)
  end
  function act.subscribe(i, topic)
    assert(conns[i]:subscribe("topic " .. topic))
    has[i]["topic " .. topic] = true
  end
  function act.unsubscribe(i, topic)
    conns[i]:unsubscribe("topic " .. topic)
    has[i]["topic " .. topic] = nil
  end
  function act.write(i, _, message)
    local writer = conns[i]:writer()
    writer:write(message:sub(1, #message // 2))
    local behind = "behind " .. message
    conns[i]:send(behind)
    writer:write(message:sub(#message // 2 + 1))
    writer:finish()
    due(i, message)
    due(i, behind)
  end
  function act.pause(i) conns[i]:pause() end
  function act.resume(i) conns[i]:resume() end
  function act.turn() t.turn(0) end
  function act.collect() collectgarbage "step" end
  local echoes = {}
  function act.echo(i, _, message)
    message = "echo " .. message
    raws[i]:send(t.frame("text", message))
    echoes[i] = echoes[i] or {}
    table.insert(echoes[i], message)
  end
  function act.close(i)
    conns[i]:close(4000)
    alive[i], has[i] = "closed", {}
  end
  function act.reset(i)
    raws[i]:reset()
    -- the end of who is not read is looked for every 2 s
    if count % 20 > 0 then conns[i]:resume() end
    alive[i], has[i] = false, {}
    t.wait(function() return conns[i].state == "closed" end, "the reset")
  end
  for _, step in ipairs(steps) do
    local what, i = step[1], step[2]
    count = count + 1
    if alive[i] == true then
      act[what](i, step[3], text(count, step[4]))
    end
  end
  -- what has arrived is what is due
  for i = 1, n_conns do
    conns[i]:resume()
    if alive[i] == true then
      raws[i]:send(t.frame("text", "bye"))
    end
  end
  for i = 1, n_conns do
    local at, echoed, last = 0, 0, {}
    local function take(message)
      local topic = message:match "^key (%d) "
      if topic then
        last[topic] = message
      elseif message:find "^echo " then
        echoed = echoed + 1
        assert(echoes[i][echoed] == message, "another echo")
      elseif message ~= "end" then
        at = at + 1
        assert(model[i][at] == message, ("%d is another message at %d")
          :format(i, at))
      end
      return message
    end
    local is_over = alive[i] == false
    while not is_over do
      local f = raws[i]:frame()
      if not f or f.opcode == 8 then
        assert(alive[i] == "closed", "it has ended")
        is_over = true
      elseif f.fin and f.compressed then
        is_over = take(assert(inflaters[i]:message(f.message,
          { max = 1 << 20, fresh = not how.takeover }))) == "end"
      elseif f.fin then
        is_over = take(f.message) == "end"
      end
    end
    assert(alive[i] ~= true or echoed == #(echoes[i] or {}), "echoes lost")
    if alive[i] then
      assert(at == #model[i], "lost: " .. #model[i] - at)
      for topic, message in pairs(keyed[i]) do
        assert(last[tostring(topic)] == message, "not the last of its key")
      end
    end
  end
  t.cleanup()
  for _, conn in ipairs(conns) do
    assert(ended[conn] == 1, "on_close is not told once")
  end
end

local function fails(steps, how)
  local ok, why = pcall(run, steps, how)
  if not ok then pcall(t.cleanup) end
  return not ok and why
end

-- Without half of them, a quarter, and so on down to single ones.
local function shrink(steps, how)
  local size = #steps // 2
  while size >= 1 do
    local i = 1
    while i <= #steps do
      local fewer = {}
      for k, step in ipairs(steps) do
        if k < i or k >= i + size then fewer[#fewer + 1] = step end
      end
      if fails(fewer, how) then steps = fewer else i = i + size end
    end
    size = size // 2
  end
  return steps
end

local function all()
  local n, messages = 0, 0
  ws.on_error(function(_, why) trial.hold(false, why) end)
  for seed = first, first + seeds - 1 do
    local steps, how = make(seed)
    local why = fails(steps, how)
    if why then
      trial.hold(false, ("seed %d: %s"):format(seed, why))
      for _, step in ipairs(shrink(steps, how)) do
        print(("  { %q, %d, %d, %d },"):format(table.unpack(step)))
      end
      break
    end
    n, messages = n + 1, messages + #steps
  end
  trial.row("seeds", n, ("%d steps, collector %s"):format(messages,
    core.fail_at and "of a build with sanitizers" or "as it is"))
end

trial.run("simulate", all)
