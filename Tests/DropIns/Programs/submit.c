// io_submit: what it accepts, what it refuses, and how much of a batch it takes.
#include "libaio_cases.h"

static char bytes[4096];

static struct iocb good_read(int file) { return block(IOCB_CMD_PREAD, file, bytes, 16, 0); }

static void counts(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(4);
    struct iocb one = good_read(file), *list[] = {&one};
    fact_result("0", io_submit(context, 0, list));
    fact_result("0 with no array", io_submit(context, 0, NULL));
    fact_result("0 with a bad array", io_submit(context, 0, HIGH_ADDRESS));
    fact_result("-1", io_submit(context, -1, list));
    fact_result("smallest", io_submit(context, INT64_MIN, list));
    fact_result("-1 with no array", io_submit(context, -1, NULL));
    fact_result("-1 without a context", io_submit(NULL, -1, NULL));
    fact_result("events", event_count_now(context));
}

/// The count is limited to the context's size before the array is read.
static void counts_that_overflow(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(4);
    // All pointers after the first, valid one are null.
    struct iocb one = good_read(file), **list = aligned_memory(4096);
    list[0] = &one;
    fact_result("2^31", io_submit(context, 1L << 31, list));
    fact_result("2^62", io_submit(context, 1L << 62, list));
    fact_result("greatest", io_submit(context, INT64_MAX, list));
    fact_result("2^57 with a bad array", io_submit(context, 1L << 57, HIGH_ADDRESS));
    fact_result("greatest with an array of the kernel's", io_submit(context, INT64_MAX, KERNEL_ADDRESS));
    fact_result("events", event_count_now(context));
}

static void contexts(void) {
    struct iocb one = good_read(0), *list[] = {&one};
    fact_result("null", io_submit(NULL, 1, list));
    fact_result("last address", io_submit((void *)-1L, 1, list));
    fact_result("kernel address", io_submit(KERNEL_ADDRESS, 1, list));
    fact_result("odd", io_submit((void *)3, 1, list));
    fact_result("mapped zeros", io_submit(aligned_memory(4096), 1, list));
    fact_result("null, nothing to do", io_submit(NULL, 0, NULL));
    fact_result("null, bad array", io_submit(NULL, 1, NULL));
}

static void arrays(void) {
    io_context_t context = new_context(4);
    fact_result("null", io_submit(context, 1, NULL));
    fact_result("last address", io_submit(context, 1, HIGH_ADDRESS));
    fact_result("kernel address", io_submit(context, 1, KERNEL_ADDRESS));
    // The array ends with its page, and the memory after it is inaccessible.
    int file = new_file(O_RDONLY, 4096, 1);
    uint8_t *pages = aligned_memory(8192);
    mprotect(pages + 4096, 4096, PROT_NONE);
    struct iocb one = good_read(file), **last = (struct iocb **)(pages + 4096 - 8);
    *last = &one;
    fact_result("ends with its page", io_submit(context, 3, last));
    fact_result("events", event_count_now(context));
}

/// The same with operations that go to the kernel's own context, as long as the program does nothing else.
static void arrays_for_the_kernel(void) {
    io_context_t context = new_context(4);
    int file = new_file(O_RDONLY | O_DIRECT, 4096, 1);
    uint8_t *pages = aligned_memory(8192);
    mprotect(pages + 4096, 4096, PROT_NONE);
    struct iocb read = block(IOCB_CMD_PREAD, file, aligned_memory(4096), 4096, 0),
        sync = block(IOCB_CMD_FDSYNC, file, NULL, 0, 0), **last = (struct iocb **)(pages + 4096 - 8);
    *last = &sync;
    fact_result("a sync", io_submit(context, 3, last));
    fact_result("its result", next_event(context).res);
    *last = &read;
    fact_result("a direct read", io_submit(context, 3, last));
    fact_result("the read's result", next_event(context).res);
}

