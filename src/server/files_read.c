/* FileRead. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include "base/fd.h"
#include "base/utf8.h"
#include "server/base64.h"
#include "server/files.h"

#define ENCODING_MAX 100 /* bytes of a name, of which none has as many */

/* So much becomes at most FILES_TEXT_MAX of base64. */
#define READ_MAX (FILES_TEXT_MAX / 4 * 3)

int brig__files_encoding(struct files_call *call, const ProtobufCBinaryData *name,
                         bool *ret_base64) {
  static const struct {
    const char *name;
    bool base64;
  } rows[] = {{"", false}, {"utf-8", false}, {"utf8", false}, {"base64", true}};
  char text[ENCODING_MAX + 1] = "";
  size_t length = name->len < ENCODING_MAX ? name->len : ENCODING_MAX;
  if (length > 0) memcpy(text, name->data, length);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strcasecmp(text, rows[i].name) != 0) continue;
    *ret_base64 = rows[i].base64;
    return 0;
  }
  return brig__files_fail(call, "encoding is 'utf-8' or 'base64', not '%s'", text);
}

/* What clients know it by. */
static ProtobufCBinaryData extension(struct files_call *call, const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
  const char *dot = strrchr(name, '.');
  return dot == NULL || dot == name ? (ProtobufCBinaryData){0}
                                    : brig__files_text(call, dot + 1, strlen(dot + 1));
}

static int encode(struct files_call *call, const char *data, size_t size, bool base64,
                  ProtobufCBinaryData *ret_content) {
  if (base64)
    ret_content->data = (uint8_t *)brig__base64_encode(&call->arena, data, size, &ret_content->len);
  else
    *ret_content = brig__files_text(call, data, size);
  if (ret_content->data == NULL) return brig__files_fail_errno(call, "the file", -ENOMEM);
  if (ret_content->len <= FILES_TEXT_MAX) return 0;
  *ret_content = (ProtobufCBinaryData){0};
  return brig__files_fail(call, "it is not text: ask for the encoding 'base64'");
}

int brig__files_read(struct files_call *call, const void *message, void *reply) {
  const Shannon__Sandbox__FileReadRequest *request = message;
  Shannon__Sandbox__FileReadResponse *response = reply;
  CLEANUP_PLACE struct files_place place = FILES_PLACE_INIT;
  struct stat st;
  size_t size, max = READ_MAX;
  bool base64;
  if (brig__files_encoding(call, &request->encoding, &base64) < 0 ||
      brig__files_place(call, &request->path, false, &place) < 0)
    return -1;
  CLEANUP_FD int fd = brig__files_open(call, &place, &st);
  if (fd < 0) return -1;
  response->size_bytes = st.st_size;
  if (request->max_bytes > 0 && (size_t)request->max_bytes < max) max = (size_t)request->max_bytes;
  if ((uint64_t)st.st_size > max)
    return brig__files_fail(call, "File too large: %lld bytes (max %zu)", (long long)st.st_size,
                            max);
  const char *data = brig__files_load(call, place.given, fd, (size_t)st.st_size, &size);
  if (data == NULL) return -1;
  response->file_type = extension(call, place.path);
  return encode(call, data, size, base64, &response->content);
}
