// libc, as far as the drop-in libraries need it: Embedded Swift has no module of it.

#ifndef DROP_INS_H
#define DROP_INS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process_ends.h"

#endif
