// Threads: creation and end, futexes, memory order, exclusive accesses, code that another thread is running, and signals
// to busy threads. Each test prints one line that does not depend on the schedule; `threads NAME [ROUNDS]` runs one.
#include "threads.h"

static u64 rounds;

// ---- a lock-free stack with exclusive accesses: pop reads `next` between the two, so it must notice that the head has
// been popped and pushed again meanwhile.

enum { NODES = 64 };
static struct Node { struct Node *volatile next; u64 value; volatile u64 owned; } nodes[NODES];
static struct Node *volatile head;
static volatile u64 broken;

static void push(struct Node *node) {
    struct Node *old;
    u32 failed;
    do {
        __asm__ volatile("ldxr %0, [%1]" : "=r"(old) : "r"(&head) : "memory");
        node->next = old;
        __asm__ volatile("stlxr %w0, %1, [%2]" : "=&r"(failed) : "r"(node), "r"(&head) : "memory");
    } while (failed);
}

static struct Node *pop(void) {
    struct Node *old, *next;
    u32 failed;
    do {
        __asm__ volatile("ldaxr %0, [%1]" : "=r"(old) : "r"(&head) : "memory");
        if (!old) { __asm__ volatile("clrex" ::: "memory"); return 0; }
        next = old->next;
        __asm__ volatile("stlxr %w0, %1, [%2]" : "=&r"(failed) : "r"(next), "r"(&head) : "memory");
    } while (failed);
    return old;
}

static void stack_worker(u64 index) {
    for (u64 i = 0; i < rounds; i++) {
        struct Node *node = pop();
        if (!node) continue;
        // Nobody else may own a node that has been popped.
        u64 was = __atomic_exchange_n(&node->owned, index + 1, __ATOMIC_RELAXED);
        if (was) broken = 1;
        node->value++;
        __atomic_store_n(&node->owned, 0, __ATOMIC_RELAXED);
        push(node);
    }
}

static void test_stack(void) {
    for (u64 i = 0; i < NODES; i++) push(&nodes[i]);
    run(WORKERS, stack_worker);
    u64 left = 0, values = 0;
    for (struct Node *node; left <= NODES && (node = pop());) { left++; values += node->value; }
    show("stack nodes", left);
    show("stack lost or shared", broken || values > WORKERS * rounds || values == 0);
}

// ---- a seqlock

static volatile u64 sequence, first, second;

static void seqlock_worker(u64 index) {
    if (index == 0) {
        for (u64 i = 1; i <= rounds; i++) {
            __atomic_store_n(&sequence, 2 * i - 1, __ATOMIC_RELAXED);
            __atomic_thread_fence(__ATOMIC_RELEASE);
            first = i;
            second = ~i;
            __atomic_store_n(&sequence, 2 * i, __ATOMIC_RELEASE);
        }
        return;
    }
    for (;;) {
        u64 before = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
        u64 a = first, b = second;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        u64 after = __atomic_load_n(&sequence, __ATOMIC_RELAXED);
        if (before == after && before % 2 == 0 && before && a != ~b) broken = 1;
        if (after == 2 * rounds) return;
    }
}

static void test_seqlock(void) {
    run(WORKERS, seqlock_worker);
    show("seqlock torn", broken);
}

// ---- litmus tests: two threads walk through fresh words side by side, and meet before and behind each batch

enum { BATCH = 1000 };
static volatile u64 arrived[2], x[BATCH], y[BATCH], seen[2][BATCH];

static void meet(u64 index, u64 round) {
    __atomic_store_n(&arrived[index], round, __ATOMIC_SEQ_CST);
    for (u64 spins = 0; __atomic_load_n(&arrived[!index], __ATOMIC_SEQ_CST) < round; spins++)
        if (spins % 64 == 63) syscall3(SYS_sched_yield, 0, 0, 0);
}

// Runs `step` on all words in both threads, `rounds` times in all, and then `check` in one.
static void batches(u64 index, void (*step)(u64 index, u64 at), int (*bad)(u64 at)) {
    for (u64 batch = 1; batch <= rounds / BATCH + 1; batch++) {
        meet(index, 3 * batch - 2);
        if (index == 0) for (u64 i = 0; i < BATCH; i++) x[i] = y[i] = seen[0][i] = seen[1][i] = 0;
        meet(index, 3 * batch - 1);
        for (u64 i = 0; i < BATCH; i++) step(index, i);
        meet(index, 3 * batch);
        if (index == 0) for (u64 i = 0; i < BATCH; i++) if (bad(i)) broken = 1;
    }
}

