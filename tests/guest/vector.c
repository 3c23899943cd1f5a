// The vector extension of RISC-V in loops as compilers and libraries write them, and a fault in the middle of a load that
// its handler repairs; each line a fact. With the argument `linux`, what the kernel has of it: signal frames, `prctl`,
// properties, threads.
#include "rt.h"

__asm__(".option arch, +v");

enum { SIGSEGV = 11, SIGUSR1 = 10, SYS_munmap = 215, SYS_tgkill = 131, SYS_gettid = 178, SYS_prctl = 167, SYS_hwprobe = 258 };
enum { SA_SIGINFO = 4, PAGE = 4096, COUNT = 37 };
typedef struct { void (*handler)(int, void *, void *); u64 flags; u64 mask; } Action;

static void fact(const char *name, u64 value) { print(name); print(" "); print_number(value); print("\n"); }

// y[i] += a * x[i]
void saxpy(u64 n, u32 a, const u32 *x, u32 *y);
__asm__(".globl saxpy\n.type saxpy, %function\n"
        "saxpy:\n  vsetvli t0, a0, e32, m2, ta, ma\n"
        "  vle32.v v8, (a2)\n"
        "saxpy_old:\n  vle32.v v16, (a3)\n"
        "  vmacc.vx v16, a1, v8\n"
        "saxpy_new:\n  vse32.v v16, (a3)\n"
        "  sub a0, a0, t0\n  slli t0, t0, 2\n  add a2, a2, t0\n  add a3, a3, t0\n"
        "  bnez a0, saxpy\n  ret\n.size saxpy, . - saxpy\n");

// The length of a text, which may end at the last byte that can be read.
u64 vector_length(const char *text);
__asm__(".globl vector_length\n.type vector_length, %function\n"
        "vector_length:\n  mv a1, a0\n"
        "1: vsetvli t0, zero, e8, m4, ta, ma\n"
        "  vle8ff.v v8, (a1)\n  csrr t0, vl\n"
        "  vmseq.vi v0, v8, 0\n  vfirst.m t1, v0\n"
        "  add a1, a1, t0\n  bltz t1, 1b\n"
        "  sub a1, a1, t0\n  add a1, a1, t1\n  sub a0, a1, a0\n  ret\n.size vector_length, . - vector_length\n");

// The sum of the numbers of double precision at even places, in order.
double even_sum(u64 n, const double *x);
__asm__(".globl even_sum\n.type even_sum, %function\n"
        "even_sum:\n  li t1, 16\n  fmv.d.x fa0, zero\n"
        "1: vsetvli t0, a0, e64, m1, ta, ma\n"
        "  vlse64.v v8, (a1), t1\n  vfmv.s.f v9, fa0\n  vfredosum.vs v9, v8, v9\n  vfmv.f.s fa0, v9\n"
        "  sub a0, a0, t0\n  slli t0, t0, 4\n  add a1, a1, t0\n  bnez a0, 1b\n  ret\n.size even_sum, . - even_sum\n");

// Red, green and blue, one byte each, to their mean, rounded to nearest; then in the order that `order` says.
void grey(u64 n, const u8 *pixels, u8 *out, const u8 *order);
__asm__(".globl grey\n.type grey, %function\n"
        "grey:\n  csrwi vxrm, 0\n  li t3, 85\n"
        "  vsetvli t0, a0, e8, m1, ta, ma\n"
        "  vlseg3e8.v v4, (a1)\n"
        "  vwmulu.vx v8, v4, t3\n  vwmaccu.vx v8, t3, v5\n  vwmaccu.vx v8, t3, v6\n"
        "  vnclipu.wi v10, v8, 8\n"
        "  vle8.v v11, (a3)\n  vsoxei8.v v10, (a2), v11\n"
        "  ret\n.size grey, . - grey\n");

static volatile u64 stopped_at, faults;

static void repair(int signal, void *info, void *context) {
    (void)signal, (void)context;
    u64 vstart;
    __asm__ volatile("csrr %0, vstart" : "=r"(vstart));
    stopped_at = vstart;
    faults++;
    syscall3(SYS_mprotect, *(u64 *)((char *)info + 16) & ~(PAGE - 1UL), PAGE, 3);
    // A system call and a handler may have changed it.
    __asm__ volatile("csrw vstart, %0" ::"r"(vstart));
}

static u8 *pages(u64 n) { return (u8 *)syscall6(SYS_mmap, 0, (i64)(n * PAGE), 3, 0x22, -1, 0); }

static NOINLINE void computing(void) {
    static u32 x[COUNT], y[COUNT];
    for (u32 i = 0; i < COUNT; i++) x[i] = i, y[i] = 100;
    saxpy(COUNT, 3, x, y);
    u64 sum = 0;
    for (u32 i = 0; i < COUNT; i++) sum += y[i] * (i + 1);
    fact("saxpy", sum);
    static double numbers[2 * COUNT];
    for (u32 i = 0; i < 2 * COUNT; i++) numbers[i] = 1.5 * i;
    fact("even sum", (u64)even_sum(COUNT, numbers));
    static const u8 pixels[] = {255, 255, 255, 0, 0, 0, 10, 20, 30, 255, 0, 0, 1, 1, 2, 90, 80, 70};
    static const u8 order[] = {5, 4, 3, 2, 1, 0};
    static u8 out[6];
    grey(6, pixels, out, order);
    for (int i = 0; i < 6; i++) fact("grey", out[i]);
}

