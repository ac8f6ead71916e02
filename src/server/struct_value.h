/* server/struct_value.h - google.protobuf.Struct: reading a client's, and making ours.
 *
 * What is read is hostile: a key may be there several times (the last one counts), a value
 * may be missing (which is null), numbers may be anything.
 */
#ifndef BRIG_SERVER_STRUCT_VALUE_H
#define BRIG_SERVER_STRUCT_VALUE_H

#include <google/protobuf/struct.pb-c.h>
#include <stdbool.h>
#include <stdint.h>
#include "server/arena.h"

typedef Google__Protobuf__Struct proto_struct;
typedef Google__Protobuf__Value proto_value;
typedef Google__Protobuf__Struct__FieldsEntry proto_entry;

/* --- Reading: `object` may be NULL, and is then empty. Nothing is copied. */

/* The value, which is not null; or NULL. */
const proto_value *brig__struct_get(const proto_struct *object, const char *key);
/* The same if it is of that kind. */
const ProtobufCBinaryData *brig__struct_string(const proto_struct *object, const char *key);
const proto_struct *brig__struct_object(const proto_struct *object, const char *key);
const Google__Protobuf__ListValue *brig__struct_list(const proto_struct *object, const char *key);
/* As a string for C: a copy in the arena. NULL with 0 bytes within, or without memory. */
char *brig__text_string(struct arena *arena, const ProtobufCBinaryData *text);
bool brig__text_is(const ProtobufCBinaryData *text, const char *string);

/* How much of it to keep for at most `max` bytes and no part of a character. */
size_t brig__text_cut(const ProtobufCBinaryData *text, size_t max);

/* --- Making: in an arena, which says at the end whether all could be made. What is given
 * is borrowed unless it says otherwise; `object` NULL is one that could not be made. */

proto_struct *brig__struct_new(struct arena *arena, size_t max_fields);
void brig__struct_add(struct arena *arena, proto_struct *object, const char *key,
                      proto_value *value);
void brig__struct_add_number(struct arena *arena, proto_struct *object, const char *key,
                             double number);
void brig__struct_add_bool(struct arena *arena, proto_struct *object, const char *key, bool truth);
/* NULL is null. */
void brig__struct_add_text(struct arena *arena, proto_struct *object, const char *key,
                           const char *text);

/* From JSON of ours, an object; NULL also if it is none. */
proto_struct *brig__struct_of_json(struct arena *arena, const char *json);

proto_value *brig__value_string(struct arena *arena, ProtobufCBinaryData text);
proto_value *brig__value_struct(struct arena *arena, proto_struct *object);
proto_value *brig__value_list(struct arena *arena, proto_value **values, size_t count);

static inline ProtobufCBinaryData brig__text(const char *string) {
  return (ProtobufCBinaryData){string == NULL ? 0 : __builtin_strlen(string),
                               (uint8_t *)(uintptr_t)string};
}

#endif
