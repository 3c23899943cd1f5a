// How programs without a libc map libraries: as dynamic linkers do it, without linking anything.
#pragma once
#include "rt.h"

enum { SYS_openat = 56, SYS_close = 57, SYS_read = 63, SYS_munmap = 215, SYS_clone = 220, SYS_wait4 = 260,
       PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANONYMOUS = 32 };

typedef struct { u32 type, flags; u64 offset, addr, physical, file_size, size, align; } Header;
typedef struct { u64 base, size; u64 (*entry)(u64); } Library;

static u64 up(u64 n) { return (n + 4095) & ~4095ul; }

static u64 map(u64 addr, u64 size, u64 prot, u64 flags, i64 fd, u64 offset) {
    return syscall6(SYS_mmap, addr, size, prot, flags, fd, offset);
}

// As dynamic linkers do it: all of it at once, then each segment in its place. With `late`, code becomes executable at
// the end.
static NOINLINE Library load(const char *path, int late) {
    static union { char bytes[4096]; u64 words[512]; } file;
    i64 fd = syscall3(SYS_openat, -100, (i64)path, 0);
    if (fd < 0 || syscall3(SYS_read, fd, (i64)&file, sizeof file) < 64) quit(2);
    const Header *headers = (const Header *)(file.bytes + file.words[4]);
    u64 count = *(u16 *)(file.bytes + 56), size = 0;
    for (u64 i = 0; i < count; i++)
        if (headers[i].type == 1) size = up(headers[i].addr + headers[i].size);
    u64 base = map(0, size, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (u64 i = 0; i < count; i++) {
        const Header *h = &headers[i];
        if (h->type != 1) continue;
        u64 skew = h->addr & 4095, start = base + h->addr - skew, code = h->flags & 1 ? PROT_EXEC : 0;
        u64 prot = PROT_READ | (h->flags & 2 ? PROT_WRITE : 0);
        map(start, up(h->file_size + skew), prot | (late ? 0 : code), MAP_PRIVATE | MAP_FIXED, fd, h->offset - skew);
        if (late && code) syscall3(SYS_mprotect, start, up(h->size + skew), prot | code);
    }
    syscall3(SYS_close, fd, 0, 0);
    return (Library){ base, size, (u64 (*)(u64))(base + file.words[3]) };
}
