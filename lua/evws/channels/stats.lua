-- stats.lua: what an application has counted, as a table and for Prometheus.

local push = require "evws.channels.push"

local stats = {}

function stats.of(app)
  local users, counts = 0, app.counts
  for _ in pairs(app.users) do users = users + 1 end
  return { clients = app.n_clients, users = users,
    connected = counts.connected, errors = counts.failures,
    ignored = counts.ignored, skipped = push.skipped }
end

local metrics = {
  { "clients", "gauge", "clients", "Clients now." },
  { "users", "gauge", "users", "Users that have a client now." },
  { "clients_total", "counter", "connected", "Clients that came." },
  { "errors_total", "counter", "errors", "Handlers that failed." },
  { "ignored_total", "counter", "ignored",
    "What was sent without anybody to hear it." },
  { "skipped_total", "counter", "skipped",
    "Publications that no client got as they were no JSON." },
}

-- Exposition format 0.0.4.
function stats.text(app)
  local values, out = stats.of(app), {}
  for _, one in ipairs(metrics) do
    out[#out + 1] = ("# HELP evws_channels_%s %s\n# TYPE evws_channels_%s %s\n"
      .. "evws_channels_%s %d\n"):format(one[1], one[4], one[1], one[2],
      one[1], values[one[3]])
  end
  return table.concat(out)
end

return stats
