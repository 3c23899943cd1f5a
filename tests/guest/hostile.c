// A program that wants out: wild addresses in every instruction and every system call, every spelling of the memory
// files under /proc, mappings over everything. The first argument says what to try; `tests/hostile.rs` runs it.
//
// A fault of this program is caught by its handler (exit status 77 in children); death by a signal that it did not ask
// for is the emulator's.
#include "rt.h"

enum { SYS_symlinkat = 36, SYS_unlinkat = 35, SYS_mkdirat = 34, SYS_chdir = 49, SYS_chroot = 51, SYS_openat = 56, SYS_close = 57, SYS_read = 63,
       SYS_nanosleep = 101, SYS_setrlimit = 164, SYS_brk = 214, SYS_munmap = 215, SYS_mremap = 216,
       SYS_clone = 220, SYS_madvise = 233, SYS_wait4 = 260, SYS_gettid = 178, SYS_getppid = 173 };
enum { AT_FDCWD = -100, O_RDWR = 2, O_CREAT = 0100, O_PATH = 010000000, O_DIRECTORY = 040000, SIGSEGV = 11,
       SIGBUS = 7, SIGILL = 4, SIGXFSZ = 25, SIGCHLD = 17, WNOHANG = 1, RLIMIT_FSIZE = 1, SA_SIGINFO = 4,
       SA_ONSTACK = 0x08000000 };

typedef struct { void (*handler)(int, void *, void *); u64 flags; void *restorer; u64 mask; } Action;
typedef struct { void *base; int flags; u64 size; } Stack;

#define END (1UL << 39)

static u8 alternate[32768];
static u64 zeroes[1024], pattern[1024];

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static void install(int signal, void (*handler)(int, void *, void *)) {
    Action action = {handler, SA_SIGINFO | SA_ONSTACK, 0, 0};
    syscall6(SYS_rt_sigaction, signal, (i64)&action, 0, 8, 0, 0);
}

static void catch_faults(void (*handler)(int, void *, void *)) {
    Stack stack = {alternate, 0, sizeof alternate};
    syscall3(SYS_sigaltstack, (i64)&stack, 0, 0);
    install(SIGSEGV, handler);
    install(SIGBUS, handler);
    install(SIGILL, handler);
}

static i64 open_at(i64 dir, const char *path, i64 flags) { return syscall6(SYS_openat, dir, (i64)path, flags, 0600, 0, 0); }
static i64 map(u64 at, u64 size, u64 prot, u64 flags) { return syscall6(SYS_mmap, at, size, prot, flags, -1, 0); }

// ---------------------------------------------------------------------------------------------------- instructions

static u64 faults, harmless;

// Steps over the faulting instruction.
static void step_over(int signal, void *info, void *context) {
    (void)signal, (void)info;
    faults++;
    *(volatile u64 *)((char *)context + 440) += 4;
}

// The result is x12: 1 where a store-exclusive has not even tried.
#define TRY(text) __asm__ volatile("mov x9, %1\n mov x10, #0\n mov x11, #0\n mov x12, #0\n" text "\n mov %0, x12" \
                                   : "=&r"(result) : "r"(at) : "x9", "x10", "x11", "x12", "v0", "v1", "v2", "v3", "memory")

