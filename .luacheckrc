std = "lua54"
max_line_length = 80
exclude_files = { "build", "**/node_modules" }

-- Handlers are called with more than most of them want.
unused_args = false

files["bench/peers/resty.lua"] = { globals = { "ngx" } }
files["spec"] = { std = "+busted" }
files["library"] = { ignore = { "1..", "2.." }, max_line_length = false }
