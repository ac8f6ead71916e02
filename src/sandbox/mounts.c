#include "sandbox/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"

const char brig__any_directory[] = "any";

/* Absolute, and no "." or ".." or empty component, by its spelling. */
static bool is_normal(const char *path) {
  if (path[0] != '/') return false;
  if (path[1] == '\0') return true;
  for (const char *at = path; *at == '/';) {
    const char *end = strchrnul(at + 1, '/');
    size_t length = (size_t)(end - (at + 1));
    if (length == 0 || (length == 1 && at[1] == '.') ||
        (length == 2 && at[1] == '.' && at[2] == '.'))
      return false;
    at = end;
  }
  return true;
}

/* The path as it is, with no symbolic link on its way: asked of the kernel, so
 * what is checked is what is opened. A descriptor or -errno. */
static int open_directory(const char *path) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                         .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  long fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  return fd < 0 ? -errno : (int)fd;
}

/* -ENOENT is left to the caller: for some paths it is a warning. */
static int open_canonical(const char *path, struct brig_error *err) {
  int fd = is_normal(path) ? open_directory(path) : -ELOOP;
  if (fd >= 0 || fd == -ENOENT) return fd;
  if (fd == -ELOOP) {
    CLEANUP_FREE char *canonical = realpath(path, NULL);
    return brig__fail(err, BRIG_E_PERMISSION, "permissions",
                      "%s is refused: it is not in its canonical form%s%s", path,
                      canonical != NULL ? ", which is " : "", canonical != NULL ? canonical : "");
  }
  if (fd == -ENOTDIR)
    return brig__fail(err, BRIG_E_PERMISSION, "permissions", "%s is not a directory", path);
  brig__fail_errno(err, -fd, "permissions", "%s", path);
  if (err != NULL) err->code = BRIG_E_PERMISSION;
  return BRIG_E_PERMISSION;
}

