// The operations on files: results, ends of files, flags, priorities and eventfds.
#include "libaio_cases.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static io_context_t context;
static uint8_t *memory;

static void begin(void) {
    context = new_context(64);
    memory = aligned_memory(1 << 20);
}

static void reads(void) {
    begin();
    int file = new_file(O_RDONLY, 10000, 1);
    fact_performed("whole", context, block(IOCB_CMD_PREAD, file, memory, 4096, 0));
    fact_bool("content", is_known(memory, 4096, 0, 1));
    fact_performed("odd offset", context, block(IOCB_CMD_PREAD, file, memory, 1000, 4097));
    fact_bool("its content", is_known(memory, 1000, 4097, 1));
    memset(memory, 0xee, 65536);
    fact_performed("across the end", context, block(IOCB_CMD_PREAD, file, memory, 4096, 8192));
    fact_bool("content up to the end", is_known(memory, 1808, 8192, 1));
    fact_bool("nothing after it", is_filled(memory + 1808, 4096, 0xee));
    fact_performed("at the end", context, block(IOCB_CMD_PREAD, file, memory, 4096, 10000));
    fact_performed("past the end", context, block(IOCB_CMD_PREAD, file, memory, 4096, 1 << 20));
    fact_performed("far past the end", context, block(IOCB_CMD_PREAD, file, memory, 4096, 1L << 60));
    fact_performed("nothing", context, block(IOCB_CMD_PREAD, file, memory, 0, 0));
    fact_performed("all at once", context, block(IOCB_CMD_PREAD, file, memory, 1 << 20, 0));
    make_cold(file);
    fact_performed("cold", context, block(IOCB_CMD_PREAD, file, memory, 1 << 20, 0));
    fact_bool("cold content", is_known(memory, 10000, 0, 1));
    fact_result("the file's position is left alone", lseek(file, 0, SEEK_CUR));
}

/// A range that is partly in the page cache is read as a whole.
static void partly_cached(void) {
    begin();
    int file = new_file(O_RDONLY, 65536, 1);
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    const int cached[] = {0, 4, 15};
    for (int index = 0; index < 3; index++) {
        char what[64];
        make_cold(file);
        if (pread(file, memory, 4096, cached[index] * 4096) != 4096) { broken("pread"); }
        memset(memory, 0, 65536);
        snprintf(what, sizeof what, "page %d is there", cached[index]);
        fact_performed(what, context, block(IOCB_CMD_PREAD, file, memory, 65536, 0));
        snprintf(what, sizeof what, "content with page %d", cached[index]);
        fact_bool(what, is_known(memory, 65536, 0, 1));
        make_cold(file);
        if (pread(file, memory, 4096, cached[index] * 4096) != 4096) { broken("pread"); }
        struct iovec parts[] = {{memory, 1000}, {memory + 1000, 65536 - 1000}};
        snprintf(what, sizeof what, "vectored, page %d is there", cached[index]);
        fact_performed(what, context, block(IOCB_CMD_PREADV, file, parts, 2, 0));
    }
}

static void writes(void) {
    begin();
    int file = new_file(O_RDWR, 4096, 1);
    fill_known(memory, 8192, 0, 2);
    fact_performed("over", context, block(IOCB_CMD_PWRITE, file, memory, 1000, 0));
    fact_performed("across the end", context, block(IOCB_CMD_PWRITE, file, memory + 4000, 1000, 4000));
    fact_performed("leaving a hole", context, block(IOCB_CMD_PWRITE, file, memory, 10, 100000));
    fact_performed("nothing", context, block(IOCB_CMD_PWRITE, file, memory, 0, 1 << 20));
    struct stat state;
    fstat(file, &state);
    fact_result("size", state.st_size);
    fact_result("read back", pread(file, memory + 65536, 5000, 0));
    fact_bool("first part", is_known(memory + 65536, 1000, 0, 2));
    fact_bool("left alone", is_known(memory + 65536 + 1000, 3000, 1000, 1));
    fact_bool("last part", is_known(memory + 65536 + 4000, 1000, 4000, 2));
    fact_result("the file's position is left alone", lseek(file, 0, SEEK_CUR));
}

