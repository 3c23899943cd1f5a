// A raw image for base and entry 0x800: the sequence of seed.S in the middle of a loop of 100,000 iterations.
//
//          AArch64                  RISC-V
//   0x800  movz x19, #0x86a0        lui s3, 0x18
//   0x804  movk x19, #1, lsl #16    addi s3, s3, 0x6a0    100,000
//   0x808  mov x0, #0               li a0, 0              <- loop head
//   0x80c  add x0, x0, #1           addi a0, a0, 1
//   0x810  add x0, x0, #1           addi a0, a0, 1
//   0x814  add x0, x0, #1           addi a0, a0, 1
//   0x818  add x20, x20, x0         add s4, s4, a0        the sum: 300,000 in the end if it starts as 0
//   0x81c  subs x19, x19, #1        addi s3, s3, -1
//   0x820  b.ne 0x808               bnez s3, 0x808
//   0x824  the exit: this status, which is 3
//
// 2 + 100,000 * 7 + 4 = 700,006 instructions are executed, on RISC-V 700,008.
#if defined(__riscv)
#include "raw.h"
    .option norelax
    .option norvc
    .globl _start
_start:
    lui s3, 0x18
    addi s3, s3, 0x6a0
1:  li a0, 0
    addi a0, a0, 1
    addi a0, a0, 1
    addi a0, a0, 1
    add s4, s4, a0
    addi s3, s3, -1
    bnez s3, 1b
    lla a1, block               // 0x824
    STORE a0, SIZE(a1)
    li a0, EXIT
    slli x0, x0, 0x1f
    ebreak
    srai x0, x0, 7
#else
    .globl _start
_start:
    movz x19, #0x86a0
    movk x19, #1, lsl #16
1:  mov x0, #0
    add x0, x0, #1
    add x0, x0, #1
    add x0, x0, #1
    add x20, x20, x0
    subs x19, x19, #1
    b.ne 1b
    adr x1, block               // 0x824
    str x0, [x1, #8]
    mov x0, #0x18               // SYS_EXIT
    hlt #0xf000
    b .
#define WORD .quad
#endif
    .balign 8
block:
    WORD 0x20026                // ADP_Stopped_ApplicationExit
    WORD 0xff
