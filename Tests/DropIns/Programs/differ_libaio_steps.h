// Steps of the test of Linux AIO on threads and processes, the table of all steps, and the final report.
#pragma once

#include "differ_libaio_generate.h"

/// Reports the counters that operations signalled. A signal may still be pending after its event was taken.
static void tell_counters(const long *arguments) {
    (void)arguments;
    join_all(NULL);
    for (int counter = 0; counter < EVENT_COUNTERS; counter++) {
        if (counters[counter] < 0) { continue; }
        uint64_t expected = counted[counter] - counted_told[counter], sum = 0, value = 0;
        do {
            struct pollfd state = {counters[counter], POLLIN, 0};
            if (poll(&state, 1, sum < expected ? 2000 : 0) != 1) { break; }
            if (read(counters[counter], &value, 8) == 8) { sum += value; }
        } while (sum < expected);
        tell("counter %d: %lu for %lu", counter, sum, expected);
        counted_told[counter] = counted[counter];
    }
}

static void tell_end(void);

/// COUNT: a child runs the next steps; its parent's contexts are invalid there.
static void run_in_child(const long *arguments) {
    struct part part = next_part(arguments[0]);
    join_all(NULL);
    for (long index = 0; index < CONTEXTS; index++) { end_waiter(index); }
    pid_t process = fork();
    if (process < 0) { BROKEN("no process"); }
    if (process == 0) {
        speaker = "in a child: ";
        for (int index = 0; index < CONTEXTS; index++) { contexts[index].is_foreign = contexts[index].is_there; }
        for (int number = 0; number < operation_count; number++) { operations[number].text[0] = 0; }
        int first = operation_count;
        run_steps(part.first, part.end);
        join_all(NULL);
        for (int number = first; number < operation_count; number++) { tell_operation(number); }
        _exit(0);
    }
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    tell("the child ends with %#x: it", status);
    // What the child staged exists only in the child.
    current_step = part.end - 1;
}

const struct step_kind step_kinds[] = {
    {"operation", 8, stage},
    {"submit", 2, submit},
    {"submit-many", 2, submit_many},
    {"join", 0, join_all},
    {"setup", 2, setup},
    {"destroy", 1, destroy},
    {"cancel", 2, cancel},
    {"wait", 4, wait_for_events},
    {"wait-with-mask", 5, wait_with_mask},
    {"wait-for-signal", 2, wait_for_signal},
    {"waiter", 2, begin_waiter},
    {"queue", 2, run_queue},
    {"flags", 2, set_flags},
    {"close", 1, close_one},
    {"reopen", 1, reopen},
    {"replace", 2, replace},
    {"size", 2, set_size},
    {"seek", 2, seek},
    {"limit", 1, limit_files},
    {"feed", 2, feed_stream},
    {"take", 2, take_from_stream},
    {"add", 2, add_to_counter},
    {"counters", 0, tell_counters},
    {"thread", 1, run_in_thread},
    {"child", 1, run_in_child},
    {NULL, 0, NULL},
};

static void tell_end(void) {
    tell_counters(NULL);
    for (int number = 0; number < operation_count; number++) { tell_operation(number); }
    tell_files();
    tell_streams();
}

static void run_program(const struct program *program) {
    current = program;
    run_steps(0, program->count);
    staged_count = 0;
    tell_end();
    remove_files();
}

static void prepare_processes(void) {
    prepare_all();
    struct sigaction action = {.sa_handler = see_signal};
    sigaction(SIGUSR1, &action, NULL);
}

int main(int count, char **arguments) { return differ_main(count, arguments); }
