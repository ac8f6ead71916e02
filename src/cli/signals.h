/* cli/signals.h - what SIGINT, SIGTERM and SIGHUP do: cancel what runs. */
#ifndef BRIG_CLI_SIGNALS_H
#define BRIG_CLI_SIGNALS_H

#include <brig/sandbox.h>
#include <signal.h>

void brig__cli_signals(sigset_t *ret_signals);

/* From now on they trigger `cancel`; NULL: they are only noted. */
void brig__cli_signals_cancel(struct brig_cancel *cancel);

/* The first that came since brig__cli_signal_forget(), or 0. */
int brig__cli_signal(void);
void brig__cli_signal_forget(void);

#endif
