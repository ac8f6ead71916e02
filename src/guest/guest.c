#include "guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "guest/package.h"

bool brig__guest_is_built(const struct guest *guest) {
  return strcmp(guest->registry, "build") == 0;
}

bool brig__guest_named(const struct guest *guest, const char *name) {
  size_t length = strlen(guest->name);
  if (strncmp(name, guest->name, length) != 0) return false;
  return name[length] == '\0' ||
         (name[length] == '@' && strcmp(name + length + 1, guest->version) == 0);
}

static int no_such(const struct guest *rows, size_t count, const char *name,
                   struct brig_error *err) {
  char names[256] = "";
  for (size_t i = 0, used = 0; i < count; i++) {
    int more = snprintf(names + used, sizeof names - used, "%s%s@%s", i > 0 ? ", " : "",
                        rows[i].name, rows[i].version);
    if (more > 0 && used + (size_t)more < sizeof names) used += (size_t)more;
  }
  return brig__fail(err, BRIG_E_NOT_FOUND, "guest", "there is no interpreter %s; there are: %s",
                    name, names);
}

/* The first row of NAME that is installed, and its path; or NULL. */
static const struct guest *first_installed(const char *guests_directory, const char *name,
                                           const struct guest *rows, size_t count,
                                           char **ret_path) {
  for (size_t i = 0; i < count; i++)
    if (brig__guest_named(&rows[i], name) &&
        brig__guest_path(guests_directory, &rows[i], ret_path, NULL) == 0)
      return &rows[i];
  return NULL;
}

int brig__guest_find(const char *guests_directory, const char *name, enum guest_source source,
                     const struct guest **ret_guest, struct brig_error *err) {
  const struct guest *rows, *any = NULL, *found = NULL;
  CLEANUP_FREE char *path = NULL;
  size_t count;
  int rc = brig__guest_manifest(&rows, &count, err);
  if (rc < 0) return rc;
  if (source == GUEST_ANY) found = first_installed(guests_directory, name, rows, count, &path);
  for (size_t i = 0; i < count && found == NULL; i++) {
    if (!brig__guest_named(&rows[i], name)) continue;
    if (any == NULL) any = &rows[i];
    if (brig__guest_is_built(&rows[i]) == (source == GUEST_BUILD)) found = &rows[i];
  }
  if (found == NULL && any == NULL) return no_such(rows, count, name, err);
  if (found == NULL && source != GUEST_ANY)
    return brig__fail(err, BRIG_E_NOT_FOUND, "guest",
                      source == GUEST_BUILD ? "no recipe builds %s: `brig guest install` fetches it"
                                            : "no registry has %s: `brig guest build` builds it",
                      name);
  *ret_guest = found != NULL ? found : any;
  return 0;
}

static bool equal_lists(const char *const *a, const char *const *b) {
  for (; *a != NULL && *b != NULL; a++, b++)
    if (strcmp(*a, *b) != 0) return false;
  return *a == NULL && *b == NULL;
}

const struct guest *brig__guest_for_client(const struct brig_digest *module,
                                           const char *const *arguments) {
  const struct guest *rows;
  size_t count;
  if (arguments == NULL || brig__guest_manifest(&rows, &count, NULL) < 0) return NULL;
  for (size_t i = 0; i < count; i++)
    if (rows[i].client[0] != NULL && equal_lists(rows[i].client, arguments) &&
        memcmp(&rows[i].digest, module, sizeof *module) == 0)
      return &rows[i];
  return NULL;
}

char *brig__guest_directory(const char *guests_directory, const struct guest *guest) {
  return brig__format("%s/%s-%s", guests_directory, guest->name, guest->version);
}

static int not_installed(const struct guest *guest, struct brig_error *err) {
  return brig__fail(err, BRIG_E_NOT_FOUND, "guest",
                    "the interpreter %s is not installed: run `brig guest %s %s`", guest->name,
                    brig__guest_is_built(guest) ? "build" : "install", guest->name);
}

int brig__guest_path(const char *guests_directory, const struct guest *guest, char **ret_path,
                     struct brig_error *err) {
  char *path =
      brig__format("%s/%s-%s/%s", guests_directory, guest->name, guest->version, guest->module);
  if (path == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  if (access(path, R_OK) < 0) {
    free(path);
    return not_installed(guest, err);
  }
  *ret_path = path;
  return 0;
}

int brig__guest_find_installed(const char *guests_directory, const char *name,
                               const struct guest **ret_guest, char **ret_path,
                               struct brig_error *err) {
  const struct guest *rows;
  size_t count;
  int rc = brig__guest_manifest(&rows, &count, err);
  if (rc < 0) return rc;
  *ret_guest = first_installed(guests_directory, name, rows, count, ret_path);
  if (*ret_guest != NULL) return 0;
  rc = brig__guest_find(guests_directory, name, GUEST_ANY, ret_guest, err);
  return rc < 0 ? rc : not_installed(*ret_guest, err);
}

static int check_digest(int directory, const char *name, const struct brig_digest *wanted,
                        struct brig_error *err) {
  struct brig_digest digest;
  CLEANUP_FD int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return brig__fail(err, BRIG_E_INTEGRITY, "guest", "%s is missing: install it again", name);
  int rc = brig__digest_fd(fd, &digest);
  if (rc < 0) return brig__fail_errno(err, -rc, "guest", "reading %s", name);
  if (memcmp(&digest, wanted, sizeof digest) != 0)
    return brig__fail(err, BRIG_E_INTEGRITY, "guest",
                      "%s is not what was installed: remove its directory and install it again",
                      name);
  return 0;
}

/* Lines of "DIGEST  NAME", as sha256sum -c reads them. */
static int check_lines(int directory, char *lines, struct brig_error *err) {
  int rc = 0;
  char *rest = NULL;
  for (char *line = strtok_r(lines, "\n", &rest); line != NULL && rc == 0;
       line = strtok_r(NULL, "\n", &rest)) {
    struct brig_digest digest;
    char hex[BRIG_DIGEST_HEX] = "";
    if (strlen(line) > BRIG_DIGEST_HEX + 1) memcpy(hex, line, BRIG_DIGEST_HEX - 1);
    if (brig__digest_parse(hex, &digest) < 0)
      return brig__fail(err, BRIG_E_INTEGRITY, "guest", "the list " GUEST_FILES " is damaged");
    rc = check_digest(directory, line + BRIG_DIGEST_HEX + 1, &digest, err);
  }
  return rc;
}

int brig__guest_verify(const char *guests_directory, const struct guest *guest,
                       struct brig_error *err) {
  CLEANUP_FREE char *path = brig__guest_directory(guests_directory, guest);
  CLEANUP_FREE char *lines = NULL;
  size_t size;
  if (path == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  CLEANUP_FD int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return not_installed(guest, err);
  int rc = brig__read_file(directory, GUEST_FILES, 1 << 20, &lines, &size);
  if (rc < 0)
    return brig__fail(err, BRIG_E_INTEGRITY, "guest", "%s/%s is missing", path, GUEST_FILES);
  rc = check_lines(directory, lines, err);
  return rc < 0 ? rc : check_digest(directory, guest->module, &guest->digest, err);
}
