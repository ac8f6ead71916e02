#include "wasi/context.h"
#include "wasi/dir.h"

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
static int insert_stream(struct wasi *wasi, int host, int given, wasi_rights rights) {
  struct fd_entry entry = {
      .kind = FD_STREAM,
      .filetype = isatty(host) ? WASI_FILETYPE_CHARACTER_DEVICE : WASI_FILETYPE_UNKNOWN,
      .host = host,
      .given = given,
      .base = rights,
      .listing = -1,
  };
  return insert(wasi, &entry);
}

/* Announced as a preopen: what is linked into a guest and has descriptors of its own
 * (wasi-vfs) would take the number of one that it does not know. */
static int insert_control(struct wasi *wasi, int host) {
  int rc = insert_stream(wasi, host, GIVEN_CONTROL, WASI_RIGHTS_INPUT | WASI_RIGHTS_OUTPUT);
  if (rc < 0) return rc;
  char *name = strdup("/.turns");
  if (name == NULL) return -ENOMEM;
  wasi->fds.items[wasi->fds.count - 1].preopen = name;
  return 0;
}

static int insert_mount(struct wasi *wasi, const struct wasi_mount *mount, uint32_t number) {
  struct fd_entry entry = {
      .kind = FD_DIRECTORY,
      .filetype = WASI_FILETYPE_DIRECTORY,
      .host = mount->fd,
      .given = GIVEN_MOUNTS + (int)number,
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
  int rc = insert_stream(wasi, options->stdin_fd, GIVEN_STDIN, WASI_RIGHTS_INPUT);
  if (rc == 0) rc = insert_stream(wasi, options->stdout_fd, GIVEN_STDOUT, WASI_RIGHTS_OUTPUT);
  if (rc == 0) rc = insert_stream(wasi, options->stderr_fd, GIVEN_STDERR, WASI_RIGHTS_OUTPUT);
  for (size_t i = 0; i < options->mount_count && rc == 0; i++)
    rc = insert_mount(wasi, &options->mounts[i], (uint32_t)i);
  return rc == 0 && options->has_control ? insert_control(wasi, options->control_fd) : rc;
}

static void set_task(struct wasi *wasi, const struct wasi_options *options) {
  wasi->has_program = options->has_program;
  wasi->program_fd = options->program_fd;
  wasi->program = options->program;
  wasi->program_size = options->program_size;
  wasi->quota = brig__quota_new(options->quota_bytes, options->quota_files, options->held_bytes,
                                options->held_files);
  uint64_t given = 3 + options->mount_count + options->has_control;
  wasi->fds.max = options->open_files > given ? options->open_files : (uint32_t)given;
}

int brig__wasi_create(const struct wasi_options *options, struct wasi **ret_wasi) {
  struct wasi *wasi = calloc(1, sizeof *wasi);
  if (wasi == NULL) return -ENOMEM;
  wasi->parks = options->parks;
  wasi->source = options->has_control ? GIVEN_CONTROL : GIVEN_STDIN;
  set_task(wasi, options);
  int rc = fill_block(&wasi->arguments, options->argv);
  if (rc == 0) rc = fill_block(&wasi->environment, options->env);
  if (rc == 0) rc = insert_all(wasi, options);
  if (rc < 0)
    brig__wasi_destroy(wasi);
  else
    *ret_wasi = wasi;
  return rc;
}

static void give_again(struct fd_entry *entry, const struct wasi_options *options) {
  const int streams[] = {[GIVEN_STDIN] = options->stdin_fd,
                         [GIVEN_STDOUT] = options->stdout_fd,
                         [GIVEN_STDERR] = options->stderr_fd,
                         [GIVEN_CONTROL] = options->control_fd};
  if (entry->given < 0) return;
  if (entry->given < GIVEN_MOUNTS) {
    entry->host = streams[entry->given];
    return;
  }
  const struct wasi_mount *mount = &options->mounts[entry->given - GIVEN_MOUNTS];
  entry->host = mount->fd;
  entry->read_only = !mount->read_write;
  brig__dir_forget(entry);
}

static bool is_nameless(const struct fd_entry *entry, struct stat *ret_stat) {
  return entry->kind == FD_FILE && fstat(entry->host, ret_stat) == 0 && ret_stat->st_nlink == 0;
}

/* Files that an earlier turn removed and still has open: who looks into the directories
 * does not see them. */
static void charge_nameless(struct wasi *wasi) {
  struct fd_table opened = wasi->fds;
  struct stat st;
  for (opened.count = 0; opened.count < wasi->fds.count; opened.count++)
    if (is_nameless(&wasi->fds.items[opened.count], &st) &&
        !brig__fd_has_open(&opened, st.st_dev, st.st_ino))
      brig__quota_take_bytes(&wasi->quota, (uint64_t)st.st_size);
  wasi->quota.exceeded = false; /* no write was refused for it yet */
}

void brig__wasi_resume(struct wasi *wasi, const struct wasi_options *options) {
  wasi->parks = false;
  set_task(wasi, options);
  charge_nameless(wasi);
  if (wasi->fds.max < wasi->fds.count) wasi->fds.max = wasi->fds.count;
  for (uint32_t fd = 0; fd < wasi->fds.count; fd++) give_again(&wasi->fds.items[fd], options);
}

size_t brig__wasi_opened(const struct wasi *wasi, int *fds, size_t max) {
  size_t count = 0;
  for (uint32_t fd = 0; fd < wasi->fds.count; fd++) {
    const struct fd_entry *entry = &wasi->fds.items[fd];
    const int held[] = {entry->given < 0 ? entry->host : -1, entry->listing};
    for (size_t i = 0; i < 2 && entry->kind != FD_FREE; i++) {
      if (held[i] < 0) continue;
      if (count < max) fds[count] = held[i];
      count++;
    }
  }
  return count;
}

bool brig__wasi_must_park(const struct wasi *wasi, const struct fd_entry *entry) {
  return wasi->parks && entry->given == wasi->source;
}

bool brig__wasi_gives_program(const struct wasi *wasi, const struct fd_entry *entry) {
  return wasi->has_program && entry->given == wasi->source;
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
      .written_bytes = wasi->quota.bytes_peak - wasi->quota.bytes_held,
      .written_files = wasi->quota.files_peak - wasi->quota.files_held,
      .quota_exceeded = wasi->quota.exceeded,
  };
}
