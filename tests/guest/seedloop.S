// A raw image for base and entry 0x800: the sequence of seed.S in the middle of a loop of 100,000 iterations.
//
//   0x800  movz x19, #0x86a0
//   0x804  movk x19, #1, lsl #16     x19 = 100,000
//   0x808  mov x0, #0                <- loop head
//   0x80c  add x0, x0, #1
//   0x810  add x0, x0, #1
//   0x814  add x0, x0, #1
//   0x818  add x20, x20, x0          x20 sums x0: 300,000 in the end if it starts as 0
//   0x81c  subs x19, x19, #1
//   0x820  b.ne 0x808
//   0x824  the exit: status x0, which is 3
//
// 2 + 100,000 * 7 + 4 = 700,006 instructions are executed.
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
    .balign 8
block:
    .quad 0x20026               // ADP_Stopped_ApplicationExit
    .quad 0xff
