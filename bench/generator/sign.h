/* Signatures as AclClientRPCHook of RocketMQ makes them: HMAC-SHA1 (RFC 2104, RFC 3174) in base64. */
#ifndef SIGN_H
#define SIGN_H

#include <stddef.h>

enum { SIGNATURE_SIZE = 29 }; /* 20 bytes in base64, and its end */

struct piece {
    const void *data;
    size_t size;
};

/* Writes the signature of the pieces one after the other, and a 0 behind it. */
void sign(const char *secret, const struct piece *pieces, int count, char signature[SIGNATURE_SIZE]);

#endif
