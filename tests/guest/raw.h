// What raw images for RISC-V have of the width of registers: a word, its size, how it is stored and loaded, and the
// semihosting call that ends with a status. SYS_EXIT takes none where registers have 32 bits.
#if __riscv_xlen == 64
#define WORD .quad
#define SIZE 8
#define STORE sd
#define EXIT 0x18   // SYS_EXIT
#else
#define WORD .word
#define SIZE 4
#define STORE sw
#define EXIT 0x20   // SYS_EXIT_EXTENDED
#endif
