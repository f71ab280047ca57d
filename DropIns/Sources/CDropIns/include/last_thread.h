// The end of a process whose main thread has ended by pthread_exit(3): with the last thread of the program's.

#ifndef LAST_THREAD_H
#define LAST_THREAD_H

/// Swift's: whether nothing is in flight that the program may count on.
_Bool drop_in_has_nothing_in_flight(void);

/// The library is about to start threads of its own in this process. To be called by threads of the program's.
void drop_in_starts_threads(void);

/// What the names of the library's threads begin with, as in AIOCore's `ThreadName`.
#define DROP_IN_THREAD "aio-dropin"

#endif
