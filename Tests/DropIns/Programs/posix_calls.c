// Reads, writes and syncs: results, errors, and which errors the call itself returns.
#include "posix_cases.h"

static char buffer[1 << 20];

static void reads(void) {
    int file = new_file(O_RDONLY, 10000, 1);
    fact_result("whole pages", read_now(file, buffer, 8192, 0));
    fact_bool("their content", is_known(buffer, 8192, 0, 1));
    fact_result("across the end", read_now(file, buffer, 8192, 5000));
    fact_bool("its content", is_known(buffer, 5000, 5000, 1));
    fact_result("at the end", read_now(file, buffer, 10, 10000));
    fact_result("far beyond the end", read_now(file, buffer, 10, 1l << 40));
    fact_result("nothing", read_now(file, buffer, 0, 0));
    fact_result("into nowhere", read_now(file, (void *)8, 10, 0));
    fact_result("into no address", read_now(file, NULL, 10, 0));
    fact_result("nothing into nowhere", read_now(file, NULL, 0, 0));
    fact_result("before the beginning", read_now(file, buffer, 10, -1));
    fact_result("far before the beginning", read_now(file, buffer, 10, INT64_MIN));
    fact_result("more than there can be", read_now(file, buffer, SIZE_MAX, 0));
    make_cold(file);
    fact_result("from the disk", read_now(file, buffer, 10000, 0));
    fact_bool("what the disk has", is_known(buffer, 10000, 0, 1));
    fact_result("position", lseek(file, 0, SEEK_CUR));
}

static void writes(void) {
    int file = new_file(O_RDWR, 0, 0);
    fill_known(buffer, sizeof buffer, 0, 2);
    fact_result("some", write_now(file, buffer, 10000, 0));
    fact_result("beyond the end", write_now(file, buffer + 20000, 100, 20000));
    fact_result("nothing", write_now(file, buffer, 0, 0));
    fact_result("from nowhere", write_now(file, (void *)8, 10, 0));
    fact_result("before the beginning", write_now(file, buffer, 10, -1));
    fact_result("much", write_now(file, buffer, sizeof buffer, 0));
    memset(buffer, 0, sizeof buffer);
    fact_result("read back", pread(file, buffer, sizeof buffer, 0));
    fact_bool("content", is_known(buffer, sizeof buffer, 0, 2));
    fact_result("position", lseek(file, 0, SEEK_CUR));
}

static void direct(void) {
    int file = new_file(O_RDWR | O_DIRECT, 65536, 3);
    char *memory = aligned_memory(65536);
    fact_result("read", read_now(file, memory, 65536, 0));
    fact_bool("content", is_known(memory, 65536, 0, 3));
    fact_result("at the end", read_now(file, memory, 4096, 65536));
    fill_known(memory, 65536, 0, 4);
    fact_result("write", write_now(file, memory, 65536, 0));
    memset(memory, 0, 65536);
    fact_result("read again", read_now(file, memory, 65536, 0));
    fact_bool("what was written", is_known(memory, 65536, 0, 4));
    fact_result("not aligned", read_now(file, memory + 1, 4096, 0));
}

static void wrong_descriptors(void) {
    int reading = new_file(O_RDONLY, 100, 1), writing = new_file(O_WRONLY, 100, 1), place = new_file(O_PATH, 100, 1);
    struct aiocb block = block_of(-1, buffer, 10, 0);
    fact_call("read of none", aio_read(&block));
    fact_result("its end", finish(&block));
    block = block_of(1000, buffer, 10, 0);
    fact_call("write to one that is not open", aio_write(&block));
    fact_result("the write's end", finish(&block));
    fact_result("read of one for writing", read_now(writing, buffer, 10, 0));
    fact_result("write to one for reading", write_now(reading, buffer, 10, 0));
    fact_result("read of a place", read_now(place, buffer, 10, 0));
    fact_result("read of a folder", read_now(open(scratch_folder, O_RDONLY), buffer, 10, 0));
    fact_result("before the beginning of none", read_now(-1, buffer, 10, -1));
}

