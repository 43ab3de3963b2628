/* probe_names: names in the spec's hands. Of the probe's own code getaddrinfo
 * is this one: it answers names that the spec has set, when the spec lets it,
 * and hands every other one on to the system.
 *
 * set(name, addresses)  what it will be found to be; {}: not found. It waits
 *                       until it is let go
 * let_go([name])        this one, or all; from now on it does not wait
 * asked(name)           how often it was asked for
 * now(), most()         names of the spec that are being asked for at this
 *                       moment, and at most so far
 * forget()              lets all go, waits until nobody asks, and forgets
 *
 * child() -> child      a fork without exec, which lives until child:stop() */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

#define NAMES_MAX 64
#define TEXT_MAX 64
#define ADDRESSES_MAX 128
#define CHILD "probe.child"
#define OURS 0x7E57 /* as the protocol of what freeaddrinfo is given */

void probe_open_names(lua_State *L);

struct name {
  char text[TEXT_MAX];
  struct in6_addr list[ADDRESSES_MAX]; /* IPv4 mapped */
  int n;
  lua_Integer asked;
  bool is_free;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct name names[NAMES_MAX];
static int n_names, n_now, n_most;

static struct name *find(const char *text) {
  for (int i = 0; text && i < n_names; i++)
    if (strcasecmp(names[i].text, text) == 0) return &names[i];
  return NULL;
}

static struct addrinfo *entry(const struct in6_addr *a) {
  struct addrinfo *e = calloc(1, sizeof *e + sizeof(struct sockaddr_in6));
  if (e == NULL) abort();
  struct sockaddr_in6 *v6 = (void *)(e + 1);
  struct sockaddr_in *v4 = (void *)(e + 1);
  bool is_v4 = IN6_IS_ADDR_V4MAPPED(a);
  e->ai_family = is_v4 ? AF_INET : AF_INET6;
  e->ai_socktype = SOCK_STREAM;
  e->ai_protocol = OURS;
  e->ai_addr = (void *)(e + 1);
  e->ai_addrlen = is_v4 ? sizeof *v4 : sizeof *v6;
  e->ai_addr->sa_family = (sa_family_t)e->ai_family;
  if (is_v4)
    memcpy(&v4->sin_addr, a->s6_addr + 12, 4);
  else
    v6->sin6_addr = *a;
  return e;
}

static int answer(const struct name *n, struct addrinfo **all) {
  struct addrinfo **end = all;
  *all = NULL;
  for (int i = 0; i < n->n; i++) {
    *end = entry(&n->list[i]);
    end = &(*end)->ai_next;
  }
  return n->n ? 0 : EAI_NONAME;
}

static int ask_system(const char *host, const char *service,
                      const struct addrinfo *hints, struct addrinfo **all) {
  int (*fn)(const char *, const char *, const struct addrinfo *,
            struct addrinfo **);
  *(void **)&fn = dlsym(RTLD_NEXT, "getaddrinfo");
  return fn ? fn(host, service, hints, all) : EAI_FAIL;
}

int getaddrinfo(const char *host, const char *service,
                const struct addrinfo *hints, struct addrinfo **all) {
  pthread_mutex_lock(&lock);
  struct name *n = hints->ai_flags & AI_NUMERICHOST ? NULL : find(host);
  if (n == NULL) {
    pthread_mutex_unlock(&lock);
    return ask_system(host, service, hints, all);
  }
  n->asked++;
  if (++n_now > n_most) n_most = n_now;
  while (!n->is_free) pthread_cond_wait(&changed, &lock);
  int r = answer(n, all);
  n_now--;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return r;
}

void freeaddrinfo(struct addrinfo *all) {
  void (*fn)(struct addrinfo *);
  if (all && all->ai_protocol != OURS) {
    *(void **)&fn = dlsym(RTLD_NEXT, "freeaddrinfo");
    if (fn) fn(all);
    return;
  }
  while (all) {
    struct addrinfo *next = all->ai_next;
    free(all);
    all = next;
  }
}

/* ---- for the spec ---- */

static int names_set(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  lua_Integer n = luaL_len(L, 2);
  luaL_argcheck(L, strlen(text) < TEXT_MAX, 1, "too long");
  luaL_argcheck(L, n <= ADDRESSES_MAX && n_names < NAMES_MAX, 2, "too many");
  pthread_mutex_lock(&lock);
  struct name *to = find(text);
  if (to == NULL) to = &names[n_names++];
  memset(to, 0, sizeof *to);
  memcpy(to->text, text, strlen(text) + 1);
  to->n = (int)n;
  for (int i = 0; i < n; i++) {
    char address[TEXT_MAX];
    lua_rawgeti(L, 2, i + 1);
    const char *one = lua_tostring(L, -1);
    snprintf(address, sizeof address, "%s%s",
             strchr(one, ':') ? "" : "::ffff:", one);
    inet_pton(AF_INET6, address, &to->list[i]);
    lua_pop(L, 1);
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

static int names_let_go(lua_State *L) {
  const char *text = luaL_optstring(L, 1, NULL);
  pthread_mutex_lock(&lock);
  for (int i = 0; i < n_names; i++)
    if (text == NULL || strcmp(names[i].text, text) == 0)
      names[i].is_free = true;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return 0;
}

static int push_locked(lua_State *L, const int *number) {
  pthread_mutex_lock(&lock);
  lua_pushinteger(L, *number);
  pthread_mutex_unlock(&lock);
  return 1;
}

static int names_now(lua_State *L) {
  return push_locked(L, &n_now);
}

static int names_most(lua_State *L) {
  return push_locked(L, &n_most);
}

static int names_asked(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  pthread_mutex_lock(&lock);
  struct name *n = find(text);
  lua_pushinteger(L, n ? n->asked : 0);
  pthread_mutex_unlock(&lock);
  return 1;
}

static int names_forget(lua_State *L) {
  lua_settop(L, 0);
  names_let_go(L);
  pthread_mutex_lock(&lock);
  while (n_now > 0) pthread_cond_wait(&changed, &lock);
  n_names = n_most = 0;
  pthread_mutex_unlock(&lock);
  return 0;
}

/* ---- a child ---- */

static int names_child(lua_State *L) {
  pid_t *pid = lua_newuserdatauv(L, sizeof *pid, 0);
  *pid = 0;
  luaL_setmetatable(L, CHILD);
  *pid = fork();
  if (*pid == 0)
    for (;;) pause();
  if (*pid < 0) return luaL_error(L, "no child");
  return 1;
}

static int child_stop(lua_State *L) {
  pid_t *pid = luaL_checkudata(L, 1, CHILD);
  if (*pid <= 0) return 0;
  kill(*pid, SIGKILL);
  waitpid(*pid, NULL, 0);
  *pid = 0;
  return 0;
}

void probe_open_names(lua_State *L) {
  static const luaL_Reg child[] = {{"stop", child_stop},
                                   {"__gc", child_stop},
                                   {"__close", child_stop},
                                   {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"set", names_set},     {"let_go", names_let_go},
    {"asked", names_asked}, {"now", names_now},
    {"most", names_most},   {"forget", names_forget},
    {"child", names_child}, {NULL, NULL}};
  luaL_newmetatable(L, CHILD);
  luaL_setfuncs(L, child, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
