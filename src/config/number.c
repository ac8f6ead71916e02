/* Numbers as people write them: decimal digits alone, and what may follow them.
 * Signs, blanks, exponents and leading zeros (which YAML 1.1 reads as octal) are
 * refused, because they are more often mistakes than wishes. */
#include "config/number.h"

#include <string.h>
#include <strings.h>

/* Reads digits up to the first other byte; NULL if there are none or too many. */
static const char *digits(const char *text, uint64_t *ret_number) {
  uint64_t number = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++)
    if (__builtin_mul_overflow(number, 10, &number) ||
        __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
      return NULL;
  if (at == text || (*text == '0' && at > text + 1)) return NULL;
  *ret_number = number;
  return at;
}

bool brig__config_read_number(const char *text, uint64_t scale, uint64_t *ret_number) {
  uint64_t number = 0;
  const char *end = digits(text, &number);
  if (end == NULL || *end != '\0') return false;
  return !__builtin_mul_overflow(number, scale, ret_number);
}

/* The bytes that a unit stands for; 0 if it is none. */
static uint64_t unit_bytes(const char *unit) {
  static const char letters[] = "KMG";
  if (*unit == '\0') return 1;
  for (unsigned i = 0; i < 3; i++) {
    if (strncasecmp(unit, &letters[i], 1) != 0) continue;
    bool whole =
        unit[1] == '\0' || strcasecmp(unit + 1, "B") == 0 || strcasecmp(unit + 1, "iB") == 0;
    return whole ? UINT64_C(1) << (10 * (i + 1)) : 0;
  }
  return 0;
}

bool brig__config_read_size(const char *text, uint64_t *ret_bytes) {
  uint64_t number = 0;
  const char *end = digits(text, &number);
  if (end == NULL) return false;
  if (*end == ' ' && end[1] != '\0') end++;
  uint64_t unit = unit_bytes(end);
  return unit != 0 && !__builtin_mul_overflow(number, unit, ret_bytes);
}

/* What follows the decimal point, as milliseconds; beyond them only zeros may. */
static bool fraction(const char *text, uint64_t *ret_ms) {
  uint64_t ms = 0, weight = 100;
  if (*text == '\0') return false;
  for (; *text != '\0'; text++, weight /= 10) {
    if (*text < '0' || *text > '9' || (weight == 0 && *text != '0')) return false;
    ms += weight * (uint64_t)(*text - '0');
  }
  *ret_ms = ms;
  return true;
}

bool brig__config_read_thousandths(const char *text, uint64_t *ret_thousandths) {
  uint64_t whole = 0, rest = 0;
  const char *end = digits(text, &whole);
  if (end == NULL || (*end != '.' && *end != '\0')) return false;
  if (*end == '.' && !fraction(end + 1, &rest)) return false;
  return !__builtin_mul_overflow(whole, UINT64_C(1000), &whole) &&
         !__builtin_add_overflow(whole, rest, ret_thousandths);
}

bool brig__config_read_truth(const char *text, bool *ret_truth) {
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
  for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcasecmp(text, words[i]) != 0) continue;
    *ret_truth = i % 2 == 1;
    return true;
  }
  return false;
}
