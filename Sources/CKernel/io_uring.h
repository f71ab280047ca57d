// io_uring: the kernel's ABI, from include/uapi/linux/io_uring.h, under names of our own. Installed
// headers are often years older than the running kernel; what it offers is asked at run time.

#ifndef CK_IO_URING_H
#define CK_IO_URING_H

#include <stdint.h>

struct ck_uring_submission {
    uint8_t opcode;
    uint8_t flags;
    uint16_t io_priority;
    int32_t descriptor;
    uint64_t offset;   // also addr2: the second pointer of openat2 and statx
    uint64_t address;
    uint32_t count;
    uint32_t operation_flags;
    uint64_t user_data;
    uint16_t buffer_index;
    uint16_t personality;
    uint32_t file_index;
    uint64_t address3;
    uint64_t padding;
};
_Static_assert(sizeof(struct ck_uring_submission) == 64, "a submission entry is 64 bytes");

struct ck_uring_completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};
_Static_assert(sizeof(struct ck_uring_completion) == 16, "a completion entry is 16 bytes");

struct ck_uring_submission_offsets {
    uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, reserved;
    uint64_t user_address;
};

struct ck_uring_completion_offsets {
    uint32_t head, tail, ring_mask, ring_entries, overflow, entries, flags, reserved;
    uint64_t user_address;
};

struct ck_uring_parameters {
    uint32_t submission_entries;
    uint32_t completion_entries;
    uint32_t flags;
    uint32_t thread_cpu;
    uint32_t thread_idle;
    uint32_t features;
    uint32_t workqueue_descriptor;
    uint32_t reserved[3];
    struct ck_uring_submission_offsets submission;
    struct ck_uring_completion_offsets completion;
};
_Static_assert(sizeof(struct ck_uring_parameters) == 120, "struct io_uring_params is 120 bytes");

struct ck_uring_wait_argument {
    uint64_t signal_mask;
    uint32_t signal_mask_size;
    uint32_t minimum_wait_us;
    uint64_t timeout;
};

struct ck_uring_probe_operation {
    uint8_t opcode;
    uint8_t reserved;
    uint16_t flags;
    uint32_t reserved2;
};

struct ck_uring_probe {
    uint8_t last_opcode;
    uint8_t count;
    uint16_t reserved;
    uint32_t reserved2[3];
    struct ck_uring_probe_operation operations[64];
};

// In the I/O priority of a send or receive.
static const uint16_t CK_URING_SEND_RECEIVE_POLL_FIRST = 1 << 0;  // 5.19

// Where mmap finds the parts of a ring.
static const uint64_t CK_URING_OFFSET_RINGS = 0;
static const uint64_t CK_URING_OFFSET_SUBMISSIONS = 0x10000000;

// io_uring_setup flags
static const uint32_t CK_URING_SETUP_CQSIZE = 1u << 3;
static const uint32_t CK_URING_SETUP_CLAMP = 1u << 4;
static const uint32_t CK_URING_SETUP_SUBMIT_ALL = 1u << 7;        // 5.18
static const uint32_t CK_URING_SETUP_COOP_TASKRUN = 1u << 8;      // 5.19
static const uint32_t CK_URING_SETUP_TASKRUN_FLAG = 1u << 9;      // 5.19
static const uint32_t CK_URING_SETUP_SINGLE_ISSUER = 1u << 12;    // 6.0
static const uint32_t CK_URING_SETUP_DEFER_TASKRUN = 1u << 13;    // 6.1
static const uint32_t CK_URING_SETUP_NO_SQARRAY = 1u << 16;       // 6.6

// features that io_uring_setup reports
static const uint32_t CK_URING_FEATURE_SINGLE_MMAP = 1u << 0;
static const uint32_t CK_URING_FEATURE_NODROP = 1u << 1;
static const uint32_t CK_URING_FEATURE_SUBMIT_STABLE = 1u << 2;
static const uint32_t CK_URING_FEATURE_RW_CUR_POS = 1u << 3;
static const uint32_t CK_URING_FEATURE_FAST_POLL = 1u << 5;
static const uint32_t CK_URING_FEATURE_EXT_ARG = 1u << 8;         // 5.11
static const uint32_t CK_URING_FEATURE_NATIVE_WORKERS = 1u << 9;  // 5.12
static const uint32_t CK_URING_FEATURE_CQE_SKIP = 1u << 11;       // 5.17
static const uint32_t CK_URING_FEATURE_REG_REG_RING = 1u << 13;   // 6.3

// flags in the submission ring
static const uint32_t CK_URING_SQ_CQ_OVERFLOW = 1u << 1;
static const uint32_t CK_URING_SQ_TASKRUN = 1u << 2;

// io_uring_enter flags
static const uint32_t CK_URING_ENTER_GETEVENTS = 1u << 0;
static const uint32_t CK_URING_ENTER_EXT_ARG = 1u << 3;
static const uint32_t CK_URING_ENTER_REGISTERED_RING = 1u << 4;   // 5.18

