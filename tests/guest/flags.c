// Conditional logic: every condition after adds, subtractions and conditional compares of awkward operands, and
// every class of immediate. Prints one checksum per group.
#include "rt.h"

static const u64 operands[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
                               0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0x123456789abcdef0};
enum { OPERANDS = sizeof operands / sizeof *operands };

static u64 mix(u64 sum, u64 value) { return (sum ^ value) * 0x100000001b3; }

// The 14 conditions that can fail, each as one bit.
#define ONE(cc) "cset w9, " cc "\n orr %w0, w9, %w0, lsl #1\n"
#define ALL ONE("eq") ONE("ne") ONE("cs") ONE("cc") ONE("mi") ONE("pl") ONE("vs") ONE("vc") ONE("hi") ONE("ls") \
            ONE("ge") ONE("lt") ONE("gt") ONE("le")
#define CONDITIONS(insn, a, b) ({ u64 bits = 0; __asm__ volatile(insn "\n" ALL : "+&r"(bits) : "r"(a), "r"(b) : "x9", "cc"); bits; })

#define GROUP(name, insn) do { u64 sum = 0; \
    for (u64 i = 0; i < OPERANDS; i++) for (u64 j = 0; j < OPERANDS; j++) \
        sum = mix(sum, CONDITIONS(insn, operands[i], operands[j])); \
    show_hex(name, sum); } while (0)

NOINLINE void conditions(void) {
    GROUP("adds x", "adds x9, %1, %2");
    GROUP("adds w", "adds w9, %w1, %w2");
    GROUP("subs x", "subs x9, %1, %2");
    GROUP("subs w", "subs w9, %w1, %w2");
    GROUP("ands x", "ands x9, %1, %2");
    GROUP("bics w", "bics w9, %w1, %w2");
    GROUP("adcs x", "cmp %1, %2\n adcs x9, %1, %2");
    GROUP("sbcs w", "cmp %1, %2\n sbcs w9, %w1, %w2");
    GROUP("ccmp x", "cmp %1, %2\n ccmp %2, %1, #5, hi");
    GROUP("ccmn w", "cmp %1, %2\n ccmn %w2, #3, #10, lt");
    GROUP("negs w", "negs w9, %w2, asr #3");
    GROUP("cmp extended", "cmp %1, %w2, sxth #2");
    GROUP("tst shifted", "tst %1, %2, ror #13");
}

NOINLINE void selects(void) {
    u64 sum = 0;
    for (u64 i = 0; i < OPERANDS; i++)
        for (u64 j = 0; j < OPERANDS; j++) {
            u64 a = operands[i], b = operands[j], r;
            __asm__ volatile("cmp %1, %2\n csel x9, %1, %2, lt\n csinc x10, x9, %2, hi\n csinv w11, w10, %w1, vs\n"
                             "csneg x12, x11, x9, ge\n eor %0, x12, x10"
                             : "=&r"(r) : "r"(a), "r"(b) : "x9", "x10", "x11", "x12", "cc");
            sum = mix(sum, r);
        }
    show_hex("selects", sum);
}

#define IMMEDIATE(text) __asm__ volatile(text : "=r"(r) : "r"(0x0123456789abcdefUL), "0"(-2L) : "cc"); sum = mix(sum, r)

NOINLINE void immediates(void) {
    u64 sum = 0, r;
    IMMEDIATE("mov %0, #0xabcd000000000000");
    IMMEDIATE("movk %0, #0x1234, lsl #32");
    IMMEDIATE("movn %0, #0xffff, lsl #16");
    IMMEDIATE("movn %w0, #0x7fff, lsl #16");
    IMMEDIATE("add %0, %1, #4095, lsl #12");
    IMMEDIATE("sub %w0, %w1, #4095");
    IMMEDIATE("and %0, %1, #0xf0f0f0f0f0f0f0f0");
    IMMEDIATE("orr %0, %1, #0x7ffffffffffffffe");
    IMMEDIATE("eor %w0, %w1, #0x80000001");
    IMMEDIATE("and %0, %1, #0xffffc000003fffff");
    IMMEDIATE("orr %w0, %w1, #0x55555555");
    IMMEDIATE("ubfx %0, %1, #13, #29");
    IMMEDIATE("sbfx %w0, %w1, #7, #11");
    IMMEDIATE("bfi %0, %1, #20, #33");
    IMMEDIATE("bfxil %w0, %w1, #3, #9");
    IMMEDIATE("extr %0, %1, %1, #49");
    show_hex("immediates", sum);
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    conditions();
    selects();
    immediates();
    return 0;
}
