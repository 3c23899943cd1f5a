// A raw image of RV32 for base and entry 0x800: what registers of 32 bits do at their edges, in a loop of 1000, so that
// compiled code does it, too. What is wrong is counted in a7, which is the status: 0. Then a0 is 1002.
#include "raw.h"
    .option norelax
    .globl _start

    // Adds 1 to a7 unless a register has this value.
    .macro expect register, value
    li t6, \value
    beq \register, t6, 77f
    addi a7, a7, 1
77:
    .endm

_start:
    li a0, 0
    addi a0, a0, 1
    addi a0, a0, 1
    li a7, 0
    li s11, 1000
    li t6, 0x8082               // ret
    sh t6, 0x7e0(zero)
    fence.i
again:
    // ---- sums wrap, and what is signed is so
    li s0, -1
    addi s1, s0, 2
    expect s1, 1
    lui s1, 0x80000
    sub s2, zero, s1
    expect s2, 0x80000000
    slt s2, s1, s0
    expect s2, 1
    sltu s2, s0, s1
    expect s2, 0
    srai s2, s1, 31
    expect s2, 0xffffffff
    srli s2, s1, 31
    expect s2, 1
    li s3, 33
    sll s2, s3, s3              // by 1
    expect s2, 66
    bltz s1, 1f
    addi a7, a7, 1
1:  blt s0, zero, 1f
    addi a7, a7, 1
1:  bgeu s0, s1, 1f
    addi a7, a7, 1
1:
    // ---- products and quotients
    mulh s2, s1, s1
    expect s2, 0x40000000
    mulhu s2, s0, s0
    expect s2, 0xfffffffe
    mulhsu s2, s0, s0
    expect s2, 0xffffffff
    mul s2, s0, s1
    expect s2, 0x80000000
    div s2, s1, s0
    expect s2, 0x80000000
    rem s2, s1, s0
    expect s2, 0
    div s2, s1, zero
    expect s2, 0xffffffff
    remu s2, s1, zero
    expect s2, 0x80000000
    // ---- addresses wrap: 0xfffffff0 + 0x7fc is 0x7ec, and where a jump goes 0x7e0, where there is `ret`
    li s5, -16
    li s6, 0x12345678
    sw s6, 0x7fc(s5)
    lw s2, 0x7ec(zero)
    expect s2, 0x12345678
    lhu s2, 0x7fe(s5)
    expect s2, 0x1234
    lb s2, 0x7fc(s5)
    expect s2, 0x78
    jalr 0x7f0(s5)
    auipc s2, 0x80000
    auipc s3, 0
    sub s3, s3, s2
    expect s3, 0x80000004
    // ---- words in memory, and what loads extend
    lla s4, data
    sw s0, 0(s4)
    lw s2, 0(s4)
    expect s2, 0xffffffff
    lb s2, 1(s4)
    expect s2, 0xffffffff
    lhu s2, 2(s4)
    expect s2, 0xffff
    // ---- a reservation, and operations on memory
1:  lr.w s2, (s4)
    addi s2, s2, 3
    sc.w s3, s2, (s4)
    bnez s3, 1b
    lw s2, 0(s4)
    expect s2, 2
    sc.w s3, s2, (s4)           // without a reservation
    expect s3, 1
    amoadd.w s2, s1, (s4)
    expect s2, 2
    amomin.w s2, zero, (s4)     // 0x80000002 is less than 0
    expect s2, 0x80000002
    amomaxu.w s2, s6, (s4)
    expect s2, 0x80000002
    amoswap.w s2, zero, (s4)
    expect s2, 0x80000002
    // ---- numbers
    fcvt.d.w fs0, s0
    fsd fs0, 0(s4)
    lw s2, 4(s4)
    expect s2, 0xbff00000
    flw fs1, 4(s4)
    fmv.x.w s2, fs1
    expect s2, 0xbff00000
    fcvt.d.wu fs0, s1
    fcvt.w.d s2, fs0, rtz
    expect s2, 0x7fffffff
    fcvt.wu.d s2, fs0, rtz
    expect s2, 0x80000000
    // ---- bits
    sh2add s2, s1, s0
    expect s2, 0xffffffff
    clz s2, s6
    expect s2, 3
    ctz s2, zero
    expect s2, 32
    rev8 s2, s6
    expect s2, 0x78563412
    zext.h s2, s6
    expect s2, 0x5678
    sext.b s2, s0
    expect s2, 0xffffffff
    ror s2, s6, s3              // by 1, what the store-conditional has left
    expect s2, 0x091a2b3c
    jal add_one                 // two bytes
    addi s11, s11, -1
    beqz s11, 1f
    j again
1:  lla a1, block
    STORE a7, SIZE(a1)
    li a0, EXIT
    .option norvc
    slli x0, x0, 0x1f
    ebreak
    srai x0, x0, 7
    .option rvc
add_one:
    addi a0, a0, 1
    ret
    .balign 8
block:
    WORD 0x20026                // ADP_Stopped_ApplicationExit
    WORD 0xff
data:
    .word 0, 0
