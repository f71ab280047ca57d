// The ring behind a context is an interface of its own: programs read it without calling the library (fio with
// userspace_reap, QEMU), and advance it.
#include "libaio_cases.h"

#include <sys/eventfd.h>

static uint8_t bytes[65536];

static unsigned tail_of(struct aio_ring *ring) { return __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE); }
static void advance(struct aio_ring *ring) { __atomic_store_n(&ring->head, (ring->head + 1) % ring->nr,
    __ATOMIC_RELEASE); }

/// Takes one event as fio and QEMU do.
static struct io_event take(struct aio_ring *ring) {
    while (tail_of(ring) == ring->head) { sched_yield(); }
    struct io_event event = ring->events[ring->head];
    advance(ring);
    return event;
}

static void header(void) {
    const int sizes[] = {1, 8, 128, 1000};
    for (int index = 0; index < 4; index++) {
        struct aio_ring *ring = (struct aio_ring *)new_context(sizes[index]);
        char what[64];
        snprintf(what, sizeof what, "magic of %d", sizes[index]);
        fact(what, "%#x", ring->magic);
        snprintf(what, sizeof what, "features of %d", sizes[index]);
        fact(what, "%u, %u", ring->compat_features, ring->incompat_features);
        snprintf(what, sizeof what, "header length of %d", sizes[index]);
        fact(what, "%u", ring->header_length);
        snprintf(what, sizeof what, "head and tail of %d", sizes[index]);
        fact(what, "%u, %u", ring->head, ring->tail);
        snprintf(what, sizeof what, "room for more than %d", sizes[index]);
        fact_bool(what, ring->nr > (unsigned)sizes[index]);
        snprintf(what, sizeof what, "%d is at the beginning of a page", sizes[index]);
        fact_bool(what, (uintptr_t)ring % 4096 == 0);
    }
}

static void numbers_differ(void) {
    struct aio_ring *first = (struct aio_ring *)new_context(4), *second = (struct aio_ring *)new_context(4);
    fact_bool("two contexts", first->id != second->id);
}

/// Several rounds of the ring, with no call to the library except io_submit.
static void taken_without_calls(void) {
    int file = new_file(O_RDONLY, 65536, 3);
    io_context_t context = new_context(4);
    struct aio_ring *ring = (struct aio_ring *)context;
    unsigned rounds = ring->nr * 5 + 3, good = 0, accepted = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 64, round % 1000 * 64);
        read.data = round;
        accepted += submit_one(context, &read) == 1;
        struct io_event event = take(ring);
        good += event.data == round && event.res == 64 && event.obj == (uint64_t)(uintptr_t)&read && event.res2 == 0;
        good += is_known(bytes, 64, round % 1000 * 64, 3);
    }
    fact_bool("all accepted", accepted == rounds);
    fact_bool("all good", good == 2 * rounds);
    fact_bool("head and tail agree", ring->head == tail_of(ring));
    fact_result("nothing left", event_count_now(context));
}

/// Fills the ring, then empties it by hand, which makes room.
static void room_follows_from_the_head(void) {
    int file = new_file(O_RDONLY, 4096, 3);
    io_context_t context = new_context(4);
    struct aio_ring *ring = (struct aio_ring *)context;
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    bool isGood = true;
    for (int round = 0; round < 4; round++) {
        int accepted = 0;
        while (submit_one(context, &read) == 1) { accepted++; }
        isGood &= accepted >= 4;
        for (int index = 0; index < accepted; index++) { isGood &= take(ring).res == 16; }
    }
    fact_bool("accepted after each emptying", isGood);
    fact_result("nothing left", event_count_now(context));
}

static void calls_and_reading_mixed(void) {
    int file = new_file(O_RDONLY, 4096, 3);
    io_context_t context = new_context(8);
    struct aio_ring *ring = (struct aio_ring *)context;
    int good = 0;
    for (int round = 0; round < 1000; round++) {
        struct iocb reads[2], *list[] = {&reads[0], &reads[1]};
        for (int index = 0; index < 2; index++) {
            reads[index] = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
            reads[index].data = (uint64_t)index;
        }
        good += io_submit(context, 2, list) == 2;
        uint64_t seen = round % 2 ? take(ring).data : next_event(context).data;
        seen += 1 + (round % 3 ? take(ring).data : next_event(context).data);
        good += seen == 2;
    }
    fact_result("good", good);
    fact_result("nothing left", event_count_now(context));
}

/// As QEMU does it: the eventfd announces events, and the ring holds them.
static void eventfd_and_ring_alone(void) {
    int file = new_file(O_RDONLY, 1 << 20, 3), signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    make_cold(file);
    io_context_t context = new_context(32);
    struct aio_ring *ring = (struct aio_ring *)context;
    static uint8_t memory[16][4096];
    struct iocb reads[16];
    int good = 0, taken = 0;
    for (int index = 0; index < 16; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory[index], 4096, index * 65536);
        reads[index].flags = IOCB_FLAG_RESFD;
        reads[index].eventfd = signal;
        submit_one(context, &reads[index]);
    }
    while (taken < 16) {
        struct pollfd state = {signal, POLLIN, 0};
        poll(&state, 1, -1);
        uint64_t count = 0;
        if (eventfd_read(signal, &count) != 0) { continue; }
        // At least that many events must be in the ring by now.
        for (uint64_t index = 0; index < count && tail_of(ring) != ring->head; index++, taken++) {
            struct io_event event = ring->events[ring->head];
            good += event.res == 4096;
            advance(ring);
        }
    }
    fact_result("good", good);
    for (int index = 0; index < 16; index++) { good += is_known(memory[index], 4096, (uint64_t)index * 65536, 3); }
    fact_result("with content", good);
    fact_result("nothing left", event_count_now(context));
}

