#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "config/config.h"
#include "guest/guest.h"

struct guests {
  const struct brig_config *config;
  char *directory;
};

static void show_progress(void *context, const char *line) {
  (void)context;
  fprintf(stderr, "%s\n", line);
}

static int list(const struct guests *guests) {
  const struct guest *rows;
  struct brig_error err;
  size_t count;
  if (brig__guest_manifest(&rows, &count, &err) < 0) return brig__cli_fail(&err);
  for (size_t i = 0; i < count; i++) {
    CLEANUP_FREE char *path = NULL;
    bool installed = brig__guest_path(guests->directory, &rows[i], &path, NULL) == 0;
    printf("%-16s %-10s %-14s %s\n", rows[i].name, rows[i].version,
           installed ? "installed" : "not installed", rows[i].description);
  }
  return brig__cli_finish(0);
}

/* Compiled now, with and without metering, so that no request waits for it. */
static int compile(const struct guests *guests, const struct guest *guest, struct brig_error *err) {
  struct brig_sandbox *sandbox = NULL;
  CLEANUP_FREE char *name = brig__format("%s@%s", guest->name, guest->version);
  if (name == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  int rc = brig_sandbox_open(guests->config, &sandbox, err);
  for (int metered = 0; metered < 2 && rc == 0; metered++) {
    struct brig_request request = BRIG_REQUEST_INIT;
    request.guest = name;
    request.without_allowed_paths = 1;
    request.limits.fuel = metered ? 1000000 : BRIG_UNLIMITED;
    fprintf(stderr, "compiling %s %s%s\n", guest->name, guest->version, metered ? ", metered" : "");
    rc = brig_sandbox_prepare(sandbox, &request, err);
  }
  brig_sandbox_close(sandbox);
  return rc;
}

/* There may be one of the same name that is better, but takes longer to have. */
static void advise(const struct guests *guests, const struct guest *guest) {
  const struct guest *better;
  CLEANUP_FREE char *path = NULL;
  if (brig__guest_is_built(guest) ||
      brig__guest_find(guests->directory, guest->name, GUEST_BUILD, &better, NULL) < 0 ||
      brig__guest_path(guests->directory, better, &path, NULL) == 0)
    return;
  fprintf(stderr, "%s %s can be built: %s. Run `brig guest build %s`\n", better->name,
          better->version, better->description, better->name);
}

static int install(const struct guests *guests, const struct guest *guest) {
  static const struct guest_progress progress = {show_progress, NULL};
  struct brig_error err;
  int rc = brig__guest_install(guests->directory, guest, &progress, &err);
  if (rc == 0) rc = compile(guests, guest, &err);
  if (rc < 0) return brig__cli_fail(&err);
  advise(guests, guest);
  return 0;
}

static int remove_one(const struct guests *guests, const struct guest *guest) {
  struct brig_error err;
  return brig__guest_remove(guests->directory, guest, &err) < 0 ? brig__cli_fail(&err) : 0;
}

static int path(const struct guests *guests, const struct guest *guest) {
  struct brig_error err;
  CLEANUP_FREE char *found = NULL;
  if (brig__guest_path(guests->directory, guest, &found, &err) < 0) return brig__cli_fail(&err);
  puts(found);
  return brig__cli_finish(0);
}

static int verify(const struct guests *guests, const struct guest *guest) {
  struct brig_error err;
  if (brig__guest_verify(guests->directory, guest, &err) < 0) return brig__cli_fail(&err);
  printf("%s %s: every file is as it was installed\n", guest->name, guest->version);
  return brig__cli_finish(0);
}

static int verify_all(const struct guests *guests) {
  const struct guest *rows;
  struct brig_error err;
  size_t count;
  int status = 0;
  if (brig__guest_manifest(&rows, &count, &err) < 0) return brig__cli_fail(&err);
  for (size_t i = 0; i < count; i++) {
    CLEANUP_FREE char *found = NULL;
    if (brig__guest_path(guests->directory, &rows[i], &found, NULL) < 0) continue;
    int one = verify(guests, &rows[i]);
    if (one != 0) status = one;
  }
  return status;
}

static int act(const struct guests *guests, int argc, char **argv) {
  static const struct {
    const char *name;
    enum guest_source source;
    int (*run)(const struct guests *guests, const struct guest *guest);
  } verbs[] = {{"install", GUEST_FETCH, install},
               {"build", GUEST_BUILD, install},
               {"remove", GUEST_ANY, remove_one},
               {"path", GUEST_ANY, path},
               {"verify", GUEST_ANY, verify}};
  struct brig_error err;
  const struct guest *guest = NULL;
  if (argc == 1 && strcmp(argv[0], "list") == 0) return list(guests);
  if (argc == 1 && strcmp(argv[0], "verify") == 0) return verify_all(guests);
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs && argc == 2; i++) {
    if (strcmp(argv[0], verbs[i].name) != 0) continue;
    if (brig__guest_find(guests->directory, argv[1], verbs[i].source, &guest, &err) < 0)
      return brig__cli_fail(&err);
    return verbs[i].run(guests, guest);
  }
  brig__cli_say("guest: say `%s`", brig__cli_find("guest")->usage);
  return EXIT_BRIG;
}

int brig__cli_guest(int argc, char **argv) {
  static const struct option_set none = {NULL, 0, false};
  struct brig_config *config = NULL;
  struct guests guests = {0};
  struct brig_error err;
  int status = brig__cli_load_config(&config);
  if (status != 0) return status;
  guests.config = config;
  int at = brig__cli_options(brig__cli_find("guest"), &none, config, NULL, argc, argv);
  if (at < 0)
    status = -1 - at;
  else if (brig__config_guests_directory(config, &guests.directory, &err) < 0)
    status = brig__cli_fail(&err);
  else
    status = act(&guests, argc - at, argv + at);
  free(guests.directory);
  brig_config_free(config);
  return status;
}
