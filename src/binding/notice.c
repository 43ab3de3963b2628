/* notice.c: tasks by which functions of a script are told of something. */
#include "binding/notice.h"

#include "binding/task.h"

/* What became of a task, for as long as somebody is there to be told. */
struct outcome {
  bool has_ended, is_unbegun;
};

static void notice_done(struct ws_task *t, bool ok) {
  struct outcome *o = t->arg;
  (void)ok;
  if (o) *o = (struct outcome){true, t->is_unbegun};
}

bool ws_notice(struct ws_state *st, lua_CFunction body, const void *a,
               const void *b) {
  struct ws_task *t = ws_task_new(st);
  struct outcome o = {false, false};
  if (!t) return false;
  t->arg = &o;
  t->done = notice_done;
  t->is_untried = true;
  lua_pushcfunction(t->co, body);
  lua_pushlightuserdata(t->co, (void *)a);
  lua_pushlightuserdata(t->co, (void *)b);
  ws_task_start(t, 2);
  if (!o.has_ended) t->arg = NULL; /* it waits */
  return !o.is_unbegun;
}