static NOINLINE u64 try_all(u64 at) {
    u64 tried = 0, result;
#define ONE(text) { TRY(text); tried++; harmless += result == 1; }
    ONE("ldrb w10, [x9]") ONE("ldrh w10, [x9]") ONE("ldr w10, [x9]") ONE("ldr x10, [x9]") ONE("ldrsb x10, [x9]")
    ONE("ldrsw x10, [x9]") ONE("ldp w10, w11, [x9]") ONE("ldp x10, x11, [x9]") ONE("ldpsw x10, x11, [x9]")
    ONE("ldr x10, [x9, #8]!") ONE("ldr x10, [x9], #-8") ONE("ldur x10, [x9, #-3]") ONE("ldr x10, [x9, #32760]")
    ONE("ldr x10, [x9, x11, lsl #3]") ONE("strb w10, [x9]") ONE("strh w10, [x9]") ONE("str w10, [x9]")
    ONE("str x10, [x9]") ONE("stp x10, x11, [x9]") ONE("stp x10, x11, [x9, #-16]!") ONE("stur x10, [x9, #5]")
    ONE("ldr b0, [x9]") ONE("ldr h0, [x9]") ONE("ldr s0, [x9]") ONE("ldr d0, [x9]") ONE("ldr q0, [x9]")
    ONE("ldp q0, q1, [x9]") ONE("str q0, [x9]") ONE("stp q0, q1, [x9]") ONE("stp d0, d1, [x9], #16")
    ONE("ld1 {v0.16b}, [x9]") ONE("ld1 {v0.16b-v3.16b}, [x9]") ONE("ld2 {v0.4s, v1.4s}, [x9]")
    ONE("ld3 {v0.8h-v2.8h}, [x9]") ONE("ld4 {v0.16b-v3.16b}, [x9]") ONE("ld4 {v0.b-v3.b}[15], [x9]")
    ONE("ld1r {v0.2d}, [x9]") ONE("st1 {v0.16b-v3.16b}, [x9]") ONE("st4 {v0.2d-v3.2d}, [x9]")
    ONE("st3 {v0.d-v2.d}[1], [x9]") ONE("ldxrb w10, [x9]") ONE("ldxr x10, [x9]") ONE("ldaxr w10, [x9]")
    ONE("ldxp x10, x11, [x9]") ONE("stxr w12, x10, [x9]") ONE("stlxrb w12, w10, [x9]") ONE("stxp w12, x10, x11, [x9]")
    ONE("ldar x10, [x9]") ONE("stlr x10, [x9]") ONE("dc zva, x9")
    ONE("prfm pldl1keep, [x9]") harmless++;
    ONE(".arch_extension lse\n ldadd x10, x11, [x9]") ONE(".arch_extension lse\n ldaddalb w10, w11, [x9]")
    ONE(".arch_extension lse\n swpal x10, x11, [x9]") ONE(".arch_extension lse\n cas x10, x11, [x9]")
    ONE(".arch_extension lse\n casp x10, x11, x10, x11, [x9]") ONE(".arch_extension lse\n ldsmax w10, w11, [x9]")
    return tried;
}

// An address without the byte that is ignored is outside of the address space: only hints and failing store-exclusives may pass there.
static u64 outside(u64 at) { return at << 8 >> 8 >= END ? try_all(at) : 0; }

static u64 around(u64 center, u64 (*use)(u64)) {
    static const i64 offsets[] = {-4096, -4088, -65, -64, -33, -32, -16, -9, -8, -7, -4, -3, -2, -1, 0, 1, 7, 8, 16, 64, 4088, 4096};
    u64 tried = 0;
    for (u64 i = 0; i < sizeof offsets / sizeof *offsets; i++) tried += use(center + offsets[i]);
    return tried;
}


static void instructions(void) {
    static const u64 fixed[] = {0, 0x10000, END, END - 4096, END / 2 * 3, 1UL << 40, 1UL << 47, 1UL << 48, (1UL << 52) - 8,
                                1UL << 55, 1UL << 56, 1UL << 63, -4096UL, -1UL, -1UL << 39, -1UL << 48, -END, -END + 64,
                                0x00ff000000000000UL, 0x5a00008000000000UL, 0xff00007ffffff000UL, 0x7ffff0000000UL, 0x555555554000UL};
    catch_faults(step_over);
    u64 tried = 0;
    for (u64 i = 0; i < sizeof fixed / sizeof *fixed; i++) tried += around(fixed[i], outside);
    for (u32 bit = 12; bit < 64; bit++) tried += around(1UL << bit, outside) + around(-1UL << bit, outside);
    // Hundreds of random ones: a window of host memory is somewhere in 47 bits.
    u64 random = 88172645463325252UL;
    for (int i = 0; i < 1000; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        u64 at = random >> (i % 24);
        tried += outside(at);
    }
    show("tried", tried > 100000);
    show("passed", tried - faults - harmless);
}

