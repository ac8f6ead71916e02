#include "server/struct_value.h"

#include <jansson.h>
#include <string.h>

/* --- Reading ---------------------------------------------------------------------- */

const proto_value *brig__struct_get(const proto_struct *object, const char *key) {
  for (size_t i = object == NULL ? 0 : object->n_fields; i-- > 0;) {
    const proto_entry *entry = object->fields[i];
    const proto_value *value = entry->value;
    if (strcmp(entry->key, key) != 0) continue;
    if (value == NULL || value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE ||
        value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET)
      return NULL;
    return value;
  }
  return NULL;
}

static const proto_value *get(const proto_struct *object, const char *key,
                              Google__Protobuf__Value__KindCase kind) {
  const proto_value *value = brig__struct_get(object, key);
  return value != NULL && value->kind_case == kind ? value : NULL;
}

const ProtobufCBinaryData *brig__struct_string(const proto_struct *object, const char *key) {
  const proto_value *value = get(object, key, GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE);
  return value == NULL ? NULL : &value->string_value;
}

const proto_struct *brig__struct_object(const proto_struct *object, const char *key) {
  const proto_value *value = get(object, key, GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE);
  return value == NULL ? NULL : value->struct_value;
}

const Google__Protobuf__ListValue *brig__struct_list(const proto_struct *object, const char *key) {
  const proto_value *value = get(object, key, GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE);
  return value == NULL ? NULL : value->list_value;
}

char *brig__text_string(struct arena *arena, const ProtobufCBinaryData *text) {
  if (text->len > 0 && memchr(text->data, 0, text->len) != NULL) return NULL;
  char *string = brig__arena_new(arena, text->len + 1);
  if (string != NULL && text->len > 0) memcpy(string, text->data, text->len);
  return string;
}

bool brig__text_is(const ProtobufCBinaryData *text, const char *string) {
  size_t length = strlen(string);
  return text->len == length && (length == 0 || memcmp(text->data, string, length) == 0);
}

size_t brig__text_cut(const ProtobufCBinaryData *text, size_t max) {
  if (text->len <= max) return text->len;
  while (max > 0 && (text->data[max] & 0xc0) == 0x80) max--;
  return max;
}

/* --- Making ----------------------------------------------------------------------- */

proto_struct *brig__struct_new(struct arena *arena, size_t max_fields) {
  proto_struct *object = brig__arena_new(arena, sizeof *object);
  proto_entry **fields = brig__arena_new(arena, max_fields * sizeof(proto_entry *));
  if (object == NULL || fields == NULL) return NULL;
  google__protobuf__struct__init(object);
  object->fields = fields;
  return object;
}

void brig__struct_add(struct arena *arena, proto_struct *object, const char *key,
                      proto_value *value) {
  proto_entry *entry =
      object == NULL || value == NULL ? NULL : brig__arena_new(arena, sizeof *entry);
  if (entry == NULL) return;
  google__protobuf__struct__fields_entry__init(entry);
  entry->key = (char *)(uintptr_t)key;
  entry->value = value;
  object->fields[object->n_fields++] = entry;
}

static proto_value *new_value(struct arena *arena, Google__Protobuf__Value__KindCase kind) {
  proto_value *value = brig__arena_new(arena, sizeof *value);
  if (value == NULL) return NULL;
  google__protobuf__value__init(value);
  value->kind_case = kind;
  return value;
}

void brig__struct_add_number(struct arena *arena, proto_struct *object, const char *key,
                             double number) {
  proto_value *value = new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE);
  if (value != NULL) value->number_value = number;
  brig__struct_add(arena, object, key, value);
}

void brig__struct_add_bool(struct arena *arena, proto_struct *object, const char *key, bool truth) {
  proto_value *value = new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE);
  if (value != NULL) value->bool_value = truth;
  brig__struct_add(arena, object, key, value);
}

void brig__struct_add_text(struct arena *arena, proto_struct *object, const char *key,
                           const char *text) {
  brig__struct_add(arena, object, key,
                   text == NULL ? new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE)
                                : brig__value_string(arena, brig__text(text)));
}

proto_value *brig__value_string(struct arena *arena, ProtobufCBinaryData text) {
  proto_value *value = new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE);
  if (value != NULL) value->string_value = text;
  return value;
}

proto_value *brig__value_struct(struct arena *arena, proto_struct *object) {
  proto_value *value =
      object == NULL ? NULL : new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE);
  if (value != NULL) value->struct_value = object;
  return value;
}

proto_value *brig__value_list(struct arena *arena, proto_value **values, size_t count) {
  Google__Protobuf__ListValue *list = brig__arena_new(arena, sizeof *list);
  proto_value *value =
      list == NULL ? NULL : new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE);
  if (value == NULL) return NULL;
  google__protobuf__list_value__init(list);
  list->values = values;
  list->n_values = count;
  value->list_value = list;
  return value;
}

/* --- From JSON --------------------------------------------------------------------- */

static proto_value *value_of(struct arena *arena, const json_t *json);

static proto_struct *object_of(struct arena *arena, const json_t *json) {
  proto_struct *object = brig__struct_new(arena, json_object_size(json));
  const char *key;
  json_t *item;
  json_object_foreach((json_t *)(uintptr_t)json, key, item) brig__struct_add(
      arena, object, brig__arena_copy(arena, key, strlen(key) + 1), value_of(arena, item));
  return object;
}

static proto_value *list_of(struct arena *arena, const json_t *json) {
  size_t count = json_array_size(json);
  proto_value **values = brig__arena_new(arena, count * sizeof(proto_value *));
  for (size_t i = 0; i < count && values != NULL; i++)
    values[i] = value_of(arena, json_array_get(json, i));
  return brig__value_list(arena, values, count);
}

static proto_value *value_of(struct arena *arena, const json_t *json) {
  proto_value *value;
  switch (json_typeof(json)) {
    case JSON_OBJECT:
      return brig__value_struct(arena, object_of(arena, json));
    case JSON_ARRAY:
      return list_of(arena, json);
    case JSON_STRING: {
      size_t size = json_string_length(json);
      return brig__value_string(
          arena,
          (ProtobufCBinaryData){size, brig__arena_copy(arena, json_string_value(json), size)});
    }
    case JSON_INTEGER:
    case JSON_REAL:
      value = new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE);
      if (value != NULL) value->number_value = json_number_value(json);
      return value;
    case JSON_TRUE:
    case JSON_FALSE:
      value = new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE);
      if (value != NULL) value->bool_value = json_is_true(json);
      return value;
    case JSON_NULL:
      break;
  }
  return new_value(arena, GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE);
}

proto_struct *brig__struct_of_json(struct arena *arena, const char *json) {
  json_t *parsed = json_loads(json, 0, NULL);
  proto_struct *object = json_is_object(parsed) ? object_of(arena, parsed) : NULL;
  json_decref(parsed);
  return object;
}
