/* cli/complete.h - whether lines that were typed are a whole program yet. Pure.
 *
 * Asked of the text alone, and of no guest: a prompt is to be there at once, whatever a guest does.
 * Where it is wrong of an odd program, Ctrl-C begins anew.
 */
#ifndef BRIG_CLI_COMPLETE_H
#define BRIG_CLI_COMPLETE_H

#include <stdbool.h>

/* `text` ends with a newline; `language` is "python" or "javascript". Not complete is: an open
 * bracket, string or comment; in Python also a backslash at the end, a decorator, and a block up to
 * an empty line. */
bool brig__cli_is_complete(const char *language, const char *text);

#endif
