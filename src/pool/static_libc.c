/* What Rust's library refers to and the engine never calls: looking up hosts and users.
 * The C library's own would, in a static program, load shared ones. */
#include <errno.h>
#include <netdb.h>
#include <pwd.h>
#include <stddef.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list) {
  (void)node, (void)service, (void)hints, (void)ret_list;
  return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list) { (void)list; }

int getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size,
               struct passwd **ret_user) {
  (void)uid, (void)user, (void)buffer, (void)size;
  *ret_user = NULL;
  return ENOENT;
}
