/* config/yaml.h - what the parts of the YAML reader share: yaml.c walks the
 * file, yaml_value.c reads one value and words the mistakes, yaml_templates.c reads
 * templates.
 */
#ifndef BRIG_CONFIG_YAML_H
#define BRIG_CONFIG_YAML_H

#include <yaml.h>

#include "config/internal.h"

#define CONFIG_DEPTH_MAX   64
#define CONFIG_FOREIGN_MAX 32 /* names that a notice lists */

struct config_reader {
  yaml_parser_t parser;
  struct brig_config *config;
  struct config_source source; /* where the last event was */
  struct brig_error *err;
  char *text;
  size_t size;
  size_t section_lines[CONFIG_SECTION_COUNT]; /* where each was given; 0: not yet */
  size_t key_lines[CONFIG_KEY_COUNT];
  struct config_template *item; /* whose values are read, or NULL for the configuration's */
  struct config_list foreign;   /* sections that are not ours, as the notice words them */
  size_t foreign_more;          /* those beyond CONFIG_FOREIGN_MAX */
};

void brig__config_reader_end(struct config_reader *reader);
void brig__config_parser_end(yaml_parser_t **parser);

/* Replace `event` by the next one, and note its line. */
int brig__config_next(struct config_reader *reader, yaml_event_t *event);

/* Read the name on the left of a colon. NULL at the end of the mapping. */
int brig__config_read_name(struct config_reader *reader, yaml_event_t *event,
                           const char **ret_name);

/* BRIG_E_CONFIG at the line of the last event. */
int brig__config_fail(struct config_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* BRIG_E_CONFIG, or _MEMORY, for what libyaml stopped at. */
int brig__config_syntax(struct config_reader *reader);

/* "a list", "an alias": what an event begins. A static string. */
const char *brig__config_event_text(const yaml_event_t *event);
const char *brig__config_scalar(const yaml_event_t *event);
bool brig__config_is_null(const yaml_event_t *event);
bool brig__config_opens_mapping(const yaml_event_t *event); /* without a tag */

/* Store the value that begins with `event`, and read on to its end. */
int brig__config_read_value(struct config_reader *reader, yaml_event_t *event,
                            const struct config_key *key);

/* The same for CONFIG_TEMPLATES, whose mapping `event` begins. */
int brig__config_read_templates(struct config_reader *reader, yaml_event_t *event,
                                const struct config_key *key);

/* Remember a section that is not ours; then give one notice of them all. */
int brig__config_note_foreign(struct config_reader *reader, const char *name);
int brig__config_notice_foreign(struct config_reader *reader);

#endif
