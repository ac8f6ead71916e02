#include "server/base64.h"

#include <openssl/evp.h>
#include <stdint.h>

#define SIZE_MAX_OF_OPENSSL ((size_t)INT32_MAX / 4)

char *brig__base64_encode(struct arena *arena, const void *data, size_t size, size_t *ret_size) {
  if (size > SIZE_MAX_OF_OPENSSL) return NULL;
  unsigned char *text = brig__arena_new(arena, (size + 2) / 3 * 4 + 1);
  if (text != NULL) *ret_size = (size_t)EVP_EncodeBlock(text, data, (int)size);
  return (char *)text;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* OpenSSL decodes, but lets "=" stand anywhere. */
static bool is_base64(const char *text, size_t size, size_t *ret_padding) {
  static const char alphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  bool known[256] = {false};
  for (const char *at = alphabet; *at != '\0'; at++) known[(unsigned char)*at] = true;
  size_t padding = 0;
  while (padding < 2 && padding < size && text[size - 1 - padding] == '=') padding++;
  for (size_t i = 0; i < size - padding; i++)
    if (!known[(unsigned char)text[i]]) return false;
  *ret_padding = padding;
  return size % 4 == 0 && size <= SIZE_MAX_OF_OPENSSL;
}

void *brig__base64_decode(struct arena *arena, const void *text, size_t size, size_t *ret_size) {
  const char *at = text;
  size_t padding;
  while (size > 0 && is_blank(at[0])) at++, size--;
  while (size > 0 && is_blank(at[size - 1])) size--;
  if (!is_base64(at, size, &padding)) return NULL;
  unsigned char *data = brig__arena_new(arena, size / 4 * 3 + 1);
  if (data == NULL) return NULL;
  int decoded = size == 0 ? 0 : EVP_DecodeBlock(data, (const unsigned char *)at, (int)size);
  if (decoded < 0) return NULL;
  *ret_size = (size_t)decoded - padding;
  return data;
}
