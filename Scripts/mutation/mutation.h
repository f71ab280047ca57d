// The switch of the mutants. Scripts/mutate adds this header to CKernel in its copy of the tree.
//
// MUTANT is the number of the mutant that is on. MUTANT_MAP names a file in which each place that is reached sets its
// byte. The names do not begin with AIO_, because the tests of the drop-ins keep such variables from their programs.

#ifndef CK_MUTATION_H
#define CK_MUTATION_H

#include "system_call.h"
#include <asm/unistd.h>

#define CK_MUTATION_UNKNOWN (-1)

// One of each in every object file, which costs an object file one look at the environment.
static int ck_mutation_chosen = CK_MUTATION_UNKNOWN;
static unsigned char *ck_mutation_map = 0;

static inline const char *ck_mutation_setting(const char *name) {
    extern char **environ;
    for (char **entry = environ; entry && *entry; entry++) {
        const char *text = *entry;
        const char *wanted = name;
        while (*wanted && *text == *wanted) text++, wanted++;
        if (!*wanted && *text == '=') return text + 1;
    }
    return 0;
}

static inline void ck_mutation_begin(void) {
    int chosen = 0;
    const char *number = ck_mutation_setting("MUTANT");
    while (number && *number >= '0' && *number <= '9') chosen = chosen * 10 + (*number++ - '0');
    const char *path = ck_mutation_setting("MUTANT_MAP");
    if (path) {
        // AT_FDCWD; O_RDWR | O_CLOEXEC.
        long file = ck_system_call_6(__NR_openat, -100, (long)path, 02000002, 0, 0, 0);
        // PROT_READ | PROT_WRITE; MAP_SHARED. All operators together find fewer places than there are bytes.
        long map = file < 0 ? file : ck_system_call_6(__NR_mmap, 0, MUTATION_MAP_BYTES, 3, 1, file, 0);
        if (file >= 0) ck_system_call_6(__NR_close, file, 0, 0, 0, 0, 0);
        if (map > 0) ck_mutation_map = (unsigned char *)map;
    }
    // Release: a thread that sees the number sees the map. Two threads that both come here find the same.
    __atomic_store_n(&ck_mutation_chosen, chosen, __ATOMIC_RELEASE);
}

/// Whether the mutant of this number is on.
static inline _Bool ck_mutant(int number) {
    // Acquire: see above.
    int chosen = __atomic_load_n(&ck_mutation_chosen, __ATOMIC_ACQUIRE);
    if (chosen == CK_MUTATION_UNKNOWN) {
        ck_mutation_begin();
        chosen = ck_mutation_chosen;
    }
    if (ck_mutation_map) ck_mutation_map[number] = 1;
    return chosen == number;
}

#endif
