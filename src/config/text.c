/* Values, bounds and places in words, for messages and the documentation. */
#include "config/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define SHOWN      40  /* bytes shown of a wrong value */
#define PATH_SHOWN 200 /* bytes shown of a path, which are its last */

/* Only plain ASCII goes through, so that no value can forge a line of a log or
 * make the message something other than UTF-8. */
void brig__config_quote(const char *text, size_t size, char ret_quoted[CONFIG_TEXT]) {
  size_t used = 1;
  ret_quoted[0] = '"';
  for (size_t i = 0; i < size && i < SHOWN; i++) {
    unsigned char byte = (unsigned char)text[i];
    bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
    used += (size_t)snprintf(ret_quoted + used, CONFIG_TEXT - used, plain ? "%c" : "\\x%02x", byte);
  }
  snprintf(ret_quoted + used, CONFIG_TEXT - used, size > SHOWN ? "...\"" : "\"");
}

void brig__config_bytes(uint64_t bytes, char ret_text[CONFIG_TEXT]) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; unit < 5 && bytes != 0 && bytes % 1024 == 0; unit++) bytes /= 1024;
  snprintf(ret_text, CONFIG_TEXT, "%" PRIu64 " %s", bytes, units[unit]);
}

void brig__config_seconds(uint64_t ms, char ret_text[CONFIG_TEXT]) {
  int used = snprintf(ret_text, CONFIG_TEXT, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000));
  while (ret_text[used - 1] == '0') ret_text[--used] = '\0';
  if (ret_text[used - 1] == '.') ret_text[--used] = '\0';
}

static void expect_size(const struct config_key *key, char ret_text[CONFIG_TEXT]) {
  char min[CONFIG_TEXT], max[CONFIG_TEXT];
  brig__config_bytes(key->min, min);
  brig__config_bytes(key->max, max);
  snprintf(ret_text, CONFIG_TEXT, "a size from %.40s to %.40s (in bytes, or with K, M or G)", min,
           max);
}

static void expect_seconds(const struct config_key *key, char ret_text[CONFIG_TEXT]) {
  char min[CONFIG_TEXT], max[CONFIG_TEXT];
  brig__config_seconds(key->min, min);
  brig__config_seconds(key->max, max);
  snprintf(ret_text, CONFIG_TEXT, "seconds from %.40s to %.40s, with at most 3 decimals", min, max);
}

static void expect_fraction(const struct config_key *key, char ret_text[CONFIG_TEXT]) {
  char min[CONFIG_TEXT], max[CONFIG_TEXT];
  brig__config_seconds(key->min, min); /* thousandths too */
  brig__config_seconds(key->max, max);
  snprintf(ret_text, CONFIG_TEXT, "a number from %.40s to %.40s, with at most 3 decimals", min,
           max);
}

static void expect_number(const struct config_key *key, uint64_t scale,
                          char ret_text[CONFIG_TEXT]) {
  uint64_t min = key->min / scale + (key->min % scale != 0), max = key->max / scale;
  snprintf(ret_text, CONFIG_TEXT, "a whole number from %" PRIu64 " to %" PRIu64, min, max);
}

void brig__config_expected(const struct config_key *key, uint64_t scale,
                           char ret_text[CONFIG_TEXT]) {
  if (key->type == CONFIG_U64 || scale != 1) return expect_number(key, scale, ret_text);
  if (key->type == CONFIG_SIZE) return expect_size(key, ret_text);
  if (key->type == CONFIG_SECONDS) return expect_seconds(key, ret_text);
  if (key->type == CONFIG_FRACTION) return expect_fraction(key, ret_text);
  if (key->type == CONFIG_BOOL) {
    snprintf(ret_text, CONFIG_TEXT, "true or false");
    return;
  }
  if (key->type == CONFIG_TEMPLATES) {
    snprintf(ret_text, CONFIG_TEXT,
             "in a file, a mapping of at most %" PRIu64 " names to templates", key->max);
    return;
  }
  if (key->type == CONFIG_LIST)
    snprintf(ret_text, CONFIG_TEXT, "a list of at most %" PRIu64 " strings", key->max);
  else
    snprintf(ret_text, CONFIG_TEXT, "%s of at most %" PRIu64 " bytes",
             key->type == CONFIG_PATH ? "an absolute path" : "a string", key->max);
}

void brig__config_where(const struct config_key *key, const struct config_source *source,
                        char ret_text[CONFIG_WHERE]) {
  const char *name = key ? key->full : "";
  if (source->variable != NULL) {
    snprintf(ret_text, CONFIG_WHERE, "%s", source->variable);
  } else if (source->file != NULL) {
    size_t length = strlen(source->file);
    bool cut = length > PATH_SHOWN;
    const char *shown = cut ? source->file + length - PATH_SHOWN : source->file;
    snprintf(ret_text, CONFIG_WHERE, "%s%s:%zu%s%s", cut ? "..." : "", shown, source->line,
             key ? ": " : "", name);
  } else {
    bool flag = key != NULL && key->flag != NULL;
    snprintf(ret_text, CONFIG_WHERE, flag ? "%s (%s)" : "%s", name, flag ? key->flag : "");
  }
}

int brig__config_mismatch(const struct config_key *key, const struct config_source *source,
                          const char *got, struct brig_error *err) {
  char where[CONFIG_WHERE], expected[CONFIG_TEXT];
  brig__config_where(key, source, where);
  brig__config_expected(key, source->variable ? key->scale : 1, expected);
  return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE, "%s: expected %s, got %s", where, expected,
                    key->secret ? "something else" : got);
}

int brig__config_no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, CONFIG_STAGE, "no memory for the configuration");
}
