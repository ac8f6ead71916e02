#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* By the first byte: how long the character is, and what its second byte may be. */
static const struct {
  uint8_t first, last, length, low, high;
} forms[] = {
    {0x00, 0x7f, 1, 0x00, 0x00}, {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

/* The length of the character here, or 0. */
static size_t character(const uint8_t *at, size_t left) {
  size_t form = 0;
  while (form < sizeof forms / sizeof *forms && at[0] > forms[form].last) form++;
  if (form == sizeof forms / sizeof *forms || at[0] < forms[form].first) return 0;
  size_t length = forms[form].length;
  if (length > left) return 0;
  if (length > 1 && (at[1] < forms[form].low || at[1] > forms[form].high)) return 0;
  for (size_t i = 2; i < length; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  return length;
}

size_t brig__utf8_valid(const void *data, size_t size) {
  const uint8_t *bytes = data;
  size_t at = 0, length;
  while (at < size && (length = character(bytes + at, size - at)) > 0) at += length;
  return at;
}

static size_t count_wrong(const uint8_t *bytes, size_t size) {
  size_t wrong = 0;
  for (size_t at = 0; (at += brig__utf8_valid(bytes + at, size - at)) < size; at++) wrong++;
  return wrong;
}

char *brig__utf8_repair(const void *data, size_t size, size_t *ret_size) {
  const size_t each = sizeof REPLACEMENT - 1;
  const uint8_t *bytes = data;
  size_t total = size + count_wrong(bytes, size) * (each - 1);
  char *text = malloc(total + 1), *to = text;
  if (text == NULL) return NULL;
  for (size_t at = 0; at < size; at++) {
    size_t length = brig__utf8_valid(bytes + at, size - at);
    memcpy(to, bytes + at, length);
    to += length;
    at += length;
    if (at == size) break;
    memcpy(to, REPLACEMENT, each);
    to += each;
  }
  *to = '\0';
  *ret_size = total;
  return text;
}
