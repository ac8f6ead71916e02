#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/signals.h"

#define HISTORY_LINES 1000

struct lines {
  EditLine *editor; /* NULL: lines are not typed */
  History *history;
  const char *history_path, *prompt;
  bool interrupted;
  char *line; /* those that are not typed */
  size_t size;
};

static volatile sig_atomic_t resized;

static void on_resize(int number) {
  (void)number;
  resized = 1;
}

static struct lines *lines_of(EditLine *editor) {
  struct lines *lines = NULL;
  el_get(editor, EL_CLIENTDATA, &lines);
  return lines;
}

static char *give_prompt(EditLine *editor) {
  return (char *)(uintptr_t)lines_of(editor)->prompt; /* libedit does not change it */
}

/* Bound to Ctrl-C, which is a character here and no signal: that could come between reads. */
static unsigned char interrupt(EditLine *editor, int character) {
  (void)character;
  lines_of(editor)->interrupted = true;
  fputs("^C\n", stdout);
  return CC_NEWLINE;
}

/* Until there is something to read; false: a signal came, be it just before this. */
static bool wait_for_input(EditLine *editor) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  sigset_t ours, before;
  int rc = -1;
  brig__cli_signals(&ours);
  sigprocmask(SIG_BLOCK, &ours, &before);
  while (brig__cli_signal() == 0 && rc < 0) {
    rc = ppoll(&input, 1, NULL, &before);
    if (rc < 0 && errno != EINTR) break;
    if (resized) el_resize(editor);
    resized = 0;
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  return rc > 0;
}

/* libedit's own goes on reading after a signal. */
static int read_character(EditLine *editor, wchar_t *ret_character) {
  mbstate_t state = {0};
  for (;;) {
    char byte;
    if (!wait_for_input(editor) || read(STDIN_FILENO, &byte, 1) != 1) return 0;
    size_t length = mbrtowc(ret_character, &byte, 1, &state);
    if (length != (size_t)-1 && length != (size_t)-2) return 1;
    if (length == (size_t)-1) state = (mbstate_t){0}; /* no UTF-8: let go of */
  }
}

static bool open_editor(struct lines *lines) {
  struct sigaction action = {.sa_handler = on_resize};
  HistEvent event;
  /* Programs are UTF-8, whatever the locale is. */
  if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    setlocale(LC_CTYPE, "C.UTF-8");
  lines->editor = el_init("brig", stdin, stdout, stderr);
  lines->history = history_init();
  if (lines->editor == NULL || lines->history == NULL) return false;
  el_set(lines->editor, EL_CLIENTDATA, lines);
  el_set(lines->editor, EL_PROMPT, give_prompt);
  el_set(lines->editor, EL_EDITOR, "emacs");
  el_set(lines->editor, EL_HIST, history, lines->history);
  el_set(lines->editor, EL_GETCFN, read_character);
  el_set(lines->editor, EL_SETTY, "-d", "-isig", NULL);
  el_set(lines->editor, EL_ADDFN, "brig-interrupt", "let go of the line", interrupt);
  el_set(lines->editor, EL_BIND, "^C", "brig-interrupt", NULL);
  el_set(lines->editor, EL_BIND, "^I", "ed-insert", NULL);
  history(lines->history, &event, H_SETSIZE, HISTORY_LINES);
  history(lines->history, &event, H_SETUNIQUE, 1);
  if (lines->history_path != NULL) history(lines->history, &event, H_LOAD, lines->history_path);
  sigemptyset(&action.sa_mask);
  sigaction(SIGWINCH, &action, NULL);
  return true;
}

struct lines *brig__cli_lines_open(const char *history) {
  struct lines *lines = calloc(1, sizeof *lines);
  if (lines == NULL) return NULL;
  lines->history_path = history;
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || open_editor(lines)) return lines;
  brig__cli_lines_close(lines);
  return NULL;
}

/* Made anew, and so with our permissions, and never what a link leads to. */
static void write_history(struct lines *lines) {
  HistEvent event;
  CLEANUP_FREE char *directory = strdup(lines->history_path);
  char *slash = directory == NULL ? NULL : strrchr(directory, '/');
  if (slash == NULL) return;
  *slash = '\0';
  brig__mkdir_p(directory);
  unlink(lines->history_path);
  int fd = open(lines->history_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");
  if (stream == NULL) {
    brig__cli_say("what was typed is not kept: %s: %s", lines->history_path, strerror(errno));
    if (fd >= 0) close(fd);
    return;
  }
  history(lines->history, &event, H_SAVE_FP, stream);
  fclose(stream);
}

void brig__cli_lines_close(struct lines *lines) {
  if (lines == NULL) return;
  if (lines->editor != NULL && lines->history != NULL && lines->history_path != NULL)
    write_history(lines);
  if (lines->editor != NULL) el_end(lines->editor);
  if (lines->history != NULL) history_end(lines->history);
  free(lines->line);
  free(lines);
}

bool brig__cli_lines_typed(const struct lines *lines) { return lines->editor != NULL; }

static enum line_end read_typed(struct lines *lines, const char *prompt, const char **ret_line) {
  HistEvent event;
  int length;
  lines->prompt = prompt;
  lines->interrupted = false;
  /* Before the prompt: what is typed at once is then read as it is typed later. */
  el_set(lines->editor, EL_PREP_TERM, 1);
  const char *line = el_gets(lines->editor, &length);
  if (line == NULL && brig__cli_signal() == SIGINT) { /* from before that */
    brig__cli_signal_forget();
    lines->interrupted = true;
  }
  if (lines->interrupted) return LINE_INTERRUPTED;
  if (line == NULL || length <= 0) {
    putchar('\n');
    return LINE_NO_MORE;
  }
  if (line[0] != '\n') history(lines->history, &event, H_ENTER, line);
  *ret_line = line;
  return LINE_READ;
}

static enum line_end read_piped(struct lines *lines, const char **ret_line) {
  ssize_t length = getline(&lines->line, &lines->size, stdin);
  if (length < 0) return LINE_NO_MORE;
  if (strlen(lines->line) != (size_t)length) {
    brig__cli_say("a line has a NUL byte in it");
    return LINE_NO_MORE;
  }
  *ret_line = lines->line;
  return LINE_READ;
}

enum line_end brig__cli_lines_read(struct lines *lines, const char *prompt, const char **ret_line) {
  return lines->editor != NULL ? read_typed(lines, prompt, ret_line) : read_piped(lines, ret_line);
}
