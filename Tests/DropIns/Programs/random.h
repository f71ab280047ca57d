// Seeded random numbers: the same seed gives the same numbers everywhere.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fuzz_random { uint64_t state; };

static inline uint64_t random_number(struct fuzz_random *random) {
    random->state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = random->state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

static inline unsigned below(struct fuzz_random *random, unsigned limit) {
    return (unsigned)(random_number(random) % limit);
}
static inline bool one_in(struct fuzz_random *random, unsigned count) { return below(random, count) == 0; }
