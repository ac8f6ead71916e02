/* base/own_file.h - files of Brig's own that are not part of the library: the helper,
 * the recipes of interpreters.
 */
#ifndef BRIG_BASE_OWN_FILE_H
#define BRIG_BASE_OWN_FILE_H

/* The path of NAME ("brig-helper") where a build leaves it, beside the program or
 * libbrig.so; where an installation does, in libexec/brig; or where this build was to
 * be installed. Fresh memory; NULL if it is in none of them. */
char *brig__own_file(const char *name);

#endif