static void appends(void) {
    begin();
    int file = new_file(O_RDWR | O_APPEND, 100, 1);
    memset(memory, 7, 100);
    fact_performed("offset is not used", context, block(IOCB_CMD_PWRITE, file, memory, 50, 0));
    struct stat state;
    fstat(file, &state);
    fact_result("size", state.st_size);
    pread(file, memory + 4096, 150, 0);
    fact_bool("at the end", is_filled(memory + 4096 + 100, 50, 7));
}

static void vectors(void) {
    begin();
    int file = new_file(O_RDWR, 65536, 1);
    static struct iovec vector[1026];
    for (int index = 0; index < 1026; index++) { vector[index] = (struct iovec){memory + 16 * index, 16}; }
    const int counts[] = {0, 1, 8, 9, 1024};
    for (int index = 0; index < 5; index++) {
        char what[64];
        memset(memory, 0, 65536);
        snprintf(what, sizeof what, "read into %d", counts[index]);
        fact_performed(what, context, block(IOCB_CMD_PREADV, file, vector, (size_t)counts[index], 0));
        snprintf(what, sizeof what, "content of %d", counts[index]);
        fact_bool(what, is_known(memory, 16 * (size_t)counts[index], 0, 1));
        snprintf(what, sizeof what, "write of %d", counts[index]);
        fact_performed(what, context, block(IOCB_CMD_PWRITEV, file, vector, (size_t)counts[index], 0));
    }
    fact_performed("read into 1025", context, block(IOCB_CMD_PREADV, file, vector, 1025, 0));
    fact_performed("write of 1025", context, block(IOCB_CMD_PWRITEV, file, vector, 1025, 0));
    fact_performed("read into 2^32", context, block(IOCB_CMD_PREADV, file, vector, 1ul << 32, 0));
    fact_performed("read into 2^62", context, block(IOCB_CMD_PREADV, file, vector, 1ul << 62, 0));
    fact_performed("read across the end", context, block(IOCB_CMD_PREADV, file, vector, 10, 65536 - 40));
}

static void bad_vectors(void) {
    begin();
    int file = new_file(O_RDWR, 65536, 1);
    fact_performed("null", context, block(IOCB_CMD_PREADV, file, NULL, 1, 0));
    fact_performed("null, none", context, block(IOCB_CMD_PREADV, file, NULL, 0, 0));
    fact_performed("last address", context, block(IOCB_CMD_PREADV, file, HIGH_ADDRESS, 1, 0));
    fact_performed("kernel address", context, block(IOCB_CMD_PWRITEV, file, KERNEL_ADDRESS, 2, 0));
    struct iovec null[] = {{memory, 16}, {NULL, 16}, {memory, 16}};
    struct iovec kernel[] = {{memory, 16}, {KERNEL_ADDRESS, 16}};
    struct iovec first[] = {{(void *)8, 16}, {memory, 16}};
    struct iovec huge[] = {{memory, 16}, {memory, (size_t)-1}};
    struct iovec overflowing[] = {{memory, INT64_MAX}, {memory, INT64_MAX}};
    struct iovec empty[] = {{memory, 0}, {NULL, 0}, {memory, 16}, {HIGH_ADDRESS, 0}};
    fact_performed("null buffer in it", context, block(IOCB_CMD_PREADV, file, null, 3, 0));
    fact_performed("kernel buffer in it", context, block(IOCB_CMD_PREADV, file, kernel, 2, 0));
    fact_performed("bad buffer first", context, block(IOCB_CMD_PREADV, file, first, 2, 0));
    fact_performed("bad buffer first, write", context, block(IOCB_CMD_PWRITEV, file, first, 2, 0));
    fact_performed("negative length", context, block(IOCB_CMD_PREADV, file, huge, 2, 0));
    fact_performed("lengths that overflow", context, block(IOCB_CMD_PREADV, file, overflowing, 2, 0));
    fact_performed("empty ones", context, block(IOCB_CMD_PREADV, file, empty, 3, 0));
    fact_performed("empty one at a bad address", context, block(IOCB_CMD_PREADV, file, empty, 4, 0));
}

/// cachestat(2): with the kernel's numbers, since the installed headers may be older.
struct cache_range { uint64_t offset, length; };
struct cache_counts { uint64_t cached, dirty, in_writeback, evicted, recently_evicted; };
enum { number_of_cachestat = 451 };

