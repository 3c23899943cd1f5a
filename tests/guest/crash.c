// Dies of the signal that its argument names: segv, ill, abrt, trap, term, or exec (a jump to an unmapped page); anything else exits 3.
#include "rt.h"

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

NOINLINE void load_from_nowhere(void) { (void)*(volatile u64 *)0x18; }
NOINLINE void call_data(void) { ((void (*)(void))0x1000)(); }

#if defined(__riscv)
#define UNDEFINED "unimp"
#define BREAKPOINT "ebreak"
#else
#define UNDEFINED "udf #7"
#define BREAKPOINT "brk #1"
#endif

int main(int argc, char **argv, char **envp) {
    (void)envp;
    const char *how = argc > 1 ? argv[1] : "";
    i64 self = syscall3(SYS_getpid, 0, 0, 0);
    print("about to ");
    print(how);
    print("\n");
    if (same(how, "segv")) load_from_nowhere();
    if (same(how, "exec")) call_data();
    if (same(how, "ill")) __asm__ volatile(UNDEFINED);
    if (same(how, "trap")) __asm__ volatile(BREAKPOINT);
    if (same(how, "abrt")) syscall3(SYS_kill, self, 6, 0);
    if (same(how, "term")) syscall3(SYS_kill, self, 15, 0);
    return 3;
}