static void blocks_at_bad_addresses(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    struct iocb good = good_read(file);
    void *bad[] = {NULL, HIGH_ADDRESS, KERNEL_ADDRESS, (void *)8};
    const char *names[] = {"null", "last address", "kernel address", "first page"};
    for (int index = 0; index < 4; index++) {
        char what[64];
        struct iocb *first[] = {bad[index], &good}, *second[] = {&good, bad[index], &good},
            *last[] = {&good, &good, bad[index]};
        snprintf(what, sizeof what, "%s first", names[index]);
        fact_result(what, io_submit(context, 2, first));
        snprintf(what, sizeof what, "%s second", names[index]);
        fact_result(what, io_submit(context, 3, second));
        snprintf(what, sizeof what, "%s last", names[index]);
        fact_result(what, io_submit(context, 3, last));
        while (event_count_now(context) > 0) {}
    }
}

/// What a call learned about one page is not taken for another: the page numbers are half and double of that of a block
/// whose key had to be written.
static void blocks_on_pages_with_related_numbers(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    struct iocb *block = aligned_memory(4096);
    *block = good_read(file);
    void *related[] = {(void *)((uintptr_t)block >> 13 << 12), (void *)((uintptr_t)block << 1)};
    for (int index = 0; index < 2; index++) {
        if (msync(related[index], 4096, MS_ASYNC) == 0) { broken("the related page is mapped"); }
        block->key = 7;
        struct iocb *list[] = {block, related[index]};
        fact_result(index == 0 ? "half" : "double", io_submit(context, 2, list));
        while (event_count_now(context) > 0) {}
    }
}

/// Only the first half of the control block is readable.
static void block_across_the_end_of_its_memory(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    uint8_t *pages = aligned_memory(8192);
    munmap(pages + 4096, 4096);
    struct iocb good = good_read(file);
    memcpy(pages + 4096 - 32, &good, 32);
    fact_result("submit", submit_one(context, (struct iocb *)(pages + 4096 - 32)));
    struct iocb *whole = (struct iocb *)(pages + 4096 - 64);
    *whole = good;
    fact_result("just before the end", submit_one(context, whole));
}

/// The kernel writes into a block that it accepts.
static void block_that_cannot_be_written(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    struct iocb *block = aligned_memory(4096);
    *block = good_read(file);
    mprotect(block, 4096, PROT_READ);
    fact_result("submit", submit_one(context, block));
    fact_result("events", event_count_now(context));
    mprotect(block, 4096, PROT_READ | PROT_WRITE);
    block->key = 7;
    mprotect(block, 4096, PROT_READ);
    fact_result("one with a key", submit_one(context, block));
    fact_result("events of one with a key", event_count_now(context));
}

static void misaligned_block(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    static uint8_t memory[256];
    struct iocb good = good_read(file), *odd = (struct iocb *)(memory + 3);
    memcpy((void *)odd, &good, sizeof good);
    fact_result("submit", submit_one(context, odd));
    struct io_event event = next_event(context);
    fact_result("result", event.res);
    fact_bool("its own address", event.obj == (uint64_t)(uintptr_t)odd);
}

static void key(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    struct iocb one = good_read(file);
    one.key = 0x1234;
    fact_result("any before", submit_one(context, &one));
    fact("after", "%u", one.key);
    next_event(context);
    one.key = 0x1234;
    one.descriptor = -1;
    fact_result("refused", submit_one(context, &one));
    fact("after refusal", "%#x", one.key);
}

static void refused_blocks_in_a_batch(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDONLY, 4096, 1);
    struct iocb good = good_read(file), bad = block(IOCB_CMD_PREAD, -1, bytes, 16, 0),
        odd = block(77, file, bytes, 16, 0);
    struct iocb *middle[] = {&good, &bad, &good}, *first[] = {&bad, &good}, *opcode[] = {&good, &good, &odd, &good};
    fact_result("in the middle", io_submit(context, 3, middle));
    fact_result("events", event_count_now(context));
    fact_result("first", io_submit(context, 2, first));
    fact_result("no events", event_count_now(context));
    fact_result("unknown opcode in the middle", io_submit(context, 4, opcode));
    fact_result("two events", event_count_now(context));
}

static void opcodes(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDWR, 4096, 1);
    const int opcodes[] = {4, IOCB_CMD_NOOP, 9, 10, 255, 256, 65535};
    for (size_t index = 0; index < sizeof opcodes / sizeof *opcodes; index++) {
        char what[32];
        snprintf(what, sizeof what, "%d", opcodes[index]);
        fact_performed(what, context, block(opcodes[index], file, bytes, 16, 0));
    }
    fact_performed("unknown with a bad descriptor", context, block(77, -1, bytes, 16, 0));
}

