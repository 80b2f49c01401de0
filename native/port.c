/*
 * What a plugin asks of the system, for QuickJS-ng: the executable's main function, and an object `port` with one function a need. Everything
 * is synchronous, as a plugin does one thing after the other and ends. Failed system calls are thrown as Node does, with `code`, `errno`,
 * `syscall` and `path`; the functions that are called as those of libc (setns, flock, socket, send, recv) return what those return.
 *
 * Its JavaScript side is src/cni/native; src/cni/native/port.ts declares each of these functions.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "heap.h"
#include "netlink.h"
#include "quickjs.h"
#include "sha2.h"

extern char **environ;

/* What a call may use at most. The reference's largest calls stay below 100 MB. */
#define MEMORY_LIMIT ((size_t)512 * 1024 * 1024)
/* Below this much nobody looks for cycles: a call ends before it would gain. */
#define GC_THRESHOLD ((size_t)64 * 1024 * 1024)
#define STACK_LIMIT ((size_t)4 * 1024 * 1024)

/* ---- errors ---- */

static const struct {
    int number;
    const char *name;
    const char *text;
} ERRORS[] = {
    {E2BIG, "E2BIG", "argument list too long"},
    {EACCES, "EACCES", "permission denied"},
    {EAGAIN, "EAGAIN", "resource temporarily unavailable"},
    {EBADF, "EBADF", "bad file descriptor"},
    {ECHILD, "ECHILD", "no child process"},
    {EBUSY, "EBUSY", "resource busy or locked"},
    {ECONNREFUSED, "ECONNREFUSED", "connection refused"},
    {ECONNRESET, "ECONNRESET", "connection reset by peer"},
    {EDQUOT, "EDQUOT", "disk quota exceeded"},
    {EEXIST, "EEXIST", "file already exists"},
    {EFBIG, "EFBIG", "file too large"},
    {EINVAL, "EINVAL", "invalid argument"},
    {EIO, "EIO", "i/o error"},
    {EISDIR, "EISDIR", "illegal operation on a directory"},
    {ELOOP, "ELOOP", "too many symbolic links encountered"},
    {EMFILE, "EMFILE", "too many open files"},
    {EMSGSIZE, "EMSGSIZE", "message too long"},
    {ENAMETOOLONG, "ENAMETOOLONG", "name too long"},
    {ENFILE, "ENFILE", "file table overflow"},
    {ENOBUFS, "ENOBUFS", "no buffer space available"},
    {ENODEV, "ENODEV", "no such device"},
    {ENOENT, "ENOENT", "no such file or directory"},
    {ENOEXEC, "ENOEXEC", "exec format error"},
    {ENOMEM, "ENOMEM", "not enough memory"},
    {ENOSPC, "ENOSPC", "no space left on device"},
    {ENOSYS, "ENOSYS", "function not implemented"},
    {ENOTDIR, "ENOTDIR", "not a directory"},
    {ENOTEMPTY, "ENOTEMPTY", "directory not empty"},
    {ENXIO, "ENXIO", "no such device or address"},
    {EOPNOTSUPP, "EOPNOTSUPP", "operation not supported on socket"},
    {EPERM, "EPERM", "operation not permitted"},
    {EPIPE, "EPIPE", "broken pipe"},
    {ESTALE, "ESTALE", "stale file handle"},
    {EROFS, "EROFS", "read-only file system"},
    {ESRCH, "ESRCH", "no such process"},
    {ETIMEDOUT, "ETIMEDOUT", "connection timed out"},
    {ETXTBSY, "ETXTBSY", "text file is busy"},
    {EXDEV, "EXDEV", "cross-device link not permitted"},
};

/* Throws the error of a system call, in Node's words: `ENOENT: no such file or directory, open '/x'`. */
static JSValue failed(JSContext *ctx, int number, const char *syscall_name, const char *path)
{
    char unnamed[24];
    const char *name = NULL, *text = NULL;
    for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
        if (ERRORS[i].number == number) {
            name = ERRORS[i].name;
            text = ERRORS[i].text;
        }
    }
    if (name == NULL) {
        snprintf(unnamed, sizeof(unnamed), "E%d", number);
        name = unnamed;
        text = strerror(number);
    }
    JSValue error = JS_NewError(ctx);
    if (JS_IsException(error)) return error;
    char message[PATH_MAX + 256];
    if (path != NULL) snprintf(message, sizeof(message), "%s: %s, %s '%s'", name, text, syscall_name, path);
    else snprintf(message, sizeof(message), "%s: %s, %s", name, text, syscall_name);
    JS_DefinePropertyValueStr(ctx, error, "message", JS_NewString(ctx, message), JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    JS_SetPropertyStr(ctx, error, "code", JS_NewString(ctx, name));
    JS_SetPropertyStr(ctx, error, "errno", JS_NewInt32(ctx, -number));
    JS_SetPropertyStr(ctx, error, "syscall", JS_NewString(ctx, syscall_name));
    if (path != NULL) JS_SetPropertyStr(ctx, error, "path", JS_NewString(ctx, path));
    return JS_Throw(ctx, error);
}

/* A path or name: text without a NUL, which would end it early. Freed by JS_FreeCString. */
static const char *text_of(JSContext *ctx, JSValueConst value)
{
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, value);
    if (text != NULL && strlen(text) != length) {
        JS_FreeCString(ctx, text);
        JS_ThrowTypeError(ctx, "text with a NUL character where the system takes none");
        return NULL;
    }
    return text;
}

/* ---- files ---- */

static JSValue port_open(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int flags, mode;
    if (JS_ToInt32(ctx, &flags, argv[1]) || JS_ToInt32(ctx, &mode, argv[2])) return JS_EXCEPTION;
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    int fd;
    do fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
    while (fd < 0 && errno == EINTR);
    JSValue result = fd < 0 ? failed(ctx, errno, "open", path) : JS_NewInt32(ctx, fd);
    JS_FreeCString(ctx, path);
    return result;
}

static JSValue port_close(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd;
    if (JS_ToInt32(ctx, &fd, argv[0])) return JS_EXCEPTION;
    /* Linux closes it whatever it returns; asking again could close another one's. */
    if (close(fd) != 0 && errno == EBADF) return failed(ctx, errno, "close", NULL);
    return JS_UNDEFINED;
}

