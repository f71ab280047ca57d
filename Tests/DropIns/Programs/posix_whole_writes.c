// Writes to blocking streams: libc writes all bytes, one request after the other.
#include "posix_cases.h"

#include "stream_ends.h"

enum { LARGE = 1 << 20 };
static char a[LARGE], b[LARGE];

static void large_ones(void) {
    memset(a, 'A', LARGE);
    memset(b, 'B', LARGE);
    for (int kind = 0; kind < STREAM_KINDS; kind++) {
        int ends[2];
        stream_pair(kind, ends);
        struct aiocb first = block_of(ends[1], a, LARGE, 0), second = block_of(ends[1], b, LARGE, 0);
        char what[64];
        fact_call(stream_kinds[kind], aio_write(&first));
        snprintf(what, sizeof what, "%s, second", stream_kinds[kind]);
        fact_call(what, aio_write(&second));
        struct drain drain = {.descriptor = ends[0], .limit = 2 * LARGE};
        pthread_t reader = start_thread(run_drain, &drain);
        snprintf(what, sizeof what, "%s, results", stream_kinds[kind]);
        long results[2] = {finish(&first), finish(&second)};
        fact(what, "%ld %ld", results[0], results[1]);
        pthread_join(reader, NULL);
        snprintf(what, sizeof what, "%s, read", stream_kinds[kind]);
        fact(what, "%s", drain.runs);
        close(ends[0]);
        close(ends[1]);
    }
}

static void *take_some_and_close(void *argument) {
    int *ends = argument;
    static char memory[200000];
    for (size_t count = 0; count < sizeof memory;) {
        ssize_t got = read(ends[0], memory, sizeof memory - count);
        if (got <= 0) { break; }
        count += (size_t)got;
    }
    close(ends[0]);
    return NULL;
}

static void the_reader_goes(void) {
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    new_pipe(ends);
    struct aiocb writing = block_of(ends[1], a, LARGE, 0);
    fact_call("write", aio_write(&writing));
    pthread_t reader = start_thread(take_some_and_close, ends);
    long result = finish(&writing);
    pthread_join(reader, NULL);
    fact_bool("some was written", result >= 200000 && result < LARGE);
    fact_result("the next one", write_now(ends[1], a, 100, 0));
}

// The file's own flags are evaluated once, when the request is made.
enum { ROUNDS = 40, PIECES = 8, PIECE = 1 << 16 };

static void appending_is_set_afterwards(void) {
    static uint8_t memory[PIECE];
    memset(memory, 'n', PIECE);
    int grown = 0, moved = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int file = new_file(O_RDWR, PIECES * PIECE, 1);
        struct aiocb blocks[PIECES];
        for (int index = 0; index < PIECES; index++) {
            blocks[index] = block_of(file, memory, PIECE, (off_t)index * PIECE);
            if (aio_write(&blocks[index]) != 0) { broken("aio_write"); }
        }
        fcntl(file, F_SETFL, O_RDWR | O_APPEND);
        for (int index = 0; index < PIECES; index++) { finish(&blocks[index]); }
        grown += lseek(file, 0, SEEK_END) != PIECES * PIECE;
        for (int index = 0; index < PIECES; index++) {
            uint8_t byte = 0;
            moved += pread(file, &byte, 1, (off_t)index * PIECE) != 1 || byte != 'n';
        }
        close(file);
    }
    fact("files that grew", "%d", grown);
    fact("pieces elsewhere", "%d", moved);
}

static void direct_is_set_afterwards(void) {
    int file = new_file(O_RDWR, 1 << 22, 5), failed = 0;
    uint8_t *memory = aligned_memory(4096);
    for (int round = 0; round < 60; round++) {
        off_t offset = (off_t)round * 65536 + 100;
        make_cold(file);
        struct aiocb reading = block_of(file, memory, 1000, offset);
        if (aio_read(&reading) != 0) { broken("aio_read"); }
        fcntl(file, F_SETFL, O_RDWR | O_DIRECT);
        failed += finish(&reading) != 1000 || !is_known(memory, 1000, (uint64_t)offset, 5);
        fcntl(file, F_SETFL, O_RDWR);
    }
    fact("failed", "%d", failed);
}

static const struct test_case cases[] = {
    {"large-ones", large_ones},
    {"the-reader-goes", the_reader_goes},
    {"appending-is-set-afterwards", appending_is_set_afterwards},
    {"direct-is-set-afterwards", direct_is_set_afterwards},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