// Store buffering with release stores and acquire loads: both see 0 is forbidden.
static void sb_step(u64 index, u64 at) {
    volatile u64 *mine = index ? &y[at] : &x[at], *other = index ? &x[at] : &y[at];
    u64 value;
    __asm__ volatile("stlr %1, [%2]\n ldar %0, [%3]" : "=&r"(value) : "r"(1L), "r"(mine), "r"(other) : "memory");
    seen[index][at] = value;
}

static int sb_bad(u64 at) { return seen[0][at] == 0 && seen[1][at] == 0; }
static void sb_worker(u64 index) { batches(index, sb_step, sb_bad); }

static void test_store_buffering(void) {
    run(2, sb_worker);
    show("store buffering seen", broken);
}

// Store buffering with plain accesses and full barriers.
static void dmb_step(u64 index, u64 at) {
    volatile u64 *mine = index ? &y[at] : &x[at], *other = index ? &x[at] : &y[at];
    u64 value;
    __asm__ volatile("str %1, [%2]\n dmb ish\n ldr %0, [%3]" : "=&r"(value) : "r"(1L), "r"(mine), "r"(other) : "memory");
    seen[index][at] = value;
}

static void dmb_worker(u64 index) { batches(index, dmb_step, sb_bad); }

static void test_barriers(void) {
    run(2, dmb_worker);
    show("barriers passed", broken);
}

// Message passing: data, then a release store of a flag; an acquire load of the flag, then data.
static void mp_step(u64 index, u64 at) {
    if (index == 0) {
        x[at] = 5;
        __asm__ volatile("stlr %0, [%1]" ::"r"(1L), "r"(&y[at]) : "memory");
    } else {
        u64 flag;
        __asm__ volatile("ldar %0, [%1]" : "=r"(flag) : "r"(&y[at]) : "memory");
        seen[0][at] = flag;
        seen[1][at] = x[at];
    }
}

static int mp_bad(u64 at) { return seen[0][at] == 1 && seen[1][at] != 5; }
static void mp_worker(u64 index) { batches(index, mp_step, mp_bad); }

static void test_message_passing(void) {
    run(2, mp_worker);
    show("messages broken", broken);
}

// ---- atomics without exclusive accesses: LSE, all threads on one word

static volatile u64 counter;
static volatile u32 narrow;

static void lse_worker(u64 index) {
    for (u64 i = 0; i < rounds; i++) {
        u64 old;
        __asm__ volatile(".arch armv8.1-a\n ldadd %1, %0, [%2]" : "=r"(old) : "r"(index + 1), "r"(&counter) : "memory");
        __asm__ volatile(".arch armv8.1-a\n stadd %w0, [%1]" ::"r"(1), "r"(&narrow) : "memory");
        u64 expected = counter, seen_value;
        do {
            seen_value = expected;
            __asm__ volatile(".arch armv8.1-a\n cas %0, %1, [%2]"
                             : "+r"(seen_value) : "r"(expected + 1), "r"(&counter) : "memory");
            if (seen_value == expected) break;
            expected = seen_value;
        } while (1);
    }
}

static void test_lse(void) {
    run(WORKERS, lse_worker);
    show("lse wide", counter - rounds * (WORKERS * (WORKERS + 1) / 2 + WORKERS));
    show("lse narrow", narrow - (u32)(rounds * WORKERS));
}

// ---- code that is rewritten while others run it

static u32 *code;

static u32 move(u32 number) { return 0x52800000 | number << 5; }

static void code_worker(u64 index) {
    (void)index;
    u64 last = 0;
    // A number that has been seen never comes back, and the last one is reached.
    while (last != rounds) {
        u64 now = ((u64 (*)(void))code)();
        if (now < last || now > rounds) { broken = 1; return; }
        last = now;
    }
}

