// Threads of guest programs: WORKERS of them, each calling a function.
#pragma once
#include "rt.h"

#if defined(__x86_64__)
enum { SYS_futex = 202 };
#else
enum { SYS_clone = 220, SYS_futex = 98, SYS_exit = 93, SYS_gettid = 178, SYS_tgkill = 131, SYS_nanosleep = 101,
       SYS_rt_sigreturn = 139, SYS_munmap = 215, SYS_set_robust_list = 99, SYS_sched_yield = 124, SYS_pipe2 = 59,
       SYS_read = 63 };
#endif
enum { WORKERS = 8, STACK = 16384 };
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };

typedef void (*Work)(u64 index);

static struct Thread { volatile u32 running; u32 tid; u64 local; } threads[WORKERS];
static u8 stacks[WORKERS][STACK] __attribute__((aligned(16)));

// clone(flags, stack, parent_tid, tls, child_tid): the child calls work(index) and exits.
i64 start_thread(u64 flags, void *stack, u32 *tid, void *tls, volatile u32 *child_tid);
#if defined(__aarch64__)
__asm__(".globl start_thread\n.type start_thread, %function\n"
        "start_thread:\n"
        "  mov x8, #220\n  svc #0\n"
        "  cbz x0, 1f\n  ret\n"
        "1: mov x29, #0\n  mov x30, #0\n"
        "  ldp x1, x0, [sp], #16\n"
        "  blr x1\n"
        "  mov x8, #93\n  mov x0, #0\n  svc #0\n"
        ".size start_thread, . - start_thread\n");
#elif defined(__riscv)
__asm__(".globl start_thread\n.type start_thread, %function\n"
        "start_thread:\n"
        "  li a7, 220\n  ecall\n"
        "  beqz a0, 1f\n  ret\n"
        "1: li s0, 0\n  li ra, 0\n"
        "  ld a1, 0(sp)\n  ld a0, 8(sp)\n  addi sp, sp, 16\n"
        "  jalr a1\n"
        "  li a7, 93\n  li a0, 0\n  ecall\n"
        ".size start_thread, . - start_thread\n");
#elif defined(__x86_64__)
// Of the last two arguments the kernel takes the other one first here.
__asm__(".globl start_thread\n.type start_thread, %function\n"
        "start_thread:\n"
        "  mov %rcx, %r9\n  mov %r8, %r10\n  mov %r9, %r8\n  mov $56, %eax\n  syscall\n"
        "  test %eax, %eax\n  jz 1f\n  ret\n"
        "1: xor %ebp, %ebp\n"
        "  pop %rax\n  pop %rdi\n  call *%rax\n"
        "  mov $60, %eax\n  xor %edi, %edi\n  syscall\n"
        ".size start_thread, . - start_thread\n");
#endif

static void start(u64 index, Work work) {
    // VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID
    u64 flags = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x80000 | 0x100000 | 0x200000;
    u64 *top = (u64 *)(stacks[index] + STACK) - 2;
    top[0] = (u64)work;
    top[1] = index;
    threads[index].running = 1;
    threads[index].local = 1000 + index;
    i64 id = start_thread(flags, top, &threads[index].tid, &threads[index].local, &threads[index].running);
    if (id < 0 || threads[index].tid != (u32)id) { print("cannot start a thread\n"); quit(1); }
}

// CHILD_CLEARTID writes 0 and wakes.
static void join(u64 index) {
    while (threads[index].running) syscall6(SYS_futex, (i64)&threads[index].running, FUTEX_WAIT, 1, 0, 0, 0);
}

__attribute__((unused)) static void run(u64 count, Work work) {
    for (u64 i = 0; i < count; i++) start(i, work);
    for (u64 i = 0; i < count; i++) join(i);
}