static void sync_covers_what_was_submitted_before(void) {
    begin();
    int clean = 0;
    uint8_t *much = aligned_memory(1 << 20);
    for (int round = 0; round < 40; round++) {
        int file = new_file(O_RDWR, 0, 1);
        struct iocb blocks[9], *list[9];
        for (int index = 0; index < 9; index++) {
            blocks[index] = index < 8 ? block(IOCB_CMD_PWRITE, file, much, 1 << 20, (int64_t)index << 20)
                                      : block(IOCB_CMD_FDSYNC, file, NULL, 0, 0);
            list[index] = &blocks[index];
        }
        if (io_submit(context, 9, list) != 9) { broken("io_submit"); }
        for (int events = 0; events < 9; events++) {
            if (next_event(context).obj != (uintptr_t)list[8]) { continue; }
            struct cache_range range = {0, 8 << 20};
            struct cache_counts counts = {0};
            long known = syscall(number_of_cachestat, file, &range, &counts, 0);
            clean += known != 0 || counts.dirty + counts.in_writeback == 0;
        }
        close(file);
    }
    fact_result("rounds in which nothing was dirty after the sync", clean);
}

static void syncs(void) {
    begin();
    int file = new_file(O_RDWR, 4096, 1);
    const int opcodes[] = {IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC};
    const char *names[] = {"fsync", "fdsync"};
    int ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    for (int index = 0; index < 2; index++) {
        char what[64];
        fact_performed(names[index], context, block(opcodes[index], file, NULL, 0, 0));
        struct iocb odd[] = {block(opcodes[index], file, memory, 0, 0), block(opcodes[index], file, NULL, 1, 0),
            block(opcodes[index], file, NULL, 0, 1), block(opcodes[index], file, NULL, 0, 0)};
        odd[3].rw_flags = 1;
        for (int which = 0; which < 4; which++) {
            snprintf(what, sizeof what, "%s with a %s", names[index],
                (const char *[]){"buffer", "count", "offset", "flag"}[which]);
            fact_performed(what, context, odd[which]);
        }
        snprintf(what, sizeof what, "%s of a pipe", names[index]);
        fact_performed(what, context, block(opcodes[index], ends[0], NULL, 0, 0));
        snprintf(what, sizeof what, "%s of a folder", names[index]);
        fact_performed(what, context, block(opcodes[index], open(scratch_folder, O_RDONLY | O_CLOEXEC), NULL, 0, 0));
        snprintf(what, sizeof what, "%s of /proc", names[index]);
        fact_performed(what, context, block(opcodes[index], open("/proc/self/stat", O_RDONLY | O_CLOEXEC), NULL, 0, 0));
    }
}

static void folders_and_devices(void) {
    begin();
    int folder = open(scratch_folder, O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), full = open("/dev/full", O_RDWR | O_CLOEXEC);
    int process = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    fact_performed("read of a folder", context, block(IOCB_CMD_PREAD, folder, memory, 16, 0));
    fact_performed("write of a folder", context, block(IOCB_CMD_PWRITE, folder, memory, 16, 0));
    fact_performed("read of /dev/null", context, block(IOCB_CMD_PREAD, null, memory, 16, 0));
    fact_performed("write of /dev/null", context, block(IOCB_CMD_PWRITE, null, memory, 16, 0));
    fact_performed("read of /dev/zero", context, block(IOCB_CMD_PREAD, zero, memory, 16, 0));
    fact_performed("write of /dev/full", context, block(IOCB_CMD_PWRITE, full, memory, 16, 0));
    fact_performed("read of /proc/self/comm", context, block(IOCB_CMD_PREAD, process, memory, 4, 0));
    fact_performed("the folder again", context, block(IOCB_CMD_PREADV, folder, &(struct iovec){memory, 16}, 1, 0));
}

