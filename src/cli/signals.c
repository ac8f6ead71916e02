#include "cli/signals.h"

#include <stddef.h>

/* Where a signal handler finds what to cancel. */
static struct brig_cancel *volatile current;
static volatile sig_atomic_t caught;

static void on_signal(int number) {
  if (caught == 0) caught = number;
  if (current != NULL) brig_cancel_trigger(current);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

void brig__cli_signals(sigset_t *ret_signals) {
  sigemptyset(ret_signals);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(ret_signals, signals[i]);
}

void brig__cli_signals_cancel(struct brig_cancel *cancel) {
  struct sigaction action = {.sa_handler = on_signal};
  current = cancel;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &action, NULL);
}

int brig__cli_signal(void) { return caught; }

void brig__cli_signal_forget(void) { caught = 0; }
