#define _GNU_SOURCE
#include "closes.h"
#include "file_tables.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

// CKernel belongs to the parent package. SwiftPM shows its headers to Swift targets only, hence the relative path.
#include "../../../Sources/CKernel/system_call.h"

// A program may close descriptors that it did not open: daemons do, with closefrom(3), close_range(2) or a loop over
// close(2). These functions interpose on libc's. They leave the library's descriptors open and report them as not open.
// Their symbols have the base version: see CRawCalls.

typedef int close_function(int);
typedef int close_range_function(unsigned, unsigned, int);
typedef int dup2_function(int, int);
typedef int dup3_function(int, int, int);

// The interposed functions. NULL where libc has none, and until this library's constructors have run, which is after
// the constructors of the libraries that it was preloaded in front of.
static close_function *next_close;
static close_range_function *next_close_range;
static dup2_function *next_dup2;
static dup3_function *next_dup3;

__attribute__((constructor)) static void find_next(void) {
    next_close = (close_function *)dlsym(RTLD_NEXT, "close");
    next_close_range = (close_range_function *)dlsym(RTLD_NEXT, "close_range");
    next_dup2 = (dup2_function *)dlsym(RTLD_NEXT, "dup2");
    next_dup3 = (dup3_function *)dlsym(RTLD_NEXT, "dup3");
}

/// Converts a raw system call result to libc's convention. libc's `syscall` cannot be used: the library interposes on
/// it too.
static int made(long result) {
    if (result >= 0) { return (int)result; }
    errno = (int)-result;
    return -1;
}

static int close_now(int number) { return next_close ? next_close(number) : made(ck_system_call_6(SYS_close, number, 0, 0, 0, 0, 0)); }

static int close_range_now(unsigned first, unsigned last, int flags) {
    return next_close_range ? next_close_range(first, last, flags) : made(ck_system_call_6(SYS_close_range, first, last, flags, 0, 0, 0));
}

static int replace_now(int from, int to, int flags, _Bool is_dup3) {
    if (is_dup3) { return next_dup3 ? next_dup3(from, to, flags) : made(ck_system_call_6(SYS_dup3, from, to, flags, 0, 0, 0)); }
    if (next_dup2) { return next_dup2(from, to); }
#ifdef SYS_dup2
    return made(ck_system_call_6(SYS_dup2, from, to, 0, 0, 0, 0));
#else
    return from == to ? from : made(ck_system_call_6(SYS_dup3, from, to, 0, 0, 0, 0));
#endif
}

struct closing {
    unsigned first, last;
    int from, flags, result;
    _Bool is_dup3;
};

static void close_one(struct closing *asked) {
    int number = (int)asked->first;
    if (drop_in_is_own(number)) {
        errno = EBADF;
        asked->result = -1;
    } else {
        asked->result = close_now(number);
    }
}

/// Closes the range except for the library's descriptors.
static void close_some(struct closing *asked) {
    unsigned first = asked->first;
    asked->result = 0;
    while (asked->result == 0 && first <= asked->last) {
        int own = first > INT_MAX ? -1 : drop_in_next_own((int)first);
        unsigned last = own < 0 || (unsigned)own > asked->last ? asked->last : (unsigned)own - 1;
        if (own < 0 || (unsigned)own != first) { asked->result = close_range_now(first, last, asked->flags); }
        if (own < 0 || (unsigned)own >= asked->last) { break; }
        first = (unsigned)own + 1;
    }
}

static void replace_one(struct closing *asked) {
    int number = (int)asked->first;
    // dup2(2) and dup3(2) fail with EBUSY while another thread opens the number. No other error of theirs is closer.
    if (drop_in_is_own(number) && asked->from != number) {
        errno = EBUSY;
        asked->result = -1;
    } else {
        asked->result = replace_now(asked->from, number, asked->flags, asked->is_dup3);
    }
}

int drop_in_close(int number) {
    if (drop_in_is_below_own(number)) { return close_now(number); }
    struct closing asked = {.first = (unsigned)number};
    // close(2) is a cancellation point. Cancellation is acted on here and is disabled while the lock is held.
    pthread_testcancel();
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    drop_in_with_numbers(close_one, &asked);
    pthread_setcancelstate(state, NULL);
    return asked.result;
}

int drop_in_close_range(unsigned first, unsigned last, int flags) {
    if (flags & CLOSE_RANGE_UNSHARE) { drop_in_note_own_files(); }
    // libc reports bad arguments. The library's descriptors are close-on-exec already.
    if (first > last || (flags & CLOSE_RANGE_CLOEXEC)) { return close_range_now(first, last, flags); }
    struct closing asked = {.first = first, .last = last, .flags = flags};
    drop_in_with_numbers(close_some, &asked);
    return asked.result;
}

static int replace(int from, int to, int flags, _Bool is_dup3) {
    if (drop_in_is_below_own(to)) { return replace_now(from, to, flags, is_dup3); }
    struct closing asked = {.first = (unsigned)to, .from = from, .flags = flags, .is_dup3 = is_dup3};
    drop_in_with_numbers(replace_one, &asked);
    return asked.result;
}

int drop_in_dup2(int from, int to) { return replace(from, to, 0, 0); }
int drop_in_dup3(int from, int to, int flags) { return replace(from, to, flags, 1); }

void drop_in_closefrom(int first) {
    if (first < 0) { first = 0; }
    int kept = errno;
    if (drop_in_close_range((unsigned)first, UINT_MAX, 0) != 0) {
        // close_range(2) needs Linux 5.9.
        long end = sysconf(_SC_OPEN_MAX);
        for (int number = first; number < end; number++) { drop_in_close(number); }
    }
    errno = kept;
}
