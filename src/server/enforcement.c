#include "server/enforcement.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/digest.h"
#include "base/error.h"
#include "session/workspace.h"

/* --- What clients are told ------------------------------------------------------ */

enum rpc_status brig__enforcement_status(enum enforcement_verdict verdict) {
  static const enum rpc_status statuses[] = {
      RPC_OK,
#define STATUS(name, status, message, reason) [ENFORCEMENT_##name] = status,
      ENFORCEMENT_LIST(STATUS)
#undef STATUS
  };
  return statuses[verdict];
}

const char *brig__enforcement_message(enum enforcement_verdict verdict) {
  static const char *const messages[] = {
      "",
#define MESSAGE(name, status, message, reason) [ENFORCEMENT_##name] = message,
      ENFORCEMENT_LIST(MESSAGE)
#undef MESSAGE
  };
  return messages[verdict];
}

static const char *reason(enum enforcement_verdict verdict) {
  static const char *const reasons[] = {
      "",
#define REASON(name, status, message, reason) [ENFORCEMENT_##name] = reason,
      ENFORCEMENT_LIST(REASON)
#undef REASON
  };
  return reasons[verdict];
}

/* --- Keys ------------------------------------------------------------------------ */

#define SLOT_NONE    UINT32_MAX
#define BYTES_A_TOKEN 4

/* Calls that ended in one part of the window, which rolls on by parts. */
#define WINDOW_PARTS 10
struct part {
  uint64_t number; /* of the part, since the clock began */
  uint32_t ended, failed;
};

struct key {
  uint8_t name[16];
  uint64_t generation; /* tells a slot's keys apart */
  uint32_t next;       /* in its chain */
  uint32_t newer, older;
  uint64_t credit; /* millionths of a call, filled up to `filled_us` */
  uint64_t filled_us;
  uint64_t open_until_us; /* 0: the circuit is closed; then: when one is let through */
  struct part parts[WINDOW_PARTS];
};

struct enforcement {
  struct metrics *metrics;
  uint64_t timeout_us, window_us, rate, min_requests, threshold_permille, max_tokens;
  /* Names are digests with a secret, so that nobody can choose their chain. */
  EVP_MD_CTX *digest;
  uint8_t secret[16];
  struct key *keys;
  uint32_t count, max;
  uint32_t *chains; /* a power of two of them */
  uint32_t chain_mask;
  uint32_t newest, oldest;
  uint64_t generations;
};

void brig__enforcement_configure(struct enforcement *enforcement,
                                 const struct brig_settings *settings) {
  enforcement->timeout_us = settings->enforcement_per_request_timeout_ms * 1000;
  enforcement->window_us = settings->enforcement_circuit_breaker_rolling_window_ms * 1000;
  enforcement->rate = settings->enforcement_rate_limit_per_key_rps;
  enforcement->min_requests = settings->enforcement_circuit_breaker_min_requests;
  enforcement->threshold_permille =
      settings->enforcement_circuit_breaker_error_threshold_permille;
  enforcement->max_tokens = settings->enforcement_per_request_max_tokens;
}

int brig__enforcement_open(const struct brig_settings *settings, struct metrics *metrics,
                           struct enforcement **ret_enforcement, struct brig_error *err) {
  struct enforcement *made = calloc(1, sizeof *made);
  if (made == NULL) return brig__fail(err, BRIG_E_MEMORY, "server", "out of memory");
  made->metrics = metrics;
  made->max = (uint32_t)settings->enforcement_max_keys;
  made->newest = made->oldest = SLOT_NONE;
  uint32_t chains = 1;
  while (chains < made->max) chains *= 2;
  made->chain_mask = chains - 1;
  made->chains = malloc(chains * sizeof *made->chains);
  made->keys = calloc(made->max, sizeof *made->keys);
  made->digest = EVP_MD_CTX_new();
  brig__enforcement_configure(made, settings);
  if (made->chains == NULL || made->keys == NULL || made->digest == NULL ||
      getrandom(made->secret, sizeof made->secret, 0) != sizeof made->secret) {
    brig__enforcement_close(made);
    return brig__fail(err, BRIG_E_MEMORY, "server", "no memory for enforcement.max_keys");
  }
  memset(made->chains, 0xff, chains * sizeof *made->chains);
  *ret_enforcement = made;
  return 0;
}

void brig__enforcement_close(struct enforcement *enforcement) {
  if (enforcement == NULL) return;
  EVP_MD_CTX_free(enforcement->digest);
  free(enforcement->chains);
  free(enforcement->keys);
  free(enforcement);
}

