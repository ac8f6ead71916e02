/* rpc/message_check.h - what a message must be before protobuf-c may read it, which has no
 * bound on how deep one nests, nor on the memory that it takes, and takes any bytes for
 * text. Pure functions. */
#ifndef BRIG_RPC_MESSAGE_CHECK_H
#define BRIG_RPC_MESSAGE_CHECK_H

#include <protobuf-c/protobuf-c.h>
#include "rpc/rpc.h"

#define BRIG_RPC_MAX_DEPTH 100 /* as in the implementations of other languages */

/* RPC_OK; RPC_INTERNAL for what is no message of this type, with *ret_reason (static)
 * saying why; RPC_RESOURCE_EXHAUSTED for one of more than `max_parts` fields, those of the
 * messages in it counted. */
enum rpc_status brig__rpc_check_message(const ProtobufCMessageDescriptor *descriptor,
                                        const uint8_t *data, size_t size, uint64_t max_parts,
                                        const char **ret_reason);

/* Whether it is UTF-8: RFC 3629, no surrogates. */
bool brig__rpc_is_utf8(const uint8_t *data, size_t size);

#endif
