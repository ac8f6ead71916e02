/* support/processes.h - the processes that this one has started. */
#ifndef BRIG_TESTS_PROCESSES_H
#define BRIG_TESTS_PROCESSES_H

#include <dirent.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

static size_t find_below(pid_t parent, int depth, pid_t *pids, size_t size);

/* A child is its parent's thread's. */
static size_t find_below_thread(const char *task, const char *thread, int depth, pid_t *pids,
                                size_t size) {
  char path[512];
  size_t count = 0;
  int pid;
  snprintf(path, sizeof path, "%s/%s/children", task, thread);
  FILE *file = fopen(path, "re");
  while (file != NULL && fscanf(file, "%d", &pid) == 1 && count < size) {
    if (depth > 1)
      count += find_below(pid, depth - 1, pids + count, size - count);
    else
      pids[count++] = pid;
  }
  if (file != NULL) fclose(file);
  return count;
}

/* Descendants of ours, by how far down: 1 launchers, 2 zygotes, 3 workers. */
static size_t find_below(pid_t parent, int depth, pid_t *pids, size_t size) {
  char task[64];
  size_t count = 0;
  snprintf(task, sizeof task, "/proc/%d/task", parent);
  DIR *directory = opendir(task);
  for (struct dirent *item; directory != NULL && (item = readdir(directory)) != NULL;)
    if (item->d_name[0] != '.')
      count += find_below_thread(task, item->d_name, depth, pids + count, size - count);
  if (directory != NULL) closedir(directory);
  return count;
}

#endif
