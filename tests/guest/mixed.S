// A raw image of RISC-V for base and entry 0x800: instructions of two and of four bytes, of which one crosses a page.
//
//   0x800  c.li a0, 0
//   0x802  addi a0, a0, 1
//   0x806  c.addi a0, 1
//   0x808  c.li s0, 0
//   0x80a  li s1, 1000
//   0x80e  j 0xff8
//   0xff8  c.addi a0, 1             a loop of 1000 iterations over the end of the page
//   0xffa  c.mv a1, a0
//   0xffc  c.nop
//   0xffe  addi s0, s0, 1           in both pages
//   0x1002 bltu s0, s1, 0xff8
//   0x1006 the exit: semihosting with the status a1 mod 256, which is 1002 mod 256 = 234
//
// 6 + 1000 * 5 + 8 = 5014 instructions are executed.
#include "raw.h"
    .option norelax
    .option rvc
    .globl _start
_start:
    c.li a0, 0
    .option norvc
    addi a0, a0, 1
    .option rvc
    c.addi a0, 1
    c.li s0, 0
    .option norvc
    li s1, 1000
    j loop
    .option rvc
    .org 0x7f8
loop:
    c.addi a0, 1
    c.mv a1, a0
    c.nop
    .option norvc
    addi s0, s0, 1              // 0xffe
    bltu s0, s1, loop
    lla a2, block
    STORE a1, SIZE(a2)
    li a0, EXIT
    lla a1, block
    slli x0, x0, 0x1f
    ebreak
    srai x0, x0, 7
    .balign 8
block:
    WORD 0x20026               // ADP_Stopped_ApplicationExit
    WORD 0xff
