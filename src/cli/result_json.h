/* cli/result_json.h - results as JSON. */
#ifndef BRIG_CLI_RESULT_JSON_H
#define BRIG_CLI_RESULT_JSON_H

#include <brig/sandbox.h>
#include <jansson.h>

/* A whole result as an object, the caller's. */
json_t *brig__cli_result_json(const struct brig_result *result);

/* Bytes that may be no UTF-8 are given in base64 then: "stdout_base64". */
void brig__cli_json_bytes(json_t *root, const char *text_key, const char *base64_key,
                          const void *data, size_t size);

/* On a line of stdout; `root` is let go of. */
void brig__cli_print_json(json_t *root);

#endif
