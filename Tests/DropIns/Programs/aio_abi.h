// The binary interface of Linux AIO and of libaio.so.1, declared from the documentation of the kernel and the library:
// so the tests need no development package, and determine what a program is compiled against.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <time.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __SIZEOF_POINTER__ != 8
#error "laid out here for 64-bit little-endian machines alone"
#endif

typedef struct io_context *io_context_t;

enum {
    IOCB_CMD_PREAD = 0,
    IOCB_CMD_PWRITE = 1,
    IOCB_CMD_FSYNC = 2,
    IOCB_CMD_FDSYNC = 3,
    IOCB_CMD_POLL = 5,
    IOCB_CMD_NOOP = 6,
    IOCB_CMD_PREADV = 7,
    IOCB_CMD_PWRITEV = 8,
};

enum { IOCB_FLAG_RESFD = 1, IOCB_FLAG_IOPRIO = 2 };

struct iocb {
    uint64_t data;
    uint32_t key;
    uint32_t rw_flags;
    uint16_t opcode;
    int16_t priority;
    int32_t descriptor;
    uint64_t buffer;
    uint64_t count;
    int64_t offset;
    uint64_t reserved;
    uint32_t flags;
    int32_t eventfd;
};

struct io_event {
    uint64_t data;
    uint64_t obj;
    int64_t res;
    int64_t res2;
};

#define AIO_RING_MAGIC 0xa10a10a1u

struct aio_ring {
    uint32_t id;
    uint32_t nr;
    uint32_t head;
    uint32_t tail;
    uint32_t magic;
    uint32_t compat_features;
    uint32_t incompat_features;
    uint32_t header_length;
    struct io_event events[];
};

_Static_assert(sizeof(struct iocb) == 64, "as the kernel has it");
_Static_assert(sizeof(struct io_event) == 32, "as the kernel has it");
_Static_assert(sizeof(struct aio_ring) == 32, "as the kernel has it");

typedef void (*io_callback_t)(io_context_t, struct iocb *, long res, long res2);

int io_setup(int nr, io_context_t *context);
int io_destroy(io_context_t context);
int io_submit(io_context_t context, long nr, struct iocb **blocks);
int io_cancel(io_context_t context, struct iocb *block, struct io_event *event);
int io_getevents(io_context_t context, long min_nr, long nr, struct io_event *events, struct timespec *timeout);
int io_pgetevents(
    io_context_t context, long min_nr, long nr, struct io_event *events, struct timespec *timeout, sigset_t *mask);

int io_queue_init(int nr, io_context_t *context);
int io_queue_release(io_context_t context);
int io_queue_run(io_context_t context);
int io_queue_wait(io_context_t context, struct timespec *timeout);
