// POSIX AIO without threads, descriptors or system calls, from the beginning or from some moment on.
#include "posix_cases.h"

#include "scarcity.h"

static uint8_t bytes[8][4096] __attribute__((aligned(4096)));

/// Reads, writes and a sync, concurrently.
static void use(const char *when, int file) {
    struct aiocb blocks[8];
    make_cold(file);
    int refused = 0;
    long results[8] = {0};
    for (int index = 0; index < 8; index++) {
        blocks[index] = block_of(file, bytes[index], 4096, index * 8192);
        refused += (index % 2 ? aio_write(&blocks[index]) : aio_read(&blocks[index])) != 0;
    }
    struct aiocb sync = block_of(file, NULL, 0, 0);
    int synced = aio_fsync(O_SYNC, &sync);
    bool isRight = true;
    for (int index = 0; index < 8 && !refused; index++) {
        results[index] = finish(&blocks[index]);
        isRight &= results[index] == 4096;
    }
    fact(when, "%d refused, all done: %s, sync %s", refused, isRight ? "yes" : "no",
        result_name(synced == 0 ? finish(&sync) : -errno));
}

static void no_threads_from_the_beginning(void) {
    int file = file_for_all(O_RDWR, 1 << 20, 3);
    refuse_threads();
    fact_bool("a thread can be started", can_start_thread());
    use("first", file);
    use("again", file);
}

static void no_threads_any_more(void) {
    int file = file_for_all(O_RDWR, 1 << 20, 3);
    use("before", file);
    refuse_threads();
    fact_bool("a thread can be started", can_start_thread());
    use("first", file);
    use("again", file);
}

static void no_descriptors_from_the_beginning(void) {
    int file = new_file(O_RDWR, 1 << 20, 3);
    refuse_descriptors();
    use("first", file);
    use("again", file);
}

static void no_descriptors_any_more(void) {
    int file = new_file(O_RDWR, 1 << 20, 3), other = new_file(O_RDWR, 1 << 20, 4);
    use("before", file);
    refuse_descriptors();
    use("first", file);
    use("of another file", other);
}

static void a_filter(const int *numbers, int count, int error, bool isEarly) {
    int file = new_file(O_RDWR, 1 << 20, 3);
    if (!isEarly) { use("before", file); }
    refuse_calls(numbers, count, error);
    use("first", file);
    use("again", file);
}

static void rings_are_refused_early(void) { a_filter(ring_calls, 3, EPERM, true); }
static void rings_are_refused_late(void) { a_filter(ring_calls, 3, EPERM, false); }
static void rings_cannot_be_entered_early(void) { a_filter(ring_calls + 1, 1, EPERM, true); }
static void rings_cannot_be_entered_late(void) { a_filter(ring_calls + 1, 1, ENOSYS, false); }
static void newer_calls_are_refused_early(void) { a_filter(newer_calls, 5, ENOSYS, true); }
static void newer_calls_are_refused_late(void) { a_filter(newer_calls, 5, EPERM, false); }

static const struct test_case cases[] = {
    {"no-threads-from-the-beginning", no_threads_from_the_beginning},
    {"no-threads-any-more", no_threads_any_more},
    {"no-descriptors-from-the-beginning", no_descriptors_from_the_beginning},
    {"no-descriptors-any-more", no_descriptors_any_more},
    {"rings-are-refused-early", rings_are_refused_early},
    {"rings-are-refused-late", rings_are_refused_late},
    {"rings-cannot-be-entered-early", rings_cannot_be_entered_early},
    {"rings-cannot-be-entered-late", rings_cannot_be_entered_late},
    {"newer-calls-are-refused-early", newer_calls_are_refused_early},
    {"newer-calls-are-refused-late", newer_calls_are_refused_late},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
