/* suggest.c: what somebody may have meant: the same letters in another
 * spelling, a name that begins like it, one that is a few slips away. */
#include "binding/suggest.h"

#include <string.h>

#include <lauxlib.h>

#define NAME_MAX_BYTES 40
#define PREFIX_MIN 4

enum { SAME = 0, BEGINS = 100, SLIPS = 1000, FAR = 10000 };

/* maxMessage and max-message are max_message; 0 when it is too long. */
static int squeeze(const char *from, char to[NAME_MAX_BYTES]) {
  int n = 0;
  for (; *from; from++) {
    if (*from == '_' || *from == '-') continue;
    if (n == NAME_MAX_BYTES - 1) return 0;
    char c = *from;
    to[n++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  to[n] = '\0';
  return n;
}

static int least(int a, int b) {
  return a < b ? a : b;
}

/* Slips between two names: a letter more, less or other, or two that have
 * changed their places. */
static int distance(const char *a, int n, const char *b, int m) {
  int rows[3][NAME_MAX_BYTES];
  for (int j = 0; j <= m; j++) rows[0][j] = j;
  for (int i = 1; i <= n; i++) {
    int *row = rows[i % 3], *last = rows[(i - 1) % 3],
        *before = rows[(i + 1) % 3];
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      row[j] = last[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = least(row[j], least(row[j - 1], last[j]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = least(row[j], before[j - 2] + 1);
    }
  }
  return rows[n % 3][m];
}

/* Farther is no slip: of short names every second one would be near. */
static int most_slips(int n) {
  return n <= 4 ? 1 : n <= 7 ? 2 : 3;
}

static bool begins(const char *a, int n, const char *b, int m) {
  int shorter = least(n, m);
  return shorter >= PREFIX_MIN && memcmp(a, b, (size_t)shorter) == 0;
}

static int rank(const char *name, const char *known) {
  char a[NAME_MAX_BYTES], b[NAME_MAX_BYTES];
  int n = squeeze(name, a), m = squeeze(known, b);
  if (!n || !m) return FAR;
  int slips = distance(a, n, b, m);
  if (slips == 0) return SAME;
  if (begins(a, n, b, m)) return BEGINS + slips;
  return slips <= most_slips(n) ? SLIPS + slips : FAR;
}

void ws_guess_begin(struct ws_guess *g, const char *name) {
  *g = (struct ws_guess){.name = name, .rank = FAR};
}

void ws_guess_try(struct ws_guess *g, const char *known) {
  int r = rank(g->name, known);
  if (r >= g->rank) return;
  g->rank = r;
  g->best = known;
}

/* ---- other libraries ---- */

static const struct {
  const char *other, *ours; /* squeezed; a name, or a sentence in brackets */
} others[] = {
  {"additionalheaders", "headers"},
  {"address", "host"},
  {"auth", "headers"},
  {"authorization", "headers"},
  {"bind", "host"},
  {"bindaddress", "host"},
  {"ca", "tls.ca"},
  {"cert", "tls.certificate"},
  {"certfile", "tls.certificate"},
  {"certificate", "tls.certificate"},
  {"cookie", "headers"},
  {"cookies", "headers"},
  {"deflate", "compression"},
  {"extraheaders", "headers"},
  {"handshaketimeout", "timeout"},
  {"heartbeat", "keepalive_interval"},
  {"hostname", "host"},
  {"insecure", "tls.verify"},
  {"interface", "host"},
  {"key", "tls.key"},
  {"keyfile", "tls.key"},
  {"maxframe", "max_message"},
  {"maxpayload", "max_message"},
  {"maxpayloadlen", "max_message"},
  {"maxqueue", "receive_queue"},
  {"maxsize", "max_message"},
  {"onbinary", "on_message"},
  {"onclosed", "on_close"},
  {"onconnect", "on_open"},
  {"onconnection", "on_open"},
  {"ondata", "on_message"},
  {"ondisconnect", "on_close"},
  {"onend", "on_close"},
  {"onready", "on_open"},
  {"onreceive", "on_message"},
  {"ontext", "on_message"},
  {"opentimeout", "timeout"},
  {"permessagedeflate", "compression"},
  {"pinginterval", "keepalive_interval"},
  {"pingtimeout", "keepalive_timeout"},
  {"protocol", "subprotocols"},
  {"protocols", "subprotocols"},
  {"rejectunauthorized", "tls.verify"},
  {"root", "on_request = ws.static(directory)"},
  {"servername", "tls.server_name"},
  {"ssl", "tls"},
  {"sslcontext", "tls"},
  {"sslverify", "tls.verify"},
  {"static", "on_request = ws.static(directory)"},
  {"uri", "(the URL is the first argument)"},
  {"url", "(the URL is the first argument)"},
  {"verify", "tls.verify"},
  {"verifyclient", "on_upgrade"},
};

/* The option that the text is about; a sentence is about none. */
static void cut_option(const char *text, char to[NAME_MAX_BYTES]) {
  size_t n = strcspn(text, ". ");
  memcpy(to, text, n);
  to[n] = '\0';
}

bool ws_suggest_other(lua_State *L, const char *name,
                      bool (*has)(const char *name, int scope), int scope) {
  char squeezed[NAME_MAX_BYTES], option[NAME_MAX_BYTES];
  if (!squeeze(name, squeezed)) return false;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (strcmp(others[i].other, squeezed) != 0) continue;
    const char *ours = others[i].ours;
    cut_option(ours, option);
    if (*ours != '(' && !has(option, scope)) return false;
    if (*ours == '(')
      lua_pushstring(L, ours);
    else
      lua_pushfstring(L, "(did you mean '%s'?)", ours);
    return true;
  }
  return false;
}

int ws_lua_suggest(lua_State *L) {
  struct ws_guess g;
  ws_guess_begin(&g, luaL_checkstring(L, 1));
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TSTRING; i++) {
    ws_guess_try(&g, lua_tostring(L, -1)); /* the list keeps it */
    lua_pop(L, 1);
  }
  lua_pushstring(L, g.best);
  return 1;
}
