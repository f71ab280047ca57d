// Transfers of the differential test, as far as they are the same in both interfaces: their memory, their vectors, what
// they touch, and whether they would wait for ever.
#pragma once

#include "differ_conflicts.h"
#include "differ_memory.h"

#include <sys/uio.h>

#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x40
#endif
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

enum { MOST_OPERATIONS = 1000, MOST_STAGED_OPERATIONS = 800, MOST_VECTORS = 1030 };

enum operation_state { STAGED, REFUSED, IN_FLIGHT, ENDED };

struct operation {
    long kind;
    enum operation_state state;
    /// It has ended and so have all that were in flight with it. Whose end is seen first is not determined, and
    /// nothing may depend on it.
    bool is_over;
    bool is_reading, is_writing;
    /// Its file was open for direct I/O when it was staged: the kernel carries it out later as well.
    bool is_direct;
    /// With flags, of much, or of memory that is not all there.
    bool is_strange;
    /// A blocking write to a stream: somebody has to take what it writes.
    bool needs_drain;
    struct buffer buffer;
    struct extent extent;
    /// Of a blocking read from a stream.
    int64_t claim;
    int64_t result, second;
    /// Of its memory, when it ended.
    uint64_t sum;
    char text[256];
};

static struct operation operations[MOST_OPERATIONS];
static int operation_count;

static inline const char *flag_names(uint32_t flags) {
    static char text[128];
    static const char *const names[] = {"HIPRI", "DSYNC", "SYNC", "NOWAIT", "APPEND", "NOAPPEND", "ATOMIC", "DONTCACHE",
        "NOSIGNAL"};
    text[0] = 0;
    for (int bit = 0; bit < 32; bit++) {
        if (!(flags >> bit & 1)) { continue; }
        size_t length = strlen(text);
        if (bit < 9) {
            snprintf(text + length, sizeof text - length, " %s", names[bit]);
        } else {
            snprintf(text + length, sizeof text - length, " flag-%d", bit);
        }
    }
    return text;
}

static inline bool is_pending(int number) {
    const struct operation *one = &operations[number];
    return one->state != REFUSED && !one->is_over;
}

/// The memory for the next operation is still that of one before it.
static inline bool has_no_memory(void) {
    for (int number = operation_count - SLOT_COUNT; number >= 0; number -= SLOT_COUNT) {
        if (is_pending(number)) { return true; }
    }
    return false;
}

static inline bool conflicts_with_flights(const struct extent *extent) {
    if (has_no_memory()) { return true; }
    for (int index = 0; index < operation_count; index++) {
        const struct operation *one = &operations[index];
        if (!is_pending(index)) { continue; }
        if (in_conflict(&one->extent, extent)) { return true; }
    }
    return false;
}

/// How much is left to read once they have ended cannot be told before.
static inline bool reads_in_flight(long kind) {
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        if (is_pending(number) && one->state != STAGED && one->kind == kind && one->is_reading) { return true; }
    }
    return false;
}

/// A thread that takes what others write would change how much of this transfer finds room, or what it finds, or what a
/// watch sees when it begins.
static inline bool disturbs_drain(const struct operation *one, bool waits) {
    if (kinds[one->kind].backing != STREAM) { return false; }
    if (one->extent.access == WATCHES) {
        return far_ends[one->kind].isDrained || far_ends[other_end(one->kind)].isDrained;
    }
    return (one->is_writing && !waits && far_ends[other_end(one->kind)].isDrained)
        || (one->is_reading && far_ends[one->kind].isDrained);
}

/// Whether a transfer would wait with nobody to end it. A read of a blocking stream needs something to read that no
/// other has claimed; a write gets a thread that takes what it writes.
static inline bool would_wait_forever(struct operation *one, bool waits) {
    long kind = one->kind;
    if (kinds[kind].backing != STREAM || !waits) { return false; }
    if (one->is_writing) {
        one->needs_drain = true;
        return false;
    }
    // The wrong end refuses.
    if (!one->is_reading || (fcntl(number_of(kind), F_GETFL) & O_ACCMODE) == O_WRONLY) { return false; }
    int64_t size = one->extent.end - one->extent.start, there = readable(kind) - far_ends[kind].claimed;
    if (there <= 0) { return !(far_ends[kind].claimed == 0 && is_ready(kind, POLLIN | POLLHUP)); }
    one->claim = size < there ? size : there;
    far_ends[kind].claimed += one->claim;
    return false;
}

/// Vectors over one buffer, of lengths that `shape` says.
static inline long make_vectors(struct iovec *vectors, long shape, const struct buffer *buffer, size_t size) {
    struct fuzz_random random = {(uint64_t)shape};
    long count = shape % 100 == 0 ? 1025 : shape % 31 == 0 ? 0 : 1 + shape % 7;
    size_t done = 0;
    for (long index = 0; index < count; index++) {
        size_t left = size - done, part = index == count - 1 ? left : below(&random, (unsigned)(left < 9000 ? left
            : 9000) + 1);
        // Direct I/O wants whole sectors.
        if (shape % 2 == 0 && index < count - 1) { part &= ~511ul; }
        vectors[index] = (struct iovec){(uint8_t *)buffer->address + done, part};
        done += part;
    }
    if (count > 0 && shape % 13 == 0) { vectors[count / 2].iov_base = no_access; }
    if (count > 0 && shape % 17 == 0) { vectors[count - 1].iov_len = (size_t)-1; }
    return count;
}

static inline void end_operation(struct operation *one, enum operation_state state, int64_t result, int64_t second) {
    one->state = state;
    one->result = result;
    one->second = second;
    one->sum = buffer_checksum(&one->buffer);
    // What lies behind a short count, in the last sector of a direct read, is nobody's.
    bool is_short = one->is_reading && kinds[one->kind].backing == REGULAR && one->buffer.compared && result >= 0
        && result < one->extent.end - one->extent.start && result <= (int64_t)one->buffer.compared_size - GUARD;
    if (is_short) { one->sum = checksum(one->buffer.address, (size_t)result); }
    far_ends[one->kind].claimed -= one->claim;
    one->claim = 0;
}

/// How much finds room there, if nobody waits for it, is a matter of time.
static inline bool is_slow_stream(long kind) { return kinds[kind].index == TERMINAL || kinds[kind].index == TCP; }

/// How much of a blocking write to a stream finds its way before it comes to memory that is not there depends on who
/// takes what when.
static inline bool is_cut_in_stream(const struct operation *one, bool waits, int place, bool has_vectors, long shape) {
    return kinds[one->kind].backing == STREAM && one->is_writing && waits
        && (place == ACROSS_END || place == AT_READ_ONLY || (has_vectors && (shape % 13 == 0 || shape % 17 == 0)));
}

static inline void tell_operation(int number) {
    const struct operation *one = &operations[number];
    if (one->state == REFUSED) {
        tell("%s: refused, memory %016lx", one->text, one->sum);
    } else if (one->state == ENDED && one->result == -EINVAL && one->is_direct && one->is_reading) {
        // Of a range with an odd end, the extents before the last may have been read: where they end is the file system's
        // choice.
        tell("%s: result -EINVAL, second %s", one->text, result_text(one->second));
    } else if (one->state == ENDED) {
        tell("%s: result %s, second %s, memory %016lx", one->text, result_text(one->result), result_text(one->second),
            one->sum);
    } else if (one->state == IN_FLIGHT) {
        tell("%s: never ended", one->text);
    }
}
