// Intended differences, each with its reason. A line of a transcript is `what: result`; the patterns are those of
// fnmatch(3). After an allowed difference that `ends` the comparison, the rest of the transcript is not compared.
//
// Differences that are allowed because of how a program is run, and not because of a line's content (counts of events,
// masks of watches), are marked "Allowed difference" in the interpreters.
#pragma once

#include <fnmatch.h>
#include <stdbool.h>
#include <stddef.h>

struct allowed {
    /// The interpreter's name.
    const char *program;
    const char *what, *system, *ours;
    bool ends;
    const char *reason;
};

static const char has_plain_calls[] =
    "Linux AIO refuses files whose driver has the plain calls alone; that they work, or fail as in read(2), is no harm";
static const char has_two_queues[] = "the kernel's watch knows one wait queue, and refuses drivers that have two";
static const char has_no_poll[]
    = "the kernel refuses to watch for what a file without poll(2) never is; ours waits for it";
static const char asks_for_nothing[] = "preadv2(2) of no bytes does not ask the driver";
static const char is_cut_first[]
    = "the kernel looks whether memory of the whole size could be there, before it cuts a size to 2 GiB";
static const char tells_of_writes[] =
    "POSIX: if an operation that aio_fsync waits for fails, it says so itself; libc has forgotten it by then";
static const char looks_later[] = "a watch says what is so when it is looked at, which with ours is a little later";
static const char may_have_to_wait[] =
    "whether a transfer of a file has to wait depends on locks and pages of that moment; so does the kernel's answer";
static const char can_be_cancelled[] =
    "the kernel has carried it out when the submission returns; ours has not, and a cancel takes back the whole of it";
static const char comes_when_it_comes[] =
    "what is written to a terminal is passed on by a thread of the kernel's: a read gets what has come by then";
static const char ends_at_a_signal[] = "a read of /dev/zero ends early when its thread has something else to do";

static const struct allowed allowed[] = {
    {"*", "*terminal*, read* of *", "result [!-]*", "result [!-]*", true, comes_when_it_comes},
    {"*", "*again: terminal*, read* of *", "0, [!-]*", "0, [!-]*", true, comes_when_it_comes},
    {"*", "*terminal* at the end", "*", "*", true, comes_when_it_comes},
    {"*", "*take: terminal*", "*", "*", true, comes_when_it_comes},
    {"*", "*/dev/zero, read* of *", "result [!-]*", "result [!-]*", false, ends_at_a_signal},
    {"differ_libaio", "*submit*", "-EINVAL, not eventfd*write*", "[!-]*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not /dev/full*write*", "[!-]*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not epoll*", "[!-]*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not timer, write*", "[!-]*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not *, kernel memory*", "-EFAULT*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not * of 9223372036854775807 *", "-EFAULT*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not folder*", "[!-]*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "-EINVAL, not /proc/self/comm*", "[!-]*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "[!-]*, not eventfd*write*", "*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "[!-]*, not /dev/full*write*", "*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "[!-]*, not epoll*", "*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "[!-]*, not timer, write*", "*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "[!-]*, not folder*", "*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "[!-]*, not /proc/self/comm*", "*", true, has_plain_calls},
    {"differ_libaio", "*submit*", "*, not terminal*poll*", "*", true, has_two_queues},
    {"differ_libaio", "*submit*", "-EINVAL, not /dev/*poll*", "[!-]*", true, has_no_poll},
    {"differ_libaio", "*submit*", "[!-]*, not /dev/*poll*", "*", true, has_no_poll},
    {"differ_posixaio", "* of 9223372036854775* *", "*EFAULT*", "*", true, is_cut_first},
    {"differ_posixaio", "* of -* *", "*EFAULT*", "*", true, is_cut_first},
    {"differ_posixaio", "*, f*sync of *", "result 0*", "result -*", true, tells_of_writes},
    {"differ_posixaio", "*again: *, f*sync of *", "0, 0", "*", true, tells_of_writes},
    {"differ_libaio", "*, poll of *", "result [!-]*", "result [!-]*", false, looks_later},
    {"differ_libaio", "*file*, * NOWAIT*", "result *", "result -EAGAIN*", true, may_have_to_wait},
    {"differ_libaio", "*file*, * NOWAIT*", "result -EAGAIN*", "result *", true, may_have_to_wait},
    {"differ_posixaio", "eventfd*, write of 0 *", "result -EINVAL*", "result 0*", false, asks_for_nothing},
    {"differ_libaio", "*timer, read* of *", "result -EINVAL*", "result 0*", false, asks_for_nothing},
    {"differ_libaio", "*eventfd*, read* of *", "result -EINVAL*", "result 0*", false, asks_for_nothing},
    {"differ_libaio", "*cancel of * read*", "-EINVAL*", "-EINPROGRESS*", true, can_be_cancelled},
    {"differ_libaio", "*cancel of * write*", "-EINVAL*", "-EINPROGRESS*", true, can_be_cancelled},
    {"differ_libaio", "*cancel of * f*sync*", "-EINVAL*", "-EINPROGRESS*", true, can_be_cancelled},
};

// Known faults of ours, which would otherwise hide new ones. An entry is removed when its fault is fixed. There are
// none.
static const struct allowed left[] = {
    {NULL},
};

static bool matches(const struct allowed *one, const char *program, const char *what, const char *system,
    const char *ours) {
    return fnmatch(one->program, program, 0) == 0 && fnmatch(one->what, what, 0) == 0
        && fnmatch(one->system, system, 0) == 0 && fnmatch(one->ours, ours, 0) == 0;
}

static const struct allowed *find_left(const char *program, const char *what, const char *system, const char *ours) {
    for (const struct allowed *one = left; one->program; one++) {
        if (matches(one, program, what, system, ours)) { return one; }
    }
    return NULL;
}

static const struct allowed *find_allowed(const char *program, const char *what, const char *system, const char *ours) {
    for (size_t index = 0; index < sizeof allowed / sizeof *allowed; index++) {
        if (matches(&allowed[index], program, what, system, ours)) { return &allowed[index]; }
    }
    return NULL;
}
