// What a schedule decides, and nothing else: who runs when, what the clock shows, which numbers threads and processes
// have, in which order waiters wake. Under `spile run --deterministic` all of it is the same in every run.
#include "threads.h"

enum { SYS_wait4 = 260, SYS_getppid = 173, SYS_setitimer = 103, SYS_getrandom = 278, SYS_ppoll = 73 };
enum { SIGALRM = 14, SIGCHLD = 17, SIGKILL = 9 };

static u64 now(void) {
    u64 time[2];
    syscall3(SYS_clock_gettime, 0, (i64)time, 0);
    return time[0] * 1000000000 + time[1];
}

static void nap(u64 nanoseconds) {
    u64 time[2] = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    syscall3(SYS_nanosleep, (i64)time, 0, 0);
}

// ---- threads that run side by side leave their marks in one list

static u32 marks[256];
static u32 count;

static void mark(u32 value) {
    u32 at = __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
    if (at < 256) marks[at] = value;
}

static void show_marks(const char *name) {
    print(name);
    for (u32 i = 0; i < count && i < 256; i++) { print(" "); print_number(marks[i]); }
    print("\n");
    count = 0;
}

static void runner(u64 index) {
    for (u64 i = 0; i < 6; i++) {
        mark(index);
        for (u64 j = 0; j < 9000 + 4000 * index; j++) __asm__ volatile("");
    }
}

static void sleeper(u64 index) {
    for (u64 i = 0; i < 3; i++) {
        nap((8 - index) * 1000000);
        mark(index);
    }
}

static volatile u32 bell;

static void waiter(u64 index) {
    u32 seen = bell;
    // The last one does not wait to be woken.
    u64 time[2] = {3, 0};
    i64 result = syscall6(SYS_futex, (i64)&bell, FUTEX_WAIT, seen, index == 7 ? (i64)time : 0, 0, 0);
    mark(index + (result ? 100 : 0));
}

// ---- a handler

static volatile u64 alarms;
static void on_alarm(int signal) { alarms += signal == SIGALRM; }

int main(int argc, char **argv, char **envp) {
    (void)argc; (void)argv; (void)envp;
    u64 began = now();
    show("time", began / 1000000000);
    show("pid", syscall3(SYS_getpid, 0, 0, 0));
    show("parent", syscall3(SYS_getppid, 0, 0, 0));
    show("thread", syscall3(SYS_gettid, 0, 0, 0));
    u64 random;
    syscall3(SYS_getrandom, (i64)&random, 8, 0);
    show_hex("random", random);
    run(4, runner);
    show_marks("ran");
    run(WORKERS, sleeper);
    show_marks("slept");
    for (u64 i = 0; i < WORKERS; i++) start(i, waiter);
    nap(1000000);
    show("woken", syscall6(SYS_futex, (i64)&bell, FUTEX_WAKE, 3, 0, 0, 0));
    nap(1000000);
    show_marks("first");
    show("woken", syscall6(SYS_futex, (i64)&bell, FUTEX_WAKE, 4, 0, 0, 0));
    for (u64 i = 0; i < WORKERS; i++) join(i);
    show_marks("then");
    show("threads took", threads[7].tid);

    struct { void (*handler)(int); u64 flags; u64 mask; } action = {on_alarm, 0, 0};
    syscall6(SYS_rt_sigaction, SIGALRM, (i64)&action, 0, 8, 0, 0);
    u64 timer[4] = {0, 1000, 0, 1000};
    syscall3(SYS_setitimer, 0, (i64)timer, 0);
    for (u64 j = 0; j < 3000000; j++) __asm__ volatile("");
    u64 off[4] = {0, 0, 0, 0};
    syscall3(SYS_setitimer, 0, (i64)off, 0);
    show("alarms", alarms);

    int ends[2];
    syscall3(SYS_pipe2, (i64)ends, 0, 0);
    for (u64 i = 0; i < 3; i++) {
        i64 child = syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
        if (child) { show("child", child); continue; }
        char letter = 'a' + i;
        for (u64 j = 0; j < 4; j++) {
            syscall3(SYS_write, ends[1], (i64)&letter, 1);
            nap(1000000 * (i + 1));
        }
        quit(10 + i);
    }
    for (u64 i = 0; i < 3; i++) {
        u32 status = 0;
        i64 child = syscall6(SYS_wait4, -1, (i64)&status, 0, 0, 0, 0);
        show("ended", child);
        show("status", status >> 8);
    }
    char text[16] = {0};
    syscall3(SYS_read, ends[0], (i64)text, 15);
    print(text); print("\n");
    i64 child = syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (!child) for (;;) nap(1000000000);
    syscall3(SYS_kill, child, SIGKILL, 0);
    u32 status = 0;
    syscall6(SYS_wait4, child, (i64)&status, 0, 0, 0, 0);
    show("killed by", status);
    u64 wait[2] = {5, 0};
    syscall6(SYS_ppoll, 0, 0, (i64)wait, 0, 0, 0);
    show("took", now() - began);
    return 0;
}
