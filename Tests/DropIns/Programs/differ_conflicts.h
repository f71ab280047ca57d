// Which operations may be in flight together so that their outcome is determined. Linux AIO and POSIX AIO promise no
// order between operations on the same range of a file, so the test requires none.
#pragma once

#include "differ_streams.h"

enum access { READS, WRITES, APPENDS, SYNCS, WATCHES };

/// What an operation in flight accesses.
struct extent {
    /// Identifies the descriptor's kind.
    const struct kind_of_descriptor *what;
    enum access access;
    int64_t start, end;
    /// It reads up to, or writes beyond, the current end of the file.
    bool touches_end;
    bool is_direct;
};

static inline struct extent extent_of(long kind, enum access access, int64_t offset, uint64_t size) {
    struct extent extent = {&kinds[kind], access, offset, INT64_MAX, false, false};
    if (offset < 0) { extent.start = 0; }
    if (size < (uint64_t)(INT64_MAX - extent.start)) { extent.end = extent.start + (int64_t)size; }
    if (kinds[kind].backing == REGULAR) { extent.touches_end = extent.end > file_size(kinds[kind].index); }
    return extent;
}

/// Linux AIO executes appends within io_submit and thus in order, except direct ones, which may all be written at the
/// same offset. POSIX AIO orders only the operations of one descriptor.
static inline bool are_ordered(const struct extent *one, const struct extent *other) {
    if (one->access != APPENDS || other->access != APPENDS) { return false; }
    return IS_LINUX_AIO ? !one->is_direct && !other->is_direct : one->what == other->what;
}

static inline bool is_writing(const struct extent *one) { return one->access == WRITES || one->access == APPENDS; }

static inline bool conflict_in_file(const struct extent *one, const struct extent *other) {
    if (one->what->index != other->what->index || one->access == SYNCS || other->access == SYNCS) { return false; }
    if (!is_writing(one) && !is_writing(other)) { return false; }
    if (are_ordered(one, other)) { return false; }
    if (one->access == APPENDS || other->access == APPENDS) { return true; }
    if ((is_writing(one) && one->touches_end) || (is_writing(other) && other->touches_end)) { return true; }
    // Compares whole blocks, since a direct and a buffered transfer within one page are not ordered either.
    return one->start / 4096 <= other->end / 4096 && other->start / 4096 <= one->end / 4096;
}

/// Operations in one direction of a stream are ordered. Those in different directions are independent, except for a
/// watch.
static inline bool conflict_in_stream(const struct extent *one, const struct extent *other) {
    if (one->what->index != other->what->index) { return false; }
    if (one->access == WATCHES || other->access == WATCHES) { return one->access != other->access; }
    if (one->what == other->what) { return false; }
    // One end writes what the other reads.
    return one->access == WRITES ? other->access == READS : other->access == WRITES;
}

static inline bool in_conflict(const struct extent *one, const struct extent *other) {
    if (one->what->backing != other->what->backing) { return false; }
    switch (one->what->backing) {
    case REGULAR: return conflict_in_file(one, other);
    case STREAM: return conflict_in_stream(one, other);
    case COUNTER: return one->what == other->what;
    default: return false;
    }
}