/* Without memory for the digest all share one key: limits hold. */
static void name_key(struct enforcement *enforcement, const struct enforcement_request *request,
                     uint8_t ret_name[16]) {
  static const char anonymous[] = "anonymous";
  const char *tenant = request->tenant == NULL ? "" : request->tenant;
  const void *user = request->user_size == 0 ? anonymous : request->user;
  size_t user_size = request->user_size == 0 ? strlen(anonymous) : request->user_size;
  EVP_MD_CTX *digest = enforcement->digest;
  struct brig_digest name = {{0}};
  if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 ||
      EVP_DigestUpdate(digest, enforcement->secret, sizeof enforcement->secret) != 1 ||
      EVP_DigestUpdate(digest, tenant, strlen(tenant) + 1) != 1 ||
      EVP_DigestUpdate(digest, user, user_size) != 1 ||
      EVP_DigestFinal_ex(digest, name.bytes, NULL) != 1)
    name = (struct brig_digest){{0}};
  memcpy(ret_name, name.bytes, 16);
}

static uint32_t *chain_of(struct enforcement *enforcement, const uint8_t name[16]) {
  uint32_t hash;
  memcpy(&hash, name, sizeof hash);
  return &enforcement->chains[hash & enforcement->chain_mask];
}

static void unlink_use(struct enforcement *enforcement, struct key *key) {
  *(key->newer == SLOT_NONE ? &enforcement->newest : &enforcement->keys[key->newer].older) =
      key->older;
  *(key->older == SLOT_NONE ? &enforcement->oldest : &enforcement->keys[key->older].newer) =
      key->newer;
}

static void link_newest(struct enforcement *enforcement, uint32_t slot) {
  struct key *key = &enforcement->keys[slot];
  key->newer = SLOT_NONE;
  key->older = enforcement->newest;
  *(key->older == SLOT_NONE ? &enforcement->oldest : &enforcement->keys[key->older].newer) = slot;
  enforcement->newest = slot;
}

/* The slot of the key used least recently, which is forgotten. */
static uint32_t evict(struct enforcement *enforcement) {
  uint32_t slot = enforcement->oldest;
  struct key *key = &enforcement->keys[slot];
  uint32_t *at = chain_of(enforcement, key->name);
  while (*at != slot) at = &enforcement->keys[*at].next;
  *at = key->next;
  unlink_use(enforcement, key);
  return slot;
}

static uint32_t make(struct enforcement *enforcement, const uint8_t name[16], uint64_t now_us) {
  bool full = enforcement->count == enforcement->max;
  uint32_t slot = full ? evict(enforcement) : enforcement->count++;
  uint32_t *chain = chain_of(enforcement, name);
  struct key *key = &enforcement->keys[slot];
  *key = (struct key){.generation = ++enforcement->generations,
                      .next = *chain,
                      .credit = enforcement->rate * 1000000,
                      .filled_us = now_us};
  memcpy(key->name, name, sizeof key->name);
  *chain = slot;
  link_newest(enforcement, slot);
  return slot;
}

static uint32_t find(struct enforcement *enforcement, const struct enforcement_request *request,
                     uint64_t now_us) {
  uint8_t name[16];
  name_key(enforcement, request, name);
  uint32_t slot = *chain_of(enforcement, name);
  while (slot != SLOT_NONE && memcmp(enforcement->keys[slot].name, name, sizeof name) != 0)
    slot = enforcement->keys[slot].next;
  if (slot == SLOT_NONE) return make(enforcement, name, now_us);
  unlink_use(enforcement, &enforcement->keys[slot]);
  link_newest(enforcement, slot);
  return slot;
}

/* --- The bucket, and the circuit --------------------------------------------------- */

/* It holds a second's calls, so after a second it is full. */
static bool take_credit(const struct enforcement *enforcement, struct key *key, uint64_t now_us) {
  uint64_t full = enforcement->rate * 1000000;
  uint64_t elapsed_us = now_us > key->filled_us ? now_us - key->filled_us : 0;
  key->credit += elapsed_us < 1000000 ? elapsed_us * enforcement->rate : full;
  if (key->credit > full) key->credit = full;
  key->filled_us = now_us;
  if (key->credit < 1000000) return false;
  key->credit -= 1000000;
  return true;
}

/* One that never comes back must not keep the circuit open: another follows. */
static bool let_through(const struct enforcement *enforcement, struct key *key, uint64_t now_us,
                        bool *ret_probe) {
  *ret_probe = key->open_until_us != 0;
  if (!*ret_probe) return true;
  if (now_us < key->open_until_us) return false;
  key->open_until_us = now_us + enforcement->timeout_us;
  return true;
}

static uint64_t part_number(const struct enforcement *enforcement, uint64_t now_us) {
  uint64_t part_us = enforcement->window_us / WINDOW_PARTS;
  return now_us / (part_us == 0 ? 1 : part_us);
}

