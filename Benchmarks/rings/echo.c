// The cost of a ring's receives in each of their forms: `echo WAY CONNECTIONS SECONDS`.
//
// A server in a separate process sends back what it receives; the client, in this process, is the same for every form.
// Prints the round trips per second and the server's CPU time for each.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, ROOM = 1024, BUFFERS = 2048, GROUP = 1, POLL_FIRST = 1 };
enum way { EPOLL, SINGLE, SINGLE_POLL_FIRST, MULTISHOT, WAYS };
static const char *const names[WAYS] = {"epoll", "single", "single-poll-first", "multishot"};

static int connections;
static int *sockets;

static double seconds_of(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void take(int index, int socket) {
    int one = 1;
    if (socket < 0) err(1, "socket");
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockets[index] = socket;
}

static int watch_all(void) {
    int set = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(set, EPOLL_CTL_ADD, sockets[i], &event);
    }
    return set;
}

static void serve_epoll(void) {
    static char buffer[ROOM];
    struct epoll_event events[256];
    for (int set = watch_all();;) {
        int count = epoll_wait(set, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int socket = sockets[events[i].data.u32];
            ssize_t received = recv(socket, buffer, sizeof buffer, 0);
            if (received <= 0) exit(0);
            send(socket, buffer, received, MSG_NOSIGNAL);
        }
    }
}

static struct io_uring ring;
static struct io_uring_buf_ring *group;
static char *memory;

static void provide(int buffer, int offset) {
    int mask = io_uring_buf_ring_mask(BUFFERS);
    io_uring_buf_ring_add(group, memory + buffer * ROOM, ROOM, buffer, mask, offset);
}

static void make_ring(enum way way) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 8192};
    int made = io_uring_queue_init_params(1024, &ring, &parameters);
    if (made < 0) errx(1, "io_uring_setup: %s", strerror(-made));
    memory = malloc((size_t)(way == MULTISHOT ? BUFFERS : connections) * ROOM);
    if (way != MULTISHOT) return;
    if (posix_memalign((void **)&group, 4096, BUFFERS * sizeof(struct io_uring_buf))) err(1, "memory");
    struct io_uring_buf_reg registration = {
        .ring_addr = (unsigned long)group, .ring_entries = BUFFERS, .bgid = GROUP};
    made = io_uring_register_buf_ring(&ring, &registration, 0);
    if (made < 0) errx(1, "buffer ring: %s", strerror(-made));
    io_uring_buf_ring_init(group);
    for (int i = 0; i < BUFFERS; i++) provide(i, i);
    io_uring_buf_ring_advance(group, BUFFERS);
}

static void receive(enum way way, int index) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (!entry) {
        io_uring_submit(&ring);
        entry = io_uring_get_sqe(&ring);
    }
    if (way == MULTISHOT) {
        io_uring_prep_recv_multishot(entry, sockets[index], NULL, 0, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = GROUP;
    } else {
        io_uring_prep_recv(entry, sockets[index], memory + (size_t)index * ROOM, ROOM, 0);
        if (way == SINGLE_POLL_FIRST) entry->ioprio = POLL_FIRST;
    }
    io_uring_sqe_set_data64(entry, index);
}

static void serve_ring(enum way way) {
    make_ring(way);
    for (int i = 0; i < connections; i++) receive(way, i);
    for (;;) {
        struct io_uring_cqe *completion;
        unsigned head, count = 0;
        int provided = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, completion) {
            int index = io_uring_cqe_get_data64(completion);
            int buffer = way == MULTISHOT ? completion->flags >> IORING_CQE_BUFFER_SHIFT : (unsigned)index;
            count++;
            if (completion->res == 0) exit(0);
            // A send seldom has to wait, so a plain system call is cheapest, in every form.
            if (completion->res > 0) send(sockets[index], memory + (size_t)buffer * ROOM, completion->res, MSG_NOSIGNAL);
            if (completion->res > 0 && way == MULTISHOT) provide(buffer, provided++);
            if (!(completion->flags & IORING_CQE_F_MORE)) receive(way, index);
        }
        if (provided) io_uring_buf_ring_advance(group, provided);
        io_uring_cq_advance(&ring, count);
    }
}

static long exchange(double seconds) {
    static char message[MESSAGE], answer[ROOM];
    struct epoll_event events[256];
    int set = watch_all();
    long count = 0;
    for (int i = 0; i < connections; i++) send(sockets[i], message, MESSAGE, 0);
    for (double end = seconds_of(CLOCK_MONOTONIC) + seconds; seconds_of(CLOCK_MONOTONIC) < end;) {
        int ready = epoll_wait(set, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            int socket = sockets[events[i].data.u32];
            if (recv(socket, answer, sizeof answer, 0) <= 0) errx(1, "the server has gone");
            send(socket, message, MESSAGE, 0);
            count++;
        }
    }
    return count;
}

int main(int argc, char **argv) {
    enum way way = 0;
    while (argc == 4 && way < WAYS && strcmp(argv[1], names[way])) way++;
    connections = argc == 4 ? atoi(argv[2]) : 0;
    if (way == WAYS || connections < 1) errx(2, "usage: echo epoll|single|single-poll-first|multishot CONNECTIONS SECONDS");
    struct rlimit limit = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &limit);
    sockets = calloc(connections, sizeof *sockets);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, size) || listen(listener, 4096)) err(1, "listen");
    getsockname(listener, (void *)&address, &size);

    pid_t server = fork();
    if (server == 0) {
        for (int i = 0; i < connections; i++) take(i, accept(listener, NULL, NULL));
        if (way == EPOLL) serve_epoll(); else serve_ring(way);
    }
    for (int i = 0; i < connections; i++) {
        take(i, socket(AF_INET, SOCK_STREAM, 0));
        if (connect(sockets[i], (void *)&address, sizeof address)) err(1, "connect");
    }
    double seconds = atof(argv[3]);
    long count = exchange(seconds);
    struct rusage usage;
    kill(server, SIGKILL);
    wait4(server, NULL, 0, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
    printf("%s %d %.0f %.2f\n", names[way], connections, count / seconds, cpu * 1e6 / count);
}
