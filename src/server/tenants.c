#include "server/tenants.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"

#define FILE_MAX    (1024u * 1024u)
#define ENTRIES_MAX 4096
#define NAME_MAX_LENGTH 64
#define TOKEN_MIN   16
#define TOKEN_MAX   4096

/* Never freed before its tenants are: calls in progress have it. */
struct named_caller {
  struct named_caller *next;
  struct caller caller;
  char name[NAME_MAX_LENGTH + 1];
};

enum way { BY_TOKEN, BY_UID, BY_CERTIFICATE };

struct entry {
  enum way way;
  const struct caller *caller;
  struct brig_digest digest; /* of the token, or of the certificate's subject */
  uid_t uid;
};

struct entries {
  struct entry *items;
  size_t count;
};

struct tenants {
  char *path; /* NULL: no file */
  struct entries entries;
  struct named_caller *callers;
  struct caller anyone, operator;
};

/* --- The file --------------------------------------------------------------------- */

struct reader {
  struct tenants *tenants;
  struct entries entries;
  size_t line;
  struct brig_error *err;
};

static int wrong(const struct reader *reader, const char *what) {
  return brig__fail(reader->err, BRIG_E_CONFIG, "tokens", "%.300s:%zu: %s", reader->tenants->path,
                    reader->line, what);
}

static int no_memory(struct brig_error *err) {
  return brig__fail(err, BRIG_E_MEMORY, "tokens", "out of memory");
}

static bool all_of(const char *text, size_t length, const char *more) {
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!plain && (c == '\0' || strchr(more, c) == NULL)) return false;
  }
  return true;
}

static const struct caller *caller_named(struct tenants *tenants, const char *name,
                                         size_t length) {
  for (struct named_caller *at = tenants->callers; at != NULL; at = at->next)
    if (strlen(at->name) == length && memcmp(at->name, name, length) == 0) return &at->caller;
  struct named_caller *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  memcpy(made->name, name, length);
  made->caller.tenant = made->name;
  made->next = tenants->callers;
  tenants->callers = made;
  return &made->caller;
}

/* RFC 6750: b64token. */
static bool is_token(const char *text) {
  size_t length = strlen(text);
  return length >= TOKEN_MIN && length <= TOKEN_MAX && all_of(text, length, "-._~+/=");
}

static bool read_uid(const char *text, uid_t *ret_uid) {
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number >= (uid_t)-1) return false;
  *ret_uid = (uid_t)number;
  return true;
}

static const char *after(const char *text, const char *prefix) {
  size_t length = strlen(prefix);
  return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* What a line has behind the tenant's name. Says what is wrong with it, or NULL. */
static const char *read_way(const char *text, struct entry *entry, int *ret_rc) {
  const char *value;
  *ret_rc = 0;
  if ((value = after(text, "uid:")) != NULL) {
    entry->way = BY_UID;
    return read_uid(value, &entry->uid) ? NULL : "uid: is followed by a user's number";
  }
  if ((value = after(text, "sha256:")) != NULL) {
    entry->way = BY_TOKEN;
    bool digest = strlen(value) == 64 && brig__digest_parse(value, &entry->digest) == 0;
    return digest ? NULL : "sha256: is followed by 64 hexadecimal digits";
  }
  value = after(text, "certificate:");
  entry->way = value != NULL ? BY_CERTIFICATE : BY_TOKEN;
  if (value == NULL) value = text;
  if (entry->way == BY_TOKEN && !is_token(value))
    return "a token is at least 16 of A-Z a-z 0-9 - . _ ~ + / =";
  if (*value == '\0') return "certificate: is followed by its subject";
  *ret_rc = brig__digest(value, strlen(value), &entry->digest);
  return NULL;
}

static bool same_way(const struct entry *a, const struct entry *b) {
  if (a->way != b->way) return false;
  return a->way == BY_UID ? a->uid == b->uid
                          : memcmp(&a->digest, &b->digest, sizeof a->digest) == 0;
}

static int add(struct reader *reader, const struct entry *entry) {
  struct entries *entries = &reader->entries;
  for (size_t i = 0; i < entries->count; i++)
    if (same_way(&entries->items[i], entry)) return wrong(reader, "it is there already");
  if (entries->count == ENTRIES_MAX) return wrong(reader, "there are more lines than 4096");
  struct entry *items = realloc(entries->items, (entries->count + 1) * sizeof *items);
  if (items == NULL) return no_memory(reader->err);
  entries->items = items;
  entries->items[entries->count++] = *entry;
  return 0;
}

static int read_line(struct reader *reader, const char *line) {
  struct entry entry = {0};
  int rc = 0;
  const char *colon = strchr(line, ':');
  size_t length = colon == NULL ? 0 : (size_t)(colon - line);
  if (length == 0 || length > NAME_MAX_LENGTH || !all_of(line, length, "._-"))
    return wrong(reader, "a line is TENANT:TOKEN, the tenant 1 to 64 of A-Z a-z 0-9 . _ -");
  const char *problem = read_way(colon + 1, &entry, &rc);
  if (problem != NULL) return wrong(reader, problem);
  entry.caller = caller_named(reader->tenants, line, length);
  if (rc < 0 || entry.caller == NULL) return no_memory(reader->err);
  return add(reader, &entry);
}

static char *trim(char *line) {
  size_t length = strlen(line);
  while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL) line[--length] = '\0';
  return line + strspn(line, " \t");
}

