// A program that closes all descriptors that it does not know while operations are in flight. The operations continue,
// and nothing is written to the files that the program opens afterwards.
#include "libaio_cases.h"

#include "closing.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

static uint8_t bytes[65536];

static long cold_read(io_context_t context, int file, int64_t offset) {
    make_cold(file);
    return perform(context, block(IOCB_CMD_PREAD, file, bytes, 4096, offset));
}

static void everything_is_closed(void) {
    limit_descriptors();
    for (int kind = 0; kind < CLOSING_KINDS; kind++) {
        char what[96], path[4096];
        int file = new_file(O_RDWR, 1 << 20, 3), low = dup2(file, 3) == 3 ? 3 : -1;
        snprintf(path, sizeof path, "%s/own-%d", scratch_folder, kind);
        io_context_t context = new_context(8);
        int event = dup2(eventfd(0, 0), 4);
        long before = cold_read(context, low, 4096);
        // An operation in flight meanwhile, with an eventfd that the program closes.
        make_cold(low);
        struct iocb reading = block(IOCB_CMD_PREAD, low, bytes, 4096, 8192);
        reading.flags = IOCB_FLAG_RESFD;
        reading.eventfd = event;
        long submitted = submit_one(context, &reading);
        close_all(kind, 4);
        open_own(path);
        long meanwhile = next_event(context).res;
        long after = cold_read(context, low, 16384);
        bool isRight = is_known(bytes, 4096, 16384, 3);
        long written = perform(context, block(IOCB_CMD_PWRITE, low, bytes, 4096, 0));
        long synced = perform(context, block(IOCB_CMD_FSYNC, low, NULL, 0, 0));
        struct stat status = {0};
        stat(path, &status);
        snprintf(what, sizeof what, "after %s", closing_kinds[kind]);
        fact(what, "%ld, %ld, %ld, %ld %s, %ld, %ld", before, submitted, meanwhile, after, isRight ? "right" : "wrong",
            written, synced);
        snprintf(what, sizeof what, "own file after %s", closing_kinds[kind]);
        fact(what, "%ld bytes", (long)status.st_size);
        snprintf(what, sizeof what, "destroy after %s", closing_kinds[kind]);
        fact_result(what, io_destroy(context));
        close_range(3, ~0u, 0);
    }
}

/// Descriptors that are not the library's can be closed, and errors are reported as usual.
static void numbers_of_the_programs_own(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 65536, 3);
    cold_read(context, file, 0);
    int high = fcntl(file, F_DUPFD, 1000);
    fact_result("close", close(high));
    fact_result("close again", close(high) < 0 ? -errno : 0);
    fact_result("dup2", dup2(file, 1000) == 1000);
    fact_result("dup2 onto itself", dup2(1000, 1000) == 1000);
    fact_result("dup2 of none", dup2(999, 1001) < 0 ? -errno : 0);
    fact_result("dup3 onto itself", dup3(1000, 1000, 0) < 0 ? -errno : 0);
    fact_result("close_range backwards", close_range(10, 9, 0) < 0 ? -errno : 0);
    fact_result("close_range", close_range(1000, 1000, 0));
    fact_result("is closed", fcntl(1000, F_GETFD) < 0 ? -errno : 0);
    fact_result("close of -1", close(-1) < 0 ? -errno : 0);
    errno = 0;
    closefrom(1000);
    fact("errno after closefrom", "%d", errno);
}

/// A child closes all descriptors that it inherited from its parent, and can then use the library.
static void a_child_closes_all(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 65536, 3);
    cold_read(context, file, 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int low = dup2(file, 3);
        closefrom(4);
        int left = 0;
        for (int number = 4; number < 65536; number++) { left += fcntl(number, F_GETFD) >= 0; }
        fact("descriptors left in the child", "%d", left);
        io_context_t own = new_context(4);
        fact_result("read in the child", cold_read(own, low, 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    fact_result("read in the parent", cold_read(context, file, 0));
}

static void handlers_close_too(void) {
    limit_descriptors();
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 65536, 3);
    fact_result("read", cold_read(context, file, 0));
    closes_in_handlers();
    fact_result("read afterwards", cold_read(context, file, 0));
    fact_result("end", io_destroy(context));
}

static const struct test_case cases[] = {
    {"everything-is-closed", everything_is_closed},
    {"numbers-of-the-programs-own", numbers_of_the_programs_own},
    {"a-child-closes-all", a_child_closes_all},
    {"handlers-close-too", handlers_close_too},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
