// The guest half of the oracle for RV64 and RV32: for each case it loads every register from a record, runs the case's
// instructions and writes every register to standard output. `image.rs` puts this code, the cases and their instructions
// into an ELF.
//
// Fixed places, the same in image.rs:
//   0x00400000  this code, whose first three words are the entry, `save` and `save_taken`; then the cases' instructions
//   0x5a5a0000  cells: number of cases left, pointer to the next case, whether there is no Linux; the result at +0x100; the
//               cases' records
//   0x20000000  the window of 8 KiB that the instructions load from and store to
//   0x20010000  what the window holds at the start of every case
//   0x20020000  the stack of signal handlers, 64 KiB
//
// A case's record: x1-x31, of which x31 is the address of its instructions, fcsr, f0-f31, v0-v31, vtype, the vl that is
// asked for, vstart, vcsr.
// A result: x1-x31, fcsr, taken, 0, f0-f31, then signal, pc and address of a fault, hash of the changed 16-byte pieces of
// the window, 1 + the index of the first changed piece, its value, then v0-v31, vtype, vl, vstart, vcsr.
//
// RV32 has no vectors. Everything is in one piece, from the window on: code at 0x20040000, cells at 0x20080000. It is run
// as a program of Linux, or as a raw image whose stack is behind it: then the results are written by semihosting, and a case
// that traps is the end. Registers of 32 bits stand in the lower halves of their fields.
//
// No register is free when a case ends, so cases do without tp, and the result has 0 for it.
    .option norvc
    .option norelax
#if __riscv_xlen == 64
    .option arch, +v
    .equ RECORD, 1056
    .equ RESULT, 1128
    .equ CELLS, 0x5a5a0000
    .equ SI_ADDR, 16
    .equ UC_PC, 176
#define LOAD ld
#define STORE sd
#else
    .equ RECORD, 512
    .equ RESULT, 584
    .equ CELLS, 0x20080000
    .equ SI_ADDR, 12
    .equ UC_PC, 160
    .equ RAW, 16
    .equ BLOCK, 32
#define LOAD lw
#define STORE sw
#endif
    .equ AT, 0x100
    .equ PIECES, 512
    .globl _start
_start:
    j begin
    j save
    j save_taken

    .macro each_integer op, base, offset
    .irp n, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    \op x\n, (8 * (\n - 1) + \offset)(\base)
    .endr
    .endm
    .macro each_float op, base, offset
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    \op f\n, (8 * \n + \offset)(\base)
    .endr
    .endm

begin:
#if __riscv_xlen == 32
    lui tp, CELLS >> 12
    srli a0, sp, 28             // the stack of a raw image is behind it
    addi a0, a0, -2
    seqz a0, a0
    sw a0, RAW(tp)
    bnez a0, next
#endif
    lla a0, signal_stack
    li a1, 0
    li a7, 132                  // sigaltstack
    ecall
    li s0, 4                    // SIGILL
    jal install
    li s0, 5                    // SIGTRAP
    jal install
    li s0, 7                    // SIGBUS
    jal install
    li s0, 8                    // SIGFPE
    jal install
    li s0, 11                   // SIGSEGV
    jal install

next:
    lui tp, CELLS >> 12
    LOAD a0, 0(tp)
    beqz a0, done
    LOAD x31, 8(tp)
    addi a0, a0, -1
    STORE a0, 0(tp)
    addi a1, x31, RECORD
    STORE a1, 8(tp)
    .irp field, 528, 536, 544, 552, 560, 568, 576
    STORE zero, AT + \field(tp) // clear what only a fault or a store fills in
    .endr
#if __riscv_xlen == 64
    addi a0, x31, 512           // the vector registers, eight at a time
    .irp n, 0, 8, 16, 24
    vl8re8.v v\n, (a0)
    addi a0, a0, 128
    .endr
    ld a1, 0(a0)
    ld a2, 8(a0)
    vsetvl a2, a2, a1
    ld a1, 24(a0)
    csrw vcsr, a1
    ld a1, 16(a0)
    csrw vstart, a1
#endif
    LOAD a0, 248(x31)
    fscsr a0
    each_float fld, x31, 256
    LOAD x1, 0(x31)
    each_integer LOAD, x31, 0
    LOAD x31, 240(x31)
    jr x31

save:
    lui tp, CELLS >> 12
    STORE x1, AT(tp)
    li x1, 0
    j save_rest
save_taken:
    lui tp, CELLS >> 12
    STORE x1, AT(tp)
    li x1, 1
save_rest:
    STORE x1, AT + 256(tp)
    each_integer STORE, tp, AT
    STORE zero, AT + 24(tp)
    STORE x31, AT + 240(tp)
    frcsr x1
    STORE x1, AT + 248(tp)
    each_float fsd, tp, (AT + 272)
