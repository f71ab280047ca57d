// Programs that make the system calls themselves, through libc's `syscall`: nginx; MariaDB for io_getevents.
#include "libaio_cases.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static uint8_t bytes[4096];

/// The outcome of syscall(2): its result, or -1 and errno.
static const char *said(long result) {
    static _Thread_local char texts[4][48];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 4];
    int error = errno;
    if (result == -1) {
        snprintf(text, 48, "-1 and %s", strerrorname_np(error) ? strerrorname_np(error) : "no error");
    } else {
        snprintf(text, 48, "%ld", result);
    }
    return text;
}

#define CALL(...) (errno = 0, said(syscall(__VA_ARGS__)))

static void whole_life(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = NULL;
    fact("setup", "%s", CALL(SYS_io_setup, 8, &context));
    fact_bool("context", context != NULL);
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 64, 0), *list[] = {&read};
    read.data = 5;
    fact("submit", "%s", CALL(SYS_io_submit, context, 1L, list));
    struct io_event event = {0};
    fact("events", "%s", CALL(SYS_io_getevents, context, 1L, 1L, &event, NULL));
    fact("event", "%ld, data %ld", (long)event.res, (long)event.data);
    fact_bool("content", is_known(bytes, 64, 0, 1));
    fact("destroy", "%s", CALL(SYS_io_destroy, context));
    fact("destroy again", "%s", CALL(SYS_io_destroy, context));
}

static void errors(void) {
    io_context_t context = NULL;
    struct io_event event;
    struct iocb read = block(IOCB_CMD_PREAD, -1, bytes, 64, 0), *list[] = {&read};
    struct timespec now = {0, 0};
    fact("setup of 0", "%s", CALL(SYS_io_setup, 0, &context));
    fact("setup to null", "%s", CALL(SYS_io_setup, 1, NULL));
    fact("setup", "%s", CALL(SYS_io_setup, 4, &context));
    fact("submit to no context", "%s", CALL(SYS_io_submit, NULL, 1L, list));
    fact("submit -1", "%s", CALL(SYS_io_submit, context, -1L, list));
    fact("submit a bad descriptor", "%s", CALL(SYS_io_submit, context, 1L, list));
    fact("submit null", "%s", CALL(SYS_io_submit, context, 1L, NULL));
    fact("submit nothing", "%s", CALL(SYS_io_submit, context, 0L, list));
    fact("cancel", "%s", CALL(SYS_io_cancel, context, &read, &event));
    fact("events of no context", "%s", CALL(SYS_io_getevents, NULL, 1L, 1L, &event, &now));
    fact("events, more than asked", "%s", CALL(SYS_io_getevents, context, 2L, 1L, &event, &now));
    fact("events, none", "%s", CALL(SYS_io_getevents, context, 0L, 1L, &event, &now));
    fact("destroy", "%s", CALL(SYS_io_destroy, context));
    fact("events after the end", "%s", CALL(SYS_io_getevents, context, 0L, 1L, &event, &now));
}

struct mask_argument { sigset_t *mask; size_t size; };

static void masks(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    struct timespec soon = {0, 1000};
    sigset_t open;
    sigemptyset(&open);
    struct mask_argument good = {&open, 8}, small = {&open, 4}, large = {&open, sizeof open}, none = {NULL, 8},
        odd = {NULL, 3};
    fact("of 8 bytes", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, &good));
    fact("of 4 bytes", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, &small));
    fact("of 128 bytes", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, &large));
    fact("null", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, &none));
    fact("null, odd size", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, &odd));
    fact("no argument", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, NULL));
    fact("bad argument", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, &soon, HIGH_ADDRESS));
    fact("bad events", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, HIGH_ADDRESS, &soon, &good));
    fact("bad time limit", "%s", CALL(SYS_io_pgetevents, context, 1L, 1L, &event, HIGH_ADDRESS, &good));
}

static void bad_time_limits(void) {
    io_context_t context = new_context(4);
    struct io_event event;
    fact("last address", "%s", CALL(SYS_io_getevents, context, 1L, 1L, &event, HIGH_ADDRESS));
    fact("kernel address", "%s", CALL(SYS_io_getevents, context, 1L, 1L, &event, KERNEL_ADDRESS));
    fact("bad context", "%s", CALL(SYS_io_getevents, HIGH_ADDRESS, 1L, 1L, &event, NULL));
}

/// As MariaDB does it: contexts and submissions through the library, but waits by system calls, which the destruction
/// of the context ends.
static io_context_t shared;
static volatile pid_t waiter;
static char waiter_said[2][48];

static void *wait_by_hand(void *unused) {
    (void)unused;
    struct io_event events[4];
    strcpy(waiter_said[0], CALL(SYS_io_getevents, shared, 1L, 4L, events, NULL));
    __atomic_store_n(&waiter, gettid(), __ATOMIC_RELEASE);
    strcpy(waiter_said[1], CALL(SYS_io_getevents, shared, 1L, 4L, events, NULL));
    return NULL;
}

static void mixed_with_the_library(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    shared = new_context(8);
    pthread_t thread = start_thread(wait_by_hand, NULL);
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 64, 0);
    fact_result("submit through the library", submit_one(shared, &read));
    while (!__atomic_load_n(&waiter, __ATOMIC_ACQUIRE)) { sched_yield(); }
    waits_in_kernel(waiter);
    fact_result("end through the library", io_destroy(shared));
    pthread_join(thread, NULL);
    fact("first wait", "%s", waiter_said[0]);
    fact("second wait", "%s", waiter_said[1]);
}

/// All other calls are passed on unchanged, with up to six arguments.
static void other_calls(void) {
    fact_bool("getpid", syscall(SYS_getpid) == getpid());
    fact_bool("gettid", syscall(SYS_gettid) == gettid());
    fact("close of -1", "%s", CALL(SYS_close, -1));
    fact("unknown", "%s", CALL(100000L));
    fact("-1", "%s", CALL(-1L));
    errno = 77;
    syscall(SYS_getpid);
    fact_result("errno after a success", errno);
    int file = new_file(O_RDWR, 4096, 1);
    fact("pread64, four arguments", "%s", CALL(SYS_pread64, file, bytes, 100L, 10L));
    fact_bool("its content", is_known(bytes, 100, 10, 1));
    struct iovec vector = {bytes, 50};
    fact("preadv2, six", "%s", CALL(SYS_preadv2, file, &vector, 1L, 20L, 0L, 0L));
    fact_bool("its content too", is_known(bytes, 50, 20, 1));
    void *mapped = (void *)syscall(SYS_mmap, NULL, 4096L, (long)PROT_READ, (long)MAP_PRIVATE, (long)file, 0L);
    fact_bool("mmap, six", mapped != MAP_FAILED && is_known(mapped, 4096, 0, 1));
    fact("munmap", "%s", CALL(SYS_munmap, mapped, 4096L));
    unsigned word = 1;
    fact("futex", "%s", CALL(SYS_futex, &word, 0L, 2L, NULL, NULL, 0L));
    fact("write to memory that is not there", "%s", CALL(SYS_write, file, (void *)8, 10L));
}

static const struct test_case cases[] = {
    {"whole-life", whole_life},
    {"errors", errors},
    {"masks", masks},
    {"bad-time-limits", bad_time_limits},
    {"mixed-with-the-library", mixed_with_the_library},
    {"other-calls", other_calls},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