// ----------------------------------------------------------------------------------------------------- system calls

// Calls that would do harm to the machine or end the test, with any arguments.
static int is_left_out(int number) {
    static const short all[] = {39, 40, 41, 51, 58, 60, 81, 84, 89, 93, 94, 97, 99, 104, 105, 106, 112, 116, 129, 130, 131, 138, 142,
                                161, 162, 170, 171, 220, 224, 225, 240, 265, 266, 267, 268, 273, 294, 424, 428, 429, 435};
    for (u64 i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] == number) return 1;
    return 0;
}

static void fault_exit(int signal, void *info, void *context) {
    (void)signal, (void)info, (void)context;
    quit(77);
}

static u64 values[24];
static int value_count;

static void make_values(void) {
    u64 none = map(0, 8192, 0, 0x22), half = map(0, 8192, 3, 0x22), read_only = map(0, 4096, 1, 0x22);
    syscall3(SYS_munmap, half + 4096, 4096, 0);
    for (u64 i = 0; i < 1024; i++) pattern[i] = i % 3 == 0 ? END - 8 : i % 3 == 1 ? 0x7ffff7ff0000UL : -8UL;
    const u64 all[] = {0, -1UL, 3, (u64)zeroes, (u64)pattern, (u64)zeroes | 0x5aUL << 56, (u64)make_values, 0x1000, none, half + 4092,
                       half + 4096 - 16, read_only, END - 4096, END - 8, END, END + 8, 0x7ffff7ff0000UL, 1UL << 47, -4096UL, 1UL << 63,
                       -1UL << 39, 64, 4096};
    value_count = sizeof all / sizeof *all;
    for (int i = 0; i < value_count; i++) values[i] = all[i];
}