/* The part of a Uint8Array from offset on, of at most length bytes (all of it when negative). NULL with an exception when it is not in there. */
static uint8_t *part_of(JSContext *ctx, JSValueConst array, int64_t offset, int64_t length, size_t *size)
{
    size_t whole;
    uint8_t *bytes = JS_GetUint8Array(ctx, &whole, array);
    if (bytes == NULL) return NULL;
    if (offset < 0 || (uint64_t)offset > whole || (length >= 0 && (uint64_t)length > whole - (size_t)offset)) {
        JS_ThrowRangeError(ctx, "offset or length outside of the bytes");
        return NULL;
    }
    *size = length < 0 ? whole - (size_t)offset : (size_t)length;
    return bytes + offset;
}

/* read(fd, bytes, offset, length): how many were read. */
static JSValue port_read(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd;
    int64_t offset, length;
    size_t size;
    if (JS_ToInt32(ctx, &fd, argv[0]) || JS_ToInt64(ctx, &offset, argv[2]) || JS_ToInt64(ctx, &length, argv[3]))
        return JS_EXCEPTION;
    uint8_t *into = part_of(ctx, argv[1], offset, length, &size);
    if (into == NULL) return JS_EXCEPTION;
    ssize_t got;
    do got = read(fd, into, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return failed(ctx, errno, "read", NULL);
    return JS_NewInt64(ctx, got);
}

/* write(fd, bytes, offset): how many were written. */
static JSValue port_write(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd;
    int64_t offset;
    size_t size;
    if (JS_ToInt32(ctx, &fd, argv[0]) || JS_ToInt64(ctx, &offset, argv[2])) return JS_EXCEPTION;
    uint8_t *from = part_of(ctx, argv[1], offset, -1, &size);
    if (from == NULL) return JS_EXCEPTION;
    ssize_t put;
    do put = write(fd, from, size);
    while (put < 0 && errno == EINTR);
    if (put < 0) return failed(ctx, errno, "write", NULL);
    return JS_NewInt64(ctx, put);
}

/* wait(fd, isWrite): until a descriptor can be read or written, for one that its opener made not to wait. */
static JSValue port_wait(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd;
    if (JS_ToInt32(ctx, &fd, argv[0])) return JS_EXCEPTION;
    struct pollfd look = {.fd = fd, .events = JS_ToBool(ctx, argv[1]) ? POLLOUT : POLLIN};
    int ready;
    do ready = poll(&look, 1, -1);
    while (ready < 0 && errno == EINTR);
    if (ready < 0) return failed(ctx, errno, "poll", NULL);
    return JS_UNDEFINED;
}

static JSValue facts_of(JSContext *ctx, const struct stat *found)
{
    JSValue facts = JS_NewObject(ctx);
    JS_SetPropertyStr(ctx, facts, "dev", JS_NewInt64(ctx, (int64_t)found->st_dev));
    JS_SetPropertyStr(ctx, facts, "ino", JS_NewInt64(ctx, (int64_t)found->st_ino));
    JS_SetPropertyStr(ctx, facts, "mode", JS_NewInt32(ctx, (int)found->st_mode));
    JS_SetPropertyStr(ctx, facts, "size", JS_NewInt64(ctx, found->st_size));
    return facts;
}

/* stat(path, follow): device, inode, mode and size. */
static JSValue port_stat(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    bool follow = JS_ToBool(ctx, argv[1]);
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    struct stat found;
    int status = follow ? stat(path, &found) : lstat(path, &found);
    JSValue result = status != 0 ? failed(ctx, errno, follow ? "stat" : "lstat", path) : facts_of(ctx, &found);
    JS_FreeCString(ctx, path);
    return result;
}

static JSValue port_fstat(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd;
    struct stat found;
    if (JS_ToInt32(ctx, &fd, argv[0])) return JS_EXCEPTION;
    if (fstat(fd, &found) != 0) return failed(ctx, errno, "fstat", NULL);
    return facts_of(ctx, &found);
}

/* The magic number of the file system that a path is on. */
static JSValue port_statfs(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    struct statfs found;
    int status;
    do status = statfs(path, &found);
    while (status != 0 && errno == EINTR);
    JSValue result = status != 0 ? failed(ctx, errno, "statfs", path) : JS_NewInt64(ctx, (int64_t)found.f_type);
    JS_FreeCString(ctx, path);
    return result;
}

static JSValue port_readdir(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    DIR *directory = opendir(path);
    JSValue result;
    if (directory == NULL) {
        result = failed(ctx, errno, "scandir", path);
    } else {
        result = JS_NewArray(ctx);
        uint32_t count = 0;
        for (;;) {
            errno = 0;
            struct dirent *entry = readdir(directory);
            if (entry == NULL) break;
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
            JS_SetPropertyUint32(ctx, result, count++, JS_NewString(ctx, entry->d_name));
        }
        if (errno != 0) {
            JS_FreeValue(ctx, result);
            result = failed(ctx, errno, "scandir", path);
        }
        closedir(directory);
    }
    JS_FreeCString(ctx, path);
    return result;
}

/* The calls that take one path, by the number they are registered with. */
enum { MKDIR, UNLINK, RMDIR };

static JSValue port_one_path(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int call)
{
    static const char *const NAMES[] = {"mkdir", "unlink", "rmdir"};
    int mode = 0777;
    if (call == MKDIR && JS_ToInt32(ctx, &mode, argv[1])) return JS_EXCEPTION;
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    int status = call == MKDIR ? mkdir(path, (mode_t)mode) : call == UNLINK ? unlink(path) : rmdir(path);
    JSValue result = status != 0 ? failed(ctx, errno, NAMES[call], path) : JS_UNDEFINED;
    JS_FreeCString(ctx, path);
    return result;
}

static JSValue port_rename(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *from = text_of(ctx, argv[0]);
    if (from == NULL) return JS_EXCEPTION;
    const char *to = text_of(ctx, argv[1]);
    JSValue result = to == NULL                ? JS_EXCEPTION
                     : rename(from, to) != 0 ? failed(ctx, errno, "rename", from)
                                               : JS_UNDEFINED;
    JS_FreeCString(ctx, from);
    if (to != NULL) JS_FreeCString(ctx, to);
    return result;
}

static JSValue port_realpath(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    char *found = realpath(path, NULL);
    JSValue result = found == NULL ? failed(ctx, errno, "realpath", path) : JS_NewString(ctx, found);
    free(found);
    JS_FreeCString(ctx, path);
    return result;
}

/* Whether a path is a regular file that this process may execute. */
static JSValue port_is_program(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    struct stat found;
    bool is = stat(path, &found) == 0 && S_ISREG(found.st_mode) && access(path, X_OK) == 0;
    JS_FreeCString(ctx, path);
    return JS_NewBool(ctx, is);
}

/* ---- time and this process ---- */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

static JSValue port_now(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    return JS_NewFloat64(ctx, now_ms());
}

static JSValue port_sleep(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    double ms;
    if (JS_ToFloat64(ctx, &ms, argv[0])) return JS_EXCEPTION;
    if (!(ms > 0)) return JS_UNDEFINED;
    struct timespec left = {.tv_sec = (time_t)(ms / 1000)};
    left.tv_nsec = (long)((ms - (double)left.tv_sec * 1000) * 1e6);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
    return JS_UNDEFINED;
}

static JSValue port_exit(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int status;
    if (JS_ToInt32(ctx, &status, argv[0])) return JS_EXCEPTION;
    _exit(status);
}

/* ---- bytes and text ---- */

static JSValue port_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
    if (text == NULL) return JS_EXCEPTION;
    JSValue bytes = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text, length);
    JS_FreeCString(ctx, text);
    return bytes;
}

