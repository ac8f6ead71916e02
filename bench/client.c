/* A program that embeds libbrig, told by lines of input what to execute:
 *
 *   code GUEST FILE           an installed interpreter and a program's text
 *   stdin MODULE FILE         what today's clients send: CPython as a module, its
 *                             arguments, and the program on standard input
 *   module MODULE             a module by itself
 *   load CALLERS EACH LINE... so many threads, each so often, all of them at once
 *   turn SESSION FILE         a turn of a session, whose code is in a file
 *   undo SESSION, save SESSION, leave SESSION (save, and end its process), drop SESSION
 *   branch SESSION TO
 *
 * For each execution it prints: milliseconds of the call, then queue, start, run in
 * microseconds, whether it was warm, its outcome, and the first word of its output, or a
 * turn's value; for all else, milliseconds alone.
 *
 *   client HELPER CONFIGURATION
 */
#include <brig/brig.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct work {
  char kind[16], name[512], file[512], *text;
  int each;
};

static struct brig_config *config;
static struct brig_sandbox *sandbox;
static struct brig_sessions *sessions;
static pthread_mutex_t printing = PTHREAD_MUTEX_INITIALIZER;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int fail(const char *message) { return fprintf(stderr, "client: %s\n", message), 1; }

static int execute(const struct work *work) {
  const char *const argv[] = {"python", "-c", "import sys; exec(sys.stdin.read())", NULL};
  struct brig_request request = BRIG_REQUEST_INIT;
  struct brig_result *result = NULL;
  struct brig_error err = {0};
  if (strcmp(work->kind, "code") == 0) {
    request.guest = work->name;
    request.code = work->text;
  } else {
    request.module_path = work->name;
  }
  if (strcmp(work->kind, "stdin") == 0) {
    request.argv = argv;
    request.input = work->text;
    request.input_size = strlen(work->text);
  }
  double begun = now_ms();
  if (brig_sandbox_execute(sandbox, &request, &result, &err) < 0) return fail(err.message);
  double took = now_ms() - begun;
  if (result->exit_code != 0) return fail((char *)result->stderr_data);
  pthread_mutex_lock(&printing);
  printf("%.4f %llu %llu %llu %d %s %.40s\n", took, (unsigned long long)result->queue_us,
         (unsigned long long)result->start_us, (unsigned long long)result->run_us, result->warm,
         brig_outcome_name(result->outcome), strtok((char *)result->stdout_data, " \n"));
  pthread_mutex_unlock(&printing);
  brig_result_free(result);
  return 0;
}

static int turn(const char *session, const char *code) {
  struct brig_turn turn = BRIG_TURN_INIT;
  struct brig_turn_result *result = NULL;
  struct brig_error err = {0};
  turn.session = session;
  turn.code = code;
  double begun = now_ms();
  if (brig_session_run(sessions, &turn, &result, &err) < 0) return fail(err.message);
  double took = now_ms() - begun;
  if (!result->ended_well || result->error_type != NULL) return fail(result->error_message);
  printf("%.4f %llu %llu %llu %d %s %.40s\n", took, (unsigned long long)result->run->queue_us,
         (unsigned long long)result->run->start_us, (unsigned long long)result->run->run_us,
         result->run->warm, brig_outcome_name(result->run->outcome),
         result->value != NULL ? result->value : "-");
  brig_turn_result_free(result);
  return 0;
}

static int manage(const char *verb, const char *session, const char *to) {
  struct brig_session_name name = {.id = session};
  struct brig_error err = {0};
  double begun = now_ms();
  int rc = 0;
  if (strcmp(verb, "undo") == 0) rc = brig_session_undo(sessions, &name, &err);
  if (strcmp(verb, "save") == 0) rc = brig_session_save(sessions, &name, 0, &err);
  if (strcmp(verb, "leave") == 0) rc = brig_session_save(sessions, &name, 1, &err);
  if (strcmp(verb, "drop") == 0) rc = brig_session_drop(sessions, &name, &err);
  if (strcmp(verb, "branch") == 0) rc = brig_session_branch(sessions, &name, to, NULL, &err);
  if (rc < 0) return fail(err.message);
  printf("%.4f\n", now_ms() - begun);
  return 0;
}

static int obey_session(const struct work *work) {
  struct brig_error err = {0};
  if (sessions == NULL && brig_sessions_open(sandbox, config, &sessions, &err) < 0)
    return fail(err.message);
  if (strcmp(work->kind, "turn") == 0) return turn(work->name, work->text);
  return manage(work->kind, work->name, work->file);
}

static bool of_session(const char *kind) {
  static const char *const kinds[] = {"turn", "undo", "save", "leave", "drop", "branch"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kind, kinds[i]) == 0) return true;
  return false;
}

static void *repeat(void *context) {
  const struct work *work = context;
  for (int i = 0; i < work->each; i++)
    if (execute(work) != 0) exit(1);
  return NULL;
}

static int load(int callers, struct work *work) {
  pthread_t *threads = calloc((size_t)callers, sizeof *threads);
  double begun = now_ms();
  for (int i = 0; i < callers; i++)
    if (pthread_create(&threads[i], NULL, repeat, work) != 0) return fail("no thread");
  for (int i = 0; i < callers; i++) pthread_join(threads[i], NULL);
  printf("total %.4f\n", now_ms() - begun);
  free(threads);
  return 0;
}

static char *read_text(const char *path) {
  char *text = calloc(1, 65536);
  FILE *file = fopen(path, "re");
  if (text == NULL || file == NULL || fread(text, 1, 65535, file) == 0) exit(fail(path));
  fclose(file);
  return text;
}

static int obey(const char *line) {
  struct work work = {.each = 1};
  int callers = 0, at = 0, rc;
  if (sscanf(line, "load %d %d %n", &callers, &work.each, &at) == 2) line += at;
  int words = sscanf(line, "%15s %511s %511s", work.kind, work.name, work.file);
  if (words < 2) return fail("not understood");
  if (words == 3 && strcmp(work.kind, "branch") != 0) work.text = read_text(work.file);
  if (of_session(work.kind))
    rc = obey_session(&work);
  else
    rc = callers > 0 ? load(callers, &work) : execute(&work);
  free(work.text);
  fflush(stdout);
  return rc;
}

int main(int argc, char **argv) {
  struct brig_error err = {0};
  char line[1200];
  if (argc != 3) return fail("client HELPER CONFIGURATION");
  double begun = now_ms();
  if (brig_config_load(argv[2], &config, &err) < 0 ||
      brig_config_set(config, "sandbox.helper", argv[1], &err) < 0 ||
      brig_sandbox_open(config, &sandbox, &err) < 0)
    return fail(err.message);
  printf("open %.4f\n", now_ms() - begun);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL)
    if (obey(line) != 0) return 1;
  brig_sessions_close(sessions);
  brig_sandbox_close(sandbox);
  brig_config_free(config);
  return 0;
}
