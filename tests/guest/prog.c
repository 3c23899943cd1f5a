// A program of many small parts, of which its argument names one: what the scripts of the language's design speak of.
// Each part prints what it has computed, so that its output shows what a script has done to it.
//
// Built with debug information. The functions whose instructions scripts name by offset are written in assembler.
#include "src/parser.c"

enum { SYS_openat = 56, SYS_close = 57, SYS_read = 63 };

NOINLINE void *memcpy(void *to, const void *from, u64 n) {
    for (u64 i = 0; i < n; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static void say(const char *text, const char *value) {
    print(text);
    print(value);
    print("\n");
}

static u8 buffer[4096];

// ---- messages

static void headers(void) {
    static const struct hdr all[] = { { 24, 0x5a17, 1 }, { 8, 0x5a17, 1 }, { 24, 0x1234, 2 }, { 4096, 0x5a17, 3 } };
    for (int i = 0; i < 4; i++) {
        i64 length = parse_header(&all[i]);
        if (length < 0) print("bad tag\n");
        else show("length", length);
    }
}

static void packets(void) {
    static u8 packet[4098];
    static const u16 lengths[] = { 3, 1500, 1501, 4096 };
    for (int i = 0; i < 4; i++) {
        packet[0] = lengths[i] >> 8, packet[1] = lengths[i];
        packet[1 + lengths[i]] = 10 + i;
        show("last byte", parse_packet(buffer, packet));
    }
    memcpy(buffer, packet, 2000);
}

static void sums(void) {
    for (u64 i = 0; i < 256; i++) buffer[i] = i;
    show_hex("sum", checksum(buffer, 10));
    show_hex("sum", checksum(buffer, 64));
    show_hex("sum", checksum(buffer, 100));
}

// ---- files

NOINLINE i64 read(int fd, void *to, u64 n) { return syscall3(SYS_read, fd, (i64)to, n); }
NOINLINE i64 write(int fd, const void *from, u64 n) { return syscall3(SYS_write, fd, (i64)from, n); }

static void files(void) {
    static const char *const names[] = { "/etc/one.conf", "/etc/names", "/etc/two.conf", "/etc/three.conf", "/etc/four.conf" };
    for (int i = 0; i < 5; i++) {
        i64 fd = syscall3(SYS_openat, -100, (i64)names[i], 0);
        if (fd < 0) {
            print(names[i]);
            show(": error", -fd);
            continue;
        }
        write(1, buffer, read(fd, buffer, sizeof buffer));
        syscall3(SYS_close, fd, 0, 0);
    }
}

// ---- a license, a log

NOINLINE int check_license(const char *key) { return same(key, "0451"); }
NOINLINE void log_debug(const char *text) { say("debug: ", text); }

static void license(void) {
    log_debug("looking at the license");
    say("license: ", check_license("1234") ? "valid" : "none");
    log_debug("done");
}

// ---- requests

static NOINLINE u64 work(u64 n) {
    u64 sum = 0;
    while (n--) { sum += n; __asm__ volatile("" : "+r"(sum)); }
    return sum;
}

NOINLINE u64 http_get(u64 n) { return work(n); }
NOINLINE u64 http_head(void) { return 0; }
NOINLINE u64 http_post(u64 n) { return work(n) + work(2 * n); }

static void requests(void) {
    u64 sum = 0;
    for (u64 n = 1; n <= 20; n++) sum += http_get(n) + http_head() + (n % 4 ? 0 : http_post(10 * n));
    show("served", sum);
}

// ---- locks

static u32 lock_disk, lock_net;

NOINLINE u64 lock_acquire(const char *name) {
    u32 *lock = name[0] == 'd' ? &lock_disk : &lock_net;
    return work(20 * (*lock)++);
}

static void locks(void) {
    u64 waited = 0;
    for (int i = 0; i < 5; i++) waited += lock_acquire("disk");
    for (int i = 0; i < 3; i++) waited += lock_acquire("net");
    show("waited", waited);
}

// ---- variables

u8 flag;
u32 table[4] = { 10, 11, 12, 13 };
u32 counter = 40;

NOINLINE void tick(u32 n) { counter += n; }
NOINLINE void rewind(void) { counter = 1; }

static void variables(void) {
    tick(2);
    tick(3);
    show("counter", counter);
    rewind();
    tick(6);
    show("counter", counter);
    show("flag", flag);
    show_hex("table[3]", table[3]);
}

// ---- calls

NOINLINE u64 f(u64 a, u64 b, u64 c) {
    *(volatile u32 *)&table[a & 3] = b;
    return a + 10 * b + 100 * c;
}

NOINLINE u64 when(u64 n) { return n * 3; }
NOINLINE u64 fib(u64 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static void calls(void) {
    u64 sum = 0;
    for (u64 i = 0; i < 8; i++) sum += f(i & 1, 2 + (i >> 1 & 1), i >> 2);
    show("sum", sum);
    for (u64 n = 3; n < 7; n++) sum += when(n);
    show("sum", sum);
    i64 written = write(1, "written\n", 8);
    if (written < 0) show("nothing written: error", -written);
}

static void hundred(void) {
    u64 sum = 0;
    for (u64 i = 0; i < 100; i++) sum += f(i, 0, 0);
    show("sum", sum);
}

NOINLINE int test_sum(void) { return checksum((const u8 *)"\1\2\3", 3) == 6; }
NOINLINE int test_header(void) { return parse_header(&(struct hdr){ 8, 0x5a17, 0 }) == 0; }

static void tests(void) {
    show("tests passed", test_sum() + test_header());
}

// ---- what a deeper part finds wrong

NOINLINE void complain(const char *what) { say("prog.c: assert failed: ", what); }
NOINLINE void inner(u64 n) { if (n != 7) complain("n == 7"); }
NOINLINE void outer(u64 n) { inner(n), inner(n + 1), inner(n + 2); }

static void asserts(void) { outer(6); }

#if defined(__aarch64__)
// ---- instructions that scripts name

struct answer { u64 accepted; u64 error; };
struct answer verify_pin(const char *digits);
u64 check_pin(const char *digits), dec_tries(void), countdown(u64 from), carried(void);

const char secret[8] = "4711";
u32 tries = 1;

__asm__(".macro function name\n.globl \\name\n.type \\name, %function\n\\name:\n.endm\n"
        ".macro end name\n.size \\name, . - \\name\n.endm\n"
        "function verify_pin\n"
        "  ldr w2, [x0]\n"
        "  adrp x3, secret\n  add x3, x3, :lo12:secret\n  ldr w3, [x3]\n"
        "  cmp w2, w3\n  mov w1, #13\n  csel w1, wzr, w1, eq\n  cset x0, eq\n  nop\n"
        "  ret\n" // +0x24
        "end verify_pin\n"
        "function check_pin\n"
        "  ldr w2, [x0]\n  adrp x3, secret\n  ldr w3, [x3, :lo12:secret]\n"
        "  eor w4, w2, w3\n  mov x0, #0\n  cmp w4, #0\n"
        "  b.ne 1f\n" // +0x18
        "  mov x0, #1\n"
        "1: ret\n"
        "end check_pin\n"
        "function dec_tries\n"
        "  adrp x1, tries\n  ldr w0, [x1, :lo12:tries]\n"
        "  sub w0, w0, #1\n" // +0x8
        "  str w0, [x1, :lo12:tries]\n"
        "  ret\n"
        "end dec_tries\n"
        // From n down to 1: whether it is odd is in x1, how many are odd the result.
        "function countdown\n"
        "  mov x2, #0\n"
        ".globl loop\n"
        "loop:\n  and x1, x0, #1\n  add x2, x2, x1\n  subs x0, x0, #1\n  b.ne loop\n"
        "  mov x0, x2\n  ret\n"
        "end countdown\n"
        "function carried\n  mov x3, #2\n  add x0, x3, #100\n  ret\nend carried\n");

NOINLINE void unlocked(void) { print("unlocked\n"); }

static void pin(void) {
    struct answer answer = verify_pin("1234");
    say("pin: ", answer.accepted ? "accepted" : "refused");
    show("error", answer.error);
}

// An attempt is counted before the pin is looked at, and there is one.
static void attack(void) {
    if (dec_tries() == 0) print("no tries left\n");
    else if (!check_pin("1234")) print("wrong pin\n");
    else unlocked();
}

static void loops(void) {
    show("odd", countdown(9));
}

// What is carried in a register is the status: printing would need that register.
static void carry(void) { quit(carried()); }

static u64 ticks(void) {
    u64 now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now)::"memory");
    return now;
}

// As a program does it that looks for a debugger: it waits until time has gone on, and says how long it took.
static void timing(void) {
    u64 begin = ticks(), spent = 0;
    for (int i = 0; i < 1000 && !spent; i++) spent = ticks() - begin, work(1000);
    say("time goes on: ", spent ? "yes, somebody watches" : "no");
}

// ---- wire data, floating point

NOINLINE u32 net_rx(const u8 *packet) { return packet[0] + packet[7]; }
double fpu_op(double a);
__asm__("function fpu_op\n  ldr d2, [sp, #16]\n  fadd d0, d0, d2\n  ret\nend fpu_op\n");

static void values(void) {
    static const u8 packet[] = { 0x12, 0x34, 0x56, 0x78, 0xca, 0xfe, 0xba, 0xbe };
    show("net_rx", net_rx(packet));
    register double d0 __asm__("d0") = 1.5;
    u64 lanes = 7ul << 32 | 5;
    double three = 3.25;
    __asm__ volatile("sub sp, sp, #32\n str %d1, [sp, #16]\n movi v1.4s, #0\n mov v1.d[1], %2\n"
                     "bl fpu_op\n add sp, sp, #32" : "+w"(d0) : "w"(three), "r"(lanes) : "x30", "v1", "v2", "memory");
    show("quarters", d0 * 4);
}
#endif

// ---- choosing

NOINLINE void cleanup(void) { log_debug("bye"); }

static u64 fib_of(const char *digits) {
    u64 n = 0;
    while (*digits) n = 10 * n + *digits++ - '0';
    return fib(n);
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    static const struct { const char *name; void (*run)(void); } parts[] = {
        { "headers", headers }, { "packets", packets }, { "sums", sums }, { "files", files }, { "license", license },
        { "requests", requests }, { "locks", locks }, { "variables", variables }, { "calls", calls },
        { "hundred", hundred }, { "tests", tests }, { "asserts", asserts },
#if defined(__aarch64__)
        { "pin", pin }, { "attack", attack }, { "loops", loops }, { "carry", carry }, { "timing", timing }, { "values", values },
#endif
    };
    const char *wanted = argc > 1 ? argv[1] : "";
    for (u64 i = 0; i < sizeof parts / sizeof *parts; i++)
        if (same(parts[i].name, wanted)) {
            parts[i].run();
            cleanup();
            return 0;
        }
    if (argc == 3 && same(wanted, "recursion")) show("fib", fib_of(argv[2]));
    return argc == 3 ? 0 : 2;
}
