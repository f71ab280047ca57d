// The memory of the differential test's operations. Each has a slot, which is followed by inaccessible memory, and
// whose content before and after is compared by checksum.
#pragma once

#include "differ.h"

enum { SLOT = 64 << 10, SLOT_COUNT = 64, BIG_SLOT = 1 << 20, BIG_SLOT_COUNT = 32, BARRIER = 4096, GUARD = 64 };

static uint8_t *slots;
static uint8_t *big_slots;
static uint8_t *no_access;
static uint8_t *read_only;

static inline void make_memory(void) {
    const size_t small = (size_t)(SLOT + BARRIER) * SLOT_COUNT, big = (size_t)(BIG_SLOT + BARRIER) * BIG_SLOT_COUNT;
    slots = mmap(NULL, small, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    big_slots = mmap(NULL, big, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    no_access = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    read_only = mmap(NULL, BIG_SLOT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED || big_slots == MAP_FAILED || no_access == MAP_FAILED || read_only == MAP_FAILED) {
        BROKEN("no memory");
    }
    mprotect(read_only, 4096, PROT_READ);
    for (int index = 0; index < SLOT_COUNT; index++) {
        mprotect(slots + (size_t)index * (SLOT + BARRIER), SLOT, PROT_READ | PROT_WRITE);
    }
    for (int index = 0; index < BIG_SLOT_COUNT; index++) {
        mprotect(big_slots + (size_t)index * (BIG_SLOT + BARRIER), BIG_SLOT, PROT_READ | PROT_WRITE);
    }
}

/// Where a buffer is in its slot, or an invalid address.
enum place_kind {
    AT_START,
    /// Unaligned.
    AT_ODD,
    /// Aligned to sectors, not to pages.
    AT_SECTOR,
    /// Its last byte is the last accessible one.
    AT_END,
    /// Its second half is inaccessible.
    ACROSS_END,
    AT_NULL,
    AT_NO_ACCESS,
    AT_READ_ONLY,
    AT_KERNEL,
    PLACE_KINDS
};

struct buffer {
    void *address;
    /// The memory that is compared.
    uint8_t *compared;
    size_t compared_size;
};

/// A buffer of `size` bytes for the operation with this number, filled with bytes that depend on it.
static inline struct buffer make_buffer(int number, int kind, size_t size) {
    static int bigs;
    struct buffer buffer = {NULL, NULL, 0};
    switch (kind) {
    case AT_NULL: return buffer;
    case AT_NO_ACCESS: buffer.address = no_access; return buffer;
    case AT_READ_ONLY: buffer.address = read_only; return buffer;
    case AT_KERNEL: buffer.address = (void *)0xffff888000000000u; return buffer;
    default: break;
    }
    uint8_t *slot = slots + (size_t)(number % SLOT_COUNT) * (SLOT + BARRIER);
    size_t room = SLOT;
    if (size > SLOT - 2 * GUARD && size <= BIG_SLOT && bigs < BIG_SLOT_COUNT) {
        slot = big_slots + (size_t)bigs++ * (BIG_SLOT + BARRIER);
        room = BIG_SLOT;
    }
    size_t start = GUARD;
    switch (kind) {
    case AT_START: start = size + 4096 <= room ? 4096 : 0; break;
    case AT_ODD: start = 4096 + 13; break;
    case AT_SECTOR: start = 512; break;
    case AT_END: start = size < room ? room - size : 0; break;
    case ACROSS_END: start = size / 2 < room ? room - size / 2 : 0; break;
    default: break;
    }
    size_t filled = size < room - start ? size : room - start;
    size_t first = start > GUARD ? start - GUARD : 0;
    size_t last = start + filled + GUARD < room ? start + filled + GUARD : room;
    struct fuzz_random random = {(uint64_t)number * 77 + 1};
    for (size_t index = first; index < last; index += 8) {
        uint64_t word = random_number(&random);
        memcpy(slot + index, &word, last - index < 8 ? last - index : 8);
    }
    return (struct buffer){slot + start, slot + first, last - first};
}

static inline uint64_t buffer_checksum(const struct buffer *buffer) {
    return buffer->compared ? checksum(buffer->compared, buffer->compared_size) : 0;
}

static inline const char *place_name(int kind) {
    static const char *const names[] = {"", ", odd memory", ", sector memory", ", memory before none",
        ", memory into none", ", memory null", ", no memory", ", read-only memory", ", kernel memory"};
    return kind >= 0 && kind < PLACE_KINDS ? names[kind] : "";
}
