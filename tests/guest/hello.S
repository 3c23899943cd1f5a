// Writes one line and exits 0. Executes exactly 8 instructions.
    .globl _start
    .type _start, %function
_start:
    mov x0, #1                  // 1
    adr x1, message             // 2
    mov x2, #13                 // 3
    mov x8, #64                 // 4 write
    svc #0                      // 5
    mov x0, #0                  // 6
    mov x8, #94                 // 7 exit_group
    svc #0                      // 8
    .size _start, . - _start
message:
    .ascii "Hello, world\n"
