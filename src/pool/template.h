/* pool/template.h - the zygote of a template: it runs a guest up to its first wish
 * for input, and forks workers that go on from there. */
#ifndef BRIG_POOL_TEMPLATE_H
#define BRIG_POOL_TEMPLATE_H

#include "pool/zygote.h"

/* Become that zygote; `job` is a WIRE_WARM. Its STATUS gets one report: that it
 * is warm, or why not. */
void brig__template_run(struct worker_context *context, int socket, const struct zygote_job *job)
    __attribute__((noreturn));

#endif
