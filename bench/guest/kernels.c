// The benchmark's kernels: one program, compiled alike for the guest and for the host.
//
//   kernels NAME REPEATS              prints a number that depends on all of the work, so that engines can be compared
//   kernels NAME REPEATS THREADS      the same work by up to 8 threads, which have a part each
//
// No libc and no vector intrinsics: what is measured is what a compiler makes of plain C.
#include "../../tests/guest/threads.h"

typedef double f64;

NOINLINE u64 integer_loop(u64 repeats) {
    u64 a = 1, b = 2, c = 3;
    for (u64 i = 0; i < repeats * 1000000; i++) {
        a = a * 6364136223846793005 + 1442695040888963407;
        b ^= a >> 29;
        c += b & 0xffff;
        if (c & 1) b += i;
    }
    return a ^ b ^ c;
}

NOINLINE u64 fib(u64 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

NOINLINE u64 recursive_fib(u64 repeats) {
    u64 sum = 0;
    for (u64 i = 0; i < repeats; i++) sum += fib(27 + (i & 1));
    return sum;
}

static u8 composite[1 << 18];

NOINLINE u64 sieve(u64 repeats) {
    u64 primes = 0;
    for (u64 r = 0; r < repeats; r++) {
        for (u64 i = 0; i < sizeof composite; i++) composite[i] = 0;
        for (u64 n = 2; n < sizeof composite; n++) {
            if (composite[n]) continue;
            primes++;
            for (u64 m = n * n; m < sizeof composite; m += n) composite[m] = 1;
        }
    }
    return primes;
}

static u8 from[1 << 16], to[1 << 16];

NOINLINE void copy(u8 *out, const u8 *in, u64 bytes) {
    typedef u64 __attribute__((may_alias, aligned(1))) word;
    for (; bytes >= 32; bytes -= 32, in += 32, out += 32) {
        u64 a = ((word *)in)[0], b = ((word *)in)[1], c = ((word *)in)[2], d = ((word *)in)[3];
        ((word *)out)[0] = a, ((word *)out)[1] = b, ((word *)out)[2] = c, ((word *)out)[3] = d;
    }
    while (bytes--) { *out++ = *in++; __asm__ volatile("" ::: "memory"); }
}

NOINLINE u64 memory_copy(u64 repeats) {
    u64 sum = 0;
    for (u64 i = 0; i < sizeof from; i++) from[i] = i * 7;
    for (u64 r = 0; r < repeats * 100; r++) {
        u64 offset = r % 64;
        copy(to + offset, from, sizeof from - 64 - r % 13);
        sum += to[offset + r % 4096];
    }
    return sum;
}

static u32 rotate(u32 value, int n) { return value >> n | value << (32 - n); }

// SHA-256's compression with round constants made on the spot, which is as much work and less text.
NOINLINE void compress(u32 *state, const u32 *block) {
    u32 w[64];
    for (int i = 0; i < 16; i++) w[i] = block[i];
    for (int i = 16; i < 64; i++) {
        u32 s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        u32 s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    u32 k = 0x428a2f98;
    for (int i = 0; i < 64; i++) {
        u32 t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + k + w[i];
        u32 t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        k = k * 1664525 + 1013904223;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

NOINLINE u64 sha(u64 repeats) {
    u32 state[8] = {1, 2, 3, 4, 5, 6, 7, 8}, block[16];
    for (u64 r = 0; r < repeats * 1000; r++) {
        for (int i = 0; i < 16; i++) block[i] = state[i & 7] + i + r;
        compress(state, block);
    }
    return (u64)state[0] << 32 | state[7];
}

// A bytecode machine with a switch: sums a polynomial over a counter.
enum { PUSH, LOAD, STORE, ADD, MULTIPLY, SUBTRACT, LESS, BRANCH_IF, JUMP, HALT };
static const u8 program[] = {
    PUSH, 0, STORE, 0, PUSH, 0, STORE, 1,              // sum = 0, i = 0
    LOAD, 1, LOAD, 2, LESS, BRANCH_IF, 18, HALT,       // 8: if i < limit goto 18
    HALT, HALT,
    LOAD, 0, LOAD, 1, LOAD, 1, MULTIPLY, PUSH, 3,      // 18: sum += i * i - 3 + i
    SUBTRACT, LOAD, 1, ADD, ADD, STORE, 0,
    LOAD, 1, PUSH, 1, ADD, STORE, 1, JUMP, 8,          // i += 1, goto 8
};

NOINLINE u64 interpret(const u8 *code, u64 limit) {
    u64 stack[16], variables[4] = {0, 0, limit, 0};
    u64 *top = stack;
    for (const u8 *at = code;;) {
        switch (*at++) {
        case PUSH: *top++ = *at++; break;
        case LOAD: *top++ = variables[*at++]; break;
        case STORE: variables[*at++] = *--top; break;
        case ADD: top--; top[-1] += *top; break;
        case MULTIPLY: top--; top[-1] *= *top; break;
        case SUBTRACT: top--; top[-1] -= *top; break;
        case LESS: top--; top[-1] = top[-1] < *top; break;
        case BRANCH_IF: at = *--top ? code + *at : at + 1; break;
        case JUMP: at = code + *at; break;
        case HALT: return variables[0];
        }
    }
}

NOINLINE u64 dispatch(u64 repeats) { return interpret(program, repeats * 20000); }

// N-body: the sun and four planets in a plane, plus heights.
enum { BODIES = 5 };
typedef struct { f64 x, y, z, vx, vy, vz, mass; } Body;

NOINLINE void advance(Body *bodies, f64 dt) {
    for (int i = 0; i < BODIES; i++) {
        Body *a = bodies + i;
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = bodies + j;
            f64 dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
            f64 square = dx * dx + dy * dy + dz * dz;
            f64 force = dt / (square * __builtin_sqrt(square));
            a->vx -= dx * b->mass * force, a->vy -= dy * b->mass * force, a->vz -= dz * b->mass * force;
            b->vx += dx * a->mass * force, b->vy += dy * a->mass * force, b->vz += dz * a->mass * force;
        }
    }
    for (int i = 0; i < BODIES; i++) {
        Body *a = bodies + i;
        a->x += dt * a->vx, a->y += dt * a->vy, a->z += dt * a->vz;
    }
}

static Body bodies[BODIES] = {
    {0, 0, 0, 0, 0, 0, 39.47},
    {4.84, -1.16, -0.10, 0.6063, 2.8119, -0.0252, 0.0377},
    {8.34, 4.12, -0.40, -1.0107, 1.8256, 0.0084, 0.0113},
    {12.89, -15.11, -0.22, 1.0827, 0.8687, -0.0108, 0.0017},
    {15.37, -25.9, 0.18, 0.9790, 0.5947, -0.0347, 0.0020},
};

NOINLINE u64 nbody(u64 repeats) {
    for (u64 r = 0; r < repeats * 1000; r++) advance(bodies, 0.001);
    return (u64)(bodies[0].x * 1e6 + bodies[1].y * 1e6 + 1e9);
}

enum { SIZE = 64 };
static f64 left[SIZE][SIZE], right[SIZE][SIZE], result[SIZE][SIZE];

NOINLINE void multiply(void) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            f64 sum = 0;
            for (int k = 0; k < SIZE; k++) sum += left[i][k] * right[k][j];
            result[i][j] = sum;
        }
}

NOINLINE u64 matmul(u64 repeats) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) left[i][j] = i + j * 0.1, right[i][j] = i * 0.3 - j;
    f64 sum = 0;
    for (u64 r = 0; r < repeats; r++) {
        left[r % SIZE][3] += 1;
        multiply();
        sum += result[r % SIZE][5];
    }
    return (u64)(i64)sum;
}

