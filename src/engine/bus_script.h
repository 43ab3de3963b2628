/* bus_script.h: what every script of the backplane has around it, so that an
 * error says which key it is about, in the words of all versions of Redis. K is
 * that key; it is the first one where nothing else is said. */
#ifndef EVWS_BUS_SCRIPT_H
#define EVWS_BUS_SCRIPT_H

#define WS_SCRIPT_BEGIN "local K=KEYS[1]local ok,r=pcall(function()"
#define WS_SCRIPT_END \
  " end)if ok then return r end " \
  "local m=type(r)=='table'and r.err or tostring(r)" \
  "m=string.gsub(string.gsub(m,'^@[%w_]+: ?%d+: %-?','')," \
  "',? ?script: .*$','')" \
  "return{err=m..' ('..K..')'}"

#endif
