/* Guests for a lock daemon, and calls to it, cheap enough not to be what is measured.
 *
 *     load SOCKET LOCKSPACE
 *
 * reads commands from its standard input, one a line, and answers each with one line:
 *
 *     guests N          connect and register until N idle guests are connected       -> N
 *     hold K            every guest takes K locks of its own                          -> locks
 *     clients N         connect and register until N clients for the following are there -> N
 *     pairs ACTIVE MS   ACTIVE clients acquire and release names in turn for MS milliseconds,
 *                       one call each under way -> calls, ns in all, ns p50, ns p99, ns max
 *     outage PID SIGNAL MS
 *                       send the signal, then call again and again for MS milliseconds ->
 *                       ns of the longest call, ns from the signal to the end of that call
 *     bare MS           the system calls behind such a pair, without any daemon
 *                       -> calls (two a pair), ns in all
 *
 * A guest is a process of its own, which sleeps, and a connection that this process makes for it
 * as libvirtd does: the registered pid is not the peer's, so a daemon has no reason to kill
 * a process when the connection closes. The guests end with this process. A connection that is
 * refused because no daemon listens yet is tried again for ten seconds. Whatever else goes wrong ends
 * the program with a message and status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 500, MOST_GUESTS = 15000, MOST_ACTIVE = 64, HEADER = 28, ERROR_TEXT = 44 };
enum { PROGRAM = 0xEA7BEEF, VERSION = 1 };
enum { REGISTER = 1, ACQUIRE = 6, RELEASE = 7, CREATE_LOCKSPACE = 8 };
enum { AUTOCREATE = 2 };

struct call {
    uint32_t size;
    uint8_t bytes[1024];
};

struct client {
    int connection;
    pid_t guest;
    int name;       /* the name it holds, or is about to take */
    int procedure;  /* the call under way */
    int64_t sent;
};

static const char *socket_path, *lockspace;
static struct client guests[MOST_GUESTS], active[MOST_ACTIVE];
static int guest_count, active_count;
static struct call acquire[NAMES], release_[NAMES];

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* The message of a call, built from its parts. */

static void put(struct call *call, uint32_t value)
{
    value = htonl(value);
    memcpy(call->bytes + call->size, &value, 4);
    call->size += 4;
}

static void put_string(struct call *call, const char *text)
{
    uint32_t length = strlen(text), padded = (length + 3) & ~3U;
    if (call->size + 4 + padded > sizeof call->bytes)
        errno = ENAMETOOLONG, die(text);
    put(call, length);
    memset(call->bytes + call->size, 0, padded);
    memcpy(call->bytes + call->size, text, length);
    call->size += padded;
}

static void begin(struct call *call, uint32_t procedure)
{
    call->size = 4;
    put(call, PROGRAM);
    put(call, VERSION);
    put(call, procedure);
    put(call, 0); /* a call */
    put(call, 1); /* serial */
    put(call, 0); /* status */
}

static void end(struct call *call)
{
    uint32_t size = htonl(call->size);
    memcpy(call->bytes, &size, 4);
}

static void resource_call(struct call *call, uint32_t procedure, const char *name, uint32_t flags)
{
    begin(call, procedure);
    put_string(call, lockspace);
    put_string(call, name);
    put(call, flags);
    end(call);
}

static void send_call(struct client *client, const struct call *call, int procedure)
{
    client->procedure = procedure;
    client->sent = now();
    if (write(client->connection, call->bytes, call->size) != (ssize_t)call->size)
        die("write");
}

