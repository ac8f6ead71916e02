/* templates.named in agent.yaml: a mapping of names to mappings. */
#include <string.h>

#include "config/yaml.h"

#define TEMPLATE_NAME "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

static int read_template_key(struct config_reader *reader, yaml_event_t *event, const char *name,
                             size_t lines[CONFIG_TEMPLATE_KEY_COUNT]) {
  for (int i = 0; i < CONFIG_TEMPLATE_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_template_keys[i];
    if (strcmp(key->name, name) != 0) continue;
    if (lines[i] != 0)
      return brig__config_fail(reader, "%s is given twice; the first is on line %zu", name,
                               lines[i]);
    lines[i] = reader->source.line;
    int rc = brig__config_next(reader, event);
    return rc < 0 ? rc : brig__config_read_value(reader, event, key);
  }
  char quoted[CONFIG_TEXT];
  brig__config_quote(name, strlen(name), quoted);
  return brig__config_fail(reader, "a template has no key %s", quoted);
}

static int read_template(struct config_reader *reader, yaml_event_t *event, size_t line) {
  size_t lines[CONFIG_TEMPLATE_KEY_COUNT] = {0};
  struct brig_error wrong;
  for (;;) {
    const char *name = NULL;
    int rc = brig__config_read_name(reader, event, &name);
    if (rc == 0 && name != NULL) rc = read_template_key(reader, event, name, lines);
    if (rc < 0) return rc;
    if (name == NULL) break;
  }
  if (brig__config_template_check(reader->item, &wrong) == 0) return 0;
  reader->source.line = line;
  return brig__config_fail(reader, "template \"%s\": %s", reader->item->name, wrong.message);
}

int brig__config_read_templates(struct config_reader *reader, yaml_event_t *event,
                                const struct config_key *key) {
  struct config_templates *templates = &reader->config->settings.templates_named;
  if (brig__config_came_from(reader->config, key, &reader->source, reader->err) < 0)
    return BRIG_E_MEMORY;
  for (;;) {
    const char *name = NULL;
    int rc = brig__config_read_name(reader, event, &name);
    size_t line = reader->source.line;
    if (rc < 0 || name == NULL) return rc;
    for (size_t i = 0; i < templates->count; i++)
      if (strcmp(templates->items[i].name, name) == 0)
        return brig__config_fail(reader, "template \"%s\" is given twice", name);
    if (templates->count >= key->max)
      return brig__config_mismatch(key, &reader->source, "more", reader->err);
    if (*name == '\0' || strspn(name, TEMPLATE_NAME) != strlen(name))
      return brig__config_fail(reader,
                               "a template's name is made of letters, digits, \"-\" and \"_\"");
    rc = brig__config_templates_add(templates, name, &reader->item, reader->err);
    if (rc == 0) rc = brig__config_next(reader, event);
    if (rc == 0 && !brig__config_opens_mapping(event))
      rc = brig__config_fail(reader, "expected a template's keys, got %s",
                             brig__config_event_text(event));
    if (rc == 0) rc = read_template(reader, event, line);
    reader->item = NULL;
    if (rc < 0) return rc;
  }
}
