/* What passes brig__rpc_check_message() is read by protobuf-c without harm, in bounded memory,
 * and passes once more as protobuf-c writes it. The first byte chooses the message. */
#include <agent/agent.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <sandbox/sandbox.pb-c.h>
#include <stdlib.h>
#include "base/fd.h"
#include "rpc/message_check.h"

#define PARTS 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const descriptors[] = {
    &shannon__agent__execute_task_request__descriptor,
    &shannon__agent__discover_tools_request__descriptor,
    &shannon__sandbox__file_write_request__descriptor,
    &grpc__reflection__v1__server_reflection_request__descriptor,
};

static void assert_passes(const ProtobufCMessage *message) {
  size_t size = protobuf_c_message_get_packed_size(message);
  const char *reason = NULL;
  CLEANUP_FREE uint8_t *packed = malloc(size + 1);
  protobuf_c_message_pack(message, packed);
  if (brig__rpc_check_message(message->descriptor, packed, size, PARTS, &reason) != RPC_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *reason = NULL;
  if (size == 0) return 0;
  const ProtobufCMessageDescriptor *descriptor =
      descriptors[data[0] % (sizeof descriptors / sizeof *descriptors)];
  enum rpc_status status = brig__rpc_check_message(descriptor, data + 1, size - 1, PARTS, &reason);
  if ((status == RPC_OK) != (reason == NULL)) abort();
  if (status != RPC_OK) return 0;
  ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, size - 1, data + 1);
  if (message == NULL) return 0;
  assert_passes(message);
  protobuf_c_message_free_unpacked(message, NULL);
  return 0;
}
