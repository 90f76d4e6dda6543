/* Records what a process asks of the disk: preloaded, it writes every write, truncation, flush and removal below
 * EDGE_RNN_LOG_ROOT, with its data and in its order, to EDGE_RNN_LOG. It changes nothing of what is done.
 *
 * A record: kind u8, path length u16, offset u64, data length u32, path, data; little-endian as the host is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -2;
static char root[512];

static void put(const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    const char *at = data;
    while (size > 0) {
        ssize_t done = real(log_fd, at, size);
        if (done <= 0) {
            abort();
        }
        at += done;
        size -= (size_t)done;
    }
}

static void begin(void)
{
    if (log_fd == -2) {
        const char *name = getenv("EDGE_RNN_LOG"), *where = getenv("EDGE_RNN_LOG_ROOT");
        log_fd = name && where ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        snprintf(root, sizeof root, "%s", where ? where : "");
    }
}

static void record(char kind, const char *path, uint64_t offset, const void *data, uint32_t size)
{
    pthread_mutex_lock(&lock);
    begin();
    if (log_fd >= 0 && strncmp(path, root, strlen(root)) == 0) {
        uint16_t length = (uint16_t)strlen(path);
        put(&kind, 1);
        put(&length, 2);
        put(&offset, 8);
        put(&size, 4);
        put(path, length);
        put(data, size);
    }
    pthread_mutex_unlock(&lock);
}

static void record_fd(char kind, int fd, uint64_t offset, const void *data, uint32_t size)
{
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        record(kind, path, offset, data, size);
    }
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    ssize_t done = REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, data, size, at);
    if (done > 0) {
        record_fd('W', fd, (uint64_t)at, data, (uint32_t)done);
    }
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(ssize_t, "write", int, const void *, size_t)(fd, data, size);
    if (done > 0 && at >= 0) {
        record_fd('W', fd, (uint64_t)at, data, (uint32_t)done);
    }
    return done;
}

int ftruncate64(int fd, off64_t size)
{
    int done = REAL(int, "ftruncate64", int, off64_t)(fd, size);
    if (done == 0) {
        record_fd('T', fd, (uint64_t)size, "", 0);
    }
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd)
{
    int done = REAL(int, "fsync", int)(fd);
    record_fd('S', fd, 0, "", 0);
    return done;
}

int fdatasync(int fd)
{
    int done = REAL(int, "fdatasync", int)(fd);
    record_fd('S', fd, 0, "", 0);
    return done;
}

int unlink(const char *path)
{
    int done = REAL(int, "unlink", const char *)(path);
    if (done == 0) {
        record('U', path, 0, "", 0);
    }
    return done;
}
