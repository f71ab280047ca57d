// The peers that use a ring: no-operations, and transfers at a depth.
#include "subjects.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "turn.h"

/// `ring-nop DEPTH COUNT`: batches of no-operations, each of which is waited for.
void ring_nop(char **arguments) {
    unsigned depth = (unsigned)number_of(arguments[0]);
    long count = number_of(arguments[1]), done = 0;
    unsigned long sum = 0;
    struct ring ring;
    ring_open(&ring, depth);
    turn_begin();
    while (done < count) {
        for (unsigned i = 0; i < depth; i++) {
            struct io_uring_sqe *entry = ring_entry(&ring);
            entry->opcode = IORING_OP_NOP;
            entry->user_data = i;
        }
        ring_submit_and_wait(&ring, depth);
        struct io_uring_cqe *completion;
        while ((completion = ring_completion(&ring))) {
            if (completion->res < 0) errx(1, "nop: %s", strerror(-completion->res));
            sum += completion->user_data;
            done++;
        }
        ring_release(&ring);
    }
    turn_end(done);
    if (depth > 1 && sum == 0) errx(1, "no context came back");
}

/// `DEPTH` transfers of a block in flight until `count` are done, each at another place.
static void transfer(int opcode, int file, long blocks, unsigned depth, long count) {
    struct ring ring;
    ring_open(&ring, depth);
    char *memory = aligned_alloc(BLOCK, (size_t)depth * BLOCK);
    if (!memory) err(1, "memory");
    memset(memory, 7, (size_t)depth * BLOCK);
    long staged = 0, done = 0;
    turn_begin();
    for (; staged < depth && staged < count; staged++) {
        unsigned long slot = (unsigned long)staged;
        ring_stage_transfer(
            &ring, opcode, file, memory + slot * BLOCK, BLOCK, turn_block(staged, blocks) * BLOCK, slot);
    }
    while (done < count) {
        ring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *completion;
        while ((completion = ring_completion(&ring))) {
            unsigned long slot = completion->user_data;
            if (completion->res != BLOCK) errx(1, "a transfer of a block returned %d", completion->res);
            done++;
            if (staged == count) continue;
            ring_stage_transfer(
                &ring, opcode, file, memory + slot * BLOCK, BLOCK, turn_block(staged++, blocks) * BLOCK, slot);
        }
        ring_release(&ring);
    }
    turn_end(done);
}

/// `ring-read FILE DEPTH COUNT`
void ring_read(char **arguments) {
    int file = turn_open(arguments[0], O_RDONLY);
    long blocks = turn_blocks(file, arguments[0]);
    transfer(IORING_OP_READ, file, blocks, (unsigned)number_of(arguments[1]), number_of(arguments[2]));
}

/// `ring-write FILE DEPTH COUNT`
void ring_write(char **arguments) {
    int file = turn_open(arguments[0], O_WRONLY);
    long blocks = turn_blocks(file, arguments[0]);
    transfer(IORING_OP_WRITE, file, blocks, (unsigned)number_of(arguments[1]), number_of(arguments[2]));
}