static void direct(void) {
    begin();
    int file = new_file(O_RDWR | O_DIRECT, 65536, 1);
    fact_performed("read", context, block(IOCB_CMD_PREAD, file, memory, 65536, 0));
    fact_bool("content", is_known(memory, 65536, 0, 1));
    fact_performed("odd offset", context, block(IOCB_CMD_PREAD, file, memory, 4096, 100));
    fact_performed("odd address", context, block(IOCB_CMD_PREAD, file, memory + 1, 4096, 0));
    fact_performed("odd count", context, block(IOCB_CMD_PREAD, file, memory, 1000, 0));
    fact_performed("past the end", context, block(IOCB_CMD_PREAD, file, memory, 4096, 65536));
    fact_performed("across the end", context, block(IOCB_CMD_PREAD, file, memory, 8192, 65536 - 4096));
    fill_known(memory, 8192, 4096, 2);
    fact_performed("write", context, block(IOCB_CMD_PWRITE, file, memory, 8192, 4096));
    fact_performed("write, odd address", context, block(IOCB_CMD_PWRITE, file, memory + 1, 4096, 0));
    fact_performed("write, odd count", context, block(IOCB_CMD_PWRITE, file, memory, 4095, 0));
    memset(memory, 0, 8192);
    fact_performed("read back", context, block(IOCB_CMD_PREAD, file, memory, 8192, 4096));
    fact_bool("what was written", is_known(memory, 8192, 4096, 2));
    fact_performed("to an address that is not there", context, block(IOCB_CMD_PREAD, file, (void *)4096, 4096, 0));
}

static struct iocb with_flags(struct iocb one, uint32_t flags) {
    one.rw_flags = flags;
    return one;
}

static void per_operation_flags(void) {
    begin();
    int file = new_file(O_RDWR, 8192, 1);
    enum { HIPRI = 1, DSYNC = 2, SYNC = 4, NOWAIT = 8, APPEND = 16, NOAPPEND = 32, ATOMIC = 64 };
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, 100, 0),
        write = block(IOCB_CMD_PWRITE, file, memory, 100, 0);
    fact_performed("DSYNC", context, with_flags(write, DSYNC));
    fact_performed("SYNC", context, with_flags(write, SYNC));
    fact_performed("SYNC and DSYNC", context, with_flags(write, SYNC | DSYNC));
    fact_performed("DSYNC on a read", context, with_flags(read, DSYNC));
    fact_performed("APPEND", context, with_flags(write, APPEND));
    struct stat state;
    fstat(file, &state);
    fact_result("size after APPEND", state.st_size);
    fact_performed("APPEND on a read", context, with_flags(read, APPEND));
    fact_performed("NOWAIT on cached data", context, with_flags(read, NOWAIT));
    fact_performed("NOAPPEND", context, with_flags(write, NOAPPEND));
    fact_performed("APPEND and NOAPPEND", context, with_flags(write, APPEND | NOAPPEND));
    fact_performed("ATOMIC on a read", context, with_flags(read, ATOMIC));
    fact_performed("unknown", context, with_flags(read, 1u << 20));
    fact_performed("unknown, high", context, with_flags(read, 1u << 31));
    fact_performed("all", context, with_flags(write, UINT32_MAX));
    fact_performed("HIPRI, buffered", context, with_flags(read, HIPRI));
    fact_performed("unknown with a bad descriptor", context,
        with_flags(block(IOCB_CMD_PREAD, -1, memory, 1, 0), 1u << 20));
    int zero = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    fact_performed("NOWAIT where it is not supported", context,
        with_flags(block(IOCB_CMD_PREAD, zero, memory, 4, 0), NOWAIT));
    struct iovec vector = {memory, 100};
    fact_performed("vectored APPEND", context, with_flags(block(IOCB_CMD_PWRITEV, file, &vector, 1, 0), APPEND));
    fact_performed("vectored unknown", context, with_flags(block(IOCB_CMD_PWRITEV, file, &vector, 1, 0), 1u << 20));
    int appending = new_file(O_RDWR | O_APPEND, 100, 1);
    fact_performed("NOAPPEND on an appending file", context,
        with_flags(block(IOCB_CMD_PWRITE, appending, memory, 10, 0), NOAPPEND));
    fstat(appending, &state);
    fact_result("its size", state.st_size);
}

/// A cold read with RWF_NOWAIT fails without waiting. But the kernel requests the data from the device, and returns
/// them if they arrive before it checks.
static void nowait_on_cold_data(void) {
    begin();
    int file = new_file(O_RDONLY, 1 << 20, 1);
    make_cold(file);
    struct iocb read = with_flags(block(IOCB_CMD_PREAD, file, memory, 4096, 524288), 8);
    fact_result("submitted", submit_one(context, &read));
    long result = next_event(context).res;
    fact_bool("refused, or read", result == -EAGAIN || (result == 4096 && is_known(memory, 4096, 524288, 1)));
}

