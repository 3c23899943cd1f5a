// Named functions that call each other, hot and cold. Prints "result 150015066".
//
//   main -> work     10 times
//   work -> hot    1000 times each     10000 in all
//   hot  -> leaf      1 time each      10000 in all
//   work -> cold      1 time when its number is 7
//   cold -> leaf      3 times              3 in all, so leaf is entered 10003 times
//   main -> by_pointer, through a function pointer, 2 times
#include "rt.h"

NOINLINE u64 leaf(u64 a, u64 b) { __asm__ volatile(""); return a * 3 + b; }
NOINLINE u64 hot(u64 i) { u64 r = leaf(i, 1); __asm__ volatile("" : "+r"(r)); return r + i % 5; }
NOINLINE u64 cold(u64 i) {
    u64 sum = 0;
    for (int k = 0; k < 3; k++) sum += leaf(i, k);
    return sum;
}

NOINLINE u64 work(u64 number) {
    u64 sum = 0;
    for (u64 i = 0; i < 1000; i++) sum += hot(number * 1000 + i);
    if (number == 7) sum += cold(number);
    return sum;
}

NOINLINE u64 by_pointer(u64 a) { return a ^ 1; }
u64 (*volatile pointer)(u64) = by_pointer;

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    u64 sum = 0;
    for (u64 i = 0; i < 10; i++) sum += work(i);
    sum = pointer(pointer(sum));
    show("result", sum);
    return 0;
}
