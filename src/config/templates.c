/* templates.named: its items, and what is wrong with one. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "config/internal.h"

static void free_item(struct config_template *item) {
  for (int i = 0; i < CONFIG_TEMPLATE_KEY_COUNT; i++)
    brig__config_value_free(item, &brig__config_template_keys[i]);
  free(item->name);
}

void brig__config_templates_free(struct config_templates *templates) {
  for (size_t i = 0; i < templates->count; i++) free_item(&templates->items[i]);
  free(templates->items);
  *templates = (struct config_templates){0};
}

/* Whatever comes of it, it is the list's. */
static struct config_template *append(struct config_templates *templates, const char *name) {
  struct config_template *items = realloc(templates->items, (templates->count + 1) * sizeof *items);
  if (items == NULL) return NULL;
  templates->items = items;
  struct config_template *item = &items[templates->count++];
  *item = (struct config_template){.name = strdup(name)};
  return item->name == NULL ? NULL : item;
}

int brig__config_templates_add(struct config_templates *templates, const char *name,
                               struct config_template **ret_template, struct brig_error *err) {
  static const struct config_source table = {.variable = NULL};
  struct config_template *item = append(templates, name);
  if (item == NULL) return brig__config_no_memory(err);
  for (int i = 0; i < CONFIG_TEMPLATE_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_template_keys[i];
    int rc = brig__config_assign(item, key, &table, key->default_text, err);
    if (rc < 0) return rc;
  }
  *ret_template = item;
  return 0;
}

int brig__config_templates_copy(const struct config_templates *templates,
                                struct config_templates *ret_copy) {
  for (size_t i = 0; i < templates->count; i++) {
    struct config_template *item = append(ret_copy, templates->items[i].name);
    if (item == NULL) return BRIG_E_MEMORY;
    for (int j = 0; j < CONFIG_TEMPLATE_KEY_COUNT; j++)
      if (brig__config_assign_copy(item, &templates->items[i], &brig__config_template_keys[j]) < 0)
        return BRIG_E_MEMORY;
  }
  return 0;
}

char *brig__config_templates_names(const struct config_templates *templates) {
  char *names = strdup("");
  for (size_t i = 0; i < templates->count && names != NULL; i++) {
    char *more = brig__format("%s%s%s", names, i > 0 ? "," : "", templates->items[i].name);
    free(names);
    names = more;
  }
  return names;
}

int brig__config_template_check(const struct config_template *template, struct brig_error *err) {
  bool guest = *template->guest != '\0', module = *template->module != '\0';
  const char *wrong = NULL;
  if (guest == module) wrong = "it needs one of `guest` and `module`";
  if (*template->preload != '\0' && (module || template->arguments.count > 0))
    wrong = "`preload` is for a `guest` without `arguments` of its own";
  for (size_t i = 0; i < template->environment.count; i++)
    if (strchr(template->environment.items[i], '=') == NULL)
      wrong = "`environment` is a list of NAME=value";
  return wrong == NULL ? 0 : brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE, "%s", wrong);
}
