/* base/error.h - filling a struct brig_error. */
#ifndef BRIG_BASE_ERROR_H
#define BRIG_BASE_ERROR_H

#include <brig/error.h>

/* Fill `err` (which may be NULL) and return `code`, so that a failure is one
 * statement: `return brig__fail(err, BRIG_E_CONFIG, "config", "...");` */
int brig__fail(struct brig_error *err, int code, const char *stage, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a failed system call: appends what errno says, keeps the number;
 * BRIG_E_MEMORY for ENOMEM, else BRIG_E_SYSTEM. */
int brig__fail_errno(struct brig_error *err, int sys_errno, const char *stage, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));

/* Returned in place of an error code when the caller cancelled what it waited for.
 * Never leaves the library. */
#define BRIG__CANCELLED (-1000)

#endif
