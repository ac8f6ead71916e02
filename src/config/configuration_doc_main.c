/* Prints docs/configuration.md, from the table of keys. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/internal.h"

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Generated from src/config/keys.def. Change it there. -->\n"
    "\n"
    "Brig runs with no configuration at all: every key has a default, and the defaults are safe.\n"
    "\n"
    "## Where a value comes from\n"
    "\n"
    "Later places win over earlier ones:\n"
    "\n"
    "1. the built-in default;\n"
    "2. the configuration file: the one given on the command line or to `brig_config_load()`,\n"
    "   else the one that `AGENT_CONFIG_PATH` names, else `/app/config/agent.yaml` if there is\n"
    "   one. A file that was named must exist;\n"
    "3. the environment variable in the tables below;\n"
    "4. the command line's flag, or `brig_config_set()`.\n"
    "\n"
    "A request may then ask for other limits than the ones in section `wasi`, up to those in\n"
    "section `ceiling`. `wasi.instances`, `wasi.tables`, `wasi.memories` and `wasi.open_files`\n"
    "are their own ceilings: a request may only ask for less.\n"
    "\n"
    "## How it is read\n"
    "\n"
    "Brig does not start on a configuration that it does not fully understand. An unknown key in\n"
    "one of the sections below, a value of another type or out of bounds, a key or section given\n"
    "twice, a second document, a tab that indents and a default above its ceiling are errors,\n"
    "which name the file, line and key. Sections that are not listed here belong to other\n"
    "programs: they are passed over, and named in one notice; so are, one by one, the keys that\n"
    "files of the system that Brig takes the place of have in these sections, and that say nothing\n"
    "to it. Keys that begin alike may be grouped: `wasi: {timeout_seconds: 60}` in section\n"
    "`python_executor` is its `wasi_timeout_seconds`. The file is UTF-8 YAML of at most 1 MiB;\n"
    "anchors may be used in other programs' sections, but an alias is no value here.\n"
    "\n"
    "| type | written as |\n"
    "| --- | --- |\n"
    "| number | a whole number: `1000000` |\n"
    "| size | bytes, or a whole number with `K`, `M` or `G` (powers of 1024; `KB` and `KiB` mean "
    "the same): `268435456`, `256M` |\n"
    "| seconds | with up to three decimals: `30`, `0.25` |\n"
    "| fraction | with up to three decimals: `0.5` |\n"
    "| truth | `true` or `false`, also `yes`, `no`, `on`, `off` |\n"
    "| string | text without control characters |\n"
    "| text | a string that may have several lines |\n"
    "| path | an absolute path |\n"
    "| templates | in the file alone, names and below each the keys under \"A named template\" |\n"
    "| list | a YAML list of strings, `[\"/data\", \"/srv\"]`; in a flag, with commas: "
    "`/data,/srv` |\n"
    "\n"
    "An environment variable that is set but empty is an error: unset it for the default.\n";

static const char ending[] =
    "\n"
    "## The usual places\n"
    "\n"
    "A place that is left empty is, in this order:\n"
    "\n"
    "| key | under systemd | with XDG variables | else |\n"
    "| --- | --- | --- | --- |\n"
    "| `cache.directory` | `$CACHE_DIRECTORY` | `$XDG_CACHE_HOME/brig` | `~/.cache/brig` |\n"
    "| `guests.directory` | `$STATE_DIRECTORY/guests` | `$XDG_DATA_HOME/brig/guests` | "
    "`~/.local/share/brig/guests` |\n"
    "| `session.workspaces_directory` | `$STATE_DIRECTORY/workspaces` | "
    "`$XDG_STATE_HOME/brig/workspaces` | `~/.local/state/brig/workspaces` |\n"
    "| `server.socket` | `$STATE_DIRECTORY/brig.sock` | `$XDG_STATE_HOME/brig/brig.sock` | "
    "`~/.local/state/brig/brig.sock` |\n"
    "\n"
    "Without `HOME` the user database says where the home directory is. A service and the person\n"
    "who installs interpreters for it are different users: give both the same `guests.directory`.\n"
    "Never put the workspaces below a directory in `wasi.allowed_paths` (such as `/tmp`), or "
    "every\n"
    "guest can read every session's files.\n"
    "\n"
    "## Example\n"
    "\n"
    "A longer one, with comments, is in `examples/agent.yaml`.\n"
    "\n"
    "```yaml\n"
    "wasi:\n"
    "  memory_limit_bytes: 512M\n"
    "  execution_timeout_secs: 10\n"
    "  allowed_paths: []\n"
    "\n"
    "ceiling:\n"
    "  memory_limit_bytes: 1G\n"
    "  execution_timeout_secs: 60\n"
    "\n"
    "jail:\n"
    "  require: [seccomp, landlock]\n"
    "```\n"
    "\n"
    "`brig config` shows every value that is in force, and where it came from.\n";

static const char *type_name(enum config_type type) {
  static const char *const names[] = {
      [CONFIG_U64] = "number",    [CONFIG_SIZE] = "size",  [CONFIG_SECONDS] = "seconds",
      [CONFIG_BOOL] = "truth",    [CONFIG_LIST] = "list",  [CONFIG_PATH] = "path",
      [CONFIG_STRING] = "string", [CONFIG_LINES] = "text", [CONFIG_TEMPLATES] = "templates",
      [CONFIG_FRACTION] = "fraction",
  };
  return names[type];
}

static void print_bounds(const struct config_key *key) {
  char min[CONFIG_TEXT], max[CONFIG_TEXT];
  if (key->type == CONFIG_SIZE) {
    brig__config_bytes(key->min, min);
    brig__config_bytes(key->max, max);
    printf("%s to %s", min, max);
  } else if (key->type == CONFIG_SECONDS || key->type == CONFIG_FRACTION) {
    brig__config_seconds(key->min, min);
    brig__config_seconds(key->max, max);
    printf("%s to %s", min, max);
  } else if (key->type == CONFIG_U64) {
    printf("%" PRIu64 " to %" PRIu64, key->min, key->max);
  } else if (key->type == CONFIG_LIST || key->type == CONFIG_TEMPLATES) {
    printf("at most %" PRIu64 " items", key->max);
  } else if (key->type != CONFIG_BOOL) {
    printf("at most %" PRIu64 " bytes", key->max);
  }
}

/* As one would write it in the file. */
static void print_default(const struct config_key *key) {
  const char *text = key->default_text;
  if (key->type != CONFIG_LIST) {
    printf(*text == '\0' ? "empty%s" : "`%s`", text);
    return;
  }
  printf("`[");
  for (const char *at = text; *at != '\0'; at += *at == ',') {
    int length = (int)strcspn(at, ",");
    printf("%s\"%.*s\"", at == text ? "" : ", ", length, at);
    at += length;
  }
  printf("]`");
}

