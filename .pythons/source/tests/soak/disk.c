/* A disk that fails on purpose, preloaded between SQLite and the kernel: cc -shared -fPIC -o disk.so disk.c -ldl

The file that CALLPATH_TEST_DISK names holds one letter, read at each write to a call log: n (no space), r (read-only),
f (fsync fails), s (fsync is slow: a tenth of a second); any other: the disk is well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_the_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "callpath.db") != NULL;
}

static char mode(int fd) {
    char word = 0;
    const char *file = getenv("CALLPATH_TEST_DISK");
    if (file == NULL || !is_the_log(fd)) return 0;
    int opened = open(file, O_RDONLY | O_CLOEXEC);
    if (opened < 0) return 0;
    if (read(opened, &word, 1) < 1) word = 0;
    close(opened);
    return word;
}

static int refuses_write(int fd) {
    switch (mode(fd)) {
        case 'n': errno = ENOSPC; return 1;
        case 'r': errno = EROFS; return 1;
        default: return 0;
    }
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    return refuses_write(fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite");
    return refuses_write(fd) ? -1 : real(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return refuses_write(fd) ? -1 : real(fd, data, size);
}

static int sync_as(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    struct timespec pause = {0, 100000000};
    switch (mode(fd)) {
        case 'f': errno = EIO; return -1;
        case 's': nanosleep(&pause, NULL);
    }
    return real(fd);
}

int fsync(int fd) { return sync_as("fsync", fd); }
int fdatasync(int fd) { return sync_as("fdatasync", fd); }
