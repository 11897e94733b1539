/* The floor of `python -m bench --only hub`: what the client itself and the kernel take, when the server does nothing but send.
 *
 * hub_floor PORT
 *
 * GET: a stream. POST: its body goes to all streams, ready-made, in one loop of send(). There is no protocol beyond that: a
 * request comes whole, in one recv(), and its body follows the first empty line. Nobody may use it for anything else.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, BATCH = 512 };

static int streams[MOST], count;

static void say(int fd, const char *text) {
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) close(fd);
}

static void answer(int fd, const char *request) {
    if (!strncmp(request, "GET", 3) && count < MOST) {
        streams[count++] = fd;
        say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:\n\n\r\n");
        return;
    }
    const char *body = strstr(request, "\r\n\r\n");
    char chunk[4096];
    int length = body ? strlen(body + 4) : 0;
    int size = snprintf(chunk, sizeof chunk, "%x\r\ndata: %s\n\n\r\n", length + 8, body ? body + 4 : "");
    for (int i = 0; i < count; i++) send(streams[i], chunk, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
}

int main(int argc, char **argv) {
    int on = 1, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) return perror("hub_floor"), 1;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        struct epoll_event news[BATCH];
        int found = epoll_wait(epoll, news, BATCH, -1);
        for (int i = 0; i < found; i++) {
            int fd = news[i].data.fd;
            char request[4096];
            if (fd == listener) {
                fd = accept(listener, NULL, NULL);
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
                continue;
            }
            ssize_t got = recv(fd, request, sizeof request - 1, 0);
            if (got <= 0) {
                close(fd);
                continue;
            }
            request[got] = 0;
            answer(fd, request);
        }
    }
}