static void record(struct enforcement *enforcement, struct key *key, bool failed,
                   uint64_t now_us) {
  uint64_t number = part_number(enforcement, now_us), all = 0, bad = 0;
  struct part *part = &key->parts[number % WINDOW_PARTS];
  if (part->number != number) *part = (struct part){.number = number};
  part->ended++;
  part->failed += failed;
  for (size_t i = 0; i < WINDOW_PARTS; i++) {
    if (key->parts[i].number > number || number - key->parts[i].number >= WINDOW_PARTS) continue;
    all += key->parts[i].ended;
    bad += key->parts[i].failed;
  }
  if (all >= enforcement->min_requests && bad * 1000 >= all * enforcement->threshold_permille)
    key->open_until_us = now_us + enforcement->window_us;
}

static void settle_probe(struct enforcement *enforcement, struct key *key, enum rpc_status status,
                         uint64_t now_us) {
  if (status == RPC_OK)
    key->open_until_us = 0; /* what opened it has left the window */
  else if (status == RPC_CANCELLED)
    key->open_until_us = now_us == 0 ? 1 : now_us;
  else
    key->open_until_us = now_us + enforcement->window_us;
}

/* --- A call ------------------------------------------------------------------------ */

static enum enforcement_verdict judge(struct enforcement *enforcement,
                                      const struct enforcement_request *request, uint64_t now_us,
                                      struct enforcement_ticket *ret_ticket) {
  if (request->query_bytes / BYTES_A_TOKEN > enforcement->max_tokens)
    return ENFORCEMENT_TOKEN_LIMIT;
  uint32_t slot = find(enforcement, request, now_us);
  struct key *key = &enforcement->keys[slot];
  struct enforcement_ticket ticket = {.slot = slot, .generation = key->generation};
  if (!take_credit(enforcement, key, now_us)) return ENFORCEMENT_RATE_LIMIT;
  if (!let_through(enforcement, key, now_us, &ticket.probe)) return ENFORCEMENT_CIRCUIT_OPEN;
  *ret_ticket = ticket;
  return ENFORCEMENT_ALLOWED;
}

static void count(struct enforcement *enforcement, enum metric metric, const char *label) {
  if (enforcement->metrics != NULL)
    brig__metrics_add(enforcement->metrics, metric, 1, label, NULL);
}

enum enforcement_verdict brig__enforcement_begin(struct enforcement *enforcement,
                                                 const struct enforcement_request *request,
                                                 uint64_t now_us,
                                                 struct enforcement_ticket *ret_ticket) {
  enum enforcement_verdict verdict = judge(enforcement, request, now_us, ret_ticket);
  if (verdict != ENFORCEMENT_ALLOWED)
    count(enforcement, METRIC_enforcement_drops, reason(verdict));
  return verdict;
}

uint64_t brig__enforcement_timeout_us(const struct enforcement *enforcement) {
  return enforcement->timeout_us;
}

static void count_end(struct enforcement *enforcement, enum rpc_status status) {
  if (status == RPC_OK)
    count(enforcement, METRIC_enforcement_allowed, "success");
  else if (status == RPC_DEADLINE_EXCEEDED)
    count(enforcement, METRIC_enforcement_drops, reason(ENFORCEMENT_TIMEOUT));
  else if (status != RPC_CANCELLED)
    count(enforcement, METRIC_enforcement_drops, "downstream_error");
}

void brig__enforcement_end(struct enforcement *enforcement,
                           const struct enforcement_ticket *ticket, enum rpc_status status,
                           uint64_t now_us) {
  struct key *key = &enforcement->keys[ticket->slot];
  count_end(enforcement, status);
  if (key->generation != ticket->generation) return; /* forgotten meanwhile */
  if (ticket->probe)
    settle_probe(enforcement, key, status, now_us);
  else if (key->open_until_us == 0 && status != RPC_CANCELLED)
    record(enforcement, key, status != RPC_OK, now_us);
}

/* --- Workspaces ---------------------------------------------------------------------- */

/* One that is just full may be worked in: to make room. */
int brig__enforcement_check_growth(const char *workspace, uint64_t more,
                                   const struct brig_settings *settings, struct brig_error *err) {
  static const char exceeded[] = "Session workspace quota exceeded";
  const struct workspace_size most = {settings->session_workspace_bytes,
                                      settings->session_workspace_files};
  struct workspace_room room;
  brig__workspace_measure(workspace, &most, &room);
  bool counted = room.left.bytes > 0 || room.left.files > 0;
  if (counted && more <= room.left.bytes) return 0;
  if (counted || room.held.bytes > most.bytes)
    return brig__fail(err, BRIG_E_LIMIT, "workspace", "%s: %.1f MB in it, %.1f MB allowed",
                      exceeded, (double)(room.held.bytes + more) / 0x1p20,
                      (double)most.bytes / 0x1p20);
  return brig__fail(err, BRIG_E_LIMIT, "workspace", "%s: more files in it than the %llu allowed",
                    exceeded, (unsigned long long)most.files);
}

int brig__enforcement_check_workspace(const char *workspace, const struct brig_settings *settings,
                                      struct brig_error *err) {
  return brig__enforcement_check_growth(workspace, 0, settings, err);
}
