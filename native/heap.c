/*
 * Memory for the engine. It divides pages into small blocks itself; what comes here are those pages, and large blocks. They are cut off a piece that the
 * kernel has filled with pages at once, as a fault for each page would be a good part of a start. What is freed is used again for blocks of its class,
 * and never goes back: the process ends before that would gain anything. There is one thread.
 */
#define _GNU_SOURCE
#include "heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes that are asked of the kernel at once. */
#define PIECE ((size_t)256 * 1024)
/* A larger block is a mapping of its own, which grows without a copy and goes back to the kernel; in an image, none is. */
#define LARGEST ((size_t)128 * 1024)
/* Classes have four sizes between a power of two and the next, from 80 bytes to the largest that there are; the engine's pages are one of them. */
#define LARGEST_CLASS ((size_t)8 * 1024 * 1024)
#define CLASSES 68

struct block {
    /* Of its content. */
    size_t size;
    /* Of the same class, while it is free. */
    struct block *next;
    uint8_t content[];
};

/* The beginning of the image: what is known of it, and of all that comes after it. */
struct heap {
    struct heap_root root;
    uint8_t *at, *end;
    /* Nothing may be outside of the image. */
    bool is_preparing;
    struct block *freed[CLASSES];
};

static struct heap *const heap = (struct heap *)heap_image;

struct heap_root *heap_root(void)
{
    return &heap->root;
}

void heap_begin(void)
{
    heap->is_preparing = true;
    heap->at = heap_image + ((sizeof(struct heap) + 15) & ~(size_t)15);
    heap->end = heap_image_end;
}

size_t heap_finish(void)
{
    size_t used = (size_t)(heap->at - heap_image);
    heap->is_preparing = false;
    /* A program takes pieces of its own: writing to a page of the image costs a copy. */
    heap->at = heap->end = NULL;
    return used;
}

static struct block *block_of(const void *content)
{
    return (struct block *)((uintptr_t)content - offsetof(struct block, content));
}

/* The class with the least size that holds this one, which is rounded up to it. */
static unsigned class_of(size_t *size)
{
    if (*size < 65) *size = 65;
    unsigned power = 63 - (unsigned)__builtin_clzll(*size - 1);
    size_t step = (size_t)1 << (power - 2);
    *size = (*size + step - 1) & ~(step - 1);
    return (power - 6) * 4 + (unsigned)(*size / step) - 5;
}

/* Whether a block is a mapping of its own. */
static bool is_own(const struct block *block)
{
    return block->size > LARGEST && ((uint8_t *)block < heap_image || (uint8_t *)block >= heap_image_end);
}

static void *map(size_t size, int flags)
{
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* A block that was never used, so it is zero; NULL when there is no memory. */
static struct block *fresh(size_t size)
{
    size_t whole = sizeof(struct block) + size;
    if ((size_t)(heap->end - heap->at) < whole) {
        uint8_t *piece = heap->is_preparing ? NULL : map(PIECE, MAP_POPULATE);
        if (piece == NULL) return NULL;
        heap->at = piece;
        heap->end = piece + PIECE;
    }
    struct block *block = (struct block *)heap->at;
    heap->at += whole;
    return block;
}

/* A block for this much content, zero if that is asked for. */
static void *take(size_t size, bool is_zero)
{
    struct block *block;
    if (size > (heap->is_preparing ? LARGEST_CLASS : LARGEST)) {
        block = heap->is_preparing || size > PTRDIFF_MAX / 2 ? NULL : map(sizeof(struct block) + size, 0);
    } else {
        size_t content = size;
        unsigned class = class_of(&size);
        block = heap->freed[class];
        if (block == NULL) {
            block = fresh(size);
        } else {
            heap->freed[class] = block->next;
            if (is_zero) memset(block->content, 0, content);
        }
    }
    if (block == NULL) return NULL;
    block->size = size;
    return block->content;
}

static void *heap_malloc(void *opaque, size_t size)
{
    (void)opaque;
    return take(size, false);
}

static void *heap_calloc(void *opaque, size_t count, size_t size)
{
    size_t content;
    (void)opaque;
    return __builtin_mul_overflow(count, size, &content) ? NULL : take(content, true);
}

static void heap_free(void *opaque, void *content)
{
    (void)opaque;
    if (content == NULL) return;
    struct block *block = block_of(content);
    if (is_own(block)) {
        munmap(block, sizeof(struct block) + block->size);
        return;
    }
    size_t size = block->size;
    unsigned class = class_of(&size);
    block->next = heap->freed[class];
    heap->freed[class] = block;
}

static size_t heap_usable_size(const void *content)
{
    return content == NULL ? 0 : block_of(content)->size;
}

static void *heap_realloc(void *opaque, void *content, size_t size)
{
    size_t usable = heap_usable_size(content);
    if (content != NULL && size <= usable) return content;
    if (content != NULL && is_own(block_of(content))) {
        if (size > PTRDIFF_MAX / 2) return NULL;
        size_t header = sizeof(struct block);
        struct block *moved = mremap(block_of(content), header + usable, header + size, MREMAP_MAYMOVE);
        if (moved == MAP_FAILED) return NULL;
        moved->size = size;
        return moved->content;
    }
    void *larger = take(size, false);
    if (larger == NULL || content == NULL) return larger;
    memcpy(larger, content, usable);
    heap_free(opaque, content);
    return larger;
}

const JSMallocFunctions heap_functions = {heap_calloc, heap_malloc, heap_free, heap_realloc, heap_usable_size};
