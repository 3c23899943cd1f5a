// What goes wrong around a program: no descriptors, no memory, no stack, signals from outside, children that die,
// files that are taken away. The first argument says which. `tests/faults.rs` runs it; every line printed is checked.
#include "rt.h"

enum { SYS_dup3 = 24, SYS_fcntl = 25, SYS_chdir = 49, SYS_openat = 56, SYS_close = 57, SYS_getdents64 = 61,
       SYS_read = 63, SYS_ppoll = 73, SYS_setitimer = 103, SYS_setrlimit = 164, SYS_brk = 214, SYS_munmap = 215, SYS_clone = 220,
       SYS_execve = 221, SYS_wait4 = 260, SYS_close_range = 436 };
enum { AT_FDCWD = -100, O_NONBLOCK = 04000, O_DIRECTORY = 040000, F_GETFD = 1, F_GETFL = 3, F_SETFL = 4,
       CLONE_VFORK = 0x4000, CLONE_VM = 0x100, RLIMIT_AS = 9, SIGSEGV = 11, SIGCHLD = 17,
       SA_ONSTACK = 0x08000000 };

typedef struct { void (*handler)(int); u64 flags; void *restorer; u64 mask; } Action;
typedef struct { void *base; int flags; u64 size; } Stack;

static u8 alternate[32768];
static u8 buffer[4096];

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static i64 number(const char *text) {
    i64 value = 0;
    while (*text) value = value * 10 + *text++ - '0';
    return value;
}

static void result(const char *name, i64 value) {
    print(name);
    print(value < 0 ? " errno " : " ");
    print_number(value < 0 ? -value : value);
    print("\n");
}

static void install(int signal, void (*handler)(int), u64 flags) {
    Action action = {handler, flags, 0, 0};
    syscall6(SYS_rt_sigaction, signal, (i64)&action, 0, 8, 0, 0);
}

static i64 open(const char *path, i64 flags) { return syscall6(SYS_openat, AT_FDCWD, (i64)path, flags, 0, 0, 0); }
static i64 map(u64 size) { return syscall6(SYS_mmap, 0, size, 3, 0x22, -1, 0); }
static i64 fork_with(u64 flags) { return syscall6(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0, 0); }
static void pause(void) { syscall6(SYS_ppoll, 0, 0, 0, 0, 0, 0); }

static int wait_for(i64 child) {
    int status = -1;
    while (syscall6(SYS_wait4, child, (i64)&status, 0, 0, 0, 0) == -4) {}
    return status;
}

// What probes count.
NOINLINE void work(u64 n) { __asm__ volatile("" ::"r"(n) : "memory"); }

static void use_all_descriptors(void) {
    i64 fd, last = -1;
    while ((fd = open("/dev/null", 0)) >= 0) last = fd;
    result("open", fd);
    result("dup", syscall3(23, 0, 0, 0));
    result("pipe", syscall3(59, (i64)buffer, 0, 0));
    result("maps", open("/proc/self/maps", 0));
    syscall3(SYS_close, last, 0, 0);
    result("again", open("/proc/self/maps", 0) >= 0);
}

static void use_all_memory(void) {
    i64 at;
    u64 pieces = 0;
    result("too much", map(1UL << 39));
    while ((at = map(1UL << 33)) >= 0) pieces++;
    result("pieces", at);
    result("many", pieces > 10);
    at = map(4096);
    *(volatile u64 *)at = 5;
    result("small", *(volatile u64 *)at);
}

static void limited_memory(void) {
    u64 limit[2] = {64 << 20, 64 << 20};
    result("limit", syscall3(SYS_setrlimit, RLIMIT_AS, (i64)limit, 0));
    result("map", map(1 << 30));
    i64 end = syscall3(SYS_brk, 0, 0, 0);
    result("heap stays", syscall3(SYS_brk, end + (1 << 30), 0, 0) == end);
    i64 at = map(1 << 20);
    result("small", at > 0);
    result("grow", syscall6(216, at, 1 << 20, 1 << 30, 1, 0, 0));
    result("freed", syscall3(SYS_munmap, at, 1 << 20, 0));
}

static volatile u64 no_end = 1;

static NOINLINE u64 recurse(u64 depth) {
    volatile u8 frame[1024];
    frame[depth % sizeof frame] = depth;
    return no_end ? recurse(depth + 1) + frame[0] : depth;
}

