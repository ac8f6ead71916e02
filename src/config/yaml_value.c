/* One value of agent.yaml, and mistakes and notices with their place. */
#include "config/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/fd.h"

void brig__config_reader_end(struct config_reader *reader) {
  brig__config_list_free(&reader->foreign);
  free(reader->text);
}

void brig__config_parser_end(yaml_parser_t **parser) { yaml_parser_delete(*parser); }

int brig__config_fail(struct config_reader *reader, const char *format, ...) {
  char where[CONFIG_WHERE], message[500];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  brig__config_where(NULL, &reader->source, where);
  return brig__fail(reader->err, BRIG_E_CONFIG, CONFIG_STAGE, "%s: %s", where, message);
}

/* libyaml says where bytes are wrong as an offset only. */
static size_t line_of_offset(const struct config_reader *reader, size_t offset) {
  size_t line = 1;
  for (size_t i = 0; i < offset && i < reader->size; i++) line += reader->text[i] == '\n';
  return line;
}

static bool tab_indents(const struct config_reader *reader, size_t line) {
  const char *at = reader->text, *end = at + reader->size;
  for (; line > 1 && at != NULL && at < end; line--) {
    at = memchr(at, '\n', (size_t)(end - at));
    if (at != NULL) at++;
  }
  while (at != NULL && at < end && *at == ' ') at++;
  return at != NULL && at < end && *at == '\t';
}

int brig__config_syntax(struct config_reader *reader) {
  const yaml_parser_t *parser = &reader->parser;
  const char *problem = parser->problem ? parser->problem : "not YAML";
  if (parser->error == YAML_MEMORY_ERROR) return brig__config_no_memory(reader->err);
  if (parser->error == YAML_READER_ERROR) {
    reader->source.line = line_of_offset(reader, parser->problem_offset);
    return brig__config_fail(reader, "%s (the file must be UTF-8 text)", problem);
  }
  reader->source.line = parser->problem_mark.line + 1;
  if (tab_indents(reader, reader->source.line))
    return brig__config_fail(reader, "a tab indents the line; YAML wants spaces");
  return brig__config_fail(reader, "%s", problem);
}

const char *brig__config_event_text(const yaml_event_t *event) {
  if (event->type == YAML_ALIAS_EVENT) return "an alias (\"*name\"), which is not followed here";
  if (event->type == YAML_SEQUENCE_START_EVENT) return "a list";
  if (event->type == YAML_MAPPING_START_EVENT)
    return event->data.mapping_start.implicit ? "a mapping" : "a mapping with a tag";
  return "a single value";
}

const char *brig__config_scalar(const yaml_event_t *event) {
  return (const char *)event->data.scalar.value;
}

