/* engine/end.h - the ways a guest ends, as the engine tells them. Plain data, so
 * that the host may read them without knowing the engine. */
#ifndef BRIG_ENGINE_END_H
#define BRIG_ENGINE_END_H

enum engine_end_kind {
  ENGINE_END_EXITED,  /* it returned, or called proc_exit */
  ENGINE_END_TRAPPED, /* it did what WebAssembly forbids */
  ENGINE_END_FUEL,    /* it used up its fuel */
  ENGINE_END_MEMORY,  /* the engine could not get memory for it */
  ENGINE_END_REFUSED, /* it could not be started: the message says why */
};

#endif
