// The guest half of the oracle: for each case it loads every register from a record, runs the case's instructions and
// writes every register to standard output. `image.rs` puts this code, the cases and their instructions into an ELF.
//
// Fixed places, the same in image.rs:
//   0x00400000  this code, whose first three words are the entry, `save` and `save_taken`; then the cases' instructions
//   0x5a5a0000  cells: number of cases left, pointer to the next case; the result at +0x100; the cases' records
//   0x20000000  the window of 8 KiB that the instructions load from and store to
//   0x20010000  what the window holds at the start of every case
//   0x20020000  the stack of signal handlers, 64 KiB
//
// A case's record: x0-x29, address of its instructions (which is x30 as well), sp, nzcv, fpcr, fpsr, 0, v0-v31.
// A result: x0-x30, sp, nzcv, fpcr, fpsr, taken, v0-v31, then signal, pc and address of a fault, hash of the changed
// 16-byte pieces of the window, 1 + the index of the first changed piece, its value; 864 bytes.
//
// No register is free when a case ends, so tpidr_el0 keeps x0.
    .equ RECORD, 800
    .equ RESULT, 864
    .equ CELLS, 0x5a5a0000
    .equ PIECES, 512
    .globl _start
_start:
    b begin
    b save
    b save_taken

begin:
    adr x0, signal_stack
    mov x1, #0
    mov x8, #132                // sigaltstack
    svc #0
    mov x9, #4                  // SIGILL
    bl install
    mov x9, #5                  // SIGTRAP
    bl install
    mov x9, #7                  // SIGBUS
    bl install
    mov x9, #8                  // SIGFPE
    bl install
    mov x9, #11                 // SIGSEGV
    bl install