static void print_key(const struct config_key *key) {
  printf("| `%s` | %s | ", key->name, type_name(key->type));
  print_default(key);
  printf(" | ");
  print_bounds(key);
  printf(" | ");
  if (key->environment != NULL) printf("`%s`", key->environment);
  if (key->scale != 1) {
    char unit[CONFIG_TEXT];
    brig__config_bytes(key->scale, unit);
    printf(" (a whole number of %s)", unit + strcspn(unit, "KMG"));
  }
  printf(" | ");
  if (key->flag != NULL) printf("`%s`", key->flag);
  printf(" | %s%s |\n", key->help, key->secret ? " Never printed." : "");
}

static void print_section(const struct config_section *section) {
  printf("\n## %s\n\n%s\n\n", section->name, section->help);
  printf("| key | type | default | bounds | environment | flag | meaning |\n");
  printf("| --- | --- | --- | --- | --- | --- | --- |\n");
  for (int i = 0; i < CONFIG_KEY_COUNT; i++)
    if (strcmp(brig__config_keys[i].section, section->name) == 0) print_key(&brig__config_keys[i]);
}

static void print_templates(void) {
  printf("\n### A named template\n\n");
  printf(
      "A request that could have started as a named template does goes on from it. Several that\n"
      "the same requests could go on from are one, and the first one counts.\n\n");
  printf("| key | type | default | bounds | meaning |\n| --- | --- | --- | --- | --- |\n");
  for (int i = 0; i < CONFIG_TEMPLATE_KEY_COUNT; i++) {
    const struct config_key *key = &brig__config_template_keys[i];
    printf("| `%s` | %s | ", key->name, type_name(key->type));
    print_default(key);
    printf(" | ");
    print_bounds(key);
    printf(" | %s |\n", key->help);
  }
  printf(
      "\n```yaml\n"
      "templates:\n"
      "  named:\n"
      "    pandas:\n"
      "      guest: python-science\n"
      "      preload: import numpy, pandas\n"
      "      ready_workers: 4\n"
      "```\n");
}

int main(void) {
  fputs(introduction, stdout);
  for (int i = 0; i < CONFIG_SECTION_COUNT; i++) {
    print_section(&brig__config_sections[i]);
    if (i == CONFIG_SECTION_templates) print_templates();
  }
  fputs(ending, stdout);
  return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