/* decode(bytes, offset, length): UTF-8 as text; what is none becomes U+FFFD. */
static JSValue port_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t offset, length;
    size_t size;
    if (JS_ToInt64(ctx, &offset, argv[1]) || JS_ToInt64(ctx, &length, argv[2])) return JS_EXCEPTION;
    uint8_t *bytes = part_of(ctx, argv[0], offset, length, &size);
    if (bytes == NULL) return JS_EXCEPTION;
    return JS_NewStringLen(ctx, (const char *)bytes, size);
}

/* A text of one character a byte. */
static JSValue latin1_text(JSContext *ctx, const uint8_t *bytes, size_t size)
{
    uint16_t few[512], *units = few;
    if (size > sizeof(few) / sizeof(few[0])) {
        units = js_malloc(ctx, size * sizeof(units[0]));
        if (units == NULL) return JS_EXCEPTION;
    }
    for (size_t i = 0; i < size; i++) units[i] = bytes[i];
    JSValue text = JS_NewStringUTF16(ctx, units, size);
    if (units != few) js_free(ctx, units);
    return text;
}

/* decodeLatin1(bytes, offset, length): one character a byte. */
static JSValue port_decode_latin1(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t offset, length;
    size_t size;
    if (JS_ToInt64(ctx, &offset, argv[1]) || JS_ToInt64(ctx, &length, argv[2])) return JS_EXCEPTION;
    uint8_t *bytes = part_of(ctx, argv[0], offset, length, &size);
    if (bytes == NULL) return JS_EXCEPTION;
    return latin1_text(ctx, bytes, size);
}

/* encodeLatin1(text): the low byte of each character. */
static JSValue port_encode_latin1(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    const uint16_t *units = JS_ToCStringLenUTF16(ctx, &length, argv[0]);
    if (units == NULL) return JS_EXCEPTION;
    uint8_t few[1024], *bytes = length > sizeof(few) ? js_malloc(ctx, length) : few;
    for (size_t i = 0; bytes != NULL && i < length; i++) bytes[i] = (uint8_t)units[i];
    JSValue array = bytes == NULL ? JS_EXCEPTION : JS_NewUint8ArrayCopy(ctx, bytes, length);
    if (bytes != few) js_free(ctx, bytes);
    JS_FreeCStringUTF16(ctx, units);
    return array;
}

/* fnv1a(text): of 32 bits, of the characters. */
static JSValue port_fnv1a(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    size_t length;
    uint32_t hash = 0x811c9dc5;
    const uint16_t *units = JS_ToCStringLenUTF16(ctx, &length, argv[0]);
    if (units == NULL) return JS_EXCEPTION;
    for (size_t i = 0; i < length; i++) hash = (hash ^ units[i]) * 0x01000193;
    JS_FreeCStringUTF16(ctx, units);
    return JS_NewUint32(ctx, hash);
}

/* find(bytes, sought, length): where the bytes are first found in the first `length`; -1 when they are not. */
static JSValue port_find(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t length;
    size_t size, sought_size;
    if (JS_ToInt64(ctx, &length, argv[2])) return JS_EXCEPTION;
    uint8_t *bytes = part_of(ctx, argv[0], 0, length, &size);
    if (bytes == NULL) return JS_EXCEPTION;
    uint8_t *sought = JS_GetUint8Array(ctx, &sought_size, argv[1]);
    if (sought == NULL) return JS_EXCEPTION;
    uint8_t *found = memmem(bytes, size, sought, sought_size);
    return JS_NewInt64(ctx, found == NULL ? -1 : found - bytes);
}

/* sha2(bits, bytes): the digest, of SHA-256 or SHA-512. */
static JSValue port_sha2(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int bits;
    size_t size;
    uint8_t digest[64];
    if (JS_ToInt32(ctx, &bits, argv[0])) return JS_EXCEPTION;
    if (bits != 256 && bits != 512) return JS_ThrowRangeError(ctx, "SHA-2 of %d bits is not here", bits);
    uint8_t *bytes = JS_GetUint8Array(ctx, &size, argv[1]);
    if (bytes == NULL) return JS_EXCEPTION;
    if (bits == 256) sha256(bytes, size, digest);
    else sha512(bytes, size, digest);
    return JS_NewUint8ArrayCopy(ctx, digest, (size_t)bits / 8);
}

/* ---- as in libc: what is returned is what the call returns, -1 for any error ---- */

static JSValue port_setns(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd, kind;
    if (JS_ToInt32(ctx, &fd, argv[0]) || JS_ToInt32(ctx, &kind, argv[1])) return JS_EXCEPTION;
    return JS_NewInt32(ctx, setns(fd, kind));
}

