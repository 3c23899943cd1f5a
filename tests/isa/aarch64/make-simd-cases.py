#!/usr/bin/env python3
"""Makes simd.cases: what a reference emulator does with instructions of the floating-point and SIMD groups.

Instruction words are drawn from the patterns of the lifter's tables and from the encoding groups at large; operands
from a pool of special values. Everything is executed by a small static program under `qemu-aarch64`, whose results
are the expected ones.

    make-simd-cases.py [--per-row N] [--random N] [--only REGEX] [--seed N] > simd.cases

Needs aarch64-linux-gnu-gcc and qemu-aarch64. The CPU that is modelled has no instructions beyond Armv8.2.
"""
import argparse, pathlib, random, re, struct, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).resolve().parent
LIFT = HERE.parents[2] / "runtime/src/isa/aarch64/lift"
POOL = 251
STATE = struct.Struct("<II 16s 512s 136s 256s Q")

RUNNER = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
struct state { uint32_t word, undefined; uint64_t fpcr, fpsr; unsigned char v[512]; uint64_t x[17]; unsigned char mem[256]; uint64_t nzcv; };
static struct state s;
void run(struct state *s, void *code);
__asm__(
  "run: stp x29, x30, [sp, -176]!\n stp x19, x20, [sp, 16]\n stp x27, x28, [sp, 32]\n stp d8, d9, [sp, 48]\n stp d10, d11, [sp, 64]\n"
  " stp d12, d13, [sp, 80]\n stp d14, d15, [sp, 96]\n str x0, [sp, 112]\n"
  " mov x20, x0\n mov x19, x1\n ldr x0, [x20, 8]\n msr fpcr, x0\n ldr x0, [x20, 16]\n msr fpsr, x0\n"
  " add x1, x20, 24\n"
  " ldp q0, q1, [x1]\n ldp q2, q3, [x1, 32]\n ldp q4, q5, [x1, 64]\n ldp q6, q7, [x1, 96]\n"
  " ldp q8, q9, [x1, 128]\n ldp q10, q11, [x1, 160]\n ldp q12, q13, [x1, 192]\n ldp q14, q15, [x1, 224]\n"
  " ldp q16, q17, [x1, 256]\n ldp q18, q19, [x1, 288]\n ldp q20, q21, [x1, 320]\n ldp q22, q23, [x1, 352]\n"
  " ldp q24, q25, [x1, 384]\n ldp q26, q27, [x1, 416]\n ldp q28, q29, [x1, 448]\n ldp q30, q31, [x1, 480]\n"
  " ldr x0, [x20, 928]\n msr nzcv, x0\n add x17, x20, 536\n"
  " ldp x0, x1, [x17]\n ldp x2, x3, [x17, 16]\n ldp x4, x5, [x17, 32]\n ldp x6, x7, [x17, 48]\n"
  " ldp x8, x9, [x17, 64]\n ldp x10, x11, [x17, 80]\n ldp x12, x13, [x17, 96]\n ldp x14, x15, [x17, 112]\n"
  " add x16, x20, 672\n blr x19\n"
  " add x17, x20, 536\n"
  " stp x0, x1, [x17]\n stp x2, x3, [x17, 16]\n stp x4, x5, [x17, 32]\n stp x6, x7, [x17, 48]\n"
  " stp x8, x9, [x17, 64]\n stp x10, x11, [x17, 80]\n stp x12, x13, [x17, 96]\n stp x14, x15, [x17, 112]\n"
  " add x0, x20, 672\n sub x0, x16, x0\n str x0, [x17, 128]\n"
  " mrs x0, nzcv\n str x0, [x20, 928]\n mrs x0, fpsr\n str x0, [x20, 16]\n msr fpcr, xzr\n msr fpsr, xzr\n"
  " add x1, x20, 24\n"
  " stp q0, q1, [x1]\n stp q2, q3, [x1, 32]\n stp q4, q5, [x1, 64]\n stp q6, q7, [x1, 96]\n"
  " stp q8, q9, [x1, 128]\n stp q10, q11, [x1, 160]\n stp q12, q13, [x1, 192]\n stp q14, q15, [x1, 224]\n"
  " stp q16, q17, [x1, 256]\n stp q18, q19, [x1, 288]\n stp q20, q21, [x1, 320]\n stp q22, q23, [x1, 352]\n"
  " stp q24, q25, [x1, 384]\n stp q26, q27, [x1, 416]\n stp q28, q29, [x1, 448]\n stp q30, q31, [x1, 480]\n"
  " ldp d14, d15, [sp, 96]\n ldp d12, d13, [sp, 80]\n ldp d10, d11, [sp, 64]\n ldp d8, d9, [sp, 48]\n"
  " ldp x27, x28, [sp, 32]\n ldp x19, x20, [sp, 16]\n ldp x29, x30, [sp], 176\n ret\n");
