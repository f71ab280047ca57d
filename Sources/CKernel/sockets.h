// Sockets, pipes' splice and waiting for children: structures and flags under names of our own, so that AIOCore needs
// no libc header for them.

#ifndef CK_SOCKETS_H
#define CK_SOCKETS_H

#include <stdint.h>
#include <sys/uio.h>

// sendmsg(2), recvmsg(2): struct user_msghdr
struct ck_message {
    void *name;
    uint32_t name_count;
    struct iovec *vectors;
    uint64_t vector_count;
    void *control;
    uint64_t control_count;
    uint32_t flags;
};
_Static_assert(sizeof(struct ck_message) == 56, "struct msghdr is 56 bytes in the kernel's ABI");

static const int32_t CK_AF_UNIX = 1;
static const int32_t CK_AF_INET = 2;
static const int32_t CK_AF_INET6 = 10;

static const int32_t CK_SOCK_STREAM = 1;
static const int32_t CK_SOCK_DGRAM = 2;
static const int32_t CK_SOCK_SEQPACKET = 5;
static const int32_t CK_SOCK_NONBLOCK = 04000;
static const int32_t CK_SOCK_CLOEXEC = 02000000;

static const int32_t CK_SOL_SOCKET = 1;
static const int32_t CK_SO_REUSEADDR = 2;
static const int32_t CK_SO_ERROR = 4;
static const int32_t CK_SO_ACCEPTCONN = 30;
static const int32_t CK_SO_BROADCAST = 6;
static const int32_t CK_SO_SNDBUF = 7;
static const int32_t CK_SO_RCVBUF = 8;
static const int32_t CK_SO_KEEPALIVE = 9;
static const int32_t CK_SO_LINGER = 13;
static const int32_t CK_SO_REUSEPORT = 15;

static const int32_t CK_IPPROTO_IP = 0;
static const int32_t CK_IP_TTL = 2;
static const int32_t CK_IP_MULTICAST_TTL = 33;
static const int32_t CK_IP_MULTICAST_LOOP = 34;

static const int32_t CK_IPPROTO_TCP = 6;
static const int32_t CK_TCP_NODELAY = 1;
static const int32_t CK_TCP_KEEPIDLE = 4;
static const int32_t CK_TCP_KEEPINTVL = 5;
static const int32_t CK_TCP_KEEPCNT = 6;
static const int32_t CK_TCP_USER_TIMEOUT = 18;

static const int32_t CK_IPPROTO_IPV6 = 41;
static const int32_t CK_IPV6_MULTICAST_HOPS = 18;
static const int32_t CK_IPV6_MULTICAST_LOOP = 19;
static const int32_t CK_IPV6_V6ONLY = 26;

// Of both families, on the level of either.
static const int32_t CK_MCAST_JOIN_GROUP = 42;
static const int32_t CK_MCAST_LEAVE_GROUP = 45;

// struct linger
struct ck_linger {
    int32_t is_on;
    int32_t seconds;
};

// struct __kernel_sockaddr_storage
struct ck_socket_address {
    uint16_t family;
    uint8_t bytes[126];
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct ck_socket_address) == 128, "struct sockaddr_storage is 128 bytes in the kernel's ABI");

// struct group_req
struct ck_group_request {
    uint32_t interface;
    struct ck_socket_address group;
};
_Static_assert(sizeof(struct ck_group_request) == 136, "struct group_req is 136 bytes in the kernel's ABI");

static const int32_t CK_MSG_PEEK = 0x2;
static const int32_t CK_MSG_TRUNC = 0x20;
static const int32_t CK_MSG_DONTWAIT = 0x40;
static const int32_t CK_MSG_WAITALL = 0x100;
static const int32_t CK_MSG_NOSIGNAL = 0x4000;
static const int32_t CK_MSG_CMSG_CLOEXEC = 0x40000000;

static const int32_t CK_SHUT_RD = 0;
static const int32_t CK_SHUT_WR = 1;
static const int32_t CK_SHUT_RDWR = 2;

// getaddrinfo(3): answers that libc's header shows to GNU programs only.
static const int32_t CK_EAI_NODATA = -5;
static const int32_t CK_EAI_ADDRFAMILY = -9;

// splice(2), tee(2)
static const uint32_t CK_SPLICE_F_NONBLOCK = 2;
static const uint32_t CK_SPLICE_F_MORE = 4;

// fcntl(2) on a pipe
static const int32_t CK_F_SETPIPE_SZ = 1031;
static const int32_t CK_F_GETPIPE_SZ = 1032;

// pipe2(2)
static const int32_t CK_PIPE_CLOEXEC = 02000000;
static const int32_t CK_PIPE_NONBLOCK = 04000;

// signalfd4(2)
static const int32_t CK_SFD_CLOEXEC = 02000000;
static const int32_t CK_SFD_NONBLOCK = 04000;

// waitid(2)
static const int32_t CK_P_PIDFD = 3;
static const int32_t CK_WNOHANG = 1;
static const int32_t CK_WEXITED = 4;
static const int32_t CK_WNOWAIT = 0x01000000;
static const int32_t CK_CLD_EXITED = 1;
static const int32_t CK_CLD_KILLED = 2;
static const int32_t CK_CLD_DUMPED = 3;

#endif
