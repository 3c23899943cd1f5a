// Replaces itself by the program that its first argument names, with the other arguments. Exits with the error number
// if it cannot.
#include "rt.h"

enum { SYS_execve = 221 };

int main(int argc, char **argv, char **envp) {
    return argc < 2 ? 2 : -syscall3(SYS_execve, (i64)argv[1], (i64)(argv + 1), (i64)envp);
}
