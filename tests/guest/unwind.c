// Calls that end in other ways than by their own return: tail calls, longjmp, signal handlers. Prints "sum 192".
//
//   main -> even(5) -> odd(4) -> even(3) -> … -> odd(0)   by tail calls: 6 entries, all return at once
//   main -> attempt(n) 4 times, n = 0 … 3; attempt -> risky(n), which jumps back into attempt if n is odd
//   main -> shout, whose signal handler calls leaf(20) in the middle of it, on a stack of its own
//   main -> outer(3) -> inner(3) -> outer(2) -> … -> outer(0)   by plain recursion: 4 and 3 entries
#include "rt.h"

u64 save(u64 *buffer);
__attribute__((noreturn)) void jump(u64 *buffer, u64 value);
#if defined(__riscv)
// Registers ra, s0 to s11, sp.
static u64 saved[14];
__asm__(".globl save\n.type save, %function\n"
        "save:\n"
        "  sd ra, 0(a0)\n  sd s0, 8(a0)\n  sd s1, 16(a0)\n  sd s2, 24(a0)\n  sd s3, 32(a0)\n  sd s4, 40(a0)\n"
        "  sd s5, 48(a0)\n  sd s6, 56(a0)\n  sd s7, 64(a0)\n  sd s8, 72(a0)\n  sd s9, 80(a0)\n  sd s10, 88(a0)\n"
        "  sd s11, 96(a0)\n  sd sp, 104(a0)\n  li a0, 0\n  ret\n"
        ".size save, . - save\n"
        ".globl jump\n.type jump, %function\n"
        "jump:\n"
        "  ld ra, 0(a0)\n  ld s0, 8(a0)\n  ld s1, 16(a0)\n  ld s2, 24(a0)\n  ld s3, 32(a0)\n  ld s4, 40(a0)\n"
        "  ld s5, 48(a0)\n  ld s6, 56(a0)\n  ld s7, 64(a0)\n  ld s8, 72(a0)\n  ld s9, 80(a0)\n  ld s10, 88(a0)\n"
        "  ld s11, 96(a0)\n  ld sp, 104(a0)\n  mv a0, a1\n  ret\n"
        ".size jump, . - jump\n"
        ".globl even\n.type even, %function\n"
        "even:\n  beqz a0, 1f\n  addi a0, a0, -1\n  j odd\n1: li a0, 100\n  ret\n"
        ".size even, . - even\n"
        ".globl odd\n.type odd, %function\n"
        "odd:\n  beqz a0, 1f\n  addi a0, a0, -1\n  j even\n1: li a0, 101\n  ret\n"
        ".size odd, . - odd\n");
#else
// Registers x19 to x30, sp.
static u64 saved[13];
__asm__(".globl save\n.type save, %function\n"
        "save:\n"
        "  stp x19, x20, [x0]\n  stp x21, x22, [x0, #16]\n  stp x23, x24, [x0, #32]\n"
        "  stp x25, x26, [x0, #48]\n  stp x27, x28, [x0, #64]\n  stp x29, x30, [x0, #80]\n"
        "  mov x1, sp\n  str x1, [x0, #96]\n  mov x0, #0\n  ret\n"
        ".size save, . - save\n"
        ".globl jump\n.type jump, %function\n"
        "jump:\n"
        "  ldp x19, x20, [x0]\n  ldp x21, x22, [x0, #16]\n  ldp x23, x24, [x0, #32]\n"
        "  ldp x25, x26, [x0, #48]\n  ldp x27, x28, [x0, #64]\n  ldp x29, x30, [x0, #80]\n"
        "  ldr x2, [x0, #96]\n  mov sp, x2\n  mov x0, x1\n  ret\n"
        ".size jump, . - jump\n"
        // Compilers make loops of these.
        ".globl even\n.type even, %function\n"
        "even:\n  cbz x0, 1f\n  sub x0, x0, #1\n  b odd\n1: mov x0, #100\n  ret\n"
        ".size even, . - even\n"
        ".globl odd\n.type odd, %function\n"
        "odd:\n  cbz x0, 1f\n  sub x0, x0, #1\n  b even\n1: mov x0, #101\n  ret\n"
        ".size odd, . - odd\n");
#endif
u64 even(u64 n);

NOINLINE u64 leaf(u64 a) { __asm__ volatile("" : "+r"(a)); return a + 1; }
NOINLINE u64 risky(u64 n) {
    u64 r = leaf(n);
    if (n & 1) jump(saved, r);
    return r;
}
NOINLINE u64 attempt(u64 n) {
    u64 thrown = save(saved);
    if (thrown) return thrown * 10;
    u64 r = risky(n);
    __asm__ volatile("" : "+r"(r));
    return r;
}

NOINLINE u64 outer(u64 n);
NOINLINE u64 inner(u64 n) { return outer(n - 1) + 1; }
NOINLINE u64 outer(u64 n) { return n ? inner(n) + 1 : 0; }

struct action { void (*handler)(int); u64 flags; void (*restorer)(void); u64 mask; };
struct stack { void *base; int flags; u64 size; };
static u8 other[8192] __attribute__((aligned(16)));
static volatile u64 heard;
static void handler(int signal) { (void)signal; heard = leaf(20); }
NOINLINE u64 shout(void) {
    i64 pid = syscall3(SYS_getpid, 0, 0, 0);
    syscall3(SYS_kill, pid, 10, 0);
    return heard;
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    struct stack stack = { other, 0, sizeof other };
    struct action action = { handler, 0x08000000, 0, 0 };
    syscall3(SYS_sigaltstack, (i64)&stack, 0, 0);
    syscall6(SYS_rt_sigaction, 10, (i64)&action, 0, 8, 0, 0);
    u64 sum = even(5);
    for (u64 n = 0; n < 4; n++) sum += attempt(n);
    sum += shout();
    sum += outer(3);
    show("sum", sum);
    return 0;
}
