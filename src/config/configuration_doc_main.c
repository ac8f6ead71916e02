/* Prints docs/configuration.md from the table of keys. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "config/internal.h"

static void print_intro(void) {
  puts(
      "# Configuration\n\n"
      "<!-- Made by `make docs` from src/config/keys.def: change that. -->\n\n"
      "Values come, each overriding the one before it, from the defaults below, from a YAML file,\n"
      "from environment variables, and from command-line flags. The file is the one that\n"
      "`AGENT_CONFIG_PATH` names, else `/app/config/agent.yaml`, else there is none.\n"
      "`brig config` prints what is in force and where each value came from.\n\n"
      "Sections that are not Brig's are ignored with one notice. In Brig's own, an unknown key, a\n"
      "wrong type or a value out of bounds is an error that names the file, the line and the key.\n"
      "Sizes are in bytes, or end in K, M or G (powers of 1024).\n");
}

static void print_bounds(const struct config_key *key) {
  char text[CONFIG_TEXT];
  brig__config_expected(key, 1, text);
  printf("%s", text);
}

static void print_key(const struct config_key *key) {
  printf("| `%s` | `%s` | ", key->name, key->default_text[0] != '\0' ? key->default_text : "\"\"");
  print_bounds(key);
  printf(" | %s%s%s | %s%s%s | %s |\n", key->environment ? "`" : "",
         key->environment ? key->environment : "", key->environment ? "`" : "",
         key->flag ? "`" : "", key->flag ? key->flag : "", key->flag ? "`" : "", key->help);
}

int main(void) {
  print_intro();
  for (int section = 0; section < CONFIG_SECTION_COUNT; section++) {
    const struct config_section *row = &brig__config_sections[section];
    printf("## %s\n\n%s\n\n", row->name, row->help);
    puts(
        "| key | default | value | environment | flag | meaning |\n| --- | --- | --- | --- | --- | "
        "--- |");
    for (int i = 0; i < CONFIG_KEY_COUNT; i++)
      if (strcmp(brig__config_keys[i].section, row->name) == 0) print_key(&brig__config_keys[i]);
    putchar('\n');
  }
  puts(
      "## Example\n\n```yaml\nwasi:\n  memory_limit_bytes: 512M\n  execution_timeout_secs: 10\n"
      "  allowed_paths: []\njail:\n  require: [seccomp, landlock, user_namespace]\n```");
  return 0;
}
