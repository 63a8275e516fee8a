/* Fails the n-th call that changes a file of SQLite: loaded before libc (LD_PRELOAD), armed by the program itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum fault { NONE, NO_SPACE, IO_ERROR, SHORT, KILL_BEFORE, KILL_TORN, KILL_AFTER };

static atomic_long calls;
static long first, last; /* calls that fail, from 1; first 0: none */
static enum fault how;
static char file[256]; /* only files with this in their path count */

void faulty_disk_arm(const char *part_of_path, long number, long count, int fault) {
    strncpy(file, part_of_path, sizeof file - 1);
    calls = 0;
    how = fault;
    last = number + count - 1;
    first = number;
}

long faulty_disk_calls(void) { return calls; }

static int concerns(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, file) != NULL;
}

static enum fault fate(int descriptor) {
    if (!first || !concerns(descriptor)) return NONE;
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (number < first || number > last) return NONE;
    if (how == KILL_BEFORE) kill(getpid(), SIGKILL);
    /* What was cut short is tried again by its caller; then there is no room for the rest. */
    return how == SHORT && number > first ? NO_SPACE : how;
}

static int failure(enum fault fault) {
    errno = fault == IO_ERROR ? EIO : ENOSPC;
    return -1;
}

static int done(enum fault fault, int result) {
    if (fault >= KILL_BEFORE) kill(getpid(), SIGKILL);
    return result;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    enum fault fault = fate(descriptor);
    if (fault == NO_SPACE || fault == IO_ERROR) return failure(fault);
    if (fault == SHORT || fault == KILL_TORN) count = (count + 1) / 2;
    ssize_t written = REAL(pwrite64)(descriptor, bytes, count, offset);
    if (fault >= KILL_BEFORE) kill(getpid(), SIGKILL);
    return written;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}

/* Nothing of these can be done by half. */
#define WHOLE(name, parameters, arguments)                                                  \
    int name parameters {                                                                   \
        enum fault fault = fate(descriptor);                                                \
        if (fault == NO_SPACE || fault == IO_ERROR || fault == SHORT) return failure(fault); \
        return done(fault, REAL(name) arguments);                                           \
    }

WHOLE(fdatasync, (int descriptor), (descriptor))
WHOLE(fsync, (int descriptor), (descriptor))
WHOLE(ftruncate, (int descriptor, off_t length), (descriptor, length))
WHOLE(ftruncate64, (int descriptor, off64_t length), (descriptor, length))
