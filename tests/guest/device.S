// A raw image for base and entry 0x800: it writes a text to a device that is not there, as a driver would, and counts
// the characters with an atomic addition. Its registers, of four bytes each:
//
//   0x40000000  what it is: 0x11, or the run ends with status 255
//   0x40000004  its state: bit 7 says that it takes a character
//   0x40000008  the character
//
//   0x82c  ldr w0, [x10]             who are you
//   0x844  ldrb w2, [x1], #1         <- for each character
//   0x84c  ldr w3, [x10, #4]         <- until it is ready
//   0x854  str w2, [x10, #8]         send
//   0x858  ldadd w4, w5, [x11]       count, at 0x810
//
// The status of the run is the number of characters that have been sent, 6.
    .arch armv8-a+lse
    .globl _start
_start:
    b start
text:
    .asciz "ready\n"
    .balign 8
sent:
    .quad 0
block:
    .quad 0x20026               // ADP_Stopped_ApplicationExit
status:
    .quad 0xff
start:
    movz x10, #0x4000, lsl #16
    ldr w0, [x10]
    cmp w0, #0x11
    b.ne over
    adr x1, text
    adr x11, sent
    mov w4, #1
next:
    ldrb w2, [x1], #1
    cbz w2, done
wait:
    ldr w3, [x10, #4]
    tbz w3, #7, wait
    str w2, [x10, #8]
    ldadd w4, w5, [x11]
    b next
done:
    ldr x0, [x11]
    adr x12, status
    str x0, [x12]
over:
    adr x1, block
    mov x0, #0x18               // SYS_EXIT
    hlt #0xf000
    b .