static JSValue port_flock(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd, operation, status;
    if (JS_ToInt32(ctx, &fd, argv[0]) || JS_ToInt32(ctx, &operation, argv[1])) return JS_EXCEPTION;
    do status = flock(fd, operation);
    while (status != 0 && errno == EINTR);
    return JS_NewInt32(ctx, status);
}

static JSValue port_socket(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int domain, type, protocol;
    if (JS_ToInt32(ctx, &domain, argv[0]) || JS_ToInt32(ctx, &type, argv[1]) || JS_ToInt32(ctx, &protocol, argv[2]))
        return JS_EXCEPTION;
    return JS_NewInt32(ctx, socket(domain, type | SOCK_CLOEXEC, protocol));
}

/* send(fd, bytes, length, flags) and recv(fd, bytes, length, flags) */
static JSValue port_transfer(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int is_send)
{
    int fd, flags;
    int64_t length;
    size_t size;
    if (JS_ToInt32(ctx, &fd, argv[0]) || JS_ToInt64(ctx, &length, argv[2]) || JS_ToInt32(ctx, &flags, argv[3]))
        return JS_EXCEPTION;
    if (length < 0) return JS_ThrowRangeError(ctx, "negative length");
    uint8_t *bytes = part_of(ctx, argv[1], 0, length, &size);
    if (bytes == NULL) return JS_EXCEPTION;
    ssize_t moved;
    do moved = is_send ? send(fd, bytes, size, flags) : recv(fd, bytes, size, flags);
    while (moved < 0 && errno == EINTR);
    return JS_NewInt64(ctx, moved);
}

/* Whether there is something to leave out of an answer, and what: a bit a port as in netlink.h, or bytes that are sought. */
struct wanted {
    const uint8_t *mark;
    size_t mark_size;
    struct wanted_jumps jumps;
};

/* Appends the payloads that are wanted, as sys/netlink-messages.ts does. The state of the answer; NULL with an exception. */
static const char *read_messages(JSContext *ctx, const uint8_t *bytes, size_t size, JSValueConst payloads, const struct wanted *wanted)
{
    const uint8_t *payload;
    size_t at = 0, payload_size;
    int64_t count;
    if (JS_GetLength(ctx, payloads, &count)) return NULL;
    for (;;) {
        switch (next_message(bytes, size, &at, &payload, &payload_size)) {
        case ANSWER_MORE: return "more";
        case ANSWER_COMPLETE: return "complete";
        case ANSWER_BROKEN: return "broken";
        case ANSWER_MESSAGE: break;
        }
        if (wanted->mark != NULL && memmem(payload, payload_size, wanted->mark, wanted->mark_size) == NULL) continue;
        if (wanted->jumps.ports != NULL && is_other_jump(payload, payload_size, &wanted->jumps)) continue;
        JSValue text = latin1_text(ctx, payload, payload_size);
        if (JS_IsException(text) || JS_SetPropertyInt64(ctx, payloads, count++, text) < 0) return NULL;
    }
}

/*
 * messages(bytes, size, payloads, mark, ports, chain): appends what is wanted of the netlink messages in the first `size` bytes. Returns whether the answer
 * has more of them, is complete or is broken.
 */
static JSValue port_messages(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t length;
    size_t size, ports_size;
    struct wanted wanted = {0};
    if (JS_ToInt64(ctx, &length, argv[1])) return JS_EXCEPTION;
    if (length < 0) return JS_ThrowRangeError(ctx, "negative length");
    uint8_t *bytes = part_of(ctx, argv[0], 0, length, &size);
    if (bytes == NULL) return JS_EXCEPTION;
    if (!JS_IsUndefined(argv[3]) && (wanted.mark = JS_GetUint8Array(ctx, &wanted.mark_size, argv[3])) == NULL) return JS_EXCEPTION;
    if (!JS_IsUndefined(argv[4])) {
        wanted.jumps.ports = JS_GetUint8Array(ctx, &ports_size, argv[4]);
        if (wanted.jumps.ports == NULL) return JS_EXCEPTION;
        if (ports_size != PORTS_SIZE) return JS_ThrowRangeError(ctx, "%zu bytes for ports", ports_size);
    }
    wanted.jumps.chain = JS_ToCStringLen(ctx, &wanted.jumps.chain_size, argv[5]);
    if (wanted.jumps.chain == NULL) return JS_EXCEPTION;
    const char *state = read_messages(ctx, bytes, size, argv[2], &wanted);
    JS_FreeCString(ctx, wanted.jumps.chain);
    return state == NULL ? JS_EXCEPTION : JS_NewString(ctx, state);
}

/* ---- other programs ---- */

struct collected {
    uint8_t *bytes;
    size_t size, capacity;
};

static bool collect(struct collected *into, const uint8_t *bytes, size_t size)
{
    if (into->capacity - into->size < size) {
        size_t capacity = into->capacity * 2 + size;
        uint8_t *larger = realloc(into->bytes, capacity);
        if (larger == NULL) return false;
        into->bytes = larger;
        into->capacity = capacity;
    }
    memcpy(into->bytes + into->size, bytes, size);
    into->size += size;
    return true;
}

/* A NULL-terminated list of texts from an array of strings; NULL with an exception when it cannot be made. */
static char **list_of(JSContext *ctx, JSValueConst array)
{
    int64_t count;
    if (JS_GetLength(ctx, array, &count)) return NULL;
    char **list = js_mallocz(ctx, ((size_t)count + 1) * sizeof(char *));
    for (int64_t i = 0; list != NULL && i < count; i++) {
        JSValue item = JS_GetPropertyInt64(ctx, array, i);
        const char *text = text_of(ctx, item);
        JS_FreeValue(ctx, item);
        list[i] = text == NULL ? NULL : js_strdup(ctx, text);
        if (text != NULL) JS_FreeCString(ctx, text);
        if (list[i] == NULL) {
            for (int64_t k = 0; k < i; k++) js_free(ctx, list[k]);
            js_free(ctx, list);
            return NULL;
        }
    }
    return list;
}

static void free_list(JSContext *ctx, char **list)
{
    if (list == NULL) return;
    for (char **at = list; *at != NULL; at++) js_free(ctx, *at);
    js_free(ctx, list);
}

/* MFD_NOEXEC_SEAL of linux/memfd.h */
#define NOEXEC_SEAL 8U