// IORING_REGISTER_FILES_UPDATE; and IORING_REGISTER_RING_FDS, which has a descriptor where this has an address
struct ck_uring_files_update {
    uint32_t offset;
    uint32_t reserved;
    uint64_t descriptors;
};

// io_uring_register opcodes
static const uint32_t CK_URING_REGISTER_BUFFERS = 0;
static const uint32_t CK_URING_UNREGISTER_BUFFERS = 1;
static const uint32_t CK_URING_REGISTER_FILES = 2;
static const uint32_t CK_URING_REGISTER_FILES_UPDATE = 6;
static const uint32_t CK_URING_UNREGISTER_FILES = 3;
static const uint32_t CK_URING_REGISTER_PROBE = 8;
static const uint32_t CK_URING_REGISTER_IOWQ_MAX_WORKERS = 19;    // 5.15
static const uint32_t CK_URING_REGISTER_RING_FDS = 20;            // 5.18
static const uint32_t CK_URING_UNREGISTER_RING_FDS = 21;          // 5.18
static const uint32_t CK_URING_REGISTER_USE_REGISTERED_RING = 1u << 31;  // 6.3

// submission entry flags
static const uint8_t CK_URING_SQE_FIXED_FILE = 1u << 0;
static const uint8_t CK_URING_SQE_ASYNC = 1u << 4;
static const uint8_t CK_URING_SQE_CQE_SKIP_SUCCESS = 1u << 6;

// completion entry flags
static const uint32_t CK_URING_CQE_MORE = 1u << 1;
static const uint32_t CK_URING_CQE_NOTIFICATION = 1u << 3;        // 6.0

static const uint32_t CK_URING_FSYNC_DATASYNC = 1u << 0;
static const uint32_t CK_URING_POLL_ADD_MULTI = 1u << 0;          // in the entry's count

// opcodes
static const uint8_t CK_URING_OP_NOP = 0;
static const uint8_t CK_URING_OP_READV = 1;
static const uint8_t CK_URING_OP_WRITEV = 2;
static const uint8_t CK_URING_OP_FSYNC = 3;
static const uint8_t CK_URING_OP_READ_FIXED = 4;
static const uint8_t CK_URING_OP_WRITE_FIXED = 5;
static const uint8_t CK_URING_OP_POLL_ADD = 6;
static const uint8_t CK_URING_OP_SYNC_FILE_RANGE = 8;
static const uint8_t CK_URING_OP_SENDMSG = 9;
static const uint8_t CK_URING_OP_RECVMSG = 10;
static const uint8_t CK_URING_OP_ACCEPT = 13;
static const uint8_t CK_URING_OP_ASYNC_CANCEL = 14;
static const uint8_t CK_URING_OP_CONNECT = 16;
static const uint8_t CK_URING_OP_FALLOCATE = 17;
static const uint8_t CK_URING_OP_CLOSE = 19;
static const uint8_t CK_URING_OP_STATX = 21;
static const uint8_t CK_URING_OP_READ = 22;
static const uint8_t CK_URING_OP_WRITE = 23;
static const uint8_t CK_URING_OP_FADVISE = 24;
static const uint8_t CK_URING_OP_SEND = 26;
static const uint8_t CK_URING_OP_RECV = 27;
static const uint8_t CK_URING_OP_OPENAT2 = 28;
static const uint8_t CK_URING_OP_SHUTDOWN = 34;                   // 5.11
static const uint8_t CK_URING_OP_RENAMEAT = 35;                   // 5.11
static const uint8_t CK_URING_OP_UNLINKAT = 36;                   // 5.11
static const uint8_t CK_URING_OP_MKDIRAT = 37;                    // 5.15
static const uint8_t CK_URING_OP_SYMLINKAT = 38;                  // 5.15
static const uint8_t CK_URING_OP_LINKAT = 39;                     // 5.15
static const uint8_t CK_URING_OP_FSETXATTR = 41;                  // 5.19
static const uint8_t CK_URING_OP_SETXATTR = 42;                   // 5.19
static const uint8_t CK_URING_OP_FGETXATTR = 43;                  // 5.19
static const uint8_t CK_URING_OP_GETXATTR = 44;                   // 5.19
static const uint8_t CK_URING_OP_SOCKET = 45;                     // 5.19
static const uint8_t CK_URING_OP_SEND_ZC = 47;                    // 6.0
static const uint8_t CK_URING_OP_FUTEX_WAIT = 51;                 // 6.7
static const uint8_t CK_URING_OP_FTRUNCATE = 55;                  // 6.9
static const uint8_t CK_URING_OP_BIND = 56;                       // 6.11
static const uint8_t CK_URING_OP_LISTEN = 57;                     // 6.11
static const uint8_t CK_URING_OP_COUNT = 63;

#endif
