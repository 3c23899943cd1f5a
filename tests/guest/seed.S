// A raw image for base and entry 0x800: the sequence every probe must see exactly.
//
//   0x800  mov x0, #0
//   0x804  add x0, x0, #1
//   0x808  add x0, x0, #1
//   0x80c  add x0, x0, #1
//   0x810  the exit: semihosting SYS_EXIT with status x0, which is 3
//
// 8 instructions are executed. The image writes its status into itself, so it must be loaded writable.
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
    .balign 8
block:
    .quad 0x20026               // ADP_Stopped_ApplicationExit
    .quad 0xff
