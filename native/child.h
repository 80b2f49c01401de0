#ifndef CHILD_H
#define CHILD_H

#include <stdint.h>
#include <sys/types.h>

/* What a child is to become: a program with these words and environment. Its descriptors are above 9; `inherit` is its 3, or -1. */
struct child {
    const char *file;
    char **argv, **env;
    int in, out, err, inherit;
    /* Where it writes the number of an error (an int) when there is no such program; closed by exec. */
    int told;
    /* It may be elsewhere until exec, so this stays until `told` is closed. */
    _Alignas(16) uint8_t stack[16384];
};

/* Starts a child, its number; -1 with errno. What becomes of it changes no errno here. */
pid_t start_child(struct child *it);

#endif
