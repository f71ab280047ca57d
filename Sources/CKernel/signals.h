// The kernel's siginfo_t, as far as rt_sigqueueinfo(2) wants it; and as far as waitid(2) fills it in.

#ifndef CK_SIGNALS_H
#define CK_SIGNALS_H

#include <stdint.h>

struct ck_signal_info {
    int32_t signal;
    int32_t error;
    int32_t code;
    int32_t padding;
    int32_t process;
    uint32_t user;
    uint64_t value;
    uint64_t rest[12];
};
_Static_assert(sizeof(struct ck_signal_info) == 128, "siginfo_t is 128 bytes in the kernel's ABI");

// Of a child, as waitid(2) has it: `signal` is SIGCHLD, `code` how it ended, `status` its exit code or signal.
struct ck_child_status {
    int32_t signal;
    int32_t error;
    int32_t code;
    int32_t padding;
    int32_t process;
    uint32_t user;
    int32_t status;
    int32_t rest[25];
};
_Static_assert(sizeof(struct ck_child_status) == 128, "siginfo_t is 128 bytes in the kernel's ABI");

static const int32_t CK_SI_ASYNCIO = -4;
static const int32_t CK_SIGNAL_MAX = 64;
static const int32_t CK_SIGPIPE = 13;
static const int32_t CK_SIG_BLOCK = 0;
static const int32_t CK_SIG_SETMASK = 2;

#endif
