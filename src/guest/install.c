#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "guest/package.h"

/* Where an installation is prepared; one of yesterday's was interrupted. */
#define WORK           ".installing-"
#define WORK_ABANDONED (24 * 3600)

static void remove_abandoned(int guests) {
  DIR *directory = brig__open_directory(guests, ".");
  if (directory == NULL) return;
  for (struct dirent *item; (item = readdir(directory)) != NULL;) {
    struct stat st;
    if (strncmp(item->d_name, WORK, strlen(WORK)) != 0) continue;
    if (fstatat(guests, item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mtim.tv_sec + WORK_ABANDONED < time(NULL))
      brig__remove_tree(guests, item->d_name);
  }
  closedir(directory);
}

struct installation {
  const struct guest *guest;
  int guests;               /* the guests directory */
  char *work;               /* the path of ours in it, */
  char *fetched, *prepared; /* and of two in that */
  const struct guest_progress *progress;
};

static void tell(const struct installation *installation, const char *what) {
  CLEANUP_FREE char *line =
      brig__format("%s %s %s", what, installation->guest->name, installation->guest->version);
  const struct guest_progress *progress = installation->progress;
  if (progress->line != NULL && line != NULL) progress->line(progress->context, line);
}

static int digest_of(const char *path, struct brig_digest *ret_digest, struct brig_error *err) {
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  int rc = fd < 0 ? -errno : brig__digest_fd(fd, ret_digest);
  return rc < 0 ? brig__fail_errno(err, -rc, "guest", "reading %s", path) : 0;
}

static int check(const char *path, const struct brig_digest *wanted, struct brig_error *err) {
  struct brig_digest digest;
  char is[BRIG_DIGEST_HEX], should[BRIG_DIGEST_HEX];
  int rc = digest_of(path, &digest, err);
  if (rc < 0 || memcmp(&digest, wanted, sizeof digest) == 0) return rc;
  brig__digest_hex(&digest, is);
  brig__digest_hex(wanted, should);
  return brig__fail(err, BRIG_E_INTEGRITY, "guest",
                    "the digest of %s is %s, and the manifest says %s: nothing was installed",
                    strrchr(path, '/') + 1, is, should);
}

/* The one file that the client left. Fresh memory, or NULL. */
static char *find_archive(const char *fetched) {
  DIR *directory = opendir(fetched);
  char *path = NULL;
  if (directory == NULL) return NULL;
  for (struct dirent *item; path == NULL && (item = readdir(directory)) != NULL;)
    if (item->d_name[0] != '.') path = brig__format("%s/%s", fetched, item->d_name);
  closedir(directory);
  return path;
}

static int fetch(const struct installation *installation, char **ret_archive,
                 struct brig_error *err) {
  tell(installation, brig__guest_is_built(installation->guest) ? "building" : "fetching");
  int rc = brig__package_fetch(installation->fetched, installation->guest, installation->progress,
                               err);
  if (rc < 0) return rc;
  CLEANUP_FREE char *archive = find_archive(installation->fetched);
  if (archive == NULL)
    return brig__fail(err, BRIG_E_SYSTEM, "guest", "%s left no package", installation->guest->registry);
  rc = check(archive, &installation->guest->archive_digest, err);
  if (rc == 0) *ret_archive = STEAL_PTR(archive);
  return rc;
}

/* In place at once; if another has been faster, theirs is the same. */
static int place(const struct installation *installation, struct brig_error *err) {
  CLEANUP_FREE char *name =
      brig__format("%s-%s", installation->guest->name, installation->guest->version);
  if (name == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  /* One that is there is not whole, or we would not be here. */
  CLEANUP_FREE char *old = brig__format("%s/old", installation->work);
  if (old != NULL) renameat(installation->guests, name, AT_FDCWD, old);
  if (renameat(AT_FDCWD, installation->prepared, installation->guests, name) < 0 &&
      errno != EEXIST && errno != ENOTEMPTY)
    return brig__fail_errno(err, errno, "guest", "putting %s in place", name);
  fsync(installation->guests);
  return 0;
}

static int prepare(const struct installation *installation, struct brig_error *err) {
  const struct guest *guest = installation->guest;
  CLEANUP_FREE char *archive = NULL;
  if (mkdir(installation->fetched, 0700) < 0 || mkdir(installation->prepared, 0700) < 0)
    return brig__fail_errno(err, errno, "guest", "making %s", installation->work);
  int rc = fetch(installation, &archive, err);
  if (rc < 0) return rc;
  tell(installation, "unpacking");
  rc = brig__package_unpack(archive, guest, installation->prepared, err);
  CLEANUP_FREE char *module = brig__format("%s/%s", installation->prepared, guest->module);
  if (rc == 0 && module == NULL) rc = brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  if (rc == 0) rc = check(module, &guest->digest, err);
  return rc < 0 ? rc : place(installation, err);
}

static int install_in(struct installation *installation, const char *guests_directory,
                      struct brig_error *err) {
  CLEANUP_FREE char *work = brig__format("%s/" WORK "XXXXXX", guests_directory);
  if (work == NULL || mkdtemp(work) == NULL)
    return brig__fail_errno(err, errno, "guest", "a directory in %s", guests_directory);
  CLEANUP_FREE char *fetched = brig__format("%s/fetched", work);
  CLEANUP_FREE char *prepared = brig__format("%s/prepared", work);
  installation->work = work;
  installation->fetched = fetched;
  installation->prepared = prepared;
  int rc = fetched == NULL || prepared == NULL
               ? brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory")
               : prepare(installation, err);
  brig__remove_tree(AT_FDCWD, work);
  return rc;
}

/* What an older Brig installed may be less, or another build of the same version. */
static bool is_whole(const char *guests_directory, const struct guest *guest) {
  CLEANUP_FREE char *directory = brig__guest_directory(guests_directory, guest);
  bool whole = directory != NULL && brig__guest_verify(guests_directory, guest, NULL) == 0;
  for (size_t i = 0; whole && i < guest->mount_count; i++) {
    CLEANUP_FREE char *host = brig__format("%s/%s", directory, guest->mounts[i].host);
    whole = host != NULL && access(host, F_OK) == 0;
  }
  return whole;
}

int brig__guest_install(const char *guests_directory, const struct guest *guest,
                        const struct guest_progress *progress, struct brig_error *err) {
  struct installation installation = {.guest = guest, .progress = progress};
  if (is_whole(guests_directory, guest)) return 0;
  int rc = brig__mkdir_p(guests_directory);
  CLEANUP_FD int guests = rc < 0 ? rc : open(guests_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (guests < 0)
    return brig__fail_errno(err, rc < 0 ? -rc : errno, "guest", "guests directory %s",
                            guests_directory);
  installation.guests = guests;
  remove_abandoned(guests);
  return install_in(&installation, guests_directory, err);
}

int brig__guest_remove(const char *guests_directory, const struct guest *guest,
                       struct brig_error *err) {
  CLEANUP_FREE char *path = NULL;
  int rc = brig__guest_path(guests_directory, guest, &path, err);
  if (rc < 0) return rc;
  CLEANUP_FREE char *directory = brig__guest_directory(guests_directory, guest);
  CLEANUP_FREE char *gone = brig__format("%s/" WORK "XXXXXX", guests_directory);
  if (directory == NULL || gone == NULL)
    return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  /* Out of its place at once: nobody finds half of it. */
  if (mkdtemp(gone) == NULL || rename(directory, gone) < 0)
    return brig__fail_errno(err, errno, "guest", "removing %s", directory);
  brig__remove_tree(AT_FDCWD, gone);
  return 0;
}
