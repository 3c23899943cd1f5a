// AES, SHA-256 and SipHash, which compute the examples of the documents that define them: what they print is known, and
// so is whether a fault has been in it. With `trap` and `hang` it ends in other ways than a result.
#include "rt.h"

static void show_bytes(const char *name, const u8 *bytes, u64 n) {
    print(name);
    print(" ");
    for (u64 i = 0; i < n; i++) {
        print_in_base(bytes[i] >> 4, 16);
        print_in_base(bytes[i] & 15, 16);
    }
    print("\n");
}

static u8 sbox[256];

static void fill_sbox(void) {
    u8 p = 1, q = 1;
    do {
        p ^= p << 1 ^ (p >> 7) * 0x1b;
        q ^= q << 1, q ^= q << 2, q ^= q << 4;
        if (q & 0x80) q ^= 9;
        u32 twice = q << 8 | q;
        sbox[p] = 0x63 ^ q ^ twice >> 7 ^ twice >> 6 ^ twice >> 5 ^ twice >> 4;
    } while (p != 1);
    sbox[0] = 0x63;
}

// FIPS 197: one round of AES, the last one without MixColumns.
NOINLINE void aes_round(u8 *state, const u8 *key, int last) {
    u8 t[16];
    for (u32 i = 0; i < 16; i++) t[i] = sbox[state[i * 5 % 16]];
    for (int i = 0; i < 16; i++) {
        const u8 *column = t + (i & 12);
        u8 pair = column[i & 3] ^ column[(i + 1) & 3], mixed = column[0] ^ column[1] ^ column[2] ^ column[3];
        mixed ^= pair << 1 ^ (pair >> 7) * 0x1b;
        state[i] = t[i] ^ key[i] ^ (last ? 0 : mixed);
    }
}

NOINLINE void aes_encrypt(u8 *state, const u8 *key) {
    u8 round_key[16], constant = 1;
    for (int i = 0; i < 16; i++) round_key[i] = key[i], state[i] ^= key[i];
    for (int round = 1; round <= 10; round++) {
        for (int i = 0; i < 4; i++) round_key[i] ^= sbox[round_key[12 + (i + 1) % 4]];
        round_key[0] ^= constant;
        constant = constant << 1 ^ (constant >> 7) * 0x1b;
        for (int i = 4; i < 16; i++) round_key[i] ^= round_key[i - 4];
        aes_round(state, round_key, round == 10);
    }
}

NOINLINE void report_ok(void) { print("all blocks are right\n"); }
NOINLINE void report_fail(void) { print("a block is wrong\n"); }

// The example of FIPS 197, appendix C.1, sixteen times.
static void aes(void) {
    static const u8 right[16] = { 0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                  0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a };
    u8 key[16], state[16];
    int all_right = 1;
    fill_sbox();
    for (int block = 0; block < 16; block++) {
        int is_right = 1;
        for (int i = 0; i < 16; i++) key[i] = i, state[i] = i * 0x11;
        aes_encrypt(state, key);
        for (int i = 0; i < 16; i++) is_right &= state[i] == right[i];
        if (!is_right) {
            print("block ");
            print_number(block);
            show_bytes(":", state, 16);
        }
        all_right &= is_right;
    }
    if (all_right) report_ok();
    else report_fail();
}

// FIPS 180-4.
static const u32 sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotated(u32 x, u32 n) { return x >> n | x << (32 - n); }

NOINLINE void sha256_block(u32 *state, const u8 *block) {
    u32 w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (u32)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ w[i - 15] >> 3)
               + (rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ w[i - 2] >> 10);
    for (int i = 0; i < 8; i++) s[i] = state[i];
    for (int i = 0; i < 64; i++) {
        u32 one = s[7] + (rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25))
                  + ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha256_k[i] + w[i];
        u32 two = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22))
                  + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int k = 7; k > 0; k--) s[k] = s[k - 1];
        s[4] += one, s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

// SipHash-2-4 (Aumasson and Bernstein).
static u64 turned(u64 x, u64 n) { return x << n | x >> (64 - n); }

NOINLINE void siphash_round(u64 *v) {
    v[0] += v[1], v[1] = turned(v[1], 13) ^ v[0], v[0] = turned(v[0], 32);
    v[2] += v[3], v[3] = turned(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = turned(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = turned(v[1], 17) ^ v[2], v[2] = turned(v[2], 32);
}

NOINLINE u64 siphash(const u8 *key, const u8 *text, u64 n) {
    const u64 *k = (const u64 *)key;
    u64 v[4] = { k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573 };
    for (u64 done = 0; done <= n; done += 8) {
        u64 word = n - done < 8 ? n << 56 : 0;
        for (u64 i = 0; i < 8 && done + i < n; i++) word |= (u64)text[done + i] << 8 * i;
        v[3] ^= word;
        siphash_round(v), siphash_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// The examples of their documents: the digest of "abc", and of the bytes 0 to 14 with the key 0 to 15.
static void hashes(void) {
    u32 state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    u8 digest[32];
    static u8 block[64] = { 'a', 'b', 'c', 0x80, [63] = 24 };
    static u8 key[16] __attribute__((aligned(8)));
    sha256_block(state, block);
    for (int i = 0; i < 32; i++) digest[i] = state[i / 4] >> (24 - i % 4 * 8);
    show_bytes("sha256", digest, 32);
    for (int i = 0; i < 16; i++) key[i] = i;
    show_hex("siphash", siphash(key, key, 15));
}

static void trap(void) {
#if defined(__aarch64__)
    __asm__ volatile("udf #0");
#else
    __asm__ volatile("unimp");
#endif
}

static void hang(void) { for (;;) __asm__ volatile(""); }

int main(int argc, char **argv, char **envp) {
    (void)envp;
    switch (argc > 1 ? argv[1][0] : 0) {
    case 'a': aes(); break;
    case 's': hashes(); break;
    case 't': trap(); break;
    case 'h': hang();
    }
    return 0;
}
