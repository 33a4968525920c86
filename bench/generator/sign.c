#include "sign.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 64, DIGEST = 20 };

struct sha1 {
    uint32_t state[5];
    uint64_t size;
    unsigned char block[BLOCK];
};

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static void begin(struct sha1 *sha)
{
    static const uint32_t START[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    memcpy(sha->state, START, sizeof START);
    sha->size = 0;
}

static void compress(struct sha1 *sha, const unsigned char *block)
{
    uint32_t w[80], a = sha->state[0], b = sha->state[1], c = sha->state[2], d = sha->state[3], e = sha->state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
            block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? ((b & c) | (~b & d)) + 0x5A827999
            : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
            : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
            : (b ^ c ^ d) + 0xCA62C1D6;
        uint32_t next = rotate(a, 5) + f + e + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    sha->state[0] += a, sha->state[1] += b, sha->state[2] += c, sha->state[3] += d, sha->state[4] += e;
}

static void add(struct sha1 *sha, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size) {
        size_t held = sha->size % BLOCK, taken = BLOCK - held < size ? BLOCK - held : size;
        memcpy(sha->block + held, at, taken);
        sha->size += taken, at += taken, size -= taken;
        if (sha->size % BLOCK == 0)
            compress(sha, sha->block);
    }
}

static void end(struct sha1 *sha, unsigned char digest[DIGEST])
{
    uint64_t bits = sha->size * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    add(sha, "\x80", 1);
    while (sha->size % BLOCK != BLOCK - sizeof length)
        add(sha, "", 1);
    add(sha, length, sizeof length);
    for (int i = 0; i < DIGEST; i++)
        digest[i] = (unsigned char)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sign(const char *secret, const struct piece *pieces, int count, char signature[SIGNATURE_SIZE])
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct sha1 inner, outer;
    unsigned char key[BLOCK] = {0}, digest[DIGEST + 1] = {0};
    size_t length = strlen(secret);
    memcpy(key, secret, length < BLOCK ? length : BLOCK); /* longer ones are refused by main */
    for (int i = 0; i < BLOCK; i++)
        key[i] ^= 0x36;
    begin(&inner);
    add(&inner, key, BLOCK);
    for (int i = 0; i < count; i++)
        add(&inner, pieces[i].data, pieces[i].size);
    end(&inner, digest);
    for (int i = 0; i < BLOCK; i++)
        key[i] ^= 0x36 ^ 0x5c;
    begin(&outer);
    add(&outer, key, BLOCK);
    add(&outer, digest, DIGEST);
    end(&outer, digest);
    for (int i = 0; i < 7; i++) {
        uint32_t bits = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++)
            signature[4 * i + j] = LETTERS[bits >> (18 - 6 * j) & 63];
    }
    signature[27] = '=';
    signature[28] = 0;
}
