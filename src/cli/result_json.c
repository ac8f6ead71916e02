#include "cli/result_json.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void brig__cli_json_bytes(json_t *root, const char *text_key, const char *base64_key,
                          const void *data, size_t size) {
  json_t *text = json_stringn(data, size);
  if (text != NULL) {
    json_object_set_new(root, text_key, text);
    return;
  }
  unsigned char *encoded = malloc(4 * ((size + 2) / 3) + 1);
  if (encoded == NULL) return;
  EVP_EncodeBlock(encoded, data, (int)size);
  json_object_set_new(root, base64_key, json_string((const char *)encoded));
  free(encoded);
}

static void add_number(json_t *root, const char *key, uint64_t value) {
  json_object_set_new(root, key, json_integer((json_int_t)value));
}

json_t *brig__cli_result_json(const struct brig_result *result) {
  json_t *root = json_object();
  json_object_set_new(root, "outcome", json_string(brig_outcome_name(result->outcome)));
  if (result->outcome == BRIG_OUTCOME_EXITED) add_number(root, "exit_code", result->exit_code);
  if (result->outcome == BRIG_OUTCOME_TRAPPED)
    json_object_set_new(root, "trap", json_string(result->trap));
  if (result->outcome == BRIG_OUTCOME_KILLED) add_number(root, "signal", (uint64_t)result->signal);
  json_object_set_new(root, "reason", json_string(result->reason));
  brig__cli_json_bytes(root, "stdout", "stdout_base64", result->stdout_data, result->stdout_size);
  brig__cli_json_bytes(root, "stderr", "stderr_base64", result->stderr_data, result->stderr_size);
  add_number(root, "stdout_dropped", result->stdout_dropped);
  add_number(root, "stderr_dropped", result->stderr_dropped);
  json_object_set_new(root, "accounted", json_boolean(result->accounted));
  json_object_set_new(root, "fuel_used",
                      result->metered ? json_integer((json_int_t)result->fuel_used) : json_null());
  add_number(root, "memory_bytes", result->memory_bytes);
  add_number(root, "rss_bytes", result->rss_bytes);
  add_number(root, "cpu_us", result->cpu_us);
  add_number(root, "queue_us", result->queue_us);
  add_number(root, "start_us", result->start_us);
  add_number(root, "run_us", result->run_us);
  add_number(root, "wall_us", result->wall_us);
  add_number(root, "written_bytes", result->written_bytes);
  add_number(root, "written_files", result->written_files);
  json_object_set_new(root, "quota_exceeded", json_boolean(result->quota_exceeded));
  json_object_set_new(root, "warm", json_boolean(result->warm));
  json_object_set_new(root, "code_cached", json_boolean(result->code_cached));
  return root;
}

void brig__cli_print_json(json_t *root) {
  json_dumpf(root, stdout, JSON_COMPACT);
  putchar('\n');
  json_decref(root);
}
