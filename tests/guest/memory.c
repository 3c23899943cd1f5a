// Loads and stores of every size, aligned or not, in data, stack and fresh pages; prints what it read back.
#include "rt.h"

u8 bytes[32] = {0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98, 0xa9, 0xba, 0xcb, 0xdc, 0xed, 0xfe, 0xff};
u64 cells[4] = {1, 2, 3, 4};
const u32 constants[3] = {0xdeadbeef, 0x12345678, 0xffffffff};

#define LOAD(insn, at) ({ u64 r; __asm__ volatile(insn : "=r"(r) : "r"(at) : "memory"); r; })

NOINLINE void extended_loads(void) {
    show_hex("ldrb", LOAD("ldrb %w0, [%1, #15]", bytes));
    show_hex("ldrsb x", LOAD("ldrsb %0, [%1, #15]", bytes));
    show_hex("ldrsb w", LOAD("ldrsb %w0, [%1, #15]", bytes));
    show_hex("ldrh unaligned", LOAD("ldurh %w0, [%1, #7]", bytes));
    show_hex("ldrsh", LOAD("ldrsh %0, [%1, #8]", bytes));
    show_hex("ldrsw", LOAD("ldrsw %0, [%1, #8]", bytes));
    show_hex("ldr unaligned", LOAD("ldur %0, [%1, #3]", bytes));
}

NOINLINE void writeback(void) {
    u64 *at = cells, first, second;
    __asm__ volatile("ldr %0, [%2], #8\n ldr %1, [%2, #8]!" : "=&r"(first), "=&r"(second), "+r"(at)::"memory");
    show("post-index", first);
    show("pre-index", second);
    show("moved", at - cells);
    __asm__ volatile("stp %1, %2, [%0, #-16]!" : "+r"(at) : "r"(70L), "r"(80L) : "memory");
    show("pair", cells[0] * 1000 + cells[1]);
}

NOINLINE void pages(void) {
    u8 *page = (u8 *)syscall6(SYS_mmap, 0, 8192, 3, 0x22, -1, 0);
    u64 pattern = 0x1122334455667788;
    __asm__ volatile("str %1, [%0]" ::"r"(page + 4093), "r"(pattern) : "memory");
    show_hex("across pages", *(u32 *)(page + 4096));
    show_hex("before", page[4095]);
    show("fresh", page[8191]);
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    extended_loads();
    writeback();
    pages();
    show_hex("constant", constants[1]);
    return 0;
}
