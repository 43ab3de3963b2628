/*
 * probe_tls: the other end of TLS, in memory, for specs: it does what it is
 * told, also what no decent peer would do. spec/helper/tls.lua puts it on a
 * socket.
 *
 * new{ server=, ca=, certificate=, key=, alpn=, server_name=, session=, min=,
 *      max=, split= } -> engine; alpn: names with their lengths in front, min and max:
 *   "1.2" or "1.3", ca: nil for no verification
 * engine:feed(bytes)    what was received; engine:take() -> what is to be sent
 * engine:handshake()    -> true | nil, "again" | nil, reason
 * engine:write(bytes)   -> n | nil, reason
 * engine:read()         -> bytes | nil, "again" | nil, "eof" | nil, reason
 * engine:shutdown()     close_notify
 * engine:key_update()   asks for the peer's new keys, too
 * engine:renegotiate()  a ClientHello of TLS 1.2
 * engine:split(...)     pieces of messages of the handshake's kind -> as many
 *   records of TLS 1.3, which OpenSSL would put into one. It sends nothing
 *   else from then on. Needs split = true in new
 * engine:seal(...)      pieces of data -> as many records, behind such ones
 * engine:info() -> { version=, cipher=, alpn=, subject=, resumed=, verify= }
 * engine:session() -> a session that new takes
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "probe.h"

#define ENGINE "probe.tls"
#define SESSION "probe.tls.session"

void probe_open_tls(lua_State *L);

struct engine {
  SSL_CTX *ctx;
  SSL *ssl;
  BIO *in, *out;      /* the SSL's */
  uint8_t secret[32]; /* of what it sends */
  uint64_t n_records; /* sent under it */
};

struct session {
  SSL_SESSION *s;
};

static struct engine *check(lua_State *L) {
  ERR_clear_error();
  return luaL_checkudata(L, 1, ENGINE);
}

static int engine_gc(lua_State *L) {
  struct engine *e = check(L);
  SSL_free(e->ssl);
  SSL_CTX_free(e->ctx);
  e->ssl = NULL;
  e->ctx = NULL;
  return 0;
}

static int session_gc(lua_State *L) {
  struct session *s = luaL_checkudata(L, 1, SESSION);
  SSL_SESSION_free(s->s);
  s->s = NULL;
  return 0;
}

/* The field of the options at 1, which keep it; NULL where it is not set. */
static const char *text(lua_State *L, const char *name, size_t *n) {
  const char *p = NULL;
  if (lua_getfield(L, 1, name) != LUA_TNIL) p = luaL_checklstring(L, -1, n);
  lua_pop(L, 1);
  return p;
}

static int version(lua_State *L, const char *name) {
  const char *v = text(L, name, NULL);
  if (v == NULL) return 0;
  return strcmp(v, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static void set_files(lua_State *L, SSL_CTX *ctx) {
  const char *certificate = text(L, "certificate", NULL);
  const char *ca = text(L, "ca", NULL);
  if (certificate != NULL &&
      (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
       SSL_CTX_use_PrivateKey_file(ctx, text(L, "key", NULL),
                                   SSL_FILETYPE_PEM) != 1))
    luaL_error(L, "cannot load %s", certificate);
  if (ca == NULL) return;
  if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
    luaL_error(L, "cannot load %s", ca);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
}

static void set_names(lua_State *L, SSL *ssl) {
  size_t n;
  const char *name = text(L, "server_name", &n);
  if (name != NULL) SSL_set_tlsext_host_name(ssl, name);
  const char *alpn = text(L, "alpn", &n);
  if (alpn != NULL)
    SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)n);
  if (lua_getfield(L, 1, "session") != LUA_TNIL) {
    struct session *s = luaL_checkudata(L, -1, SESSION);
    SSL_set_session(ssl, s->s);
  }
  lua_pop(L, 1);
}

/* A line "NAME random secret", in hex: that of our direction is kept. */
static void on_key(const SSL *ssl, const char *line) {
  struct engine *e = SSL_get_app_data(ssl);
  const char *name = SSL_is_server(ssl) ? "SERVER_TRAFFIC_SECRET_0 "
                                        : "CLIENT_TRAFFIC_SECRET_0 ";
  size_t n = strlen(name), len = strlen(line);
  if (strncmp(line, name, n) != 0 || len != n + 64 + 1 + 64) return;
  for (int i = 0; i < 32; i++)
    sscanf(line + n + 65 + 2 * i, "%2hhx", &e->secret[i]);
}

