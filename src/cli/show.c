#include "cli/show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/fd.h"
#include "cli/result_json.h"

/* "2026-03-01T12:00:00Z" */
static const char *time_text(uint64_t us, char (*text)[32]) {
  time_t seconds = (time_t)(us / 1000000);
  struct tm tm;
  if (gmtime_r(&seconds, &tm) == NULL || strftime(*text, sizeof *text, "%FT%TZ", &tm) == 0)
    strcpy(*text, "?");
  return *text;
}

static json_t *info_json(const struct brig_session_info *info) {
  char created[32], used[32];
  return json_pack("{s:s, s:s, s:I, s:s, s:s, s:I}", "id", info->id, "guest", info->guest, "turns",
                   (json_int_t)info->turns, "created", time_text(info->created_us, &created),
                   "used", time_text(info->used_us, &used), "saved_bytes",
                   (json_int_t)info->saved_bytes);
}

static void add_info(void *context, const struct brig_session_info *info) {
  json_array_append_new(context, info_json(info));
}

static void print_info(void *context, const struct brig_session_info *info) {
  char used[32];
  (void)context;
  printf("%-32s %-16s %6llu turns %10llu bytes  %s\n", info->id, info->guest,
         (unsigned long long)info->turns, (unsigned long long)info->saved_bytes,
         time_text(info->used_us, &used));
}

int brig__cli_show_all(struct door *door) {
  json_t *all = door->json ? json_array() : NULL;
  struct brig_error err;
  int rc = brig__cli_door_list(door, door->json ? add_info : print_info, all, &err);
  if (rc == 0 && door->json)
    brig__cli_print_json(all);
  else
    json_decref(all);
  return rc < 0 ? brig__cli_fail(&err) : brig__cli_finish(0);
}

/* --- One ----------------------------------------------------------------------- */

static const char *text(const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  return value == NULL ? "" : value;
}

static void print_one(const char *name, const char *mark, const char *detail) {
  fputs("  ", stdout);
  brig__cli_put_plain(stdout, name);
  fputs(mark, stdout);
  brig__cli_put_plain(stdout, detail);
  putchar('\n');
}

/* Names alone, or objects whose `detail` follows the name. */
static void print_group(const json_t *shown, const char *group, const char *mark,
                        const char *detail) {
  const json_t *items = json_object_get(shown, group), *item;
  size_t at;
  if (json_array_size(items) > 0) printf("%s\n", group);
  json_array_foreach(items, at, item) {
    if (json_is_string(item))
      print_one(json_string_value(item), "", "");
    else
      print_one(text(item, "name"), mark, text(item, detail));
  }
}

static void print(const json_t *shown) {
  printf("%s: %s, %lld turns\nworkspace %s\n", text(shown, "id"), text(shown, "guest"),
         (long long)json_integer_value(json_object_get(shown, "turns")), text(shown, "workspace"));
  print_group(shown, "variables", " = ", "repr");
  print_group(shown, "imports", " is ", "module");
  print_group(shown, "functions", "", "");
  print_group(shown, "classes", "", "");
  if (json_object_get(shown, "left_out") != NULL)
    printf("%lld more\n", (long long)json_integer_value(json_object_get(shown, "left_out")));
  print_group(shown, "not_kept", ": ", "reason");
}

struct search {
  const char *id;
  json_t *info;
};

static void look_at(void *context, const struct brig_session_info *info) {
  struct search *search = context;
  if (search->info == NULL && strcmp(info->id, search->id) == 0) search->info = info_json(info);
}

static void add_lost(void *context, const struct brig_lost *lost) {
  json_array_append_new(context,
                        json_pack("{s:s, s:s}", "name", lost->name, "reason", lost->reason));
}

/* What Brig knows and what the guest says, Brig's word first. */
static int look(struct door *door, json_t **ret_shown, struct brig_error *err) {
  struct search search = {.id = door->turn.session};
  CLEANUP_FREE char *said = NULL, *workspace = NULL;
  json_t *lost = json_array();
  int rc = brig__cli_door_show(door, &said, &workspace, add_lost, lost, err);
  if (rc == 0) rc = brig__cli_door_list(door, look_at, &search, err);
  if (rc < 0) {
    json_decref(lost);
    return rc;
  }
  json_t *guest = json_loads(said, 0, NULL);
  json_object_del(guest, "op");
  *ret_shown = json_pack("{s:s, s:o}", "workspace", workspace, "not_kept", lost);
  json_object_update_missing(*ret_shown, search.info);
  json_object_update_missing(*ret_shown, guest);
  json_decref(search.info);
  json_decref(guest);
  return 0;
}

int brig__cli_show(struct door *door) {
  struct brig_error err;
  json_t *shown;
  if (look(door, &shown, &err) < 0) return brig__cli_fail(&err);
  if (door->json) {
    brig__cli_print_json(shown);
  } else {
    print(shown);
    json_decref(shown);
  }
  return brig__cli_finish(0);
}
