// A program with a dynamic linker (`relay`), which maps the library that its argument names in many ways: once, again
// elsewhere, twice at a time, by way of `mprotect`, and in a child. It prints what the library gives.
#include "load.h"

static void unload(Library library) { syscall3(SYS_munmap, library.base, library.size, 0); }

static void say(const char *what, u64 value) {
    char digits[] = "00\n";
    digits[0] += value / 10 % 10;
    digits[1] += value % 10;
    print(what);
    print(digits);
}

int main(int argc, char **argv, char **envp) {
    (void)envp;
    if (argc < 2) return 2;
    Library first = load(argv[1], 0);
    say("once: ", first.entry(1));
    unload(first);
    map(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Library second = load(argv[1], 0);
    say(second.base == first.base ? "in the same place: " : "elsewhere: ", second.entry(2));
    Library third = load(argv[1], 1);
    say("twice: ", third.entry(3));
    say("and the other: ", second.entry(4));
    unload(second);
    say("still there: ", third.entry(5));
    unload(third);
    i64 child = syscall6(SYS_clone, 17, 0, 0, 0, 0, 0);
    if (child == 0) {
        say("in a child: ", load(argv[1], 0).entry(6));
        quit(0);
    }
    syscall6(SYS_wait4, child, 0, 0, 0, 0, 0);
    say("in its parent: ", load(argv[1], 0).entry(7));
    return 0;
}
