#include "sandbox/sandbox_internal.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
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

/* Where a build leaves the helper, and where an installation does, from bin/,
 * lib/ and lib/TRIPLET/. */
int brig__sandbox_helper(const struct brig_settings *settings, char **ret_path,
                         struct brig_error *err) {
  static const char *const places[] = {"", "/../libexec/brig", "/../../libexec/brig"};
  char directory[PATH_MAX];
  char *path;
  if (settings->sandbox_helper[0] != '\0') {
    path = strdup(settings->sandbox_helper);
    if (path == NULL) return brig__fail(err, BRIG_E_MEMORY, "config", "out of memory");
    *ret_path = path;
    return 0;
  }
  bool known = own_directory(directory);
  for (size_t i = 0; known && i < sizeof places / sizeof *places; i++) {
    path = brig__format("%s%s/brig-helper", directory, places[i]);
    if (path == NULL) return brig__fail(err, BRIG_E_MEMORY, "config", "out of memory");
    if (access(path, X_OK) == 0) {
      *ret_path = path;
      return 0;
    }
    free(path);
  }
  if (access(BRIG_LIBEXECDIR "/brig-helper", X_OK) != 0)
    return brig__fail(err, BRIG_E_NOT_FOUND, "config",
                      "brig-helper is not beside the program, nor in " BRIG_LIBEXECDIR
                      ": set sandbox.helper to where it is");
  path = strdup(BRIG_LIBEXECDIR "/brig-helper");
  if (path == NULL) return brig__fail(err, BRIG_E_MEMORY, "config", "out of memory");
  *ret_path = path;
  return 0;
}
