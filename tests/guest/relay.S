// A dynamic linker that links nothing: it goes on at the program's entry.
    .globl _start
    .type _start, %function
_start:
    ldr x1, [sp]
    add x0, sp, #16
    add x0, x0, x1, lsl #3 // the environment
1:  ldr x1, [x0], #8
    cbnz x1, 1b
2:  ldp x1, x2, [x0], #16
    cmp x1, #9 // AT_ENTRY
    b.ne 2b
    br x2
    .size _start, . - _start
