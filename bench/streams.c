/*
 * The client of streams: opens many at once, checks each frame, and times each chunk from the upstream's send to here.
 *
 *     streams PORT REQUEST CHUNKS SLOTS SECONDS RAMP LEAVE
 *
 * REQUEST is a file with the bytes of an HTTP request. Each of SLOTS connections asks again and again for SECONDS, or
 * with 0 once; their starts are spread over RAMP milliseconds. LEAVE: hang up after that many chunks; 0: never.
 * A stream is whole when its chunks 0 to CHUNKS-1 came in order, then one finish_reason, then [DONE], then HTTP's end.
 * Prints one JSON object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* without a byte from anywhere: the rest is given up */
#define MOST_SLOTS 16384

enum { HEAD, SIZE, DATA, DATA_END, LAST, UNTIL_CLOSED };

typedef struct {
    int fd, state, sent, closes;
    char line[8192];           /* of the head, of a chunk's size, of the stream: what came of it */
    char sse[8192];
    size_t line_len, sse_len, left;
    long chunks, finishes, done, wrong;
    double began, last;        /* seconds */
} Slot;

typedef struct { float *values; size_t count, size; } Sample;

static Slot slots[MOST_SLOTS];
static Sample delays, firsts;  /* microseconds */
static long expected, slot_count, leave, whole, broken, departed, chunks, gaps_over_200, active;
static double until, largest_gap;
static char request[1 << 20], reason[256];
static size_t request_len;
static struct sockaddr_in address;
static int epoll;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void note(Sample *sample, double microseconds)
{
    if (sample->count == sample->size)
        sample->values = realloc(sample->values, (sample->size = sample->size * 2 + 4096) * sizeof(float));
    sample->values[sample->count++] = microseconds;
}

static int rising(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(Sample *sample, double q)
{
    return sample->count ? sample->values[(size_t)(q * (sample->count - 1))] : 0;
}

static void drop(Slot *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void ask(Slot *s)
{
    int on = 1;
    size_t took;
    if (s->fd < 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
        s->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s->fd, (struct sockaddr *)&address, sizeof address))
            perror("streams"), exit(1);
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event);
    }
    s->state = HEAD, s->line_len = s->sse_len = s->closes = 0;
    s->chunks = s->finishes = s->done = s->wrong = 0;
    s->began = now();
    for (took = 0; took < request_len;) {
        ssize_t n = send(s->fd, request + took, request_len - took, MSG_NOSIGNAL);
        if (n <= 0)
            break; /* the read that follows sees it */
        took += n;
    }
}

static void again_or_rest(Slot *s)
{
    if (now() < until)
        return ask(s);
    drop(s);
    active--;
}

static void over(Slot *s, const char *why)
{
    if (!why && s->chunks == expected && s->finishes == 1 && s->done == 1 && !s->wrong)
        whole++;
    else {
        if (!broken++)
            snprintf(reason, sizeof reason, "%s after %ld chunks (finish %ld, done %ld): %.150s", why ? why : "incomplete",
                     s->chunks, s->finishes, s->done, s->sse);
        s->closes = 1;
    }
    if (s->closes)
        drop(s);
    again_or_rest(s);
}

/* One chunk's text: its number and when it was sent. */
static void chunk(Slot *s, const char *text, double at)
{
    char *rest;
    long number = strtol(text, &rest, 10);
    double sent = strtoll(rest, NULL, 10) * 1e-9;
    s->wrong |= number != s->chunks;
    note(&delays, (at - sent) * 1e6);
    if (s->chunks++ == 0)
        note(&firsts, (at - s->began) * 1e6);
    else if (at - s->last > largest_gap)
        largest_gap = at - s->last;
    if (s->chunks > 1 && at - s->last > 0.2)
        gaps_over_200++;
    s->last = at;
    chunks++;
}

static void sse_line(Slot *s, double at)
{
    char *found, *line = s->sse;
    line[s->sse_len] = 0;
    if (strncmp(line, "data:", 5))
        return;
    line += 5 + (line[5] == ' ');
    if (!strncmp(line, "[DONE]", 6)) {
        s->done++;
        return;
    }
    s->wrong |= !strncmp(line, "{\"error\"", 8);
    if ((found = strstr(line, "\"content\":"))) {
        found += 10 + (found[10] == ' ');
        if (found[0] == '"' && found[1] >= '0' && found[1] <= '9')
            chunk(s, found + 1, at);
    }
    if ((found = strstr(line, "\"finish_reason\":")))
        s->finishes += found[16] == '"' || found[17] == '"';
}

static void body(Slot *s, const char *data, size_t length, double at)
{
    while (length) {
        const char *end = memchr(data, '\n', length);
        size_t part = end ? (size_t)(end - data) : length;
        if (s->sse_len + part >= sizeof s->sse)
            s->sse_len = 0, s->wrong = 1;
        memcpy(s->sse + s->sse_len, data, part);
        s->sse_len += part;
        if (!end)
            return;
        sse_line(s, at);
        s->sse_len = 0;
        data = end + 1, length -= part + 1;
    }
}

