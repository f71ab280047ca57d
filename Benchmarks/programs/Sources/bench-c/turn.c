#include "turn.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

// Latencies by their highest bits: 32 steps for each power of two, so at most 3 % too low.
enum { STEPS = 32, SLOTS = 64 * STEPS };
static long slots[SLOTS];
static long recorded;

static uint64_t begun;
static double processor_begun;

uint64_t turn_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// The processor time of all threads, those of the kernel's workers for a ring included, in seconds.
static double processor(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

void turn_begin(void) {
    processor_begun = processor();
    begun = turn_now();
}

void turn_record(uint64_t latency) {
    uint64_t value = latency | STEPS;
    int power = 63 - __builtin_clzll(value);
    slots[power * STEPS + (int)((value >> (power - 5)) & (STEPS - 1))]++;
    recorded++;
}

/// The latency that the share of all operations does not exceed, in microseconds.
static double latency(double share) {
    long left = (long)((double)recorded * share);
    for (int slot = 0; slot < SLOTS; slot++) {
        left -= slots[slot];
        if (left < 0) return (double)((uint64_t)(STEPS + slot % STEPS) << (slot / STEPS) >> 5) * 1e-3;
    }
    return 0;
}

void turn_end(long operations) {
    double seconds = (double)(turn_now() - begun) * 1e-9, used = processor() - processor_begun;
    printf("{\"operations\": %ld, \"seconds\": %.9f, \"processor\": %.6f", operations, seconds, used);
    if (recorded > 0) {
        printf(", \"p50\": %.3f, \"p99\": %.3f", latency(0.5), latency(0.99));
        printf(", \"p99.9\": %.3f", latency(0.999));
    }
    printf("}\n");
}

int turn_open(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0644);
    if (file < 0) err(1, "%s", path);
    return file;
}

long turn_blocks(int file, const char *path) {
    struct stat status;
    if (fstat(file, &status)) err(1, "%s", path);
    long blocks = status.st_size / BLOCK;
    if (blocks < 1 || (blocks & (blocks - 1))) errx(1, "%s: its number of blocks is not a power of two", path);
    return blocks;
}
