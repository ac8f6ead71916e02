/* wasi/preview1.h - the constants and layouts of preview 1, from its witx. */
#ifndef BRIG_WASI_PREVIEW1_H
#define BRIG_WASI_PREVIEW1_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */

/* X(NAME, value, host errno; 0: none means it). The order is witx's. */
#define WASI_ERRNO_LIST(X)                                                                  \
  X(SUCCESS, 0, 0) X(2BIG, 1, E2BIG) X(ACCES, 2, EACCES) X(ADDRINUSE, 3, EADDRINUSE)        \
  X(ADDRNOTAVAIL, 4, EADDRNOTAVAIL) X(AFNOSUPPORT, 5, EAFNOSUPPORT) X(AGAIN, 6, EAGAIN)     \
  X(ALREADY, 7, EALREADY) X(BADF, 8, EBADF) X(BADMSG, 9, EBADMSG) X(BUSY, 10, EBUSY)        \
  X(CANCELED, 11, ECANCELED) X(CHILD, 12, ECHILD) X(CONNABORTED, 13, ECONNABORTED)          \
  X(CONNREFUSED, 14, ECONNREFUSED) X(CONNRESET, 15, ECONNRESET) X(DEADLK, 16, EDEADLK)      \
  X(DESTADDRREQ, 17, EDESTADDRREQ) X(DOM, 18, EDOM) X(DQUOT, 19, EDQUOT)                    \
  X(EXIST, 20, EEXIST) X(FAULT, 21, EFAULT) X(FBIG, 22, EFBIG)                              \
  X(HOSTUNREACH, 23, EHOSTUNREACH) X(IDRM, 24, EIDRM) X(ILSEQ, 25, EILSEQ)                  \
  X(INPROGRESS, 26, EINPROGRESS) X(INTR, 27, EINTR) X(INVAL, 28, EINVAL) X(IO, 29, EIO)     \
  X(ISCONN, 30, EISCONN) X(ISDIR, 31, EISDIR) X(LOOP, 32, ELOOP) X(MFILE, 33, EMFILE)       \
  X(MLINK, 34, EMLINK) X(MSGSIZE, 35, EMSGSIZE) X(MULTIHOP, 36, EMULTIHOP)                  \
  X(NAMETOOLONG, 37, ENAMETOOLONG) X(NETDOWN, 38, ENETDOWN) X(NETRESET, 39, ENETRESET)      \
  X(NETUNREACH, 40, ENETUNREACH) X(NFILE, 41, ENFILE) X(NOBUFS, 42, ENOBUFS)                \
  X(NODEV, 43, ENODEV) X(NOENT, 44, ENOENT) X(NOEXEC, 45, ENOEXEC) X(NOLCK, 46, ENOLCK)     \
  X(NOLINK, 47, ENOLINK) X(NOMEM, 48, ENOMEM) X(NOMSG, 49, ENOMSG)                          \
  X(NOPROTOOPT, 50, ENOPROTOOPT) X(NOSPC, 51, ENOSPC) X(NOSYS, 52, ENOSYS)                  \
  X(NOTCONN, 53, ENOTCONN) X(NOTDIR, 54, ENOTDIR) X(NOTEMPTY, 55, ENOTEMPTY)                \
  X(NOTRECOVERABLE, 56, ENOTRECOVERABLE) X(NOTSOCK, 57, ENOTSOCK) X(NOTSUP, 58, ENOTSUP)    \
  X(NOTTY, 59, ENOTTY) X(NXIO, 60, ENXIO) X(OVERFLOW, 61, EOVERFLOW)                        \
  X(OWNERDEAD, 62, EOWNERDEAD) X(PERM, 63, EPERM) X(PIPE, 64, EPIPE) X(PROTO, 65, EPROTO)   \
  X(PROTONOSUPPORT, 66, EPROTONOSUPPORT) X(PROTOTYPE, 67, EPROTOTYPE) X(RANGE, 68, ERANGE)  \
  X(ROFS, 69, EROFS) X(SPIPE, 70, ESPIPE) X(SRCH, 71, ESRCH) X(STALE, 72, ESTALE)           \
  X(TIMEDOUT, 73, ETIMEDOUT) X(TXTBSY, 74, ETXTBSY) X(XDEV, 75, EXDEV) X(NOTCAPABLE, 76, 0)

