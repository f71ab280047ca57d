// Transfers of the differential test, as far as both interfaces share them: memory, vectors, accessed ranges, and
// whether they would wait for ever.
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
    /// It has ended, and so have all that were in flight with it. Which end is observed first is undetermined, so
    /// nothing may depend on it.
    bool is_over;
    bool is_reading, is_writing;
    /// Its file was open for direct I/O when it was staged, so that the kernel executes it after the submission as
    /// well.
    bool is_direct;
    /// It has flags, a large size, or partly inaccessible memory.
    bool is_strange;
    /// A blocking write to a stream, for which a thread has to read.
    bool needs_drain;
    struct buffer buffer;
    struct extent extent;
    /// The bytes that a blocking read from a stream counts on.
    int64_t claim;
    int64_t result, second;
    /// The checksum of its memory at its end.
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

/// The memory for the next operation is still in use by an earlier one.
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

/// While reads are in flight, what they will leave cannot be predicted.
static inline bool reads_in_flight(long kind) {
    for (int number = 0; number < operation_count; number++) {
        const struct operation *one = &operations[number];
        if (is_pending(number) && one->state != STAGED && one->kind == kind && one->is_reading) { return true; }
    }
    return false;
}

/// A draining thread would affect how much this transfer writes or finds, or what a watch sees at its start.
static inline bool disturbs_drain(const struct operation *one, bool waits) {
    if (kinds[one->kind].backing != STREAM) { return false; }
    if (one->extent.access == WATCHES) {
        return far_ends[one->kind].isDrained || far_ends[other_end(one->kind)].isDrained;
    }
    return (one->is_writing && !waits && far_ends[other_end(one->kind)].isDrained)
        || (one->is_reading && far_ends[one->kind].isDrained);
}

/// Whether a transfer would wait for ever. A read of a blocking stream needs data that no other read has claimed; a
/// write gets a thread that reads its data.
static inline bool would_wait_forever(struct operation *one, bool waits) {
    long kind = one->kind;
    if (kinds[kind].backing != STREAM || !waits) { return false; }
    if (one->is_writing) {
        one->needs_drain = true;
        return false;
    }
    // The wrong end refuses reads.
    if (!one->is_reading || (fcntl(number_of(kind), F_GETFL) & O_ACCMODE) == O_WRONLY) { return false; }
    int64_t size = one->extent.end - one->extent.start, there = readable(kind) - far_ends[kind].claimed;
    if (there <= 0) { return !(far_ends[kind].claimed == 0 && is_ready(kind, POLLIN | POLLHUP)); }
    one->claim = size < there ? size : there;
    far_ends[kind].claimed += one->claim;
    return false;
}

/// Vectors over one buffer, with lengths that follow from `shape`.
static inline long make_vectors(struct iovec *vectors, long shape, const struct buffer *buffer, size_t size) {
    struct fuzz_random random = {(uint64_t)shape};
    long count = shape % 100 == 0 ? 1025 : shape % 31 == 0 ? 0 : 1 + shape % 7;
    size_t done = 0;
    for (long index = 0; index < count; index++) {
        size_t left = size - done, part = index == count - 1 ? left : below(&random, (unsigned)(left < 9000 ? left
            : 9000) + 1);
        // Direct I/O needs whole sectors.
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
    // The bytes after a short count, in the last sector of a direct read, are undefined.
    bool is_short = one->is_reading && kinds[one->kind].backing == REGULAR && one->buffer.compared && result >= 0
        && result < one->extent.end - one->extent.start && result <= (int64_t)one->buffer.compared_size - GUARD;
    if (is_short) { one->sum = checksum(one->buffer.address, (size_t)result); }
    far_ends[one->kind].claimed -= one->claim;
    one->claim = 0;
}

/// How much a non-blocking write can place there depends on timing.
static inline bool is_slow_stream(long kind) { return kinds[kind].index == TERMINAL || kinds[kind].index == TCP; }

/// How much of a blocking write to a stream is written before it meets inaccessible memory depends on the reader's
/// timing.
static inline bool is_cut_in_stream(const struct operation *one, bool waits, int place, bool has_vectors, long shape) {
    return kinds[one->kind].backing == STREAM && one->is_writing && waits
        && (place == ACROSS_END || place == AT_READ_ONLY || (has_vectors && (shape % 13 == 0 || shape % 17 == 0)));
}

static inline void tell_operation(int number) {
    const struct operation *one = &operations[number];
    if (one->state == REFUSED) {
        tell("%s: refused, memory %016lx", one->text, one->sum);
    } else if (one->state == ENDED && one->result == -EINVAL && one->is_direct && one->is_reading) {
        // For a range with an unaligned end, the extents before the last may have been read; their boundaries depend on
        // the file system.
        tell("%s: result -EINVAL, second %s", one->text, result_text(one->second));
    } else if (one->state == ENDED) {
        tell("%s: result %s, second %s, memory %016lx", one->text, result_text(one->result), result_text(one->second),
            one->sum);
    } else if (one->state == IN_FLIGHT) {
        tell("%s: never ended", one->text);
    }
}