static struct iocb with_priority(struct iocb one, int priority) {
    one.flags = IOCB_FLAG_IOPRIO;
    one.priority = (int16_t)priority;
    return one;
}

static void priorities(void) {
    begin();
    int file = new_file(O_RDWR, 8192, 1);
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, 100, 0);
    const int classes[] = {0, 1, 2, 3, 4, 7};
    for (int index = 0; index < 6; index++) {
        const int levels[] = {0, 4, 7, 8};
        for (int level = 0; level < 4; level++) {
            char what[64];
            snprintf(what, sizeof what, "class %d level %d", classes[index], levels[level]);
            fact_performed(what, context, with_priority(read, classes[index] << 13 | levels[level]));
        }
    }
    fact_performed("-1", context, with_priority(read, -1));
    fact_performed("write", context, with_priority(block(IOCB_CMD_PWRITE, file, memory, 100, 0), 2 << 13 | 3));
    fact_performed("bad, of a sync", context, with_priority(block(IOCB_CMD_FSYNC, file, NULL, 0, 0), -1));
    fact_performed("bad, of a poll", context, with_priority(block(IOCB_CMD_POLL, file, (void *)POLLIN, 0, 0), -1));
    fact_performed("bad, wrongly opened", context, with_priority(block(IOCB_CMD_PWRITE, new_file(O_RDONLY, 10, 1),
        memory, 1, 0), -1));
}

static struct iocb with_eventfd(struct iocb one, int descriptor) {
    one.flags = IOCB_FLAG_RESFD;
    one.eventfd = descriptor;
    return one;
}

static void eventfds(void) {
    begin();
    int file = new_file(O_RDWR, 8192, 1), signal = eventfd(0, EFD_CLOEXEC), ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    struct iocb read = block(IOCB_CMD_PREAD, file, memory, 100, 0);
    struct iocb one = with_eventfd(read, signal), *list[] = {&one, &one, &one};
    fact_result("submit three", io_submit(context, 3, list));
    uint64_t count = 0, total = 0;
    while (total < 3 && eventfd_read(signal, &count) == 0) { total += count; }
    fact_result("signalled", (long)total);
    fact_result("events there", event_count_now(context));
    const int bad[] = {-1, 999, ends[0], file};
    const char *names[] = {"-1", "not open", "a pipe", "a file"};
    for (int index = 0; index < 4; index++) { fact_performed(names[index], context, with_eventfd(read, bad[index])); }
    struct iocb failing = with_eventfd(block(IOCB_CMD_PREAD, file, (void *)8, 100, 0), signal);
    fact_performed("of a read that fails", context, failing);
    fact_result("signalled too", eventfd_read(signal, &count) == 0 ? (long)count : -errno);
    fact_performed("of a sync", context, with_eventfd(block(IOCB_CMD_FSYNC, file, NULL, 0, 0), signal));
    fact_result("signalled by it", eventfd_read(signal, &count) == 0 ? (long)count : -errno);
    struct iocb refused = with_eventfd(block(77, file, memory, 100, 0), signal);
    fact_performed("of one that is refused", context, refused);
    fcntl(signal, F_SETFL, O_NONBLOCK);
    fact_result("not signalled", eventfd_read(signal, &count) == 0 ? (long)count : -errno);
}

/// An eventfd may be closed once the operation is accepted: the library keeps it until the event.
static void eventfd_closed_in_flight(void) {
    begin();
    int signal = eventfd(0, EFD_CLOEXEC), copy = fcntl(signal, F_DUPFD_CLOEXEC, 0), ends[2];
    if (pipe(ends) != 0) { broken("pipe"); }
    struct iocb poll = with_eventfd(block(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0), signal);
    fact_result("submit", submit_one(context, &poll));
    close(signal);
    if (write(ends[1], "x", 1) != 1) { broken("write"); }
    uint64_t count = 0;
    fact_result("signalled", eventfd_read(copy, &count) == 0 ? (long)count : -errno);
    fact_result("events there", event_count_now(context));
}