static void on_overflow(int signal) {
    u8 here;
    result("caught", signal);
    result("on the other stack", &here >= alternate && &here < alternate + sizeof alternate);
    quit(9);
}

static void overflow_caught(void) {
    Stack stack = {alternate, 0, sizeof alternate};
    syscall3(SYS_sigaltstack, (i64)&stack, 0, 0);
    install(SIGSEGV, on_overflow, SA_ONSTACK);
    recurse(0);
}

// Children that end in every way; the parent prints their wait statuses.
static void children(void) {
    static const int signals[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 64};
    for (u64 i = 0; i < sizeof signals / sizeof *signals; i++) {
        i64 child = fork_with(0);
        if (child == 0) {
            work(i);
            syscall3(SYS_kill, syscall3(SYS_getpid, 0, 0, 0), signals[i], 0);
            for (;;) pause();
        }
        print_number(signals[i]);
        show("", wait_for(child) & 0x7f);
    }
    i64 child = fork_with(0);
    if (child == 0) for (;;) pause();
    syscall3(SYS_kill, child, 9, 0);
    show("killed while it waits", wait_for(child));
    child = fork_with(0);
    if (child == 0) for (u64 i = 0;; i++) work(i);
    syscall3(SYS_kill, child, 9, 0);
    show("killed while it works", wait_for(child));
    child = fork_with(0);
    if (child == 0) recurse(0);
    show("no stack", wait_for(child));
    child = fork_with(CLONE_VFORK | CLONE_VM);
    if (child == 0) quit(7);
    show("status", wait_for(child));
}

static void on_signal(int signal) {
    result("got", signal);
    quit(5);
}

static void wait_for_signal(void) {
    work(1);
    print("ready\n");
    for (;;) pause();
}

static void spin(void) {
    work(1);
    print("ready\n");
    for (u64 i = 0;; i++) work(i);
}

static i64 count_listed(void) {
    i64 fd = open("/proc/self/fd", O_DIRECTORY), listed = 0, len;
    while ((len = syscall3(SYS_getdents64, fd, (i64)buffer, sizeof buffer)) > 0)
        for (i64 at = 0; at < len; at += *(u16 *)(buffer + at + 16)) listed += buffer[at + 19] != '.';
    syscall3(SYS_close, fd, 0, 0);
    return listed;
}

// Takes every descriptor that there is, in every way; what is not the program's own must not be there.
static void close_everything(void) {
    u64 closed = 0, copied = 0, open_now = 0, polled = 0;
    // Whatever else who started this has left open.
    result("range", syscall3(SYS_close_range, 3, 0xffffffff, 0));
    for (i64 fd = 3; fd < 5000; fd++) {
        struct { int fd; short events, revents; } entry = {fd, 1, 0};
        u64 now[2] = {0, 0};
        syscall6(SYS_ppoll, (i64)&entry, 1, (i64)now, 0, 0, 0);
        polled += entry.revents != 0x20 || entry.fd != fd; // POLLNVAL
        open_now += syscall3(SYS_fcntl, fd, F_GETFD, 0) >= 0;
        copied += syscall3(SYS_dup3, fd, 3, 0) >= 0;
    }
    show("listed", count_listed() == 4);
    show("open", open_now);
    show("polled", polled);
    show("copied", copied);
    result("range with flag", syscall3(SYS_close_range, 3, 0xffffffff, 4));
    for (i64 fd = 3; fd < 5000; fd++) closed += syscall3(SYS_close, fd, 0, 0) >= 0;
    show("closed", closed);
    for (i64 fd = 3; fd < 5000; fd++) syscall3(SYS_dup3, 1, fd, 0);
    syscall3(SYS_close_range, 3, 0xffffffff, 0);
    // Now another file is standard error.
    syscall3(SYS_dup3, open("/dev/null", 2), 2, 0);
    for (u64 i = 0; i < 1000; i++) work(i);
    // Nothing is open at all while the last probes print.
    syscall3(SYS_close_range, 0, 0xffffffff, 0);
    for (u64 i = 0; i < 1000; i++) work(i);
    quit(4);
}

