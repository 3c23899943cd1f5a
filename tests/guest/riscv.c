// What RISC-V has of its own, each line a fact: properties that `riscv_hwprobe` tells, code that is written and run,
// rounding modes and exceptions, and threads that count with `lr`/`sc` and with `amoadd`.
#include "rt.h"

enum { SYS_exit = 93, SYS_futex = 98, SYS_clone = 220, SYS_hwprobe = 258, SYS_flush_icache = 259 };
enum { THREADS = 4, ROUNDS = 5000 };

static void fact(const char *name, u64 value) { print(name); print(" "); print_number(value); print("\n"); }

// Key 3 is base behaviour (IMA), 6 the size of the block of `cbo.zero`, 99 is none.
static NOINLINE void properties(void) {
    struct { i64 key; u64 value; } pairs[] = {{3, 0}, {6, 0}, {99, 1}};
    fact("hwprobe", syscall6(SYS_hwprobe, (i64)pairs, 3, 0, 0, 0, 0));
    fact("base behaviour", pairs[0].value);
    fact("block size", pairs[1].value);
    fact("unknown key", pairs[2].key == -1 && pairs[2].value == 0);
    fact("bad address", -syscall6(SYS_hwprobe, 0x1000, 1, 0, 0, 0, 0));
    fact("bad flags", -syscall6(SYS_hwprobe, (i64)pairs, 1, 0, 0, 4, 0));
}

// A function that returns a number, written anew a thousand times: the sum of 0 to 999 modulo 100.
static NOINLINE void written_code(void) {
    u32 *code = (u32 *)syscall6(SYS_mmap, 0, 4096, 7, 0x22, -1, 0);
    u64 sum = 0;
    for (u32 i = 0; i < 1000; i++) {
        code[0] = 0x00000513 | (i % 100) << 20; // li a0, i % 100
        code[1] = 0x00008067;                   // ret
        syscall3(SYS_flush_icache, (i64)code, (i64)(code + 2), 0);
        __asm__ volatile("fence.i" ::: "memory");
        sum += ((u64(*)(void))code)();
    }
    fact("written code", sum);
}

// 1 / 3, the last digit of its significand in each mode; then the exceptions of a few operations.
static NOINLINE void rounding(void) {
    for (u64 mode = 0; mode < 5; mode++) {
        double quotient = 1, three = 3;
        __asm__ volatile("fsrm %1\n fdiv.d %0, %0, %2\n fsrmi 0" : "+f"(quotient) : "r"(mode), "f"(three));
        u64 bits;
        __asm__("fmv.x.d %0, %1" : "=r"(bits) : "f"(quotient));
        fact("rounded", bits & 15);
    }
    u64 flags, value;
    __asm__ volatile("fsflagsi 0\n fmv.d.x ft0, zero\n fdiv.d ft0, ft0, ft0\n frflags %0\n fmv.x.d %1, ft0"
                     : "=r"(flags), "=r"(value) : : "ft0");
    fact("0 / 0 raises", flags);
    fact("and is canonical", value == 0x7ff8000000000000);
    __asm__ volatile("fsflagsi 0\n fcvt.w.d %1, ft0, rtz\n frflags %0" : "=r"(flags), "=r"(value) : : "ft0");
    fact("as an integer raises", flags);
    fact("and is", value);
}

static volatile u64 by_reservation, by_addition;

static void count(void) {
    for (int i = 0; i < ROUNDS; i++) {
        u64 old, failed;
        do {
            __asm__ volatile("lr.d.aq %0, (%2)\n addi %0, %0, 1\n sc.d.rl %1, %0, (%2)"
                             : "=&r"(old), "=&r"(failed) : "r"(&by_reservation) : "memory");
        } while (failed);
        __asm__ volatile("amoadd.d zero, %0, (%1)" ::"r"(2L), "r"(&by_addition) : "memory");
    }
}

static u64 stacks[THREADS][512] __attribute__((aligned(16)));
static volatile u32 alive[THREADS];

static NOINLINE void start(int index) {
    u64 *top = &stacks[index][510];
    alive[index] = 1;
    top[0] = (u64)count;
    // CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM and CHILD_CLEARTID.
    register i64 a0 __asm__("a0") = 0x250f00;
    register u64 *a1 __asm__("a1") = top;
    register i64 a2 __asm__("a2") = 0;
    register i64 a3 __asm__("a3") = 0;
    register volatile u32 *a4 __asm__("a4") = &alive[index];
    register i64 a7 __asm__("a7") = SYS_clone;
    __asm__ volatile("ecall\n bnez a0, 1f\n ld t0, 0(sp)\n jalr t0\n li a0, 0\n li a7, 93\n ecall\n1:"
                     : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7) : "memory", "t0", "ra");
}

static NOINLINE void threads(void) {
    for (int i = 0; i < THREADS; i++) start(i);
    for (int i = 0; i < THREADS; i++)
        while (alive[i]) syscall6(SYS_futex, (i64)&alive[i], 0, 1, 0, 0, 0);
    fact("by reservation", by_reservation);
    fact("by addition", by_addition);
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    properties();
    written_code();
    rounding();
    threads();
    return 0;
}
