// What firmware does, as a program with system calls: code and data at fixed addresses, registers of devices, memory that
// nobody has cleared. Its argument names the part; each part prints what it has seen.
//
// The pages of devices are mapped, but for those at 0x40000000: there a script has to be the device.
#include "rt.h"

enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANONYMOUS = 32 };

static volatile u32 *reg(u64 address) { return (volatile u32 *)address; }

static void map(u64 address, u64 size) {
    i64 got = syscall6(SYS_mmap, address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (got != (i64)address) quit(3);
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

// ---- memory that nobody has written: words 2 and 5 of eight

static NOINLINE u32 sum_of(u64 from, u64 words) {
    u32 sum = 0;
    for (u64 i = 0; i < words; i++) sum += reg(from)[i];
    return sum;
}

static NOINLINE void fill(u64 from, u64 words, u64 except, u64 but) {
    for (u64 i = 0; i < words; i++)
        if (i != except && i != but) reg(from)[i] = i;
}

static void uninitialised(void) {
    map(0x20000000, 0x5000);
    fill(0x20000000, 8, 2, 5);
    show("sum", sum_of(0x20000000, 8));
    fill(0x20004ff0, 4, 4, 4);
    show("sum", sum_of(0x20004ff0, 4));
}

// ---- two serial ports; the second one is at 0x40011000

NOINLINE u32 uart_rx(void) { return *reg(0x40011004); }
static NOINLINE u32 uart_status(void) { return *reg(0x40011004) + 0; }

static void uart(void) {
    map(0x40011000, 0x1000);
    *reg(0x40011004) = 0x1234ffff;
    show_hex("received", uart_rx());
    show_hex("status", uart_status());
}

// A transfer by words of four bytes, and one of another size.
static void console(void) {
    map(0x40004000, 0x1000);
    *reg(0x40004008) = 'A';
    *reg(0x4000400c) = *reg(0x40004008) + 1;
    *(volatile u8 *)0x40004010 = 7;
    show_hex("register", *reg(0x4000400c));
}

// The device at 0x40000000: bit 7 at 4 says that it takes a character at 8.
static void driver(void) {
    show("identity", *reg(0x40000000));
    for (const char *text = "ready\n"; *text; text++) {
        while (!(*reg(0x40000004) & 0x80)) {}
        *reg(0x40000008) = *text;
    }
}

// ---- stages of a start

static NOINLINE void configure(u32 index, u32 value) { reg(0x40020000)[index] = value; }
NOINLINE void boot_stage1(void) { configure(0, 1), configure(1, 2); }
NOINLINE void boot_stage2(void) { configure(0, 0x11), configure(2, 0x2222); }
NOINLINE void boot_done(void) { configure(3, 1); }

static void boot(void) {
    map(0x40020000, 0x1000);
    boot_stage1();
    boot_stage2();
    configure(4, 0x33);
    boot_done();
    show_hex("sum", sum_of(0x40020000, 5));
}

// ---- structures without names: a list, whose node is in x19

struct node { struct node *next; u32 key; u8 flags[4]; };

u64 keys(const struct node *list);
#if defined(__aarch64__)
__asm__(".section .at_401a30, \"ax\"\n"
        "walk:\n  ldr w1, [x19, #8]\n  add x0, x0, x1\n  ldr x19, [x19]\n  cbnz x19, walk\n" // 0x401a30
        "  ldr x19, [sp], #16\n  ret\n"
        ".globl keys\n.type keys, %function\nkeys:\n"
        "  str x19, [sp, #-16]!\n  mov x19, x0\n  mov x0, #0\n  b walk\n.size keys, . - keys\n.previous\n");
#else
__asm__(".section .at_401a30, \"ax\"\n.option push\n.option norelax\n"
        "walk:\n  lwu a1, 8(s3)\n  add a0, a0, a1\n  ld s3, 0(s3)\n  bnez s3, walk\n" // 0x401a30
        "  ld s3, 0(sp)\n  addi sp, sp, 16\n  ret\n"
        ".globl keys\n.type keys, %function\nkeys:\n"
        "  addi sp, sp, -16\n  sd s3, 0(sp)\n  mv s3, a0\n  li a0, 0\n  j walk\n.size keys, . - keys\n"
        ".option pop\n.previous\n");
#endif

static void list(void) {
    static struct node nodes[3];
    for (int i = 0; i < 3; i++) nodes[i] = (struct node){ i < 2 ? &nodes[i + 1] : 0, 10 + i, { i } };
    show("keys", ((u64 (*)(const struct node *))keys)(nodes));
}

// ---- faults in a byte, in registers, in instructions

NOINLINE u64 f(u64 n) {
    show("f of", n);
    show_hex("settings", *reg(0x12000));
    return 2 * n;
}
NOINLINE void f_end(void) { show_hex("settings", *reg(0x12000)); }

#if defined(__aarch64__)
u64 g(u64 count);
__asm__(".text\n.globl g\n.type g, %function\n"
        // How often the lowest bits of x7 were clear.
        "g:\n  mov x1, #0\n1: tst x7, #0xff\n  cinc x1, x1, eq\n  subs x0, x0, #1\n  b.ne 1b\n"
        "  mov x0, x1\n  ret\n.size g, . - g\n"
        ".globl call_g\n.type call_g, %function\ncall_g:\n  mov x7, #0x1ff\n  b g\n.size call_g, . - call_g\n");
u64 call_g(u64 count);

static void faults(void) {
    map(0x12000, 0x1000);
    show("result", f(21));
    f_end();
    show("clear", call_g(20000));
}
#else
// Sums up the word at 0x20001fec, `times` times, and counts.
//
//   0x0800004a  lw a4, -20(a5)    <- for each
//   0x08000056  addi a1, a1, 1    two bytes, as all behind the load
struct sums { u64 sum, count; } sums_of_word(u64 times);
__asm__(".section .at_8000040, \"ax\"\n.option push\n.option norelax\n"
        "1: lui a5, 0x20002\n  c.mv a2, a0\n  c.li a0, 0\n  c.li a1, 0\n"
        "2: lw a4, -20(a5)\n  c.add a0, a4\n  c.addi a2, -1\n  c.mv a3, a5\n  c.addi a3, -32\n  c.addi a1, 1\n"
        "  c.bnez a2, 2b\n  ld s0, 0(sp)\n  addi sp, sp, 16\n  ret\n"
        ".globl sums_of_word\n.type sums_of_word, %function\nsums_of_word:\n"
        "  addi sp, sp, -16\n  sd s0, 0(sp)\n  j 1b\n.size sums_of_word, . - sums_of_word\n.option pop\n.previous\n");

// The sum of both, at 0x80000040.
u64 of_two(u64 first, u64 second);
__asm__(".section .at_80000040, \"ax\"\n.option push\n.option norelax\n"
        "1: add a0, a0, s1\n  ld s1, 0(sp)\n  addi sp, sp, 16\n  ret\n"
        ".globl of_two\n.type of_two, %function\nof_two:\n"
        "  addi sp, sp, -16\n  sd s1, 0(sp)\n  mv s1, a1\n  j 1b\n.size of_two, . - of_two\n"
        ".option pop\n.previous\n");

static void words(void) {
    map(0x20001000, 0x1000);
    *reg(0x20001fec) = 1000;
    struct sums sums = sums_of_word(100);
    show("sum", sums.sum);
    show("count", sums.count);
}

static void two(void) {
    map(0x12000, 0x1000);
    show("result", f(21));
    show_hex("of two", of_two(1, 0xf0f));
}
#endif

int main(int argc, char **argv, char **envp) {
    (void)envp;
    static const struct { const char *name; void (*run)(void); } parts[] = {
        { "uninitialised", uninitialised }, { "uart", uart }, { "console", console }, { "driver", driver },
        { "boot", boot }, { "list", list },
#if defined(__aarch64__)
        { "faults", faults },
#else
        { "words", words }, { "two", two },
#endif
    };
    for (u64 i = 0; i < sizeof parts / sizeof *parts; i++)
        if (argc > 1 && same(parts[i].name, argv[1])) {
            parts[i].run();
            return 0;
        }
    return 2;
}
