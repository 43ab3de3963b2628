-- Makes the man page and the completions of the command evws out of the tables
-- in lua/evws/command/manual.lua and serve_manual.lua:
--
--   lua tools/command.lua man|bash|zsh|fish       (make docs)

local root = arg[0]:match "^(.*)/tools/" or "."
package.path = root .. "/lua/?.lua;" .. package.path
local manual = require "evws.command.manual"

local NOTICE = "made by `make docs` from lua/evws/command/manual.lua;"
  .. " edits here are lost"

local out = {}

local function put(...)
  out[#out + 1] = table.concat { ... }
end

-- All options as one list of words: --long, -s
local function words(of)
  local list = {}
  for option in manual.each(of) do
    list[#list + 1] = "--" .. option.long
    if option.short then list[#list + 1] = "-" .. option.short end
  end
  return list
end

-- ---- the man page ----

-- Of text what roff would take for its own.
local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("-", "\\-"):gsub("^([.'])", "\\&%1"))
end

local function bold(text) return "\\fB" .. roff(text) .. "\\fR" end
local function italic(text) return "\\fI" .. roff(text) .. "\\fR" end

local function paragraphs(list)
  for i, text in ipairs(list) do
    if i > 1 then put ".PP" end
    put(roff(text))
  end
end

local function item(head, about)
  put ".TP"
  put(head)
  put(roff(about))
end

-- A sentence of a line that is written as a part of one.
local function sentence(text)
  return text:gsub("^%l", string.upper) .. "."
end

local function put_option(option)
  local value = option.value and " " .. italic(option.value) or ""
  local head = bold("--" .. option.long) .. value
  if option.short then head = bold("-" .. option.short) .. ", " .. head end
  item(head, sentence(option.about)
    .. (option.more and " " .. option.more or ""))
end

-- Of a server's script in several processes.
local function man_serve(of)
  put ".SH SERVE"
  put(bold(of.name), " ", roff(of.usage))
  put ".PP"
  paragraphs(of.description)
  for _, group in ipairs(of.groups) do
    for _, option in ipairs(group.options) do put_option(option) end
  end
  put ".PP"
  put(roff "Its signals:")
  for _, signal in ipairs(of.signals) do
    item(bold(signal[1]), sentence(signal[2]))
  end
  put ".PP"
  put(roff "Its exit status:")
  for _, status in ipairs(of.statuses) do
    item(bold(tostring(status[1])), sentence(status[2]))
  end
end

local function man()
  put('.\\" ', NOTICE)
  put '.TH EVWS 1 "" evws "User Commands"'
  put ".SH NAME"
  put(roff(manual.name), " \\- ", roff(manual.summary))
  put ".SH SYNOPSIS"
  put(bold(manual.name), " ", roff(manual.usage))
  put ".br"
  put(bold(manual.serve.name), " ", roff(manual.serve.usage))
  put ".SH DESCRIPTION"
  paragraphs(manual.description)
  put ".SH OPTIONS"
  for _, group in ipairs(manual.groups) do
    put('.SS "', group.title, '"')
    for _, option in ipairs(group.options) do put_option(option) end
  end
  man_serve(manual.serve)
  put ".SH COMMANDS"
  put(roff "At a terminal, or with --slash, a line that begins with a slash is"
    .. " one of these:")
  for _, command in ipairs(manual.commands) do
    item(bold(command.usage), sentence(command.about))
  end
  put ".SH INPUT"
  paragraphs(manual.input)
  put ".SH OUTPUT"
  paragraphs(manual.output)
  put '.SH "EXIT STATUS"'
  for _, status in ipairs(manual.statuses) do
    item(bold(tostring(status[1])), sentence(status[2]))
  end
  put ".SH ENVIRONMENT"
  for _, variable in ipairs(manual.environment) do
    item(bold(variable[1]), sentence(variable[2]))
  end
  put ".SH EXAMPLES"
  for _, of in ipairs { manual, manual.serve } do
    for _, example in ipairs(of.examples) do
      item(bold(example[1]), sentence(example[2]))
    end
  end
end

-- ---- completions ----

-- For the shell, in single quotes.
local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The names of options with a value for which `is_meant` holds.
local function with_value(of, is_meant)
  local list = {}
  for option in manual.each(of) do
    if option.value and is_meant(option) then
      list[#list + 1] = "--" .. option.long
      if option.short then list[#list + 1] = "-" .. option.short end
    end
  end
  return table.concat(list, "|")
end

-- The cases of one set of options.
local function bash_cases(of, otherwise)
  put "  case $before in"
  put("    ", with_value(of, function(o) return o.completes == "file" end), ")")
  put "      compopt -o filenames 2>/dev/null"
  put "      IFS=$'\\n'"
  put "      COMPREPLY=($(compgen -f -- \"$word\"))"
  put "      return ;;"
  for option in manual.each(of) do
    if type(option.completes) == "table" then
      local name = option.long
      put("    ", with_value(of, function(o) return o.long == name end), ")")
      put("      list=", quote(table.concat(option.completes, " ")), " ;;")
    end
  end
  put("    ", with_value(of, function(o) return not o.completes end), ")")
  put "      return ;;"
  put "    *)"
  for _, line in ipairs(otherwise) do put("      ", line) end
  put("      list=", quote((table.concat(words(of), " "))), " ;;")
  put "  esac"
end

local function bash()
  put("# bash completion for evws; ", NOTICE)
  put "_evws() {"
  put "  local word=${COMP_WORDS[COMP_CWORD]}"
  put "  local before=${COMP_WORDS[COMP_CWORD-1]} list='' IFS=$' \\n'"
  put "  COMPREPLY=()"
  put "  # --name=value is three words where = parts them"
  put "  if [[ $word == = ]]; then word="
  put "  elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi"
  put "  if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} == serve ]]; then"
  bash_cases(manual.serve, { "if [[ $word != -* ]]; then",
    "  compopt -o filenames 2>/dev/null", "  IFS=$'\\n'",
    "  COMPREPLY=($(compgen -f -- \"$word\"))", "  return", "fi" })
  put "  else"
  bash_cases(manual, { "if [[ $COMP_CWORD == 1 && -n $word && serve == "
    .. "$word* ]]; then", "  COMPREPLY=(serve)", "  return", "fi",
    "[[ $word == -* ]] || return" })
  put "  fi"
  put "  COMPREPLY=($(compgen -W \"$list\" -- \"$word\"))"
  put "}"
  put "complete -F _evws evws"
end

-- Of a description what _arguments would take for its own.
local function zsh_text(text)
  return (text:gsub("[%[%]:\\]", "\\%0"))
end

local function zsh_action(option)
  if option.completes == "file" then return "_files" end
  if option.completes then
    return "(" .. table.concat(option.completes, " ") .. ")"
  end
  return " "
end

local function zsh_option(option)
  local about = "[" .. zsh_text(option.about) .. "]"
  local long, short = "--" .. option.long, option.short
  if option.value then
    about = about .. ":" .. zsh_text(option.value) .. ":" .. zsh_action(option)
    long = long .. "="
  end
  local names = short and ("{-%s%s,%s}"):format(short,
    option.value and "+" or "", long) or long
  local others = option.repeats and "'*'"
    or short and quote(("(-%s --%s)"):format(short, option.long)) or ""
  return others .. names .. quote(about)
end

local function zsh()
  put "#compdef evws"
  put("# ", NOTICE)
  put "if [[ $words[2] == serve && CURRENT -gt 2 ]]; then"
  put "  shift words"
  put "  (( CURRENT-- ))"
  put "  _arguments -s -S \\"
  for option in manual.each(manual.serve) do
    put("    ", zsh_option(option), " \\")
  end
  put "    '1:SCRIPT:_files' '*:ARGUMENT: '"
  put "  return"
  put "fi"
  put "_arguments -s -S \\"
  for option in manual.each() do put("  ", zsh_option(option), " \\") end
  put "  '1:URL:(serve)' '*:MESSAGE: '"
end

local function fish_text(text)
  return "'" .. text:gsub("[\\']", "\\%0") .. "'"
end

local function fish_options(of, condition)
  for option in manual.each(of) do
    local line = { "complete -c evws -n " .. fish_text(condition) }
    if option.short then line[#line + 1] = "-s " .. option.short end
    line[#line + 1] = "-l " .. option.long
    if option.completes == "file" then
      line[#line + 1] = "-r -F"
    elseif option.value then
      line[#line + 1] = "-x"
    end
    if type(option.completes) == "table" then
      line[#line + 1] = "-a "
        .. fish_text(table.concat(option.completes, " "))
    end
    line[#line + 1] = "-d " .. fish_text(option.about)
    put(table.concat(line, " "))
  end
end

local function fish()
  put("# ", NOTICE)
  put "complete -c evws -f"
  put("complete -c evws -n '__fish_is_first_arg' -a serve -d ",
    fish_text(manual.serve.summary))
  put "complete -c evws -n '__fish_seen_subcommand_from serve' -F"
  fish_options(manual, "not __fish_seen_subcommand_from serve")
  fish_options(manual.serve, "__fish_seen_subcommand_from serve")
end

local makers = { man = man, bash = bash, zsh = zsh, fish = fish }
local make = makers[arg[1]]
if not make then error("man, bash, zsh or fish expected", 0) end
make()
io.write(table.concat(out, "\n"), "\n")