static void test_code(void) {
    if (rounds > 60000) rounds = 60000;
    code = (u32 *)syscall6(SYS_mmap, 0, 4096, 7, 0x22, -1, 0);
    code[0] = move(0);
    code[1] = 0xd65f03c0;
    for (u64 i = 0; i < WORKERS; i++) start(i, code_worker);
    for (u32 i = 1; i <= rounds; i++) {
        *(volatile u32 *)code = move(i);
        __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(code) : "memory");
    }
    for (u64 i = 0; i < WORKERS; i++) join(i);
    show("code stale", broken);
}

// ---- thread-local storage, and memory that comes and goes under other threads' feet

static void tls_worker(u64 index) {
    for (u64 i = 0; i < rounds; i++) {
        u64 *local;
        __asm__ volatile("mrs %0, tpidr_el0" : "=r"(local));
        if (local != &threads[index].local || *local != 1000 + index + i) broken = 1;
        ++*local;
        if (i % 64 == 0) {
            u8 *page = (u8 *)syscall6(SYS_mmap, 0, 8192, 3, 0x22, -1, 0);
            page[4096] = (u8)index;
            syscall3(SYS_mprotect, (i64)page, 4096, 1);
            if (page[0] || page[4096] != (u8)index) broken = 1;
            syscall3(SYS_munmap, (i64)page, 8192, 0);
        }
    }
}

static void test_tls(void) {
    run(WORKERS, tls_worker);
    show("tls broken", broken);
}

// ---- threads that come and go

static void brief_worker(u64 index) { __atomic_fetch_add(&counter, index + 1, __ATOMIC_RELAXED); }

static void test_spawn(void) {
    u64 times = rounds / 1000 + 10;
    for (u64 i = 0; i < times; i++) run(WORKERS, brief_worker);
    show("spawned", counter - times * WORKERS * (WORKERS + 1) / 2);
}

// ---- a robust futex whose owner goes

static struct { u64 list, offset, pending; } robust;
static struct { u64 next; u32 futex; } lock;

static void robust_worker(u64 index) {
    robust.list = (u64)&lock;
    robust.offset = (u64)&lock.futex - (u64)&lock;
    robust.pending = 0;
    lock.next = (u64)&robust;
    __atomic_store_n(&lock.futex, threads[index].tid | 0x80000000, __ATOMIC_SEQ_CST);
    syscall3(SYS_set_robust_list, (i64)&robust, 24, 0);
}

static void test_robust(void) {
    run(1, robust_worker);
    show_hex("robust futex", lock.futex);
}

// ---- signals to threads that compute, and to one that sleeps in the kernel

static volatile u64 handled[WORKERS + 1], stopping;
static u64 own_index(void) {
    u64 *local;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(local));
    for (u64 i = 0; i < WORKERS; i++) if (local == &threads[i].local) return i;
    return WORKERS;
}

void handler(int signal) {
    if (signal != 10) broken = 1;
    handled[own_index()]++;
}

static void signal_worker(u64 index) {
    u64 a = 1, b = 1;
    if (index == 0) {
        // Blocked in the kernel; signals end the sleep early.
        while (!stopping) { i64 time[2] = {0, 2000000}; syscall3(SYS_nanosleep, (i64)time, 0, 0); }
        return;
    }
    while (!stopping) {
        // A computation whose values are related; a handler that damages registers shows.
        for (u64 i = 0; i < 100; i++) { a = a * 6364136223846793005 + 1; b = b * 6364136223846793005 + 1; }
        if (a != b) { broken = 1; return; }
    }
}

static void test_signals(void) {
    u64 times = rounds / 100 + 10;
    struct { void (*handler)(int); u64 flags; void *restorer; u64 mask; } action = {handler, 0x10000000, 0, 0};
    syscall6(SYS_rt_sigaction, 10, (i64)&action, 0, 8, 0, 0);
    for (u64 i = 0; i < 4; i++) start(i, signal_worker);
    u64 sent[4] = {0};
    for (u64 i = 0; i < times; i++) {
        u64 to = i % 4;
        u64 before = handled[to];
        if (syscall3(SYS_tgkill, syscall3(SYS_getpid, 0, 0, 0), threads[to].tid, 10) == 0) sent[to]++;
        for (u64 spins = 0; handled[to] == before; spins++) syscall3(SYS_sched_yield, 0, 0, 0);
    }
    stopping = 1;
    for (u64 i = 0; i < 4; i++) join(i);
    u64 lost = 0;
    for (u64 i = 0; i < 4; i++) lost += sent[i] - handled[i];
    show("signals lost", lost);
    show("signals broken", broken);
}

