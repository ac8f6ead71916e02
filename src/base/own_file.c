#include "base/own_file.h"

#include <brig/version.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/fd.h"

#ifndef BRIG_LIBEXECDIR
#define BRIG_LIBEXECDIR "/usr/local/libexec/brig"
#endif

/* The directory that the code around us was loaded from: that of libbrig.so, or
 * of the program that libbrig.a was linked into. */
static bool own_directory(char buffer[PATH_MAX]) {
  Dl_info info;
  char *slash;
  if (dladdr((void *)(uintptr_t)brig_version, &info) == 0 || info.dli_fname == NULL ||
      strstr(info.dli_fname, ".so") == NULL || realpath(info.dli_fname, buffer) == NULL) {
    ssize_t got = readlink("/proc/self/exe", buffer, PATH_MAX - 1);
    if (got <= 0) return false;
    buffer[got] = '\0';
  }
  slash = strrchr(buffer, '/');
  if (slash == NULL) return false;
  *slash = '\0';
  return true;
}

/* In a build, and in an installation from bin/, lib/ and lib/TRIPLET/. */
char *brig__own_file(const char *name) {
  static const char *const places[] = {"", "/../libexec/brig", "/../../libexec/brig"};
  char directory[PATH_MAX];
  bool known = own_directory(directory);
  for (size_t i = 0; known && i < sizeof places / sizeof *places; i++) {
    CLEANUP_FREE char *path = brig__format("%s%s/%s", directory, places[i], name);
    if (path != NULL && access(path, X_OK) == 0) return STEAL_PTR(path);
  }
  CLEANUP_FREE char *path = brig__format("%s/%s", BRIG_LIBEXECDIR, name);
  return path != NULL && access(path, X_OK) == 0 ? STEAL_PTR(path) : NULL;
}