/* Wait for the reply; an error in it, or a connection that is closed, ends the program. */
static void receive_reply(struct client *client)
{
    uint8_t reply[4096];
    uint32_t size = 0, wanted = HEADER, status;
    while (size < wanted) {
        ssize_t count = read(client->connection, reply + size, sizeof reply - size);
        if (count <= 0)
            die(count ? "read" : "the daemon closed the connection");
        size += count;
        if (size >= 4) {
            memcpy(&wanted, reply, 4);
            wanted = ntohl(wanted);
        }
        if (wanted > sizeof reply)
            errno = EMSGSIZE, die("reply");
    }
    memcpy(&status, reply + 24, 4);
    if (status || wanted != HEADER) {
        fprintf(stderr, "load: procedure %d: %.*s\n", client->procedure,
                wanted > ERROR_TEXT ? (int)(wanted - ERROR_TEXT) : 0, reply + ERROR_TEXT);
        exit(1);
    }
}

static void do_call(struct client *client, const struct call *call, int procedure)
{
    send_call(client, call, procedure);
    receive_reply(client);
}

/* A process that is there and does nothing, with nothing of ours open. */
static pid_t sleeping_process(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        die("fork");
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(0, ~0U, 0);
    while (getppid() == parent)
        pause();
    _exit(0);
}

static int connection_to_daemon(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t deadline = now() + INT64_C(10000000000);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    for (;;) {
        int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection < 0)
            die("socket");
        if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0)
            return connection;
        if ((errno != ENOENT && errno != ECONNREFUSED) || now() > deadline)
            die(socket_path);
        close(connection);
        usleep(100);
    }
}

static void connect_client(struct client *client)
{
    struct call call;
    char name[32];
    client->connection = connection_to_daemon();
    client->guest = sleeping_process();
    snprintf(name, sizeof name, "guest%d", client->guest);
    begin(&call, REGISTER);
    memset(call.bytes + call.size, 0xA5, 16);
    memcpy(call.bytes + call.size, &client->guest, sizeof client->guest);
    call.size += 16;
    put_string(&call, name);
    put(&call, client->guest); /* id: anything but 0 */
    put(&call, client->guest);
    put(&call, 0);
    end(&call);
    do_call(client, &call, REGISTER);
}

/* The commands. */

static void connect_guests(int wanted)
{
    if (wanted > MOST_GUESTS)
        errno = E2BIG, die("guests");
    while (guest_count < wanted)
        connect_client(&guests[guest_count++]);
    printf("%d\n", guest_count);
}

static void create_lockspace(struct client *client)
{
    struct call call;
    begin(&call, CREATE_LOCKSPACE);
    put_string(&call, lockspace);
    put(&call, 0);
    end(&call);
    do_call(client, &call, CREATE_LOCKSPACE);
}

static void activate(int wanted)
{
    if (wanted < 1 || wanted > MOST_ACTIVE)
        errno = EINVAL, die("active clients");
    while (active_count < wanted) {
        connect_client(&active[active_count]);
        create_lockspace(&active[active_count++]);
    }
}

static void hold_locks(int each)
{
    struct call call;
    char name[65];
    activate(1);
    for (int guest = 0; guest < guest_count; guest++)
        for (int lock = 0; lock < each; lock++) {
            snprintf(name, sizeof name, "%032x%032x", guest + 1, lock);
            resource_call(&call, ACQUIRE, name, AUTOCREATE);
            do_call(&guests[guest], &call, ACQUIRE);
        }
    printf("%d\n", guest_count * each);
}

static void connect_active(int wanted)
{
    activate(wanted);
    printf("%d\n", active_count);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t *latencies;
static size_t latency_count, latency_room;

static void note_latency(int64_t latency)
{
    if (latency_count == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies)
            die("realloc");
    }
    latencies[latency_count++] = latency;
}

/* Send what comes next for the client: a release after an acquire, the next name after that.
 * False when nothing is left to begin. */
static int send_next(struct client *client, int *next_name, int64_t deadline)
{
    if (client->procedure == ACQUIRE) {
        send_call(client, &release_[client->name], RELEASE);
        return 1;
    }
    if (now() >= deadline)
        return 0;
    client->name = *next_name;
    *next_name = (*next_name + 1) % NAMES;
    send_call(client, &acquire[client->name], ACQUIRE);
    return 1;
}

