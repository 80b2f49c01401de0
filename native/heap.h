#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "quickjs.h"

/* The engine's memory: made for a process that lives for milliseconds. */
extern const JSMallocFunctions heap_functions;

/*
 * The first of it, which is part of the executable: zero in the one that prepares it, and what that left there in the one that is prepared. Both are linked
 * alike, so addresses in it hold.
 */
extern uint8_t heap_image[], heap_image_end[];

/* What is found in a prepared image. */
struct heap_root {
    JSContext *context;
    JSValue port;
    /* Where main was when the image was made: where it is, or the executable was not linked as the one that made it. */
    int (*main)(void);
};

struct heap_root *heap_root(void);

/* Begins to prepare an image. There is no memory when it is full. */
void heap_begin(void);

/* Ends that: how many bytes of the image are used. */
size_t heap_finish(void);

#endif
