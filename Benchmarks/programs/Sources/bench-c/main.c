// The peers in C: `bench-c SUBJECT ARGUMENT...` carries out one turn and prints its figures as a line of JSON.
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "subjects.h"

static const struct {
    const char *name;
    int arguments;
    void (*run)(char **arguments);
} subjects[] = {
    {"ring-nop", 2, ring_nop},        {"ring-read", 3, ring_read},      {"ring-write", 3, ring_write},
    {"pread", 2, plain_read},         {"pwrite", 2, plain_write},       {"read-file", 2, read_file},
    {"open", 2, open_and_close},      {"status", 2, status_of},         {"chunks", 2, read_in_chunks},
    {"getline", 1, lines_by_getline}, {"split", 1, lines_by_hand},      {"ring-memory", 1, ring_memory},
};

long number_of(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (*end || number < 1) errx(2, "%s is not a number of at least 1", text);
    return number;
}

int main(int count, char **arguments) {
    for (size_t i = 0; count > 1 && i < sizeof subjects / sizeof *subjects; i++) {
        if (strcmp(arguments[1], subjects[i].name)) continue;
        if (count - 2 < subjects[i].arguments) errx(2, "%s needs %d arguments", arguments[1], subjects[i].arguments);
        subjects[i].run(arguments + 2);
        return 0;
    }
    errx(2, "usage: bench-c SUBJECT ARGUMENT...; the subjects are in main.c");
}
