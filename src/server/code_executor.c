/* The tool code_executor: a WebAssembly module of the client's, or one of the operator's
 * that the client names. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/fd.h"
#include "server/base64.h"
#include "server/tool.h"

/* --- Its parameters ---------------------------------------------------------------- */

/* False, and told, if it is there and no string. `ret_text` NULL: it is not there. */
static bool read_string(struct tool_run *run, const char *key,
                        const ProtobufCBinaryData **ret_text) {
  const proto_struct *parameters = run->call->parameters;
  *ret_text = brig__struct_string(parameters, key);
  if (*ret_text != NULL || brig__struct_get(parameters, key) == NULL) return true;
  brig__tool_refuse(run, "'%s' must be a string", key);
  return false;
}

static bool read_input(struct tool_run *run, struct brig_request *request) {
  const ProtobufCBinaryData *text;
  if (!read_string(run, "stdin", &text)) return false;
  request->input = text == NULL || text->len == 0 ? "" : (const void *)text->data;
  request->input_size = text == NULL ? 0 : text->len;
  return true;
}

/* Without any, none at all: not even the program's name. */
static bool read_arguments(struct tool_run *run, struct brig_request *request) {
  const proto_struct *parameters = run->call->parameters;
  const Google__Protobuf__ListValue *list = brig__struct_list(parameters, "argv");
  size_t count = list == NULL ? 0 : list->n_values;
  const char **arguments = brig__arena_new(run->arena, (count + 1) * sizeof *arguments);
  bool right = list != NULL || brig__struct_get(parameters, "argv") == NULL;
  for (size_t i = 0; i < count && right && arguments != NULL; i++) {
    const proto_value *value = list->values[i];
    right = value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE &&
            (arguments[i] = brig__text_string(run->arena, &value->string_value)) != NULL;
  }
  request->argv = arguments;
  if (!right) brig__tool_refuse(run, "'argv' must be a list of strings without 0 bytes");
  return right;
}

/* --- A module in base64 ------------------------------------------------------------ */

static bool decode_module(struct tool_run *run, const ProtobufCBinaryData *text,
                          struct brig_request *request) {
  request->module = brig__base64_decode(run->arena, text->data, text->len, &request->module_size);
  if (request->module != NULL && request->module_size > 0) return true;
  brig__tool_refuse(run, "Failed to decode wasm_base64 payload");
  return false;
}

/* --- A module by its path ----------------------------------------------------------- */

/* The kernel says whether the path stays beneath the directory, whatever links are there. */
static bool is_file_beneath(const char *directory, const char *path) {
  size_t length = strlen(directory);
  while (length > 1 && directory[length - 1] == '/') length--;
  if (strncmp(path, directory, length) != 0 || path[length] != '/') return false;
  CLEANUP_FD int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  const char *below = path + length + strspn(path + length, "/");
  CLEANUP_FD int fd = at < 0 ? -1 : (int)syscall(SYS_openat2, at, below, &how, sizeof how);
  return fd >= 0;
}

static bool may_be_read(const struct tool_run *run, const char *path) {
  const struct config_list *directories = &run->setting->settings->tools_module_directories;
  for (size_t i = 0; i < directories->count; i++)
    if (is_file_beneath(directories->items[i], path)) return true;
  return is_file_beneath(run->setting->guests_directory, path);
}

static bool is_list(const char *const *list, const char *const *other) {
  size_t i = 0;
  if (list == NULL || other == NULL) return false;
  while (list[i] != NULL && other[i] != NULL && strcmp(list[i], other[i]) == 0) i++;
  return list[i] == NULL && other[i] == NULL;
}

/* For clients that know Python by a path. Their program is on standard input as a rule: as
 * the request's code it does the same, warm, and ends sooner. */
static void run_python(const struct tool_run *run, struct brig_request *request) {
  const struct guest *guest = run->setting->python_guest;
  const ProtobufCBinaryData input = {request->input_size, (uint8_t *)(uintptr_t)request->input};
  request->guest = run->setting->settings->python_executor_guest;
  if (guest != NULL && is_list(guest->client, request->argv) && input.len > 0)
    request->code = brig__text_string(run->arena, &input);
  if (request->code != NULL) {
    request->argv = NULL;
    request->input_size = 0;
  } else if (request->argv[0] != NULL) {
    request->argv++; /* the interpreter's own name comes with it */
  }
}

static bool find_module(struct tool_run *run, const ProtobufCBinaryData *text,
                        struct brig_request *request) {
  const char *path = brig__text_string(run->arena, text);
  if (path != NULL && path[0] != '\0' &&
      strcmp(path, run->setting->settings->tools_python_path) == 0) {
    run_python(run, request);
    return true;
  }
  if (path != NULL && may_be_read(run, path)) {
    request->module_path = path;
    return true;
  }
  brig__tool_refuse(run, "Failed to read wasm module at %s",
                    path == NULL ? "a path with a 0 byte" : path);
  return false;
}

static bool read_module(struct tool_run *run, struct brig_request *request) {
  const ProtobufCBinaryData *base64, *path;
  if (!read_string(run, "wasm_base64", &base64) || !read_string(run, "wasm_path", &path))
    return false;
  if (base64 != NULL) return decode_module(run, base64, request);
  if (path != NULL) return find_module(run, path, request);
  brig__tool_refuse(run, "missing 'wasm_base64' or 'wasm_path' parameter");
  return false;
}

/* --- Running it ---------------------------------------------------------------------- */

/* In the words of the system that Brig takes the place of; output that is no text is
 * mended later. */
static void tell_failure(struct tool_run *run) {
  const struct brig_result *result = run->result;
  const char *head = brig__arena_format(
      run->arena, "WASI execution error: [WASI] Execution failed: %s\n", result->reason);
  size_t length = head == NULL ? 0 : strlen(head);
  char *text = brig__arena_new(run->arena, length + result->stderr_size);
  if (head == NULL || text == NULL) return;
  memcpy(text, head, length);
  memcpy(text + length, result->stderr_data, result->stderr_size);
  run->error = (ProtobufCBinaryData){length + result->stderr_size, (uint8_t *)text};
}

static void execute(struct tool_run *run, const struct brig_request *request) {
  struct brig_error err;
  if (brig_sandbox_execute(run->setting->sandbox, request, &run->result, &err) < 0) {
    brig__tool_fail(run, &err);
    return;
  }
  run->success = run->result->outcome == BRIG_OUTCOME_EXITED && run->result->exit_code == 0;
  if (!run->success) tell_failure(run);
}

static void set_limits(const struct tool_run *run, struct brig_request *request) {
  const struct task *task = run->task;
  uint64_t timeout_ms =
      task->timeout_ms != 0 ? task->timeout_ms : run->setting->settings->wasi_execution_timeout_ms;
  request->limits.timeout_ms = brig__tool_timeout_ms(run, timeout_ms);
  request->limits.memory_bytes = task->memory_bytes;
}

void brig__code_executor_run(struct tool_run *run) {
  struct brig_request request = BRIG_REQUEST_INIT;
  if (!read_input(run, &request) || !read_arguments(run, &request) || !read_module(run, &request) ||
      !brig__tool_directories(run, run->task->session, &request.workspace, &request.memory))
    return;
  set_limits(run, &request);
  request.tenant = run->tenant;
  request.cancel = run->cancel;
  request.on_output = run->on_output;
  request.on_output_context = run->on_output_context;
  if (!run->arena->failed) execute(run, &request);
}
