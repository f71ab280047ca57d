// The peers that make plain system calls on files.
#include "subjects.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "turn.h"

/// `pread FILE COUNT [timed]`: blocks one after another; timed, each for itself.
void plain_read(char **arguments) {
    static char block[BLOCK];
    int file = turn_open(arguments[0], O_RDONLY);
    long blocks = turn_blocks(file, arguments[0]), count = number_of(arguments[1]);
    int timed = arguments[2] && !strcmp(arguments[2], "timed");
    turn_begin();
    for (long i = 0; i < count; i++) {
        uint64_t start = timed ? turn_now() : 0;
        if (pread(file, block, BLOCK, turn_block(i, blocks) * BLOCK) != BLOCK) err(1, "pread of %s", arguments[0]);
        if (timed) turn_record(turn_now() - start);
    }
    turn_end(count);
}

/// `pwrite FILE COUNT`
void plain_write(char **arguments) {
    static char block[BLOCK] = {7};
    int file = turn_open(arguments[0], O_WRONLY);
    long blocks = turn_blocks(file, arguments[0]), count = number_of(arguments[1]);
    turn_begin();
    for (long i = 0; i < count; i++)
        if (pwrite(file, block, BLOCK, turn_block(i, blocks) * BLOCK) != BLOCK) err(1, "pwrite of %s", arguments[0]);
    turn_end(count);
}

/// `read-file FILE COUNT`: opens a file, reads all of it into memory of its size, closes it.
void read_file(char **arguments) {
    long count = number_of(arguments[1]);
    turn_begin();
    for (long i = 0; i < count; i++) {
        int file = turn_open(arguments[0], O_RDONLY);
        struct stat status;
        if (fstat(file, &status)) err(1, "%s", arguments[0]);
        char *memory = malloc((size_t)status.st_size);
        if (!memory || read(file, memory, (size_t)status.st_size) != status.st_size) err(1, "read of %s", arguments[0]);
        free(memory);
        close(file);
    }
    turn_end(count);
}

/// `open FILE COUNT`: opens and closes a file.
void open_and_close(char **arguments) {
    long count = number_of(arguments[1]);
    turn_begin();
    for (long i = 0; i < count; i++) close(turn_open(arguments[0], O_RDONLY));
    turn_end(count);
}

/// `status FILE COUNT`
void status_of(char **arguments) {
    long count = number_of(arguments[1]);
    struct statx status;
    turn_begin();
    for (long i = 0; i < count; i++)
        if (statx(AT_FDCWD, arguments[0], 0, STATX_BASIC_STATS | STATX_BTIME, &status)) err(1, "%s", arguments[0]);
    turn_end(count);
}

/// `chunks FILE SIZE`: reads a file from the beginning to the end, a page's first byte of all of which is looked at.
void read_in_chunks(char **arguments) {
    long size = number_of(arguments[1]), operations = 0;
    int file = turn_open(arguments[0], O_RDONLY);
    char *memory = malloc((size_t)size);
    unsigned long sum = 0;
    if (!memory) err(1, "memory");
    turn_begin();
    for (ssize_t count; (count = read(file, memory, (size_t)size)) != 0; operations += count) {
        if (count < 0) err(1, "read of %s", arguments[0]);
        for (ssize_t i = 0; i < count; i += BLOCK) sum += (unsigned char)memory[i];
    }
    turn_end(operations >> 20);
    if (sum == 0) errx(1, "%s: nothing but zeros", arguments[0]);
}
