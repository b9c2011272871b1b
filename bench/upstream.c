/*
 * The fake upstream: OpenAI's /v1/chat/completions and Anthropic's /v1/messages, in one thread and one epoll.
 *
 *     upstream PORT
 *
 * To a GET: a list of no models.
 * The model's name says what comes back:
 *     bench-plain           a completion of some 400 bytes
 *     bench-stream-N-GAP    N chunks, GAP milliseconds apart; 0: as fast as the reader takes them, one send each
 *     bench-cut-N-GAP       the same, but the connection closes after the N chunks, without an end
 *     bench-status-NNN      an error with that status
 *     bench-third-...       cut-N-GAP or status-NNN for every third call; for the others the same, whole
 *     bench-flap-NNN-S      an error with that status for S seconds, then bench-plain for S seconds, and so on
 *
 * A chunk's text is its number and the moment it was sent, "0007 00000123456789012 " (CLOCK_MONOTONIC, nanoseconds), by
 * which the client at the other side of a gateway knows what is missing, and how long each chunk was under way.
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
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST_FDS 65536
#define MOST_BODY (8 << 20)

typedef struct {
    int fd, timer;             /* timer: -1 but for a paced stream */
    char *in, *out;            /* a request so far; an answer that the socket did not take yet */
    size_t in_len, in_size, out_len, out_size;
    int streaming, anthropic, usage, cut, gap;
    long chunks, sent, owed;   /* owed: chunks whose moment has come */
} Connection;

static Connection *connections[MOST_FDS]; /* by the socket's number, and by the timer's */
static int epoll;

#define HEAD \
    "HTTP/1.1 %s\r\nServer: fake\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: %s\r\n" \
    "openai-processing-ms: 123\r\nopenai-version: 2020-10-01\r\nx-request-id: req_0123456789abcdef0123456789abcdef\r\n" \
    "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\n%s\r\n"

#define CHUNK_BEGIN \
    "data: {\"id\":\"chatcmpl-Bx0123456789abcdefghijklmn\",\"object\":\"chat.completion.chunk\",\"created\":1763812800," \
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":["
#define CHOICE(delta, finish) "{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" finish "}"

static const char COMPLETION[] =
    "{\"id\":\"chatcmpl-Bx0123456789abcdefghijklmn\",\"object\":\"chat.completion\",\"created\":1763812800,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"Hello! How can I help you today?\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29},\"system_fingerprint\":\"fp_0123456789\"}";
static const char MESSAGE[] =
    "{\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\","
    "\"content\":[{\"type\":\"text\",\"text\":\"Hello! How can I help you today?\"}],\"stop_reason\":\"end_turn\","
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":19,\"cache_creation_input_tokens\":0,"
    "\"cache_read_input_tokens\":0,\"output_tokens\":10}}";
static const char OPENAI_ERROR[] =
    "{\"error\":{\"message\":\"An error that was asked for.\",\"type\":\"fake\",\"param\":null,\"code\":null}}";

static const char ANTHROPIC_BEGIN[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01XFDUDYJgAACzvnptvVoYEL\","
    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,"
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":19,\"cache_creation_input_tokens\":0,"
    "\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
static const char ANTHROPIC_END[] =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
    "\"usage\":{\"output_tokens\":100}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static void watch(Connection *c, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (c->out_len ? EPOLLOUT : 0), .data.fd = c->fd};
    epoll_ctl(epoll, operation, c->fd, &event);
}

static void stop_timer(Connection *c)
{
    if (c->timer < 0)
        return;
    connections[c->timer] = NULL;
    close(c->timer);
    c->timer = -1;
}

static void hang_up(Connection *c)
{
    stop_timer(c);
    connections[c->fd] = NULL;
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

/* Send, or keep what the socket does not take. */
static void say(Connection *c, const char *data, size_t length)
{
    if (!c->out_len) {
        ssize_t taken = send(c->fd, data, length, MSG_NOSIGNAL);
        if (taken == (ssize_t)length || (taken < 0 && errno != EAGAIN))
            return; /* a broken connection is seen by the next read */
        data += taken > 0 ? taken : 0;
        length -= taken > 0 ? taken : 0;
    }
    if (c->out_len + length > c->out_size)
        c->out = realloc(c->out, c->out_size = (c->out_len + length) * 2);
    memcpy(c->out + c->out_len, data, length);
    c->out_len += length;
    watch(c, EPOLL_CTL_MOD);
}

/* One HTTP chunk; `last`: the closing one after it, in the same send. */
static void say_chunk(Connection *c, const char *data, int last)
{
    char frame[4096];
    say(c, frame, snprintf(frame, sizeof frame, "%zx\r\n%s\r\n%s", strlen(data), data, last ? "0\r\n\r\n" : ""));
}

static void begin_stream(Connection *c)
{
    char data[2048];
    say(c, data, snprintf(data, sizeof data, HEAD, "200 OK", "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked\r\n"));
    snprintf(data, sizeof data, CHUNK_BEGIN CHOICE("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null") "]%s}\n\n",
             c->usage ? ",\"usage\":null" : "");
    say_chunk(c, c->anthropic ? ANTHROPIC_BEGIN : data, 0);
}

static void say_next(Connection *c)
{
    struct timespec now;
    char text[64], data[2048];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "%04ld %018lld ", c->sent, now.tv_sec * 1000000000LL + now.tv_nsec);
    if (c->anthropic)
        snprintf(data, sizeof data,
                 "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                 "\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", text);
    else
        snprintf(data, sizeof data, CHUNK_BEGIN CHOICE("\"content\":\"%s\"", "null") "]%s}\n\n", text,
                 c->usage ? ",\"usage\":null" : "");
    say_chunk(c, data, 0);
    c->sent++;
    c->owed--;
}

static void end_stream(Connection *c)
{
    char data[2048];
    snprintf(data, sizeof data, CHUNK_BEGIN CHOICE("", "\"stop\"") "]%s}\n\n%s%s" "data: [DONE]\n\n",
             c->usage ? ",\"usage\":null" : "", c->usage ? CHUNK_BEGIN : "",
             c->usage ? "],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":100,\"total_tokens\":119}}\n\n" : "");
    say_chunk(c, c->anthropic ? ANTHROPIC_END : data, 1);
    stop_timer(c);
    c->streaming = 0;
}

/* What is due of a stream, as far as the socket takes it. False: the connection is gone. */
static int pump(Connection *c)
{
    while (c->streaming && !c->out_len && c->sent < c->chunks && (c->owed > 0 || !c->gap))
        say_next(c);
    if (c->streaming && c->sent == c->chunks) {
        if (c->cut) {
            hang_up(c);
            return 0;
        }
        end_stream(c);
    }
    return 1;
}

static void pace(Connection *c)
{
    struct itimerspec every = {{c->gap / 1000, c->gap % 1000 * 1000000}, {c->gap / 1000, c->gap % 1000 * 1000000}};
    struct epoll_event event = {.events = EPOLLIN};
    c->timer = event.data.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    connections[c->timer] = c;
    timerfd_settime(c->timer, 0, &every, NULL);
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->timer, &event);
}

