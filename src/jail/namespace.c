/* Runs in the launcher and the zygote, before any guest. */
#include "jail/jail_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fd.h"

static const struct {
  int flag;
  enum jail_wall wall;
} namespaces[] = {
    {CLONE_NEWPID, JAIL_WALL_PID_NS}, {CLONE_NEWNET, JAIL_WALL_NET_NS},
    {CLONE_NEWIPC, JAIL_WALL_IPC_NS}, {CLONE_NEWUTS, JAIL_WALL_UTS_NS},
    {CLONE_NEWNS, JAIL_WALL_ROOT},
};
#define NAMESPACE_COUNT (sizeof namespaces / sizeof *namespaces)

static void drop_root(struct jail *jail, uid_t uid) {
  if (geteuid() != 0) {
    brig__jail_note(jail, JAIL_WALL_UID, 0, "uid %u, as Brig was started", geteuid());
    return;
  }
  gid_t gid = (gid_t)uid;
  int rc = 0;
  if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
    rc = -errno;
  brig__jail_note(jail, JAIL_WALL_UID, rc, rc == 0 ? "uid %u, not root" : "cannot become uid %u",
                  uid);
}

static int write_text(const char *path, const char *text) {
  CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
  return fd < 0 ? -errno : brig__write_all(fd, text, strlen(text));
}

/* The namespace knows one user, ourselves, under our own number; without a map
 * files would have no owner we could be. */
static int map_ids(uid_t uid, gid_t gid) {
  char map[64];
  int rc = write_text("/proc/self/setgroups", "deny");
  if (rc < 0 && rc != -ENOENT) return rc;
  snprintf(map, sizeof map, "%u %u 1", uid, uid);
  rc = write_text("/proc/self/uid_map", map);
  if (rc < 0) return rc;
  snprintf(map, sizeof map, "%u %u 1", gid, gid);
  return write_text("/proc/self/gid_map", map);
}

static int enter_user_namespace(void) {
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER) < 0) return -errno;
  return map_ids(uid, gid);
}

static void unshare_each(struct jail *jail) {
  for (size_t i = 0; i < NAMESPACE_COUNT; i++) {
    int rc = unshare(namespaces[i].flag) < 0 ? -errno : 0;
    brig__jail_note(jail, namespaces[i].wall, rc,
                    rc == 0 ? "its own, shared by no other zygote" : "the kernel refuses it");
  }
}

/* Once root is left there is no way back, so whether the unprivileged may have a
 * user namespace is found out by a child. */
static bool users_may_unshare(uid_t uid) {
  int status;
  pid_t child = fork();
  if (child == 0)
    _exit(setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 ||
          unshare(CLONE_NEWUSER) < 0);
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A user namespace comes first, for it owns those made in it, and only their
 * owner may change them. Where users get none, root can still take the others
 * before it is left; they then stay as they are made. */
static void take_namespaces(struct jail *jail, uid_t uid) {
  bool root = geteuid() == 0;
  bool before = root && !users_may_unshare(uid);
  if (before) unshare_each(jail);
  drop_root(jail, uid);
  /* Leaving root made us undumpable, and so /proc/self root's; the maps are there. */
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  int rc = enter_user_namespace();
  brig__jail_note(
      jail, JAIL_WALL_USER_NS, rc,
      rc == 0 ? "its own, with one user" : "users may make none here (sysctl, container or LSM)");
  if (rc == 0 && !before) unshare_each(jail);
  for (size_t i = 0; rc < 0 && !root && i < NAMESPACE_COUNT; i++)
    brig__jail_note(jail, namespaces[i].wall, rc, "needs a user namespace");
}

pid_t brig__jail_enter(struct jail *jail, uid_t uid) {
  take_namespaces(jail, uid);
  if (jail->report.up & JAIL_WALL(UTS_NS)) {
    int rc = sethostname("brig", 4) < 0 ? -errno : 0;
    brig__jail_note(jail, JAIL_WALL_UTS_NS, rc, rc == 0 ? "its own, named brig" : "not renamed");
  }
  pid_t child = fork();
  return child < 0 ? -errno : child;
}

/* The old root is stacked on the new one and taken away from there, so no
 * directory has to be made to hold it: pivot_root(2), "pivot_root(".", ".")". */
static int empty_root(void) {
  static const char *const places[] = {"/tmp", "/var", "/usr", "/proc"};
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -errno;
  int rc = -ENOENT;
  const char *place = NULL;
  for (size_t i = 0; i < sizeof places / sizeof *places && rc < 0; i++) {
    place = places[i];
    rc = mount("brig", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
               "size=4096,nr_inodes=2,mode=555") < 0
             ? -errno
             : 0;
  }
  if (rc < 0) return rc;
  if (chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
  if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) return -errno;
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            NULL) < 0)
    return -errno;
  return 0;
}

void brig__jail_lock_root(struct jail *jail) {
  if (jail->report.up & JAIL_WALL(ROOT)) {
    int rc = empty_root();
    brig__jail_note(jail, JAIL_WALL_ROOT, rc,
                    rc == 0 ? "an empty, read-only tmpfs" : "the root cannot be replaced");
  }
  int rc = brig__jail_drop_capabilities();
  brig__jail_note(jail, JAIL_WALL_CAPABILITIES, rc, rc == 0 ? "none left" : "cannot be dropped");
}
