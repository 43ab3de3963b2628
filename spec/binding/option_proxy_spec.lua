-- The option proxy of ws.connect (src/binding/option_proxy.c): what it may be,
-- and what the environment says.

local t = require "spec.helper"
local kit = require "spec.binding.kit"
local child = require "spec.helper.child"

local ws = t.ws

local function refusal(proxy, url)
  return kit.refusal(function()
    local conn = ws.connect(url or "ws://a.invalid/", { proxy = proxy })
    return conn
  end)
end

-- A port where nobody listens, so that whoever is asked is named at once.
local function free_port()
  local listener <close> = assert(t.probe.listen "127.0.0.1")
  return listener.port
end

local none = "unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy "
  .. "ALL_PROXY no_proxy NO_PROXY REQUEST_METHOD; "

-- Whom a client asks, by the url -> "proxy" or "direct", in this environment
local function asked(environment, list)
  local lines = child.run(([[
    for _, url in ipairs { %s } do
      local ok, conn, why = pcall(ws.connect, url, { proxy = true,
        timeout = 10 })
      if not ok then why = conn end
      local proxy = why:match "proxy ([^:]+:%%d+): connection refused"
      log(proxy or why:find "refused" and "direct" or why)
    end]]):format(list), { shell = none .. "export A= " .. environment .. ";" })
  return table.concat(lines, "\n")
end

describe("the option proxy", function()
  after_each(t.cleanup)

  it("raises where it is none, and keeps passwords to itself", function()
    for proxy, part in pairs {
      [""] = "http://host:port expected",
      ["http://"] = "http://host:port expected",
      ["https://a:secret@b/c"] = "http://host:port expected",
      ["socks5://secret@b"] = "only HTTP proxies are supported",
      ["http://a:secret%zz@b"] = "a malformed %-escape",
      ["http://a:secret@b/c"] = "http://host:port expected",
    } do
      local why = refusal(proxy)
      t.contains(why, "bad option 'proxy' (")
      t.contains(why, part)
      assert.is_nil(why:find("secret", 1, true), why)
    end
    t.contains(refusal(5),
      "bad option 'proxy' (\"http://host:port\" or a boolean expected, got 5)")
    t.contains(refusal("http://a.test", "ws+unix:/no/such"),
      "none leads to a Unix socket")
  end)

  it("is none where it is false, or the environment has none", function()
    local port = free_port()
    local url = ("ws://127.0.0.1:%d/"):format(port)
    for _, proxy in ipairs { false, "nil" } do
      local own = proxy ~= "nil" and { proxy = proxy } or {}
      assert.equal("connection refused", (select(2, t.connect(url, own))))
    end
    local quoted = ("%q"):format(url)
    assert.equal("direct", asked("", quoted))
    assert.equal("direct", asked("http_proxy= all_proxy=a.invalid", quoted))
    assert.equal("no such socket", (select(2, t.connect("ws+unix:/no/such",
      { proxy = true }))))
  end)

  it("has a way to speak TLS of its own, beside the server's", function()
    local function of(options)
      return kit.refusal(function()
        local conn = ws.connect("ws://a.invalid/", options)
        return conn
      end)
    end
    for why, proxy_tls in pairs {
      ["unknown option 'proxy_tls.cert' for 'connect' (did you mean "
        .. "'proxy_tls.certificate'?)"] = { cert = "a" },
      ["unknown option 'proxy_tls.hosts' for 'connect'"] = { hosts = {} },
      ["bad option 'proxy_tls' (table expected, got true)"] = true,
      ["bad option 'proxy_tls.verify' (boolean expected, got 1)"] =
        { verify = 1 },
      ["bad option 'proxy_tls.ca' (string expected, got 1)"] = { ca = 1 },
      ["option 'proxy_tls.key' is missing (the key of the certificate)"] =
        { certificate = "a" },
      ["option 'proxy_tls.certificate' is missing (a file in PEM form)"] =
        { key = "a" },
      ["bad option 'proxy_tls.minimum' (\"1.2\" or \"1.3\" expected)"] =
        { minimum = "1.1" },
      ["bad option 'proxy_tls.server_name' ('a b' is no host name)"] =
        { server_name = "a b" },
      ["options of 'proxy_tls' have names, not positions"] = { "a" },
    } do
      t.contains(of { proxy_tls = proxy_tls }, why)
    end
    local conn, why = ws.connect("wss://a.invalid/", { proxy = "https://b",
      proxy_tls = { ca = "/no/such" } })
    assert.same({ nil, "cannot load ca /no/such: No such file or directory" },
      { conn, why })
  end)

  it("is what the environment says, in its usual order", function()
    local port = free_port()
    local plain = ('"ws://127.0.0.1:%d/"'):format(port)
    local secure = ('"wss://127.0.0.1:%d/"'):format(port)
    local both = plain .. ", " .. secure
    local p = {}
    for i = 1, 3 do p[i] = "127.0.0.1:" .. free_port() end
    local function case(environment, wanted, list)
      environment = environment:gsub("%$(%d)", function(i)
        return p[tonumber(i)]
      end)
      wanted = wanted:gsub("%$(%d)", function(i) return p[tonumber(i)] end)
      assert.equal(wanted, asked(environment, list or both))
    end
    case("http_proxy=http://$1 https_proxy=$2", "$1\n$2")
    case("http_proxy=$1 HTTP_PROXY=$2 HTTPS_PROXY=http://u:p@$3/", "$1\n$3")
    case("HTTP_PROXY=$1", "$1\ndirect")
    case("http_proxy=https://$1 https_proxy=https://u:p@$2", "$1\n$2")
    case("HTTP_PROXY=$1 REQUEST_METHOD=GET ALL_PROXY=$2", "$2\n$2")
    case("all_proxy=$1 http_proxy=$2", "$2\n$1")
    case("all_proxy=$1 no_proxy=127.0.0.0/8", "direct\ndirect")
    case("all_proxy=$1 NO_PROXY=localhost,127.0.0.1:" .. port,
      "direct\ndirect")
    case("all_proxy=$1 no_proxy=127.0.0.1:1", "$1\n$1")
    case("all_proxy=$1 no_proxy='a.test *'", "direct\ndirect")
    case("all_proxy=$1 no_proxy=a.test NO_PROXY='*'", "$1\n$1")
    case("all_proxy=$1 no_proxy=.test", "$1\n$1",
      '"ws://a.invalid/", "wss://b.invalid"')
    for value, why in pairs { ["socks4://secret@a"] =
      "only HTTP proxies are supported", ["a b"] = "http://host:port" } do
      local text = asked(("https_proxy='%s'"):format(value), secure)
      t.contains(text, "bad option 'proxy' (https_proxy of the environment: "
        .. why)
      assert.is_nil(text:find("secret", 1, true))
    end
  end)
end)