/* A line of HTTP's own is whole. False: the response is over. */
static int http_line(Slot *s)
{
    switch (s->state) {
    case HEAD:
        if (s->line_len > 3 && !memcmp(s->line + s->line_len - 4, "\r\n\r\n", 4)) {
            s->closes = strcasestr(s->line, "\r\nconnection: close") != NULL;
            if (strncmp(s->line + 9, "200", 3)) {
                snprintf(s->sse, sizeof s->sse, "%.60s", s->line);
                return 0;
            }
            s->state = strcasestr(s->line, "\r\ntransfer-encoding: chunked") ? SIZE : UNTIL_CLOSED;
            s->line_len = 0;
        }
        return 1;
    case SIZE:
        s->left = strtoul(s->line, NULL, 16);
        s->state = s->left ? DATA : LAST;
        break;
    case DATA_END:
        s->state = SIZE;
        break;
    case LAST:
        if (s->line_len < 3)
            return 0;
        break; /* a trailer */
    }
    s->line_len = 0;
    return 1;
}

static void arrived(Slot *s, char *data, size_t length, double at)
{
    while (length) {
        if (s->state == UNTIL_CLOSED) {
            body(s, data, length, at);
            return;
        }
        if (s->state == DATA) {
            size_t part = length < s->left ? length : s->left;
            body(s, data, part, at);
            data += part, length -= part, s->left -= part;
            if (!s->left)
                s->state = DATA_END;
            continue;
        }
        s->line[s->line_len++] = *data;
        s->line[s->line_len] = 0;
        data++, length--;
        if ((data[-1] == '\n' && !http_line(s)) || s->line_len > sizeof s->line - 2) {
            s->closes |= s->state != LAST;
            over(s, s->state == LAST ? NULL : "an error");
            return;
        }
    }
}

static void read_some(Slot *s)
{
    static char data[1 << 18];
    ssize_t got = recv(s->fd, data, sizeof data, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        s->closes = 1;
        over(s, s->state == UNTIL_CLOSED ? NULL : "closed");
        return;
    }
    arrived(s, data, got, now());
    if (leave && s->fd >= 0 && s->chunks >= leave) {
        departed++;
        drop(s);
        again_or_rest(s);
    }
}

static void report(double seconds)
{
    qsort(delays.values, delays.count, sizeof(float), rising);
    qsort(firsts.values, firsts.count, sizeof(float), rising);
    for (char *c = reason; *c; c++)
        if (*c == '"' || *c == '\\' || *c < ' ')
            *c = '\'';
    printf("{\"whole\": %ld, \"broken\": %ld, \"left\": %ld, \"chunks\": %ld, \"seconds\": %.3f, "
           "\"first_chunk_ms\": {\"p50\": %.3f, \"p99\": %.3f}, "
           "\"delay_ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, "
           "\"largest_gap_ms\": %.1f, \"gaps_over_200_ms\": %ld, \"reason\": \"%s\"}\n",
           whole, broken, departed, chunks, seconds, quantile(&firsts, 0.5) / 1e3, quantile(&firsts, 0.99) / 1e3,
           quantile(&delays, 0.5) / 1e3, quantile(&delays, 0.99) / 1e3, quantile(&delays, 1) / 1e3, largest_gap * 1e3,
           gaps_over_200, reason);
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    FILE *file = argc == 8 ? fopen(argv[2], "rb") : NULL;
    if (!file)
        return fprintf(stderr, "streams PORT REQUEST CHUNKS SLOTS SECONDS RAMP LEAVE\n"), 2;
    request_len = fread(request, 1, sizeof request, file);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    expected = atol(argv[3]), slot_count = atol(argv[4]), leave = atol(argv[7]);
    double began = now(), ramp = atof(argv[6]) / 1e3, heard = began;
    if (slot_count > MOST_SLOTS)
        return fprintf(stderr, "streams: at most %d slots\n", MOST_SLOTS), 2;
    signal(SIGPIPE, SIG_IGN);
    epoll = epoll_create1(0);
    until = began + atof(argv[5]);
    for (long started = 0; started < slot_count || active;) {
        for (; started < slot_count && now() >= began + ramp * started / slot_count; started++) {
            slots[started].fd = -1, active++;
            ask(&slots[started]);
        }
        int ready = epoll_wait(epoll, events, 256, started < slot_count ? 1 : 1000);
        for (int i = 0; i < ready; i++)
            read_some(events[i].data.ptr);
        heard = ready > 0 ? now() : heard;
        if (now() - heard > PATIENCE_MS / 1e3) {
            snprintf(reason, sizeof reason, "silence for %d ms", PATIENCE_MS);
            broken += active + slot_count - started;
            break;
        }
    }
    report(now() - began);
    return 0;
}