static void descriptors(void) {
    io_context_t context = new_context(8);
    const int opcodes[] = {IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC, IOCB_CMD_POLL,
        IOCB_CMD_PREADV, IOCB_CMD_PWRITEV};
    const char *names[] = {"read", "write", "fsync", "fdsync", "poll", "readv", "writev"};
    const int bad[] = {-1, 999, 2147483647, -2147483647 - 1, -100};
    for (size_t index = 0; index < sizeof opcodes / sizeof *opcodes; index++) {
        for (size_t which = 0; which < sizeof bad / sizeof *bad; which++) {
            char what[64];
            snprintf(what, sizeof what, "%s of %d", names[index], bad[which]);
            bool isSync = opcodes[index] == IOCB_CMD_FSYNC || opcodes[index] == IOCB_CMD_FDSYNC
                || opcodes[index] == IOCB_CMD_POLL;
            fact_performed(what, context, block(opcodes[index], bad[which], isSync ? NULL : bytes, isSync ? 0 : 16, 0));
        }
    }
}

static void wrongly_opened(void) {
    io_context_t context = new_context(8);
    int reading = new_file(O_RDONLY, 4096, 1), writing = new_file(O_WRONLY, 4096, 1),
        neither = new_file(O_PATH, 4096, 1);
    struct iovec { void *base; size_t size; } vector = {bytes, 16};
    fact_performed("write to one open for reading", context, block(IOCB_CMD_PWRITE, reading, bytes, 16, 0));
    fact_performed("writev to one open for reading", context, block(IOCB_CMD_PWRITEV, reading, &vector, 1, 0));
    fact_performed("read of one open for writing", context, block(IOCB_CMD_PREAD, writing, bytes, 16, 0));
    fact_performed("readv of one open for writing", context, block(IOCB_CMD_PREADV, writing, &vector, 1, 0));
    fact_performed("sync of one open for reading", context, block(IOCB_CMD_FSYNC, reading, NULL, 0, 0));
    fact_performed("read of a path alone", context, block(IOCB_CMD_PREAD, neither, bytes, 16, 0));
    fact_performed("sync of a path alone", context, block(IOCB_CMD_FSYNC, neither, NULL, 0, 0));
    fact_performed("poll of a path alone", context, block(IOCB_CMD_POLL, neither, (void *)POLLIN, 0, 0));
    fact_performed("write of nothing to one open for reading", context, block(IOCB_CMD_PWRITE, reading, bytes, 0, 0));
    fact_performed("read of nothing from one open for writing", context, block(IOCB_CMD_PREAD, writing, bytes, 0, 0));
}

static void fields(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDWR, 4096, 1);
    struct iocb reserved = good_read(file), huge = good_read(file), negative = good_read(file), flags = good_read(file);
    reserved.reserved = 1;
    fact_performed("reserved", context, reserved);
    huge.count = 1ull << 63;
    fact_performed("count of 2^63", context, huge);
    huge.count = UINT64_MAX;
    fact_performed("greatest count", context, huge);
    huge.count = INT64_MAX;
    fact_performed("count of 2^63-1", context, huge);
    huge.count = 1ull << 32;
    fact_performed("count of 2^32", context, huge);
    negative.offset = -1;
    fact_performed("negative offset", context, negative);
    negative.offset = INT64_MIN;
    fact_performed("smallest offset", context, negative);
    negative.offset = INT64_MAX;
    fact_performed("greatest offset", context, negative);
    negative.opcode = IOCB_CMD_PWRITE;
    fact_performed("write at the greatest offset", context, negative);
    negative.offset = -1;
    fact_performed("write at a negative offset", context, negative);
    flags.flags = 4;
    fact_performed("unknown flag", context, flags);
    flags.flags = 0x80000000u;
    fact_performed("unknown high flag", context, flags);
    struct iocb resfd = good_read(file);
    resfd.eventfd = -1;
    fact_performed("eventfd without its flag", context, resfd);
    struct iocb priority = good_read(file);
    priority.priority = 32767;
    fact_performed("priority without its flag", context, priority);
    struct iocb data = good_read(file);
    data.reserved = 1;
    data.descriptor = -1;
    fact_performed("reserved before the descriptor", context, data);
}