#define WASI_ERRNO_ENUM(name, value, host) WASI_E##name = value,
typedef enum { WASI_ERRNO_LIST(WASI_ERRNO_ENUM) WASI_ERRNO_COUNT } wasi_errno;
#undef WASI_ERRNO_ENUM

/* X(NAME, bit) */
#define WASI_RIGHT_LIST(X)                                                                 \
  X(FD_DATASYNC, 0) X(FD_READ, 1) X(FD_SEEK, 2) X(FD_FDSTAT_SET_FLAGS, 3) X(FD_SYNC, 4)    \
  X(FD_TELL, 5) X(FD_WRITE, 6) X(FD_ADVISE, 7) X(FD_ALLOCATE, 8)                           \
  X(PATH_CREATE_DIRECTORY, 9) X(PATH_CREATE_FILE, 10) X(PATH_LINK_SOURCE, 11)              \
  X(PATH_LINK_TARGET, 12) X(PATH_OPEN, 13) X(FD_READDIR, 14) X(PATH_READLINK, 15)          \
  X(PATH_RENAME_SOURCE, 16) X(PATH_RENAME_TARGET, 17) X(PATH_FILESTAT_GET, 18)             \
  X(PATH_FILESTAT_SET_SIZE, 19) X(PATH_FILESTAT_SET_TIMES, 20) X(FD_FILESTAT_GET, 21)      \
  X(FD_FILESTAT_SET_SIZE, 22) X(FD_FILESTAT_SET_TIMES, 23) X(PATH_SYMLINK, 24)             \
  X(PATH_REMOVE_DIRECTORY, 25) X(PATH_UNLINK_FILE, 26) X(POLL_FD_READWRITE, 27)            \
  X(SOCK_SHUTDOWN, 28) X(SOCK_ACCEPT, 29)

#define WASI_RIGHT_ENUM(name, bit) WASI_RIGHT_##name = 1 << bit,
enum { WASI_RIGHT_LIST(WASI_RIGHT_ENUM) };
#undef WASI_RIGHT_ENUM

typedef uint64_t wasi_rights;
#define WASI_RIGHTS_ALL (((wasi_rights)1 << 30) - 1)

/* What makes sense for each type; a descriptor never has more. */
#define WASI_RIGHTS_DIRECTORY                                                               \
  ((wasi_rights)(WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_SYNC |                      \
                 WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_FD_ADVISE |                            \
                 WASI_RIGHT_PATH_CREATE_DIRECTORY | WASI_RIGHT_PATH_CREATE_FILE |           \
                 WASI_RIGHT_PATH_LINK_SOURCE | WASI_RIGHT_PATH_LINK_TARGET |                \
                 WASI_RIGHT_PATH_OPEN | WASI_RIGHT_FD_READDIR | WASI_RIGHT_PATH_READLINK |  \
                 WASI_RIGHT_PATH_RENAME_SOURCE | WASI_RIGHT_PATH_RENAME_TARGET |            \
                 WASI_RIGHT_PATH_FILESTAT_GET | WASI_RIGHT_PATH_FILESTAT_SET_SIZE |         \
                 WASI_RIGHT_PATH_FILESTAT_SET_TIMES | WASI_RIGHT_FD_FILESTAT_GET |          \
                 WASI_RIGHT_FD_FILESTAT_SET_TIMES | WASI_RIGHT_PATH_SYMLINK |               \
                 WASI_RIGHT_PATH_REMOVE_DIRECTORY | WASI_RIGHT_PATH_UNLINK_FILE |           \
                 WASI_RIGHT_POLL_FD_READWRITE))
#define WASI_RIGHTS_FILE                                                                    \
  ((wasi_rights)(WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_FD_READ | WASI_RIGHT_FD_SEEK |         \
                 WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_SYNC | WASI_RIGHT_FD_TELL | \
                 WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_ADVISE | WASI_RIGHT_FD_ALLOCATE |      \
                 WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_FD_FILESTAT_SET_SIZE |             \
                 WASI_RIGHT_FD_FILESTAT_SET_TIMES | WASI_RIGHT_POLL_FD_READWRITE))
#define WASI_RIGHTS_INPUT                                                                   \
  ((wasi_rights)(WASI_RIGHT_FD_READ | WASI_RIGHT_FD_FDSTAT_SET_FLAGS |                      \
                 WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_POLL_FD_READWRITE))
#define WASI_RIGHTS_OUTPUT                                                                  \
  ((wasi_rights)(WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_FDSTAT_SET_FLAGS |                     \
                 WASI_RIGHT_FD_SYNC | WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_FD_FILESTAT_GET | \
                 WASI_RIGHT_POLL_FD_READWRITE))

