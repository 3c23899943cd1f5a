// Prints its arguments, its environment, and the auxiliary vector's values that do not vary from run to run.
#include "rt.h"

enum { AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_ENTRY = 9, AT_UID = 11, AT_SECURE = 23, AT_RANDOM = 25,
       AT_EXECFN = 31 };
void _start(void);

static void list(const char *name, char **values) {
    for (u64 i = 0; values[i]; i++) {
        print(name); print("["); print_number(i); print("] "); print(values[i]); print("\n");
    }
}

NOINLINE u64 auxiliary(u64 *vector, u64 kind) {
    for (; vector[0]; vector += 2)
        if (vector[0] == kind) return vector[1];
    return ~0UL;
}

int main(int argc, char **argv, char **envp) {
    show("argc", argc);
    list("argv", argv);
    list("envp", envp);
    char **end = envp;
    while (*end) end++;
    u64 *vector = (u64 *)(end + 1);
    show("AT_PAGESZ", auxiliary(vector, AT_PAGESZ));
    show("AT_PHENT", auxiliary(vector, AT_PHENT));
    show("AT_PHNUM", auxiliary(vector, AT_PHNUM));
    show("AT_SECURE", auxiliary(vector, AT_SECURE));
    show("entry is _start", auxiliary(vector, AT_ENTRY) == (u64)_start);
    u64 random = auxiliary(vector, AT_RANDOM);
    show("random given", random != ~0UL && (*(u64 *)random | *(u64 *)(random + 8)) != 0);
    show("stack aligned", ((u64)(argv - 1) & 15) == 0);
    return 0;
}
