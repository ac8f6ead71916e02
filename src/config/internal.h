/* config/internal.h - what the files of this folder share: the table of keys in
 * memory, and the steps from a text to a value. Not for other folders.
 */
#ifndef BRIG_CONFIG_INTERNAL_H
#define BRIG_CONFIG_INTERNAL_H

#include "config/config.h"

#define CONFIG_STAGE    "config"
#define CONFIG_FILE_MAX (1024u * 1024u)

enum config_type {
  CONFIG_U64,
  CONFIG_SIZE,
  CONFIG_SECONDS,
  CONFIG_FRACTION,
  CONFIG_BOOL,
  CONFIG_STRING,
  CONFIG_LINES,
  CONFIG_PATH,
  CONFIG_LIST,
  CONFIG_TEMPLATES,
};

enum config_index {
#define SECTION(name, help)
#define KEY(type, section, name, ...) CONFIG_KEY_##section##_##name,
#include "config/keys.def"
  CONFIG_KEY_COUNT
};

enum config_section_index {
#define SECTION(name, help) CONFIG_SECTION_##name,
#define KEY(...)
#include "config/keys.def"
  CONFIG_SECTION_COUNT
};

/* One row of keys.def. */
struct config_key {
  enum config_type type;
  const char *section, *name;
  const char *full; /* "section.name" */
  const char *default_text;
  uint64_t min, max;
  const char *environment; /* or NULL */
  uint64_t scale;
  const char *flag; /* or NULL */
  bool secret;
  const char *help;
  size_t offset; /* in struct brig_settings */
};

enum config_template_index {
#define KEY(type, name, ...) CONFIG_TEMPLATE_KEY_##name,
#include "config/template_keys.def"
  CONFIG_TEMPLATE_KEY_COUNT
};

struct config_section {
  const char *name, *help;
};

extern const struct config_key brig__config_keys[CONFIG_KEY_COUNT];
/* Their `offset` is in struct config_template. */
extern const struct config_key brig__config_template_keys[CONFIG_TEMPLATE_KEY_COUNT];
extern const struct config_section brig__config_sections[CONFIG_SECTION_COUNT];

struct brig_config {
  struct brig_settings settings;
  char *origins[CONFIG_KEY_COUNT]; /* NULL: the default */
  struct config_list notices;
};

/* Where a value comes from; all zero is a flag. */
struct config_source {
  const char *file; /* with `line`, */
  size_t line;
  const char *variable; /* or the environment's */
};

/* key.c: looking up. The index, or -1. */
int brig__config_find(const char *full);
int brig__config_find_section(const char *name);

/* The known name most like `name`, which is a mistake, or NULL if none is. */
const char *brig__config_nearest_key(const char *full);
const char *brig__config_nearest_section(const char *name);

/* "SIZE", "true|false"...: what stands for a value of that type. */
const char *brig__config_placeholder(enum config_type type);

/* text.c: words for people. */
#define CONFIG_TEXT 192
void brig__config_quote(const char *text, size_t size, char ret_quoted[CONFIG_TEXT]);
void brig__config_bytes(uint64_t bytes, char ret_text[CONFIG_TEXT]);
void brig__config_seconds(uint64_t ms, char ret_text[CONFIG_TEXT]);
/* "a whole number from 0 to 10": `scale` as in keys.def. */
void brig__config_expected(const struct config_key *key, uint64_t scale,
                           char ret_text[CONFIG_TEXT]);
/* "agent.yaml:12: wasi.max_fuel", "WASI_TIMEOUT_SECONDS", "wasi.max_fuel". */
#define CONFIG_WHERE 400
void brig__config_where(const struct config_key *key, const struct config_source *source,
                        char ret_text[CONFIG_WHERE]);
/* BRIG_E_CONFIG: where, what was expected, and `got`, which is quoted already. */
int brig__config_mismatch(const struct config_key *key, const struct config_source *source,
                          const char *got, struct brig_error *err);
int brig__config_no_memory(struct brig_error *err);

/* value.c: a value in a record: struct brig_settings or struct config_template,
 * whichever the key is of. */
int brig__config_assign(void *record, const struct config_key *key,
                        const struct config_source *source, const char *text,
                        struct brig_error *err);
/* Takes the items out of `list` on success. */
int brig__config_assign_list(void *record, const struct config_key *key,
                             const struct config_source *source, struct config_list *list,
                             struct brig_error *err);
int brig__config_assign_copy(void *record, const void *from, const struct config_key *key);
/* Fresh memory, NULL if there is none; "(secret)" for what must not be printed. */
char *brig__config_value_text(const void *record, const struct config_key *key);
void brig__config_value_free(void *record, const struct config_key *key);
uint64_t brig__config_number(const void *record, const struct config_key *key);

/* templates.c: templates.named. */
int brig__config_templates_add(struct config_templates *templates, const char *name,
                               struct config_template **ret_template, struct brig_error *err);
/* BRIG_E_CONFIG if it does not make sense, with the reason alone as message. */
int brig__config_template_check(const struct config_template *template, struct brig_error *err);
int brig__config_templates_copy(const struct config_templates *templates,
                                struct config_templates *ret_copy);
char *brig__config_templates_names(const struct config_templates *templates);
void brig__config_templates_free(struct config_templates *templates);

/* list.c. 0 or BRIG_E_MEMORY; `text` is copied. */
int brig__config_list_add(struct config_list *list, const char *text);
int brig__config_list_copy(const struct config_list *list, struct config_list *ret_copy);
int brig__config_list_split(const char *text, struct config_list *ret_list);
char *brig__config_list_join(const struct config_list *list, const char *separator);
void brig__config_list_free(struct config_list *list);

/* config.c: set one key, and remember where from. */
int brig__config_store(struct brig_config *config, const struct config_key *key,
                       const struct config_source *source, const char *text,
                       struct brig_error *err);
int brig__config_store_list(struct brig_config *config, const struct config_key *key,
                            const struct config_source *source, struct config_list *list,
                            struct brig_error *err);

int brig__config_came_from(struct brig_config *config, const struct config_key *key,
                           const struct config_source *source, struct brig_error *err);

/* yaml.c: lay a file over the configuration. If `optional`, it may be missing. */
int brig__config_read_file(struct brig_config *config, const char *path, bool optional,
                           struct brig_error *err);

/* environment.c: lay the environment's variables over the configuration. */
int brig__config_read_environment(struct brig_config *config, struct brig_error *err);

#endif