static void buffers(void) {
    io_context_t context = new_context(8);
    int file = new_file(O_RDWR, 16384, 1);
    void *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *addresses[] = {NULL, HIGH_ADDRESS, KERNEL_ADDRESS, (void *)8, readonly};
    const char *names[] = {"null", "last address", "kernel address", "first page", "read-only"};
    for (int index = 0; index < 5; index++) {
        char what[64];
        snprintf(what, sizeof what, "read to %s", names[index]);
        fact_performed(what, context, block(IOCB_CMD_PREAD, file, addresses[index], 16, 0));
        snprintf(what, sizeof what, "write from %s", names[index]);
        fact_performed(what, context, block(IOCB_CMD_PWRITE, file, addresses[index], 16, 0));
        snprintf(what, sizeof what, "read of nothing to %s", names[index]);
        fact_performed(what, context, block(IOCB_CMD_PREAD, file, addresses[index], 0, 0));
    }
    uint8_t *pages = aligned_memory(8192);
    munmap(pages + 4096, 4096);
    fact_performed("read to the end of its memory and on", context,
        block(IOCB_CMD_PREAD, file, pages + 4096 - 100, 200, 0));
    make_cold(file);
    fact_performed("cold read to a bad address", context, block(IOCB_CMD_PREAD, file, KERNEL_ADDRESS, 16, 4096));
}

static void full_context(void) {
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    // The kernel allocates more events than requested, and stores their number in the ring.
    io_context_t context = new_context(4);
    static struct iocb polls[4096];
    int accepted = 0;
    long result = 0;
    for (; accepted < 4096; accepted++) {
        polls[accepted] = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
        result = submit_one(context, &polls[accepted]);
        if (result != 1) { break; }
    }
    fact_result("refused with", result);
    fact_bool("at least what was asked for fits", accepted >= 4);
    fact_bool("not more than the ring holds", accepted < (int)((struct aio_ring *)context)->nr);
    struct iocb *several[] = {&polls[0], &polls[1]};
    fact_result("several", io_submit(context, 2, several));
    fact_result("nothing", io_submit(context, 0, several));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    int events = 0;
    while (events < accepted) {
        struct io_event event = next_event(context);
        events += (event.res & POLLIN) != 0;
    }
    fact_bool("all complete", events == accepted);
    fact_result("accepted again", submit_one(context, &polls[0]));
}

/// Events that are not taken count like operations in flight, so that none is ever lost.
static void events_not_taken_fill_the_context(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(4);
    struct iocb one = good_read(file);
    long accepted = 0, result = 0;
    while (accepted < 8192 && (result = submit_one(context, &one)) == 1) { accepted++; }
    fact_result("refused with", result);
    fact_bool("at least what was asked for fits", accepted >= 4);
    long taken = 0;
    while (taken < accepted) { taken += next_event(context).res == 16; }
    fact_result("left", event_count_now(context));
    fact_result("accepted again", submit_one(context, &one));
}

static void batch_larger_than_the_context(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(4);
    static struct iocb blocks[8192], *list[8192];
    for (int index = 0; index < 8192; index++) {
        blocks[index] = good_read(file);
        list[index] = &blocks[index];
    }
    long accepted = io_submit(context, 8192, list);
    fact_bool("a part of it is accepted", accepted >= 4 && accepted < 8192);
    for (long index = 0; index < accepted; index++) { next_event(context); }
    fact_result("left", event_count_now(context));
}

