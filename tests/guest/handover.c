// Threads that count, while the first one executes this program anew or forks: for what must neither be lost nor be there
// twice.
//
//   handover exec FILE     three threads count in FILE, which is mapped, calling `tick` for each number; after a while
//                          the program executes itself, which ends them, to show how far they came
//   handover fork TIMES    the same in memory, while the program forks so many times, and waits for each child
#include "threads.h"

enum { SYS_openat = 56, SYS_ftruncate = 46, SYS_execve = 221, SYS_wait4 = 260, COUNTERS = 3 };

static volatile u64 *counts;

// A probe here sees each number of each thread once.
__attribute__((noinline)) void tick(u64 index, u64 number) { __asm__ volatile("" ::"r"(index), "r"(number)); }

// No system call: nothing of it is written by its thread.
static void count(u64 index) {
    for (u64 number = 1;; number++) {
        counts[index] = number;
        tick(index, number);
    }
}

static void map(i64 file) {
    counts = (u64 *)syscall6(SYS_mmap, 0, 4096, 3, file < 0 ? 0x22 : 1, file, 0);
    if ((i64)counts < 0 && (i64)counts > -4096) { print("cannot map\n"); quit(1); }
}

static void start_all(void) {
    for (u64 i = 0; i < COUNTERS; i++) start(i, count);
}

static void wait_for_all(u64 number) {
    for (u64 i = 0; i < COUNTERS; i++) while (counts[i] < number) syscall3(SYS_sched_yield, 0, 0, 0);
}

static int is(const char *a, const char *b) {
    while (*a && *a == *b) { a++; b++; __asm__ volatile("" ::: "memory"); }
    return *a == *b;
}

int main(int argc, char **argv, char **envp) {
    if (argc != 3) { print("usage: handover exec FILE | fork TIMES\n"); return 2; }
    if (is(argv[1], "fork")) {
        u64 times = 0;
        for (const char *digit = argv[2]; *digit; digit++) times = times * 10 + (u64)(*digit - '0');
        map(-1);
        start_all();
        for (u64 i = 1; i <= times; i++) {
            wait_for_all(i * 500);
            i64 child = syscall6(SYS_clone, 17, 0, 0, 0, 0, 0);
            if (child == 0) quit(0);
            syscall6(SYS_wait4, child, 0, 0, 0, 0, 0);
        }
        return 0;
    }
    i64 file = syscall6(SYS_openat, -100, (i64)argv[2], 0102, 0600, 0, 0);
    syscall3(SYS_ftruncate, file, 4096, 0);
    map(file);
    if (is(argv[1], "show")) {
        for (u64 i = 0; i < COUNTERS; i++) show("count", counts[i]);
        return 0;
    }
    start_all();
    wait_for_all(20000);
    char *again[] = {argv[0], "show", argv[2], 0};
    syscall3(SYS_execve, (i64) "/proc/self/exe", (i64)again, (i64)envp);
    print("cannot execute\n");
    return 1;
}
