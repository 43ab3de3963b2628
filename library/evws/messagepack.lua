---@meta evws.messagepack

-- ---------------------------------------------------------------------------
-- MessagePack
-- ---------------------------------------------------------------------------

---MessagePack, for its own sake: `local messagepack = require
---"evws.messagepack"`. Nothing of it needs a loop or a connection.
---
---```lua
---local bytes = messagepack.encode { id = 7, tags = { "a", "b" } }
---conn:send(bytes, "binary")
---
---local value, why, place = messagepack.decode(message)
---if value == nil then print(why, "at byte", place) end
---```
---
---Integers are of 64 bits and stay integers, floats stay floats. A table with
---the keys 1 to n is a list, so is an empty one; others are maps. What Lua's own
---values cannot say has values here: `null`, `map`, `binary`, `extension`,
---`time`.
---@class evws.messagepack
---Null inside of a table; a value read is never nil.
---@field null evws.Null
local messagepack = {}

---@class evws.Null: table

---@class evws.EncodeOptions
---How many tables may stand inside of one another, default `64`; 1 to 1000.
---@field max_depth? integer

---@class evws.DecodeOptions
---How many lists and maps may stand inside of one another, default `64`; 1 to
---1000.
---@field max_depth? integer
---Text that is not UTF-8, default `"error"`; `"replace"` puts U+FFFD into its
---place.
---@field invalid_text? "error"|"replace"
---Makes a value of what came as bytes (bin); nil stands for null. Default: a
---string. `messagepack.binary` keeps bytes apart from text.
---@field binary? fun(bytes: string): any
---Makes a value of an extension; nil stands for null. Default: extensions other
---than timestamps are an error. `messagepack.extension` keeps them.
---@field extension? fun(type: integer, data: string): any

---Returns the value as MessagePack, in the shortest form there is; a float is
---always one of 64 bits.
---
---Raises, with the place in the value (`at .list[3]`), for what cannot be
---written: functions, text that is not UTF-8, a list with holes, a table that
---is both a list and a map, keys that are neither strings nor integers, more
---than `max_depth` tables inside of one another. Metatables other than those
---made here are not looked at.
---@param value any
---@param options? evws.EncodeOptions
---@return string bytes
function messagepack.encode(value, options) end

---Reads one value and nothing behind it.
---
---Returns the value; or nil, what is wrong, and the byte, counted from 1, at
---which it is: `"incomplete"`, `"more than one value"`, `"nested too deep"`, ...
---
---A map that is empty or has an integer as a key is marked as `map` does it, so
---that it is a map when it is written again. Of two equal keys the last one
---holds. Integers from 2^63 on become floats. Nothing is reserved for a length
---that was only declared.
---@param bytes string
---@param options? evws.DecodeOptions
---@return any value
---@return string? message
---@return integer? place
function messagepack.decode(bytes, options) end

---Reads the value that begins at a position, whatever is behind it.
---
---Returns the value and the position behind it; or nil, what is wrong, and
---where. `"incomplete"` says that the bytes end before the value does.
---@param bytes string
---@param position? integer default `1`
---@param options? evws.DecodeOptions
---@return any value
---@return integer|string next_or_message
---@return integer? place
function messagepack.read(bytes, position, options) end

---Marks a table as a map, and returns it: for one that is empty, or whose keys
---are integers.
---@param fields? table default: a new one
---@return table fields
function messagepack.map(fields) end

---Bytes that are no text (bin).
---@param bytes string
---@return evws.Binary
function messagepack.binary(bytes) end

---@class evws.Binary
---@field bytes string

---An extension of the application's own. Types below 0 belong to MessagePack.
---@param type integer -128 to 127
---@param data string
---@return evws.Extension
function messagepack.extension(type, data) end

---@class evws.Extension
---@field type integer
---@field data string

---A point in time (the extension type -1). `tostring` writes it as RFC 3339
---does: `2024-02-29T12:00:00.5Z`.
---@param seconds number since 1970, UTC; with a fraction, or an integer and
---@param nanoseconds? integer 0 to 999999999, default `0`
---@return evws.Time
function messagepack.time(seconds, nanoseconds) end

---@class evws.Time
---@field seconds integer
---@field nanoseconds integer

return messagepack
