// The whole run-time library of the guest programs: entry point, system calls and printing.
//
// There is no libc in here, so that a program is a few hundred instructions, all of them in this directory. The
// x86-64 half exists for the benchmark's native build and is not used by the guests.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#if !defined(__x86_64__)
enum { SYS_mmap = 222, SYS_mprotect = 226, SYS_write = 64, SYS_exit_group = 94, SYS_kill = 129, SYS_getpid = 172,
       SYS_sigaltstack = 132, SYS_rt_sigaction = 134, SYS_rt_sigprocmask = 135, SYS_clock_gettime = 113 };
#endif

#if defined(__aarch64__)
// argc in x0, argv in x1, envp in x2; a zero frame record ends every back trace.
__asm__(".globl _start\n.type _start, %function\n"
        "_start:\n"
        "  mov x29, #0\n  mov x30, #0\n"
        "  ldr x0, [sp]\n  add x1, sp, #8\n"
        "  add x2, x1, x0, lsl #3\n  add x2, x2, #8\n"
        "  bl main\n"
        "  mov x8, #94\n  svc #0\n"
        ".size _start, . - _start\n");

static inline i64 syscall6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
    register i64 x8 __asm__("x8") = n;
    register i64 x0 __asm__("x0") = a;
    register i64 x1 __asm__("x1") = b;
    register i64 x2 __asm__("x2") = c;
    register i64 x3 __asm__("x3") = d;
    register i64 x4 __asm__("x4") = e;
    register i64 x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}
#elif defined(__riscv)
// As above, in a0 to a2; the linker makes use of gp.
__asm__(".globl _start\n.type _start, %function\n"
        "_start:\n"
        "  .option push\n  .option norelax\n  lla gp, __global_pointer$\n  .option pop\n"
        "  li s0, 0\n  li ra, 0\n"
        "  ld a0, 0(sp)\n  addi a1, sp, 8\n"
        "  slli a2, a0, 3\n  add a2, a2, a1\n  addi a2, a2, 8\n"
        "  call main\n"
        "  li a7, 94\n  ecall\n"
        ".size _start, . - _start\n");

static inline i64 syscall6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
    register i64 a7 __asm__("a7") = n;
    register i64 a0 __asm__("a0") = a;
    register i64 a1 __asm__("a1") = b;
    register i64 a2 __asm__("a2") = c;
    register i64 a3 __asm__("a3") = d;
    register i64 a4 __asm__("a4") = e;
    register i64 a5 __asm__("a5") = f;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}
#elif defined(__x86_64__)
enum { SYS_mmap = 9, SYS_mprotect = 10, SYS_write = 1, SYS_exit_group = 231, SYS_clock_gettime = 228 };

__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov (%rsp), %rdi\n  lea 8(%rsp), %rsi\n  lea 16(%rsp,%rdi,8), %rdx\n"
        "  call main\n"
        "  mov %eax, %edi\n  mov $231, %eax\n  syscall\n");

static inline i64 syscall6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
    register i64 r10 __asm__("r10") = d;
    register i64 r8 __asm__("r8") = e;
    register i64 r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(n)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return n;
}
#endif

int main(int argc, char **argv, char **envp);

#define NOINLINE __attribute__((noinline, noclone))

static inline i64 syscall3(i64 n, i64 a, i64 b, i64 c) { return syscall6(n, a, b, c, 0, 0, 0); }

__attribute__((unused, noreturn)) static void quit(int status) {
    for (;;) syscall3(SYS_exit_group, status, 0, 0);
}

__attribute__((unused)) static NOINLINE u64 length(const char *text) {
    u64 n = 0;
    // The barrier keeps the compiler from turning this loop into a call of strlen.
    while (text[n]) { n++; __asm__ volatile("" ::: "memory"); }
    return n;
}

__attribute__((unused)) static NOINLINE void print(const char *text) { syscall3(SYS_write, 1, (i64)text, length(text)); }

static NOINLINE __attribute__((unused)) void print_in_base(u64 value, u32 base) {
    char buffer[24];
    char *at = buffer + sizeof buffer;
    *--at = 0;
    do { *--at = "0123456789abcdef"[value % base]; value /= base; } while (value);
    print(at);
}

__attribute__((unused)) static void print_number(u64 value) { print_in_base(value, 10); }

__attribute__((unused)) static void print_hex(u64 value) { print("0x"); print_in_base(value, 16); }

// Prints "name value".
__attribute__((unused)) static void show(const char *name, u64 value) {
    print(name); print(" "); print_number(value); print("\n");
}

// Prints "name 0xvalue".
__attribute__((unused)) static void show_hex(const char *name, u64 value) {
    print(name); print(" "); print_hex(value); print("\n");
}
