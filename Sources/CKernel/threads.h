// Threads, locks and clocks: libc's, since those are not system calls alone.

#ifndef CK_THREADS_H
#define CK_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

static const int32_t CK_PR_SET_PDEATHSIG = 1;
static const int32_t CK_PR_SET_NAME = 15;
static const int32_t CK_PR_GET_NO_NEW_PRIVS = 39;

#endif
