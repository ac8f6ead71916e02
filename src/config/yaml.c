/* Reads agent.yaml, event by event.
 *
 * It uses libyaml's events and not libcyaml, because keys.def already says all
 * that a schema says, and libcyaml would want it a second time in C structures
 * that can drift from it. Events also expand no alias and build no tree, so what
 * a hostile file can cost is bounded by its size.
 */
#include "config/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/error.h"
#include "base/fd.h"
#include "config/yaml.h"

int brig__config_next(struct config_reader *reader, yaml_event_t *event) {
  yaml_event_delete(event);
  if (!yaml_parser_parse(&reader->parser, event)) return brig__config_syntax(reader);
  reader->source.line = event->start_mark.line + 1;
  return 0;
}

static bool opens(const yaml_event_t *event) {
  return event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
}

static bool closes(const yaml_event_t *event) {
  return event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;
}

/* Passes over the rest of the node that `event` begins. The bound on depth also
 * bounds libyaml's work, which grows with the square of it. */
static int skip(struct config_reader *reader, yaml_event_t *event) {
  for (size_t depth = opens(event); depth > 0; depth = depth + opens(event) - closes(event)) {
    if (depth > CONFIG_DEPTH_MAX)
      return brig__config_fail(reader, "nested more than %d levels deep", CONFIG_DEPTH_MAX);
    int rc = brig__config_next(reader, event);
    if (rc < 0) return rc;
  }
  return 0;
}

int brig__config_read_name(struct config_reader *reader, yaml_event_t *event,
                           const char **ret_name) {
  int rc = brig__config_next(reader, event);
  if (rc < 0) return rc;
  if (event->type == YAML_MAPPING_END_EVENT) {
    *ret_name = NULL;
    return 0;
  }
  if (event->type != YAML_SCALAR_EVENT)
    return brig__config_fail(reader, "expected the name of a key, got %s",
                             brig__config_event_text(event));
  const char *name = brig__config_scalar(event);
  if (strlen(name) != event->data.scalar.length)
    return brig__config_fail(reader, "the name of a key contains a 0 byte");
  *ret_name = name;
  return 0;
}

static int unknown_key(struct config_reader *reader, const char *section, const char *name,
                       struct brig_error *err) {
  CLEANUP_FREE char *full = brig__format("%s.%s", section, name);
  if (full == NULL) return brig__config_no_memory(err);
  char quoted[CONFIG_TEXT];
  brig__config_quote(full, strlen(full), quoted);
  const char *nearest = brig__config_nearest_key(full);
  if (nearest == NULL) return brig__config_fail(reader, "unknown key %s", quoted);
  return brig__config_fail(reader, "unknown key %s; did you mean \"%s\"?", quoted, nearest);
}

/* Finds the key that is called `name` in a section, once. */
static int find_key(struct config_reader *reader, const char *section, const char *name,
                    const struct config_key **ret_key) {
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_keys[i];
    if (strcmp(key->section, section) != 0 || strcmp(key->name, name) != 0) continue;
    if (reader->key_lines[i] != 0)
      return brig__config_fail(reader, "%s is given twice; the first is on line %zu", key->full,
                               reader->key_lines[i]);
    reader->key_lines[i] = reader->source.line;
    *ret_key = key;
    return 0;
  }
  return unknown_key(reader, section, name, reader->err);
}

static bool is_ignored(const char *section, const char *name) {
  static const struct {
    const char *section, *name;
  } ignored[] = {
#define IGNORED(section, name) {#section, #name},
#define IGNORED_VARIABLE(name)
#include "config/ignored_keys.def"
  };
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
    if (strcmp(ignored[i].section, section) == 0 && strcmp(ignored[i].name, name) == 0) return true;
  return false;
}

static int pass_over_ignored(struct config_reader *reader, yaml_event_t *event,
                             const char *section, const char *name) {
  CLEANUP_FREE char *notice =
      brig__format("%s:%zu: %s.%s says nothing to Brig, and was ignored", reader->source.file,
                   reader->source.line, section, name);
  if (notice == NULL || brig__config_list_add(&reader->config->notices, notice) < 0)
    return brig__config_no_memory(reader->err);
  int rc = brig__config_next(reader, event);
  return rc < 0 ? rc : skip(reader, event);
}

/* Whether keys of the section begin with this name, and none is it: then they may be
 * written as a mapping of that name, without it. */
static bool is_group(const char *section, const char *name) {
  size_t length = strlen(name);
  bool found = false;
  for (int i = 0; i < CONFIG_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_keys[i];
    if (strcmp(key->section, section) != 0 || strncmp(key->name, name, length) != 0) continue;
    if (key->name[length] == '\0') return false;
    found |= key->name[length] == '_';
  }
  return found;
}

static int read_key(struct config_reader *reader, yaml_event_t *event, const char *section,
                    const char *name) {
  const struct config_key *key = NULL;
  int rc = find_key(reader, section, name, &key);
  if (rc == 0) rc = brig__config_next(reader, event);
  return rc < 0 ? rc : brig__config_read_value(reader, event, key);
}

static int read_group(struct config_reader *reader, yaml_event_t *event, const char *section,
                      const char *group) {
  int rc = brig__config_next(reader, event);
  if (rc < 0 || brig__config_is_null(event)) return rc;
  if (!brig__config_opens_mapping(event))
    return brig__config_fail(reader, "%s.%s: expected keys with values, got %s", section, group,
                             brig__config_event_text(event));
  for (;;) {
    const char *name = NULL;
    rc = brig__config_read_name(reader, event, &name);
    if (rc < 0 || name == NULL) return rc;
    CLEANUP_FREE char *whole = brig__format("%s_%s", group, name);
    if (whole == NULL) return brig__config_no_memory(reader->err);
    rc = read_key(reader, event, section, whole);
    if (rc < 0) return rc;
  }
}

