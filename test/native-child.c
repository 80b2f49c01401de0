/* Checks what native/child.c starts: each line that it prints is a check that failed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

/* No error has this number. */
#define NOT_CHANGED 12345

#define CHECK(condition) ((condition) ? (void)0 : (void)printf("line %d: not " #condition "\n", __LINE__))

extern char **environ;

static struct child child;

/* Starts a program with these descriptors. The error that it reports, 0 for none; its status. */
static int report_of(const char *file, const char *script, int in, int *status)
{
    int ends[2], cause = 0;
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    child.file = file;
    child.argv = argv;
    child.env = environ;
    child.in = in;
    child.told = ends[1];
    pid_t number = start_child(&child);
    if (number < 0) return -1;
    errno = NOT_CHANGED;
    close(ends[1]);
    ssize_t said = read(ends[0], &cause, sizeof(cause));
    /* It has written, or is another program: whatever failed there, here nothing did. */
    CHECK(errno == NOT_CHANGED);
    CHECK(said == (cause == 0 ? 0 : (ssize_t)sizeof(cause)));
    close(ends[0]);
    CHECK(waitpid(number, status, 0) == number);
    return cause;
}

/* A pipe whose ends are above those that a child gets. */
static int pipe_above(int *from, int *to)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    *from = fcntl(ends[0], F_DUPFD_CLOEXEC, 10);
    *to = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    close(ends[0]);
    close(ends[1]);
    return *from < 0 || *to < 0 ? -1 : 0;
}

static void check_text(int from, const char *wanted)
{
    char text[64] = {0};
    CHECK(read(from, text, sizeof(text) - 1) == (ssize_t)strlen(wanted));
    CHECK(strcmp(text, wanted) == 0);
}

int main(void)
{
    int in, out, err, inherit, feed, printed, errors, other, status;
    if (pipe_above(&in, &feed) || pipe_above(&printed, &out) || pipe_above(&errors, &err) || pipe_above(&inherit, &other)) return 1;
    child.out = out;
    child.err = err;
    child.inherit = inherit;
    /* A parent that has no use for it and holds it back: a program gets it nevertheless. */
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGPIPE);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &held, NULL);

    CHECK(report_of("/there/is/no/program", "", in, &status) == ENOENT);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 127);
    CHECK(report_of("/", "", in, &status) == EACCES);
    int closed = fcntl(in, F_DUPFD_CLOEXEC, 10);
    close(closed);
    CHECK(report_of("/bin/sh", "exit 0", closed, &status) == EBADF);

    CHECK(write(feed, "in\n", 3) == 3 && write(other, "more\n", 5) == 5);
    CHECK(report_of("/bin/sh", "read a; read b <&3; echo \"$a $b\"; echo err >&2; exit 7", in, &status) == 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    check_text(printed, "in more\n");
    check_text(errors, "err\n");
    CHECK(report_of("/bin/sh", "kill -PIPE $$; exit 0", in, &status) == 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);

    child.inherit = -1;
    CHECK(report_of("/bin/sh", "exec 2>/dev/null; : <&3", in, &status) == 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    return 0;
}
