/* Records what a process does to the files below SHIM_DIR, in the order in which it was done, into SHIM_LOG.
 *
 * A record: char op, char sync-or-flags, u16 path length, u32 data length, i64 a, i64 b, path, data (little-endian).
 *   O open (a: fd, b: flags)   W write (a: offset; path)   S fdatasync/fsync (path)   A allocate (a: size)
 *   T truncate (a: size)       R rename (path -> data)     U unlink                   M written to SHIM_MARK (data)
 * One lock is held around each real call and its record, so the order is exact: a sync covers the writes before it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *names[FILES];
static const char *directory, *mark;
static int out = -1;

__attribute__((constructor)) static void start(void) {
    directory = getenv("SHIM_DIR");
    mark = getenv("SHIM_MARK");
    const char *log = getenv("SHIM_LOG");
    if (directory && mark && log)
        out = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t size) {
    const char *at = data;
    while (size > 0) {
        ssize_t n = syscall(SYS_write, out, at, size);
        if (n <= 0) abort();
        at += n;
        size -= n;
    }
}

static void record(char op, const char *path, int64_t a, int64_t b, const struct iovec *parts, int count, size_t size) {
    struct __attribute__((packed)) { char op, flag; uint16_t path; uint32_t data; int64_t a, b; } head;
    head.op = op; head.flag = 0; head.path = strlen(path); head.data = size; head.a = a; head.b = b;
    put(&head, sizeof head);
    put(path, head.path);
    for (int i = 0; i < count && size > 0; i++) {
        size_t n = parts[i].iov_len < size ? parts[i].iov_len : size;
        put(parts[i].iov_base, n);
        size -= n;
    }
}

static int ours(const char *path) {
    return out >= 0 && (!strncmp(path, directory, strlen(directory)) || !strcmp(path, mark));
}

static const char *named(int fd) { return fd >= 0 && fd < FILES ? names[fd] : NULL; }

static int opened(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < FILES && ours(path)) {
        free(names[fd]);
        names[fd] = strdup(path);
        record('O', path, fd, flags, NULL, 0, 0);
    }
    return fd;
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&lock);
    int fd = opened(syscall(SYS_openat, at, path, flags, mode), path, flags);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list)
int open(const char *path, int flags, ...) { MODE; return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE; return do_open(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE; return do_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE; return do_open(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (named(fd)) { free(names[fd]); names[fd] = NULL; }
    int result = syscall(SYS_close, fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static ssize_t wrote(int fd, ssize_t n, int64_t at, const struct iovec *parts, int count) {
    if (n > 0) record(strcmp(named(fd), mark) ? 'W' : 'M', named(fd), at, 0, parts, count, n);
    return n;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!named(fd)) return syscall(SYS_write, fd, data, size);
    struct iovec part = {(void *)data, size};
    pthread_mutex_lock(&lock);
    int64_t at = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t n = wrote(fd, syscall(SYS_write, fd, data, size), at, &part, 1);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}

static ssize_t do_pwrite(int fd, const void *data, size_t size, off64_t at) {
    if (!named(fd)) return syscall(SYS_pwrite64, fd, data, size, at);
    struct iovec part = {(void *)data, size};
    pthread_mutex_lock(&lock);
    ssize_t n = wrote(fd, syscall(SYS_pwrite64, fd, data, size, at), at, &part, 1);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return do_pwrite(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return do_pwrite(fd, data, size, at); }

static ssize_t do_pwritev(int fd, const struct iovec *parts, int count, off64_t at) {
    if (!named(fd)) return syscall(SYS_pwritev, fd, parts, (unsigned long)count, (unsigned long)at, 0);
    pthread_mutex_lock(&lock);
    ssize_t n = wrote(fd, syscall(SYS_pwritev, fd, parts, (unsigned long)count, (unsigned long)at, 0), at, parts, count);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return do_pwritev(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return do_pwritev(fd, parts, count, at); }
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) { return do_pwritev(fd, parts, count, at); }
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) { return do_pwritev(fd, parts, count, at); }

static int did(int result, char op, const char *path, int64_t a, const char *other) {
    int error = errno;
    struct iovec part = {(void *)other, other ? strlen(other) : 0};
    if (result == 0) record(op, path, a, 0, &part, 1, part.iov_len);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fdatasync(int fd) {
    if (!named(fd)) return syscall(SYS_fdatasync, fd);
    pthread_mutex_lock(&lock);
    return did(syscall(SYS_fdatasync, fd), 'S', named(fd), 0, NULL);
}
int fsync(int fd) {
    if (!named(fd)) return syscall(SYS_fsync, fd);
    pthread_mutex_lock(&lock);
    return did(syscall(SYS_fsync, fd), 'S', named(fd), 0, NULL);
}
static int do_allocate(int fd, off64_t from, off64_t size) {
    if (!named(fd)) return syscall(SYS_fallocate, fd, 0, from, size) ? errno : 0;
    pthread_mutex_lock(&lock);
    return did(syscall(SYS_fallocate, fd, 0, from, size), 'A', named(fd), from + size, NULL) ? errno : 0;
}
int posix_fallocate(int fd, off_t from, off_t size) { return do_allocate(fd, from, size); }
int posix_fallocate64(int fd, off64_t from, off64_t size) { return do_allocate(fd, from, size); }
static int do_truncate(int fd, off64_t size) {
    if (!named(fd)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    return did(syscall(SYS_ftruncate, fd, size), 'T', named(fd), size, NULL);
}
int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
int ftruncate64(int fd, off64_t size) { return do_truncate(fd, size); }
int rename(const char *old, const char *new) {
    if (!ours(old)) return syscall(SYS_rename, old, new);
    pthread_mutex_lock(&lock);
    return did(syscall(SYS_rename, old, new), 'R', old, 0, new);
}
int unlink(const char *path) {
    if (!ours(path)) return syscall(SYS_unlink, path);
    pthread_mutex_lock(&lock);
    return did(syscall(SYS_unlink, path), 'U', path, 0, NULL);
}
