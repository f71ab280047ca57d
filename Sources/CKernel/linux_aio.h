// Linux AIO (io_submit and its like): the kernel's ABI, from include/uapi/linux/aio_abi.h.

#ifndef CK_LINUX_AIO_H
#define CK_LINUX_AIO_H

#include <stdint.h>

struct ck_iocb {
    uint64_t data;
    uint32_t key;
    uint32_t rw_flags;
    uint16_t opcode;
    int16_t priority;
    uint32_t descriptor;
    uint64_t address;
    uint64_t count;
    int64_t offset;
    uint64_t reserved;
    uint32_t flags;
    uint32_t event_descriptor;
};
_Static_assert(sizeof(struct ck_iocb) == 64, "struct iocb is 64 bytes in the kernel's ABI");

/// Where the key is, which the kernel writes at submission.
static const uint64_t CK_IOCB_KEY_OFFSET = __builtin_offsetof(struct ck_iocb, key);

struct ck_io_event {
    uint64_t data;
    uint64_t object;
    int64_t result;
    int64_t result2;
};

static const uint16_t CK_IOCB_CMD_PREAD = 0;
static const uint16_t CK_IOCB_CMD_PWRITE = 1;
static const uint16_t CK_IOCB_CMD_FSYNC = 2;
static const uint16_t CK_IOCB_CMD_FDSYNC = 3;
static const uint16_t CK_IOCB_CMD_POLL = 5;
static const uint16_t CK_IOCB_CMD_PREADV = 7;
static const uint16_t CK_IOCB_CMD_PWRITEV = 8;

static const uint32_t CK_IOCB_FLAG_RESFD = 1;
static const uint32_t CK_IOCB_FLAG_IOPRIO = 2;

#endif
