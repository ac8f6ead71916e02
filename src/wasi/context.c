#include "wasi/context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fill_block(struct string_block *block, char *const *strings) {
  uint64_t size = 0, count = 0;
  for (; strings != NULL && strings[count] != NULL; count++) size += strlen(strings[count]) + 1;
  if (size > UINT32_MAX / 2 || count > UINT32_MAX / 8) return -E2BIG;
  block->data = malloc(size + 1);
  if (block->data == NULL) return -ENOMEM;
  char *at = block->data;
  for (uint64_t i = 0; i < count; i++) at = stpcpy(at, strings[i]) + 1;
  block->size = (uint32_t)size;
  block->count = (uint32_t)count;
  return 0;
}

static int insert(struct wasi *wasi, const struct fd_entry *entry) {
  uint32_t fd;
  wasi_errno error = brig__fd_insert(&wasi->fds, entry, &fd);
  return error == WASI_ESUCCESS ? 0 : error == WASI_EMFILE ? -EMFILE : -ENOMEM;
}

/* isatty here, not when the guest asks: the jail has no ioctl. What is no
 * terminal is of unknown type, whatever carries it. */
static int insert_stream(struct wasi *wasi, int host, wasi_rights rights) {
  struct fd_entry entry = {
      .kind = FD_STREAM,
      .filetype = isatty(host) ? WASI_FILETYPE_CHARACTER_DEVICE : WASI_FILETYPE_UNKNOWN,
      .host = host,
      .lent = true,
      .base = rights,
      .listing = -1,
  };
  return insert(wasi, &entry);
}

static int insert_mount(struct wasi *wasi, const struct wasi_mount *mount, uint32_t number) {
  struct fd_entry entry = {
      .kind = FD_DIRECTORY,
      .filetype = WASI_FILETYPE_DIRECTORY,
      .host = mount->fd,
      .lent = true,
      .read_only = !mount->read_write,
      .mount = number,
      .base = WASI_RIGHTS_DIRECTORY,
      .inheriting = WASI_RIGHTS_DIRECTORY | WASI_RIGHTS_FILE,
      .preopen = strdup(mount->name),
      .listing = -1,
  };
  return entry.preopen == NULL ? -ENOMEM : insert(wasi, &entry);
}

static int insert_all(struct wasi *wasi, const struct wasi_options *options) {
  int rc = insert_stream(wasi, options->stdin_fd, WASI_RIGHTS_INPUT);
  if (rc == 0) rc = insert_stream(wasi, options->stdout_fd, WASI_RIGHTS_OUTPUT);
  if (rc == 0) rc = insert_stream(wasi, options->stderr_fd, WASI_RIGHTS_OUTPUT);
  for (size_t i = 0; i < options->mount_count && rc == 0; i++)
    rc = insert_mount(wasi, &options->mounts[i], (uint32_t)i);
  return rc;
}

int brig__wasi_create(const struct wasi_options *options, struct wasi **ret_wasi) {
  struct wasi *wasi = calloc(1, sizeof *wasi);
  if (wasi == NULL) return -ENOMEM;
  wasi->quota.bytes_max = options->quota_bytes;
  wasi->quota.files_max = options->quota_files;
  uint64_t given = 3 + options->mount_count;
  wasi->fds.max = options->open_files > given ? options->open_files : (uint32_t)given;
  int rc = fill_block(&wasi->arguments, options->argv);
  if (rc == 0) rc = fill_block(&wasi->environment, options->env);
  if (rc == 0) rc = insert_all(wasi, options);
  if (rc < 0)
    brig__wasi_destroy(wasi);
  else
    *ret_wasi = wasi;
  return rc;
}

void brig__wasi_destroy(struct wasi *wasi) {
  if (wasi == NULL) return;
  brig__fd_table_finish(&wasi->fds);
  free(wasi->arguments.data);
  free(wasi->environment.data);
  free(wasi);
}

void brig__wasi_usage(const struct wasi *wasi, struct wasi_usage *ret_usage) {
  *ret_usage = (struct wasi_usage){
      .written_bytes = wasi->quota.bytes_peak,
      .written_files = wasi->quota.files_peak,
      .quota_exceeded = wasi->quota.exceeded,
  };
}