// ---- the end: exit_group while others compute and sleep, exit of the first thread, death by a signal

static void endless_worker(u64 index) {
    i64 time[2] = {1000, 0};
    for (;;) if (index % 2) syscall3(SYS_nanosleep, (i64)time, 0, 0);
}

static void ending_worker(u64 index) {
    if (index == 3) quit(42);
    endless_worker(index);
}

// The process ends while others wait for a futex that nobody wakes.
static void waiting_worker(u64 index) {
    static u32 never;
    if (index == 0) { i64 time[2] = {0, 20000000}; syscall3(SYS_nanosleep, (i64)time, 0, 0); quit(43); }
    for (;;) syscall6(SYS_futex, (i64)&never, FUTEX_WAIT, 0, 0, 0, 0);
}

static void last_worker(u64 index) {
    i64 time[2] = {0, 20000000};
    syscall3(SYS_nanosleep, (i64)time, 0, 0);
    if (index == 0) { print("last thread\n"); quit(7); }
}

static void fault_worker(u64 index) {
    if (index == 2) *(volatile u32 *)8 = 1;
    endless_worker(index);
}

// ---- a timer and calls that cannot wait

static volatile u64 alarms;

static void on_alarm(int signal) { (void)signal; alarms++; }

// A signal whose handler does not ask for calls to be made again must not fail a call that cannot wait: the pipe has room.
static void test_interrupts(void) {
    enum { SYS_setitimer = 103, SIGALRM = 14 };
    struct { void (*handler)(int); u64 flags, restorer, mask; } action = {on_alarm, 0, 0, 0};
    syscall6(SYS_rt_sigaction, SIGALRM, (i64)&action, 0, 8, 0, 0);
    u64 every[4] = {0, 50, 0, 50}, never[4] = {0};
    int ends[2];
    syscall3(SYS_pipe2, (i64)ends, 0, 0);
    syscall3(SYS_setitimer, 0, (i64)every, 0);
    u64 failed = 0;
    for (u64 i = 0; i < rounds || alarms < 100; i++) {
        u8 byte = (u8)i, back = 0;
        if (syscall3(SYS_write, ends[1], (i64)&byte, 1) != 1) { failed++; continue; }
        while (syscall3(SYS_read, ends[0], (i64)&back, 1) != 1) failed++;
        if (back != byte) failed++;
    }
    syscall3(SYS_setitimer, 0, (i64)never, 0);
    show("calls that failed", failed);
}

static int is(const char *a, const char *b) {
    while (*a && *a == *b) { a++; b++; __asm__ volatile("" ::: "memory"); }
    return *a == *b;
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    static const struct { const char *name; void (*test)(void); } tests[] = {
        {"stack", test_stack}, {"seqlock", test_seqlock}, {"sb", test_store_buffering}, {"dmb", test_barriers}, {"mp", test_message_passing},
        {"lse", test_lse}, {"code", test_code}, {"tls", test_tls}, {"spawn", test_spawn}, {"robust", test_robust},
        {"signals", test_signals}, {"interrupts", test_interrupts},
    };
    if (argc < 2) { print("usage: threads NAME [ROUNDS]\n"); return 2; }
    for (const char *digit = argc > 2 ? argv[2] : "3000"; *digit; digit++) rounds = rounds * 10 + (u64)(*digit - '0');
    if (is(argv[1], "end")) { for (u64 i = 0; i < 4; i++) start(i, ending_worker); endless_worker(1); }
    if (is(argv[1], "wait")) { for (u64 i = 0; i < 4; i++) start(i, waiting_worker); waiting_worker(1); }
    if (is(argv[1], "fault")) { for (u64 i = 0; i < 4; i++) start(i, fault_worker); endless_worker(1); }
    if (is(argv[1], "last")) {
        for (u64 i = 0; i < 2; i++) start(i, last_worker);
        syscall3(SYS_exit, 0, 0, 0);
    }
    for (u64 i = 0; i < sizeof tests / sizeof *tests; i++)
        if (is(argv[1], tests[i].name)) { tests[i].test(); return 0; }
    print("no such test\n");
    return 2;
}
