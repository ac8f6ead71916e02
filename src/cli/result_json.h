/* cli/result_json.h - a whole result as one JSON object on a line. */
#ifndef BRIG_CLI_RESULT_JSON_H
#define BRIG_CLI_RESULT_JSON_H

#include <brig/sandbox.h>
#include <stdio.h>

/* Output that is not UTF-8 is given in base64 instead: "stdout_base64". */
void brig__cli_print_result(FILE *stream, const struct brig_result *result);

#endif
