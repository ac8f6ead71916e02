/* cli/lines.h - lines that are typed, with editing and a history; or, where standard input or
 * output is no terminal, that are read, without prompts. One reader a process.
 */
#ifndef BRIG_CLI_LINES_H
#define BRIG_CLI_LINES_H

#include <stdbool.h>

struct lines;

/* `history` is a file for what is typed (0600), or NULL; it is the caller's, and stays. NULL if
 * there is no memory. */
struct lines *brig__cli_lines_open(const char *history);
/* Writes the history. Accepts NULL. */
void brig__cli_lines_close(struct lines *lines);

bool brig__cli_lines_typed(const struct lines *lines);

enum line_end { LINE_READ, LINE_INTERRUPTED, LINE_NO_MORE };

/* A line with its newline, until the next call. LINE_INTERRUPTED: Ctrl-C, what was typed is let go
 * of. LINE_NO_MORE: the end, Ctrl-D, an error which was told, or a signal that ends. */
enum line_end brig__cli_lines_read(struct lines *lines, const char *prompt, const char **ret_line);

#endif
