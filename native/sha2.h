#ifndef HOSTPORT_SHA2_H
#define HOSTPORT_SHA2_H

#include <stddef.h>
#include <stdint.h>

/* Digests of some bytes: 32 of SHA-256, 64 of SHA-512. Source: FIPS 180-4. */
void sha256(const uint8_t *bytes, size_t size, uint8_t digest[32]);
void sha512(const uint8_t *bytes, size_t size, uint8_t digest[64]);

#endif
