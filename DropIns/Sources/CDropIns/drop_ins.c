#include "drop_ins.h"

#include <unistd.h>

long di_configured_processors(void) {
    long count = sysconf(_SC_NPROCESSORS_CONF);
    return count > 0 ? count : 1;
}
