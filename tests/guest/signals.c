// Signals to self: handlers, masks, the alternate stack, a fault that its handler repairs, and one that it steps over.
#include "rt.h"

enum { SIGILL = 4, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12, SA_SIGINFO = 4, SA_ONSTACK = 0x08000000,
       SA_RESETHAND = 0x80000000, SIG_BLOCK = 0, SIG_UNBLOCK = 1 };

// The kernel's struct, which has no restorer here: the kernel supplies the return trampoline, as it does for glibc.
#if defined(__riscv)
typedef struct { void (*handler)(int, void *, void *); u64 flags; u64 mask; } Action;
#define ACTION(handler, flags) {handler, flags, 0}
#else
typedef struct { void (*handler)(int, void *, void *); u64 flags; void *restorer; u64 mask; } Action;
#define ACTION(handler, flags) {handler, flags, 0, 0}
#endif
typedef struct { void *base; int flags; u64 size; } Stack;

// Offsets in the frame's `siginfo` and `ucontext`. What is returned in is the register of the first argument.
#if defined(__riscv)
enum { SI_CODE = 8, SI_ADDR = 16, UC_X0 = 256, UC_PC = 176 };
#else
enum { SI_CODE = 8, SI_ADDR = 16, UC_FAULT = 176, UC_X0 = 184, UC_SP = 432, UC_PC = 440 };
#endif
#define FIELD(base, offset) (*(volatile u64 *)((char *)(base) + (offset)))

volatile u64 seen, on_alternate;
u8 alternate[16384];

static void on_user(int signal, void *info, void *context) {
    (void)info, (void)context;
    seen = seen * 100 + signal;
}

static void on_user_alternate(int signal, void *info, void *context) {
    (void)info;
    u8 here;
    on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
    seen = signal;
    (void)context;
}

// Makes the page readable, so that the faulting load is executed again and succeeds.
static void repair(int signal, void *info, void *context) {
    seen = signal;
    show("code", *(volatile u32 *)((char *)info + SI_CODE));
#if defined(__riscv)
    // The frame has no address: it is that of the instruction's operand, which is in a1.
    show("same address", FIELD(info, SI_ADDR) == FIELD(context, UC_X0 + 8) + 24);
#else
    show("same address", FIELD(info, SI_ADDR) == FIELD(context, UC_FAULT));
#endif
    syscall3(SYS_mprotect, FIELD(info, SI_ADDR) & ~4095UL, 4096, 3);
}

// Steps over the faulting instruction and changes the interrupted program's x0.
static void step_over(int signal, void *info, void *context) {
    (void)info;
    seen = signal;
    FIELD(context, UC_X0) = 1234;
    FIELD(context, UC_PC) += 4;
}

static void install(int signal, void *handler, u64 flags) {
    Action action = ACTION(handler, flags);
    if (syscall6(SYS_rt_sigaction, signal, (i64)&action, 0, 8, 0, 0) != 0) { print("sigaction failed\n"); quit(2); }
}

static void mask(int how, int signal) {
    u64 set = 1UL << (signal - 1);
    syscall6(SYS_rt_sigprocmask, how, (i64)&set, 0, 8, 0, 0);
}

static void raise(int signal) { syscall3(SYS_kill, syscall3(SYS_getpid, 0, 0, 0), signal, 0); }

NOINLINE void test_mask(void) {
    install(SIGUSR1, on_user, SA_SIGINFO);
    raise(SIGUSR1);
    show("delivered", seen);
    mask(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    show("while blocked", seen);
    mask(SIG_UNBLOCK, SIGUSR1);
    show("after unblocking", seen);
}

NOINLINE void test_alternate_stack(void) {
    Stack stack = {alternate, 0, sizeof alternate};
    syscall3(SYS_sigaltstack, (i64)&stack, 0, 0);
    install(SIGUSR2, on_user_alternate, SA_SIGINFO | SA_ONSTACK);
    raise(SIGUSR2);
    show("on alternate stack", on_alternate);
}

NOINLINE void test_repair(void) {
    u64 *page = (u64 *)syscall6(SYS_mmap, 0, 4096, 0, 0x22, -1, 0);
    install(SIGSEGV, repair, SA_SIGINFO);
    u64 value = 1;
#if defined(__riscv)
    register u64 *a1 __asm__("a1") = page;
    __asm__ volatile("ld %0, 24(%1)" : "=&r"(value) : "r"(a1) : "memory");
#else
    __asm__ volatile("ldr %0, [%1, #24]" : "=r"(value) : "r"(page) : "memory");
#endif
    show("loaded", value);
}

NOINLINE void test_step_over(int signal) {
    install(signal, step_over, SA_SIGINFO | SA_RESETHAND);
#if defined(__riscv)
    register u64 x0 __asm__("a0") = 0;
    register u64 x1 __asm__("a1") = 16;
    // Four bytes each, as the handler has it.
    if (signal == SIGSEGV) __asm__ volatile(".option push\n .option norvc\n ld a0, 0(a1)\n .option pop" : "+r"(x0) : "r"(x1) : "memory");
    else __asm__ volatile(".4byte 0xc0001073" : "+r"(x0) : : "memory");
#else
    register u64 x0 __asm__("x0") = 0;
    register u64 x1 __asm__("x1") = 16;
    if (signal == SIGSEGV) __asm__ volatile("ldr x0, [x1]" : "+r"(x0) : "r"(x1) : "memory");
    else __asm__ volatile("udf #0" : "+r"(x0) : : "memory");
#endif
    u64 result = x0;
    show(signal == SIGSEGV ? "stepped over load" : "stepped over udf", result);
}

// Registers and flags that a handler must not disturb.
NOINLINE void test_preserved(void) {
    u64 ok, pid = syscall3(SYS_getpid, 0, 0, 0);
#if defined(__riscv)
    __asm__ volatile("mv a0, %1\n li a1, 10\n li a7, 129\n li s2, 77\n li t0, 5\n fmv.d.x fs1, t0\n fsrmi 2\n"
                     "ecall\n frrm t1\n fmv.x.d t0, fs1\n add s2, s2, t0\n add s2, s2, t1\n fsrmi 0\n"
                     "addi s2, s2, -84\n seqz %0, s2"
                     : "=&r"(ok) : "r"(pid) : "a0", "a1", "a7", "s2", "t0", "t1", "fs1", "memory");
#else
    __asm__ volatile("mov x0, %1\n mov x1, #10\n mov x8, #129\n mov x19, #77\n movi v9.16b, #5\n"
                     "cmp x1, #10\n svc #0\n cset %0, eq\n"
                     "umov w20, v9.b[3]\n add x19, x19, x20\n cmp x19, #82\n csel %0, %0, xzr, eq"
                     : "=&r"(ok) : "r"(pid) : "x0", "x1", "x8", "x19", "x20", "v9", "memory", "cc");
#endif
    show("preserved", ok);
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    test_mask();
    test_alternate_stack();
    test_repair();
    test_step_over(SIGSEGV);
    test_step_over(SIGILL);
    test_preserved();
    return 0;
}
