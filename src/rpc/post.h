/* rpc/post.h - functions that other threads want called on the loop's. */
#ifndef BRIG_RPC_POST_H
#define BRIG_RPC_POST_H

#include <brig/error.h>

struct event_base;
struct posts;

int brig__posts_open(struct event_base *base, struct posts **ret_posts, struct brig_error *err);
/* 0 or -ENOMEM. Any thread. */
int brig__posts_add(struct posts *posts, void (*run)(void *context), void *context);
/* Call what is there now, in the order that it came. */
void brig__posts_run(struct posts *posts);
/* Calls what is left. Accepts NULL. */
void brig__posts_close(struct posts *posts);

#endif
