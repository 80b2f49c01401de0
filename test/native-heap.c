/*
 * Uses native/heap.c at random, and compares each block with what a table says of it: `native-heap SEED image|full`. `image`: blocks of an image, some of
 * which are grown and freed at run time, among others; `full`: an image is filled until there is no memory. Prints how often each thing was done, or what
 * is wrong, and then fails.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"

/* The image, as the executable has it. */
__asm__(".pushsection .data.image,\"aw\",%progbits\n"
        ".global heap_image\n"
        ".global heap_image_end\n"
        ".balign 4096\n"
        "heap_image: .zero 16 << 20\n"
        "heap_image_end:\n"
        ".popsection\n");

#define SLOTS 400
#define STEPS 40000
#define MIB ((size_t)1 << 20)

static struct slot {
    uint8_t *content;
    size_t size;
    uint8_t first;
} slots[SLOTS];

static enum { MALLOC, CALLOC, REALLOC_NEW, SHRINK, GROW, FREE, OF_IMAGE_GROWN, OF_IMAGE_FREED, REFUSED, KINDS } kind;
static const char *const NAMES[KINDS] = {"malloc", "calloc", "reallocNew", "shrink", "grow", "free", "ofImageGrown", "ofImageFreed", "refused"};
static unsigned done[KINDS];

static uint64_t state;

static size_t below(size_t limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % limit;
}

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void fail(int line, const char *condition)
{
    printf("line %d: not %s, at step %u\n", line, condition, done[MALLOC] + done[CALLOC] + done[FREE]);
    exit(1);
}

static bool is_of_image(const uint8_t *content)
{
    return content >= heap_image && content < heap_image_end;
}

/* What a byte of a block is: the next block of the same size has others. */
static uint8_t pattern(const struct slot *slot, size_t at)
{
    return (uint8_t)(slot->first + at * 7 + (at >> 8));
}

static void check(const struct slot *slot, size_t size)
{
    for (size_t at = 0; at < size; at++) CHECK(slot->content[at] == pattern(slot, at));
}

static void fill(struct slot *slot, uint8_t *content, size_t size)
{
    CHECK((uintptr_t)content % 16 == 0);
    CHECK(heap_functions.js_malloc_usable_size(content) >= size);
    slot->content = content;
    slot->size = size;
    slot->first = (uint8_t)below(256);
    for (size_t at = 0; at < size; at++) content[at] = pattern(slot, at);
}

/* Mostly as the engine has them: small, some pages, and few that are large. */
static size_t any_size(size_t most)
{
    size_t kind = below(1000);
    return kind < 850 ? below(600) : kind < 990 ? below(40000) : below(most) + 1;
}

/* Gives a slot a block, or takes it; false when there is no memory. */
static bool step(struct slot *slot, size_t most)
{
    size_t size = any_size(most);
    uint8_t *content;
    if (slot->content == NULL) {
        size_t how = below(3);
        kind = how == 0 ? MALLOC : how == 1 ? CALLOC : REALLOC_NEW;
        content = kind == MALLOC   ? heap_functions.js_malloc(NULL, size)
                  : kind == CALLOC ? heap_functions.js_calloc(NULL, size, 1)
                                   : heap_functions.js_realloc(NULL, NULL, size);
        if (content == NULL) return false;
        if (kind == CALLOC) {
            for (size_t at = 0; at < size; at++) CHECK(content[at] == 0);
        }
        fill(slot, content, size);
    } else if (below(2) == 0) {
        kind = size > slot->size ? GROW : SHRINK;
        bool was_of_image = is_of_image(slot->content);
        content = heap_functions.js_realloc(NULL, slot->content, size);
        if (content == NULL) {
            check(slot, slot->size);
            return false;
        }
        bool is_moved = content != slot->content;
        slot->content = content;
        check(slot, size < slot->size ? size : slot->size);
        if (kind == SHRINK) CHECK(!is_moved);
        if (was_of_image && is_moved && !is_of_image(content)) done[OF_IMAGE_GROWN]++;
        fill(slot, content, size);
    } else {
        kind = FREE;
        check(slot, slot->size);
        heap_functions.js_free(NULL, slot->content);
        slot->content = NULL;
    }
    done[kind]++;
    return true;
}

