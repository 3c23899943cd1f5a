// A shared library without symbol table, as distributions have them: `.dynsym` says what it exports. Its code is at
// another address than file offset. `libraries` maps it by itself and calls what the header names as entry.

typedef unsigned long u64;

#define EXPORT __attribute__((visibility("default"), noinline, noclone))

// Not a constant, so that calls stay calls. Nobody relocates this library, so it is not reached by way of its name.
static volatile u64 state = 7;
__attribute__((visibility("default"))) u64 plug_version = 2;

EXPORT u64 plug_add(u64 a, u64 b) { return a + b + state - state; }
EXPORT u64 plug_twice(u64 a) { return plug_add(a, a); }

// One name, two versions: what is linked today gets the second.
EXPORT u64 value_first(void) { return state - 6; }
EXPORT u64 value_second(void) { return state - 5; }
__asm__(".symver value_first, plug_value@V1\n.symver value_second, plug_value@@V2\n");

EXPORT u64 plug_entry(u64 a) { return plug_twice(a) + value_first() + value_second(); }
