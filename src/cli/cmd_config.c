#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

static int set_flag(void *context, const char *value) {
  (void)value;
  *(bool *)context = true;
  return 0;
}

static int print_entry(void *context, const struct brig_config_entry *entry) {
  (void)context;
  printf("%-42s %-28s # %s\n", entry->key, entry->value, entry->origin);
  return 0;
}

static int add_entry(void *context, const struct brig_config_entry *entry) {
  return json_object_set_new(context, entry->key,
                             json_pack("{s:s, s:s, s:s}", "value", entry->value, "origin",
                                       entry->origin, "help", entry->help));
}

static void print_json(const struct brig_config *config) {
  json_t *root = json_object();
  brig_config_each(config, add_entry, root);
  json_dumpf(root, stdout, JSON_INDENT(2));
  putchar('\n');
  json_decref(root);
}

int brig__cli_config(int argc, char **argv) {
  static const struct option_row rows[] = {
      {"--json", 0, NULL, "print one JSON object", set_flag, false},
  };
  static const struct option_set set = {rows, 1, true};
  bool json = false;
  struct brig_config *config = NULL;
  int status = brig__cli_load_config(&config);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find("config"), &set, config, &json, argc, argv);
  if (at >= 0 && at < argc) {
    brig__cli_say("config: takes no \"%s\"", argv[at]);
    status = EXIT_BRIG;
  } else if (at >= 0) {
    const char *notice;
    for (unsigned i = 0; (notice = brig_config_notice(config, i)) != NULL; i++)
      brig__cli_say("%s", notice);
    if (json)
      print_json(config);
    else
      brig_config_each(config, print_entry, NULL);
    status = brig__cli_finish(0);
  } else {
    status = -1 - at;
  }
  brig_config_free(config);
  return status;
}
