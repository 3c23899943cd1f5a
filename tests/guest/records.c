// Data of many types, which the program prints as it sees them: what a probe says of it must be the same.
//
// Built twice, with debug information: `records` as it is written (-O0), `records-O2` optimised.
#include "rt.h"

enum colour { RED, GREEN, BLUE = 7 };

struct header {
    u32 len;
    u16 kind;
    unsigned flags : 3;
    int level : 5;
};

struct node {
    struct node *next;
    u32 key;
    u8 tag[4];
    enum colour colour;
    i64 balance;
};

struct pair { i64 first, second; };

struct request {
    struct header hdr;
    const char *path;
    struct node *list;
    union { u64 whole; u32 halves[2]; };
    struct pair pairs[2];
};

u32 counter = 40;
struct node nodes[3];
double ratio = 0.25;
static int table[2][3] = { { 1, 2, 3 }, { 4, 5, -6 } };

static void show_signed(const char *name, i64 value) {
    print(name);
    print(value < 0 ? " -" : " ");
    print_number(value < 0 ? -value : value);
    print("\n");
}

// Names that a compiler of C++ or Rust would have given them.
u64 shape_area(u64 width, u64 height) __asm__("_ZN5shape4areaEyy");
NOINLINE u64 shape_area(u64 width, u64 height) { return width * height; }
u64 rust_twice(u64 value) __asm__("_ZN5crate5twice17h0123456789abcdefE");
NOINLINE u64 rust_twice(u64 value) { return 2 * value; }

NOINLINE i64 small(int a, u8 b, i64 *c, struct pair pair, double d) {
    i64 sum = a + b + *c;
    sum += pair.first * pair.second;
    if (d > 1.0) sum++;
    return sum;
}

NOINLINE i64 walk(const struct request *args, u32 wanted) {
    i64 total = 0;
    for (struct node *node = args->list; node; node = node->next) {
        i64 part = node->balance + args->hdr.level;
        if (node->key == wanted) part *= 2;
        show_signed("part", part);
        total += part;
    }
    return total;
}

NOINLINE i64 big(struct request whole, enum colour colour) {
    i64 sum = whole.pairs[1].second + colour;
    counter += 2;
    return sum;
}

int main(int argc, char **argv, char **envp) {
    (void)argv, (void)envp;
    i64 five = 5;
    struct pair pair = { 6, -7 };
    struct request request = { .hdr = { 24, 3, 5, -9 }, .path = "/etc/motd", .list = &nodes[0] };
    for (int i = 0; i < 3; i++) {
        nodes[i].next = i < 2 ? &nodes[i + 1] : 0;
        nodes[i].key = 100 + i;
        nodes[i].tag[i] = 0xa0 + i;
        nodes[i].colour = i == 0 ? RED : i == 1 ? GREEN : BLUE;
        nodes[i].balance = -10 * i;
    }
    request.whole = 0x1234500000000 + argc;
    request.pairs[1].second = -77;
    show_signed("small", small(-3, 200, &five, pair, 1.5));
    show_signed("walk", walk(&request, 101));
    show_signed("big", big(request, BLUE));
    show("counter", counter);
    show("area", shape_area(6, 7));
    show("twice", rust_twice(21));
    show_signed("table", table[1][2] + (i64)(ratio * 8));
    return 0;
}