/* A file in memory with these bytes, at its beginning: a child reads all of it even if this process is killed. -1 with errno. */
static int file_with(const uint8_t *bytes, size_t size)
{
    /* A node may want it said that nothing in there is to be executed (vm.memfd_noexec); kernels before 6.3 do not know the flag. */
    int fd = memfd_create("stdin", MFD_CLOEXEC | NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) fd = memfd_create("stdin", MFD_CLOEXEC);
    if (fd < 0) return -1;
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, bytes + done, size - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            int cause = errno;
            close(fd);
            errno = cause;
            return -1;
        }
        done += (size_t)put;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Moves a descriptor above those that a child gets, so that none is overwritten before it is used. */
static int above_stdio(int fd)
{
    if (fd > 9) return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    int cause = errno;
    close(fd);
    errno = cause;
    return higher;
}

/* A program that runs. */
struct running {
    bool is_used;
    pid_t number;
    /* The write end of its standard input, if that is a pipe; its output, its errors, and why it could not be executed. -1 when closed. */
    int feed, printed[2], report;
    struct child child;
};

/* One for each address family, and one that looks at something meanwhile. */
static struct running programs[3];

/* poll(2) until a moment of now_ms(): how many are ready, 0 when it has come, -1 with errno. */
static int poll_until(struct pollfd *look, nfds_t count, double deadline)
{
    for (;;) {
        double wait_ms = deadline - now_ms();
        if (wait_ms <= 0) return 0;
        int ready = poll(look, count, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms + 1);
        if (ready > 0 || (ready < 0 && errno != EINTR)) return ready;
    }
}