static bool is_plain(const yaml_event_t *event) {
  return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

bool brig__config_is_null(const yaml_event_t *event) {
  if (event->type != YAML_SCALAR_EVENT || !is_plain(event)) return false;
  const char *text = brig__config_scalar(event);
  return *text == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static bool is_tagged(const yaml_event_t *event) {
  return event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag != NULL
         : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag != NULL
                                                    : false;
}

bool brig__config_opens_mapping(const yaml_event_t *event) {
  return event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.implicit;
}

/* YAML has types: "5" in quotes is a string. A size may be one, since it may
 * have a unit. */
static bool wants_plain(enum config_type type) {
  return type == CONFIG_U64 || type == CONFIG_SECONDS || type == CONFIG_FRACTION ||
         type == CONFIG_BOOL;
}

/* Why a scalar cannot be a value of `key`, or NULL. `quoted` may be pointed to. */
static const char *scalar_problem(const yaml_event_t *event, const struct config_key *key,
                                  bool item, char quoted[CONFIG_TEXT]) {
  size_t length = event->data.scalar.length;
  if (brig__config_is_null(event)) return "nothing";
  if (is_tagged(event)) return "a value with a tag";
  if (strlen(brig__config_scalar(event)) != length) return "a string with a 0 byte";
  if ((key->type == CONFIG_LIST && !item) || key->type == CONFIG_TEMPLATES) return "a single value";
  if (!is_plain(event) && wants_plain(key->type)) {
    brig__config_quote(brig__config_scalar(event), length, quoted);
    strncat(quoted, " in quotes", CONFIG_TEXT - strlen(quoted) - 1);
    return quoted;
  }
  return NULL;
}

static int read_items(struct config_reader *reader, yaml_event_t *event,
                      const struct config_key *key, struct config_list *list) {
  for (;;) {
    char quoted[CONFIG_TEXT];
    int rc = brig__config_next(reader, event);
    if (rc < 0 || event->type == YAML_SEQUENCE_END_EVENT) return rc;
    const char *problem = event->type != YAML_SCALAR_EVENT
                              ? brig__config_event_text(event)
                              : scalar_problem(event, key, true, quoted);
    if (list->count >= key->max) problem = "more";
    if (problem != NULL) return brig__config_mismatch(key, &reader->source, problem, reader->err);
    if (brig__config_list_add(list, brig__config_scalar(event)) < 0)
      return brig__config_no_memory(reader->err);
  }
}

/* The origin of a list is where it begins. */
static int read_list(struct config_reader *reader, yaml_event_t *event,
                     const struct config_key *key) {
  CLEANUP(brig__config_list_free) struct config_list list = {0};
  struct config_source source = reader->source;
  int rc = read_items(reader, event, key, &list);
  if (rc < 0) return rc;
  if (reader->item != NULL)
    return brig__config_assign_list(reader->item, key, &source, &list, reader->err);
  source.line = reader->key_lines[key - brig__config_keys];
  return brig__config_store_list(reader->config, key, &source, &list, reader->err);
}

int brig__config_read_value(struct config_reader *reader, yaml_event_t *event,
                            const struct config_key *key) {
  char quoted[CONFIG_TEXT];
  const char *problem = NULL;
  if (key->type == CONFIG_TEMPLATES && brig__config_opens_mapping(event))
    return brig__config_read_templates(reader, event, key);
  if (event->type == YAML_SCALAR_EVENT)
    problem = scalar_problem(event, key, false, quoted);
  else if (event->type != YAML_SEQUENCE_START_EVENT || key->type != CONFIG_LIST)
    problem = brig__config_event_text(event);
  else if (is_tagged(event))
    problem = "a list with a tag";
  if (problem != NULL) return brig__config_mismatch(key, &reader->source, problem, reader->err);
  if (key->type == CONFIG_LIST) return read_list(reader, event, key);
  if (reader->item != NULL)
    return brig__config_assign(reader->item, key, &reader->source, brig__config_scalar(event),
                               reader->err);
  return brig__config_store(reader->config, key, &reader->source, brig__config_scalar(event),
                            reader->err);
}

int brig__config_note_foreign(struct config_reader *reader, const char *name) {
  if (reader->foreign.count >= CONFIG_FOREIGN_MAX) {
    reader->foreign_more++;
    return 0;
  }
  char shown[CONFIG_TEXT], hinted[CONFIG_TEXT * 2];
  const char *nearest = brig__config_nearest_section(name);
  brig__config_quote(name, strlen(name), shown);
  snprintf(hinted, sizeof hinted, "%s%s%s%s", shown, nearest ? " (did you mean \"" : "",
           nearest ? nearest : "", nearest ? "\"?)" : "");
  if (brig__config_list_add(&reader->foreign, hinted) == 0) return 0;
  return brig__config_no_memory(reader->err);
}

int brig__config_notice_foreign(struct config_reader *reader) {
  if (reader->foreign.count == 0) return 0;
  CLEANUP_FREE char *names = brig__config_list_join(&reader->foreign, ", ");
  CLEANUP_FREE char *more =
      reader->foreign_more == 0 ? strdup("") : brig__format(" and %zu more", reader->foreign_more);
  if (names == NULL || more == NULL) return brig__config_no_memory(reader->err);
  CLEANUP_FREE char *notice = brig__format("%s: sections that are not Brig's were ignored: %s%s",
                                           reader->source.file, names, more);
  if (notice != NULL && brig__config_list_add(&reader->config->notices, notice) == 0) return 0;
  return brig__config_no_memory(reader->err);
}
