/*
 * Preloaded into processes of a soak. The time of day is as many seconds later than the kernel's as a file says at that moment: so it jumps when
 * somebody writes the file, as when somebody sets the clock of the machine. No other clock is changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

/* Where there is no such file the clock is the kernel's. */
__attribute__((constructor)) static void begin(void)
{
    int fd = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *seen = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (seen != MAP_FAILED)
        offset = seen;
}

static int64_t seconds(void)
{
    return offset == NULL ? 0 : *offset;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += seconds();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    int failed = (int)syscall(SYS_gettimeofday, now, zone);
    if (!failed)
        now->tv_sec += seconds();
    return failed;
}

time_t time(time_t *now)
{
    struct timespec seen;
    clock_gettime(CLOCK_REALTIME, &seen);
    if (now != NULL)
        *now = seen.tv_sec;
    return seen.tv_sec;
}