/* Sends all of it, then collects what comes until the other end closes. 0, or the number of an error. */
static int talk(int fd, const uint8_t *bytes, size_t size, struct collected *answer, int64_t max_bytes, double deadline)
{
    struct pollfd look = {.fd = fd};
    uint8_t chunk[16384];
    for (size_t sent = 0;;) {
        look.events = sent < size ? POLLOUT : POLLIN;
        int ready = poll_until(&look, 1, deadline);
        if (ready == 0) return ETIMEDOUT;
        if (ready < 0) return errno;
        ssize_t moved = sent < size ? send(fd, bytes + sent, size - sent, MSG_NOSIGNAL) : recv(fd, chunk, sizeof(chunk), 0);
        if (moved < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (moved < 0) return errno;
        if (sent < size) {
            sent += (size_t)moved;
            continue;
        }
        if (moved == 0) return 0;
        if ((int64_t)answer->size + moved > max_bytes) return EMSGSIZE;
        if (!collect(answer, chunk, (size_t)moved)) return ENOMEM;
    }
}

/* exchange(path, bytes, timeoutMs, maxBytes): connects to a unix socket, sends the bytes, and returns what comes back until the other end closes. */
static JSValue port_exchange(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    double timeout_ms;
    int64_t max_bytes;
    size_t size;
    if (JS_ToFloat64(ctx, &timeout_ms, argv[2]) || JS_ToInt64(ctx, &max_bytes, argv[3])) return JS_EXCEPTION;
    uint8_t *bytes = part_of(ctx, argv[1], 0, -1, &size);
    if (bytes == NULL) return JS_EXCEPTION;
    const char *path = text_of(ctx, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
    double deadline = now_ms() + timeout_ms;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct collected answer = {0};
    const char *call = "connect";
    int fd = -1, cause = 0;
    if (strlen(path) >= sizeof(address.sun_path)) {
        cause = ENAMETOOLONG;
        goto done;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        call = "socket";
        cause = errno;
        goto done;
    }
    /* As many as the server lets wait are waiting already: there is nothing to poll for. */
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        cause = errno == EAGAIN && now_ms() >= deadline ? ETIMEDOUT : errno;
        if (cause != EAGAIN && cause != EINTR) goto done;
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    call = "exchange";
    cause = talk(fd, bytes, size, &answer, max_bytes, deadline);
done:;
    JSValue result = cause != 0 ? failed(ctx, cause, call, path) : JS_NewUint8ArrayCopy(ctx, answer.bytes, answer.size);
    if (fd >= 0) close(fd);
    free(answer.bytes);
    JS_FreeCString(ctx, path);
    return result;
}

static void close_one(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Closes what is left of a program and frees what it was started with. */
static void release(JSContext *ctx, struct running *it)
{
    struct child *child = &it->child;
    int *const all[] = {&it->feed,  &it->printed[0], &it->printed[1],  &it->report, &child->in,
                        &child->out, &child->err,     &child->inherit, &child->told};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) close_one(all[i]);
    free_list(ctx, child->argv);
    free_list(ctx, child->env);
    if (child->file != NULL) JS_FreeCString(ctx, child->file);
    it->is_used = false;
}

/* A pipe that closes on exec, both ends above those that a child gets. False with errno. */
static bool open_pipe(int *from, int *to)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    *from = above_stdio(ends[0]);
    *to = above_stdio(ends[1]);
    return *from >= 0 && *to >= 0;
}

/*
 * Starts a program: (file, argv, env, stdin, inherit). Its standard input is a file with the text, or nothing for undefined; with `is_fed` it is a
 * pipe that begins with the text. NULL with an exception.
 */
static struct running *start(JSContext *ctx, JSValueConst *argv, bool is_fed)
{
    int inherit;
    size_t size = 0;
    const char *failed_call = "open", *text = NULL;
    if (JS_ToInt32(ctx, &inherit, argv[4])) return NULL;
    struct running *it = programs;
    while (it < programs + sizeof(programs) / sizeof(programs[0]) && it->is_used) it++;
    if (it == programs + sizeof(programs) / sizeof(programs[0])) {
        JS_ThrowInternalError(ctx, "too many programs at a time");
        return NULL;
    }
    it->is_used = true;
    struct child *child = &it->child;
    it->feed = it->printed[0] = it->printed[1] = it->report = -1;
    child->in = child->out = child->err = child->inherit = child->told = -1;
    child->argv = child->env = NULL;
    child->file = text_of(ctx, argv[0]);
    child->argv = child->file == NULL ? NULL : list_of(ctx, argv[1]);
    child->env = child->argv == NULL ? NULL : list_of(ctx, argv[2]);
    if (child->env == NULL) goto failure;
    if (!JS_IsUndefined(argv[3]) && (text = JS_ToCStringLen(ctx, &size, argv[3])) == NULL) goto failure;

    if (is_fed) {
        failed_call = "pipe";
        if (!open_pipe(&child->in, &it->feed) || fcntl(it->feed, F_SETFL, O_NONBLOCK) != 0) goto system_error;
        /* The pipe is empty: what does not fit into it at once is no beginning. */
        if (size > PIPE_BUF || write(it->feed, text, size) != (ssize_t)size) {
            JS_ThrowRangeError(ctx, "%zu bytes to begin with", size);
            goto failure;
        }
    } else if (text == NULL) {
        child->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else {
        failed_call = "memfd_create";
        child->in = file_with((const uint8_t *)text, size);
    }
    if (child->in < 0 || (child->in = above_stdio(child->in)) < 0) goto system_error;
    failed_call = "pipe";
    if (!open_pipe(&it->printed[0], &child->out) || !open_pipe(&it->printed[1], &child->err) || !open_pipe(&it->report, &child->told))
        goto system_error;
    failed_call = "fcntl";
    if (inherit >= 0 && (child->inherit = fcntl(inherit, F_DUPFD_CLOEXEC, 10)) < 0) goto system_error;
    failed_call = "fork";
    it->number = start_child(child);
    if (it->number < 0) goto system_error;
    /* Here; the child has its own, and reads their numbers. */
    close(child->in);
    close(child->out);
    close(child->err);
    close(child->told);
    if (child->inherit >= 0) close(child->inherit);
    if (text != NULL) JS_FreeCString(ctx, text);
    return it;

system_error:
    failed(ctx, errno, failed_call, NULL);
failure:
    if (text != NULL) JS_FreeCString(ctx, text);
    release(ctx, it);
    return NULL;
}

/* Until a program has ended, or the moment has come: whether it has. What is closed of it closes a little before. */
static bool has_ended(pid_t child, int *status, double deadline, int *broken)
{
    /* Ready when it has ended. The kernel may not have it (before 5.3, under an emulator): then it is asked for now and then. */
    int watch = (int)syscall(SYS_pidfd_open, child, 0);
    double pause_ms = 0.1;
    bool ended = false;
    for (;;) {
        pid_t waited = waitpid(child, status, WNOHANG);
        if (waited < 0 && errno != EINTR) *broken = errno;
        ended = waited == child || *broken != 0;
        if (ended || now_ms() >= deadline) break;
        if (watch >= 0) {
            struct pollfd look = {.fd = watch, .events = POLLIN};
            poll_until(&look, 1, deadline);
            continue;
        }
        struct timespec moment = {.tv_nsec = (long)(pause_ms * 1e6)};
        nanosleep(&moment, NULL);
        if (pause_ms < 10) pause_ms *= 2;
    }
    if (watch >= 0) close(watch);
    return ended;
}

/*
 * Waits until a program has ended, `timeout_ms` from now at most, and returns { code, signal, stdout, stderr, stopped }. `rest` is what a program that is
 * fed has not read yet. `stopped` is 'deadline' or 'printed' when the program was killed for that. Its output ends when the last process that holds it ends,
 * or at the deadline.
 */
static JSValue end(JSContext *ctx, struct running *it, const char *rest, size_t rest_size, double timeout_ms, int64_t max_bytes)
{
    const double deadline = now_ms() + timeout_ms;
    JSValue result = JS_EXCEPTION;
    struct collected printed[2] = {{0}, {0}};
    const char *stopped = NULL;
    int status = 0, broken = 0, cause = 0, left = 2;
    bool out_of_memory = false;
    /* Closed by exec, or it says why there was none. */
    struct pollfd started = {.fd = it->report, .events = POLLIN};
    int ready = poll_until(&started, 1, deadline);
    ssize_t said = ready > 0 ? read(it->report, &cause, sizeof(cause)) : 0;
    if (ready < 0 || said < 0) broken = errno;
    else if (ready == 0) stopped = "deadline";
    struct child *child = &it->child;
    child->in = child->out = child->err = child->inherit = child->told = -1;

    uint8_t chunk[65536];
    while (left > 0 && stopped == NULL && broken == 0 && said == 0) {
        if (rest_size == 0) close_one(&it->feed);
        struct pollfd look[] = {{it->printed[0], POLLIN, 0}, {it->printed[1], POLLIN, 0}, {it->feed, POLLOUT, 0}};
        ready = poll_until(look, 3, deadline);
        if (ready == 0) stopped = "deadline";
        if (ready < 0) broken = errno;
        if (ready > 0 && look[2].revents != 0) {
            ssize_t put = write(it->feed, rest, rest_size);
            if (put > 0) {
                rest += put;
                rest_size -= (size_t)put;
            } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
                /* It reads no more: what that means is what it says at its end. */
                rest_size = 0;
            }
        }
        for (int i = 0; ready > 0 && i < 2; i++) {
            if (look[i].revents == 0) continue;
            ssize_t got = read(it->printed[i], chunk, sizeof(chunk));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) {
                broken = errno;
            } else if (got == 0) {
                close_one(&it->printed[i]);
                left--;
            } else if ((int64_t)(printed[0].size + printed[1].size) + got > max_bytes) {
                stopped = "printed";
            } else if (!collect(&printed[i], chunk, (size_t)got)) {
                out_of_memory = true;
                stopped = "printed";
            }
        }
    }
    /* It has closed its output, or is to be stopped: what was killed and cannot end yet (in a file system that hangs) is left to itself. */
    bool is_killed = stopped != NULL || broken != 0 || out_of_memory;
    if (!is_killed && !has_ended(it->number, &status, deadline, &broken)) {
        stopped = "deadline";
        is_killed = true;
    }
    if (is_killed) {
        kill(it->number, SIGKILL);
        has_ended(it->number, &status, now_ms() + 1000, &broken);
    }
    if (broken != 0) {
        failed(ctx, broken, "wait for a program", NULL);
        goto done;
    }
    if (said > 0) {
        failed(ctx, cause, "execve", child->file);
        goto done;
    }
    if (out_of_memory) {
        JS_ThrowOutOfMemory(ctx);
        goto done;
    }
    result = JS_NewObject(ctx);
    bool signalled = WIFSIGNALED(status);
    JS_SetPropertyStr(ctx, result, "code", JS_NewInt32(ctx, signalled ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
    JS_SetPropertyStr(ctx, result, "signal", JS_NewInt32(ctx, signalled ? WTERMSIG(status) : 0));
    for (int i = 0; i < 2; i++) {
        JSValue text = JS_NewStringLen(ctx, (const char *)printed[i].bytes, printed[i].size);
        if (JS_IsException(text) || JS_IsException(result)) {
            JS_FreeValue(ctx, text);
            JS_FreeValue(ctx, result);
            result = JS_EXCEPTION;
            goto done;
        }
        JS_SetPropertyStr(ctx, result, i == 0 ? "stdout" : "stderr", text);
    }
    JS_SetPropertyStr(ctx, result, "stopped", stopped == NULL ? JS_UNDEFINED : JS_NewString(ctx, stopped));
done:
    for (int i = 0; i < 2; i++) free(printed[i].bytes);
    release(ctx, it);
    return result;
}

/* run(file, argv, env, stdin, inherit, timeoutMs, maxBytes): a program from its start to its end. `inherit` is a descriptor that it gets as its 3, or -1. */
static JSValue port_run(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    double timeout_ms;
    int64_t max_bytes;
    if (JS_ToFloat64(ctx, &timeout_ms, argv[5]) || JS_ToInt64(ctx, &max_bytes, argv[6])) return JS_EXCEPTION;
    struct running *it = start(ctx, argv, false);
    return it == NULL ? JS_EXCEPTION : end(ctx, it, NULL, 0, timeout_ms, max_bytes);
}

/* start(file, argv, env, stdin, inherit): begins to run a program that is fed, and returns its number for `end`. */
static JSValue port_start(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct running *it = start(ctx, argv, true);
    return it == NULL ? JS_EXCEPTION : JS_NewInt64(ctx, it - programs);
}

/* end(number, stdin, timeoutMs, maxBytes): gives a program that was started the rest of its input, and waits for its end. */
static JSValue port_end(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t number, max_bytes;
    double timeout_ms;
    size_t size;
    if (JS_ToInt64(ctx, &number, argv[0]) || JS_ToFloat64(ctx, &timeout_ms, argv[2]) || JS_ToInt64(ctx, &max_bytes, argv[3]))
        return JS_EXCEPTION;
    if (number < 0 || number >= (int64_t)(sizeof(programs) / sizeof(programs[0])) || !programs[number].is_used)
        return JS_ThrowRangeError(ctx, "no program has this number");
    const char *rest = JS_ToCStringLen(ctx, &size, argv[1]);
    if (rest == NULL) return JS_EXCEPTION;
    JSValue result = end(ctx, &programs[number], rest, size, timeout_ms, max_bytes);
    JS_FreeCString(ctx, rest);
    return result;
}

/* ---- the executable ---- */

static const JSCFunctionListEntry PORT[] = {
    JS_CFUNC_DEF("open", 3, port_open),
    JS_CFUNC_DEF("close", 1, port_close),
    JS_CFUNC_DEF("read", 4, port_read),
    JS_CFUNC_DEF("write", 3, port_write),
    JS_CFUNC_DEF("wait", 2, port_wait),
    JS_CFUNC_DEF("stat", 2, port_stat),
    JS_CFUNC_DEF("fstat", 1, port_fstat),
    JS_CFUNC_DEF("statfs", 1, port_statfs),
    JS_CFUNC_DEF("readdir", 1, port_readdir),
    JS_CFUNC_MAGIC_DEF("mkdir", 2, port_one_path, MKDIR),
    JS_CFUNC_MAGIC_DEF("unlink", 1, port_one_path, UNLINK),
    JS_CFUNC_MAGIC_DEF("rmdir", 1, port_one_path, RMDIR),
    JS_CFUNC_DEF("rename", 2, port_rename),
    JS_CFUNC_DEF("realpath", 1, port_realpath),
    JS_CFUNC_DEF("isProgram", 1, port_is_program),
    JS_CFUNC_DEF("now", 0, port_now),
    JS_CFUNC_DEF("sleep", 1, port_sleep),
    JS_CFUNC_DEF("exit", 1, port_exit),
    JS_CFUNC_DEF("encode", 1, port_encode),
    JS_CFUNC_DEF("encodeLatin1", 1, port_encode_latin1),
    JS_CFUNC_DEF("fnv1a", 1, port_fnv1a),
    JS_CFUNC_DEF("decode", 3, port_decode),
    JS_CFUNC_DEF("decodeLatin1", 3, port_decode_latin1),
    JS_CFUNC_DEF("find", 3, port_find),
    JS_CFUNC_DEF("sha2", 2, port_sha2),
    JS_CFUNC_DEF("setns", 2, port_setns),
    JS_CFUNC_DEF("flock", 2, port_flock),
    JS_CFUNC_DEF("socket", 3, port_socket),
    JS_CFUNC_MAGIC_DEF("send", 4, port_transfer, 1),
    JS_CFUNC_MAGIC_DEF("recv", 4, port_transfer, 0),
    JS_CFUNC_DEF("messages", 6, port_messages),
    JS_CFUNC_DEF("exchange", 4, port_exchange),
    JS_CFUNC_DEF("run", 7, port_run),
    JS_CFUNC_DEF("start", 5, port_start),
    JS_CFUNC_DEF("end", 4, port_end),
};

#define FLAG(name) JS_PROP_INT32_DEF(#name, name, 0)
static const JSCFunctionListEntry FLAGS[] = {
    FLAG(O_RDONLY), FLAG(O_WRONLY), FLAG(O_RDWR),      FLAG(O_APPEND),   FLAG(O_CREAT),
    FLAG(O_EXCL),   FLAG(O_TRUNC),  FLAG(O_NOFOLLOW), FLAG(O_NONBLOCK), FLAG(O_NOCTTY),
};

/* One line for what should never happen; never source, never a stack. */
static int give_up(JSContext *ctx, const char *what)
{
    JSValue error = JS_GetException(ctx);
    const char *text = JS_ToCString(ctx, error);
    fprintf(stderr, "%s: %.500s; report this error\n", what, text == NULL ? "no memory" : text);
    return 1;
}

/* Standard streams that are closed would be given to the first files that are opened, and a message written into those. */
static void keep_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0) _exit(1);
    }
}

