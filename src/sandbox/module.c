#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"

static int too_large(size_t size, uint64_t max, struct brig_error *err) {
  return brig__fail(err, BRIG_E_TOO_LARGE, "module",
                    "the module has %zu bytes, more than the %llu that wasi.max_module_bytes "
                    "allows",
                    size, (unsigned long long)max);
}

/* The first eight bytes: a magic number and the version of the format. */
static int check_head(const uint8_t *head, size_t size, struct brig_error *err) {
  static const uint8_t magic[] = {0, 'a', 's', 'm'}, module[] = {1, 0, 0, 0},
                       component[] = {0x0d, 0, 1, 0};
  if (size < sizeof magic || memcmp(head, magic, sizeof magic) != 0)
    return brig__fail(err, BRIG_E_MODULE, "module",
                      "not WebAssembly: it does not begin with \\0asm");
  if (size >= 8 && memcmp(head + 4, component, sizeof component) == 0)
    return brig__fail(err, BRIG_E_MODULE, "module",
                      "this is a component (a package of modules with typed interfaces, WASI "
                      "preview 2), and Brig runs core modules: build it for wasm32-wasip1");
  if (size < 8 || memcmp(head + 4, module, sizeof module) != 0)
    return brig__fail(err, BRIG_E_MODULE, "module", "not version 1 of the WebAssembly format");
  return 0;
}

static int open_file(const char *path, int *ret_fd, size_t *ret_size, struct brig_error *err) {
  struct stat st;
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 && errno == ENOENT)
    return brig__fail(err, BRIG_E_NOT_FOUND, "module", "there is no module %s", path);
  if (fd < 0 || fstat(fd, &st) < 0)
    return brig__fail_errno(err, errno, "module", "module %s", path);
  if (!S_ISREG(st.st_mode))
    return brig__fail(err, BRIG_E_MODULE, "module", "%s is not a file", path);
  *ret_fd = STEAL_FD(fd);
  *ret_size = (size_t)st.st_size;
  return 0;
}

static int open_path(struct module *module, const char *path, uint64_t max,
                     struct brig_error *err) {
  uint8_t head[8];
  int rc = open_file(path, &module->fd, &module->size, err);
  if (rc < 0) return rc;
  if (module->size > max) return too_large(module->size, max, err);
  ssize_t got = pread(module->fd, head, sizeof head, 0);
  if (got < 0) return brig__fail_errno(err, errno, "module", "reading %s", path);
  rc = check_head(head, (size_t)got, err);
  if (rc < 0) return rc;
  module->path = strdup(path);
  return module->path == NULL ? brig__fail(err, BRIG_E_MEMORY, "module", "out of memory") : 0;
}

static int open_bytes(struct module *module, const struct brig_request *request, uint64_t max,
                      struct brig_error *err) {
  module->bytes = request->module;
  module->size = request->module_size;
  if (module->size > max) return too_large(module->size, max, err);
  int rc = check_head(module->bytes, module->size, err);
  if (rc < 0) return rc;
  rc = brig__digest(module->bytes, module->size, &module->digest);
  return rc < 0 ? brig__fail_errno(err, -rc, "module", "the module's digest") : 0;
}

static int digest_file(const struct brig_sandbox *sandbox, struct module *module,
                       struct brig_error *err) {
  int rc = brig__file_digests_get(sandbox->digests, module->fd, &module->digest);
  return rc < 0 ? brig__fail_errno(err, -rc, "module", "reading %s", module->path) : 0;
}

int brig__module_open(const struct brig_sandbox *sandbox, const struct brig_request *request,
                      struct module *module, struct brig_error *err) {
  uint64_t max = sandbox->settings->wasi_max_module_bytes;
  int named = (request->module != NULL) + (request->module_path != NULL) + (request->guest != NULL);
  if (named != 1)
    return brig__fail(err, BRIG_E_INVALID, "module",
                      "a request names one of module, module_path and guest; this one %d", named);
  /* Installing checked it against this digest; nobody else writes there. It is opened
   * only if it is not compiled yet. */
  if (module->guest != NULL) {
    module->digest = module->guest->digest;
    return 0;
  }
  if (request->module != NULL) return open_bytes(module, request, max, err);
  int rc = open_path(module, request->module_path, max, err);
  return rc < 0 ? rc : digest_file(sandbox, module, err);
}

static int copy_file(struct module *module, struct brig_error *err) {
  int rc = module->fd >= 0 ? 0 : open_file(module->path, &module->fd, &module->size, err);
  if (rc < 0) return rc;
  CLEANUP_FREE char *data = malloc(module->size + 1);
  struct brig_digest digest;
  if (data == NULL) return brig__fail(err, BRIG_E_MEMORY, "module", "out of memory");
  if (lseek(module->fd, 0, SEEK_SET) < 0 ||
      brig__read_all(module->fd, data, module->size) != (ssize_t)module->size)
    return brig__fail(err, BRIG_E_MODULE, "module", "%s changed while it was read", module->path);
  /* What is compiled must be what its name in the cache says. */
  if (brig__digest(data, module->size, &digest) < 0 ||
      memcmp(&digest, &module->digest, sizeof digest) != 0)
    return brig__fail(err, BRIG_E_INTEGRITY, "module",
                      module->guest != NULL ? "%s is not what was installed: run `brig guest "
                                              "verify` and install it again"
                                            : "%s changed while it was read",
                      module->path);
  int fd = brig__sealed_memfd("brig-module", data, module->size);
  return fd < 0 ? brig__fail_errno(err, -fd, "module", "copying the module") : fd;
}

int brig__module_bytes(void *context, struct brig_error *err) {
  struct module *module = context;
  if (module->bytes == NULL) return copy_file(module, err);
  int fd = brig__sealed_memfd("brig-module", module->bytes, module->size);
  return fd < 0 ? brig__fail_errno(err, -fd, "module", "copying the module") : fd;
}

void brig__module_close(struct module *module) {
  if (module->fd >= 0) close(module->fd);
  free(module->path);
  *module = (struct module){.fd = -1};
}
