// Threads with separate descriptor tables, by unshare(CLONE_FILES) and close_range(CLOSE_RANGE_UNSHARE): a number
// refers to the submitting thread's file.
#include "libaio_cases.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

enum { NUMBER = 100 };

static io_context_t context;

static long take_own_table(int way) {
    switch (way) {
    case 0: return unshare(CLONE_FILES);
    case 1: return close_range(NUMBER, NUMBER, CLOSE_RANGE_UNSHARE);
    case 2: return close_range(NUMBER, NUMBER, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC);
    default: return syscall(SYS_unshare, CLONE_FILES);
    }
}

static void transfers(const char *who, io_context_t used, int number, uint64_t seed) {
    static uint8_t bytes[65536];
    char what[96];
    make_cold(number);
    long result = perform(used, block(IOCB_CMD_PREAD, number, bytes, 4096, 8192));
    snprintf(what, sizeof what, "%s, read", who);
    fact(what, "%ld, %s", result, is_known(bytes, 4096, 8192, seed) ? "its own" : "another's");
    memset(bytes, 7, sizeof bytes);
    struct iocb writing = block(IOCB_CMD_PWRITE, number, bytes, sizeof bytes, 65536);
    int event = eventfd(0, EFD_NONBLOCK);
    writing.flags = IOCB_FLAG_RESFD;
    writing.eventfd = event;
    result = perform(used, writing);
    uint64_t count = 0;
    long counted = read(event, &count, sizeof count);
    snprintf(what, sizeof what, "%s, write", who);
    fact(what, "%ld, eventfd %ld %lu", result, counted, (unsigned long)count);
    snprintf(what, sizeof what, "%s, sync", who);
    fact_performed(what, used, block(IOCB_CMD_FSYNC, number, NULL, 0, 0));
    close(event);
}

static void *in_own_table(void *way) {
    char bytes[] = "pipe";
    fact_result("a table of its own", take_own_table((int)(intptr_t)way));
    int file = new_file(O_RDWR, 1 << 20, 5);
    fact_result("number", dup2(file, NUMBER));
    transfers("own table", context, NUMBER, 5);
    io_context_t second = new_context(4);
    transfers("own table, own context", second, NUMBER, 5);
    fact_result("destroy of its own", io_destroy(second));
    int ends[2];
    pipe(ends);
    fact_performed("pipe, write", context, block(IOCB_CMD_PWRITE, ends[1], bytes, 4, 0));
    fact_performed("pipe, read", context, block(IOCB_CMD_PREAD, ends[0], bytes, 4, 0));
    return NULL;
}

static void run(int way) {
    // Another file under the number that the other thread uses.
    int file = new_file(O_RDWR, 1 << 20, 9);
    dup2(file, NUMBER);
    context = new_context(8);
    transfers("shared table", context, NUMBER, 9);
    pthread_t thread;
    pthread_create(&thread, NULL, in_own_table, (void *)(intptr_t)way);
    pthread_join(thread, NULL);
    transfers("shared table again", context, NUMBER, 9);
    uint8_t byte = 0;
    pread(file, &byte, 1, 65536 + 65535);
    fact("written by its own", "%d", byte);
    fact_result("destroy", io_destroy(context));
}

static void unshared(void) { run(0); }
static void closed_range(void) { run(1); }
static void marked_range(void) { run(2); }
static void called(void) { run(3); }

static const struct test_case cases[] = {
    {"unshare", unshared},
    {"close-range", closed_range},
    {"close-range-on-exec", marked_range},
    {"system-call", called},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