/// When io_submit returns, the caller may reuse the control block.
static void block_is_copied(void) {
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    int file = new_file(O_RDONLY, 1 << 20, 5);
    make_cold(file);
    io_context_t context = new_context(64);
    static uint8_t memory[32][4096];
    struct iocb one;
    for (int index = 0; index < 32; index++) {
        one = block(IOCB_CMD_PREAD, file, memory[index], 4096, index * 32768);
        one.data = (uint64_t)index;
        submit_one(context, &one);
        memset(&one, 0xff, sizeof one);
    }
    uint64_t seen = 0;
    bool isGood = true;
    for (int index = 0; index < 32; index++) {
        struct io_event event = next_event(context);
        seen |= 1ull << event.data;
        isGood &= event.res == 4096 && event.obj == (uint64_t)(uintptr_t)&one;
        isGood &= is_known(memory[event.data], 4096, event.data * 32768, 5);
    }
    fact_bool("each with its own data", seen == 0xffffffffu);
    fact_bool("results and content", isGood);
}

/// It may reuse the vector of a vectored operation, too.
static void vector_is_copied(void) {
    int file = new_file(O_RDONLY, 1 << 20, 5);
    make_cold(file);
    io_context_t context = new_context(64);
    static uint8_t memory[16][4096];
    struct { void *base; size_t size; } vector[2];
    for (int index = 0; index < 16; index++) {
        vector[0].base = memory[index];
        vector[1].base = memory[index] + 100;
        vector[0].size = 100;
        vector[1].size = 3996;
        struct iocb one = block(IOCB_CMD_PREADV, file, vector, 2, index * 65536);
        submit_one(context, &one);
        memset(vector, 0xff, sizeof vector);
    }
    bool isGood = true;
    for (int index = 0; index < 16; index++) { isGood &= next_event(context).res == 4096; }
    for (int index = 0; index < 16; index++) { isGood &= is_known(memory[index], 4096, (uint64_t)index * 65536, 5); }
    fact_bool("results and content", isGood);
}

static void same_block_many_times(void) {
    int file = new_file(O_RDONLY, 4096, 1);
    io_context_t context = new_context(16);
    struct iocb one = good_read(file), *list[] = {&one, &one, &one, &one};
    fact_result("submit", io_submit(context, 4, list));
    int good = 0;
    for (int index = 0; index < 4; index++) { good += next_event(context).res == 16; }
    fact_result("events", good);
}

/// How many contexts of the kernel's the process has.
static int kernel_contexts(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) { broken("maps"); }
    int count = 0;
    for (char line[512]; fgets(line, sizeof line, maps);) { count += strstr(line, "/[aio]") != NULL; }
    fclose(maps);
    return count;
}

/// A transfer that must not wait is refused by the kernel, which may be asked through a context of the library's.
static void refusals_leave_no_context(void) {
    int file = new_file(O_RDONLY, 4096, 1), writing = new_file(O_WRONLY, 4096, 1);
    io_context_t context = new_context(4);
    fact_result("read", perform(context, good_read(file)));
    struct iocb refused = good_read(writing);
    refused.rw_flags = 8; // RWF_NOWAIT
    fact_result("refused", submit_one(context, &refused));
    int before = kernel_contexts();
    for (int index = 0; index < 20; index++) { submit_one(context, &refused); }
    fact_result("contexts more", kernel_contexts() - before);
}

static const struct test_case cases[] = {
    {"refusals-leave-no-context", refusals_leave_no_context},
    {"counts", counts},
    {"counts-that-overflow", counts_that_overflow},
    {"contexts", contexts},
    {"arrays", arrays},
    {"arrays-for-the-kernel", arrays_for_the_kernel},
    {"blocks-at-bad-addresses", blocks_at_bad_addresses},
    {"blocks-on-pages-with-related-numbers", blocks_on_pages_with_related_numbers},
    {"block-across-the-end-of-its-memory", block_across_the_end_of_its_memory},
    {"block-that-cannot-be-written", block_that_cannot_be_written},
    {"misaligned-block", misaligned_block},
    {"key", key},
    {"refused-blocks-in-a-batch", refused_blocks_in_a_batch},
    {"opcodes", opcodes},
    {"descriptors", descriptors},
    {"wrongly-opened", wrongly_opened},
    {"fields", fields},
    {"buffers", buffers},
    {"full-context", full_context},
    {"events-not-taken-fill-the-context", events_not_taken_fill_the_context},
    {"batch-larger-than-the-context", batch_larger_than_the_context},
    {"block-is-copied", block_is_copied},
    {"vector-is-copied", vector_is_copied},
    {"same-block-many-times", same_block_many_times},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
