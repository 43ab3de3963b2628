-- stats.lua: what a hub has counted: as a table, for Prometheus, and for the
-- other workers of a supervisor, which show the sum.

local core = require "evws.core"

local stats = {}

local worker = core.worker
local transports = { "WebSockets", "ServerSentEvents", "LongPolling" }

local counters = { -- of the metric, of the table, of hub.counts
  { "calls_total", "invocations", "Calls of methods and streams." },
  { "errors_total", "errors", "Those of them that failed." },
  { "records_received_total", "records_in", "Records of clients." },
  { "records_sent_total", "records_out",
    "Records to single clients, pings and what is published not counted." },
  { "received_bytes_total", "bytes_in", "Bytes of clients." },
  { "sent_bytes_total", "bytes_out",
    "Bytes of the records to single clients." },
  { "items_received_total", "items_in", "Items of uploads." },
  { "items_sent_total", "items_out", "Items of streams." },
  { "ignored_total", "ignored", "Records of types that nobody knows." },
}

local function sessions_of(hub)
  local sessions = {}
  for _, name in ipairs(hub.transports) do sessions[name] = 0 end
  for _, one in pairs(hub.by_token) do
    local name = one.transport and one.transport.name
    if name then sessions[name] = sessions[name] + 1 end
  end
  return sessions
end

-- What the short way has counted by itself is added to the rest.
local function gather(hub)
  local counts = hub.counts
  for _, protocol in pairs(hub.protocols) do
    local calls, bytes, sent, bytes_sent = protocol.counted()
    counts.invocations = counts.invocations + calls
    counts.records_in = counts.records_in + calls
    counts.bytes_in = counts.bytes_in + bytes
    counts.records_out = counts.records_out + sent
    counts.bytes_out = counts.bytes_out + bytes_sent
  end
end

local function count_of(hub, name)
  return hub.counts[name == "errors" and "failures" or name]
end

function stats.of(hub)
  gather(hub)
  local list = { sessions = sessions_of(hub) }
  for _, one in ipairs(counters) do list[one[2]] = count_of(hub, one[2]) end
  return list
end

-- As a list: sessions by transport, counters.
local function numbers(hub)
  gather(hub)
  local list = {}
  for i, name in ipairs(transports) do list[i] = hub.seen[name] or 0 end
  for _, one in ipairs(counters) do
    list[#list + 1] = count_of(hub, one[2])
  end
  return list
end

-- For the other workers; looks: at every session, which is not for each second.
function stats.tell(hub, looks)
  if not worker.supervised then return end
  if looks or not hub.seen then hub.seen = sessions_of(hub) end
  worker.tell("hub " .. hub.groups.name, #transports, numbers(hub))
end

local escaped = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

-- Exposition format 0.0.4, of all workers.
function stats.text(hub)
  hub.seen = sessions_of(hub)
  local sums = worker.sum("hub " .. hub.groups.name, numbers(hub))
  local label, out = ('hub="%s"'):format(
    (hub.groups.name:gsub('[\\"\n]', escaped))), {}
  local function put(name, kind, help)
    out[#out + 1] = ("# HELP evws_hub_%s %s\n# TYPE evws_hub_%s %s\n"):format(
      name, help, name, kind)
  end
  put("sessions", "gauge", "Clients now, by transport.")
  for i, name in ipairs(transports) do
    if hub.offers[name] then
      out[#out + 1] = ('evws_hub_sessions{%s,transport="%s"} %d\n'):format(
        label, name, sums[i])
    end
  end
  for i, one in ipairs(counters) do
    put(one[1], "counter", one[3])
    out[#out + 1] = ("evws_hub_%s{%s} %d\n"):format(one[1], label,
      sums[#transports + i])
  end
  return table.concat(out)
end

return stats
