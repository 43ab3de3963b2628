-- A client for the terminal: make run EXAMPLE=client ARGS=localhost:5000/ws
-- It is the command that is installed as `evws`; ARGS=--help describes it.
local here = arg[0]:match("^.*/") or ""
dofile(here .. "../bin/evws")
