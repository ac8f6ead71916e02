/* base/digest.h - SHA-256, by OpenSSL. */
#ifndef BRIG_BASE_DIGEST_H
#define BRIG_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct brig_digest {
  uint8_t bytes[32];
};

#define BRIG_DIGEST_HEX 65 /* with the 0 byte */

/* 0 or -errno. */
int brig__digest(const void *data, size_t size, struct brig_digest *ret_digest);

/* The same, of data that comes again and again: the last few are remembered, with the data.
 * Any thread. */
int brig__digest_repeated(const void *data, size_t size, struct brig_digest *ret_digest);

/* The digest of what is left to read of `fd`. 0 or -errno. */
int brig__digest_fd(int fd, struct brig_digest *ret_digest);

void brig__digest_hex(const struct brig_digest *digest, char ret_hex[BRIG_DIGEST_HEX]);

/* 0, or -EINVAL if `hex` is not 64 hexadecimal digits. */
int brig__digest_parse(const char *hex, struct brig_digest *ret_digest);

#endif