/// Another file, with other content, takes the number.
static void take_number(int number, int other) {
    if (other == number) { return; }
    // If the number has been reused in the meantime, it must not be taken.
    if (fcntl(number, F_GETFD) < 0) { dup2(other, number); }
    close(other);
}

/// The file may be closed as well.
static void file_closed_in_flight(void) {
    begin();
    int file = new_file(O_RDONLY | O_DIRECT, 1 << 20, 6);
    make_cold(file);
    struct iocb reads[16], *list[16];
    for (int index = 0; index < 16; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory + index * 65536, 65536, index * 65536);
        list[index] = &reads[index];
    }
    fact_result("submit", io_submit(context, 16, list));
    close(file);
    take_number(file, new_file(O_RDONLY | O_DIRECT, 1 << 20, 7));
    int good = 0;
    for (int index = 0; index < 16; index++) { good += next_event(context).res == 65536; }
    fact_result("events", good);
    fact_bool("content is the closed file's", is_known(memory, 1 << 20, 0, 6));
}

static void cold_buffered_file_closed_in_flight(void) {
    begin();
    int file = new_file(O_RDONLY, 1 << 20, 6);
    make_cold(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    struct iocb reads[16], *list[16];
    for (int index = 0; index < 16; index++) {
        reads[index] = block(IOCB_CMD_PREAD, file, memory + index * 65536, 65536, index * 65536);
        list[index] = &reads[index];
    }
    fact_result("submit", io_submit(context, 16, list));
    close(file);
    take_number(file, new_file(O_RDONLY, 1 << 20, 7));
    int good = 0;
    for (int index = 0; index < 16; index++) { good += next_event(context).res == 65536; }
    fact_result("events", good);
    fact_bool("content is the closed file's", is_known(memory, 1 << 20, 0, 6));
}

/// The limit applies to the operation alone, since facts may be written to a file.
static long perform_below_limit(struct iocb one, rlim_t limit) {
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, RLIM_INFINITY});
    long result = perform(context, one);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    return result;
}

static void file_size_limit(void) {
    begin();
    int file = new_file(O_RDWR, 4096, 1);
    signal(SIGXFSZ, SIG_IGN);
    fact_result("up to it", perform_below_limit(block(IOCB_CMD_PWRITE, file, memory, 4096, 8192), 10000));
    fact_result("at it", perform_below_limit(block(IOCB_CMD_PWRITE, file, memory, 4096, 10000), 10000));
    fact_result("past it", perform_below_limit(block(IOCB_CMD_PWRITE, file, memory, 4096, 20000), 10000));
    fact_result("vectored", perform_below_limit(block(IOCB_CMD_PWRITEV, file, &(struct iovec){memory, 4096}, 1,
        8192), 10000));
    struct stat state;
    fstat(file, &state);
    fact_result("size", state.st_size);
    fact_result("below it", perform_below_limit(block(IOCB_CMD_PWRITE, file, memory, 100, 0), 10000));
}

static void file_size_limit_signals(void) {
    begin();
    int file = new_file(O_RDWR, 4096, 1);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fact_result("past it", perform_below_limit(block(IOCB_CMD_PWRITE, file, memory, 4096, 4096), 4096));
    sigpending(&set);
    fact_bool("SIGXFSZ is pending", sigismember(&set, SIGXFSZ) == 1);
}

static const struct test_case cases[] = {
    {"reads", reads},
    {"partly-cached", partly_cached},
    {"writes", writes},
    {"appends", appends},
    {"vectors", vectors},
    {"bad-vectors", bad_vectors},
    {"syncs", syncs},
    {"sync-covers-what-was-submitted-before", sync_covers_what_was_submitted_before},
    {"folders-and-devices", folders_and_devices},
    {"direct", direct},
    {"per-operation-flags", per_operation_flags},
    {"nowait-on-cold-data", nowait_on_cold_data},
    {"priorities", priorities},
    {"eventfds", eventfds},
    {"eventfd-closed-in-flight", eventfd_closed_in_flight},
    {"file-closed-in-flight", file_closed_in_flight},
    {"cold-buffered-file-closed-in-flight", cold_buffered_file_closed_in_flight},
    {"file-size-limit", file_size_limit},
    {"file-size-limit-signals", file_size_limit_signals},
};

int main(int count, char **arguments) { return run_cases(count, arguments, cases, CASE_COUNT(cases)); }
