// What an operation in flight takes of a program's own memory.
#include "subjects.h"

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "ring.h"

static long resident(void) {
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) err(1, "/proc/self/statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/// `ring-memory COUNT`: polls of a pipe that stays empty, on a ring of that depth.
void ring_memory(char **arguments) {
    unsigned count = (unsigned)number_of(arguments[0]);
    int ends[2];
    struct ring ring;
    if (pipe(ends)) err(1, "pipe");
    long before = resident();
    ring_open(&ring, count);
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_sqe *entry = ring_entry(&ring);
        entry->opcode = IORING_OP_POLL_ADD;
        entry->fd = ends[0];
        entry->poll32_events = POLLIN;
    }
    ring_submit_and_wait(&ring, 0);
    printf("{\"operations\": %u, \"memory\": %ld}\n", count, resident() - before);
}
