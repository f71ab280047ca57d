// The hooks of Swift's concurrency runtime (swift/Runtime/Concurrency.h) for jobs that belong to no executor or to the
// main actor, and for the end of a program's main function.

#ifndef CONCURRENCY_HOOKS_H
#define CONCURRENCY_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

/// Whether the job was taken; otherwise the runtime's own executor gets it. `delay` is in nanoseconds; `is_main` says
/// that the job is one of the main actor's.
typedef bool (*ch_take_job)(void *job, uint64_t delay, bool is_main);

/// Asks `take` about every job for the global executor from now on: those of unstructured tasks and of actors, without
/// delay, and those of Task.sleep; and about those for the main actor. Returns false if the runtime in this program has
/// no hooks.
bool ch_install(ch_take_job take);

typedef int (*ch_main)(int count, char **arguments);

/// Calls the main function of a program. An asynchronous one runs up to its first suspension, and goes on as jobs of the
/// main actor: instead of waiting for those, this returns true. Returns false if the function has returned.
bool ch_begin_main(ch_main main, int count, char **arguments);

#endif
