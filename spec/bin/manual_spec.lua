-- The man page and the completions of the command evws: that they are what the
-- table in evws.command.manual says, and that those who read them can.

local command = require "spec.bin.kit"
local manual = require "evws.command.manual"
local t = require "spec.helper"

local lua = os.getenv "LUA" or "lua5.4"

local files = {
  man = "share/man/man1/evws.1",
  bash = "share/bash-completion/completions/evws",
  zsh = "share/zsh/site-functions/_evws",
  fish = "share/fish/vendor_completions.d/evws.fish",
}

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

-- What a command of the shell prints, standard error too. Other people's
-- tools are none that a sanitizer should look at.
local function output_of(line)
  local pipe = assert(io.popen("unset LD_PRELOAD; { " .. line
    .. "; } 2>&1 </dev/null"))
  local output = pipe:read "a"
  assert(pipe:close(), output)
  return output
end

local function has(name)
  return os.execute("command -v " .. name .. " >/dev/null 2>&1") ~= nil
end

local function lines_of(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  table.sort(list)
  return list
end

local function all_names()
  local list = {}
  for option in manual.each() do
    list[#list + 1] = "--" .. option.long
    if option.short then list[#list + 1] = "-" .. option.short end
  end
  table.sort(list)
  return list
end

local function starting_with(list, start)
  local found = {}
  for _, name in ipairs(list) do
    if name:sub(1, #start) == start then found[#found + 1] = name end
  end
  return found
end

describe("what is made of the command's table", function()
  for kind, path in pairs(files) do
    it("is up to date: " .. path, function()
      local made = output_of(("%s tools/command.lua %s"):format(lua, kind))
      assert.is_true(made == read(path), "run `make docs`")
    end)
  end

  it("has every option, command and status in the man page", function()
    local text = read(files.man):gsub("\\f.", ""):gsub("\\%-", "-")
    for _, name in ipairs(all_names()) do
      assert.is_truthy(text:find(name, 1, true), name)
    end
    for _, entry in ipairs(manual.commands) do
      assert.is_truthy(text:find("\n" .. entry.usage .. "\n", 1, true))
    end
    for _, status in ipairs(manual.statuses) do
      assert.is_truthy(text:find("\n" .. status[1] .. "\n", 1, true))
    end
  end)

  it("uses no letter twice, and says something of everything", function()
    local seen = {}
    for _, of in ipairs { manual, manual.serve } do
      for option in manual.each(of) do
        for _, name in ipairs { option.long, option.short } do
          assert.is_nil(seen[name], name)
          seen[name] = true
        end
        assert.is_true(#option.about >= 9, option.long)
        assert.is_nil(option.about:find "%.$")
      end
      seen = {}
    end
  end)
end)

describe("the man page", function()
  it("is nothing that groff complains about", function()
    if not has "groff" then return pending "no groff" end
    assert.equal("", output_of("groff -man -ww -z -Tutf8 " .. files.man))
    local text = output_of("groff -man -Tascii -P-c -P-b -P-u " .. files.man)
    assert.is_truthy(text:find("evws [OPTION]... URL [MESSAGE]...", 1, true))
    assert.is_truthy(text:find("\\xNN", 1, true))
    assert.is_truthy(text:find("-H, --header 'Name: value'", 1, true))
  end)
end)

describe("the completion", function()
  after_each(function()
    command.cleanup()
    t.cleanup()
  end)

  -- What bash offers behind `evws words...`; the last one is being typed.
  local function bash(...)
    local words = { "evws", ... }
    for i, word in ipairs(words) do words[i] = "'" .. word .. "'" end
    return lines_of(output_of(([[bash --norc -c '
      source %s; complete -p evws >/dev/null || exit 1
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _evws
      printf "%%s\n" "${COMPREPLY[@]}"' bash %s]]):format(files.bash,
      table.concat(words, " "))))
  end

  it("of bash offers options, files and values", function()
    if not has "bash" then return pending "no bash" end
    assert.same(all_names(), bash "-")
    assert.same(starting_with(all_names(), "--co"), bash "--co")
    assert.same({ "16M", "1M" }, bash("--max-message", "1"))
    assert.same({ "forever" }, bash("-w", "f"))
    assert.same({ "forever" }, bash("--wait", "=", "f"))
    assert.same({ "0", "1", "10", "forever" }, bash("--wait", "="))
    assert.same({ "examples" }, bash("--ca", "exampl"))
    assert.same({ "examples" }, bash("--cert", "=", "exampl"))
    assert.same({}, bash("--header", "-"))
    assert.same({}, bash "")
    assert.same({ "serve" }, bash "se")
    assert.same({ "--workers" }, bash("serve", "--w"))
    assert.same({ "examples" }, bash("serve", "exampl"))
    assert.same({ "spawn" }, bash("serve", "x.lua", "--redis", "s"))
    assert.same({}, bash("serve", "-w", "4"))
  end)

  it("of fish offers options, files and values", function()
    if not has "fish" then return pending "no fish" end
    local function fish(line)
      return lines_of(output_of(("HOME=/nonexistent fish -N -c 'source %s;"
        .. " complete -C \"evws %s\"' | cut -f1"):format(files.fish, line)))
    end
    assert.same(starting_with(all_names(), "--"), fish "--")
    assert.same(starting_with(all_names(), "--re"), fish "--re")
    assert.same({ "16M", "1M" }, fish "--max-message 1")
    assert.same({ "forever" }, fish "-w f")
    assert.same({ "examples/" }, fish "--key exampl")
    assert.same({}, fish "--header exampl")
    assert.same({}, fish "exampl")
    assert.same({ "serve" }, fish "ser")
    assert.same({ "--workers" }, fish "serve --w")
    assert.same({ "spawn" }, fish "serve x.lua --redis sp")
  end)

  it("of zsh offers options, files and values", function()
    if not has "zsh" then return pending "no zsh" end
    local child = command.terminal(nil, { with = "LD_PRELOAD= TERM=dumb",
      command = "zsh -f" })
    child.type("fpath=($PWD/share/zsh/site-functions $fpath);"
      .. " autoload -U compinit; compinit -D -u; echo re''ady\n")
    t.wait(function() return child.output():find "ready" end, "zsh", 20)
    for line, found in pairs { ["evws --ins\t"] = "--insecure",
      ["evws --recon\t"] = "--reconnect", ["evws -w for\t"] = "forever",
      ["evws serve --work\t"] = "--workers",
      ["evws serve x.lua --redis sp\t"] = "spawn",
      ["evws --ca exampl\t"] = "examples/", ["evws --max-message 16\t"] =
      "16M", ["evws --cert=exampl\t"] = "--cert=examples/" } do
      child.type(line)
      t.wait(function() return child.output():find(found, 1, true) end,
        line, 10)
      child.type "\21"
    end
    child.type "exit\n"
    assert.equal(0, child.status())
  end)
end)
