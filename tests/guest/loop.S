// A counted loop whose instructions are counted by hand. Writes nothing, exits 0.
//
//   _start   3 + 3 exit                              6
//   count    2 + 1000 * 4 + 1                     4003
//   total                                         4009
//
// `add` at `body` runs 1000 times; x0 holds 1000 * 1001 / 2 = 500500 when `count` returns, and the branch at
// `body_branch` is taken 999 times.
    .globl _start, count, body, body_branch
    .type _start, %function
    .type count, %function
_start:
    mov x29, #0                 // 1
    mov x1, #1000               // 2
    bl count                    // 3
    mov x0, #0                  // 4
    mov x8, #94                 // 5 exit_group
    svc #0                      // 6
    .size _start, . - _start

count:
    mov x0, #0                  // 1
    mov x2, x1                  // 2
body:
    add x0, x0, x2              // 4 per iteration
    sub x2, x2, #1
    cmp x2, #0
body_branch:
    b.ne body
    ret                         // 1
    .size count, . - count
