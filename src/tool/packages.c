/* What can be imported: no manifest knows it as well as the interpreter itself. */
#include <string.h>
#include "base/fd.h"
#include "tool/tool.h"

#define TIMEOUT_MS 10000

/* Enough for a model; an interpreter with more has some thousands of modules. */
#define TEXT_MAX 4000

static const char program[] =
    "import pkgutil, sys\n"
    "names = {module.name for module in pkgutil.iter_modules()}\n"
    "names = sorted(name for name in names - sys.stdlib_module_names if name[0] != '_')\n"
    "print(', '.join(names), end='')\n";

/* Fresh memory, or NULL. */
static char *ask(const struct brig_python_executor *executor, struct brig_cancel *cancel) {
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result = NULL;
  char *names = NULL;
  turn.code = program;
  turn.guest = executor->guest;
  turn.once = 1;
  turn.cancel = cancel;
  turn.limits.timeout_ms = TIMEOUT_MS;
  turn.limits.stdout_bytes = TEXT_MAX;
  if (brig_session_run(executor->sessions, &turn, &result, NULL) < 0) return NULL;
  if (result->ended_well && result->error_type == NULL)
    names = strdup((const char *)result->run->stdout_data);
  brig_turn_result_free(result);
  return names;
}

const char *brig__tool_packages(struct brig_python_executor *executor, struct brig_cancel *cancel) {
  pthread_mutex_lock(&executor->lock);
  if (executor->packages == NULL) executor->packages = ask(executor, cancel);
  const char *names = executor->packages;
  pthread_mutex_unlock(&executor->lock);
  return names;
}
