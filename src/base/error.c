#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *brig_version(void) { return BRIG_VERSION; }

static const struct row {
  int code;
  int refused;
  const char *name;
  const char *text;
} rows[] = {
#define ROW(name, value, refused, text) {value, refused, #name, text},
    BRIG_ERROR_LIST(ROW)
#undef ROW
};

static const struct row *find(int code) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == code) return &rows[i];
  return NULL;
}

const char *brig_error_name(int code) {
  const struct row *row = find(code);
  return row ? row->name : "UNKNOWN";
}

const char *brig_error_text(int code) {
  const struct row *row = find(code);
  return row ? row->text : "unknown error";
}

int brig_error_refused(int code) {
  const struct row *row = find(code);
  return row ? row->refused : 0;
}

static void fill(struct brig_error *err, int code, int sys_errno, const char *stage,
                 const char *format, va_list args) {
  *err = (struct brig_error){.code = code, .sys_errno = sys_errno};
  snprintf(err->stage, sizeof err->stage, "%s", stage);
  int used = vsnprintf(err->message, sizeof err->message, format, args);
  if (sys_errno != 0 && used >= 0 && (size_t)used < sizeof err->message)
    snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", strerror(sys_errno));
}

int brig__fail(struct brig_error *err, int code, const char *stage, const char *format, ...) {
  if (err == NULL) return code;
  va_list args;
  va_start(args, format);
  fill(err, code, 0, stage, format, args);
  va_end(args);
  return code;
}

int brig__fail_errno(struct brig_error *err, int sys_errno, const char *stage, const char *format,
                     ...) {
  int code = sys_errno == ENOMEM ? BRIG_E_MEMORY : BRIG_E_SYSTEM;
  if (err == NULL) return code;
  va_list args;
  va_start(args, format);
  fill(err, code, sys_errno, stage, format, args);
  va_end(args);
  return code;
}
