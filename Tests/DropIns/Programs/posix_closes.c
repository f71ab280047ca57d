// A program that closes all descriptors that it does not know while POSIX AIO is in use.
#include "posix_cases.h"

#include "closing.h"

#include <sys/stat.h>

static uint8_t bytes[65536];

static void everything_is_closed(void) {
    limit_descriptors();
    for (int kind = 0; kind < CLOSING_KINDS; kind++) {
        // Only the other library replaces syscall(2); see the documentation.
        if (kind == 3) { continue; }
        char what[96], path[4096];
        int file = new_file(O_RDWR, 1 << 20, 3), low = dup2(file, 3);
        snprintf(path, sizeof path, "%s/own-%d", scratch_folder, kind);
        make_cold(low);
        long before = read_now(low, bytes, 4096, 4096);
        close_all(kind, 4);
        open_own(path);
        make_cold(low);
        long after = read_now(low, bytes, 4096, 16384);
        bool isRight = is_known(bytes, 4096, 16384, 3);
        long written = write_now(low, bytes, 4096, 0);
        struct stat status = {0};
        stat(path, &status);
        snprintf(what, sizeof what, "after %s", closing_kinds[kind]);
        fact(what, "%ld, %ld %s, %ld", before, after, isRight ? "right" : "wrong", written);
        snprintf(what, sizeof what, "own file after %s", closing_kinds[kind]);
        fact(what, "%ld bytes", (long)status.st_size);
        close_range(3, ~0u, 0);
    }
}

static void handlers_close_too(void) {
    limit_descriptors();
    int file = new_file(O_RDONLY, 65536, 3);
    make_cold(file);
    fact_result("read", read_now(file, bytes, 4096, 0));
    closes_in_handlers();
    make_cold(file);
    fact_result("read afterwards", read_now(file, bytes, 4096, 0));
}

static const struct test_case cases[] = {
    {"everything-is-closed", everything_is_closed},
    {"handlers-close-too", handlers_close_too},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