static void answer_plain(Connection *c, const char *status, const char *body)
{
    char length[64], data[4096];
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    int head = snprintf(data, sizeof data, HEAD, status, "application/json", length);
    say(c, data, head + snprintf(data + head, sizeof data - head, "%s", body));
}

/* False: the connection is gone. */
static int answer(Connection *c, const char *body, size_t length)
{
    static long thirds;
    const char *model = memmem(body, length, "bench-", 6);
    int status, seconds, fails = 1, anthropic = !strncmp(c->in, "POST /v1/messages", 17);
    struct timespec now;
    if (!strncmp(c->in, "GET ", 4)) {
        answer_plain(c, "200 OK", "{\"object\":\"list\",\"data\":[],\"has_more\":false}");
        return 1;
    }
    model = model ? model + 6 : "plain";
    if (!strncmp(model, "third-", 6))
        model += 6, fails = ++thirds % 3 == 0;
    if (sscanf(model, "flap-%3d-%d", &status, &seconds) == 2) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        fails = now.tv_sec / seconds % 2;
    } else if (sscanf(model, "status-%3d", &status) != 1)
        status = 0;
    if (status && fails) {
        char line[32];
        snprintf(line, sizeof line, "%d Asked for", status);
        answer_plain(c, line, OPENAI_ERROR);
        return 1;
    }
    int cut = sscanf(model, "cut-%ld-%d", &c->chunks, &c->gap) == 2;
    if (!cut && sscanf(model, "stream-%ld-%d", &c->chunks, &c->gap) != 2) {
        answer_plain(c, "200 OK", anthropic ? MESSAGE : COMPLETION);
        return 1;
    }
    c->cut = cut && fails;
    c->streaming = 1, c->sent = 0, c->owed = 1, c->anthropic = anthropic;
    c->usage = memmem(body, length, "\"include_usage\":true", 20) || memmem(body, length, "\"include_usage\": true", 21);
    begin_stream(c);
    if (c->gap && c->chunks > 1)
        pace(c);
    return pump(c);
}

/* Answer a request that is whole. False: none is, or the connection is gone. */
static int take_request(Connection *c)
{
    char *end = c->in_len ? memmem(c->in, c->in_len, "\r\n\r\n", 4) : NULL;
    if (!end || c->streaming)
        return 0;
    *end = 0; /* strcasestr needs it */
    char *field = strcasestr(c->in, "\r\ncontent-length:");
    size_t head = end + 4 - c->in, body = field ? strtoul(field + 17, NULL, 10) : 0;
    if (!field && strcasestr(c->in, "\r\ntransfer-encoding:"))
        fprintf(stderr, "upstream: a chunked request, which this one does not know\n"), exit(1);
    *end = '\r';
    if (c->in_len < head + body)
        return 0;
    if (!answer(c, c->in + head, body))
        return 0;
    c->in_len -= head + body;
    memmove(c->in, c->in + head + body, c->in_len + 1);
    return 1;
}

static void read_more(Connection *c)
{
    if (c->in_size - c->in_len < 65536)
        c->in = realloc(c->in, c->in_size = c->in_size * 2 + 65537);
    ssize_t got = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || c->in_len + got > MOST_BODY) {
        hang_up(c);
        return;
    }
    c->in_len += got;
    c->in[c->in_len] = 0;
    while (take_request(c))
        ;
}

static void write_more(Connection *c)
{
    ssize_t taken = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (taken <= 0)
        return;
    c->out_len -= taken;
    memmove(c->out, c->out + taken, c->out_len);
    if (c->out_len)
        return;
    watch(c, EPOLL_CTL_MOD);
    pump(c);
}

static void accept_all(int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *c = connections[fd] = calloc(1, sizeof *c);
        c->fd = fd, c->timer = -1;
        watch(c, EPOLL_CTL_ADD);
    }
}

static void tick(Connection *c)
{
    unsigned long long times = 0;
    if (read(c->timer, &times, sizeof times) == sizeof times)
        c->owed += times;
    pump(c);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    int on = 1, listener = event.data.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        return perror("upstream"), 1;
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            Connection *c = connections[fd];
            if (fd == listener)
                accept_all(listener);
            else if (c && fd == c->timer)
                tick(c);
            else if (c && events[i].events & EPOLLOUT)
                write_more(c);
            else if (c)
                read_more(c);
        }
    }
}
