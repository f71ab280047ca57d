// The peers that split a file into lines.
#include "subjects.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

#include "turn.h"

/// `getline FILE`
void lines_by_getline(char **arguments) {
    FILE *file = fopen(arguments[0], "re");
    if (!file) err(1, "%s", arguments[0]);
    char *line = NULL;
    size_t room = 0;
    long count = 0, bytes = 0;
    turn_begin();
    for (ssize_t size; (size = getline(&line, &room, file)) >= 0; count++) bytes += size;
    turn_end(count);
    if (bytes == 0 || ferror(file)) err(1, "%s", arguments[0]);
}

/// `split FILE`: memchr over chunks of 256 KiB, without a copy of lines that lie in one chunk.
void lines_by_hand(char **arguments) {
    enum { CHUNK = 256 << 10 };
    int file = turn_open(arguments[0], O_RDONLY);
    char *memory = malloc(CHUNK);
    long count = 0, bytes = 0;
    size_t held = 0;
    if (!memory) err(1, "memory");
    turn_begin();
    for (ssize_t size; (size = read(file, memory + held, CHUNK - held)) != 0;) {
        if (size < 0) err(1, "read of %s", arguments[0]);
        char *line = memory, *end = memory + held + size, *stop;
        while ((stop = memchr(line, '\n', (size_t)(end - line)))) {
            bytes += stop - line;
            count++;
            line = stop + 1;
        }
        held = (size_t)(end - line);
        if (held == CHUNK) errx(1, "%s: a line is too long", arguments[0]);
        memmove(memory, line, held);
    }
    turn_end(count);
    if (bytes == 0) errx(1, "%s: no lines", arguments[0]);
}
