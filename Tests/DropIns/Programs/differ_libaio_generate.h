// Random programs for the test of Linux AIO.
#pragma once

#include "differ_generate.h"

static long any_flags(struct fuzz_random *random, const struct theme *theme) {
    if (!one_in(random, theme->strange_flags)) { return 0; }
    if (one_in(random, 20)) { return 1l << below(random, 32); }
    long flags = 1l << below(random, 9);
    return one_in(random, 4) ? flags | 1l << below(random, 9) : flags;
}

static long any_opcode(struct fuzz_random *random, long kind) {
    if (one_in(random, 40)) { return below(random, 10); }
    if (one_in(random, 15)) { return one_in(random, 2) ? IOCB_CMD_FSYNC : IOCB_CMD_FDSYNC; }
    if (kinds[kind].backing != REGULAR && one_in(random, 6)) { return IOCB_CMD_POLL; }
    bool has_vectors = one_in(random, 3);
    if (kinds[kind].backing == STREAM && kinds[kind].index <= PIPE_NONBLOCK && !one_in(random, 10)) {
        return kinds[kind].end == 0 ? (has_vectors ? IOCB_CMD_PREADV : IOCB_CMD_PREAD)
            : (has_vectors ? IOCB_CMD_PWRITEV : IOCB_CMD_PWRITE);
    }
    if (one_in(random, 2)) { return has_vectors ? IOCB_CMD_PREADV : IOCB_CMD_PREAD; }
    return has_vectors ? IOCB_CMD_PWRITEV : IOCB_CMD_PWRITE;
}

/// Without POLLPRI: sockets wake its watchers with every byte, and the kernel's AIO trusts that. And without events
/// that cannot occur: the kernel refuses these on files without poll(2), while ours waits.
static const long watched[] = {POLLIN, POLLOUT, POLLIN | POLLOUT, POLLHUP, 0, POLLRDNORM, 1 << 16, -1};

static void add_operation(struct fuzz_random *random, const struct theme *theme, struct program *program) {
    long kind = theme_kind(random, theme), opcode = any_opcode(random, kind), size = any_size(random, theme);
    if (opcode == IOCB_CMD_POLL) { size = watched[below(random, sizeof watched / sizeof *watched)]; }
    bool is_direct = kinds[kind].flags & O_DIRECT;
    long place = one_in(random, theme->strange_memory) ? below(random, PLACE_KINDS)
        : is_direct ? (one_in(random, 8) ? AT_ODD : AT_START) : below(random, AT_END + 1);
    long extra = one_in(random, theme->strange_fields) ? below(random, 11) : one_in(random, 4) ? 1 + below(random, 2)
        : 0;
    long offset = any_offset(random, theme);
    // The kernel's AIO refuses an offset on streams other than pipes.
    if (kinds[kind].backing == STREAM && !one_in(random, 8)) { offset = 0; }
    // How much of a write to a stream is written before inaccessible memory depends on how the kernel splits it.
    if (kinds[kind].backing == STREAM && opcode != IOCB_CMD_POLL && size > 1000000) { size = 1000000; }
    // The kernel may lose the wake-up of a writer that waits for room in a terminal's line discipline.
    if (opcode != IOCB_CMD_POLL && kinds[kind].backing == STREAM && kinds[kind].index == TERMINAL) { size %= 4000; }
    if (is_direct && !one_in(random, 6)) {
        offset &= ~511l;
        size = size > 512 ? size & ~511l : 512;
    }
    add_step(program, "operation", kind, opcode, offset, size, any_flags(random, theme), place, extra,
        (long)below(random, 1000));
}

static long any_count(struct fuzz_random *random) {
    static const long strange[] = {-1, 0, 1, 1, 2, 3, 8, 64, 1000, INT64_MAX, INT64_MIN};
    return one_in(random, 3) ? strange[below(random, sizeof strange / sizeof *strange)] : (long)below(random, 8);
}

static long any_limit(struct fuzz_random *random) {
    // Limits that expire are rare, since they take time.
    return one_in(random, 30) ? MILLISECONDS : one_in(random, 2) ? (long)below(random, 3)
        : (long)(SECONDS + below(random, 3));
}

static void add_wait(struct fuzz_random *random, struct program *program, long context) {
    switch (below(random, 24)) {
    case 0: add_step(program, "wait-for-signal", context, (long)below(random, 2)); break;
    case 1:
    case 2:
        add_step(program, "wait-with-mask", context, any_count(random), any_count(random), any_limit(random),
            (long)below(random, 3));
        break;
    case 3: add_step(program, "queue", context, 1 + (long)below(random, 5)); break;
    case 4: add_step(program, "waiter", context, 1 + (long)below(random, 3)); break;
    case 5:
    case 6:
    case 7:
    case 8: add_step(program, "join"); break;
    default: add_step(program, "wait", context, any_count(random), any_count(random), any_limit(random));
    }
}

static void add_context_step(struct fuzz_random *random, const struct theme *theme, struct program *program) {
    static const long sizes[] = {-1, 0, 1, 2, 8, 63, 64, 65, 128, 500, 65536, 65537, 1 << 20, INT32_MAX, INT32_MIN};
    switch (below(random, 8)) {
    case 0: add_step(program, "destroy", (long)below(random, CONTEXTS)); break;
    case 1: add_step(program, "cancel", (long)below(random, CONTEXTS), (long)below(random, 4)); break;
    case 2: add_step(program, "submit-many", (long)below(random, CONTEXTS), (long)below(random, 50)); break;
    case 3:
        if (theme->has_threads) {
            add_step(program, one_in(random, 2) ? "child" : "thread", 1 + (long)below(random, 8));
        }
        break;
    case 5: add_step(program, "counters"); break;
    case 4: add_step(program, "cancel", 0l, (long)below(random, 3)); break;
    default:
        add_step(program, "setup", (long)below(random, CONTEXTS), sizes[below(random, sizeof sizes / sizeof *sizes)]);
    }
}

static void generate(struct fuzz_random *random, struct program *program) {
    struct theme theme = any_theme(random);
    int length = one_in(random, 20) ? 100 + (int)below(random, 200) : 5 + (int)below(random, 40);
    add_step(program, "setup", 0l, 1 + (long)below(random, 128));
    while (program->count < length) {
        long context = one_in(random, 8) ? (long)below(random, CONTEXTS) : 0;
        unsigned choice = below(random, 100);
        if (choice < 50) {
            add_operation(random, &theme, program);
            if (one_in(random, 2)) { add_step(program, "submit", context, (long)below(random, 2)); }
        } else if (choice < 58) {
            add_step(program, "submit", context, (long)below(random, 2));
        } else if (choice < 78) {
            add_wait(random, program, context);
        } else if (choice < 94) {
            add_file_step(random, &theme, program);
        } else {
            add_context_step(random, &theme, program);
        }
    }
}
