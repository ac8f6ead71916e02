/* The table of keys, and finding a row of it. */
#include "config/internal.h"

#include <string.h>

#define KIB    (UINT64_C(1) << 10)
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define PIB    (UINT64_C(1) << 50)
#define DAY_MS  UINT64_C(86400000)
#define YEAR_MS (365 * DAY_MS)
/* Larger numbers do not fit the int64_t of many YAML and JSON readers. */
#define NUMBER_MAX UINT64_C(9223372036854775807)
#define OPEN       false
#define SECRET     true

#define NAME_U64(name)        #name
#define NAME_SIZE(name)       #name
#define NAME_SECONDS(name)    #name "_secs"
#define NAME_FRACTION(name)   #name
#define NAME_BOOL(name)       #name
#define NAME_STRING(name)     #name
#define NAME_LINES(name)      #name
#define NAME_PATH(name)       #name
#define NAME_LIST(name)       #name
#define NAME_TEMPLATES(name)  #name
#define FIELD_U64(name)       name
#define FIELD_SIZE(name)      name
#define FIELD_SECONDS(name)   name##_ms
#define FIELD_FRACTION(name)  name##_permille
#define FIELD_BOOL(name)      name
#define FIELD_STRING(name)    name
#define FIELD_LINES(name)     name
#define FIELD_PATH(name)      name
#define FIELD_LIST(name)      name
#define FIELD_TEMPLATES(name) name

const struct config_key brig__config_keys[CONFIG_KEY_COUNT] = {
#define SECTION(name, help)
#define KEY(type, section, name, text, min, max, variable, scale, flag, secrecy, help) \
  {CONFIG_##type,                                                                      \
   #section,                                                                           \
   NAME_##type(name),                                                                  \
   #section "." NAME_##type(name),                                                     \
   text,                                                                               \
   min,                                                                                \
   max,                                                                                \
   variable,                                                                           \
   scale,                                                                              \
   flag,                                                                               \
   secrecy,                                                                            \
   help,                                                                               \
   offsetof(struct brig_settings, FIELD_##type(section##_##name))},
#include "config/keys.def"
};

const struct config_key brig__config_template_keys[CONFIG_TEMPLATE_KEY_COUNT] = {
#define KEY(type, name, text, min, max, help) \
  {CONFIG_##type,                             \
   "templates",                               \
   #name,                                     \
   "templates.named." #name,                  \
   text,                                      \
   min,                                       \
   max,                                       \
   NULL,                                      \
   1,                                         \
   NULL,                                      \
   OPEN,                                      \
   help,                                      \
   offsetof(struct config_template, name)},
#include "config/template_keys.def"
};

const struct config_section brig__config_sections[CONFIG_SECTION_COUNT] = {
#define SECTION(name, help) {#name, help},
#define KEY(...)
#include "config/keys.def"
};

int brig__config_find(const char *full) {
  for (int i = 0; i < CONFIG_KEY_COUNT; i++)
    if (strcmp(brig__config_keys[i].full, full) == 0) return i;
  return -1;
}

int brig__config_find_section(const char *name) {
  for (int i = 0; i < CONFIG_SECTION_COUNT; i++)
    if (strcmp(brig__config_sections[i].name, name) == 0) return i;
  return -1;
}

static size_t least(size_t a, size_t b, size_t c) {
  size_t ab = a < b ? a : b;
  return ab < c ? ab : c;
}

/* Names that are longer than this are not compared. */
#define NAME_MAX_LENGTH 64

/* The number of letters to add, drop or change to make `a` into `b`. */
static size_t distance(const char *a, const char *b) {
  size_t length = strlen(b), row[NAME_MAX_LENGTH + 1];
  if (length > NAME_MAX_LENGTH) return SIZE_MAX;
  for (size_t j = 0; j <= length; j++) row[j] = j;
  for (size_t i = 0; a[i] != '\0'; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < length; j++) {
      size_t changed = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = least(row[j + 1] + 1, row[j] + 1, changed);
    }
  }
  return row[length];
}

const char *brig__config_nearest_key(const char *full) {
  size_t length = strlen(full), best = length / 2 + 1;
  const char *nearest = NULL;
  if (length > NAME_MAX_LENGTH) return NULL;
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    size_t far = distance(full, brig__config_keys[i].full);
    if (far >= best) continue;
    best = far;
    nearest = brig__config_keys[i].full;
  }
  return nearest;
}

/* Stricter than for a key, because other programs' sections are no mistake. */
const char *brig__config_nearest_section(const char *name) {
  if (strlen(name) > NAME_MAX_LENGTH || strlen(name) < 3) return NULL;
  for (int i = 0; i < CONFIG_SECTION_COUNT; i++)
    if (distance(name, brig__config_sections[i].name) <= 1) return brig__config_sections[i].name;
  return NULL;
}

const char *brig__config_placeholder(enum config_type type) {
  static const char *const placeholders[] = {
      [CONFIG_U64] = "N",           [CONFIG_SIZE] = "SIZE",   [CONFIG_SECONDS] = "SECONDS",
      [CONFIG_BOOL] = "true|false", [CONFIG_STRING] = "TEXT", [CONFIG_PATH] = "PATH",
      [CONFIG_LIST] = "A,B,...",    [CONFIG_LINES] = "TEXT",  [CONFIG_TEMPLATES] = "",
      [CONFIG_FRACTION] = "N",
  };
  return placeholders[type];
}

bool brig__config_flag(size_t index, struct config_flag *ret_flag) {
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_keys[i];
    if (key->flag == NULL || index-- > 0) continue;
    *ret_flag = (struct config_flag){.flag = key->flag,
                                     .key = key->full,
                                     .placeholder = brig__config_placeholder(key->type),
                                     .default_value = key->default_text,
                                     .help = key->help};
    return true;
  }
  return false;
}

const char *brig__config_key_for_flag(const char *flag) {
  struct config_flag found;
  for (size_t i = 0; brig__config_flag(i, &found); i++)
    if (strcmp(found.flag, flag) == 0) return found.key;
  return NULL;
}