static void priorities(void) {
    int file = new_file(O_RDWR, 100, 1);
    const int priorities[] = {-1, 0, 1, 20, 21, INT32_MAX, INT32_MIN};
    for (size_t index = 0; index < sizeof priorities / sizeof *priorities; index++) {
        char what[64];
        struct aiocb block = block_of(file, buffer, 10, 0);
        block.aio_reqprio = priorities[index];
        snprintf(what, sizeof what, "read at %d", priorities[index]);
        fact_call(what, aio_read(&block));
        snprintf(what, sizeof what, "end at %d", priorities[index]);
        fact_result(what, finish(&block));
        snprintf(what, sizeof what, "sync at %d", priorities[index]);
        fact_call(what, aio_fsync(O_SYNC, &block));
        snprintf(what, sizeof what, "sync's end at %d", priorities[index]);
        fact_result(what, finish(&block));
    }
}

static void syncs(void) {
    int file = new_file(O_RDWR, 100, 1), reading = new_file(O_RDONLY, 100, 1), ends[2];
    new_pipe(ends);
    struct aiocb block = block_of(file, buffer, 10, 0);
    fact_call("full", aio_fsync(O_SYNC, &block));
    fact_result("its end", finish(&block));
    fact_call("data", aio_fsync(O_DSYNC, &block));
    fact_result("data's end", finish(&block));
    fact_call("of another kind", aio_fsync(77, &block));
    fact_call("of another kind, without a block", aio_fsync(77, NULL));
    block.aio_fildes = -1;
    fact_call("of none", aio_fsync(O_SYNC, &block));
    block.aio_fildes = reading;
    fact_call("of one for reading", aio_fsync(O_SYNC, &block));
    fact_result("that one's end", finish(&block));
    block.aio_fildes = ends[1];
    fact_call("of a pipe", aio_fsync(O_SYNC, &block));
    fact_result("the pipe's end", finish(&block));
}

static void sync_covers_what_was_before(void) {
    enum { COUNT = 200 };
    int file = new_file(O_RDWR, 0, 0);
    static struct aiocb blocks[COUNT];
    struct aiocb sync = block_of(file, NULL, 0, 0);
    bool isCovered = true;
    for (int round = 0; round < 5; round++) {
        for (int index = 0; index < COUNT; index++) {
            blocks[index] = block_of(file, buffer, 4096, index * 4096);
            if (aio_write(&blocks[index]) != 0) { broken("aio_write"); }
        }
        if (aio_fsync(O_DSYNC, &sync) != 0) { broken("aio_fsync"); }
        char what[32];
        snprintf(what, sizeof what, "sync %d", round);
        fact_result(what, finish(&sync));
        for (int index = 0; index < COUNT; index++) { isCovered &= aio_error(&blocks[index]) != EINPROGRESS; }
        for (int index = 0; index < COUNT; index++) { finish(&blocks[index]); }
    }
    fact_bool("all before it had ended", isCovered);
}

/* Nothing was written between the two. */
static void a_sync_after_a_sync(void) {
    enum { COUNT = 200 };
    int file = new_file(O_RDWR, 0, 0);
    static struct aiocb blocks[COUNT];
    struct aiocb first = block_of(file, NULL, 0, 0), second = first;
    bool isCovered = true;
    for (int round = 0; round < 5; round++) {
        for (int index = 0; index < COUNT; index++) {
            blocks[index] = block_of(file, buffer, 4096, index * 4096);
            if (aio_write(&blocks[index]) != 0) { broken("aio_write"); }
        }
        if (aio_fsync(O_SYNC, &first) != 0 || aio_fsync(O_SYNC, &second) != 0) { broken("aio_fsync"); }
        if (finish(&second) != 0) { broken("the second sync"); }
        for (int index = 0; index < COUNT; index++) { isCovered &= aio_error(&blocks[index]) != EINPROGRESS; }
        for (int index = 0; index < COUNT; index++) { finish(&blocks[index]); }
        if (finish(&first) != 0) { broken("the first sync"); }
    }
    fact_bool("all before the first had ended", isCovered);
}

static void a_sync_after_a_write_that_fails(void) {
    int file = new_file(O_RDWR, 0, 0);
    struct aiocb bad = block_of(file, (void *)8, 4096, 0), sync = block_of(file, NULL, 0, 0);
    aio_write(&bad);
    aio_fsync(O_SYNC, &sync);
    fact_result("the write", finish(&bad));
    long result = finish(&sync);
    fact_bool("the sync has its error, or the write had ended before it", result == -EFAULT || result == 0);
    sync = block_of(file, NULL, 0, 0);
    aio_fsync(O_SYNC, &sync);
    fact_result("the next sync", finish(&sync));
}

