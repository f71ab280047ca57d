// Change notification: ABI of <linux/inotify.h>.

#ifndef CK_NOTIFICATION_H
#define CK_NOTIFICATION_H

#include <stdint.h>

// `length` bytes of the name follow, padded with NUL.
struct ck_inotify_event {
    int32_t watch;
    uint32_t mask;
    uint32_t cookie;
    uint32_t length;
};

static const int32_t CK_IN_CLOEXEC = 02000000;
static const int32_t CK_IN_NONBLOCK = 04000;

static const uint32_t CK_IN_ACCESS = 0x1;
static const uint32_t CK_IN_MODIFY = 0x2;
static const uint32_t CK_IN_ATTRIB = 0x4;
static const uint32_t CK_IN_CLOSE_WRITE = 0x8;
static const uint32_t CK_IN_CLOSE_NOWRITE = 0x10;
static const uint32_t CK_IN_OPEN = 0x20;
static const uint32_t CK_IN_MOVED_FROM = 0x40;
static const uint32_t CK_IN_MOVED_TO = 0x80;
static const uint32_t CK_IN_CREATE = 0x100;
static const uint32_t CK_IN_DELETE = 0x200;
static const uint32_t CK_IN_DELETE_SELF = 0x400;
static const uint32_t CK_IN_MOVE_SELF = 0x800;
static const uint32_t CK_IN_UNMOUNT = 0x2000;
static const uint32_t CK_IN_Q_OVERFLOW = 0x4000;
static const uint32_t CK_IN_IGNORED = 0x8000;
static const uint32_t CK_IN_DONT_FOLLOW = 0x2000000;
static const uint32_t CK_IN_ISDIR = 0x40000000;

// ioctl(2)
static const uint64_t CK_FIONREAD = 0x541b;

#endif
