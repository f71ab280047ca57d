// Data integrity with many operations in flight: every byte is read from, and written to, the right place.
#include "libaio_cases.h"

#include <sys/uio.h>

enum { BLOCK = 4096, BLOCKS = 2048, DEPTH = 64, SIZE = BLOCK * BLOCKS };

static io_context_t context;
static uint8_t *memory;
static struct iocb slots[DEPTH];
static struct iovec vectors[DEPTH][4];

static uint64_t state = 88172645463325252u;
static uint64_t next_random(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

/// A transfer of one block, whole or split into four vectors.
static struct iocb transfer(int file, int slot, uint64_t number, bool isWrite, bool isVectored) {
    uint8_t *place = memory + (size_t)slot * BLOCK;
    struct iocb one;
    if (isVectored) {
        const size_t cuts[] = {0, 512, 1024, 3072, BLOCK};
        for (int index = 0; index < 4; index++) {
            vectors[slot][index] = (struct iovec){place + cuts[index], cuts[index + 1] - cuts[index]};
        }
        one = block(isWrite ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV, file, vectors[slot], 4, (int64_t)(number * BLOCK));
    } else {
        one = block(isWrite ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, file, place, BLOCK, (int64_t)(number * BLOCK));
    }
    one.data = number << 8 | (uint64_t)slot;
    return one;
}

/// Transfers every block once, in pseudorandom order, with DEPTH in flight. Returns how many were correct.
static int transfer_all(int file, bool isWrite, bool isVectored, uint64_t seed) {
    int good = 0, begun = 0, done = 0;
    static uint32_t order[BLOCKS];
    for (uint32_t index = 0; index < BLOCKS; index++) {
        uint32_t other = (uint32_t)(next_random() % (index + 1));
        order[index] = order[other];
        order[other] = index;
    }
    int free_slots[DEPTH], free_count = DEPTH;
    for (int index = 0; index < DEPTH; index++) { free_slots[index] = index; }
    while (done < BLOCKS) {
        struct iocb *list[DEPTH];
        int count = 0;
        while (free_count > 0 && begun < BLOCKS) {
            int slot = free_slots[--free_count];
            uint64_t number = order[begun++];
            uint8_t *place = memory + (size_t)slot * BLOCK;
            if (isWrite) { fill_known(place, BLOCK, number * BLOCK, seed); } else { memset(place, 0xcc, BLOCK); }
            slots[slot] = transfer(file, slot, number, isWrite, isVectored);
            list[count++] = &slots[slot];
        }
        for (int submitted = 0; submitted < count;) {
            int result = io_submit(context, count - submitted, list + submitted);
            if (result <= 0) { broken("io_submit"); }
            submitted += result;
        }
        struct io_event events[DEPTH];
        int events_count = io_getevents(context, 1, DEPTH, events, NULL);
        if (events_count < 1) { broken("io_getevents"); }
        for (int index = 0; index < events_count; index++, done++) {
            int slot = (int)(events[index].data & 0xff);
            uint64_t number = events[index].data >> 8;
            good += events[index].res == BLOCK && (isWrite || is_known(memory + (size_t)slot * BLOCK, BLOCK,
                number * BLOCK, seed));
            free_slots[free_count++] = slot;
        }
    }
    return good;
}

static bool holds(int file, uint64_t seed) {
    uint8_t *content = aligned_memory(SIZE);
    for (size_t done = 0; done < SIZE;) {
        ssize_t count = pread(file, content + done, SIZE - done, (off_t)done);
        if (count <= 0) { broken("pread"); }
        done += (size_t)count;
    }
    bool isGood = is_known(content, SIZE, 0, seed);
    munmap(content, SIZE);
    return isGood;
}

static void round_of(int flags, bool isVectored) {
    int file = new_file(O_RDWR | flags, SIZE, 1);
    context = new_context(DEPTH);
    memory = aligned_memory(DEPTH * BLOCK);
    make_cold(file);
    fact_result("cold reads", transfer_all(file, false, isVectored, 1));
    fact_result("cached reads", transfer_all(file, false, isVectored, 1));
    fact_result("writes", transfer_all(file, true, isVectored, 2));
    fact_bool("the file has it", holds(file, 2));
    make_cold(file);
    fact_result("read back cold", transfer_all(file, false, isVectored, 2));
    fact_result("end", io_destroy(context));
}

static void buffered(void) { round_of(0, false); }
static void buffered_vectored(void) { round_of(0, true); }
static void direct(void) { round_of(O_DIRECT, false); }
static void direct_vectored(void) { round_of(O_DIRECT, true); }
static void synchronous(void) { round_of(O_DSYNC, false); }

/// Large transfers, which a library may split: none is short in the middle of a file.
static void large(void) {
    enum { PART = 1 << 20, PARTS = 16 };
    int file = new_file(O_RDWR, PART * PARTS, 3);
    make_cold(file);
    context = new_context(PARTS);
    memory = aligned_memory(PART * PARTS);
    struct iocb reads[PARTS], *list[PARTS];
    for (int index = 0; index < PARTS; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory + index * PART, PART, index * PART);
        list[index] = &reads[index];
    }
    fact_result("submit", io_submit(context, PARTS, list));
    int whole = 0;
    for (int index = 0; index < PARTS; index++) { whole += next_event(context).res == PART; }
    fact_result("whole", whole);
    fact_bool("content", is_known(memory, PART * PARTS, 0, 3));
    fact_result("all in one", perform(context, block(IOCB_CMD_PREAD, file, memory, PART * PARTS, 0)));
    fill_known(memory, PART * PARTS, 0, 4);
    fact_result("written in one", perform(context, block(IOCB_CMD_PWRITE, file, memory, PART * PARTS, 0)));
    fact_bool("what was written", pread(file, memory, PART, PART) == PART && is_known(memory, PART, PART, 4));
}