static int read_lines(struct reader *reader, char *text) {
  for (char *line; (line = strsep(&text, "\n")) != NULL;) {
    reader->line++;
    line = trim(line);
    int rc = *line == '\0' || *line == '#' ? 0 : read_line(reader, line);
    if (rc < 0) return rc;
  }
  if (reader->entries.count > 0) return 0;
  return wrong(reader, "the file lets nobody in; leave server.tokens_file empty to let all in");
}

/* The descriptor that was checked is the one that is read. */
static int open_file(const char *path, struct brig_error *err) {
  CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  const char *problem = NULL;
  if (fd < 0 || fstat(fd, &st) < 0)
    return brig__fail_errno(err, errno, "tokens", "server.tokens_file %.300s", path);
  if (!S_ISREG(st.st_mode))
    problem = "it is not a regular file";
  else if (st.st_uid != geteuid() && st.st_uid != 0)
    problem = "it is another user's";
  else if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
    problem = "others may read or change it: chmod 600";
  else if (st.st_size > FILE_MAX)
    problem = "it is larger than 1 MiB";
  if (problem != NULL)
    return brig__fail(err, BRIG_E_CONFIG, "tokens", "server.tokens_file %.300s: %s", path,
                      problem);
  return STEAL_FD(fd);
}

static void free_secret(char **text) {
  if (*text != NULL) OPENSSL_clear_free(*text, FILE_MAX + 1);
}

int brig__tenants_reload(struct tenants *tenants, struct brig_error *err) {
  if (tenants->path == NULL) return 0;
  CLEANUP_FD int fd = open_file(tenants->path, err);
  if (fd < 0) return fd;
  CLEANUP(free_secret) char *text = OPENSSL_zalloc(FILE_MAX + 1);
  if (text == NULL) return no_memory(err);
  ssize_t size = brig__read_all(fd, text, FILE_MAX);
  if (size < 0)
    return brig__fail_errno(err, (int)-size, "tokens", "server.tokens_file %.300s", tenants->path);
  struct reader reader = {.tenants = tenants, .err = err};
  int rc = strlen(text) != (size_t)size ? wrong(&reader, "it has a 0 byte")
                                        : read_lines(&reader, text);
  if (rc < 0) {
    free(reader.entries.items);
    return rc;
  }
  free(tenants->entries.items);
  tenants->entries = reader.entries;
  return 0;
}

/* --- Life ------------------------------------------------------------------------- */

int brig__tenants_open(const char *path, struct tenants **ret_tenants, struct brig_error *err) {
  bool file = path != NULL && *path != '\0';
  struct tenants *tenants = calloc(1, sizeof *tenants);
  if (tenants == NULL) return no_memory(err);
  tenants->operator.is_operator = true;
  tenants->path = file ? strdup(path) : NULL;
  int rc = file && tenants->path == NULL ? no_memory(err) : brig__tenants_reload(tenants, err);
  if (rc < 0)
    brig__tenants_close(tenants);
  else
    *ret_tenants = tenants;
  return rc;
}

void brig__tenants_close(struct tenants *tenants) {
  if (tenants == NULL) return;
  while (tenants->callers != NULL) {
    struct named_caller *next = tenants->callers->next;
    free(tenants->callers);
    tenants->callers = next;
  }
  free(tenants->entries.items);
  free(tenants->path);
  free(tenants);
}

/* --- A caller --------------------------------------------------------------------- */

/* All entries are looked at, so that the time says nothing of which it was. */
static const struct caller *find_digest(const struct tenants *tenants, enum way way,
                                        const char *text) {
  const struct caller *caller = NULL;
  struct brig_digest digest;
  if (brig__digest(text, strlen(text), &digest) < 0) return NULL;
  for (size_t i = 0; i < tenants->entries.count; i++) {
    const struct entry *entry = &tenants->entries.items[i];
    if (entry->way == way && CRYPTO_memcmp(&entry->digest, &digest, sizeof digest) == 0)
      caller = entry->caller;
  }
  return caller;
}

static const struct caller *find_uid(const struct tenants *tenants, uid_t uid) {
  if (uid == geteuid()) return &tenants->operator;
  for (size_t i = 0; i < tenants->entries.count; i++) {
    const struct entry *entry = &tenants->entries.items[i];
    if (entry->way == BY_UID && entry->uid == uid) return entry->caller;
  }
  return NULL;
}

static const char *bearer_token(const char *authorization) {
  static const char scheme[] = "Bearer ";
  if (strncasecmp(authorization, scheme, strlen(scheme)) != 0) return NULL;
  const char *token = authorization + strlen(scheme);
  return token + strspn(token, " ");
}

/* Without a token in the headers. */
static const struct caller *find_peer(const struct tenants *tenants, const struct rpc_peer *peer) {
  const struct caller *caller = NULL;
  if (peer->certificate != NULL)
    caller = find_digest(tenants, BY_CERTIFICATE, peer->certificate);
  if (caller == NULL && peer->local) caller = find_uid(tenants, peer->uid);
  if (caller == NULL && tenants->path == NULL) caller = &tenants->anyone;
  return caller;
}

enum rpc_status brig__tenants_admit(struct tenants *tenants, const struct rpc_peer *peer,
                                    const struct caller **ret_caller, const char **ret_message) {
  const struct caller *caller = NULL;
  if (peer->authorization == NULL || tenants->path == NULL) {
    caller = find_peer(tenants, peer);
    *ret_message = "no bearer token, and nothing else says who calls";
  } else {
    const char *token = bearer_token(peer->authorization);
    if (token != NULL) caller = find_digest(tenants, BY_TOKEN, token);
    *ret_message = "the authorization is not a bearer token that is known";
  }
  if (caller == NULL) return RPC_UNAUTHENTICATED;
  *ret_caller = caller;
  *ret_message = NULL;
  return RPC_OK;
}
