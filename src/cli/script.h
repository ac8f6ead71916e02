/* cli/script.h - the text of a program: without NUL bytes, of at most 8 MiB, in fresh memory.
 * 0, or an exit status, and what is wrong has been told. */
#ifndef BRIG_CLI_SCRIPT_H
#define BRIG_CLI_SCRIPT_H

/* Of a file; of standard input, to its end before the first line is run, if `path` is NULL or "-",
 * as interpreters do. */
int brig__cli_read_program(const char *path, char **ret_text);

#endif
