// A plain epoll loop that echoes, in C: `epoll-echo ADDRESS:PORT`. Prints its address; SIGTERM ends it.
// Level-triggered, with each connection added once. When a send does not fit, the rest waits for EPOLLOUT.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 65536 };

// The rest of a message that was not sent in one call.
struct connection {
    int descriptor;
    size_t sent, count;
    char *rest;
};

static int loop;
static char buffer[BUFFER];

static void fail(const char *what) {
    fprintf(stderr, "epoll-echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int start(const char *place) {
    char host[64] = "127.0.0.1";
    int port = 0;
    if (sscanf(place, "%63[0-9.]:%d", host, &port) != 2) {
        fprintf(stderr, "epoll-echo: an address is A.B.C.D:PORT\n");
        exit(2);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) fail(place);
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on %s:%d\n", host, ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void watch(struct connection *connection, int action, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(loop, action, connection->descriptor, &event) < 0) fail("epoll_ctl");
}

static void end(struct connection *connection) {
    close(connection->descriptor);
    free(connection->rest);
    free(connection);
}

static void accept_all(int listener) {
    int one = 1, descriptor;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) fail("calloc");
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection->descriptor = descriptor;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void echo(struct connection *connection) {
    ssize_t count = recv(connection->descriptor, buffer, sizeof buffer, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return end(connection);
    ssize_t sent = send(connection->descriptor, buffer, count, MSG_NOSIGNAL);
    if (sent == count) return;
    if (sent < 0 && errno != EAGAIN) return end(connection);
    if (sent < 0) sent = 0;
    connection->count = count - sent;
    connection->sent = 0;
    connection->rest = malloc(connection->count);
    if (!connection->rest) fail("malloc");
    memcpy(connection->rest, buffer + sent, connection->count);
    watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
}

static void send_rest(struct connection *connection) {
    ssize_t sent = send(connection->descriptor, connection->rest + connection->sent,
                        connection->count - connection->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return end(connection);
    connection->sent += sent;
    if (connection->sent < connection->count) return;
    free(connection->rest);
    connection->rest = NULL;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

int main(int count, char **arguments) {
    struct epoll_event events[EVENTS];
    int listener = start(count > 1 ? arguments[1] : "127.0.0.1:0");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if ((loop = epoll_create1(EPOLL_CLOEXEC)) < 0) fail("epoll_create1");
    if (epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
    for (;;) {
        int ready = epoll_wait(loop, events, EVENTS, -1);
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            if (!connection) accept_all(listener);
            else if (connection->rest) send_rest(connection);
            else echo(connection);
        }
    }
}