static NOINLINE void faulting(void) {
    u8 *area = pages(3);
    syscall3(SYS_munmap, (i64)(area + PAGE), PAGE, 0);
    for (u64 i = 1; i <= 70; i++) area[PAGE - i] = 'a';
    area[PAGE - 1] = 0;
    fact("length", vector_length((char *)area + PAGE - 70));
    // A load across two pages of which the second one cannot be read yet: elements from 5 on are loaded later.
    u8 *two = pages(2);
    for (u64 i = 0; i < 2 * PAGE; i++) two[i] = (u8)(i * 7);
    syscall3(SYS_mprotect, (i64)(two + PAGE), PAGE, 0);
    Action action = {repair, SA_SIGINFO, 0};
    syscall6(SYS_rt_sigaction, SIGSEGV, (i64)&action, 0, 8, 0, 0);
    u64 sum;
    __asm__ volatile("vsetivli zero, 16, e16, m2, ta, ma\n vmv.v.i v8, 0\n vmv.v.i v12, 0\n"
                     ".globl across\nacross: vle16.v v8, (%1)\n j 1f\n1:" // QEMU 7.2 takes `vstart` for that of all that follows
                     "vredsum.vs v12, v8, v12\n vmv.x.s %0, v12" : "=r"(sum) : "r"(two + PAGE - 10) : "memory");
    u16 expected = 0;
    for (u64 i = 0; i < 16; i++) expected = (u16)(expected + *(u16 *)(two + PAGE - 10 + 2 * i));
    fact("faults", faults);
    fact("at element", stopped_at);
    fact("sum", (u16)sum == expected);
}

static volatile u64 frame_magic, frame_size, frame_vl, frame_vlenb, frame_register;

// Looks at the state in the frame, changes an element there, and writes over the registers.
static void on_signal(int signal, void *info, void *context) {
    (void)signal, (void)info;
    u32 *header = (u32 *)((char *)context + 176 + 256 + 520);
    frame_magic = header[0];
    frame_size = header[1];
    u64 *state = (u64 *)(header + 2);
    frame_vl = state[1];
    frame_vlenb = state[4];
    u8 *registers = (u8 *)state[5];
    frame_register = registers[8 * 16 + 3];
    registers[8 * 16 + 3] = 77;
    __asm__ volatile("vsetivli zero, 1, e64, m1, ta, ma\n vmv.v.i v8, -1\n vmv.v.i v9, -1");
}

static NOINLINE void linux_parts(void) {
    Action action = {on_signal, SA_SIGINFO, 0};
    syscall6(SYS_rt_sigaction, SIGUSR1, (i64)&action, 0, 8, 0, 0);
    i64 pid = syscall3(SYS_getpid, 0, 0, 0), tid = syscall3(SYS_gettid, 0, 0, 0);
    u64 changed, kept, vl, vtype;
    register i64 a0 __asm__("a0") = pid;
    register i64 a1 __asm__("a1") = tid;
    register i64 a2 __asm__("a2") = SIGUSR1;
    register i64 a7 __asm__("a7") = SYS_tgkill;
    __asm__ volatile("vsetivli zero, 11, e8, m1, ta, ma\n vid.v v8\n vadd.vi v9, v8, 5\n ecall\n"
                     "csrr %2, vl\n csrr %3, vtype\n vsetivli zero, 16, e8, m1, ta, ma\n"
                     "vslidedown.vi v10, v8, 3\n vmv.x.s %0, v10\n vslidedown.vi v10, v9, 4\n vmv.x.s %1, v10"
                     : "=&r"(changed), "=&r"(kept), "=&r"(vl), "=&r"(vtype), "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    fact("magic", frame_magic == 0x53465457);
    fact("size", frame_size);
    fact("vl in the frame", frame_vl);
    fact("vlenb", frame_vlenb);
    fact("element", frame_register);
    fact("changed by the handler", changed);
    fact("kept from it", kept);
    fact("vl", vl);
    fact("vtype", vtype);
    struct { i64 key; u64 value; } pair = {4, 0};
    syscall6(SYS_hwprobe, (i64)&pair, 1, 0, 0, 0, 0);
    fact("has V", pair.value >> 2 & 1);
    fact("control", syscall6(SYS_prctl, 70, 0, 0, 0, 0, 0));
    fact("set", -syscall6(SYS_prctl, 69, 2 | 2 << 2, 0, 0, 0, 0));
    fact("control", syscall6(SYS_prctl, 70, 0, 0, 0, 0, 0));
    fact("off", -syscall6(SYS_prctl, 69, 1, 0, 0, 0, 0));
    fact("bad", -syscall6(SYS_prctl, 69, 3, 0, 0, 0, 0));
}

int main(int argc, char **argv, char **envp) {
    (void)argv;
    u64 *auxiliary = (u64 *)envp;
    while (*auxiliary++) {}
    if (argc < 2) {
        computing();
        faulting();
        return 0;
    }
    u64 capabilities = 0;
    for (; auxiliary[0]; auxiliary += 2)
        if (auxiliary[0] == 16) capabilities = auxiliary[1];
    fact("capability", capabilities >> ('v' - 'a') & 1);
    linux_parts();
    return 0;
}
