#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>
#include "cli/cli.h"

struct examination {
  bool json, failed;
  json_t *walls;
};

static int set_json(void *context, const char *value) {
  (void)value;
  ((struct examination *)context)->json = true;
  return 0;
}

static const char *colour(const char *code) { return isatty(STDOUT_FILENO) ? code : ""; }

static void print_wall(const struct brig_wall *wall, bool holds) {
  const char *state = holds ? "up" : wall->up ? "BROKEN" : "not up";
  printf("%s%-6s%s %-16s %s%s\n",
         colour(holds            ? "\033[32m"
                : wall->required ? "\033[31m"
                                 : "\033[33m"),
         state, colour("\033[0m"), wall->name, wall->detail, wall->required ? " (required)" : "");
  if (wall->proved >= 0) printf("       %-16s tried: %s\n", "", wall->proof);
}

static void see_wall(void *context, const struct brig_wall *wall) {
  struct examination *examination = context;
  bool holds = wall->up && wall->proved != 0;
  if (wall->required && !holds) examination->failed = true;
  if (!examination->json) {
    print_wall(wall, holds);
    return;
  }
  json_array_append_new(
      examination->walls,
      json_pack("{s:s, s:s, s:b, s:b, s:s, s:o, s:s}", "name", wall->name, "keeps_from",
                wall->meaning, "required", wall->required, "up", holds, "detail", wall->detail,
                "proved", wall->proved < 0 ? json_null() : json_boolean(wall->proved), "proof",
                wall->proof));
}

static int examine(const struct brig_config *config, struct examination *examination) {
  struct brig_error err;
  examination->walls = json_array();
  int rc = brig_doctor(config, 1, see_wall, examination, &err);
  if (rc == 0 && examination->json) {
    json_t *root = json_pack("{s:b, s:O}", "ok", !examination->failed, "walls", examination->walls);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
  }
  json_decref(examination->walls);
  if (rc < 0) return brig__cli_fail(&err);
  if (!examination->json)
    puts(examination->failed ? "A required wall does not hold: Brig will not run anything."
                             : "All required walls hold.");
  return brig__cli_finish(examination->failed ? EXIT_FAILURE : 0);
}

int brig__cli_doctor(int argc, char **argv) {
  static const struct option_row rows[] = {
      {"--json", 0, NULL, "print one JSON object", set_json, false},
  };
  static const struct option_set set = {rows, 1, false};
  struct examination examination = {0};
  struct brig_config *config = NULL;
  int status = brig__cli_load_config(&config);
  if (status != 0) return status;
  int at = brig__cli_options(brig__cli_find("doctor"), &set, config, &examination, argc, argv);
  status = at < 0 ? -1 - at : examine(config, &examination);
  brig_config_free(config);
  return status;
}