static void moved(void) {
    int file = new_file(O_RDONLY, 65536, 3), ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    io_context_t context = new_context(8);
    struct aio_ring *old = (struct aio_ring *)context;
    size_t size = (sizeof *old + old->nr * sizeof(struct io_event) + 4095) & ~4095ul;
    struct iocb poll = block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    fact_result("submit before", submit_one(context, &poll));
    void *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct aio_ring *ring = mremap(old, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    fact_bool("moved", ring == place);
    if (ring == MAP_FAILED) { return; }
    context = (io_context_t)ring;
    fact_performed("read through the new address", context, block(IOCB_CMD_PREAD, file, bytes, 4096, 8192));
    fact_bool("its content", is_known(bytes, 4096, 8192, 3));
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    fact_bool("what was in flight arrives", (take(ring).res & POLLIN) != 0);
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 100, 0);
    submit_one(context, &read);
    fact_result("read from the ring", take(ring).res);
    fact_result("old address, submit", submit_one((io_context_t)old, &read));
    fact_result("old address, end", io_destroy((io_context_t)old));
    fact_result("end", io_destroy(context));
    fact_result("end again", io_destroy(context));
}

/// The first call after the move is one with the old address, where nothing is any more.
static void old_address_of_a_moved_ring(const char *what, int opcode) {
    char text[64];
    int file = new_file(O_RDONLY, 65536, 3);
    struct aio_ring *old = (struct aio_ring *)new_context(8);
    size_t size = (sizeof *old + old->nr * sizeof(struct io_event) + 4095) & ~4095ul;
    fact_performed(what, (io_context_t)old, block(opcode, file, opcode == IOCB_CMD_PREAD ? bytes : NULL, 0, 0));
    void *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *ring = mremap(old, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (ring != place) { broken("mremap"); }
    snprintf(text, sizeof text, "%s, end of the old address", what);
    fact_result(text, io_destroy((io_context_t)old));
    snprintf(text, sizeof text, "%s, end of the new one", what);
    fact_result(text, io_destroy(ring));
}

static void moved_rings_end_at_their_new_address(void) {
    old_address_of_a_moved_ring("read", IOCB_CMD_PREAD);
    old_address_of_a_moved_ring("fsync", IOCB_CMD_FSYNC);
}

static void grown_or_copied_rings(void) {
    io_context_t context = new_context(8);
    struct aio_ring *ring = (struct aio_ring *)context;
    size_t size = (sizeof *ring + ring->nr * sizeof(struct io_event) + 4095) & ~4095ul;
    fact_bool("grow", mremap(ring, size, size * 2, MREMAP_MAYMOVE) != MAP_FAILED);
    fact_result("end", io_destroy(context));
}

/// Damage that a program does to the ring by mistake leads to odd results, not to a crash.
static void spoiled(void) {
    int file = new_file(O_RDONLY, 4096, 3);
    io_context_t context = new_context(8);
    struct aio_ring *ring = (struct aio_ring *)context;
    struct iocb read = block(IOCB_CMD_PREAD, file, bytes, 16, 0);
    submit_one(context, &read);
    ring->head = 0xfffffff0;
    struct io_event events[4];
    struct timespec soon = {0, 1000};
    io_getevents(context, 1, 4, events, &soon);
    submit_one(context, &read);
    ring->tail = 0xffffff00;
    io_getevents(context, 1, 4, events, &soon);
    submit_one(context, &read);
    ring->nr = 0;
    io_getevents(context, 1, 4, events, &soon);
    submit_one(context, &read);
    fact_result("end", io_destroy(context));
}

static void spoiled_number(void) {
    io_context_t context = new_context(8);
    struct aio_ring *ring = (struct aio_ring *)context;
    struct iocb read = block(IOCB_CMD_PREAD, 0, bytes, 0, 0);
    ring->id ^= 0x7fffffff;
    fact_result("submit", submit_one(context, &read));
    int result = io_destroy(context);
    fact_result("end", result);
    if (result == 0) { return; }
    ring->id ^= 0x7fffffff;
    fact_result("end once it is right again", io_destroy(context));
}

/// The library checks the magic before it trusts the ring; without it every call goes to the kernel.
static void without_its_magic(void) {
    int file = new_file(O_RDONLY, 4096, 3);
    io_context_t context = new_context(8);
    struct aio_ring *ring = (struct aio_ring *)context;
    ring->magic = 0;
    struct io_event event;
    struct timespec now = {0, 0};
    fact_result("none", io_getevents(context, 0, 1, &event, &now));
    fact_result("none, more than asked", io_getevents(context, 2, 1, &event, &now));
    fact_performed("read", context, block(IOCB_CMD_PREAD, file, bytes, 16, 0));
    fact_result("end", io_destroy(context));
}

static const struct test_case cases[] = {
    {"header", header},
    {"numbers-differ", numbers_differ},
    {"taken-without-calls", taken_without_calls},
    {"room-follows-from-the-head", room_follows_from_the_head},
    {"calls-and-reading-mixed", calls_and_reading_mixed},
    {"eventfd-and-ring-alone", eventfd_and_ring_alone},
    {"moved", moved},
    {"moved-rings-end-at-their-new-address", moved_rings_end_at_their_new_address},
    {"grown-or-copied-rings", grown_or_copied_rings},
    {"spoiled", spoiled},
    {"spoiled-number", spoiled_number},
    {"without-its-magic", without_its_magic},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
