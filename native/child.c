/*
 * Children until exec. A child has its parent's memory until then, as copying the tables of it and what is written to meanwhile would take longer than all
 * that it does; the parent continues, as a program in a file system that hangs must not hold it.
 */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A system call: what the kernel returns, -errno for an error. A child has its parent's thread-local storage as well, in which errno is: with the functions
 * of libc each of them could get the other's error.
 */
static long call(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
    register long fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long eighth __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(eighth), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
#else
#error "no system calls for this architecture"
#endif
}

/* Bytes of a set of signals in the kernel, and of what it is told of one: all zero is its default. */
#define SIGNAL_SET 8
#define SIGNAL_ACTION 32

/* The child, until exec: it calls nothing of libc and changes nothing of its parent's but its own stack. */
static int become(void *argument)
{
    const struct child *it = argument;
    const int ends[] = {it->in, it->out, it->err, it->inherit};
    const uint8_t none[SIGNAL_SET] = {0}, by_default[SIGNAL_ACTION] = {0};
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)none, 0, SIGNAL_SET);
    call(SYS_rt_sigaction, SIGPIPE, (long)by_default, 0, SIGNAL_SET);
    long result = 0;
    for (int fd = 0; fd < 4 && result >= 0; fd++) {
        if (ends[fd] >= 0) result = call(SYS_dup3, ends[fd], fd, 0, 0);
    }
    if (result >= 0) result = call(SYS_execve, (long)it->file, (long)it->argv, (long)it->env, 0);
    int cause = (int)-result;
    call(SYS_write, it->told, (long)&cause, sizeof(cause), 0);
    for (;;) call(SYS_exit_group, 127, 0, 0, 0);
}

pid_t start_child(struct child *it)
{
    pid_t child = clone(become, it->stack + sizeof(it->stack), CLONE_VM | SIGCHLD, it);
    if (child >= 0 || errno != EINVAL) return child;
    /* Under an emulator it cannot have this memory: it has a copy. */
    child = fork();
    if (child == 0) become(it);
    return child;
}