static void ill(int n, siginfo_t *i, void *c) { (void)n; (void)i; s.undefined = 1; ((ucontext_t *)c)->uc_mcontext.pc += 4; }
int main(int argc, char **argv) {
  struct sigaction a; memset(&a, 0, sizeof a); a.sa_sigaction = ill; a.sa_flags = SA_SIGINFO; sigaction(SIGILL, &a, 0);
  FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
  fseek(in, 0, SEEK_END); long n = ftell(in) / sizeof s; rewind(in);
  struct state *all = malloc(n * sizeof s);
  if (fread(all, sizeof s, n, in) != (size_t)n) return 1;
  uint32_t *code = mmap(0, n * 8, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long i = 0; i < n; i++) { code[2 * i] = all[i].word; code[2 * i + 1] = 0xd65f03c0; }
  __builtin___clear_cache((char *)code, (char *)(code + 2 * n));
  for (long i = 0; i < n; i++) { s = all[i]; run(&s, code + 2 * i); all[i] = s; }
  fwrite(all, sizeof s, n, out); fclose(out); (void)argc;
  return 0;
}
"""

SPECIAL = {
    2: [0, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0xfd55, 1, 0x8001, 0x3ff, 0x400, 0x8401, 0x7bff, 0xfbff, 0x3c00,
        0xbc00, 0x3c01, 0x3bff, 0x3800, 0x3e00, 0xc100, 0x5bff, 0x6400, 0x7800, 0x0200, 0x3555, 0x5640, 0x7bf0, 0x77ff],
    4: [0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001, 0xffa55555, 1, 0x80000001, 0x7fffff,
        0x800000, 0x80800001, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x3f000000,
        0x3fc00000, 0xc0200000, 0x4b000000, 0x4effffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x5f7fffff, 0xdf000000,
        0x00400000, 0x3eaaaaab, 0x33800000, 0x477fe000, 0x477ff000, 0x38800000, 0x387fc000, 0x33000001, 0x7e800000,
        0x00ffffff, 0x1a000000, 0x9a000001, 0x7fe00000, 0xff800100, 0x20000000],
    8: [0, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0xfff8000000012345, 0x7ff0000000000001, 0xfff5555555555555, 1,
        1 << 63 | 1, (1 << 52) - 1, 1 << 52, 1 << 63 | 1 << 52 | 1, 0x7fefffffffffffff, 0xffefffffffffffff, 0x3ff << 52,
        0xbff << 52, 0x3ff0000000000001, 0x3fefffffffffffff, 0x3fe << 52, 0x3ff8 << 48, 0xc004 << 48, 0x433 << 52,
        0x41dfffffffc00000, 0x41dfffffffe00000, 0x41e << 52, 0xc1e << 52, 0x43dfffffffffffff, 0x43e << 52, 0xc3e << 52,
        0x43efffffffffffff, 0x43f << 52, 1 << 51, 0x3fd5555555555555, 0x47efffffe0000000, 0x47effffff0000000,
        0x3810 << 48, 0x380fffffc0000000, 0x36a << 52, 0x36a0000000000001, 0x3690000000000001, 0x1ff << 52, 0x9ff0000000000001,
        0x001fffffffffffff, 0x7fd << 52, 0x3c9 << 52, 0x40effc0000000000, 0x3f0ff80000000000],
    1: [0, 1, 2, 3, 7, 8, 9, 15, 16, 0x1f, 0x20, 0x21, 0x3f, 0x40, 0x41, 0x7f, 0x80, 0x81, 0xff, 0xfe, 0xf8, 0xf0, 0xe0, 0xc0,
        0xbf, 0xdf, 0x55, 0xaa],
}


def lane(rng, size):
    """A lane: special, near a special, a float of moderate size, or random."""
    bits = 8 * size
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(SPECIAL[size])
    if kind < 0.65 and size > 1:
        return (rng.choice(SPECIAL[size]) + rng.choice([-2, -1, 1, 2, 1 << (bits // 4)])) % (1 << bits)
    if kind < 0.85 and size > 1:
        exp, frac = {2: (5, 10), 4: (8, 23), 8: (11, 52)}[size]
        field = (1 << (exp - 1)) - 1 + rng.randint(-8, 8) * rng.choice([1, 1, (1 << exp) // 24 or 1])
        return rng.getrandbits(1) << (bits - 1) | field << frac | rng.choice([rng.getrandbits(frac), rng.getrandbits(4) << (frac - 4)])
    if kind < 0.9 and size > 1:
        return rng.choice([0, 1, 2, 1 << (bits - 1), (1 << (bits - 1)) - 1, (1 << bits) - 1])
    return rng.getrandbits(bits)


def make_pool(rng):
    pool = []
    for i in range(POOL):
        size = [4, 8, 1, 4, 8, 2][i % 6]
        value = 0
        for k in range(16 // size):
            value |= lane(rng, size) << (8 * size * k)
        pool.append(value)
    return pool


def rows(only):
    for name in ["float", "simd", "structure"]:
        text = (LIFT / f"{name}.rs").read_text()
        for row, pattern in re.findall(r'row\(\s*"(\w+)",\s*"([^"]+)"', text):
            if not only or re.search(only, row):
                yield name, row, pattern.replace(" ", "")


def draw(rng, pattern):
    return int("".join(c if c in "01" else rng.choice("01") for c in pattern), 2)


def tame(rng, word, structure):
    """Keeps general registers that are written away from those of the runner; bases point to memory."""
    def place(at, value):
        nonlocal word
        word = word & ~(31 << at) | value << at
    def low(at):
        register = word >> at & 31
        place(at, register if register == 31 else register & 15)
    low(0)
    if structure:
        place(5, 16)
        if rng.random() < 0.5:
            low(16)
        else:
            place(16, 31)
    else:
        low(5)
    return word


# U, the bit at 23 and opcode of the half-precision instructions with two registers.
HALF_MISC = {(0, 1, 12), (1, 1, 12), (0, 1, 13), (1, 1, 13), (0, 1, 14), (0, 1, 15), (1, 1, 15), (1, 1, 25), (0, 1, 31), (1, 1, 31)} | {
    (u, a, op) for u in (0, 1) for a in (0, 1) for op in (24, 25, 26, 27, 28, 29)} - {(0, 1, 28), (1, 1, 28), (1, 1, 24)}


def mistaken(word):
    """The emulator asserts on unallocated words of one class, and executes those of two others."""
    if word & 0xbff8fc00 == 0x2f00fc00 or word & 0xaf7ecc00 == 0x0e70c800:
        return True
    if word & 0x8f7e0c00 != 0x0e780800 or word & 0x50000000 == 0x10000000:
        return False
    key = (word >> 29 & 1, word >> 23 & 1, word >> 12 & 31)
    if word >> 28 & 1:
        return key not in HALF_MISC or key[2] in (24, 25) or key in [(0, 1, 15), (1, 1, 15), (1, 1, 31)]
    return key not in HALF_MISC or key == (0, 1, 31)


def sharing(rng, word):
    """Sometimes the registers coincide."""
    if rng.random() < 0.15:
        word = word & ~31 | word >> 5 & 31
    if rng.random() < 0.1:
        word = word & ~(31 << 16) | (word >> 5 & 31) << 16
    return word


def control(rng):
    value = 0
    if rng.random() < 0.6:
        value = rng.randrange(16) << 22
    if rng.random() < 0.15:
        value |= 1 << 19
    if rng.random() < 0.15:
        value |= 1 << 26
    return value


def register(pool, a, b, i):
    return pool[(a + i * b) % POOL]


def status(b):
    """Inexact is raised beforehand in every second case."""
    return 16 * (b % 2)


def state(pool, word, fpcr, a, b):
    v = b"".join(register(pool, a, b, i).to_bytes(16, "little") for i in range(32))
    x = [register(pool, a, b, i + 40) & ((1 << 64) - 1) for i in range(16)] + [0]
    mem = b"".join(register(pool, a, b, i + 60).to_bytes(16, "little") for i in range(16))
    return STATE.pack(word, 0, struct.pack("<QQ", fpcr, status(b)), v, struct.pack("<17Q", *x), mem, (a & 15) << 28)


def outcome(before, after):
    _, _, fp0, v0, x0, mem0, nzcv0 = STATE.unpack(before)
    _, undefined, fp, v1, x1, mem1, nzcv1 = STATE.unpack(after)
    if undefined:
        return "undefined"
    out = []
    for i in range(32):
        if v0[16 * i:16 * i + 16] != v1[16 * i:16 * i + 16]:
            out.append(f"v{i}={int.from_bytes(v1[16 * i:16 * i + 16], 'little'):x}")
    for i, (old, new) in enumerate(zip(struct.unpack("<17Q", x0), struct.unpack("<17Q", x1))):
        if old != new:
            out.append(f"x{i}={new:x}")
    if nzcv0 != nzcv1:
        out.append(f"nzcv={nzcv1 >> 28:x}")
    if fp0[8:] != fp[8:]:
        out.append(f"fpsr={struct.unpack('<QQ', fp)[1]:x}")
    for i in range(16):
        if mem0[16 * i:16 * i + 16] != mem1[16 * i:16 * i + 16]:
            out.append(f"m{i}={int.from_bytes(mem1[16 * i:16 * i + 16], 'little'):x}")
    return " ".join(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-row", type=int, default=10)
    parser.add_argument("--random", type=int, default=200)
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--undefined", type=float, default=0.1, help="share of the undefined cases that is kept")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    pool = make_pool(rng)
    cases = []

    def case(name, word):
        if mistaken(word):
            return
        fpcr, a, b = control(rng), rng.randrange(POOL), rng.randrange(1, POOL)
        cases.append((name, word, fpcr, a, b, state(pool, word, fpcr, a, b)))

    for file, name, pattern in rows(args.only):
        for _ in range(args.per_row):
            word = draw(rng, pattern)
            # Words that keep the pattern although registers were confined.
            for _ in range(20):
                tamed = tame(rng, sharing(rng, word), file == "structure")
                if all(c not in "01" or int(c) == tamed >> (31 - i) & 1 for i, c in enumerate(pattern)):
                    case(name, tamed)
                    break
                word = draw(rng, pattern)
    for _ in range(args.random):
        case("any", tame(rng, rng.getrandbits(32) & ~(7 << 25) | 7 << 25, False))
    with tempfile.TemporaryDirectory() as where:
        where = pathlib.Path(where)
        (where / "runner.c").write_text(RUNNER)
        subprocess.run(["aarch64-linux-gnu-gcc", "-O1", "-static", "-o", where / "runner", where / "runner.c"], check=True)
        (where / "in").write_bytes(b"".join(c[5] for c in cases))
        subprocess.run(["qemu-aarch64", "-cpu", "neoverse-n1", where / "runner", where / "in", where / "out"], check=True)
        results = (where / "out").read_bytes()
    print("# Made by make-simd-cases.py. A pool of 128-bit values, then under each instruction's name lines of")
    print("# word, control register, a and b, results. Register i holds pool[(a + i * b) % size]; flags are a % 16,")
    print("# the status register 16 if b is odd, else 0.")
    print("pool " + " ".join(f"{value:x}" for value in pool))
    last = None
    for i, (name, word, fpcr, a, b, before) in enumerate(cases):
        result = outcome(before, results[STATE.size * i:STATE.size * (i + 1)])
        if result == "undefined" and rng.random() > args.undefined:
            continue
        if name != last:
            print(f"= {name}")
            last = name
        print(f"{word:08x} {fpcr:x} {a} {b}: {result}".rstrip())


main()
