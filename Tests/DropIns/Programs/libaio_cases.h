// What the cases for libaio share: filling control blocks, submitting them, and taking their events.
#pragma once

#include "aio_abi.h"
#include "cases.h"

/// Addresses that the kernel refuses with EFAULT, and on which a careless library crashes.
#define KERNEL_ADDRESS ((void *)0xffff888000000000u)
#define HIGH_ADDRESS ((void *)-1L)

static inline io_context_t new_context(int nr) {
    io_context_t context = NULL;
    int result = io_setup(nr, &context);
    if (result != 0) {
        errno = -result;
        broken("io_setup");
    }
    return context;
}

static inline struct iocb block(int opcode, int descriptor, void *buffer, size_t count, int64_t offset) {
    return (struct iocb){
        .opcode = (uint16_t)opcode,
        .descriptor = descriptor,
        .buffer = (uint64_t)(uintptr_t)buffer,
        .count = count,
        .offset = offset,
    };
}

static inline long submit_one(io_context_t context, struct iocb *one) { return io_submit(context, 1, &one); }

/// Waits for one event.
static inline struct io_event next_event(io_context_t context) {
    struct io_event event = {0};
    int count = io_getevents(context, 1, 1, &event, NULL);
    if (count != 1) {
        errno = count < 0 ? -count : EPROTO;
        broken("io_getevents");
    }
    return event;
}

/// Submits one block and waits. Returns its result, or the error of the submission.
static inline long perform(io_context_t context, struct iocb one) {
    long submitted = submit_one(context, &one);
    if (submitted != 1) { return submitted; }
    return next_event(context).res;
}

/// The same as a fact, which also says whether the submission or the event gave the result.
static inline void fact_performed(const char *what, io_context_t context, struct iocb one) {
    long submitted = submit_one(context, &one);
    if (submitted != 1) {
        fact(what, "refused with %s", result_name(submitted));
    } else {
        fact(what, "%s", result_name(next_event(context).res));
    }
}

/// The number of events that are there now.
static inline long event_count_now(io_context_t context) {
    struct io_event events[64];
    struct timespec now = {0, 0};
    return io_getevents(context, 0, 64, events, &now);
}
