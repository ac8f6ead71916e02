#include "rpc/headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MESSAGE_MAX     2000 /* up to three times as much once encoded */
#define TIMEOUT_DIGITS  8
#define CONTENT_TYPE    "application/grpc"
#define CONTENT_SUBTYPE "+proto"

bool brig__rpc_is_grpc(const char *content_type, size_t size) {
  size_t length = sizeof CONTENT_TYPE - 1, more = sizeof CONTENT_SUBTYPE - 1;
  if (size < length || strncasecmp(content_type, CONTENT_TYPE, length) != 0) return false;
  if (size - length >= more && strncasecmp(content_type + length, CONTENT_SUBTYPE, more) == 0)
    length += more;
  return size == length || content_type[length] == ';' || content_type[length] == ' ';
}

int brig__rpc_timeout(const char *text, size_t size, uint64_t *ret_us) {
  static const struct {
    char unit;
    uint64_t times, divided;
  } units[] = {{'H', UINT64_C(3600000000), 1},
               {'M', 60000000, 1},
               {'S', 1000000, 1},
               {'m', 1000, 1},
               {'u', 1, 1},
               {'n', 1, 1000}};
  uint64_t value = 0;
  if (size < 2 || size > TIMEOUT_DIGITS + 1) return -EINVAL;
  for (size_t i = 0; i < size - 1; i++) {
    if (text[i] < '0' || text[i] > '9') return -EINVAL;
    value = value * 10 + (uint64_t)(text[i] - '0');
  }
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (text[size - 1] == units[i].unit) {
      *ret_us = (value * units[i].times + units[i].divided - 1) / units[i].divided;
      return 0;
    }
  return -EINVAL;
}

bool brig__rpc_path_is(const char *path, size_t size, const char *service, const char *name) {
  size_t first = strlen(service), second = strlen(name);
  return size == first + second + 2 && path[0] == '/' && path[first + 1] == '/' &&
         memcmp(path + 1, service, first) == 0 && memcmp(path + first + 2, name, second) == 0;
}

/* How much of it is sent: no more than MESSAGE_MAX, and no part of a character. */
static size_t message_length(const char *message) {
  size_t length = strnlen(message, MESSAGE_MAX + 1);
  if (length <= MESSAGE_MAX) return length;
  length = MESSAGE_MAX;
  while (length > 0 && ((unsigned char)message[length] & 0xC0) == 0x80) length--;
  return length;
}

char *brig__rpc_percent_encode(const char *message) {
  static const char digits[] = "0123456789ABCDEF";
  size_t length = message_length(message);
  char *encoded = malloc(3 * length + 1), *at = encoded;
  if (encoded == NULL) return NULL;
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)message[i];
    if (byte >= ' ' && byte <= '~' && byte != '%') {
      *at++ = (char)byte;
    } else {
      *at++ = '%';
      *at++ = digits[byte >> 4];
      *at++ = digits[byte & 15];
    }
  }
  *at = '\0';
  return encoded;
}

/* -1: it is none. */
static int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit |= 32;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

void brig__rpc_percent_decode(const char *message, size_t size, char *ret_text, size_t room) {
  size_t length = 0;
  for (size_t i = 0; i < size && length + 1 < room; i++) {
    int high = -1, low = -1;
    if (message[i] == '%' && size - i > 2) {
      high = digit_value(message[i + 1]);
      low = digit_value(message[i + 2]);
    }
    bool encoded = high >= 0 && low >= 0;
    char byte = message[i];
    if (encoded) {
      byte = (char)(high << 4 | low);
      i += 2;
    }
    ret_text[length++] = byte == '\0' ? '?' : byte;
  }
  ret_text[length] = '\0';
}
