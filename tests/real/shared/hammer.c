/* A guest that takes and releases one resource of a lock daemon as fast as it can.
 *
 *     hammer SOCKET LOCKSPACE RESOURCE SECONDS GRANTS HOLD
 *
 * registers itself, makes LOCKSPACE known, then acquires and releases RESOURCE there, created where
 * it is missing, until SECONDS are over or it was granted GRANTS times (0: no limit). It keeps the
 * resource for HOLD microseconds. A refused acquisition is tried again at once.
 *
 * It prints, when it is through, one line for each time it owned the resource,
 *
 *     own BEGIN END
 *
 * in nanoseconds of CLOCK_MONOTONIC: BEGIN is after the grant was read, END before the release is
 * sent, so the resource was surely this guest's in between. Then a line for each kind of failed
 * call, with the first message of that kind:
 *
 *     fail PROCEDURE CODE COUNT MESSAGE
 *
 * Exit status: 0 when it ran to its end, 1 when it could not talk to the daemon, 2 wrong usage.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PROGRAM = 0xEA7BEEF, VERSION = 1 };
enum { REGISTER = 1, ACQUIRE = 6, RELEASE = 7, CREATE_LOCKSPACE = 8 };
enum { AUTOCREATE = 2 };
enum { HEADER = 28, MESSAGE = 65536, KINDS = 64 };

struct buffer {
    unsigned char bytes[MESSAGE];
    size_t length;
};

static struct buffer call, reply;
static int daemon_socket;

static struct {
    unsigned procedure, code;
    unsigned long count;
    char message[256];
} kinds[KINDS];
static size_t kinds_seen;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void put(uint32_t value)
{
    value = htonl(value);
    memcpy(call.bytes + call.length, &value, 4);
    call.length += 4;
}

static void put_bytes(const void *bytes, size_t length)
{
    memcpy(call.bytes + call.length, bytes, length);
    memset(call.bytes + call.length + length, 0, 3);
    call.length += (length + 3) / 4 * 4;
}

static void put_string(const char *text)
{
    size_t length = strlen(text);
    if (length > 4096)
        errx(2, "too long: %s", text);
    put(length);
    put_bytes(text, length);
}

static uint32_t number_at(size_t offset)
{
    uint32_t value;
    memcpy(&value, reply.bytes + offset, 4);
    return ntohl(value);
}

static void start_call(unsigned procedure)
{
    static unsigned serial;
    call.length = 4;
    put(PROGRAM);
    put(VERSION);
    put(procedure);
    put(0);
    put(++serial);
    put(0);
}

static void read_exactly(void *where, size_t length)
{
    while (length) {
        ssize_t got = read(daemon_socket, where, length);
        if (got < 0)
            err(1, "read");
        if (got == 0)
            errx(1, "the daemon closed the connection");
        where = (char *)where + got;
        length -= got;
    }
}

static void record_failure(unsigned procedure)
{
    unsigned code = number_at(HEADER);
    size_t kind = 0;
    while (kind < kinds_seen
           && (kinds[kind].procedure != procedure || kinds[kind].code != code))
        kind++;
    if (kind == KINDS)
        return;
    if (kind == kinds_seen) {
        kinds_seen++;
        kinds[kind].procedure = procedure;
        kinds[kind].code = code;
        /* code, domain, whether there is a message, its length */
        if (reply.length >= HEADER + 16 && number_at(HEADER + 8)) {
            size_t length = number_at(HEADER + 12);
            if (length > sizeof kinds[kind].message - 1)
                length = sizeof kinds[kind].message - 1;
            memcpy(kinds[kind].message, reply.bytes + HEADER + 16, length);
        }
    }
    kinds[kind].count++;
}

/* Whether the call that was put together succeeded. */
static int succeeds(unsigned procedure)
{
    uint32_t length = htonl(call.length);
    memcpy(call.bytes, &length, 4);
    if (write(daemon_socket, call.bytes, call.length) != (ssize_t)call.length)
        err(1, "write");
    read_exactly(reply.bytes, 4);
    reply.length = number_at(0);
    if (reply.length < HEADER || reply.length > MESSAGE)
        errx(1, "a reply of %zu bytes", reply.length);
    read_exactly(reply.bytes + 4, reply.length - 4);
    if (number_at(24) == 0)
        return 1;
    record_failure(procedure);
    return 0;
}

static int resource_call(unsigned procedure, const char *lockspace, const char *name)
{
    start_call(procedure);
    put_string(lockspace);
    put_string(name);
    put(procedure == ACQUIRE ? AUTOCREATE : 0);
    return succeeds(procedure);
}

static void connect_and_register(const char *path, const char *lockspace)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        errx(2, "too long: %s", path);
    strcpy(address.sun_path, path);
    daemon_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(daemon_socket, (struct sockaddr *)&address, sizeof address))
        err(1, "%s", path);

    char host[65] = "";
    gethostname(host, sizeof host);
    unsigned char uuid[16] = "hammer";
    memcpy(uuid + 8, host, 8);
    start_call(REGISTER);
    put_bytes(uuid, sizeof uuid);
    put_string(host);
    put(1);
    put(getpid());
    put(0);
    if (!succeeds(REGISTER))
        errx(1, "cannot register: %s", kinds[0].message);

    start_call(CREATE_LOCKSPACE);
    put_string(lockspace);
    if (!succeeds(CREATE_LOCKSPACE))
        errx(1, "cannot create the lockspace: %s", kinds[0].message);
}

int main(int count, char **arguments)
{
    if (count != 7) {
        fprintf(stderr, "usage: hammer SOCKET LOCKSPACE RESOURCE SECONDS GRANTS HOLD\n");
        return 2;
    }
    const char *lockspace = arguments[2], *resource = arguments[3];
    int64_t seconds = atoll(arguments[4]), limit = atoll(arguments[5]);
    useconds_t hold = atoll(arguments[6]);
    struct ownership {
        int64_t begin, end;
    } *owned = NULL;
    int64_t grants = 0, room = 0;

    connect_and_register(arguments[1], lockspace);
    int64_t stop = now() + seconds * INT64_C(1000000000);
    while (now() < stop && (limit == 0 || grants < limit)) {
        if (!resource_call(ACQUIRE, lockspace, resource))
            continue;
        int64_t begin = now();
        if (grants == room) {
            room = room ? room * 2 : 1024;
            owned = realloc(owned, room * sizeof *owned);
            if (!owned)
                err(1, "realloc");
        }
        if (hold)
            usleep(hold);
        owned[grants++] = (struct ownership){begin, now()};
        resource_call(RELEASE, lockspace, resource);
    }
    for (int64_t grant = 0; grant < grants; grant++)
        printf("own %lld %lld\n", (long long)owned[grant].begin, (long long)owned[grant].end);
    for (size_t kind = 0; kind < kinds_seen; kind++)
        printf("fail %u %u %lu %s\n", kinds[kind].procedure, kinds[kind].code,
               kinds[kind].count, kinds[kind].message);
    return 0;
}
