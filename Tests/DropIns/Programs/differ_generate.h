// What the random programs of both interfaces have in common.
#pragma once

#include "differ_file_steps.h"

/// The theme of a program: a few descriptors, and how unusual its operations are.
struct theme {
    long kinds[4];
    unsigned kind_count;
    /// One in so many operations is unusual in this respect.
    unsigned strange_flags, strange_memory, strange_sizes, strange_fields;
    bool has_threads;
};

static long any_kind(struct fuzz_random *random) {
    switch (below(random, 8)) {
    case 0: return FIRST_COUNTER + below(random, KINDS - FIRST_COUNTER);
    case 1:
    case 2:
    case 3: return FIRST_STREAM + below(random, FIRST_COUNTER - FIRST_STREAM);
    default: return below(random, FIRST_STREAM);
    }
}

static struct theme any_theme(struct fuzz_random *random) {
    struct theme theme = {.kind_count = 1 + below(random, 4)};
    for (unsigned index = 0; index < theme.kind_count; index++) { theme.kinds[index] = any_kind(random); }
    static const unsigned rarities[] = {3, 10, 10, 1000};
    theme.strange_flags = rarities[below(random, 4)];
    theme.strange_memory = rarities[1 + below(random, 3)];
    theme.strange_sizes = rarities[below(random, 4)];
    theme.strange_fields = rarities[1 + below(random, 3)];
    theme.has_threads = one_in(random, 4);
    return theme;
}

static long theme_kind(struct fuzz_random *random, const struct theme *theme) {
    return one_in(random, 20) ? any_kind(random) : theme->kinds[below(random, theme->kind_count)];
}

static long any_size(struct fuzz_random *random, const struct theme *theme) {
    static const long strange[] = {0, 1, 511, 513, 4095, 4097, 60000, 65536, 65537, 200000, 1 << 20, 1l << 31,
        (1l << 31) - 4096, 1l << 32, (1l << 32) + 512, INT64_MAX, -1, -512};
    if (one_in(random, theme->strange_sizes)) { return strange[below(random, sizeof strange / sizeof *strange)]; }
    switch (below(random, 4)) {
    case 0: return 1 + below(random, 5000);
    case 1: return 4096;
    default: return 512l * (1 + below(random, 32));
    }
}

static long any_offset(struct fuzz_random *random, const struct theme *theme) {
    static const long strange[] = {FILE_SIZE, FILE_SIZE - 1, FILE_SIZE + 1, FILE_SIZE - 513, 99840, 100352, 102400,
        1 << 20,
        -1, -4096, INT64_MIN, INT64_MAX, INT64_MAX - 4096, INT64_MAX - 4095, 1l << 40, 1l << 31, 1l << 32, 1l << 44,
        (1l << 44) - 4096};
    if (one_in(random, theme->strange_sizes)) { return strange[below(random, sizeof strange / sizeof *strange)]; }
    return one_in(random, 4) ? (long)below(random, FILE_SIZE + 8192) : 4096l * below(random, 26);
}

static void add_file_step(struct fuzz_random *random, const struct theme *theme, struct program *program) {
    static const long flags[] = {0, O_APPEND, O_DIRECT, O_NONBLOCK, O_APPEND | O_DIRECT, O_SYNC};
    static const long limits[] = {-1, FILE_SIZE, FILE_SIZE + 1000, 50000, 0};
    long kind = theme_kind(random, theme);
    switch (below(random, 16)) {
    case 0: add_step(program, "close", kind); break;
    case 1: add_step(program, "reopen", kind); break;
    case 2: add_step(program, "replace", kind, (long)below(random, FILE_KINDS)); break;
    case 3: add_step(program, "size", kind, any_offset(random, theme)); break;
    case 4: add_step(program, "seek", kind, any_offset(random, theme)); break;
    case 5: add_step(program, "limit", limits[below(random, 5)]); break;
    case 6:
    case 7:
    case 8: add_step(program, "feed", kind, (long)below(random, 20000)); break;
    case 9: add_step(program, "take", kind, (long)below(random, 20000)); break;
    case 10: add_step(program, "add", FIRST_COUNTER + (long)below(random, 2), 1 + (long)below(random, 5)); break;
    default: add_step(program, "flags", kind, flags[below(random, 6)]);
    }
}
