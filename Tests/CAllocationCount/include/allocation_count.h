#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

/// Allocations of this process so far, by any thread; -1 if they are not counted, under a sanitizer.
long allocation_count(void);

#endif
