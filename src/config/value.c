/* One value: from text into its field, checked against its bounds, and back. */
#include "config/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "config/number.h"

static void *field(void *record, const struct config_key *key) {
  return (char *)record + key->offset;
}

static const void *field_of(const void *record, const struct config_key *key) {
  return (const char *)record + key->offset;
}

static int mismatch(const struct config_key *key, const struct config_source *source,
                    const char *text, struct brig_error *err) {
  char quoted[CONFIG_TEXT];
  brig__config_quote(text, strlen(text), quoted);
  return brig__config_mismatch(key, source, quoted, err);
}

static bool read_number(const struct config_key *key, uint64_t scale, const char *text,
                        uint64_t *ret_number) {
  if (key->type == CONFIG_U64 || scale != 1)
    return brig__config_read_number(text, scale, ret_number);
  return key->type == CONFIG_SIZE ? brig__config_read_size(text, ret_number)
                                  : brig__config_read_thousandths(text, ret_number);
}

static int assign_number(void *record, const struct config_key *key,
                         const struct config_source *source, const char *text,
                         struct brig_error *err) {
  uint64_t number = 0, scale = source->variable ? key->scale : 1;
  if (!read_number(key, scale, text, &number) || number < key->min || number > key->max)
    return mismatch(key, source, text, err);
  *(uint64_t *)field(record, key) = number;
  return 0;
}

static int assign_truth(void *record, const struct config_key *key,
                        const struct config_source *source, const char *text,
                        struct brig_error *err) {
  if (!brig__config_read_truth(text, field(record, key))) return mismatch(key, source, text, err);
  return 0;
}

/* A string ends up in paths, logs and messages, where no control character has
 * any business. */
static bool printable(const char *text, bool lines) {
  for (; *text != '\0'; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f)
      if (!lines || (*text != '\n' && *text != '\t')) return false;
  return true;
}

static int assign_string(void *record, const struct config_key *key,
                         const struct config_source *source, const char *text,
                         struct brig_error *err) {
  size_t length = strlen(text);
  bool relative = key->type == CONFIG_PATH && length > 0 && *text != '/';
  if (relative || length < key->min || length > key->max ||
      !printable(text, key->type == CONFIG_LINES))
    return mismatch(key, source, text, err);
  char *copy = strdup(text), **slot = field(record, key);
  if (copy == NULL) return brig__config_no_memory(err);
  free(*slot);
  *slot = copy;
  return 0;
}

int brig__config_assign_list(void *record, const struct config_key *key,
                             const struct config_source *source, struct config_list *list,
                             struct brig_error *err) {
  if (list->count < key->min || list->count > key->max)
    return brig__config_mismatch(key, source, "another number of them", err);
  for (size_t i = 0; i < list->count; i++) {
    const char *item = list->items[i];
    if (*item == '\0') return brig__config_mismatch(key, source, "an empty string", err);
    if (strlen(item) > 4095 || !printable(item, false)) return mismatch(key, source, item, err);
  }
  struct config_list *slot = field(record, key);
  brig__config_list_free(slot);
  *slot = *list;
  *list = (struct config_list){0};
  return 0;
}

static int assign_split(void *record, const struct config_key *key,
                        const struct config_source *source, const char *text,
                        struct brig_error *err) {
  CLEANUP(brig__config_list_free) struct config_list list = {0};
  if (brig__config_list_split(text, &list) < 0) return brig__config_no_memory(err);
  return brig__config_assign_list(record, key, source, &list, err);
}

int brig__config_assign(void *record, const struct config_key *key,
                        const struct config_source *source, const char *text,
                        struct brig_error *err) {
  switch (key->type) {
    case CONFIG_U64:
    case CONFIG_SIZE:
    case CONFIG_SECONDS:
    case CONFIG_FRACTION:
      return assign_number(record, key, source, text, err);
    case CONFIG_BOOL:
      return assign_truth(record, key, source, text, err);
    case CONFIG_STRING:
    case CONFIG_LINES:
    case CONFIG_PATH:
      return assign_string(record, key, source, text, err);
    case CONFIG_TEMPLATES: /* only a file can say more than "none" */
      if (*text != '\0') return mismatch(key, source, text, err);
      brig__config_templates_free(field(record, key));
      return 0;
    case CONFIG_LIST:
      break;
  }
  return assign_split(record, key, source, text, err);
}

static bool is_string(const struct config_key *key) {
  return key->type == CONFIG_STRING || key->type == CONFIG_LINES || key->type == CONFIG_PATH;
}

int brig__config_assign_copy(void *record, const void *from, const struct config_key *key) {
  if (key->type == CONFIG_LIST)
    return brig__config_list_copy(field_of(from, key), field(record, key));
  if (key->type == CONFIG_TEMPLATES)
    return brig__config_templates_copy(field_of(from, key), field(record, key));
  if (key->type == CONFIG_BOOL) {
    *(bool *)field(record, key) = *(const bool *)field_of(from, key);
  } else if (is_string(key)) {
    char *const *text = field_of(from, key);
    char *copy = strdup(*text);
    if (copy == NULL) return BRIG_E_MEMORY;
    *(char **)field(record, key) = copy;
  } else {
    *(uint64_t *)field(record, key) = brig__config_number(from, key);
  }
  return 0;
}

uint64_t brig__config_number(const void *record, const struct config_key *key) {
  return *(const uint64_t *)field_of(record, key);
}

static char *number_text(uint64_t number, enum config_type type) {
  if (type != CONFIG_SECONDS && type != CONFIG_FRACTION) return brig__format("%" PRIu64, number);
  char seconds[CONFIG_TEXT];
  brig__config_seconds(number, seconds);
  return strdup(seconds);
}

static char *string_text(const char *text, bool secret) {
  return strdup(secret && *text != '\0' ? "(secret)" : text);
}

char *brig__config_value_text(const void *record, const struct config_key *key) {
  const void *slot = field_of(record, key);
  if (is_string(key)) return string_text(*(char *const *)slot, key->secret);
  if (key->secret) return strdup("(secret)");
  if (key->type == CONFIG_LIST) return brig__config_list_join(slot, ",");
  if (key->type == CONFIG_TEMPLATES) return brig__config_templates_names(slot);
  if (key->type == CONFIG_BOOL) return strdup(*(const bool *)slot ? "true" : "false");
  return number_text(*(const uint64_t *)slot, key->type);
}

void brig__config_value_free(void *record, const struct config_key *key) {
  void *slot = field(record, key);
  if (key->type == CONFIG_LIST) {
    brig__config_list_free(slot);
  } else if (key->type == CONFIG_TEMPLATES) {
    brig__config_templates_free(slot);
  } else if (is_string(key)) {
    free(*(char **)slot);
    *(char **)slot = NULL;
  }
}
