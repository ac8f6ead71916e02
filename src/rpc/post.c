#include "rpc/post.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>
#include "base/error.h"

struct post {
  STAILQ_ENTRY(post) link;
  void (*run)(void *context);
  void *context;
};
STAILQ_HEAD(post_list, post);

struct posts {
  pthread_mutex_t lock;
  struct post_list list;
  int fd; /* readable while there are some */
  struct event event;
};

static void on_readable(evutil_socket_t fd, short what, void *context) {
  uint64_t count;
  (void)what;
  if (read(fd, &count, sizeof count) < 0) return; /* nothing there */
  brig__posts_run(context);
}

int brig__posts_open(struct event_base *base, struct posts **ret_posts, struct brig_error *err) {
  struct posts *posts = calloc(1, sizeof *posts);
  if (posts == NULL) return brig__fail(err, BRIG_E_MEMORY, "rpc", "out of memory");
  pthread_mutex_init(&posts->lock, NULL);
  STAILQ_INIT(&posts->list);
  posts->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (posts->fd < 0) {
    int cause = errno;
    free(posts);
    return brig__fail_errno(err, cause, "rpc", "eventfd");
  }
  event_assign(&posts->event, base, posts->fd, EV_READ | EV_PERSIST, on_readable, posts);
  event_add(&posts->event, NULL);
  *ret_posts = posts;
  return 0;
}

int brig__posts_add(struct posts *posts, void (*run)(void *context), void *context) {
  struct post *post = malloc(sizeof *post);
  const uint64_t one = 1;
  if (post == NULL) return -ENOMEM;
  post->run = run;
  post->context = context;
  /* Under the lock also for the write: who has run the post may close the descriptor next. */
  pthread_mutex_lock(&posts->lock);
  bool told = !STAILQ_EMPTY(&posts->list);
  STAILQ_INSERT_TAIL(&posts->list, post, link);
  ssize_t ignored = told ? 0 : write(posts->fd, &one, sizeof one);
  pthread_mutex_unlock(&posts->lock);
  (void)ignored; /* it cannot be full */
  return 0;
}

void brig__posts_run(struct posts *posts) {
  struct post_list list = STAILQ_HEAD_INITIALIZER(list);
  pthread_mutex_lock(&posts->lock);
  STAILQ_CONCAT(&list, &posts->list);
  pthread_mutex_unlock(&posts->lock);
  while (!STAILQ_EMPTY(&list)) {
    struct post *post = STAILQ_FIRST(&list);
    STAILQ_REMOVE_HEAD(&list, link);
    post->run(post->context);
    free(post);
  }
}

void brig__posts_close(struct posts *posts) {
  if (posts == NULL) return;
  brig__posts_run(posts);
  event_del(&posts->event);
  close(posts->fd);
  pthread_mutex_destroy(&posts->lock);
  free(posts);
}
