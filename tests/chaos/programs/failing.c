/* A disk that fails: writes and syncs of files under a folder return an error after a number of them. Built by test_disks.

   FAIL_UNDER   the folder
   FAIL_AFTER   how many calls succeed
   FAIL_TIMES   how many fail then; the ones after them succeed again (default: all fail)
   FAIL_WHAT    "write", "sync" or "both": which calls are counted and fail
   FAIL_WITH    the errno
   FAIL_COUNT   a file that gets one byte for each call that was counted */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long counted;

static int is_ours(int fd) {
    const char *under = getenv("FAIL_UNDER");
    char link[64], path[PATH_MAX];
    if (under == NULL) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    size_t size = strlen(under);
    return strncmp(path, under, size) == 0 && (path[size] == 0 || path[size] == '/');
}

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text == NULL ? otherwise : atol(text);
}

/* Whether this call fails; errno is set then. */
static int fails(int fd, const char *what) {
    int before = errno;
    const char *wanted = getenv("FAIL_WHAT");
    if (wanted == NULL || (strcmp(wanted, "both") != 0 && strcmp(wanted, what) != 0) || !is_ours(fd)) {
        errno = before;
        return 0;
    }
    const char *tally = getenv("FAIL_COUNT");
    int out = tally == NULL ? -1 : open(tally, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (out >= 0) {
        ssize_t (*true_write)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
        if (true_write(out, ".", 1) < 0) abort();
        close(out);
    }
    long at = atomic_fetch_add(&counted, 1), after = number("FAIL_AFTER", LONG_MAX);
    errno = before;
    if (at < after || at - after >= number("FAIL_TIMES", LONG_MAX)) return 0;
    errno = (int)number("FAIL_WITH", EIO);
    return 1;
}

#define FAILING(type, name, what, declared, passed)                      \
    type name declared {                                                 \
        static type(*next) declared;                                     \
        if (next == NULL) next = (type(*) declared)dlsym(RTLD_NEXT, #name); \
        return fails(fd, what) ? -1 : next passed;                       \
    }

FAILING(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size))
FAILING(ssize_t, pwrite, "write", (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
FAILING(ssize_t, pwrite64, "write", (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
FAILING(int, ftruncate, "write", (int fd, off_t size), (fd, size))
FAILING(int, ftruncate64, "write", (int fd, off64_t size), (fd, size))
FAILING(int, fsync, "sync", (int fd), (fd))
FAILING(int, fdatasync, "sync", (int fd), (fd))
