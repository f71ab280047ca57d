// Ends a process whose main thread has ended by pthread_exit(3), once the last thread of the program has ended.

#ifndef LAST_THREAD_H
#define LAST_THREAD_H

/// Implemented in Swift: whether nothing is in flight that the program may rely on.
_Bool drop_in_has_nothing_in_flight(void);

/// Announces that the library starts threads in this process. Called by threads of the program.
void drop_in_starts_threads(void);

/// The prefix of the names of the library's threads. The same as AIOCore's `ThreadName`.
#define DROP_IN_THREAD "aio-dropin"

#endif
