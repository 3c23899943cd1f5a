// The sieve of Eratosthenes below 20000. Prints "primes 2262" and "last 19997".
#include "rt.h"

enum { LIMIT = 20000 };
u8 composite[LIMIT];

NOINLINE void cross_out(u64 prime) {
    for (u64 multiple = prime * prime; multiple < LIMIT; multiple += prime) composite[multiple] = 1;
}

NOINLINE u64 collect(u64 *last) {
    u64 primes = 0;
    for (u64 n = 2; n < LIMIT; n++) {
        if (composite[n]) continue;
        primes++;
        *last = n;
        cross_out(n);
    }
    return primes;
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    u64 last = 0;
    show("primes", collect(&last));
    show("last", last);
    return 0;
}
