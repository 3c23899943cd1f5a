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
// Named as disassemblers name what stands for a function of another library.
EXPORT u64 stands_for_memcpy(u64 n) { return n + 1; }
EXPORT u64 entry(u64 what, u64 argument) { return what + stands_for_memcpy(argument); }
#else
EXPORT u64 entry(u64 what, u64 argument) { return what + argument; }
#endif