/* Bytes from standard input to its end; NULL when they cannot be read. */
static uint8_t *read_all(size_t *size)
{
    struct collected all = {0};
    uint8_t chunk[16384];
    for (;;) {
        ssize_t got = read(0, chunk, sizeof(chunk));
        if (got < 0 || (got > 0 && !collect(&all, chunk, (size_t)got))) return NULL;
        if (got == 0) break;
    }
    *size = all.size;
    return all.bytes;
}

static bool write_all(const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t put = write(1, bytes, size);
        if (put < 0) return false;
        bytes += put;
        size -= (size_t)put;
    }
    return true;
}

int main(void);

/* Bytes; nobody else has a say in it. */
#define PREPARING_STACK ((size_t)1024 * 1024)

static bool is_preparing;

/* The time for the engine. Random numbers begin with it, and an image is to be the same whenever it is made. */
int engine_gettimeofday(struct timeval *now, void *zone)
{
    if (!is_preparing) return gettimeofday(now, zone);
    *now = (struct timeval){.tv_sec = 1};
    return 0;
}

/* Starts the engine, runs the script whose bytecode is on standard input, and writes all of the memory after that to standard output. */
static int prepare(void *argument)
{
    size_t size;
    uint8_t *code = read_all(&size);
    if (code == NULL) return perror("cannot read the bytecode"), 1;
    is_preparing = true;
    heap_begin();
    JSRuntime *runtime = JS_NewRuntime2(&heap_functions, NULL);
    JSContext *ctx = runtime == NULL ? NULL : JS_NewContextRaw(runtime);
    if (ctx == NULL) return fputs("cannot start the plugin: no memory\n", stderr), 1;
    JS_SetMemoryLimit(runtime, MEMORY_LIMIT);
    JS_SetGCThreshold(runtime, GC_THRESHOLD);
    JS_SetMaxStackSize(runtime, PREPARING_STACK / 2);
    /* All but what runs text as code: eval stays undefined. */
    if (JS_AddIntrinsicBaseObjects(ctx) || JS_AddIntrinsicDate(ctx) || JS_AddIntrinsicRegExp(ctx) ||
        JS_AddIntrinsicJSON(ctx) || JS_AddIntrinsicMapSet(ctx) || JS_AddIntrinsicTypedArrays(ctx) ||
        JS_AddIntrinsicPromise(ctx) || JS_AddIntrinsicBigInt(ctx))
        return give_up(ctx, "cannot start the plugin");
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue port = JS_NewObject(ctx);
    JSValue flags = JS_NewObject(ctx);
    if (JS_SetPropertyFunctionList(ctx, port, PORT, sizeof(PORT) / sizeof(PORT[0])) ||
        JS_SetPropertyFunctionList(ctx, flags, FLAGS, sizeof(FLAGS) / sizeof(FLAGS[0])))
        return give_up(ctx, "cannot start the plugin");
    JS_SetPropertyStr(ctx, port, "flags", flags);
    JS_SetPropertyStr(ctx, global, "port", JS_DupValue(ctx, port));
    JS_FreeValue(ctx, global);
    JSValue program = JS_ReadObject(ctx, code, size, JS_READ_OBJ_BYTECODE);
    if (JS_IsException(program)) return give_up(ctx, "cannot load the plugin");
    JSValue done = JS_EvalFunction(ctx, program);
    if (JS_IsException(done)) return give_up(ctx, "cannot run the plugin");
    JS_FreeValue(ctx, done);
    JS_RunGC(runtime);
    *heap_root() = (struct heap_root){ctx, port, main};
    size_t used = heap_finish();
    if (!write_all(heap_image, used)) return perror("cannot write the image"), 1;
    return 0;
}