static int read_section(struct config_reader *reader, yaml_event_t *event, const char *section) {
  for (;;) {
    const char *at = NULL;
    int rc = brig__config_read_name(reader, event, &at);
    if (rc < 0 || at == NULL) return rc;
    CLEANUP_FREE char *name = strdup(at); /* of the event, which goes */
    if (name == NULL) return brig__config_no_memory(reader->err);
    if (is_ignored(section, name))
      rc = pass_over_ignored(reader, event, section, name);
    else if (is_group(section, name))
      rc = read_group(reader, event, section, name);
    else
      rc = read_key(reader, event, section, name);
    if (rc < 0) return rc;
  }
}

/* A section of ours: a mapping, or nothing when all its keys are commented out. */
static int own_section(struct config_reader *reader, yaml_event_t *event, int index) {
  const char *section = brig__config_sections[index].name;
  if (reader->section_lines[index] != 0)
    return brig__config_fail(reader, "section %s is given twice; the first is on line %zu", section,
                             reader->section_lines[index]);
  reader->section_lines[index] = reader->source.line;
  int rc = brig__config_next(reader, event);
  if (rc < 0 || brig__config_is_null(event)) return rc;
  if (!brig__config_opens_mapping(event))
    return brig__config_fail(reader, "section %s: expected keys with values, got %s", section,
                             brig__config_event_text(event));
  return read_section(reader, event, section);
}

static int foreign_section(struct config_reader *reader, yaml_event_t *event, const char *name) {
  int rc = brig__config_note_foreign(reader, name);
  if (rc == 0) rc = brig__config_next(reader, event);
  return rc < 0 ? rc : skip(reader, event);
}

static int read_sections(struct config_reader *reader, yaml_event_t *event) {
  for (;;) {
    const char *name = NULL;
    int rc = brig__config_read_name(reader, event, &name);
    if (rc < 0 || name == NULL) return rc;
    int index = brig__config_find_section(name);
    rc = index < 0 ? foreign_section(reader, event, name) : own_section(reader, event, index);
    if (rc < 0) return rc;
  }
}

/* One document at most; a second would silently hide or add to the first. */
static int read_stream(struct config_reader *reader) {
  CLEANUP(yaml_event_delete) yaml_event_t event = {0};
  int rc = brig__config_next(reader, &event); /* the stream's start */
  if (rc == 0) rc = brig__config_next(reader, &event);
  if (rc < 0 || event.type == YAML_STREAM_END_EVENT) return rc;
  rc = brig__config_next(reader, &event);
  if (rc < 0) return rc;
  if (event.type == YAML_MAPPING_START_EVENT)
    rc = read_sections(reader, &event);
  else if (!brig__config_is_null(&event))
    rc = brig__config_fail(reader, "expected sections such as \"wasi:\", got %s",
                           brig__config_event_text(&event));
  if (rc == 0) rc = brig__config_next(reader, &event); /* the document's end */
  if (rc == 0) rc = brig__config_next(reader, &event);
  if (rc == 0 && event.type != YAML_STREAM_END_EVENT)
    rc = brig__config_fail(reader, "a second document begins; one is all that is read");
  return rc;
}

static int read_text(struct config_reader *reader) {
  static const char bom[] = "\xef\xbb\xbf";
  bool marked = reader->size >= 3 && memcmp(reader->text, bom, 3) == 0;
  size_t from = marked ? 3 : 0;
  if (!yaml_parser_initialize(&reader->parser)) return brig__config_no_memory(reader->err);
  CLEANUP(brig__config_parser_end) yaml_parser_t *parser = &reader->parser;
  yaml_parser_set_input_string(parser, (const unsigned char *)reader->text + from,
                               reader->size - from);
  /* Or libyaml would go by the byte order mark, and read UTF-16. */
  yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
  int rc = read_stream(reader);
  return rc < 0 ? rc : brig__config_notice_foreign(reader);
}

static int unreadable(const char *path, int sys_errno, struct brig_error *err) {
  if (sys_errno == ENOMEM) return brig__config_no_memory(err);
  const char *reason = sys_errno == EFBIG    ? "is larger than 1 MiB"
                       : sys_errno == EISDIR ? "is a directory, not a file"
                       : sys_errno == EINVAL ? "is not a regular file"
                                             : NULL;
  if (reason != NULL)
    return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE, "the configuration %.500s %s", path,
                      reason);
  brig__fail_errno(err, sys_errno, CONFIG_STAGE, "cannot read the configuration %.500s", path);
  if (err != NULL) err->code = BRIG_E_CONFIG;
  return BRIG_E_CONFIG;
}

int brig__config_read_file(struct brig_config *config, const char *path, bool optional,
                           struct brig_error *err) {
  CLEANUP(brig__config_reader_end)
  struct config_reader reader = {.config = config, .source = {.file = path}, .err = err};
  int rc = brig__read_file(AT_FDCWD, path, CONFIG_FILE_MAX, &reader.text, &reader.size);
  if (optional && (rc == -ENOENT || rc == -ENOTDIR)) return 0;
  if (rc < 0) return unreadable(path, -rc, err);
  return read_text(&reader);
}
