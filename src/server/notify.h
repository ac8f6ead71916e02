/* server/notify.h - what systemd, or who else speaks its protocols, is told and gives:
 * sd_notify(3), sd_listen_fds(3). Without it, nothing. */
#ifndef BRIG_SERVER_NOTIFY_H
#define BRIG_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1"... Lines are separated by newlines. */
void brig__notify(const char *state);

/* The number of sockets that were passed, from descriptor 3 on. They are made
 * close-on-exec, and the variables that announced them are removed. */
int brig__notify_listen_fds(void);

#endif
