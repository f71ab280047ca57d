// The hooks of Swift's concurrency runtime for jobs that belong to no executor (swift/Runtime/Concurrency.h).

#ifndef CONCURRENCY_HOOKS_H
#define CONCURRENCY_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

/// Whether the job was taken; otherwise the runtime's own executor gets it. `delay` is in nanoseconds.
typedef bool (*ch_take_job)(void *job, uint64_t delay);

/// Asks `take` about every job for the global executor from now on: those of unstructured tasks and of actors, without
/// delay, and those of Task.sleep. Returns false if the runtime in this program has no hooks.
bool ch_install(ch_take_job take);

#endif