NOINLINE u64 mandel(u64 repeats) {
    u64 total = 0;
    for (u64 r = 0; r < repeats; r++)
        for (int row = 0; row < 40; row++)
            for (int column = 0; column < 60; column++) {
                f64 cx = column / 30.0 - 1.5, cy = row / 20.0 - 1.0 + r * 1e-6, x = 0, y = 0;
                int n = 0;
                while (n < 200 && x * x + y * y < 4) {
                    f64 next = x * x - y * y + cx;
                    y = 2 * x * y + cy;
                    x = next;
                    n++;
                }
                total += n;
            }
    return total;
}

// Kernels whose data are their own can be run by several threads.
typedef struct { const char *name; u64 (*run)(u64); int parallel; } Kernel;

static const Kernel kernels[] = {
    {"integer-loop", integer_loop, 1}, {"fib", recursive_fib, 1}, {"sieve", sieve, 0},
    {"memcpy", memory_copy, 0},        {"sha", sha, 1},           {"dispatch", dispatch, 1},
    {"nbody", nbody, 0},               {"matmul", matmul, 0},     {"mandel", mandel, 1},
};

static const Kernel *chosen;
static u64 part, results[WORKERS];

static void work(u64 index) { results[index] = chosen->run(part); }

static u64 in_threads(u64 repeats, u64 count) {
    part = repeats / count;
    run(count, work);
    u64 sum = 0;
    for (u64 i = 0; i < count; i++) sum += results[i];
    return sum;
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static u64 number(const char *text) {
    u64 value = 0;
    while (*text) value = value * 10 + (*text++ - '0');
    return value;
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    u64 threads = argc == 4 ? number(argv[3]) : 0;
    for (u64 i = 0; (argc == 3 || argc == 4) && i < sizeof kernels / sizeof *kernels; i++) {
        chosen = kernels + i;
        if (!same(chosen->name, argv[1]) || threads > WORKERS || (threads && !chosen->parallel)) continue;
        u64 repeats = number(argv[2]);
        show_hex(argv[1], threads ? in_threads(repeats, threads) : chosen->run(repeats));
        return 0;
    }
    print("usage: kernels NAME REPEATS [THREADS]\n");
    return 2;
}
