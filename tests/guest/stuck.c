// What memory holds, loaded and stored in every way, by several threads and processes: for faults that last.
//
// `look` prints a name and what each kind of load has seen of the 16 bytes of `cell`, `write` the last of them; while
// nothing is wrong all are alike. `change` stores other letters, each kind of store in its turn.
#include "threads.h"

enum { SYS_wait4 = 260 };

__asm__(".arch armv8.1-a");

// Its first 8 bytes end a page.
u8 pages[8192] __attribute__((aligned(4096)));
static u8 *const cell = pages + 4088;
volatile u64 go;

static void text(const u8 *bytes, u64 n) {
    char line[33];
    for (u64 i = 0; i < n; i++) line[i] = bytes[i];
    line[n] = 0;
    print(line);
    print(" ");
}

NOINLINE void look(const char *name) {
    u64 out[4];
    u32 u;
    print(name); print(": ");
    for (u64 i = 0; i < 16; i++) ((u8 *)out)[i] = ((volatile u8 *)cell)[i];
    text((u8 *)out, 16);
    for (u64 i = 0; i < 8; i++) __asm__ volatile("ldrh %w0, [%1]" : "=r"(((unsigned short *)out)[i]) : "r"(cell + 2 * i) : "memory");
    text((u8 *)out, 16);
    for (u64 i = 0; i < 4; i++) {
        __asm__ volatile("ldr %w0, [%1]" : "=r"(u) : "r"(cell + 4 * i) : "memory");
        ((u32 *)out)[i] = u;
    }
    text((u8 *)out, 16);
    __asm__ volatile("ldr %0, [%1, #5]" : "=r"(out[0]) : "r"(cell) : "memory");
    text((u8 *)out, 8);
    __asm__ volatile("ldp %0, %1, [%2]" : "=&r"(out[0]), "=&r"(out[1]) : "r"(cell) : "memory");
    text((u8 *)out, 16);
    __asm__ volatile("ldr q0, [%0]\n str q0, [%1]" :: "r"(cell), "r"(out) : "v0", "memory");
    text((u8 *)out, 16);
    __asm__ volatile("ldp d0, d1, [%0]\n stp d0, d1, [%1]" :: "r"(cell), "r"(out) : "v0", "v1", "memory");
    text((u8 *)out, 16);
    __asm__ volatile("ld4 {v0.b, v1.b, v2.b, v3.b}[0], [%0]\n st4 {v0.b, v1.b, v2.b, v3.b}[0], [%1]" :: "r"(cell), "r"(out) : "v0", "v1", "v2", "v3", "memory");
    text((u8 *)out, 4);
    __asm__ volatile("ldaxr %0, [%1]\n clrex" : "=r"(out[0]) : "r"(cell) : "memory");
    text((u8 *)out, 8);
    __asm__ volatile("ldadd xzr, %0, [%1]" : "=r"(out[0]) : "r"(cell + 8) : "memory");
    text((u8 *)out, 8);
    syscall3(SYS_write, 1, (i64)cell, 16);
    print("\n");
}

// Stores the letters a to p, in small parts and large ones, then those from A on by operations on memory.
NOINLINE void change(void) {
    static const u8 small[] = "abcdefghijklmnop", large[] = "ABCDEFGHIJKLMNOP";
    u32 failed;
    for (u64 i = 0; i < 4; i++) ((volatile u8 *)cell)[i] = small[i];
    __asm__ volatile("str %w0, [%1]" :: "r"(*(u32 *)(small + 4)), "r"(cell + 4) : "memory");
    __asm__ volatile("ldr d0, [%0]\n str d0, [%1]" :: "r"(small + 8), "r"(cell + 8) : "v0", "memory");
    look("small");
    __asm__ volatile("ldr q0, [%0]\n str q0, [%1]" :: "r"(large), "r"(cell) : "v0", "memory");
    look("vector");
    __asm__ volatile("stp %0, %1, [%2]" :: "r"(((u64 *)small)[0]), "r"(((u64 *)small)[1]), "r"(cell) : "memory");
    look("pair");
    __asm__ volatile("swp %0, %0, [%1]" :: "r"(*(u64 *)large), "r"(cell) : "memory");
    __asm__ volatile("stclr %0, [%1]" :: "r"(0x2020202020202020), "r"(cell + 8) : "memory");
    look("atomic");
    do {
        u64 old;
        __asm__ volatile("ldxr %1, [%2]\n stxr %w0, %3, [%2]" : "=&r"(failed), "=&r"(old) : "r"(cell), "r"(*(u64 *)small) : "memory");
    } while (failed);
    look("exclusive");
}

NOINLINE void begin_fault(void) { __asm__ volatile(""); }
NOINLINE void end_fault(void) { __asm__ volatile(""); }

static void letters(u8 first) { for (u64 i = 0; i < 16; i++) cell[i] = first + i; }

static void memory(void) {
    letters('A');
    look("before");
    begin_fault();
    look("during");
    change();
    end_fault();
    look("after");
}

// The host kernel stores: a file's bytes, a pipe's.
static void kernel(void) {
    u32 fds[2];
    letters('A');
    begin_fault();
    look("during");
    syscall6(SYS_pipe2, (i64)fds, 0, 0, 0, 0, 0);
    syscall3(SYS_write, fds[1], (i64)"0123456789:;<=>?", 16);
    syscall3(SYS_read, fds[0], (i64)cell, 16);
    look("read");
    syscall6(SYS_mmap, (i64)pages, 8192, 3, 0x32, -1, 0);
    letters('a');
    look("mapped");
    end_fault();
    look("after");
}

// Four threads look at what one of them does.
static void in_thread(u64 index) {
    while (go != index) syscall6(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    if (index == 0) begin_fault();
    if (index == 2) letters('a');
    if (index == 3) end_fault();
    look("thread");
    go = index + 1;
}

static void several(void) {
    letters('A');
    run(4, in_thread);
    look("after");
}

// Counts to twenty and prints what `step` has made of it, in two processes.
NOINLINE u64 step(u64 n) { __asm__ volatile("" : "+r"(n)); return n + 1; }
static NOINLINE void count(const char *name, u64 n) {
    for (u64 i = 0; i < n; i++) { print(name); cell[0] = 'A'; show("", step(i)); text(cell, 2); }
    print("\n");
}
static void forked(void) {
    letters('A');
    begin_fault();
    count("before", 2);
    i64 child = syscall6(SYS_clone, 17, 0, 0, 0, 0, 0);
    if (child) syscall6(SYS_wait4, child, 0, 0, 0, 0, 0);
    count(child ? "parent" : "child", 4);
    if (!child) quit(0);
    end_fault();
    count("after", 1);
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    const char *what = argc > 1 ? argv[1] : "memory";
    if (what[0] == 'k') kernel();
    else if (what[0] == 't') several();
    else if (what[0] == 'f') forked();
    else memory();
    return 0;
}
