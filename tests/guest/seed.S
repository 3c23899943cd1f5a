// A raw image for base and entry 0x800: the sequence every probe must see exactly.
//
//          AArch64           RISC-V
//   0x800  mov x0, #0        li a0, 0
//   0x804  add x0, x0, #1    addi a0, a0, 1
//   0x808  add x0, x0, #1    addi a0, a0, 1
//   0x80c  add x0, x0, #1    addi a0, a0, 1
//   0x810  the exit: semihosting SYS_EXIT with this status, which is 3
//
// 8 instructions are executed, on RISC-V 10. The image writes its status into itself, so it must be loaded writable.
#if defined(__riscv)
#include "raw.h"
    .option norelax
    .option norvc
    .globl _start
_start:
    li a0, 0
    addi a0, a0, 1
    addi a0, a0, 1
    addi a0, a0, 1
    lla a1, block               // 0x810
    STORE a0, SIZE(a1)                // 0x818
    li a0, EXIT                 // 0x81c
    slli x0, x0, 0x1f           // 0x820
    ebreak                      // 0x824
    srai x0, x0, 7              // 0x828 never reached
#else
    .globl _start
_start:
    mov x0, #0
    add x0, x0, #1
    add x0, x0, #1
    add x0, x0, #1
    adr x1, block               // 0x810
    str x0, [x1, #8]            // 0x814
    mov x0, #0x18               // 0x818 SYS_EXIT
    hlt #0xf000                 // 0x81c
    b .                         // 0x820 never reached
#define WORD .quad
#endif
    .balign 8
block:
    WORD 0x20026                // ADP_Stopped_ApplicationExit
    WORD 0xff
