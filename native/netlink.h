#ifndef NETLINK_H
#define NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message, or what follows the last one: `broken` is an error, an interrupted dump, or bytes that are not a message. */
enum answer { ANSWER_MESSAGE, ANSWER_MORE, ANSWER_COMPLETE, ANSWER_BROKEN };

/* The message at `*at`, which is moved behind it, in `size` bytes that were read: what follows its header. */
enum answer next_message(const uint8_t *bytes, size_t size, size_t *at, const uint8_t **payload, size_t *payload_size);

/* Bytes for a bit of every port. */
#define PORTS_SIZE 8192

/* What a caller looks for among the jumps of a chain. */
struct wanted_jumps {
    /* PORTS_SIZE bytes; the least bit of a byte is of its first port. */
    const uint8_t *ports;
    /* A chain's name. */
    const char *chain;
    size_t chain_size;
};

/*
 * Whether a rule is `-m multiport --dports … -j CHAIN` of none of the wanted ports, to another chain than the wanted one. `rule` is a message of the kernel
 * after its netlink header, of any bytes. False for every rule of another kind.
 */
bool is_other_jump(const uint8_t *rule, size_t size, const struct wanted_jumps *wanted);

#endif