static bool is_within(const char *path, const char *directory) {
  size_t length = strlen(directory);
  if (strcmp(directory, "/") == 0) return true;
  return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* A guest that could write to the code cache could run code outside; one that
 * could read the workspaces would read every session. */
static int check_reserved(const struct brig_sandbox *sandbox, const char *path,
                          struct brig_error *err) {
  for (size_t i = 0; i < sandbox->reserved.count; i++) {
    const char *reserved = sandbox->reserved.items[i];
    if (is_within(reserved, path))
      return brig__fail(err, BRIG_E_PERMISSION, "permissions",
                        "%s is refused: it contains %s, which is Brig's own", path, reserved);
    if (i < sandbox->reserved_writable && is_within(path, reserved))
      return brig__fail(err, BRIG_E_PERMISSION, "permissions",
                        "%s is refused: it is inside %s, which is Brig's own", path, reserved);
  }
  return 0;
}

static int reserve(struct brig_sandbox *sandbox,
                   int (*find)(const struct brig_config *, char **, struct brig_error *),
                   struct brig_error *err) {
  CLEANUP_FREE char *configured = NULL;
  int rc = find(sandbox->config, &configured, err);
  if (rc < 0) return rc;
  /* One that is not there yet is made by its user later, under this name. */
  char *canonical = realpath(configured, NULL);
  if (canonical == NULL) canonical = STEAL_PTR(configured);
  return brig__strings_take(&sandbox->reserved, canonical) < 0
             ? brig__fail(err, BRIG_E_MEMORY, "config", "out of memory")
             : 0;
}

int brig__mounts_find_reserved(struct brig_sandbox *sandbox, struct brig_error *err) {
  int rc = reserve(sandbox, brig__config_cache_directory, err);
  if (rc == 0) rc = reserve(sandbox, brig__config_guests_directory, err);
  sandbox->reserved_writable = sandbox->reserved.count;
  if (rc == 0) rc = reserve(sandbox, brig__config_workspaces_directory, err);
  return rc;
}

static int note(struct brig_sandbox *sandbox, char *text, struct brig_error *err) {
  return brig__strings_take(&sandbox->notices, text) < 0
             ? brig__fail(err, BRIG_E_MEMORY, "config", "out of memory")
             : 0;
}

static int check_configured(struct brig_sandbox *sandbox, const char *path,
                            struct brig_error *err) {
  int rc = check_reserved(sandbox, path, err);
  if (rc < 0) return rc;
  CLEANUP_FD int fd = open_canonical(path, err);
  if (fd == -ENOENT)
    return note(sandbox, brig__format("wasi.allowed_paths: %s does not exist", path), err);
  if (fd < 0) return fd;
  if (strcmp(path, "/tmp") != 0) return 0;
  return note(sandbox,
              brig__format("guests can read the host's /tmp: wasi.allowed_paths says so (it is the "
                           "default, kept for compatibility); set it to [] to close it"),
              err);
}

int brig__mounts_check_configured(struct brig_sandbox *sandbox, struct brig_error *err) {
  const struct config_list *paths = &sandbox->settings->wasi_allowed_paths;
  int rc = 0;
  if (!sandbox->settings->wasi_enable_filesystem) return 0;
  for (size_t i = 0; i < paths->count && rc == 0; i++)
    rc = check_configured(sandbox, paths->items[i], err);
  return rc;
}

static int add(struct mounts *mounts, int fd, const char *name, bool read_write,
               struct brig_error *err) {
  char *copy = strdup(name);
  if (mounts->count == WIRE_MAX_MOUNTS || copy == NULL) {
    if (fd >= 0) close(fd);
    free(copy);
    return brig__fail(err, BRIG_E_INVALID, "permissions", "more than %d directories",
                      WIRE_MAX_MOUNTS);
  }
  mounts->items[mounts->count].fd = fd;
  mounts->items[mounts->count].name = copy;
  mounts->items[mounts->count].of_guest = false;
  mounts->items[mounts->count++].read_write = read_write;
  return 0;
}

/* Workers are not root; what root owns they see through an ID map, or else with
 * the rights of strangers. */
static int add_mapped(struct brig_sandbox *sandbox, struct mounts *mounts, int fd,
                      const char *name, bool read_write, struct brig_error *err) {
  return add(mounts, brig__mapped_directory(sandbox->mapped, fd, read_write), name, read_write,
             err);
}

static int add_path(struct brig_sandbox *sandbox, struct mounts *mounts, const char *host,
                    const char *name, bool read_write, struct brig_error *err) {
  int fd = open_canonical(host, err);
  if (fd == -ENOENT)
    return brig__fail(err, BRIG_E_PERMISSION, "permissions", "%s does not exist", host);
  if (fd < 0) return fd;
  return add_mapped(sandbox, mounts, fd, name, read_write, err);
}

static int add_requested(struct brig_sandbox *sandbox, struct mounts *mounts, const char *host,
                         const char *name, bool read_write, struct brig_error *err) {
  if (host == NULL || name[0] == '\0')
    return brig__fail(err, BRIG_E_INVALID, "permissions", "a mount without a name");
  if (host == brig__any_directory) return add(mounts, -1, name, read_write, err);
  if (!sandbox->settings->wasi_enable_filesystem)
    return brig__fail(err, BRIG_E_PERMISSION, "permissions",
                      "%s is refused: wasi.enable_filesystem is false", host);
  int rc = check_reserved(sandbox, host, err);
  return rc < 0 ? rc : add_path(sandbox, mounts, host, name, read_write, err);
}

/* The last one, under a second name. */
static int add_again(struct mounts *mounts, const char *name, struct brig_error *err) {
  size_t last = mounts->count - 1;
  int first = mounts->items[last].fd, fd = first;
  if (first >= 0 && (fd = fcntl(first, F_DUPFD_CLOEXEC, 0)) < 0)
    return brig__fail_errno(err, errno, "permissions", "%s", name);
  return add(mounts, fd, name, mounts->items[last].read_write, err);
}

static int add_configured(struct brig_sandbox *sandbox, struct mounts *mounts,
                          struct brig_error *err) {
  const struct config_list *paths = &sandbox->settings->wasi_allowed_paths;
  int rc = 0;
  if (!sandbox->settings->wasi_enable_filesystem) return 0;
  for (size_t i = 0; i < paths->count && rc == 0; i++) {
    int fd = open_canonical(paths->items[i], err);
    if (fd == -ENOENT) continue; /* a warning at start */
    rc = fd < 0 ? fd : add_mapped(sandbox, mounts, fd, paths->items[i], false, err);
  }
  return rc;
}

static int add_guest(struct brig_sandbox *sandbox, struct mounts *mounts, const struct guest *guest,
                     struct brig_error *err) {
  CLEANUP_FREE char *directory = NULL;
  int rc = 0;
  if (guest == NULL || guest->mount_count == 0) return 0;
  directory = brig__guest_directory(sandbox->guests_directory, guest);
  for (size_t i = 0; i < guest->mount_count && rc == 0 && directory != NULL; i++) {
    CLEANUP_FREE char *host = brig__format("%s/%s", directory, guest->mounts[i].host);
    CLEANUP_FREE char *canonical = host == NULL ? NULL : realpath(host, NULL);
    if (canonical == NULL)
      return brig__fail(err, BRIG_E_NOT_FOUND, "guest",
                        "%s is not whole: run `brig guest install %s`", guest->name, guest->name);
    rc = add_path(sandbox, mounts, canonical, guest->mounts[i].guest, false, err);
    if (rc == 0) mounts->items[mounts->count - 1].of_guest = true;
  }
  return directory == NULL ? brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory") : rc;
}

int brig__mounts_open(struct brig_sandbox *sandbox, const struct brig_request *request,
                      const struct guest *guest, struct mounts *ret_mounts,
                      struct brig_error *err) {
  int rc = request->without_allowed_paths ? 0 : add_configured(sandbox, ret_mounts, err);
  for (size_t i = 0; i < request->mount_count && rc == 0; i++) {
    const struct brig_mount *mount = &request->mounts[i];
    rc = add_requested(sandbox, ret_mounts, mount->host, mount->guest ? mount->guest : mount->host,
                       mount->flags & BRIG_MOUNT_READ_WRITE, err);
  }
  if (rc == 0 && request->workspace != NULL) {
    rc = add_requested(sandbox, ret_mounts, request->workspace, "/workspace", true, err);
    if (rc == 0) rc = add_again(ret_mounts, ".", err);
  }
  if (rc == 0 && request->memory != NULL)
    rc = add_requested(sandbox, ret_mounts, request->memory, "/memory", true, err);
  if (rc == 0) rc = add_guest(sandbox, ret_mounts, guest, err);
  return rc;
}

void brig__mounts_close(struct mounts *mounts) {
  for (size_t i = 0; i < mounts->count; i++) {
    if (mounts->items[i].fd >= 0) close(mounts->items[i].fd);
    free(mounts->items[i].name);
  }
  mounts->count = 0;
}
