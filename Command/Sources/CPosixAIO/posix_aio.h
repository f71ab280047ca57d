// glibc's POSIX AIO. Its functions moved from librt to libc in 2.34; librt is there, empty, ever since.
#include <aio.h>
