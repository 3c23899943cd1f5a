// A program with the names that only quotes or exact rules can spell, which is called `a.out`, and with libraries that it
// maps by itself. Line 42 is the one that a script names.
#include "load.h"

enum { SYS_exit = 93 };

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

typedef u64 (*Entry)(u64 what, u64 argument);
static Entry library(const char *path) { return (Entry)(void *)load(path, 0).entry; }

// Code in sections of its own: at 0x1234 of the file, and where programs begin and end.
u64 at_1234(u64), init(u64), fini(u64), part(u64) __asm__("foo.part.0"), push_back(u64) __asm__("_ZNSt6vectorIiE9push_backERKi");
__asm__(".macro plus section name\n.section \\section, \"ax\"\n.globl \\name\n.type \\name, %function\n"
        "\\name:\n  add x0, x0, #1\n  nop\n  add x0, x0, #1\n  ret\n.size \\name, . - \\name\n.previous\n.endm\n"
        "plus .at_1234 at_1234\nplus .init init\nplus .fini fini\nplus .text foo.part.0\n"
        "plus .text _ZNSt6vectorIiE9push_backERKi\n");

u64 in_rust(u64 n);
NOINLINE void send_telemetry(const char *what) {
    print("sent: ");
    print(what);
    print("\n");
}

static void telemetry(void) {
    library("/lib/libstub.so");
    send_telemetry("your name");
    print("done\n");
}

// The sum of the numbers below n, with ten for each odd one among them. A script looks at the condition: it sees the sum
// without this number's ten.
static NOINLINE u64 sum_to(u64 n) {
    u64 sum = 0;
    for (u64 i = 0; i < n; i++) {
        sum += i;
        __asm__ volatile("" : "+r"(sum));
        if (i & 1) sum += 10;
    }
    return sum;
}

static void names(void) {
    Entry mine = library("/lib/my lib.so");
    u64 n = at_1234(0) + init(0) + fini(0) + part(0) + push_back(0) + in_rust(1);
    show("sum", n + sum_to(3) + mine(0, 1));
}

// What is allocated last is never freed, nor is the first of the large ones.
static void allocations(void) {
    Entry libc = library("/lib/libc.so.6");
    u64 small = libc(0, 24), large = libc(0, 0x120), other = libc(0, 0x120);
    for (u64 i = 0; i < 3; i++) ((volatile u32 *)large)[i * 15] = i;
    *(volatile u64 *)other = 1, *(volatile u8 *)(large + 64) = 2;
    libc(1, small);
    libc(1, other);
    libc(0, 100);
    show("distance", other - large);
}

// As start_thread of threads.h, for one thread that ends at once.
static u32 running = 1;
static u8 stack[4096] __attribute__((aligned(16)));
i64 start(u64 flags, void *stack, u32 *tid, void *tls, u32 *child_tid);
__asm__(".type start, %function\nstart:\n  mov x8, #220\n  svc #0\n  cbz x0, 1f\n  ret\n"
        "1: mov x8, #93\n  mov x0, #0\n  svc #0\n.size start, . - start\n");

static void modules(void) {
    Entry ssl = library("/lib/libssl.so.3");
    library("/lib/libcrypto.so");
    show("written", ssl(0, 5) + ssl(0, 6));
    start(0x2d0f00, stack + sizeof stack, &running, 0, &running);
    while (*(volatile u32 *)&running) {}
    *(volatile u32 *)0x18 = 0;
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    static const char all[4][12] = { "names", "telemetry", "allocations", "modules" };
    for (int i = 0; i < 4; i++)
        if (argc > 1 && same(argv[1], all[i]))
            switch (i) {
            case 0: names(); return 0;
            case 1: telemetry(); return 0;
            case 2: allocations(); return 0;
            default: modules(); return 0;
            }
    return 2;
}

#line 6 "src/sub-dir/x.rs"
NOINLINE u64 in_rust(u64 n) {
    return n + 1;
}
