#include "jail/walls.h"

static const struct {
  const char *name, *meaning;
} rows[JAIL_WALL_COUNT] = {
#define ROW(id, name, meaning) [JAIL_WALL_##id] = {name, meaning},
    JAIL_WALL_LIST(ROW)
#undef ROW
};

const char *brig__jail_wall_name(enum jail_wall wall) { return rows[wall].name; }
const char *brig__jail_wall_meaning(enum jail_wall wall) { return rows[wall].meaning; }