next:
    mov x0, #CELLS
    ldp x1, x30, [x0]
    cbz x1, done
    sub x1, x1, #1
    add x2, x30, #RECORD
    stp x1, x2, [x0]
    add x0, x0, #0x100
    add x0, x0, #800            // clear what only a fault or a store fills in
    stp xzr, xzr, [x0]
    stp xzr, xzr, [x0, #16]
    stp xzr, xzr, [x0, #32]
    stp xzr, xzr, [x0, #48]

    ldp q0, q1, [x30, #288]
    ldp q2, q3, [x30, #320]
    ldp q4, q5, [x30, #352]
    ldp q6, q7, [x30, #384]
    ldp q8, q9, [x30, #416]
    ldp q10, q11, [x30, #448]
    ldp q12, q13, [x30, #480]
    ldp q14, q15, [x30, #512]
    ldp q16, q17, [x30, #544]
    ldp q18, q19, [x30, #576]
    ldp q20, q21, [x30, #608]
    ldp q22, q23, [x30, #640]
    ldp q24, q25, [x30, #672]
    ldp q26, q27, [x30, #704]
    ldp q28, q29, [x30, #736]
    ldp q30, q31, [x30, #768]
    ldp x0, x1, [x30, #248]
    mov sp, x0
    msr nzcv, x1
    ldp x0, x1, [x30, #264]
    msr fpcr, x0
    msr fpsr, x1
    ldp x0, x1, [x30]
    ldp x2, x3, [x30, #16]
    ldp x4, x5, [x30, #32]
    ldp x6, x7, [x30, #48]
    ldp x8, x9, [x30, #64]
    ldp x10, x11, [x30, #80]
    ldp x12, x13, [x30, #96]
    ldp x14, x15, [x30, #112]
    ldp x16, x17, [x30, #128]
    ldp x18, x19, [x30, #144]
    ldp x20, x21, [x30, #160]
    ldp x22, x23, [x30, #176]
    ldp x24, x25, [x30, #192]
    ldp x26, x27, [x30, #208]
    ldp x28, x29, [x30, #224]
    ldr x30, [x30, #240]
    br x30

save:
    msr tpidr_el0, x0
    mov x0, #CELLS
    str x1, [x0, #0x108]
    mov x1, #0
    b save_rest
save_taken:
    msr tpidr_el0, x0
    mov x0, #CELLS
    str x1, [x0, #0x108]
    mov x1, #1
save_rest:
    add x0, x0, #0x100
    str x1, [x0, #280]
    stp x2, x3, [x0, #16]
    mrs x2, fpsr
    mrs x3, fpcr
    stp x3, x2, [x0, #264]
    mrs x1, tpidr_el0
    str x1, [x0]
    mov x1, sp
    mrs x2, nzcv
    stp x1, x2, [x0, #248]
    stp x4, x5, [x0, #32]
    stp x6, x7, [x0, #48]
    stp x8, x9, [x0, #64]
    stp x10, x11, [x0, #80]
    stp x12, x13, [x0, #96]
    stp x14, x15, [x0, #112]
    stp x16, x17, [x0, #128]
    stp x18, x19, [x0, #144]
    stp x20, x21, [x0, #160]
    stp x22, x23, [x0, #176]
    stp x24, x25, [x0, #192]
    stp x26, x27, [x0, #208]
    stp x28, x29, [x0, #224]
    str x30, [x0, #240]
    stp q0, q1, [x0, #288]
    stp q2, q3, [x0, #320]
    stp q4, q5, [x0, #352]
    stp q6, q7, [x0, #384]
    stp q8, q9, [x0, #416]
    stp q10, q11, [x0, #448]
    stp q12, q13, [x0, #480]
    stp q14, q15, [x0, #512]
    stp q16, q17, [x0, #544]
    stp q18, q19, [x0, #576]
    stp q20, q21, [x0, #608]
    stp q22, q23, [x0, #640]
    stp q24, q25, [x0, #672]
    stp q26, q27, [x0, #704]
    stp q28, q29, [x0, #736]
    stp q30, q31, [x0, #768]
    clrex

    // Compare the window with its copy, and restore it.
    mov x1, #0x20000000
    add x2, x1, #0x10000
    mov x3, #PIECES
    mov x4, #0                  // hash
    movz x11, #0x01b3
    movk x11, #0x100, lsl #32
piece:
    ldp x7, x8, [x1]
    ldp x9, x10, [x2], #16
    cmp x7, x9
    ccmp x8, x10, #0, eq
    b.ne changed
unchanged:
    add x1, x1, #16
    subs x3, x3, #1
    b.ne piece
    str x4, [x0, #824]

    mov x1, x0
    mov x0, #1
    mov x2, #RESULT
    mov x8, #64                 // write
    svc #0
    cmp x0, #RESULT
    b.eq next
    mov x0, #3                  // a short write: the reader is gone
    b leave

changed:
    cbnz x4, 1f
    mov x5, #PIECES + 1
    sub x5, x5, x3
    str x5, [x0, #832]
    str x7, [x0, #840]
    str x8, [x0, #848]
1:  eor x4, x4, x3
    mul x4, x4, x11
    eor x4, x4, x7
    mul x4, x4, x11
    eor x4, x4, x8
    mul x4, x4, x11
    stp x9, x10, [x1]
    b unchanged

done:
    mov x0, #0
leave:
    mov x8, #94                 // exit_group
    svc #0

install:
    adr x1, action
    mov x0, x9
    mov x2, #0
    mov x3, #8
    mov x8, #134                // rt_sigaction
    svc #0
    cbz x0, 1f
    mov x0, #4
    b leave
1:  ret

// Handler: x0 signal, x1 siginfo, x2 ucontext. Notes what happened and lets the program go on at `save`.
on_signal:
    mov x3, #CELLS
    add x3, x3, #0x100
    str x0, [x3, #800]
    ldr x4, [x2, #440]          // pc
    str x4, [x3, #808]
    ldr x4, [x1, #16]           // si_addr
    str x4, [x3, #816]
    adr x4, save
    str x4, [x2, #440]
    ret

    .balign 8
signal_stack:
    .quad 0x20020000, 0, 0x10000
action:
    .quad 0x400000 + (on_signal - _start)
    .quad 0x08000004            // SA_ONSTACK | SA_SIGINFO
    .quad 0, 0