/* Prepares on a stack at an address that is always the same: what was on it may be left in memory that is free. */
static int prepare_image(void)
{
    static _Alignas(16) uint8_t stack[PREPARING_STACK];
    int status;
    pid_t child = clone(prepare, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    if (child < 0 || waitpid(child, &status, 0) != child) return perror("cannot prepare the plugin"), 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* What the plugin finds in `port` of this process. */
static void add_process(JSContext *ctx, JSValueConst port)
{
    JSValue env = JS_NewArray(ctx);
    uint32_t count = 0;
    for (char **at = environ; *at != NULL; at++) JS_SetPropertyUint32(ctx, env, count++, JS_NewString(ctx, *at));
    JS_SetPropertyStr(ctx, port, "env", env);
    JS_SetPropertyStr(ctx, port, "pid", JS_NewInt32(ctx, getpid()));
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
    /* The kernel adds this when the file has been replaced since the call began, as by an upgrade. */
    static const char GONE[] = " (deleted)";
    const ssize_t gone = sizeof(GONE) - 1;
    if (length > gone && memcmp(self + length - gone, GONE, (size_t)gone) == 0) length -= gone;
    JS_SetPropertyStr(ctx, port, "execPath", JS_NewStringLen(ctx, self, length < 0 ? 0 : (size_t)length));
}

int main(void)
{
    JSContext *ctx = heap_root()->context, *of;
    if (ctx == NULL) return prepare_image();
    if (heap_root()->main != main) return fputs("cannot start the plugin: its executable was built wrongly; install it again\n", stderr), 1;
    keep_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    /* Ignored, as a parent may have it, the kernel would take the children's statuses. */
    signal(SIGCHLD, SIG_DFL);
    JSRuntime *runtime = JS_GetRuntime(ctx);
    struct rlimit stack;
    bool is_small = getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur != RLIM_INFINITY && stack.rlim_cur / 2 < STACK_LIMIT;
    JS_UpdateStackTop(runtime);
    JS_SetMaxStackSize(runtime, is_small ? (size_t)stack.rlim_cur / 2 : STACK_LIMIT);
    add_process(ctx, heap_root()->port);
    int status;
    while ((status = JS_ExecutePendingJob(runtime, &of)) > 0) continue;
    if (status < 0) return give_up(of, "cannot run the plugin");
    /* The plugin ends the process itself; that nothing is left to do means that it waits for what never comes. */
    fputs("cannot run the plugin: it ended without an answer; report this error\n", stderr);
    return 1;
}
