// Writes lines as programs do: in parts, in vectors, to both streams, and asks a question without ending its line.
#include "rt.h"

enum { SYS_read = 63, SYS_writev = 66 };

typedef struct { const char *base; u64 len; } Part;

static void put(int fd, const char *text) {
    u64 len = 0;
    while (text[len]) len++;
    syscall3(SYS_write, fd, (i64)text, len);
}

int main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    put(1, "one ");
    put(1, "line\nand the next\r\n");
    Part parts[] = {{"a line ", 7}, {"from ", 5}, {"parts\nand ", 10}};
    syscall3(SYS_writev, 2, (i64)parts, 3);
    put(1, "login: ");
    char answer[16];
    i64 got = syscall3(SYS_read, 0, (i64)answer, sizeof answer);
    put(2, "its end\n");
    put(1, got > 0 ? "hello\n" : "nobody there\n");
    put(1, "no end");
    return 0;
}
