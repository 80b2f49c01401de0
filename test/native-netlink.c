/*
 * Asks native/netlink.c of each message on standard input, `length (32 bits), bytes`, whether it is a jump that is not wanted, and of its bytes as an
 * answer how far they are messages. Prints one character for the former and one for the latter. What is behind the bytes cannot be read.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "netlink.h"

#define ROOM 65536
#define PAGE 4096

int main(void)
{
    uint8_t *room = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED || mprotect(room + ROOM, PAGE, PROT_NONE) != 0) return 1;
    static uint8_t ports[PORTS_SIZE];
    ports[80 >> 3] |= 1 << (80 & 7);
    ports[65535 >> 3] |= 1 << (65535 & 7);
    struct wanted_jumps wanted = {.ports = ports, .chain = "WANTED", .chain_size = 6};
    uint32_t size;
    while (fread(&size, sizeof(size), 1, stdin) == 1) {
        uint8_t *bytes = room + ROOM - size;
        if (size > ROOM || fread(bytes, 1, size, stdin) != size) return 1;
        putchar(is_other_jump(bytes, size, &wanted) ? 'o' : 'w');
        size_t at = 0, payload_size, sum = 0;
        const uint8_t *payload;
        enum answer answer;
        while ((answer = next_message(bytes, size, &at, &payload, &payload_size)) == ANSWER_MESSAGE) {
            for (size_t i = 0; i < payload_size; i++) sum += payload[i];
        }
        putchar("-mcb"[answer]);
        /* Used, so that the reads are not left out. */
        if (sum == (size_t)-1) return 1;
    }
    return 0;
}
