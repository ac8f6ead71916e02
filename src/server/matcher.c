#include "server/matcher.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 50
#define HEAP_MAX_KIB 16384
/* From one place of the subject; and items of a pattern, from all places together. */
#define BACKTRACKS_MAX 1000000
#define ITEMS_MAX      2000000

struct matcher {
  pcre2_code *code;
  pcre2_match_data *data;
  pcre2_match_context *context;
  uint64_t items;
};

/* Before each item of a pattern: PCRE2's own limit begins anew at each place where a match
 * could begin, so that long lines would take that many times as long. */
static int count_item(pcre2_callout_block *block, void *context) {
  struct matcher *matcher = context;
  (void)block;
  return ++matcher->items > ITEMS_MAX ? PCRE2_ERROR_CALLOUT : 0;
}

static int compile(struct matcher *matcher, enum matcher_kind kind, const uint8_t *pattern,
                   size_t size) {
  uint32_t options = PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
  size_t where;
  int code = 0;
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  if (context == NULL) return PCRE2_ERROR_NOMEMORY;
  if (kind == MATCH_TEXT) options = PCRE2_LITERAL | PCRE2_MATCH_INVALID_UTF;
  if (kind == MATCH_REGEX) options |= PCRE2_AUTO_CALLOUT;
  pcre2_set_parens_nest_limit(context, NESTING_MAX);
  matcher->code = pcre2_compile(pattern, size, options, &code, &where, context);
  pcre2_compile_context_free(context);
  return matcher->code != NULL ? 0 : code;
}

static int compile_name(struct matcher *matcher, const uint8_t *pattern, size_t size) {
  PCRE2_UCHAR *converted = NULL;
  size_t converted_size;
  int code = pcre2_pattern_convert(pattern, size, PCRE2_CONVERT_GLOB | PCRE2_CONVERT_UTF,
                                   &converted, &converted_size, NULL);
  if (code == 0) code = compile(matcher, MATCH_NAME, converted, converted_size);
  pcre2_converted_pattern_free(converted);
  return code;
}

static int prepare(struct matcher *matcher) {
  matcher->data = pcre2_match_data_create(1, NULL);
  matcher->context = pcre2_match_context_create(NULL);
  if (matcher->data == NULL || matcher->context == NULL) return PCRE2_ERROR_NOMEMORY;
  pcre2_set_match_limit(matcher->context, BACKTRACKS_MAX);
  pcre2_set_heap_limit(matcher->context, HEAP_MAX_KIB);
  pcre2_set_callout(matcher->context, count_item, matcher);
  return 0;
}

int brig__matcher_new(enum matcher_kind kind, const void *pattern, size_t size,
                      struct matcher **ret_matcher, char ret_message[static 128]) {
  struct matcher *matcher = size > MATCHER_PATTERN_MAX ? NULL : calloc(1, sizeof *matcher);
  if (matcher == NULL) {
    snprintf(ret_message, 128, "a pattern has at most %d bytes", MATCHER_PATTERN_MAX);
    return -1;
  }
  int code = kind == MATCH_NAME ? compile_name(matcher, pattern, size)
                                : compile(matcher, kind, pattern, size);
  if (code == 0) code = prepare(matcher);
  if (code == 0) {
    *ret_matcher = matcher;
    return 0;
  }
  brig__matcher_free(matcher);
  if (pcre2_get_error_message(code, (PCRE2_UCHAR *)ret_message, 128) < 0)
    snprintf(ret_message, 128, "it is no pattern");
  return -1;
}

void brig__matcher_free(struct matcher *matcher) {
  if (matcher == NULL) return;
  pcre2_match_context_free(matcher->context);
  pcre2_match_data_free(matcher->data);
  pcre2_code_free(matcher->code);
  free(matcher);
}

int brig__matcher_try(struct matcher *matcher, const void *subject, size_t size) {
  matcher->items = 0;
  int rc = pcre2_match(matcher->code, subject, size, 0, 0, matcher->data, matcher->context);
  if (rc >= 0) return 1;
  return rc == PCRE2_ERROR_NOMATCH ? 0 : -1;
}