enum { WASI_FDFLAG_APPEND = 1, WASI_FDFLAG_DSYNC = 2, WASI_FDFLAG_NONBLOCK = 4,
       WASI_FDFLAG_RSYNC = 8, WASI_FDFLAG_SYNC = 16, WASI_FDFLAGS_ALL = 31 };
enum { WASI_OFLAG_CREAT = 1, WASI_OFLAG_DIRECTORY = 2, WASI_OFLAG_EXCL = 4,
       WASI_OFLAG_TRUNC = 8, WASI_OFLAGS_ALL = 15 };
enum { WASI_LOOKUP_SYMLINK_FOLLOW = 1 };
enum { WASI_FSTFLAG_ATIM = 1, WASI_FSTFLAG_ATIM_NOW = 2, WASI_FSTFLAG_MTIM = 4,
       WASI_FSTFLAG_MTIM_NOW = 8, WASI_FSTFLAGS_ALL = 15 };
enum { WASI_WHENCE_SET, WASI_WHENCE_CUR, WASI_WHENCE_END };
enum { WASI_CLOCK_REALTIME, WASI_CLOCK_MONOTONIC, WASI_CLOCK_PROCESS, WASI_CLOCK_THREAD };
enum { WASI_EVENT_CLOCK, WASI_EVENT_FD_READ, WASI_EVENT_FD_WRITE };
enum { WASI_SUBCLOCK_ABSTIME = 1 };
enum { WASI_EVENTRW_HANGUP = 1 };
enum wasi_filetype {
  WASI_FILETYPE_UNKNOWN, WASI_FILETYPE_BLOCK_DEVICE, WASI_FILETYPE_CHARACTER_DEVICE,
  WASI_FILETYPE_DIRECTORY, WASI_FILETYPE_REGULAR_FILE, WASI_FILETYPE_SOCKET_DGRAM,
  WASI_FILETYPE_SOCKET_STREAM, WASI_FILETYPE_SYMBOLIC_LINK
};

/* Layouts in guest memory: little-endian, as the hosts we build for are. */
struct wasi_iovec { uint32_t buffer, size; };
struct wasi_prestat { uint8_t tag, pad[3]; uint32_t name_size; };
struct wasi_fdstat { uint8_t filetype, pad; uint16_t flags; uint32_t pad2;
                     uint64_t base, inheriting; };
struct wasi_filestat { uint64_t dev, ino; uint8_t filetype, pad[7];
                       uint64_t nlink, size, atim, mtim, ctim; };
struct wasi_dirent { uint64_t next, ino; uint32_t name_size; uint8_t filetype, pad[3]; };
struct wasi_subscription {
  uint64_t userdata;
  uint8_t tag, pad[7];
  union {
    struct { uint32_t id, pad; uint64_t timeout, precision; uint16_t flags; uint8_t pad2[6]; } clock;
    struct { uint32_t fd; } fd;
  };
};
struct wasi_event { uint64_t userdata; uint16_t error; uint8_t type, pad[5];
                    uint64_t nbytes; uint16_t flags; uint8_t pad2[6]; };

/* clang-format on */

_Static_assert(sizeof(struct wasi_iovec) == 8, "witx: iovec");
_Static_assert(sizeof(struct wasi_prestat) == 8, "witx: prestat");
_Static_assert(sizeof(struct wasi_fdstat) == 24, "witx: fdstat");
_Static_assert(offsetof(struct wasi_fdstat, base) == 8, "witx: fdstat");
_Static_assert(sizeof(struct wasi_filestat) == 64, "witx: filestat");
_Static_assert(offsetof(struct wasi_filestat, nlink) == 24, "witx: filestat");
_Static_assert(sizeof(struct wasi_dirent) == 24, "witx: dirent");
_Static_assert(sizeof(struct wasi_subscription) == 48, "witx: subscription");
_Static_assert(offsetof(struct wasi_subscription, clock.timeout) == 24, "witx: subscription");
_Static_assert(offsetof(struct wasi_subscription, clock.flags) == 40, "witx: subscription");
_Static_assert(sizeof(struct wasi_event) == 32, "witx: event");
_Static_assert(offsetof(struct wasi_event, nbytes) == 16, "witx: event");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "guest memory is little-endian");

/* errno_map.c: what the guest sees of a host's errno. */
wasi_errno brig__wasi_errno(int host_errno);

#endif