static void many_syncs(void) {
    enum { COUNT = 300 };
    int file = new_file(O_RDWR, 0, 0);
    static struct aiocb writes[COUNT], syncs[COUNT];
    for (int index = 0; index < COUNT; index++) {
        writes[index] = block_of(file, buffer, 512, index * 512);
        syncs[index] = block_of(file, NULL, 0, 0);
        aio_write(&writes[index]);
        aio_fsync(O_DSYNC, &syncs[index]);
    }
    bool isOrdered = true;
    int failed = 0;
    for (int index = 0; index < COUNT; index++) {
        failed += finish(&syncs[index]) != 0;
        for (int before = 0; before <= index; before++) { isOrdered &= aio_error(&writes[before]) != EINPROGRESS; }
    }
    for (int index = 0; index < COUNT; index++) { failed += finish(&writes[index]) != 512; }
    fact_bool("each after its writes", isOrdered);
    fact_result("failed", failed);
}

static void appends_land_in_call_order(void) {
    enum { COUNT = 500 };
    int file = new_file(O_RDWR | O_APPEND, 0, 0);
    static struct aiocb blocks[COUNT];
    static uint32_t words[COUNT][64], found[64];
    for (int index = 0; index < COUNT; index++) {
        for (int word = 0; word < 64; word++) { words[index][word] = (uint32_t)index; }
        blocks[index] = block_of(file, words[index], 4 + (size_t)(index % 64) * 4, index % 3);
        if (aio_write(&blocks[index]) != 0) { broken("aio_write"); }
    }
    int failed = 0;
    for (int index = 0; index < COUNT; index++) { failed += finish(&blocks[index]) != 4 + (index % 64) * 4; }
    bool isOrdered = true;
    off_t offset = 0;
    for (int index = 0; index < COUNT; index++) {
        long count = pread(file, found, 4 + (size_t)(index % 64) * 4, offset);
        for (long word = 0; word < count / 4; word++) { isOrdered &= found[word] == (uint32_t)index; }
        isOrdered &= count == 4 + (index % 64) * 4;
        offset += count;
    }
    fact_result("failed", failed);
    fact_bool("in order", isOrdered);
}

static void ten_thousand_at_once(void) {
    enum { COUNT = 10000, SIZE = 512 };
    int file = new_file(O_RDWR, COUNT * SIZE, 5);
    struct aiocb *blocks = calloc(COUNT, sizeof *blocks);
    char *memory = aligned_memory(COUNT * SIZE);
    make_cold(file);
    int refused = 0, wrong = 0;
    for (int index = 0; index < COUNT; index++) {
        blocks[index] = block_of(file, memory + index * SIZE, SIZE, index * SIZE);
        refused += aio_read(&blocks[index]) != 0;
    }
    for (int index = 0; index < COUNT; index++) { wrong += finish(&blocks[index]) != SIZE; }
    fact_result("refused", refused);
    fact_result("wrong", wrong);
    fact_bool("content", is_known(memory, COUNT * SIZE, 0, 5));
    fill_known(memory, COUNT * SIZE, 0, 6);
    wrong = 0;
    for (int index = 0; index < COUNT; index++) { aio_write(&blocks[index]); }
    for (int index = 0; index < COUNT; index++) { wrong += finish(&blocks[index]) != SIZE; }
    memset(memory, 0, COUNT * SIZE);
    fact_result("wrong writes", wrong);
    fact_result("read back", pread(file, memory, COUNT * SIZE, 0));
    fact_bool("what was written", is_known(memory, COUNT * SIZE, 0, 6));
}

static void blocks_may_go_with_the_result(void) {
    int file = new_file(O_RDWR, 1 << 20, 7);
    int wrong = 0;
    for (int round = 0; round < 2000; round++) {
        // A page that is unmapped afterwards, so that a late access crashes.
        struct aiocb *block = aligned_memory(4096);
        *block = block_of(file, buffer, 512, (round * 512) % (1 << 20));
        if (round % 200 == 0) { make_cold(file); }
        int result = round % 3 == 0 ? aio_write(block) : aio_read(block);
        if (result != 0) { broken("aio_read"); }
        while (aio_error(block) == EINPROGRESS) {}
        wrong += aio_return(block) != 512;
        munmap(block, 4096);
    }
    fact_result("wrong", wrong);
}