#if __riscv_xlen == 64
    csrr x1, vtype
    sd x1, AT + 1096(tp)
    csrr x1, vl
    sd x1, AT + 1104(tp)
    csrr x1, vstart
    sd x1, AT + 1112(tp)
    csrr x1, vcsr
    sd x1, AT + 1120(tp)
    csrw vstart, zero
    addi a0, tp, AT + 584
    .irp n, 0, 8, 16, 24
    vs8r.v v\n, (a0)
    addi a0, a0, 128
    .endr
#endif
    addi a0, tp, AT + 264
    sc.w zero, zero, (a0)       // ends a reservation

    // Compare the window with its copy, and restore it.
    lui t0, 0x20000
    lui t1, 0x20010
    li t2, PIECES
    li t3, 0                    // hash
#if __riscv_xlen == 64
    li t4, 0x100000001b3
#else
    li t4, 0x01000193
#endif
piece:
    LOAD a0, 0(t0)
    LOAD a1, 8(t0)
    LOAD a2, 0(t1)
    LOAD a3, 8(t1)
#if __riscv_xlen == 32
    lw a4, 4(t0)
    lw a5, 12(t0)
    lw a6, 4(t1)
    lw a7, 12(t1)
#endif
    addi t1, t1, 16
    bne a0, a2, changed
    bne a1, a3, changed
#if __riscv_xlen == 32
    bne a4, a6, changed
    bne a5, a7, changed
#endif
unchanged:
    addi t0, t0, 16
    addi t2, t2, -1
    bnez t2, piece
    STORE t3, AT + 552(tp)

#if __riscv_xlen == 32
    lw a0, RAW(tp)
    bnez a0, write_raw
#endif
    li a0, 1
    addi a1, tp, AT
    li a2, RESULT
    li a7, 64                   // write
    ecall
    li a1, RESULT
    beq a0, a1, next
    li a0, 3                    // a short write: the reader is gone
    j leave

changed:
    bnez t3, 1f
    li t5, PIECES + 1
    sub t5, t5, t2
    STORE t5, AT + 560(tp)
    STORE a0, AT + 568(tp)
    STORE a1, AT + 576(tp)
#if __riscv_xlen == 32
    sw a4, AT + 572(tp)
    sw a5, AT + 580(tp)
#endif
1:  xor t3, t3, t2
    mul t3, t3, t4
    xor t3, t3, a0
    mul t3, t3, t4
    xor t3, t3, a1
    mul t3, t3, t4
    STORE a2, 0(t0)
    STORE a3, 8(t0)
#if __riscv_xlen == 32
    xor t3, t3, a4
    mul t3, t3, t4
    xor t3, t3, a5
    mul t3, t3, t4
    sw a6, 4(t0)
    sw a7, 12(t0)
#endif
    j unchanged

done:
    li a0, 0
leave:
#if __riscv_xlen == 32
    lui tp, CELLS >> 12
    lw a1, RAW(tp)
    bnez a1, leave_raw
#endif
    li a7, 94                   // exit_group
    ecall

#if __riscv_xlen == 32
    .macro semihosting
    slli x0, x0, 0x1f
    ebreak
    srai x0, x0, 7
    .endm

write_raw:
    li a0, 1
    sw a0, BLOCK(tp)
    addi a0, tp, AT
    sw a0, BLOCK + 4(tp)
    li a0, RESULT
    sw a0, BLOCK + 8(tp)
    li a0, 5                    // SYS_WRITE
    addi a1, tp, BLOCK
    semihosting
    beqz a0, next
    li a0, 3
leave_raw:
    sw a0, BLOCK + 4(tp)
    li a0, 0x20026              // ADP_Stopped_ApplicationExit
    sw a0, BLOCK(tp)
    li a0, 0x20                 // SYS_EXIT_EXTENDED
    addi a1, tp, BLOCK
    semihosting
#endif

install:
    mv a0, s0
    lla a1, action
    li a2, 0
    li a3, 8
    li a7, 134                  // rt_sigaction
    ecall
    beqz a0, 1f
    li a0, 4
    j leave
1:  ret

// Handler: a0 signal, a1 siginfo, a2 ucontext. Notes what happened and lets the program go on at `save`.
on_signal:
    lui a3, CELLS >> 12
    STORE a0, AT + 528(a3)
    LOAD a4, UC_PC(a2)
    STORE a4, AT + 536(a3)
    LOAD a4, SI_ADDR(a1)
    STORE a4, AT + 544(a3)
    lla a4, save
    STORE a4, UC_PC(a2)
    ret

    .balign 8
#if __riscv_xlen == 64
signal_stack:
    .quad 0x20020000, 0, 0x10000
action:
    .quad 0x400000 + (on_signal - _start)
    .quad 0x08000004            // SA_ONSTACK | SA_SIGINFO
    .quad 0
#else
signal_stack:
    .word 0x20020000, 0, 0x10000
action:
    .word 0x20040000 + (on_signal - _start)
    .word 0x08000004            // SA_ONSTACK | SA_SIGINFO
    .quad 0
#endif
