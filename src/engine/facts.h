/* engine/facts.h - what the compiler learned of a module, kept beside its code
 * so that the host can decide without parsing a guest's bytes. Plain data. */
#ifndef BRIG_ENGINE_FACTS_H
#define BRIG_ENGINE_FACTS_H

#include <stdint.h>

/* The settings that one compilation is made for; part of the cache key. */
struct engine_settings {
  uint32_t metered;   /* 1: counts fuel */
  uint32_t proposals; /* BRIG_PROPOSAL bits: base/proposal.h */
  uint32_t stubs;     /* 1: function imports that are no host call trap when they
                         are called, for installed interpreters */
};

#define ENGINE_NO_MAXIMUM UINT64_MAX

struct module_facts {
  uint64_t memory_minimum; /* bytes; 0 without a memory */
  uint64_t memory_maximum; /* bytes, or ENGINE_NO_MAXIMUM */
  uint32_t exports_memory; /* 1: as "memory", which the host calls need */
  uint32_t exports_start;  /* 1: a function "_start" of no parameters, no results */
};

#endif
