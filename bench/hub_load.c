/* The load of `python -m bench --only hub`: many readers of one stream -> when each event reached each of them.
 *
 * hub_load PORT TARGET CONNECTIONS EVENTS
 *
 * One thread and one epoll. It opens the connections to 127.0.0.1, at most 128 at a time, and says "ready" when every one
 * has got its first bytes. It then says "all N" whenever event N has reached all, and waits for the end of its standard
 * input. Last comes one line of JSON: what was late, lost, repeated, and what it cost this process.
 *
 * An event holds "~N.T~": its number, from 1, and CLOCK_MONOTONIC in ns when the publisher sent it; all processes of a
 * machine share this clock. A delivery's time is that of the recv() which brought its last byte, less T: the time that
 * bytes wait for this loop to come to their socket is in it, for every server alike.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OPENING = 128, BATCH = 512, MOST_EVENTS = 64 };

struct reader {
    int fd;
    int field;       /* of "~N.T~": 0 outside, 1 in N, 2 in T. It lasts from one recv() to the next */
    int event;       /* N, once it is known */
    int newest;      /* the highest N so far */
    uint64_t number; /* the digits so far */
    uint64_t seen;   /* a bit for each event */
    int greeted;     /* whether the first bytes have come */
};

static struct reader *readers;
static uint32_t *times_us; /* of all deliveries */
static size_t delivered, expected;
static long repeated, disordered, strange, closed;
static int count, events, opened, greeted, epoll;
static int reached[MOST_EVENTS + 1];      /* how many readers have this event */
static uint32_t span_us[MOST_EVENTS + 1]; /* until the last one had it */
static struct sockaddr_in server;
static char request[512];

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void watch(int fd, uint32_t what, uint64_t who) {
    struct epoll_event wanted = {.events = what, .data.u64 = who};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted)) fail("epoll_ctl: %s", strerror(errno));
}

/* Connect and send the request. On loopback a connection is there, or refused, when connect() returns. */
static void open_one(void) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket %d of %d: %s", opened, count, strerror(errno));
    if (connect(fd, (struct sockaddr *)&server, sizeof server)) fail("connection %d of %d: %s", opened, count, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ssize_t length = strlen(request);
    if (send(fd, request, length, MSG_NOSIGNAL) != length) fail("request %d of %d: %s", opened, count, strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    readers[opened].fd = fd;
    watch(fd, EPOLLIN, opened++);
}

static void take(struct reader *reader, int event, uint64_t sent_ns, uint64_t at_ns) {
    if (event < 1 || event > events || sent_ns > at_ns) {
        strange++;
        return;
    }
    uint64_t bit = 1ull << (event - 1);
    if (reader->seen & bit) {
        repeated++;
        return;
    }
    reader->seen |= bit;
    if (event < reader->newest) disordered++;
    else reader->newest = event;
    uint32_t late_us = (at_ns - sent_ns) / 1000;
    times_us[delivered++] = late_us;
    if (late_us > span_us[event]) span_us[event] = late_us;
    if (++reached[event] == count) printf("all %d\n", event);
}

static void parse(struct reader *reader, const char *bytes, size_t length, uint64_t at_ns) {
    const char *end = bytes + length;
    for (const char *c = bytes; c < end; c++) {
        if (reader->field == 0) {
            if (!(c = memchr(c, '~', end - c))) return;
            reader->field = 1, reader->number = 0;
        } else if (*c >= '0' && *c <= '9') {
            reader->number = reader->number * 10 + (*c - '0');
        } else if (reader->field == 1 && *c == '.') {
            reader->event = reader->number;
            reader->field = 2, reader->number = 0;
        } else {
            if (reader->field == 2 && *c == '~') take(reader, reader->event, reader->number, at_ns);
            reader->field = 0;
        }
    }
}

static void receive(struct reader *reader) {
    char bytes[16384];
    ssize_t got = recv(reader->fd, bytes, sizeof bytes, 0);
    uint64_t at_ns = now_ns();
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0 && !reader->greeted) fail("the server closed a connection without an answer");
    if (got <= 0) { /* what has not come yet is lost */
        closed++;
        close(reader->fd);
        return;
    }
    if (!reader->greeted) {
        if (strncmp(bytes, "HTTP/1.1 200", got < 12 ? got : 12)) fail("the server answered: %.*s", (int)got, bytes);
        reader->greeted = 1;
        if (++greeted == count) printf("ready\n");
    }
    parse(reader, bytes, got, at_ns);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double share) {
    return delivered ? times_us[(size_t)(share * (delivered - 1))] / 1000.0 : 0;
}

static void report(double cpu) {
    double spans = 0;
    for (int event = 1; event <= events; event++) spans += span_us[event] / 1e6;
    qsort(times_us, delivered, sizeof *times_us, ascending);
    printf("{\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,", percentile_ms(.5), percentile_ms(.95), percentile_ms(.99), percentile_ms(1));
    printf("\"delivered\":%zu,\"lost\":%zu,\"repeated\":%ld,\"disordered\":%ld,", delivered, expected - delivered, repeated, disordered);
    printf("\"strange\":%ld,\"closed\":%ld,\"cpu_seconds\":%.4f,\"fanout_seconds\":%.4f}\n", strange, closed, cpu, spans);
}

int main(int argc, char **argv) {
    if (argc != 5) fail("usage: hub_load PORT TARGET CONNECTIONS EVENTS");
    count = atoi(argv[3]), events = atoi(argv[4]);
    if (count < 1 || events < 1 || events > MOST_EVENTS) fail("at least 1 connection, and 1 to %d events", MOST_EVENTS);
    expected = (size_t)count * events;
    readers = calloc(count, sizeof *readers), times_us = calloc(expected, sizeof *times_us);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost:%s\r\nAccept: text/event-stream\r\n\r\n", argv[2], argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(STDIN_FILENO, EPOLLIN, count);

    double cpu = 0;
    for (;;) {
        struct epoll_event news[BATCH];
        while (opened < count && opened - greeted < OPENING) open_one();
        int found = epoll_wait(epoll, news, BATCH, -1);
        for (int i = 0; i < found; i++) {
            if (news[i].data.u64 == (uint64_t)count) { /* the end of the input */
                report(cpu_seconds() - cpu);
                return 0;
            }
            receive(&readers[news[i].data.u64]);
        }
        if (delivered == 0) cpu = cpu_seconds(); /* what opening cost does not count */
    }
}
