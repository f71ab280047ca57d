// Readiness and waiting: epoll, eventfd, timerfd, ppoll, futex.

#ifndef CK_POLLING_H
#define CK_POLLING_H

#include <stdint.h>

#if defined(__x86_64__)
struct __attribute__((packed)) ck_epoll_event {
#else
struct ck_epoll_event {
#endif
    uint32_t events;
    uint64_t data;
};

static const int32_t CK_EPOLL_CLOEXEC = 02000000;
static const int32_t CK_EPOLL_CTL_ADD = 1;
static const int32_t CK_EPOLL_CTL_DEL = 2;
static const int32_t CK_EPOLL_CTL_MOD = 3;
static const uint32_t CK_EPOLLET = 1u << 31;
static const uint32_t CK_EPOLLONESHOT = 1u << 30;

static const uint32_t CK_POLLIN = 0x001;
static const uint32_t CK_POLLPRI = 0x002;
static const uint32_t CK_POLLOUT = 0x004;
static const uint32_t CK_POLLERR = 0x008;
static const uint32_t CK_POLLHUP = 0x010;
static const uint32_t CK_POLLNVAL = 0x020;
static const uint32_t CK_POLLRDNORM = 0x040;
static const uint32_t CK_POLLRDBAND = 0x080;
static const uint32_t CK_POLLWRNORM = 0x100;
static const uint32_t CK_POLLWRBAND = 0x200;
static const uint32_t CK_POLLRDHUP = 0x2000;

struct ck_pollfd {
    int32_t descriptor;
    int16_t events;
    int16_t returned;
};

struct ck_timespec {
    int64_t seconds;
    int64_t nanoseconds;
};

struct ck_itimerspec {
    struct ck_timespec interval;
    struct ck_timespec value;
};

static const int32_t CK_EFD_CLOEXEC = 02000000;
static const int32_t CK_EFD_NONBLOCK = 04000;
static const int32_t CK_TFD_CLOEXEC = 02000000;
static const int32_t CK_TFD_NONBLOCK = 04000;
static const int32_t CK_TFD_TIMER_ABSTIME = 1;

static const int32_t CK_FUTEX_WAIT = 0;
static const int32_t CK_FUTEX_WAKE = 1;
static const int32_t CK_FUTEX_WAIT_BITSET = 9;
static const int32_t CK_FUTEX_PRIVATE = 128;

// futex_waitv(2), and IORING_OP_FUTEX_WAIT
static const uint32_t CK_FUTEX2_SIZE_U32 = 2;
static const uint32_t CK_FUTEX2_PRIVATE = 128;

// struct futex_waitv
struct ck_futex_waiter {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
_Static_assert(sizeof(struct ck_futex_waiter) == 24, "struct futex_waitv is 24 bytes in the kernel's ABI");

#endif
