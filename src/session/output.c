#include "session/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not inside a character. */
static size_t boundary(const uint8_t *data, size_t at, size_t size) {
  while (at < size && (data[at] & 0xc0) == 0x80) at++;
  return at;
}

bool brig__output_shorten(uint8_t **data, size_t *size, size_t limit, const char *kept_in) {
  char note[200];
  if (*size <= limit) return false;
  size_t head = boundary(*data, limit * 2 / 3, *size);
  size_t tail = boundary(*data, *size - limit / 3, *size);
  if (tail < head) tail = head;
  int length = snprintf(note, sizeof note, "\n[... %zu bytes are left out here%s%s ...]\n",
                        tail - head, kept_in[0] != '\0' ? "; all is in " : "", kept_in);
  size_t total = head + (size_t)length + (*size - tail);
  uint8_t *shorter = malloc(total + 1);
  if (shorter == NULL) return false;
  memcpy(shorter, *data, head);
  memcpy(shorter + head, note, (size_t)length);
  memcpy(shorter + head + (size_t)length, *data + tail, *size - tail);
  shorter[total] = 0;
  free(*data);
  *data = shorter;
  *size = total;
  return true;
}
