#include "rpc/message_check.h"

#include <stdbool.h>
#include <string.h>

/* The wire's types; 3 and 4 were groups, which proto3 does not have. */
enum wire_type { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

#define VARINT_BYTES     10
#define TAG_BYTES        5
#define FIELD_NUMBER_MAX ((UINT64_C(1) << 29) - 1)

struct check {
  uint64_t parts_left;
  const char *reason;
};

struct span {
  const uint8_t *at, *end;
};

static enum rpc_status malformed(struct check *check, const char *reason) {
  check->reason = reason;
  return RPC_INTERNAL;
}

static size_t left(const struct span *span) { return (size_t)(span->end - span->at); }

/* The length of the character at `at`, or 0. */
static size_t utf8_length(const uint8_t *at, size_t size) {
  uint32_t first = at[0], code;
  size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (first > 0xF4 || length > size) return 0;
  if (length < 2) return length;
  code = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (at[i] & 0x3Fu);
  }
  if (length == 3 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))) return 0;
  return length == 4 && (code < 0x10000 || code > 0x10FFFF) ? 0 : length;
}

bool brig__rpc_is_utf8(const uint8_t *data, size_t size) {
  for (size_t at = 0, length; at < size; at += length) {
    length = utf8_length(data + at, size - at);
    if (length == 0) return false;
  }
  return true;
}

/* False: it does not end, or not within `max` bytes, or is more than 64 bits. */
static bool take_varint(struct span *span, size_t max, uint64_t *ret_value) {
  uint64_t value = 0;
  for (size_t i = 0; i < max && span->at < span->end; i++) {
    uint8_t byte = *span->at++;
    if (i == VARINT_BYTES - 1 && byte > 1) return false;
    value |= (uint64_t)(byte & 0x7F) << 7 * i;
    if (byte < 0x80) {
      *ret_value = value;
      return true;
    }
  }
  return false;
}

static bool take_span(struct span *span, struct span *ret_inner) {
  uint64_t size;
  if (!take_varint(span, VARINT_BYTES, &size) || size > left(span)) return false;
  *ret_inner = (struct span){span->at, span->at + size};
  span->at += size;
  return true;
}

static bool skip(struct span *span, size_t size) {
  if (size > left(span)) return false;
  span->at += size;
  return true;
}

/* protobuf-c ends such a string, a map's key, at its first 0 byte. */
static bool is_text(const struct span *text, bool ends_at_0) {
  return brig__rpc_is_utf8(text->at, left(text)) &&
         !(ends_at_0 && left(text) > 0 && memchr(text->at, 0, left(text)) != NULL);
}

static enum rpc_status check_fields(struct check *check,
                                    const ProtobufCMessageDescriptor *descriptor, struct span span,
                                    unsigned depth);

static enum rpc_status check_inner(struct check *check, const ProtobufCFieldDescriptor *field,
                                   const struct span *inner, unsigned depth) {
  switch (field == NULL ? PROTOBUF_C_TYPE_INT32 : field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
      if (depth == BRIG_RPC_MAX_DEPTH) return malformed(check, "it nests deeper than 100");
      return check_fields(check, field->descriptor, *inner, depth + 1);
    case PROTOBUF_C_TYPE_STRING:
      return is_text(inner, true) ? RPC_OK
                                  : malformed(check, "a map's key is not UTF-8, or has a 0 byte");
    case PROTOBUF_C_TYPE_BYTES: /* a string of proto/, unless it is marked: cmake/proto.cmake */
      if (field->flags & PROTOBUF_C_FIELD_FLAG_DEPRECATED) return RPC_OK;
      return is_text(inner, false) ? RPC_OK : malformed(check, "a string is not UTF-8");
    default:
      return RPC_OK;
  }
}

static enum rpc_status check_field(struct check *check, const ProtobufCFieldDescriptor *field,
                                   uint64_t wire_type, struct span *span, unsigned depth) {
  static const char ends[] = "it ends within a field, or a number in it does not end";
  struct span inner;
  uint64_t ignored;
  switch (wire_type) {
    case VARINT:
      return take_varint(span, VARINT_BYTES, &ignored) ? RPC_OK : malformed(check, ends);
    case FIXED64:
      return skip(span, 8) ? RPC_OK : malformed(check, ends);
    case FIXED32:
      return skip(span, 4) ? RPC_OK : malformed(check, ends);
    case LENGTH:
      if (!take_span(span, &inner)) return malformed(check, ends);
      return check_inner(check, field, &inner, depth);
    default:
      return malformed(check, "a field's wire type is none of proto3's");
  }
}

static enum rpc_status check_fields(struct check *check,
                                    const ProtobufCMessageDescriptor *descriptor, struct span span,
                                    unsigned depth) {
  while (span.at < span.end) {
    uint64_t tag, number;
    if (!take_varint(&span, TAG_BYTES, &tag)) return malformed(check, "a field's tag does not end");
    number = tag >> 3;
    if (number == 0 || number > FIELD_NUMBER_MAX)
      return malformed(check, "a field's number is out of range");
    if (check->parts_left-- == 0) {
      check->reason = "it has too many fields";
      return RPC_RESOURCE_EXHAUSTED;
    }
    enum rpc_status status =
        check_field(check, protobuf_c_message_descriptor_get_field(descriptor, (unsigned)number),
                    tag & 7, &span, depth);
    if (status != RPC_OK) return status;
  }
  return RPC_OK;
}

enum rpc_status brig__rpc_check_message(const ProtobufCMessageDescriptor *descriptor,
                                        const uint8_t *data, size_t size, uint64_t max_parts,
                                        const char **ret_reason) {
  struct check check = {.parts_left = max_parts};
  if (size == 0) return RPC_OK; /* `data` may be NULL */
  enum rpc_status status = check_fields(&check, descriptor, (struct span){data, data + size}, 1);
  if (status != RPC_OK) *ret_reason = check.reason;
  return status;
}
