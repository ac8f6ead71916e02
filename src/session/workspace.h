/* session/workspace.h - the directories of sessions and users, and what turns change in
 * them. The content is the guests': nothing here follows a symbolic link or opens
 * anything but directories.
 */
#ifndef BRIG_SESSION_WORKSPACE_H
#define BRIG_SESSION_WORKSPACE_H

#include <brig/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* The paths of a session's directory and of its user's, made (0700) if they are not
 * there: fresh memory. BRIG_E_PERMISSION if something else is in their place. `id` NULL:
 * only the user's, and `ret_workspace` is not touched. */
int brig__workspace_open(const char *directory, const char *owner, const char *id,
                         char **ret_workspace, char **ret_memory, struct brig_error *err);

/* Remove one that nothing was put into. */
void brig__workspace_remove_empty(const char *workspace);

/* The path of one that is there, in fresh memory; nothing is made. `id` NULL: the user's.
 * `any_user`: if the owner has none of that id, that of the only user of the owner's tenant who
 * has. 0 or -errno: -ENOENT; -EPERM if it is no directory of ours; -ENOTUNIQ if several users
 * have one. */
int brig__workspace_find(const char *directory, const char *owner, const char *id, bool any_user,
                         char **ret_path);

/* Remove a session's, with all that is in it. */
void brig__workspace_remove(const char *directory, const char *owner, const char *id);

/* Remove all that were last opened before that time: also those of which no store knows,
 * since who runs a program in a session's workspace need not have a session. */
void brig__workspace_sweep(const char *directory, time_t unused_since);

struct workspace_size {
  uint64_t bytes, files; /* sizes of files; names of anything */
};
struct workspace_room {
  struct workspace_size held, left;
};

/* How much is in a directory, and how much more may be. One that has more names than it
 * may, or cannot be looked at to its end, is full. */
void brig__workspace_measure(const char *directory, const struct workspace_size *most,
                             struct workspace_room *ret_room);

#define WORKSPACE_LISTED 100

/* A file that was told of, and when it last changed, so that it is not told of twice. */
struct workspace_seen {
  size_t count;
  struct {
    ino_t ino;
    struct timespec changed;
  } items[WORKSPACE_LISTED];
};

struct workspace_changes {
  struct workspace_room room;
  size_t count;
  struct {
    char *path;
    uint64_t size;
  } items[WORKSPACE_LISTED];
  uint64_t more; /* that many are not listed */
};

/* Where the kernel's clock of files is. */
struct timespec brig__workspace_now(void);

/* The same, and files that were made or changed since then and are not in `seen`, which
 * becomes what it is for the next time. Ctime is what tells: guests cannot set it. */
void brig__workspace_changes(const char *workspace, const struct workspace_size *most,
                             struct timespec since, struct workspace_seen *seen,
                             struct workspace_changes *ret_changes);
void brig__workspace_changes_free(struct workspace_changes *changes);

/* A new file with these bytes, below the workspace: its name, or NULL. Never through
 * what a guest has put there. */
char *brig__workspace_write(const char *workspace, const char *name, const void *data, size_t size);

#endif
