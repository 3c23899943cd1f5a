// Code that rewrites itself: in a fresh RWX page, in its own text made writable, and inside a running loop.
//
// Each function returns the number in its first instruction, `mov w0, #n`, which `set` replaces. Stale translations
// return the number from before.
#include "rt.h"

enum { RET = 0xd65f03c0 };
typedef u64 (*Function)(void);

static u32 move(u32 number) { return 0x52800000 | number << 5; }

static void set(u32 *at, u32 instruction) {
    *(volatile u32 *)at = instruction;
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(at) : "memory");
}

NOINLINE void in_fresh_page(void) {
    u32 *page = (u32 *)syscall6(SYS_mmap, 0, 4096, 7, 0x22, -1, 0);
    page[1] = RET;
    u64 sum = 0;
    for (u32 i = 0; i < 50; i++) {
        set(page, move(i));
        sum = sum * 3 + ((Function)page)() * 7 + ((Function)page)();
    }
    show_hex("fresh page", sum);
}

__attribute__((aligned(4096))) NOINLINE u64 victim(void) {
    u64 result;
    __asm__ volatile("mov w0, #1\n mov %0, x0" : "=r"(result) : : "x0");
    return result;
}

NOINLINE void in_text(void) {
    u64 before = victim();
    syscall3(SYS_mprotect, (i64)victim & ~4095L, 4096, 7);
    u32 *at = (u32 *)victim;
    while (*at != move(1)) at++;
    set(at, move(4321));
    syscall3(SYS_mprotect, (i64)victim & ~4095L, 4096, 5);
    show("text before", before);
    show("text after", victim());
}

// A loop of 1000 iterations that, in iteration 501, turns its own `add x0, x0, #1` into `add x0, x0, #2` after having
// executed it: 501 + 2 * 499 = 1499.
NOINLINE void in_own_loop(void) {
    static const u32 code[] = {
        0xd2800000,              // mov x0, #0
        0xd2807d02,              // mov x2, #1000
        0x10000063,              // adr x3, .+12 (the add)
        0xd2803e84,              // mov x4, #500
        0x14000001,              // b .+4
        0x91000400,              // add x0, x0, #1       <- rewritten
        0xeb04005f,              // cmp x2, x4
        0x540000c1,              // b.ne .+24
        0xb9000061,              // str w1, [x3]
        0xd50b7b23,              // dc cvau, x3
        0xd5033b9f,              // dsb ish
        0xd50b7523,              // ic ivau, x3
        0xd5033fdf,              // isb
        0xf1000442,              // subs x2, x2, #1
        0x54fffee1,              // b.ne .-36
        RET,
    };
    u32 *page = (u32 *)syscall6(SYS_mmap, 0, 4096, 7, 0x22, -1, 0);
    for (u32 i = 0; i < sizeof code / 4; i++) set(page + i, code[i]);
    u64 result = ((u64(*)(u64, u64))page)(0, 0x91000800);
    show("own loop", result);
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    in_fresh_page();
    in_text();
    in_own_loop();
    return 0;
}
