/* server/watch.h - whether files have changed, by looking at them every two seconds: what is
 * exchanged above them (a mount, a symbolic link) is seen as well. The loop's thread. */
#ifndef BRIG_SERVER_WATCH_H
#define BRIG_SERVER_WATCH_H

#include <event2/event.h>
#include <sys/stat.h>

#define WATCH_MAX 5

struct watch {
  struct event *timer;
  void (*changed)(void *context);
  void *context;
  size_t count;
  struct {
    const char *path;
    struct stat seen; /* all zero: it was not there */
  } files[WATCH_MAX];
};

/* `path`, which is borrowed, NULL or empty: none. */
void brig__watch_add(struct watch *watch, const char *path);
/* Have `changed` called once after each change. 0, or -1: out of memory. */
int brig__watch_begin(struct watch *watch, struct event_base *base,
                      void (*changed)(void *context), void *context);
void brig__watch_end(struct watch *watch);

#endif
