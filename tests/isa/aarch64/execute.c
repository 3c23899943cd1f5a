// Executes instructions under qemu-aarch64 and prints what they change; `generate.py` builds and feeds it.
//
// Each line of input is a case: the encodings in hexadecimal separated by commas, then the state before as `name=value`
// pairs (x0..x30, sp, nzcv, fpcr, fpsr, q0..q31; what is not named is zero). The answer is one line with everything
// that differs afterwards, in the form of an `.ins` row behind `=>`.
//
// A case runs by returning from a signal handler into it, and ends in the next handler: the code page holds nothing
// but `brk`. So every register can have every value.

#define _GNU_SOURCE
#include <asm/sigcontext.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CODE 0x20000000ul
#define DATA 0x10000000ul
#define DATA_SIZE 0x20000ul

typedef unsigned __int128 u128;

struct state {
    uint64_t x[31], sp, nzcv, fpcr, fpsr;
    u128 q[32];
};

static struct state before;
static int count;
static uint8_t pattern[DATA_SIZE];

static uint32_t *code = (uint32_t *)CODE;
static uint8_t *data = (uint8_t *)DATA;

static u128 parse_wide(const char *text) {
    u128 value = 0;
    for (text += 2; *text; text++) {
        value = value << 4 | (*text <= '9' ? *text - '0' : *text - 'a' + 10);
    }
    return value;
}

static void print_wide(u128 value) {
    if (value >> 64) {
        printf("0x%lx%016lx", (uint64_t)(value >> 64), (uint64_t)value);
    } else {
        printf("0x%lx", (uint64_t)value);
    }
}

static uint64_t *named(struct state *state, const char *name) {
    if (name[0] == 'x') return &state->x[atoi(name + 1)];
    if (!strcmp(name, "sp")) return &state->sp;
    if (!strcmp(name, "nzcv")) return &state->nzcv;
    if (!strcmp(name, "fpcr")) return &state->fpcr;
    if (!strcmp(name, "fpsr")) return &state->fpsr;
    fprintf(stderr, "unknown register %s\n", name);
    exit(1);
}

// Reads the next case; false at the end of input.
static int next_case(void) {
    static char line[1 << 16];
    if (!fgets(line, sizeof line, stdin)) return 0;
    memset(&before, 0, sizeof before);
    for (int i = 0; i < count; i++) code[i] = 0xd4200000;
    memcpy(data, pattern, DATA_SIZE);
    char *rest = line;
    char *encodings = strsep(&rest, " \n");
    count = 0;
    for (char *word; (word = strsep(&encodings, ",")); ) code[count++] = strtoul(word, 0, 16);
    for (char *item; (item = strsep(&rest, " \n")); ) {
        if (!*item) continue;
        char *value = strchr(item, '=');
        *value++ = 0;
        if (item[0] == 'q') {
            before.q[atoi(item + 1)] = parse_wide(value);
        } else {
            *named(&before, item) = (uint64_t)parse_wide(value);
        }
    }
    __builtin___clear_cache((char *)code, (char *)(code + 64));
    return 1;
}

static void print_changes(const struct state *after, uint64_t pc) {
    for (int i = 0; i < 31; i++) {
        if (after->x[i] != before.x[i]) printf(" x%d=0x%lx", i, after->x[i]);
    }
    if (after->sp != before.sp) printf(" sp=0x%lx", after->sp);
    if (after->nzcv != before.nzcv) printf(" nzcv=0x%lx", after->nzcv);
    if (after->fpcr != before.fpcr) printf(" fpcr=0x%lx", after->fpcr);
    if (after->fpsr != before.fpsr) printf(" fpsr=0x%lx", after->fpsr);
    for (int i = 0; i < 32; i++) {
        if (after->q[i] != before.q[i]) {
            printf(" q%d=", i);
            print_wide(after->q[i]);
        }
    }
    if (memcmp(data, pattern, DATA_SIZE)) {
        for (uint64_t i = 0; i < DATA_SIZE; i++) {
            if (data[i] == pattern[i]) continue;
            printf(" [0x%lx]=", DATA + i);
            for (; i < DATA_SIZE && data[i] != pattern[i]; i++) printf("%02x", data[i]);
        }
    }
    if (pc != CODE + 4 * count) printf(" pc=0x%lx", pc);
}

static struct fpsimd_context *vectors(ucontext_t *context) {
    struct _aarch64_ctx *record = (struct _aarch64_ctx *)context->uc_mcontext.__reserved;
    while (record->magic != FPSIMD_MAGIC) record = (struct _aarch64_ctx *)((char *)record + record->size);
    return (struct fpsimd_context *)record;
}

static void handle(int number, siginfo_t *info, void *argument) {
    static int started;
    ucontext_t *context = argument;
    struct fpsimd_context *fp = vectors(context);
    uint64_t pc = context->uc_mcontext.pc;
    if (started) {
        struct state after;
        memcpy(after.x, context->uc_mcontext.regs, sizeof after.x);
        after.sp = context->uc_mcontext.sp;
        after.nzcv = context->uc_mcontext.pstate & 0xf0000000;
        after.fpcr = fp->fpcr;
        after.fpsr = fp->fpsr;
        memcpy(after.q, fp->vregs, sizeof after.q);
        if (pc >= CODE && pc < CODE + 4 * count) {
            printf(number == SIGILL ? " illegal" : number == SIGBUS ? " misaligned" : number == SIGSEGV ? " fault" : " trap");
            if (pc != CODE) printf(" pc=0x%lx", pc);
            pc = CODE + 4 * count;
        }
        print_changes(&after, pc);
        printf("\n");
    }
    started = 1;
    if (!next_case()) {
        fflush(stdout);
        _Exit(0);
    }
    memcpy(context->uc_mcontext.regs, before.x, sizeof before.x);
    context->uc_mcontext.sp = before.sp;
    context->uc_mcontext.pstate = before.nzcv;
    context->uc_mcontext.pc = CODE;
    fp->fpcr = before.fpcr;
    fp->fpsr = before.fpsr;
    memcpy(fp->vregs, before.q, sizeof before.q);
}

static void *map(uint64_t addr, uint64_t size) {
    void *at = mmap((void *)addr, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

int main(void) {
    map(CODE, 0x1000);
    map(DATA, DATA_SIZE);
    for (int i = 0; i < 1024; i++) code[i] = 0xd4200000;
    for (uint64_t i = 0; i < DATA_SIZE; i++) pattern[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 0x35);
    static char stack[1 << 18];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, 0);
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGTRAP, &action, 0);
    sigaction(SIGILL, &action, 0);
    sigaction(SIGBUS, &action, 0);
    sigaction(SIGSEGV, &action, 0);
    ((void (*)(void))CODE)();
    return 0;
}
