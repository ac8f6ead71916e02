/* config/number.h - reading numbers, sizes, times and truth values from text.
 * Pure functions: false, and no result, if the whole text is not one. Bounds are
 * the caller's.
 */
#ifndef BRIG_CONFIG_NUMBER_H
#define BRIG_CONFIG_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* "12": a whole number, times `scale`. */
bool brig__config_read_number(const char *text, uint64_t scale, uint64_t *ret_number);

/* "4096", "64K", "1 GiB": powers of 1024. */
bool brig__config_read_size(const char *text, uint64_t *ret_bytes);

/* "30", "0.25": in thousandths, such as seconds as milliseconds. */
bool brig__config_read_thousandths(const char *text, uint64_t *ret_thousandths);

/* true, yes and on; false, no and off. */
bool brig__config_read_truth(const char *text, bool *ret_truth);

#endif
