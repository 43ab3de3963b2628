-- Files of certificates, names of hosts and of clients, protocols: what is
-- seldom met with, in src/transport/tls_context.c and tls.c.

local t = require "spec.helper"
local tls = require "spec.helper.tls"

local file = tls.file
local name = os.tmpname()

local function write(path, text)
  local to <close> = assert(io.open(path, "wb"))
  to:write(text)
  return path
end

local function openssl(...)
  assert(os.execute(("env -u LD_PRELOAD openssl " .. (...):format(select(2,
    ...))) .. " >/dev/null 2>&1"))
end

-- A certificate that is its own authority.
local function own_certificate(subject)
  tls.file "ca.pem" -- the folder is there
  openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
    .. "-keyout %s.key -out %s.pem -days 2 -subj '%s'", name, name, subject)
  return { certificate = name .. ".pem", key = name .. ".key" }
end

describe("a server's files", function()
  after_each(function()
    t.cleanup()
    for _, suffix in ipairs { "", ".key", ".pem" } do
      os.remove(name .. suffix)
    end
  end)

  local function why(options)
    local own = { certificate = file "localhost.pem",
      key = file "localhost.key" }
    for key, value in pairs(options) do own[key] = value end
    local server, problem = t.ws.listen { port = 0, tls = own }
    assert.is_nil(server)
    return problem
  end

  it("are named where they are no PEM, or not there", function()
    local none = name .. ".none"
    write(name, "-----BEGIN CERTIFICATE-----\n!!!!\n"
      .. "-----END CERTIFICATE-----\n")
    assert.equal(("cannot load certificate %s: bad base64 decode"):format(name),
      why { certificate = name })
    assert.equal("cannot load key README.md: it holds no such thing in PEM "
      .. "form", why { key = "README.md" })
    assert.equal(("cannot load key %s: No such file or directory"):format(none),
      why { key = none })
    assert.equal(("cannot load certificate %s: No such file or directory")
      :format(none), why { hosts = { ["a.test"] = { certificate = none,
        key = none } } })
  end)

  it("may name an authority by certificates, not by what it has withdrawn",
    function()
      own_certificate "/CN=an authority"
      write(name, "[ca]\ndefault_ca=a\n[a]\ndatabase=" .. name
        .. ".index\ndefault_md=sha256\n")
      write(name .. ".index", "")
      openssl("ca -config %s -gencrl -crldays 30 -keyfile %s.key -cert %s.pem "
        .. "-out %s.crl", name, name, name, name)
      t.contains(why { ca = name .. ".crl" }, "cannot load ca " .. name
        .. ".crl: ")
      os.remove(name .. ".crl")
      os.remove(name .. ".index")
    end)

  it("have a key of the certificate's kind and curve", function()
    for _, kind in ipairs { "ec -pkeyopt ec_paramgen_curve:secp384r1",
      "ed25519" } do
      openssl("genpkey -algorithm %s -out %s", kind, name)
      assert.equal(("cannot load key %s: it does not belong to the certificate")
        :format(name), why { key = name })
    end
  end)
end)

describe("a server with several certificates", function()
  after_each(t.cleanup)

  it("knows short names, and what stands for no label", function()
    local other = { certificate = file "other.pem", key = file "other.key" }
    local server = t.listen(tls.options { tls = { hosts = { a = other,
      ["*.wild.test"] = other } } })
    local function subject(asked)
      local c = tls.raw(server, { tls = { server_name = asked } })
      assert.is_true(tls.shake(c))
      return c.tls:info().subject
    end
    assert.equal("other.test", subject "a")
    assert.equal("other.test", subject "A.")
    for _, asked in ipairs { "b", "localhost", ".wild.test", "." } do
      assert.equal("localhost", subject(asked), asked)
    end
  end)
end)

describe("a client that offers protocols by ALPN", function()
  after_each(t.cleanup)

  it("is refused with others than HTTP/1.1 (RFC 7301 3.2)", function()
    local server = t.listen(tls.options())
    for _, offered in ipairs { "\2h2", "\8http/1.0", "\2h2\8http/1.0" } do
      local c = tls.raw(server, { tls = { alpn = offered } })
      local ok, why = tls.shake(c)
      assert.is_nil(ok)
      t.contains(why, "alert no application protocol")
      c:close()
    end
    local c = tls.raw(server, { tls = { alpn = "\8http/1.0\8http/1.1" } })
    assert.is_true(tls.shake(c))
    assert.equal("http/1.1", c.tls:info().alpn)
  end)
end)

describe("a client's certificate", function()
  after_each(function()
    t.cleanup()
    for _, suffix in ipairs { "", ".key", ".pem" } do
      os.remove(name .. suffix)
    end
  end)

  it("is told by its subject, which may be empty or long", function()
    local unit = "/OU=" .. ("u"):rep(60)
    local told_unit = "OU=" .. ("u"):rep(60) .. ","
    for subject, told in pairs { ["/O=short"] = "O=short",
      [unit:rep(15)] = told_unit:rep(15):sub(1, -2),
      [unit:rep(40)] = told_unit:rep(40):sub(1, -2), ["/"] = "" } do
      local own = own_certificate(subject)
      local seen
      local server = t.listen(tls.options { tls = { ca = own.certificate,
        verify = "required" }, on_upgrade = function(r)
          seen = r.client_certificate or false
        end })
      local c = tls.raw(server, { tls = own })
      assert.equal(101, (c:upgrade()))
      assert.equal(told, seen)
      c:finish()
    end
  end)
end)
