// A static position-independent program: it applies its own relocations and then reaches text, data and pointers.
#include "rt.h"

typedef struct { u64 offset, info, addend; } Relocation;
typedef struct { u64 tag, value; } Dynamic;
enum { DT_RELA = 7, DT_RELASZ = 8, R_AARCH64_RELATIVE = 1027 };
extern const Dynamic _DYNAMIC[] __attribute__((visibility("hidden")));
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

static const char *const names[] = {"red", "green", "blue"};
u64 initialised = 41;
u64 *pointer = &initialised;

static NOINLINE u64 relocate(void) {
    char *base = (char *)__ehdr_start;
    Relocation *relocation = 0;
    u64 bytes = 0;
    for (const Dynamic *entry = _DYNAMIC; entry->tag; entry++) {
        if (entry->tag == DT_RELA) relocation = (Relocation *)(base + entry->value);
        if (entry->tag == DT_RELASZ) bytes = entry->value;
    }
    u64 count = bytes / sizeof *relocation;
    for (u64 i = 0; i < count; i++) {
        if ((u32)relocation[i].info != R_AARCH64_RELATIVE) quit(2);
        *(u64 *)(base + relocation[i].offset) = (u64)base + relocation[i].addend;
    }
    return count;
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    u64 count = relocate();
    show("relocated", count != 0);
    for (u64 i = 0; i < 3; i++) { print(names[i]); print("\n"); }
    ++*pointer;
    show("pointer", initialised);
    show("loaded above 64 KiB", (u64)__ehdr_start >= 0x10000);
    return 0;
}