// A mapped file becomes shorter; what was mapped behind its new end is not there any more.
static void shrink_file(void) {
    i64 fd = syscall6(SYS_openat, AT_FDCWD, (i64)"shrinking", 01102, 0600, 0, 0);
    result("size", syscall3(46, fd, 8192, 0));
    u8 *at = (u8 *)syscall6(SYS_mmap, 0, 8192, 3, 1, fd, 0);
    at[4096] = 1;
    result("size", syscall3(46, fd, 100, 0));
    result("write", syscall3(SYS_write, 1, (i64)at + 4096, 1));
    show("before the end", at[0]);
    for (u64 i = 0; i < 10; i++) work(i);
    // The signal may come some instructions later.
    at[5000] = 1;
    for (u64 i = 0; i < 10000000; i++) work(i);
}

static NOINLINE void store(u8 *at, u8 value) { *(volatile u8 *)at = value; }

// A mapped file becomes longer; what was mapped behind its old end is there now, which the next access finds out.
static void grow_file(void) {
    i64 fd = syscall6(SYS_openat, AT_FDCWD, (i64)"growing", 01102, 0600, 0, 0);
    result("size", syscall3(46, fd, 100, 0));
    u8 *at = (u8 *)syscall6(SYS_mmap, 0, 8192, 3, 1, fd, 0);
    for (u64 i = 0; i < 10000; i++) store(at, 2);
    result("size", syscall3(46, fd, 8192, 0));
    store(at + 4096, 1);
    show("behind the old end", at[4096]);
}

// Gives way to another program, started where relative paths mean something else.
static void execute(char **argv, char **envp) {
    result("chdir", syscall3(SYS_chdir, (i64)"/", 0, 0));
    work(1);
    syscall3(SYS_execve, (i64)argv[0], (i64)argv, (i64)envp);
    print("not executed\n");
}

static void run_twice(char **argv, char **envp) {
    for (int i = 0; i < 2; i++) {
        i64 child = fork_with(i ? CLONE_VFORK | CLONE_VM : 0);
        if (child == 0) {
            // What the program writes as its own errors is not where probes write.
            syscall3(SYS_dup3, open("/dev/null", 2), 2, 0);
            syscall3(SYS_execve, (i64)argv[0], (i64)argv, (i64)envp);
            quit(126);
        }
        wait_for(child);
        work(i);
    }
}

int main(int argc, char **argv, char **envp) {
    const char *what = argc > 1 ? argv[1] : "";
    if (same(what, "descriptors")) use_all_descriptors();
    else if (same(what, "memory")) use_all_memory();
    else if (same(what, "limited-memory")) limited_memory();
    else if (same(what, "overflow")) return recurse(0);
    else if (same(what, "overflow-caught")) overflow_caught();
    else if (same(what, "children")) children();
    else if (same(what, "wait")) wait_for_signal();
    else if (same(what, "spin")) spin();
    else if (same(what, "wait-caught")) { install(number(argv[2]), on_signal, 0); wait_for_signal(); }
    else if (same(what, "spin-caught")) { install(number(argv[2]), on_signal, 0); spin(); }
    else if (same(what, "close")) close_everything();
    else if (same(what, "shrink")) shrink_file();
    else if (same(what, "shrink-caught")) { install(7, on_signal, 0); shrink_file(); }
    else if (same(what, "grow")) grow_file();
    else if (same(what, "exec")) execute(argv + 2, envp);
    else if (same(what, "run-twice")) run_twice(argv + 2, envp);
    else if (same(what, "die")) {
        for (u64 i = 0; i < 100; i++) work(i);
        syscall3(SYS_kill, syscall3(SYS_getpid, 0, 0, 0), number(argv[2]), 0);
    } else if (same(what, "lines")) {
        for (i64 i = number(argv[2]); i > 0; i--) print("a line of output that somebody reads or does not read\n");
    } else if (same(what, "pipe-ignored")) {
        install(13, (void (*)(int))1, 0);
        i64 written;
        while ((written = syscall3(SYS_write, 1, (i64)buffer, sizeof buffer)) >= 0) {}
        return -written;
    } else if (same(what, "nonblocking")) {
        syscall3(SYS_fcntl, 2, F_SETFL, syscall3(SYS_fcntl, 2, F_GETFL, 0) | O_NONBLOCK);
        for (i64 i = 0; i < 20000; i++) work(i);
    } else return 3;
    return 0;
}
