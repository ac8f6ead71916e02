/* Where Brig keeps things when no key says so: systemd's directories for a
 * service, else the XDG base directories of the user. */
#include "config/internal.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

/* One thing that is kept, and where. */
struct place {
  enum config_index key;
  const char *systemd, *below_systemd; /* a variable, and what to add to it */
  const char *xdg, *below_xdg;
  const char *below_home;
};

static int fresh(char *path, char **ret_path, struct brig_error *err) {
  if (path == NULL) return brig__config_no_memory(err);
  *ret_path = path;
  return 0;
}

/* A variable's value if it is an absolute path: the XDG specification tells to
 * ignore others, since they would depend on the working directory. */
static const char *absolute(const char *variable) {
  const char *value = getenv(variable);
  return value != NULL && *value == '/' ? value : NULL;
}

/* The home directory that the user database gives, in fresh memory, NULL if it
 * gives none; -1 for want of memory. */
static int database_home(char **ret_home) {
  size_t size = 65536;
  CLEANUP_FREE char *buffer = malloc(size);
  if (buffer == NULL) return -1;
  struct passwd row, *found = NULL;
  char *home = NULL;
  if (getpwuid_r(geteuid(), &row, buffer, size, &found) == ENOMEM) return -1;
  if (found != NULL && found->pw_dir != NULL && *found->pw_dir == '/') {
    home = strdup(found->pw_dir);
    if (home == NULL) return -1;
  }
  *ret_home = home;
  return 0;
}

static int under_home(const struct place *place, char **ret_path, struct brig_error *err) {
  CLEANUP_FREE char *found = NULL;
  const char *home = absolute("HOME");
  if (home == NULL && database_home(&found) < 0) return brig__config_no_memory(err);
  if (home == NULL) home = found;
  if (home == NULL)
    return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE,
                      "there is no home directory to keep things in: set %s, or HOME",
                      brig__config_keys[place->key].full);
  const char *slash = strcmp(home, "/") == 0 ? "" : "/";
  return fresh(brig__format("%s%s%s", home, slash, place->below_home), ret_path, err);
}

/* systemd lists several directories with colons between; the first is ours. */
static int find(const struct place *place, const char *configured, char **ret_path,
                struct brig_error *err) {
  if (*configured != '\0') return fresh(strdup(configured), ret_path, err);
  const char *systemd = absolute(place->systemd), *xdg = absolute(place->xdg);
  if (systemd != NULL) {
    int length = (int)strcspn(systemd, ":");
    return fresh(brig__format("%.*s%s", length, systemd, place->below_systemd), ret_path, err);
  }
  if (xdg != NULL) return fresh(brig__format("%s/%s", xdg, place->below_xdg), ret_path, err);
  return under_home(place, ret_path, err);
}

int brig__config_cache_directory(const struct brig_config *config, char **ret_path,
                                 struct brig_error *err) {
  static const struct place place = {.key = CONFIG_KEY_cache_directory,
                                     .systemd = "CACHE_DIRECTORY",
                                     .below_systemd = "",
                                     .xdg = "XDG_CACHE_HOME",
                                     .below_xdg = "brig",
                                     .below_home = ".cache/brig"};
  return find(&place, config->settings.cache_directory, ret_path, err);
}

int brig__config_guests_directory(const struct brig_config *config, char **ret_path,
                                  struct brig_error *err) {
  static const struct place place = {.key = CONFIG_KEY_guests_directory,
                                     .systemd = "STATE_DIRECTORY",
                                     .below_systemd = "/guests",
                                     .xdg = "XDG_DATA_HOME",
                                     .below_xdg = "brig/guests",
                                     .below_home = ".local/share/brig/guests"};
  return find(&place, config->settings.guests_directory, ret_path, err);
}

int brig__config_workspaces_directory(const struct brig_config *config, char **ret_path,
                                      struct brig_error *err) {
  static const struct place place = {.key = CONFIG_KEY_session_workspaces_directory,
                                     .systemd = "STATE_DIRECTORY",
                                     .below_systemd = "/workspaces",
                                     .xdg = "XDG_STATE_HOME",
                                     .below_xdg = "brig/workspaces",
                                     .below_home = ".local/state/brig/workspaces"};
  return find(&place, config->settings.session_workspaces_directory, ret_path, err);
}

int brig__config_history(char **ret_path, struct brig_error *err) {
  static const struct place place = {.key = CONFIG_KEY_session_workspaces_directory,
                                     .systemd = "STATE_DIRECTORY",
                                     .below_systemd = "/history",
                                     .xdg = "XDG_STATE_HOME",
                                     .below_xdg = "brig/history",
                                     .below_home = ".local/state/brig/history"};
  return find(&place, "", ret_path, err);
}

int brig__config_session_store(const struct brig_config *config, char **ret_path,
                               struct brig_error *err) {
  static const struct place place = {.key = CONFIG_KEY_session_store,
                                     .systemd = "STATE_DIRECTORY",
                                     .below_systemd = "/sessions.db",
                                     .xdg = "XDG_DATA_HOME",
                                     .below_xdg = "brig/sessions.db",
                                     .below_home = ".local/share/brig/sessions.db"};
  return find(&place, config->settings.session_store, ret_path, err);
}

/* Not XDG_RUNTIME_DIR, which a server that was started by cron or at boot does not have, and
 * would not be found by who has logged in. */
int brig__config_socket(const struct brig_config *config, char **ret_path, struct brig_error *err) {
  static const struct place place = {.key = CONFIG_KEY_server_socket,
                                     .systemd = "STATE_DIRECTORY",
                                     .below_systemd = "/brig.sock",
                                     .xdg = "XDG_STATE_HOME",
                                     .below_xdg = "brig/brig.sock",
                                     .below_home = ".local/state/brig/brig.sock"};
  const char *configured = config->settings.server_socket;
  if (strcmp(configured, "none") == 0) {
    *ret_path = NULL;
    return 0;
  }
  if (*configured != '\0' && *configured != '/')
    return brig__fail(err, BRIG_E_CONFIG, CONFIG_STAGE,
                      "server.socket: \"%s\" is neither an absolute path, nor \"none\"", configured);
  return find(&place, configured, ret_path, err);
}
