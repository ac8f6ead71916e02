#include "server/session_answer.h"

#include <string.h>
#include "server/struct_value.h"

/* A message of that type, or NULL. */
#define NEW(arena, type, init)                             \
  ({                                                       \
    type *fresh = brig__arena_new((arena), sizeof *fresh); \
    if (fresh != NULL) *fresh = (type)init;                \
    fresh;                                                 \
  })

static ProtobufCBinaryData copy(struct arena *arena, const char *text) {
  ProtobufCBinaryData data = brig__text(text);
  data.data = brig__arena_copy(arena, text, data.len + 1);
  if (data.data == NULL) data.len = 0;
  return data;
}

/* Room for one more: arrays are of 2^n. */
static bool grow(struct arena *arena, void ***items, size_t count) {
  if (count > 0 && (count & (count - 1)) != 0) return true;
  void **more = brig__arena_new(arena, 2 * (count + 1) * sizeof *more);
  if (more == NULL) return false;
  if (count > 0) memcpy(more, *items, count * sizeof *more);
  *items = more;
  return true;
}

void brig__session_answer_lost(void *context, const struct brig_lost *lost) {
  struct session_losses *losses = context;
  Brig__V1__Lost *item = NEW(losses->arena, Brig__V1__Lost, BRIG__V1__LOST__INIT);
  if (item == NULL || !grow(losses->arena, (void ***)&losses->items, losses->count)) return;
  item->name = copy(losses->arena, lost->name);
  item->reason = copy(losses->arena, lost->reason);
  losses->items[losses->count++] = item;
}

void brig__session_answer_info(void *context, const struct brig_session_info *info) {
  struct session_infos *infos = context;
  Brig__V1__SessionInfo *item =
      NEW(infos->arena, Brig__V1__SessionInfo, BRIG__V1__SESSION_INFO__INIT);
  if (item == NULL || !grow(infos->arena, (void ***)&infos->items, infos->count)) return;
  item->id = copy(infos->arena, info->id);
  item->guest = copy(infos->arena, info->guest);
  item->turns = info->turns;
  item->created_us = info->created_us;
  item->used_us = info->used_us;
  item->live = info->live;
  item->memory_bytes = info->memory_bytes;
  item->saved_bytes = info->saved_bytes;
  infos->items[infos->count++] = item;
}

static Brig__V1__RunResult *run_result(struct arena *arena, const struct brig_result *result,
                                       bool with_output) {
  Brig__V1__RunResult *message =
      NEW(arena, Brig__V1__RunResult, BRIG__V1__RUN_RESULT__INIT);
  if (message == NULL) return NULL;
  message->outcome = (uint32_t)result->outcome;
  message->trap = brig__text(result->trap);
  message->reason = brig__text(result->reason);
#define X(field) message->field = result->field;
#include "rpc/run_result.def"
#undef X
  if (!with_output) return message;
  message->stdout_data = (ProtobufCBinaryData){result->stdout_size, result->stdout_data};
  message->stderr_data = (ProtobufCBinaryData){result->stderr_size, result->stderr_data};
  return message;
}

static void add_names(struct arena *arena, const struct brig_turn_result *result,
                      Brig__V1__TurnResult *message) {
  size_t count = 0;
  while (result->names[count] != NULL) count++;
  message->names = brig__arena_new(arena, (count + 1) * sizeof *message->names);
  if (message->names == NULL) return;
  for (size_t i = 0; i < count; i++) message->names[i] = brig__text(result->names[i]);
  message->n_names = count;
}

static void add_files(struct arena *arena, const struct brig_turn_result *result,
                      Brig__V1__TurnResult *message) {
  size_t count = result->file_count;
  message->files_more = result->files_more;
  message->files = brig__arena_new(arena, (count + 1) * sizeof *message->files);
  for (size_t i = 0; i < count && message->files != NULL; i++) {
    Brig__V1__File *file = NEW(arena, Brig__V1__File, BRIG__V1__FILE__INIT);
    if (file == NULL) return;
    file->path = brig__text(result->files[i].path);
    file->size = result->files[i].size;
    message->files[message->n_files++] = file;
  }
}

static void add_lost(struct arena *arena, const struct brig_turn_result *result,
                     Brig__V1__TurnResult *message) {
  struct session_losses losses = {.arena = arena};
  for (size_t i = 0; i < result->lost_count; i++)
    brig__session_answer_lost(&losses, &result->lost[i]);
  message->lost = losses.items;
  message->n_lost = losses.count;
}

static void add_exception(struct arena *arena, const struct brig_turn_result *result,
                          Brig__V1__TurnResult *message) {
  if (result->error_type == NULL) return;
  message->exception = NEW(arena, Brig__V1__Exception, BRIG__V1__EXCEPTION__INIT);
  if (message->exception == NULL) return;
  message->exception->type = brig__text(result->error_type);
  message->exception->message = brig__text(result->error_message);
  message->exception->traceback = brig__text(result->traceback);
}

Brig__V1__TurnResult *brig__session_answer_turn(struct arena *arena,
                                                const struct brig_turn_result *result,
                                                bool with_output) {
  Brig__V1__TurnResult *message =
      NEW(arena, Brig__V1__TurnResult, BRIG__V1__TURN_RESULT__INIT);
  if (message == NULL) return NULL;
  message->session = brig__text(result->session);
  message->turn = result->turn;
  message->run = run_result(arena, result->run, with_output);
  message->ended_well = result->ended_well;
  message->has_value = result->value != NULL;
  message->value = brig__text(result->value);
  message->output_file = brig__text(result->output_file);
  message->restored = result->restored;
  message->saved = result->saved;
  message->unsaved = brig__text(result->unsaved);
  add_exception(arena, result, message);
  add_names(arena, result, message);
  add_files(arena, result, message);
  add_lost(arena, result, message);
  return message;
}
