// The libraries of `a.out`, one for each name that it is compiled with. `entry` is what it finds in their headers.
// Nobody relocates them.

typedef unsigned char u8;
typedef unsigned long u64;

#define EXPORT __attribute__((visibility("default"), noinline, noclone))

#if defined(libc)
static u8 heap[2048] __attribute__((aligned(16)));
static u64 used;
EXPORT u64 malloc(u64 n) {
    u64 at = (u64)heap + used;
    used += (n + 15) & ~15ul;
    return at;
}
EXPORT void free(u64 at) { __asm__ volatile("" ::"r"(at)); }
EXPORT u64 entry(u64 what, u64 argument) { return what ? (free(argument), 0) : malloc(argument); }
#elif defined(libssl)
EXPORT u64 SSL_write(u64 n) { __asm__ volatile("" : "+r"(n)); return n; }
EXPORT u64 entry(u64 what, u64 argument) { return what + SSL_write(argument); }
#elif defined(mine)
// Called by way of a procedure linkage table, as a function of another library would be. Its slot, the only one, gets
// what a dynamic linker would put there.
static u64 plus(u64 n) { return n + 1; }
u64 memcpy(u64 n);
extern const u64 _DYNAMIC[] __attribute__((visibility("hidden")));
extern const u8 __ehdr_start[] __attribute__((visibility("hidden")));
enum { DT_JMPREL = 23 };
EXPORT u64 entry(u64 what, u64 argument) {
    const u64 *row = _DYNAMIC;
    while (row[0] != DT_JMPREL) row += 2;
    const u64 *relocation = (const u64 *)(__ehdr_start + row[1]);
    *(u64 *)(__ehdr_start + relocation[0]) = (u64)plus;
    return what + memcpy(argument);
}
#else
EXPORT u64 entry(u64 what, u64 argument) { return what + argument; }
#endif
