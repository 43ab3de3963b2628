-- A chat, with a page: lua5.4 examples/chat.lua [port]. A room is a path,
-- /chat/lobby, and is there while somebody is in it.
--
-- Messages are lines, a verb first. A page sends "name NAME" until it is told
-- "here NAMES", then "say TEXT". It gets "rooms ROOM COUNT ROOM COUNT" at once
-- and when that changes; before "here" what was said last, then all that
-- follows, each as "said ID NAME TEXT"; "joined NAME", "left NAME", and "sorry
-- WHY". IDs only grow, over a restart too.
--
-- EVWS_BACKPLANE=redis://localhost joins several processes: what is said in one
-- is heard in all. Names, counts and what was said last are those of each.
local ws = require "evws"
local here, port = arg[0]:match("^.*/") or "", tonumber(arg[1] or 5000)
local policy = { headers = { ["Content-Security-Policy"] =
  "default-src 'self'; img-src data:; frame-ancestors 'none'" } }
local page, common = ws.static(here .. "chat", policy), ws.static(here)

local kept, longest_name, longest_text = 50, 24, 500
-- A server that was here in this very second has given smaller ones.
local rooms, last_id = {}, (os.time() + 1) * 1000
local server, why, timer

-- Latin, Greek, Cyrillic and other letters up to U+07FF; nothing invisible and
-- no blanks, which stand between the words of a line.
local name_pattern = "^[%w_\xc3-\xdf\x80-\xbf-]+$"

local function list_rooms()
  local list = {}
  for name, room in pairs(rooms) do
    list[#list + 1] = ("%s %d"):format(name, room.count)
  end
  table.sort(list)
  return "rooms " .. table.concat(list, " ", 1, math.min(#list, 50))
end

-- Counts somebody in or out; all are told, but not for each who comes.
local function count(room_name, room, change)
  room.count = room.count + change
  rooms[room_name] = room.count > 0 and room or nil
  timer = timer or ws.after(0.1, function()
    timer = nil
    server:publish("~rooms", list_rooms(), "text", { here = true })
  end)
end

local function enter(conn, name)
  local room_name = conn.params.room
  local room = rooms[room_name] or { members = {}, said = {}, count = 0 }
  local key = name:lower()
  if not name:find(name_pattern) or utf8.len(name) > longest_name then
    return conn:send(("sorry a name is up to %d letters, digits, _ or -")
      :format(longest_name))
  elseif room.members[key] then
    return conn:send "sorry somebody here has this name already"
  end
  room.members[key] = name
  count(room_name, room, 1)
  conn.data = { name = name, key = key, room = room, room_name = room_name }
  conn:subscribe(room_name)
  for _, line in ipairs(room.said) do conn:send(line) end
  local names = {}
  for _, member in pairs(room.members) do names[#names + 1] = member end
  table.sort(names)
  conn:send("here " .. table.concat(names, " "))
  conn:publish(room_name, "joined " .. name)
end

local function say(who, text)
  text = text:gsub("%c", " ")
  if not text:find "%S" or utf8.len(text) > longest_text then
    return false
  end
  last_id = math.max(last_id + 1, os.time() * 1000)
  local line = ("said %d %s %s"):format(last_id, who.name, text)
  table.insert(who.room.said, line)
  if #who.room.said > kept then table.remove(who.room.said, 1) end
  server:publish(who.room_name, line)
  return true
end

local function leave(conn)
  local who = conn.data
  if not who then return end
  who.room.members[who.key] = nil
  count(who.room_name, who.room, -1)
  server:publish(who.room_name, "left " .. who.name)
end

if not port then
  io.stderr:write(arg[1], " is no port\n")
  os.exit(1)
end
server, why = ws.listen { port = port, origins = "same", hosts = "auto",
  max_message = 4096, message_rate = { burst = 10, rate = 2 },
  keepalive_interval = 20, -- who is gone is missed after 40 seconds
  on_request = function(request)
    return (request.path == "/style.css" and common or page)(request)
  end,
  routes = { ["/chat/:room"] = {
    on_upgrade = function(request)
      if not request.params.room:find "^[%w_-]+$"
        or #request.params.room > 32 then return 404 end
    end,
    on_open = function(conn)
      conn:send(list_rooms())
      conn:subscribe("~rooms", { here = true })
    end,
    on_message = function(conn, message, kind)
      local verb, rest = message:match "^(%l+) (.*)$"
      if kind == "text" and verb == "name" and not conn.data then
        enter(conn, rest)
      elseif kind == "text" and verb == "say" and conn.data then
        if not say(conn.data, rest) then
          conn:send(("sorry 1 to %d characters"):format(longest_text))
        end
      else
        conn:close(1008, "a name first, then what to say")
      end
    end,
    on_close = leave } } }

if not server then
  io.stderr:write(why, "\n")
  os.exit(1)
end
print("Chat: http://localhost:" .. server.port)
ws.run()
