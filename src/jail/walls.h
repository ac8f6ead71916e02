/* jail/walls.h - the list of walls: names, meanings, and how their state is
 * reported. Plain data, so the host may include it too. */
#ifndef BRIG_JAIL_WALLS_H
#define BRIG_JAIL_WALLS_H

#include <stdint.h>

/* X(NAME, "name in jail.require", "what it keeps a guest from") */
#define JAIL_WALL_LIST(X)                                                            \
  X(NO_NEW_PRIVS, "no_new_privs", "gaining privileges from a program it starts")     \
  X(SECCOMP, "seccomp", "system calls that a run does not need")                     \
  X(LANDLOCK, "landlock", "files outside its directories, TCP, signals to others")   \
  X(RLIMITS, "rlimits", "memory, processes, descriptors and core files without end") \
  X(UNDUMPABLE, "undumpable", "being read or traced by others of the same user")     \
  X(MDWE, "mdwe", "making new memory executable")                                    \
  X(UID, "uid", "acting as root")                                                    \
  X(USER_NS, "user_namespace", "privileges over anything of the host")               \
  X(PID_NS, "pid_namespace", "seeing other processes; it dies with its zygote")      \
  X(NET_NS, "net_namespace", "any network")                                          \
  X(IPC_NS, "ipc_namespace", "shared memory and queues of the host")                 \
  X(UTS_NS, "uts_namespace", "the host's name")                                      \
  X(ROOT, "empty_root", "the host's file system: its root directory is empty")       \
  X(CAPABILITIES, "capabilities", "using any capability, inside its namespaces too")

enum jail_wall {
#define JAIL_WALL_ENUM(name, text, meaning) JAIL_WALL_##name,
  JAIL_WALL_LIST(JAIL_WALL_ENUM)
#undef JAIL_WALL_ENUM
      JAIL_WALL_COUNT
};

typedef uint32_t walls_t; /* a set: 1 << enum jail_wall */
#define JAIL_WALL(name) ((walls_t)1 << JAIL_WALL_##name)

struct jail_report {
  walls_t up;
  struct {
    char detail[100];
  } walls[JAIL_WALL_COUNT];
};

const char *brig__jail_wall_name(enum jail_wall wall);
const char *brig__jail_wall_meaning(enum jail_wall wall);

#endif
