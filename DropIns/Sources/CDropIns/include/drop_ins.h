// libc, as far as the drop-in libraries need it: Embedded Swift has no module of it.

#ifndef DROP_INS_H
#define DROP_INS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/// free(3), under a name that Swift's methods do not hide.
static inline void di_free(void *memory) { free(memory); }

/// Processors that the system may have, online or not.
long di_configured_processors(void);

#endif