static void a_file_size_limit(void) {
    signal(SIGXFSZ, SIG_IGN);
    int file = new_file(O_RDWR, 0, 0);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){8192, 8192});
    fact_result("across it", write_now(file, buffer, 8192, 4096));
    fact_result("beyond it", write_now(file, buffer, 4096, 8192));
}

static void hints(void) {
    struct aioinit hints = {.aio_threads = 1, .aio_num = 1};
    aio_init(&hints);
    int file = new_file(O_RDONLY, 100, 1);
    fact_result("read", read_now(file, buffer, 100, 0));
}

static void names_with_64(void) {
    int file = new_file(O_RDWR, 100, 1);
    struct aiocb64 block;
    memset(&block, 0, sizeof block);
    block.aio_fildes = file;
    block.aio_buf = buffer;
    block.aio_nbytes = 50;
    block.aio_sigevent.sigev_notify = SIGEV_NONE;
    const struct aiocb64 *list[] = {&block};
    fact_call("write", aio_write64(&block));
    fact_call("suspend", aio_suspend64(list, 1, NULL));
    fact_result("error", aio_error64(&block));
    fact_result("result", aio_return64(&block));
    fact_call("read", aio_read64(&block));
    while (aio_error64(&block) == EINPROGRESS) { aio_suspend64(list, 1, NULL); }
    fact_result("read's result", aio_return64(&block));
    fact_call("sync", aio_fsync64(O_SYNC, &block));
    while (aio_error64(&block) == EINPROGRESS) { aio_suspend64(list, 1, NULL); }
    fact_call("cancel", aio_cancel64(file, &block));
    struct aiocb64 *entries[] = {&block};
    block.aio_lio_opcode = LIO_READ;
    fact_call("list", lio_listio64(LIO_WAIT, entries, 1, NULL));
    fact_result("list's result", aio_return64(&block));
}

static void leaving_with_requests_in_progress(void) {
    int ends[2], file = new_file(O_RDWR, 1 << 20, 1);
    new_pipe(ends);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct aiocb waiting[40], reading[200];
        make_cold(file);
        for (int index = 0; index < 200; index++) {
            reading[index] = block_of(file, buffer, 4096, index * 4096);
            aio_read(&reading[index]);
        }
        for (int index = 0; index < 40; index++) {
            waiting[index] = block_of(ends[0], buffer, 1, 0);
            aio_read(&waiting[index]);
        }
        exit(7);
    }
    int status = 0;
    waitpid(child, &status, 0);
    fact_bool("it left", WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void return_before_the_end(void) {
    int ends[2];
    new_pipe(ends);
    struct aiocb reading = block_of(ends[0], buffer, 10, 0);
    begin(&reading);
    // In libc it is -1 once pread(2) has failed with ESPIPE.
    fact_bool("a count while in progress", aio_return(&reading) > 0);
    if (write(ends[1], "xy", 2) != 2) { broken("write"); }
    fact_result("afterwards", finish(&reading));
}

int main(int count, char **arguments) {
    const struct test_case cases[] = {
        {"reads", reads}, {"writes", writes}, {"direct", direct}, {"wrong-descriptors", wrong_descriptors},
        {"priorities", priorities}, {"syncs", syncs}, {"sync-covers-what-was-before", sync_covers_what_was_before},
        {"a-sync-after-a-sync", a_sync_after_a_sync},
        {"a-sync-after-a-write-that-fails", a_sync_after_a_write_that_fails}, {"many-syncs", many_syncs}, {"appends-land-in-call-order", appends_land_in_call_order},
        {"ten-thousand-at-once", ten_thousand_at_once},
        {"blocks-may-go-with-the-result", blocks_may_go_with_the_result},
        {"a-file-size-limit", a_file_size_limit}, {"hints", hints}, {"names-with-64", names_with_64},
        {"return-before-the-end", return_before_the_end},
        {"leaving-with-requests-in-progress", leaving_with_requests_in_progress},
    };
    return run_cases(count, arguments, cases, CASE_COUNT(cases));
}
