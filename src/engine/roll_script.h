/* roll_script.h: what is done in Redis about who is in topics. An entry that is
 * over is taken out by whoever sees it, and told if it was the last. */
#ifndef EVWS_ROLL_SCRIPT_H
#define EVWS_ROLL_SCRIPT_H

#include "engine/bus_script.h"

/* KEYS: the zset. ARGV: ttl, prefix, who has its message already, and what
 * each script says. An entry that is over is taken out by whoever sees it, and
 * told if it was the last. */
#define TELL \
  WS_SCRIPT_BEGIN \
  "local function tell(w,j,o,k,v)local l=struct.unpack('>I4',v,9)" \
  "redis.call('PUBLISH',ARGV[2]..'t:\\0p'..o," \
  "'\\0evw\\0'..ARGV[3]..j..string.sub(v,13,12+l))" \
  "redis.call('PUBLISH',ARGV[2]..'t:\\0w','\\0evw\\1'..string.rep('\\0',8).." \
  "w.." \
  "struct.pack('>I4',#o)..o..struct.pack('>I4',#k)..k..string.sub(v,13+l))" \
  "end " \
  "local function parts(m)local l=struct.unpack('>I4',m,9)" \
  "local o,k=string.sub(m,13,12+l),string.sub(m,13+l)" \
  "return o,k,ARGV[2]..'p:'..o,'e'..string.sub(m,1,8)..k end " \
  "local function gone(m)redis.call('ZREM',KEYS[1],m)" \
  "local o,k,p,f=parts(m)local v=redis.pcall('HGET',p,f)" \
  "if type(v)~='string'then return end redis.call('HDEL',p,f)" \
  "if redis.call('HINCRBY',p,'n'..k,-1)<1 then " \
  "redis.call('HDEL',p,'n'..k)tell('L','{\"leave\":',o,k,v)return 2 end end " \
  "local t=redis.call('TIME')" \
  "local now=t[1]*1000+math.floor(t[2]/1000)"
#define SWEEP \
  " local due=redis.call('ZRANGEBYSCORE',KEYS[1],'-inf',now,'LIMIT',0,500)" \
  "for _,m in ipairs(due)do gone(m)end "

/* member, value */
static const char put_script[] = TELL
  " local o,k,p,f=parts(ARGV[4])K=p local v=redis.call('HGET',p,f)"
  "local a=v and string.sub(v,1,8)or struct.pack('>I8',t[1]*1000000+t[2])"
  "redis.call('HSET',p,f,a..ARGV[5])"
  "redis.call('ZADD',KEYS[1],now+ARGV[1],ARGV[4])"
  "redis.call('PEXPIRE',p,ARGV[1]*3)redis.call('PEXPIRE',KEYS[1],ARGV[1]*3)"
  "if not v and redis.call('HINCRBY',p,'n'..k,1)==1 then "
  "tell('J','{\"join\":',o,k,a..ARGV[5])return 1 end "
  "return 0" WS_SCRIPT_END;

/* member */
static const char drop_script[] =
  TELL " return gone(ARGV[4])or 0" WS_SCRIPT_END;

static const char sweep_script[] = TELL SWEEP "return #due" WS_SCRIPT_END;

/* topic */
static const char list_script[] = TELL SWEEP
  "K=ARGV[2]..'p:'..ARGV[4]return redis.call('HGETALL',K)" WS_SCRIPT_END;

#endif
