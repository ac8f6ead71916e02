#include <string.h>
#include "base/error.h"
#include "base/own_file.h"
#include "sandbox/sandbox_internal.h"

int brig__sandbox_helper(const struct brig_settings *settings, char **ret_path,
                         struct brig_error *err) {
  bool told = settings->sandbox_helper[0] != '\0';
  char *path = told ? strdup(settings->sandbox_helper) : brig__own_file("brig-helper");
  if (path == NULL)
    return brig__fail(err, told ? BRIG_E_MEMORY : BRIG_E_NOT_FOUND, "config",
                      told ? "out of memory"
                           : "brig-helper is not beside the program, nor in libexec/brig: set "
                             "sandbox.helper to where it is");
  *ret_path = path;
  return 0;
}