/// Appends through one context, alternating between two descriptors of a file: each is written once, whole, and in
/// order.
static void append_to(int file, int other) {
    enum { COUNT = 64, PART = 1000 };
    context = new_context(COUNT);
    memory = aligned_memory(COUNT * PART);
    struct iocb writes[COUNT], *list[COUNT];
    for (int index = 0; index < COUNT; index++) {
        memset(memory + index * PART, index + 1, PART);
        writes[index] = block(IOCB_CMD_PWRITE, index % 2 ? other : file, memory + index * PART, PART, 0);
        list[index] = &writes[index];
    }
    fact_result("submit", io_submit(context, COUNT, list));
    int whole = 0;
    for (int index = 0; index < COUNT; index++) { whole += next_event(context).res == PART; }
    fact_result("whole", whole);
    uint64_t seen = 0;
    bool isInOrder = true, isWhole = true;
    for (int index = 0; index < COUNT; index++) {
        uint8_t part[PART];
        isWhole &= pread(file, part, PART, index * PART) == PART && is_filled(part, PART, part[0]);
        seen |= 1ull << (part[0] - 1);
        isInOrder &= part[0] == index + 1;
    }
    fact_bool("each whole", isWhole);
    fact_bool("each once", seen == UINT64_MAX);
    fact_bool("in the order of submission", isInOrder);
}

static void appends(void) {
    int file = new_file(O_RDWR | O_APPEND, 0, 1);
    append_to(file, file);
}

static void appends_to_two_open_files(void) {
    char path[64];
    int file = new_file(O_RDWR | O_APPEND, 0, 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    append_to(file, open(path, O_WRONLY | O_APPEND));
}

static const struct test_case cases[] = {
    {"buffered", buffered},
    {"buffered-vectored", buffered_vectored},
    {"direct", direct},
    {"direct-vectored", direct_vectored},
    {"synchronous", synchronous},
    {"large", large},
    {"appends", appends},
    {"appends-to-two-open-files", appends_to_two_open_files},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
