#include "pool/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/fd.h"

_Static_assert(sizeof(struct wire_report) <= 4096, "a report is one atomic write to a pipe");

union ancillary {
  struct cmsghdr header;
  char space[CMSG_SPACE(WIRE_MAX_FDS * sizeof(int))];
};

int brig__wire_send(int socket, const void *frame, size_t size, const int *fds, size_t fd_count,
                    int flags) {
  union ancillary ancillary = {0};
  struct iovec data = {(void *)(uintptr_t)frame, size};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  if (fd_count > WIRE_MAX_FDS) return -E2BIG;
  if (fd_count > 0) {
    message.msg_control = &ancillary;
    message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
  }
  for (;;) {
    ssize_t sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    if (sent == (ssize_t)size) return 0;
    if (sent >= 0) return -EPROTO;
    if (errno != EINTR) return -errno;
  }
}

static size_t take_fds(struct msghdr *message, int *fds, size_t max) {
  size_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      if (count < max)
        fds[count++] = fd;
      else
        close(fd);
    }
  }
  return count;
}

size_t brig__wire_fd_count(const struct wire_task *task) {
  switch (task->operation) {
    case WIRE_RUN:
    case WIRE_WARM:
      return WIRE_FD_MOUNTS + task->mounts + WIRE_EXTRA_FDS;
    case WIRE_RESUME:
    case WIRE_BRANCH:
      return WIRE_FD_MOUNTS + task->mounts + (task->session ? WIRE_EXTRA_FDS : 0);
    default:
      return WIRE_FD_COMMON;
  }
}

/* Of `least` bytes or more; how many. */
static ssize_t receive(int socket, void *frame, size_t least, size_t most, int *fds, size_t max_fds,
                       size_t *ret_fd_count, int flags) {
  union ancillary ancillary;
  struct iovec data = {frame, most};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = &ancillary,
                           .msg_controllen = sizeof ancillary};
  ssize_t got;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  size_t count = take_fds(&message, fds, max_fds);
  if ((size_t)got >= least && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
    *ret_fd_count = count;
    return got;
  }
  for (size_t i = 0; i < count; i++) close(fds[i]);
  return got == 0 ? -EPIPE : -EPROTO;
}

int brig__wire_receive(int socket, void *frame, size_t size, int *fds, size_t max_fds,
                       size_t *ret_fd_count) {
  ssize_t got = receive(socket, frame, size, size, fds, max_fds, ret_fd_count, 0);
  return got < 0 ? (int)got : 0;
}

int brig__wire_receive_now(int socket, void *frame, size_t size, int *fds, size_t max_fds,
                           size_t *ret_fd_count) {
  ssize_t got = receive(socket, frame, size, size, fds, max_fds, ret_fd_count, MSG_DONTWAIT);
  return got < 0 ? (int)got : 0;
}

void brig__wire_close_offer(int fds[WIRE_OFFER_FDS]) {
  for (int i = 0; i < WIRE_OFFER_FDS; i++)
    if (fds[i] >= 0) close(STEAL_FD(fds[i]));
}

static size_t order_size(const struct wire_order *order) {
  return offsetof(struct wire_order, program) + order->task.program_size;
}

int brig__wire_receive_order(int socket, struct wire_order *ret_order, int *fds, size_t max_fds,
                             size_t *ret_fd_count, int flags) {
  ssize_t got = receive(socket, ret_order, sizeof ret_order->task, sizeof *ret_order, fds, max_fds,
                        ret_fd_count, flags);
  if (got < 0) return (int)got;
  if ((size_t)got == order_size(ret_order)) return 0;
  for (size_t i = 0; i < *ret_fd_count; i++) close(fds[i]);
  return -EPROTO;
}

int brig__wire_send_order(int socket, const struct wire_order *order, const int *fds,
                          size_t fd_count, int flags) {
  return brig__wire_send(socket, order, order_size(order), fds, fd_count, flags);
}
