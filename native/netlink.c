/*
 * Takes dumps of netlink apart, and recognises the rules that a look for a few ports need not see, so that a thousand of them do not become text. Any bytes
 * may come. Of a rule it says what `portJump` in src/netfilter/nft/kernel-rules.ts says, and in the same way; test/native-netlink.test.ts compares them.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <linux/netlink.h>
#include <string.h>

enum answer next_message(const uint8_t *bytes, size_t size, size_t *at, const uint8_t **payload, size_t *payload_size)
{
    struct nlmsghdr header;
    if (*at >= size) return ANSWER_MORE;
    if (size - *at < sizeof(header)) return ANSWER_BROKEN;
    memcpy(&header, bytes + *at, sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > size - *at || header.nlmsg_type == NLMSG_ERROR ||
        (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
        return ANSWER_BROKEN;
    if (header.nlmsg_type == NLMSG_DONE) return ANSWER_COMPLETE;
    *payload = bytes + *at + sizeof(header);
    *payload_size = header.nlmsg_len - sizeof(header);
    *at += NLMSG_ALIGN((size_t)header.nlmsg_len);
    return ANSWER_MESSAGE;
}

/* linux/netfilter/nf_tables.h and nf_tables_compat.h: NFTA_MATCH_NAME, _REV (1, in network order) and the header of _INFO, 48 bytes. */
static const uint8_t MULTIPORT[] = "\x0e\0\x01\0multiport\0\0\0"
                                   "\x08\0\x02\0\0\0\0\x01"
                                   "\x34\0\x03";
/* NFTA_VERDICT_CODE, NFT_JUMP in network order; NFTA_VERDICT_CHAIN is the type of what follows, after its length. */
static const uint8_t JUMP[] = "\x08\0\x01\0\xff\xff\xff\xfd";
static const uint8_t CHAIN_TYPE[] = "\x02";

/* struct xt_multiport_v1: flags, count, 15 ports, for each of them whether a range begins with it, whether the match is negated. */
enum { DESTINATION = 1, MOST_PORTS = 15, PORTS_AT = 2, PLAIN_AT = PORTS_AT + 2 * MOST_PORTS, INFO_SIZE = PLAIN_AT + MOST_PORTS + 1 };

/* Where the bytes last occur; NULL when they do not. */
static const uint8_t *last_of(const uint8_t *bytes, size_t size, const uint8_t *sought, size_t sought_size)
{
    for (size_t at = size < sought_size ? 0 : size - sought_size + 1; at > 0; at--) {
        /* Most places are ruled out without a call. */
        if (bytes[at - 1] == sought[0] && memcmp(bytes + at - 1, sought, sought_size) == 0) return bytes + at - 1;
    }
    return NULL;
}

/* The name of the chain that a rule jumps to at its end, which is padded to four bytes with nothing after it; NULL for a rule that ends otherwise. */
static const uint8_t *target_of(const uint8_t *rule, size_t size, size_t *name_size)
{
    const uint8_t *end = rule + size;
    const uint8_t *verdict = last_of(rule, size, JUMP, sizeof(JUMP) - 1);
    if (verdict == NULL) return NULL;
    const uint8_t *attribute = verdict + sizeof(JUMP) - 1;
    if (end - attribute <= 4 || memcmp(attribute + 2, CHAIN_TYPE, sizeof(CHAIN_TYPE)) != 0) return NULL;
    const uint8_t *name = attribute + 4;
    const uint8_t *nul = memchr(name, '\0', (size_t)(end - name));
    if (nul == NULL || nul == name || end - nul > 4) return NULL;
    *name_size = (size_t)(nul - name);
    return name;
}

bool is_other_jump(const uint8_t *rule, size_t size, const struct wanted_jumps *wanted)
{
    static const uint8_t PLAIN[MOST_PORTS + 1] = {0};
    size_t name_size;
    const uint8_t *match = memmem(rule, size, MULTIPORT, sizeof(MULTIPORT));
    if (match == NULL) return false;
    const uint8_t *info = match + sizeof(MULTIPORT);
    if (rule + size - info < INFO_SIZE) return false;
    size_t count = info[1];
    if (info[0] != DESTINATION || count < 1 || count > MOST_PORTS || memcmp(info + PLAIN_AT, PLAIN, sizeof(PLAIN)) != 0)
        return false;
    for (const uint8_t *at = info + PORTS_AT; at < info + PORTS_AT + 2 * count; at += 2) {
        size_t port = (size_t)(at[0] | at[1] << 8);
        if (wanted->ports[port >> 3] >> (port & 7) & 1) return false;
    }
    const uint8_t *target = target_of(rule, size, &name_size);
    if (target == NULL) return false;
    return name_size != wanted->chain_size || memcmp(target, wanted->chain, name_size) != 0;
}
