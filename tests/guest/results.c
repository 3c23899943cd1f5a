// Functions with results of many types, which the program prints as it gets them: what a probe says of them must be the
// same. With debug information.
#include "rt.h"

enum colour { RED, GREEN, BLUE = 7 };
struct pair { i64 first, second; };
struct point { double x, y; };
struct many { u64 values[5]; };
struct node { struct node *next; u32 key; };

static void show_signed(const char *name, i64 value) {
    print(name);
    print(value < 0 ? " -" : " ");
    print_number(value < 0 ? -value : value);
    print("\n");
}

static struct node last = { 0, 20 }, first = { &last, 10 };
static char greeting[] = "good day";

NOINLINE int negative(int n) { return -n; }
NOINLINE signed char narrow(int n) { return n; }
NOINLINE _Bool truth(int n) { return n > 3; }
NOINLINE enum colour colour(int n) { return n ? BLUE : GREEN; }
NOINLINE const char *text(int n) { return greeting + n; }
NOINLINE struct node *list(int n) { return n ? &first : 0; }
NOINLINE double half(int n) { return n / 2.0; }
NOINLINE float third(int n) { return n * 0.25f; }
NOINLINE struct pair two(int n) { return (struct pair){ n, -n }; }
NOINLINE struct point place(int n) { return (struct point){ n + 0.5, n - 0.5 }; }
NOINLINE struct many memory(int n) { return (struct many){ { n, n + 1, n + 2, n + 3, n + 4 } }; }
NOINLINE void nothing(int n) { __asm__ volatile("" : : "r"(n)); }

int main(int argc, char **argv, char **envp) {
    (void)argv, (void)envp;
    int n = argc + 4;
    show_signed("negative", negative(n));
    show_signed("narrow", narrow(n + 195));
    show("truth", truth(n));
    show("colour", colour(n));
    print(text(n));
    print("\n");
    show("list", list(n)->next->key);
    show_signed("half", half(n) * 8);
    show_signed("third", third(n) * 8);
    show_signed("two", two(n).second);
    show_signed("place", place(n).y * 8);
    show("memory", memory(n).values[4]);
    nothing(n);
    return 0;
}
