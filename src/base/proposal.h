/* base/proposal.h - the WebAssembly proposals that a module may need beyond
 * what clang and rustc emit by default. Modules from requests get none of them;
 * an interpreter's manifest may name some. */
#ifndef BRIG_BASE_PROPOSAL_H
#define BRIG_BASE_PROPOSAL_H

/* X(NAME, "name in the manifest") */
#define BRIG_PROPOSAL_LIST(X) \
  X(EXCEPTIONS, "exceptions") \
  X(TAIL_CALL, "tail-call")

enum brig_proposal_bit {
#define BRIG_PROPOSAL_BIT(name, text) BRIG_PROPOSAL_BIT_##name,
  BRIG_PROPOSAL_LIST(BRIG_PROPOSAL_BIT)
#undef BRIG_PROPOSAL_BIT
};

#define BRIG_PROPOSAL(name) (1u << BRIG_PROPOSAL_BIT_##name)

#endif
