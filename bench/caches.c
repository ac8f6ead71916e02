/* What a pause does to the processor's caches: prints nanoseconds to read one cache line of
 * 256 KiB in an order that cannot be foreseen, as programs do, at once and after 5 ms of
 * sleep. What runs once in a while, as all here does, meets the latter.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINES (256 * 1024 / 64)
#define ROUNDS 101

struct line {
  struct line *next;
  char rest[64 - sizeof(struct line *)];
};

static struct line lines[LINES] __attribute__((aligned(64)));

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void link_all(void) {
  static size_t order[LINES];
  for (size_t i = 0; i < LINES; i++) order[i] = i;
  for (size_t i = LINES - 1; i > 0; i--) {
    size_t other = (size_t)rand() % (i + 1), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
  for (size_t i = 0; i < LINES; i++) lines[order[i]].next = &lines[order[(i + 1) % LINES]];
}

static int compare(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static double read_after(useconds_t pause_us) {
  double taken[ROUNDS];
  for (size_t round = 0; round < ROUNDS; round++) {
    if (pause_us > 0) usleep(pause_us);
    double begun = now_ns();
    struct line *volatile at = lines;
    for (size_t i = 0; i < LINES; i++) at = at->next;
    taken[round] = (now_ns() - begun) / LINES;
  }
  qsort(taken, ROUNDS, sizeof *taken, compare);
  return taken[ROUNDS / 2];
}

int main(void) {
  link_all();
  read_after(0);
  printf("%.1f %.1f\n", read_after(0), read_after(5000));
}