static void check_all(void)
{
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
        if (slot->content != NULL) check(slot, slot->size);
    }
}

/* What no memory is enough for. */
static void check_refusals(struct slot *slot)
{
    CHECK(heap_functions.js_malloc(NULL, PTRDIFF_MAX) == NULL);
    CHECK(heap_functions.js_malloc(NULL, SIZE_MAX) == NULL);
    CHECK(heap_functions.js_calloc(NULL, SIZE_MAX / 2, 3) == NULL);
    CHECK(heap_functions.js_realloc(NULL, slot->content, SIZE_MAX) == NULL);
    check(slot, slot->size);
    heap_functions.js_free(NULL, NULL);
    CHECK(heap_functions.js_malloc_usable_size(NULL) == 0);
}

/* Frees what is of the image, so that at run time others get it. */
static void free_some_of_image(void)
{
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
        if (slot->content == NULL || !is_of_image(slot->content) || below(2) == 0) continue;
        check(slot, slot->size);
        size_t size = heap_functions.js_malloc_usable_size(slot->content);
        heap_functions.js_free(NULL, slot->content);
        uint8_t *again = heap_functions.js_malloc(NULL, size);
        CHECK(again != NULL);
        /* A class has its last freed block first; what is larger is a mapping of its own now. */
        CHECK((again == slot->content) == (size <= 128 * 1024));
        fill(slot, again, size);
        done[OF_IMAGE_FREED]++;
    }
}

/* Grows a block of the image that is larger than those that are mappings of their own elsewhere. */
static void grow_large(struct slot *large)
{
    uint8_t *content = heap_functions.js_realloc(NULL, large->content, 3 * MIB);
    CHECK(content != NULL && !is_of_image(content));
    large->content = content;
    check(large, large->size);
    fill(large, content, 3 * MIB);
    heap_functions.js_free(NULL, content);
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    state = strtoull(argv[1], NULL, 10);
    bool is_full = strcmp(argv[2], "full") == 0;
    heap_begin();
    CHECK(heap_functions.js_malloc(NULL, 9 * MIB) == NULL);
    struct slot large;
    fill(&large, heap_functions.js_malloc(NULL, MIB), MIB);
    if (is_full) {
        /* Until nothing more fits, however small. */
        for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
            size_t size = any_size(MIB);
            uint8_t *content = heap_functions.js_malloc(NULL, size);
            if (content != NULL) fill(slot, content, size);
        }
        unsigned left = 0;
        while (heap_functions.js_malloc(NULL, 80) != NULL) left++;
        CHECK(left > 0);
        done[REFUSED]++;
        for (unsigned i = 0; i < STEPS; i++) done[REFUSED] += !step(&slots[below(SLOTS)], MIB);
    } else {
        for (unsigned i = 0; i < STEPS; i++) CHECK(step(&slots[below(SLOTS)], 100 * 1024));
        for (struct slot *slot = slots; slot < slots + SLOTS; slot++) CHECK(slot->content == NULL || is_of_image(slot->content));
    }
    check_all();
    size_t used = heap_finish();
    CHECK(used > 0 && used <= (size_t)(heap_image_end - heap_image));
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
        CHECK(slot->content == NULL || slot->content + slot->size <= heap_image + used);
    check(&large, large.size);
    grow_large(&large);
    free_some_of_image();
    check_all();
    for (unsigned i = 0; i < STEPS; i++) CHECK(step(&slots[below(SLOTS)], MIB));
    check_all();
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++) {
        /* One in a class of the heap, then one that is a mapping of its own. */
        size_t size = slot < slots + SLOTS / 2 ? 500 : 200 * 1024;
        if (slot->content != NULL) heap_functions.js_free(NULL, slot->content);
        fill(slot, heap_functions.js_malloc(NULL, size), size);
        if (slot == slots || slot == slots + SLOTS - 1) check_refusals(slot);
    }
    check_all();
    putchar('{');
    for (int i = 0; i < KINDS; i++) printf("%s\"%s\":%u", i == 0 ? "" : ",", NAMES[i], done[i]);
    puts("}");
    return 0;
}
