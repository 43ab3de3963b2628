/* file.h: files beneath one directory, for lua/evws/static.lua.
 *
 * Lua's io library cannot open a path so that it stays beneath a directory
 * whatever happens to the tree meanwhile, cannot refuse to wait for a FIFO,
 * and cannot tell a regular file from a device. That, and no more, is here. */
#ifndef EVWS_BINDING_FILE_H
#define EVWS_BINDING_FILE_H

#include <lua.h>

/* Pushes a table and returns 1. May be called any number of times per state.
 *
 *   open_directory(path[, symlinks[, walk]]) -> directory
 *       symlinks: follow those that stay beneath the directory (relative
 *       ones; default: none is followed, in no component). walk: go component
 *       by component even where the kernel can do it at once (for the specs).
 *   directory:open(path) -> file, size, seconds, version
 *       of a regular file: its bytes, its time of modification, and a text
 *       that no other content of it has. The path is relative: "a/b", without
 *       empty, "." and ".." components.
 *   file:read(offset, length) -> string of exactly that length
 *       The range must be inside the size given by open.
 *   file:is_changed() -> is it another version than when it was opened?
 *   directory:close(), file:close() -> true; also __gc and __close.
 *   E...  the numbers of the errors that a caller may want to tell apart.
 *
 * What the world does returns nil, message, errno; wrong use raises. A
 * directory is EISDIR, anything else that is no regular file ENXIO, a path
 * that is not as above EINVAL, a file that became shorter ESTALE. */
int ws_file_open_lib(lua_State *L);

#endif
