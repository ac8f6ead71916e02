/* Lists of strings, each string and the list itself in memory of their own. */
#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

/* Takes `text`, which may be NULL for want of memory. */
static int add(struct config_list *list, char *text) {
  char **grown = text == NULL ? NULL : realloc(list->items, (list->count + 2) * sizeof *grown);
  if (grown == NULL) {
    free(text);
    return BRIG_E_MEMORY;
  }
  list->items = grown;
  list->items[list->count++] = text;
  list->items[list->count] = NULL;
  return 0;
}

int brig__config_list_add(struct config_list *list, const char *text) {
  return add(list, strdup(text));
}

void brig__config_list_free(struct config_list *list) {
  for (size_t i = 0; i < list->count; i++) free(list->items[i]);
  free(list->items);
  *list = (struct config_list){0};
}

int brig__config_list_copy(const struct config_list *list, struct config_list *ret_copy) {
  CLEANUP(brig__config_list_free) struct config_list copy = {0};
  for (size_t i = 0; i < list->count; i++)
    if (brig__config_list_add(&copy, list->items[i]) < 0) return BRIG_E_MEMORY;
  *ret_copy = copy;
  copy = (struct config_list){0};
  return 0;
}

/* What is empty between, before or after commas is an item as well: whoever
 * checks the items refuses it. */
int brig__config_list_split(const char *text, struct config_list *ret_list) {
  CLEANUP(brig__config_list_free) struct config_list list = {0};
  while (*text != '\0') {
    size_t length = strcspn(text, ",");
    if (add(&list, strndup(text, length)) < 0) return BRIG_E_MEMORY;
    text += length;
    if (*text == ',' && *++text == '\0' && add(&list, strdup("")) < 0) return BRIG_E_MEMORY;
  }
  *ret_list = list;
  list = (struct config_list){0};
  return 0;
}

char *brig__config_list_join(const struct config_list *list, const char *separator) {
  size_t size = 1;
  for (size_t i = 0; i < list->count; i++) size += strlen(list->items[i]) + strlen(separator);
  char *text = malloc(size), *end = text;
  if (text == NULL) return NULL;
  *text = '\0';
  for (size_t i = 0; i < list->count; i++) {
    if (i > 0) end = stpcpy(end, separator);
    end = stpcpy(end, list->items[i]);
  }
  return text;
}
