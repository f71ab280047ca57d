#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

/// The number of allocations of this process so far, by any thread; -1 under a sanitizer, where they are not counted.
long allocation_count(void);

#endif