static void acquire_and_release(int clients, int milliseconds)
{
    static int next_name;
    struct pollfd polled[MOST_ACTIVE];
    int busy = clients;
    int64_t start, deadline, ended;
    activate(clients);
    latency_count = 0;
    start = now();
    deadline = start + milliseconds * INT64_C(1000000);
    for (int i = 0; i < clients; i++) {
        polled[i] = (struct pollfd){.fd = active[i].connection, .events = POLLIN};
        active[i].procedure = RELEASE;
        send_next(&active[i], &next_name, deadline);
    }
    while (busy) {
        if (clients > 1 && poll(polled, clients, -1) < 0)
            die("poll");
        for (int i = 0; i < clients; i++) {
            if (clients > 1 && !polled[i].revents)
                continue;
            receive_reply(&active[i]);
            note_latency(now() - active[i].sent);
            if (!send_next(&active[i], &next_name, deadline)) {
                polled[i].fd = -1;
                busy--;
            }
        }
    }
    ended = now();
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("%zu %jd %jd %jd %jd\n", latency_count, (intmax_t)(ended - start),
           (intmax_t)latencies[latency_count / 2], (intmax_t)latencies[latency_count * 99 / 100],
           (intmax_t)latencies[latency_count - 1]);
}

static void measure_outage(pid_t pid, int signal_number, int milliseconds)
{
    int64_t sent, ended, longest = 0, answered = 0;
    struct client *client = active;
    activate(1);
    sent = now();
    if (kill(pid, signal_number) < 0)
        die("kill");
    do {
        do_call(client, client->procedure == ACQUIRE ? &release_[0] : &acquire[0],
                client->procedure == ACQUIRE ? RELEASE : ACQUIRE);
        ended = now();
        if (ended - client->sent > longest) {
            longest = ended - client->sent;
            answered = ended - sent;
        }
    } while (ended < sent + milliseconds * INT64_C(1000000) || client->procedure == ACQUIRE);
    printf("%jd %jd\n", (intmax_t)longest, (intmax_t)answered);
}

static void bare_pair(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    struct stat by_descriptor, by_path;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || fcntl(file, F_OFD_SETLK, &lock) || fstat(file, &by_descriptor)
        || stat(path, &by_path) || by_descriptor.st_ino != by_path.st_ino || unlink(path)
        || close(file))
        die(path);
}

static void bare_calls(int milliseconds)
{
    static char paths[NAMES][4096];
    int64_t start = now(), ended, calls = 0;
    for (int i = 0; i < NAMES; i++)
        snprintf(paths[i], sizeof paths[i], "%s/bare-%059d", lockspace, i);
    do {
        for (int i = 0; i < NAMES; i++, calls += 2)
            bare_pair(paths[i]);
        ended = now();
    } while (ended < start + milliseconds * INT64_C(1000000));
    printf("%jd %jd\n", (intmax_t)calls, (intmax_t)(ended - start));
}

int main(int count, char **arguments)
{
    char line[256], name[65];
    int a, b, c;
    if (count != 3) {
        fprintf(stderr, "usage: load SOCKET LOCKSPACE\n");
        return 2;
    }
    socket_path = arguments[1];
    lockspace = arguments[2];
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "%064x", i); /* as long as a SHA-256 */
        resource_call(&acquire[i], ACQUIRE, name, AUTOCREATE);
        resource_call(&release_[i], RELEASE, name, 0);
    }
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "guests %d", &a) == 1)
            connect_guests(a);
        else if (sscanf(line, "hold %d", &a) == 1)
            hold_locks(a);
        else if (sscanf(line, "clients %d", &a) == 1)
            connect_active(a);
        else if (sscanf(line, "pairs %d %d", &a, &b) == 2)
            acquire_and_release(a, b);
        else if (sscanf(line, "outage %d %d %d", &a, &b, &c) == 3)
            measure_outage(a, b, c);
        else if (sscanf(line, "bare %d", &a) == 1)
            bare_calls(a);
        else
            errno = EINVAL, die(line);
    }
    return 0;
}
