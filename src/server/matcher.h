/* server/matcher.h - text, patterns and names' patterns of a client's, by PCRE2: whatever they
 * are, a match takes no more than a bound of work.
 *
 * Not POSIX's regcomp() and fnmatch(): glibc's have no bound. Clients' models write \d and \b
 * rather than POSIX's classes, too.
 */
#ifndef BRIG_SERVER_MATCHER_H
#define BRIG_SERVER_MATCHER_H

#include <stddef.h>
#include <stdint.h>

#define MATCHER_PATTERN_MAX 1000

enum matcher_kind {
  MATCH_TEXT,  /* as it stands */
  MATCH_REGEX, /* Perl's */
  MATCH_NAME,  /* *, ?, [a-z]: none of them a slash; ** any number of directories */
};

struct matcher;

/* 0; or -1 and a static message or PCRE2's: the pattern is none, or too long. */
int brig__matcher_new(enum matcher_kind kind, const void *pattern, size_t size,
                      struct matcher **ret_matcher, char ret_message[static 128]);
/* Accepts NULL. */
void brig__matcher_free(struct matcher *matcher);
static inline void brig__matcher_free_ptr(struct matcher **matcher) {
  brig__matcher_free(*matcher);
}
#define CLEANUP_MATCHER __attribute__((cleanup(brig__matcher_free_ptr)))
/* 1: somewhere in it (a name: all of it); 0: not; -1: it took too much work. */
int brig__matcher_try(struct matcher *matcher, const void *subject, size_t size);

#endif
