-- A chat, with a page: lua5.4 examples/chat.lua [port]. A room is a path,
-- /chat/lobby, and is there while somebody is in it.
--
-- Messages are lines, a verb first. A page sends "name NAME" until it is told
-- "here NAMES", then "say TEXT". It gets "rooms ROOM COUNT ROOM COUNT" at once
-- and when that changes; before "here" what was said last, then all that
-- follows, each as "said ID NAME TEXT"; "joined NAME", "left NAME", and "sorry
-- WHY". IDs are milliseconds, about. Those of one process only grow, over a
-- restart too.
--
-- `make run EXAMPLE=chat WORKERS=4 REDIS=spawn`: several processes, here or on
-- other machines with the same Redis, are one chat. People, what was said last
-- and the rooms are the same in all. Those of a process that was killed are
-- missed after a minute.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "chat", policy), ws.static(here)

local longest_name, longest_text = 24, 500
-- A server that was here in this very second has given smaller ones.
local last_id = (os.time() + 1) * 1000
local rooms, list = {}, "rooms " -- room -> name -> id; what pages are told
local server, why, timer

-- Latin, Greek, Cyrillic and other letters up to U+07FF; nothing invisible and
-- no blanks, which stand between the words of a line.
local name_pattern = "^[%w_\xc3-\xdf\x80-\xbf-]+$"

local function list_rooms()
  local lines = {}
  for room, members in pairs(rooms) do
    local count = 0
    for _ in pairs(members) do count = count + 1 end
    lines[#lines + 1] = ("%s %d"):format(room, count)
  end
  table.sort(lines)
  return "rooms " .. table.concat(lines, " ", 1, math.min(#lines, 50))
end

-- Tells a room's pages which of these are not among the others.
local function tell(verb, these, others)
  for room, members in pairs(these) do
    for name in pairs(members) do
      if not (others[room] and others[room][name]) then
        server:publish("in/" .. room, verb .. name, "text", { here = true })
      end
    end
  end
end

-- Who is where, in all processes. Each tells its own pages what has changed
-- since it looked last.
local function look()
  local people = server:presence "people" -- nil: there is no Redis just now
  if not people then return false end
  local before = rooms
  rooms = {}
  for _, person in ipairs(people) do
    local room, name = person.id:match "^(%S+) (%S+)"
    rooms[room] = rooms[room] or {}
    rooms[room][name] = person.id
  end
  tell("left ", before, rooms)
  tell("joined ", rooms, before)
  return true
end

-- Somebody has come or gone; for many at once one look is enough.
local function look_soon()
  timer = timer or ws.after(0.1, function()
    timer = nil
    if not look() or list == list_rooms() then return end
    list = list_rooms()
    server:publish("rooms", list, "text", { here = true })
  end)
end

-- Sends what was said last, then all that follows.
local function follow(conn, room)
  local topic, name = "said/" .. room, next(rooms[room])
  if not next(rooms[room], name) then -- what was said before is over
    server:reset(topic)
  end
  local said, at = server:history(topic)
  for _, line in ipairs(said or {}) do conn:send(line.message) end
  return said and conn:subscribe(topic, { recover = at })
end

-- A name is taken by who came first with it, whatever its case. Of several with
-- one key presence shows the id of that one.
local function enter(conn, name)
  local room = conn.params.room
  if not name:find(name_pattern) or utf8.len(name) > longest_name then
    return conn:send(("sorry a name is up to %d letters, digits, _ or -")
      :format(longest_name))
  end
  local id = ("%s %s %x"):format(room, name, string.unpack("j", ws.random(8)))
  conn:subscribe("people", { presence = { id = id,
    key = room .. " " .. name:lower() } })
  local is_known = look()
  local is_taken = is_known and (rooms[room] or {})[name] ~= id
  if is_taken or not is_known or not follow(conn, room) then
    conn:unsubscribe "people"
    return conn:send(is_taken and "sorry somebody here has this name already"
      or "sorry nobody gets in just now, try again")
  end
  conn.data = { name = name, room = room }
  conn:subscribe("in/" .. room, { here = true })
  local names = {}
  for member in pairs(rooms[room] or {}) do names[#names + 1] = member end
  table.sort(names)
  conn:send("here " .. table.concat(names, " "))
end

local function say(conn, text)
  text = text:gsub("%c", " ")
  if not text:find "%S" or utf8.len(text) > longest_text then
    return conn:send(("sorry 1 to %d characters"):format(longest_text))
  end
  last_id = math.max(last_id + 1, os.time() * 1000)
  local line = ("said %d %s %s"):format(last_id, conn.data.name, text)
  if not server:publish("said/" .. conn.data.room, line, "text", { wait = 5 })
  then
    conn:close(1013, "say it again later") -- as the page does
  end
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
server, why = ws.listen { port = port, origins = "same", hosts = "auto",
  max_message = 4096, message_rate = { burst = 10, rate = 2 },
  keepalive_interval = 20, -- who is gone is missed after 40 seconds
  history = { ["said/*"] = { size = 50, ttl = 24 * 3600 } },
  on_presence = look_soon,
  on_request = function(request)
    return (request.path == "/style.css" and common or page)(request)
  end,
  routes = { ["/chat/:room"] = {
    on_upgrade = function(request)
      if not request.params.room:find "^[%w_-]+$"
        or #request.params.room > 32 then return 404 end
    end,
    on_open = function(conn)
      conn:send(list)
      conn:subscribe("rooms", { here = true })
    end,
    on_message = function(conn, message, kind)
      local verb, rest = message:match "^(%l+) (.*)$"
      if kind == "text" and verb == "name" and not conn.data then
        enter(conn, rest)
      elseif kind == "text" and verb == "say" and conn.data then
        say(conn, rest)
      else
        conn:close(1008, "a name first, then what to say")
      end
    end } } }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
look_soon()
ws.every(2, look_soon) -- while Redis is away nobody is told who comes and goes
print("Chat: http://localhost:" .. server.port)
ws.run()