static void prepare_split(struct engine *e) {
  SSL_CTX_set_ciphersuites(e->ctx, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set_keylog_callback(e->ctx, on_key);
  SSL_CTX_set_num_tickets(e->ctx, 0); /* they would be records, too */
}

static int tls_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  struct engine *e = lua_newuserdatauv(L, sizeof *e, 0);
  memset(e, 0, sizeof *e);
  luaL_setmetatable(L, ENGINE);
  lua_getfield(L, 1, "server");
  int is_server = lua_toboolean(L, -1);
  lua_pop(L, 1);
  e->ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  if (e->ctx == NULL) return luaL_error(L, "no memory");
  set_files(L, e->ctx);
  lua_getfield(L, 1, "split");
  if (lua_toboolean(L, -1)) prepare_split(e);
  lua_pop(L, 1);
  SSL_CTX_set_min_proto_version(e->ctx, version(L, "min"));
  SSL_CTX_set_max_proto_version(e->ctx, version(L, "max"));
  SSL_CTX_set_options(e->ctx, SSL_OP_LEGACY_SERVER_CONNECT |
                                SSL_OP_IGNORE_UNEXPECTED_EOF);
  e->ssl = SSL_new(e->ctx);
  e->in = BIO_new(BIO_s_mem());
  e->out = BIO_new(BIO_s_mem());
  if (e->ssl == NULL || e->in == NULL || e->out == NULL)
    return luaL_error(L, "no memory");
  BIO_set_mem_eof_return(e->in, -1);
  SSL_set_bio(e->ssl, e->in, e->out);
  SSL_set_app_data(e->ssl, e);
  set_names(L, e->ssl);
  if (is_server)
    SSL_set_accept_state(e->ssl);
  else
    SSL_set_connect_state(e->ssl);
  return 1;
}

static int engine_feed(lua_State *L) {
  struct engine *e = check(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  if (n > 0) BIO_write(e->in, bytes, (int)n);
  return 0;
}

static int engine_take(lua_State *L) {
  struct engine *e = check(L);
  char *bytes;
  long n = BIO_get_mem_data(e->out, &bytes);
  lua_pushlstring(L, bytes, n > 0 ? (size_t)n : 0);
  (void)BIO_reset(e->out);
  return 1;
}

static int push_failure(lua_State *L, struct engine *e, int r) {
  int why = SSL_get_error(e->ssl, r);
  lua_pushnil(L);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
    lua_pushliteral(L, "again");
  } else if (why == SSL_ERROR_ZERO_RETURN) {
    lua_pushliteral(L, "eof");
  } else {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    lua_pushstring(L, reason ? reason : "failed");
  }
  ERR_clear_error();
  return 2;
}

static int engine_handshake(lua_State *L) {
  struct engine *e = check(L);
  int r = SSL_do_handshake(e->ssl);
  if (r != 1) return push_failure(L, e, r);
  lua_pushboolean(L, 1);
  return 1;
}

static int engine_write(lua_State *L) {
  struct engine *e = check(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  int r = SSL_write(e->ssl, bytes, (int)n);
  if (r <= 0) return push_failure(L, e, r);
  e->n_records += ((uint64_t)r + 16383) / 16384;
  lua_pushinteger(L, r);
  return 1;
}

/* RFC 8446 7.1: HKDF-Expand-Label of one block, with an empty context. */
static void expand(const uint8_t secret[32], const char *label, uint8_t *to,
                   size_t n) {
  uint8_t info[64] = {0, (uint8_t)n}, block[32];
  int len = snprintf((char *)info + 3, sizeof info - 3, "tls13 %s", label);
  info[2] = (uint8_t)len;
  info[3 + len + 1] = 1;
  HMAC(EVP_sha256(), secret, 32, info, (size_t)len + 5, block, NULL);
  memcpy(to, block, n);
}

/* RFC 8446 5.2: one record, its type behind the bytes. */
static size_t seal(struct engine *e, uint8_t type, const char *bytes, size_t n,
                   uint8_t *to) {
  uint8_t key[16], nonce[12];
  int len;
  expand(e->secret, "key", key, sizeof key);
  expand(e->secret, "iv", nonce, sizeof nonce);
  for (int i = 0; i < 8; i++) nonce[11 - i] ^= (uint8_t)(e->n_records >> 8 * i);
  e->n_records++;
  size_t inner = n + 1 + 16;
  memcpy(to, (uint8_t[]){23, 3, 3, (uint8_t)(inner >> 8), (uint8_t)inner}, 5);
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce);
  EVP_EncryptUpdate(c, NULL, &len, to, 5);
  EVP_EncryptUpdate(c, to + 5, &len, (const uint8_t *)bytes, (int)n);
  EVP_EncryptUpdate(c, to + 5 + n, &len, &type, 1);
  EVP_EncryptFinal_ex(c, to + 6 + n, &len);
  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, to + 6 + n);
  EVP_CIPHER_CTX_free(c);
  return 5 + inner;
}