static void call_wildly(int number) {
    u64 args[6];
    for (int position = 0; position < 6; position++)
        for (int i = 0; i < value_count; i++) {
            for (int k = 0; k < 6; k++) args[k] = k == 0 && position != 0 ? 3 : (u64)zeroes;
            args[position] = values[i];
            syscall6(number, args[0], args[1], args[2], args[3], args[4], args[5]);
        }
    u64 random = 88172645463325252UL + number;
    for (int i = 0; i < 150; i++) {
        for (int k = 0; k < 6; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            args[k] = values[(random >> 20) % value_count];
        }
        syscall6(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    }
}

// Waits for a child that may sleep for ever. Returns its wait status.
static int wait_or_kill(i64 child) {
    int status = 0;
    u64 moment[2] = {0, 2000000};
    for (int i = 0; i < 500; i++) {
        if (syscall6(SYS_wait4, child, (i64)&status, WNOHANG, 0, 0, 0) == child) return status;
        syscall3(SYS_nanosleep, (i64)moment, 0, 0);
    }
    syscall3(SYS_kill, child, 9, 0);
    syscall6(SYS_wait4, child, (i64)&status, 0, 0, 0, 0);
    return status;
}

static void calls(void) {
    u64 limit[2] = {1 << 20, 1 << 20}, made = 0;
    syscall3(SYS_setrlimit, RLIMIT_FSIZE, (i64)limit, 0);
    make_values();
    // Descriptor 3 is a file to work on, and so is 0, which might be a device whose owner and mode matter to others.
    syscall3(24, open_at(AT_FDCWD, "scratch-file", O_RDWR | O_CREAT), 3, 0);
    syscall3(24, 3, 0, 0);
    for (int number = 0; number < 470; number++) {
        if (is_left_out(number)) continue;
        i64 child = syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
        if (child == 0) {
            Action ignore = {(void (*)(int, void *, void *))1, 0, 0, 0};
            syscall6(SYS_rt_sigaction, SIGXFSZ, (i64)&ignore, 0, 8, 0, 0);
            syscall3(154, 0, 0, 0); // a process group of its own
            catch_faults(fault_exit);
            call_wildly(number);
            quit(0);
        }
        int status = wait_or_kill(child);
        made++;
        // Memory calls may take the handler away, and every call may be killed for its sleep or end by a signal that it
        // has arranged itself; a panic (101, SIGABRT) or a fault that is not the program's must not be.
        int signal = status & 0x7f, code = status >> 8 & 0xff;
        int maps = number >= 214 && number <= 239, own_fault = number == 139 || number == 132 || number == 134;
        int ended = (signal == 0 && (code == 0 || code == 77)) || signal == 9 || signal == 14;
        // The frame that `rt_sigreturn` finds on the stack may lead to an odd address, too.
        int fine = ended || ((maps || own_fault) && signal == SIGSEGV) || (own_fault && signal == SIGBUS);
        if (!fine) { print("call "); print_number(number); print(": signal "); print_number(signal); show(", status", code); }
    }
    show("calls", made > 400);
}

// ---------------------------------------------------------------------------------------------------------- files

static u64 tried_files, opened_files;

static void try_file(i64 dir, const char *path) {
    static const i64 flags[] = {0, 1, O_RDWR, O_PATH, O_RDWR | O_CREAT};
    for (u64 i = 0; i < sizeof flags / sizeof *flags; i++) {
        i64 fd = open_at(dir, path, flags[i]);
        tried_files++;
        if (fd >= 0) {
            opened_files++;
            print("opened "); print(path); show(" with flags", flags[i]);
            syscall3(SYS_close, fd, 0, 0);
        }
    }
}

static void join(char *to, const char *a, u64 n, const char *b) {
    while (*a) *to++ = *a++;
    if (n) {
        char digits[24], *at = digits + 23;
        *at = 0;
        do { *--at = '0' + n % 10; n /= 10; } while (n);
        while (*at) *to++ = *at++;
    }
    while (*b) *to++ = *b++;
    *to = 0;
}

static void files(void) {
    static const char *const names[] = {
        "/proc/self/mem", "//proc//self//mem", "/proc/./self/./mem", "/proc/thread-self/mem", "/proc/self/../self/mem",
        "/proc/self/task/../mem", "/proc/self/root/proc/self/mem", "/proc/self/cwd/../../../../../../../../../../proc/self/mem",
        "/../proc/self/mem", "link-to-memory", "./link-to-self/mem", "/proc/self/fd/../mem", "/dev/fd/../mem", "/proc/1/../self/mem"};
    char path[128];
    i64 self = syscall3(SYS_getpid, 0, 0, 0), thread = syscall3(SYS_gettid, 0, 0, 0);
    syscall3(SYS_symlinkat, (i64)"/proc/self/mem", AT_FDCWD, (i64)"link-to-memory");
    syscall3(SYS_symlinkat, (i64)"/proc/self", AT_FDCWD, (i64)"link-to-self");
    for (u64 i = 0; i < sizeof names / sizeof *names; i++) try_file(AT_FDCWD, names[i]);
    join(path, "/proc/", self, "/mem"), try_file(AT_FDCWD, path);
    join(path, "/proc/0", self, "/mem"), try_file(AT_FDCWD, path);
    join(path, "/proc/self/task/", thread, "/mem"), try_file(AT_FDCWD, path);
    join(path, "/proc/thread-self/../", thread, "/mem"), try_file(AT_FDCWD, path);
    join(path, "/proc/", syscall3(SYS_getppid, 0, 0, 0), "/mem"), try_file(AT_FDCWD, path);
    i64 proc = open_at(AT_FDCWD, "/proc", O_DIRECTORY), own = open_at(AT_FDCWD, "/proc/self", O_DIRECTORY);
    i64 weak = open_at(AT_FDCWD, "/proc/self/task", O_PATH | O_DIRECTORY);
    try_file(proc, "self/mem");
    try_file(own, "mem");
    join(path, "", thread, "/mem"), try_file(weak, path);
    join(path, "/proc/self/fd/", own, "/mem"), try_file(AT_FDCWD, path);
    syscall3(SYS_chdir, (i64)"/proc/self", 0, 0);
    try_file(AT_FDCWD, "mem");
    try_file(AT_FDCWD, "./task/../mem");
    // Only the superuser can do this; a root directory below /proc hides what the files are called.
    if (syscall3(SYS_chroot, (i64)"/proc", 0, 0) == 0) try_file(AT_FDCWD, "/self/mem");
    if (syscall3(SYS_chroot, (i64)"/self", 0, 0) == 0) try_file(AT_FDCWD, "/mem"), try_file(AT_FDCWD, "/task/../mem");
    try_file(own, "mem");
    show("tried", tried_files > 100);
    show("opened", opened_files);
    // Calls that reach into processes are not there at all; a pidfd alone does not (pidfd_getfd is 438).
    static const short calls[] = {117, 270, 271, 425, 426, 427, 282, 438, 440, 448, 272, 265, 280};
    for (u64 i = 0; i < sizeof calls / sizeof *calls; i++) {
        i64 got = syscall6(calls[i], i == 0 ? 16 : self, 0, 0, 0, 0, 0);
        if (got != -38) { print("call "); print_number(calls[i]); show(" gave", got); }
    }
}

// ----------------------------------------------------------------------------------------------------------- a secret

static u8 secret[64]; // inverted
static u64 secret_length;

static NOINLINE u64 search(const volatile u8 *from, const volatile u8 *end) {
    u64 found = 0;
    for (; from + secret_length <= end; from++) {
        u64 i = 0;
        while (i < secret_length && (from[i] ^ secret[i]) == 0xff) i++;
        found += i == secret_length;
    }
    return found;
}

static u64 hexadecimal(const char **text) {
    u64 value = 0;
    for (;; (*text)++) {
        u8 c = **text;
        if (c >= '0' && c <= '9') value = value * 16 + c - '0';
        else if (c >= 'a' && c <= 'f') value = value * 16 + c - 'a' + 10;
        else return value;
    }
}

static u8 contents[1 << 16];

static u64 read_file(const char *path) {
    i64 fd = open_at(AT_FDCWD, path, 0), length, total = 0;
    if (fd < 0) return 0;
    while (total < (i64)sizeof contents - 1 &&
           (length = syscall3(SYS_read, fd, (i64)contents + total, sizeof contents - 1 - total)) > 0) total += length;
    contents[total] = 0;
    syscall3(SYS_close, fd, 0, 0);
    return total;
}

// Looks for the bytes that the argument gives, in hexadecimal and inverted, in all that it can read.
static void scan(const char *argument) {
    while (*argument) {
        char two[3] = {argument[0], argument[1], 0};
        const char *at = two;
        secret[secret_length++] = hexadecimal(&at);
        argument += 2;
    }
    static const char *const names[] = {"cmdline", "environ", "maps", "stat", "status", "comm", "auxv", "limits", "smaps", "wchan",
                                        "stack", "syscall", "mountinfo", "cgroup", "io", "numa_maps"};
    char path[128];
    u64 found = 0, areas = 0;
    for (u64 i = 0; i < sizeof names / sizeof *names; i++) {
        join(path, "/proc/self/", 0, names[i]);
        found += search(contents, contents + read_file(path));
        join(path, "/proc/thread-self/", 0, names[i]);
        found += search(contents, contents + read_file(path));
        join(path, "/proc/self/task/", syscall3(SYS_gettid, 0, 0, 0), "/");
        join(path + length(path), names[i], 0, "");
        found += search(contents, contents + read_file(path));
    }
    show("in files", found);
    found = 0;
    read_file("/proc/self/maps");
    for (const char *line = (const char *)contents; *line;) {
        u64 start = hexadecimal(&line);
        line++;
        u64 end = hexadecimal(&line);
        if (line[1] == 'r' && end > start) {
            areas++;
            found += search((u8 *)start, (u8 *)end);
        }
        while (*line && *line++ != '\n') {}
    }
    show("areas", areas >= 3);
    show("in memory", found);
    catch_faults(step_over);
    // What is not mapped cannot be read, wherever the emulator's own memory may be.
    for (u64 at = END; at < 1UL << 47; at += (1UL << 30) + 4096 * 17) *(volatile u8 *)at;
    show("faults", faults > 130000);
}

// ----------------------------------------------------------------------------------------------------------- mappings

static void mappings(const char *what) {
    u64 here = (u64)mappings & ~4095UL, stack = (u64)__builtin_frame_address(0) & ~4095UL;
    if (same(what, "code")) map(here, 4096, 3, 0x32);
    if (same(what, "code-none")) syscall3(SYS_mprotect, here, 4096, 0);
    if (same(what, "code-writable")) {
        syscall3(SYS_mprotect, here, 4096, 7);
        for (u32 *at = (u32 *)here; at < (u32 *)(here + 4096); at++) *(volatile u32 *)at = 0;
    }
    if (same(what, "stack")) map(stack - (1 << 20), (1 << 20) + 4096, 0, 0x32);
    if (same(what, "everything")) map(0x10000, END - 4096 - 0x10000, 0, 0x32);
    if (same(what, "everything-shared")) map(0x10000, END - 4096 - 0x10000, 3, 0x31);
    if (same(what, "unmap")) syscall3(SYS_munmap, 0, END, 0);
    if (same(what, "unmap-more")) syscall3(SYS_munmap, 0, -4096, 0), syscall3(SYS_munmap, END, 4096, 0), syscall3(SYS_munmap, -4096, 4096, 0);
    if (same(what, "protect")) syscall3(SYS_mprotect, 0, END, 0), syscall3(SYS_mprotect, here, -here, 7);
    if (same(what, "advise"))
        for (int advice = 0; advice < 110; advice++) syscall3(SYS_madvise, 0, END, advice), syscall3(SYS_madvise, here & ~0xffffUL, 0x20000, advice);
    if (same(what, "edges")) {
        static const u64 at[] = {0, 4096, 0xf000, 0x10000, END / 2, END - 4096, END, END + 4096, 1UL << 47, 1UL << 63, -8192UL, -4096UL};
        static const u64 sizes[] = {0, 1, 4096, 8192, END, END * 2, 1UL << 63, -4096UL, -1UL};
        for (u64 i = 0; i < sizeof at / sizeof *at; i++)
            for (u64 k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                // Where this would cover the program itself, it must not replace.
                u64 fixed = at[i] < stack && sizes[k] >= END ? 0x100000 : 0x10;
                map(at[i], sizes[k], 3, 0x22 | fixed);
                syscall6(SYS_mremap, at[i], sizes[k], 4096, 3, 0x200000, 0);
                syscall6(SYS_mremap, map(0, 8192, 3, 0x22), 4096, sizes[k], 1, 0, 0);
                syscall3(SYS_brk, at[i] + sizes[k], 0, 0);
            }
        print("edges tried\n");
    }
    if (same(what, "move-code")) syscall6(SYS_mremap, here, 4096, 4096, 3, 0x20000000, 0);
    if (same(what, "move-stack")) syscall6(SYS_mremap, stack, 4096, 4096, 3, here, 0);
    if (same(what, "signal-stack")) {
        Stack wild = {(void *)(END - 4096), 0, 1UL << 40};
        syscall3(SYS_sigaltstack, (i64)&wild, 0, 0);
        install(SIGSEGV, fault_exit);
        *(volatile u64 *)0 = 1;
    }
    if (same(what, "return")) {
        __asm__ volatile("mov sp, %0\n mov x8, #139\n svc #0" ::"r"(END - 64) : "x8");
    }
    if (same(what, "jump")) ((void (*)(void))(END - 4))();
    if (same(what, "jump-far")) ((void (*)(void))(1UL << 47))();
    if (same(what, "last-page")) {
        u32 *at = (u32 *)map(END - 8192, 4096, 7, 0x32);
        at[1023] = 0xd503201f; // nop, and then nothing
        ((void (*)(void))(at + 1023))();
    }
    print("still here\n");
}

// ------------------------------------------------------------------------------------------------------- bad addresses

// What the kernel says of addresses that are not there, call by call; the same as on any other Linux.
static void bad_addresses(void) {
    static const struct { short number; const char *name; i64 args[6]; } rows[] = {
        {63, "read", {3, -1, 16}}, {64, "write", {3, -1, 16}}, {67, "pread64", {3, -1, 16, 0}}, {68, "pwrite64", {3, -1, 16, 0}},
        {65, "readv", {3, -1, 1}}, {66, "writev", {3, -1, 1}}, {56, "openat", {AT_FDCWD, -1, 0}}, {79, "newfstatat", {AT_FDCWD, -1, -1, 0}},
        {80, "fstat", {3, -1}}, {291, "statx", {AT_FDCWD, -1, 0, 0x7ff, -1}}, {78, "readlinkat", {AT_FDCWD, -1, -1, 16}},
        {17, "getcwd", {-1, 4096}}, {34, "mkdirat", {AT_FDCWD, -1, 0}}, {35, "unlinkat", {AT_FDCWD, -1, 0}}, {49, "chdir", {-1}},
        {36, "symlinkat", {-1, AT_FDCWD, -1}}, {37, "linkat", {AT_FDCWD, -1, AT_FDCWD, -1, 0}}, {38, "renameat", {AT_FDCWD, -1, AT_FDCWD, -1}},
        {43, "statfs", {-1, -1}}, {44, "fstatfs", {3, -1}}, {45, "truncate", {-1, 0}}, {48, "faccessat", {AT_FDCWD, -1, 0}},
        {59, "pipe2", {-1, 0}}, {73, "ppoll", {-1, 1, 0, 0, 0}}, {88, "utimensat", {AT_FDCWD, -1, 0, 0}}, {102, "getitimer", {0, -1}}, {113, "clock_gettime", {0, -1}}, {134, "rt_sigaction", {10, -1, 0, 8}},
        {135, "rt_sigprocmask", {0, -1, 0, 8}}, {132, "sigaltstack", {-1, 0}}, {153, "times", {-1}}, {160, "uname", {-1}},
        {163, "getrlimit", {7, -1}}, {165, "getrusage", {0, -1}}, {169, "gettimeofday", {-1, 0}}, {179, "sysinfo", {-1}},
        {199, "socketpair", {1, 1, 0, -1}}, {221, "execve", {-1, 0, 0}}, {260, "wait4", {-1, -1, 0, 0}}, {261, "prlimit64", {0, 7, 0, -1}},
        {278, "getrandom", {-1, 16, 0}}, {148, "getresuid", {-1, -1, -1}}, {279, "memfd_create", {-1, 0}}, {123, "sched_getaffinity", {0, 128, -1}},
    };
    syscall3(24, open_at(AT_FDCWD, "/dev/zero", O_RDWR), 3, 0);
    u64 page = map(0, 8192, 3, 0x22);
    syscall3(SYS_munmap, page + 4096, 4096, 0);
    const u64 addresses[] = {0x1000, page + 4096, END * 256 - 4096, -4096UL};
    for (u64 i = 0; i < sizeof rows / sizeof *rows; i++) {
        print(rows[i].name);
        for (u64 k = 0; k < sizeof addresses / sizeof *addresses; k++) {
            i64 args[6];
            for (int n = 0; n < 6; n++) args[n] = rows[i].args[n] == -1 ? (i64)addresses[k] : rows[i].args[n];
            i64 got = syscall6(rows[i].number, args[0], args[1], args[2], args[3], args[4], args[5]);
            print(got < 0 ? " -" : " "), print_number(got < 0 ? -got : got);
        }
        print("\n");
    }
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    const char *what = argc > 1 ? argv[1] : "";
    if (same(what, "instructions")) instructions();
    else if (same(what, "calls")) calls();
    else if (same(what, "files")) files();
    else if (same(what, "scan")) scan(argv[2]);
    else if (same(what, "map")) mappings(argv[2]);
    else if (same(what, "addresses")) bad_addresses();
    else return 3;
    return 0;
}
