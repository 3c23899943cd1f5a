// fib(20) by plain recursion: `fib` is entered 21891 times. Prints "fib(20) = 6765".
#include "rt.h"

NOINLINE u64 fib(u64 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    print("fib(20) = ");
    print_number(fib(20));
    print("\n");
    return 0;
}
