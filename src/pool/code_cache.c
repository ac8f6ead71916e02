#include "pool/code_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "pool/wire.h"

#define SUFFIX ".code"
/* A file being written has this prefix; one of yesterday's was abandoned. */
#define PART           ".part-"
#define PART_ABANDONED (24 * 3600)

struct code_cache {
  int directory;
  uint64_t max_bytes;
};

struct header {
  char magic[8];
  uint64_t code_size;
  struct module_facts facts;
};
static const char magic[8] = "BRIGCD1";

int brig__code_cache_open(const char *directory, uint64_t max_bytes, struct code_cache **ret_cache,
                          struct brig_error *err) {
  struct stat st;
  int rc = brig__mkdir_p(directory);
  CLEANUP_FD int fd = rc < 0 ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0)
    return brig__fail_errno(err, rc < 0 ? -rc : errno, "config", "cache directory %s", directory);
  if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
    return brig__fail(err, BRIG_E_CONFIG, "config",
                      "the cache directory %s must belong to uid %u and be writable by nobody "
                      "else: it holds code that is run (chmod 700, or set cache.directory)",
                      directory, geteuid());
  struct code_cache *cache = calloc(1, sizeof *cache);
  if (cache == NULL) return brig__fail(err, BRIG_E_MEMORY, "config", "out of memory");
  *cache = (struct code_cache){.directory = STEAL_FD(fd), .max_bytes = max_bytes};
  *ret_cache = cache;
  return 0;
}

void brig__code_cache_close(struct code_cache *cache) {
  if (cache == NULL) return;
  close(cache->directory);
  free(cache);
}

static void name_of(const struct brig_digest *key, char name[BRIG_DIGEST_HEX + sizeof SUFFIX]) {
  brig__digest_hex(key, name);
  strcat(name, SUFFIX);
}

static int copy(int from, off_t offset, int to, uint64_t size) {
  while (size > 0) {
    ssize_t done = sendfile(to, from, &offset, size > 1u << 30 ? 1u << 30 : size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -errno;
    if (done == 0) return -EIO;
    size -= (uint64_t)done;
  }
  return 0;
}

int brig__code_cache_load(struct code_cache *cache, const struct brig_digest *key,
                          struct module_facts *ret_facts) {
  char name[BRIG_DIGEST_HEX + sizeof SUFFIX];
  struct header header;
  struct stat st;
  name_of(key, name);
  CLEANUP_FD int file = openat(cache->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return -errno;
  if (brig__read_all(file, &header, sizeof header) != (ssize_t)sizeof header ||
      memcmp(header.magic, magic, sizeof magic) != 0 || fstat(file, &st) < 0 ||
      (uint64_t)st.st_size != sizeof header + header.code_size)
    return -ENOENT; /* not whole: made again */
  CLEANUP_FD int code = brig__memfd(WIRE_CODE_NAME);
  if (code < 0) return code;
  int rc = copy(file, sizeof header, code, header.code_size);
  if (rc == 0) rc = brig__seal(code);
  if (rc < 0) return rc;
  futimens(file, NULL);
  *ret_facts = header.facts;
  return STEAL_FD(code);
}

static int write_part(struct code_cache *cache, const char *part, int code_fd,
                      const struct module_facts *facts) {
  struct stat st;
  if (fstat(code_fd, &st) < 0) return -errno;
  struct header header = {.code_size = (uint64_t)st.st_size, .facts = *facts};
  memcpy(header.magic, magic, sizeof magic);
  CLEANUP_FD int file =
      openat(cache->directory, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return -errno;
  int rc = brig__write_all(file, &header, sizeof header);
  if (rc == 0) rc = copy(code_fd, 0, file, header.code_size);
  /* Without this a crash could leave the name with other content. */
  if (rc == 0 && fsync(file) < 0) rc = -errno;
  return rc;
}

struct entry {
  char name[NAME_MAX + 1];
  uint64_t size;
  struct timespec used;
};

static int older_first(const void *a, const void *b) {
  const struct entry *left = a, *right = b;
  if (left->used.tv_sec != right->used.tv_sec)
    return left->used.tv_sec < right->used.tv_sec ? -1 : 1;
  return (left->used.tv_nsec > right->used.tv_nsec) - (left->used.tv_nsec < right->used.tv_nsec);
}

static bool has_suffix(const char *name) {
  size_t length = strlen(name);
  return length > strlen(SUFFIX) && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* List the code files; remove abandoned parts on the way. NULL if out of memory. */
static struct entry *list(struct code_cache *cache, size_t *ret_count) {
  struct entry *entries = NULL;
  size_t count = 0, capacity = 0;
  DIR *directory = brig__open_directory(cache->directory, ".");
  if (directory == NULL) return NULL;
  for (struct dirent *item; (item = readdir(directory)) != NULL;) {
    struct stat st;
    if (fstatat(cache->directory, item->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (strncmp(item->d_name, PART, strlen(PART)) == 0 &&
        st.st_mtim.tv_sec + PART_ABANDONED < time(NULL))
      unlinkat(cache->directory, item->d_name, 0);
    if (!has_suffix(item->d_name)) continue;
    if (count == capacity) {
      capacity = capacity == 0 ? 64 : 2 * capacity;
      struct entry *more = realloc(entries, capacity * sizeof *more);
      if (more == NULL) break;
      entries = more;
    }
    entries[count] = (struct entry){.size = (uint64_t)st.st_size, .used = st.st_mtim};
    snprintf(entries[count++].name, sizeof entries->name, "%s", item->d_name);
  }
  closedir(directory);
  *ret_count = count;
  return entries;
}

static void evict(struct code_cache *cache, const char *except) {
  size_t count = 0;
  uint64_t total = 0;
  struct entry *entries = list(cache, &count);
  if (entries == NULL) return;
  qsort(entries, count, sizeof *entries, older_first);
  for (size_t i = 0; i < count; i++) total += entries[i].size;
  for (size_t i = 0; i < count && total > cache->max_bytes; i++) {
    if (strcmp(entries[i].name, except) == 0) continue;
    if (unlinkat(cache->directory, entries[i].name, 0) == 0) total -= entries[i].size;
  }
  free(entries);
}

int brig__code_cache_store(struct code_cache *cache, const struct brig_digest *key, int code_fd,
                           const struct module_facts *facts) {
  static atomic_uint counter;
  char name[BRIG_DIGEST_HEX + sizeof SUFFIX], part[64];
  name_of(key, name);
  snprintf(part, sizeof part, PART "%d-%u", getpid(), atomic_fetch_add(&counter, 1));
  int rc = write_part(cache, part, code_fd, facts);
  if (rc == 0 && renameat(cache->directory, part, cache->directory, name) < 0) rc = -errno;
  if (rc < 0)
    unlinkat(cache->directory, part, 0);
  else
    evict(cache, name);
  return rc;
}