static int seal_each(lua_State *L, uint8_t type) {
  struct engine *e = check(L);
  uint8_t record[1024];
  int last = lua_gettop(L);
  luaL_checkstack(L, last, NULL);
  for (int i = 2; i <= last; i++) {
    size_t n;
    const char *bytes = luaL_checklstring(L, i, &n);
    luaL_argcheck(L, n < 900, i, "too long");
    lua_pushlstring(L, (char *)record, seal(e, type, bytes, n, record));
  }
  return last - 1;
}

static int engine_split(lua_State *L) {
  return seal_each(L, 22);
}

static int engine_seal(lua_State *L) {
  return seal_each(L, 23);
}

static int engine_read(lua_State *L) {
  struct engine *e = check(L);
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, 1 << 16);
  int n = 0, r;
  while (n < 1 << 16 && (r = SSL_read(e->ssl, room + n, (1 << 16) - n)) > 0)
    n += r;
  if (n == 0) return push_failure(L, e, r);
  ERR_clear_error();
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

static int engine_shutdown(lua_State *L) {
  SSL_shutdown(check(L)->ssl);
  ERR_clear_error();
  return 0;
}

static int engine_key_update(lua_State *L) {
  struct engine *e = check(L);
  lua_pushboolean(L, SSL_key_update(e->ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
                       SSL_do_handshake(e->ssl) == 1);
  return 1;
}

static int engine_renegotiate(lua_State *L) {
  struct engine *e = check(L);
  lua_pushboolean(L, SSL_renegotiate(e->ssl) == 1);
  SSL_do_handshake(e->ssl);
  ERR_clear_error();
  return 1;
}

static void set_text(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static int engine_info(lua_State *L) {
  struct engine *e = check(L);
  const unsigned char *alpn;
  unsigned n;
  char subject[256] = "";
  X509 *x = SSL_get_peer_certificate(e->ssl);
  if (x != NULL)
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, subject,
                              sizeof subject);
  X509_free(x);
  SSL_get0_alpn_selected(e->ssl, &alpn, &n);
  lua_newtable(L);
  set_text(L, "version", SSL_get_version(e->ssl));
  set_text(L, "cipher", SSL_get_cipher_name(e->ssl));
  set_text(L, "subject", subject);
  lua_pushlstring(L, alpn ? (const char *)alpn : "", n);
  lua_setfield(L, -2, "alpn");
  lua_pushboolean(L, SSL_session_reused(e->ssl));
  lua_setfield(L, -2, "resumed");
  return 1;
}

static int engine_session(lua_State *L) {
  struct engine *e = check(L);
  struct session *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->s = NULL;
  luaL_setmetatable(L, SESSION);
  s->s = SSL_get1_session(e->ssl);
  return 1;
}

void probe_open_tls(lua_State *L) {
  static const luaL_Reg methods[] = {{"feed", engine_feed},
                                     {"take", engine_take},
                                     {"handshake", engine_handshake},
                                     {"write", engine_write},
                                     {"read", engine_read},
                                     {"shutdown", engine_shutdown},
                                     {"key_update", engine_key_update},
                                     {"renegotiate", engine_renegotiate},
                                     {"seal", engine_seal},
                                     {"split", engine_split},
                                     {"info", engine_info},
                                     {"session", engine_session},
                                     {"__gc", engine_gc},
                                     {NULL, NULL}};
  luaL_newmetatable(L, SESSION);
  lua_pushcfunction(L, session_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, ENGINE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
  lua_newtable(L);
  lua_pushcfunction(L, tls_new);
  lua_setfield(L, -2, "new");
}
