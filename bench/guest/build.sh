#!/bin/bash
# Rebuilds the benchmark's guest programs with Debian's cross compilers; the results are committed.
# The flags are those that spile-bench gives the host's compiler, and the target's.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0
build() { # ARCHITECTURE OUTPUT
    "$1-linux-gnu-gcc" -std=gnu11 -Wall -Wextra -Werror -O2 -ffreestanding -nostdlib -static -fno-stack-protector \
        -fno-asynchronous-unwind-tables -fno-ident -fno-builtin -fno-math-errno -ffp-contract=off -fno-pie -ffile-prefix-map="$PWD"=. \
        -fno-tree-loop-distribute-patterns -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code -o "$2" kernels.c
    "$1-linux-gnu-strip" -g "$2"
    [ "$(stat -c %s "$2")" -lt 20480 ] || { echo "build.sh: $2 is 20 KiB or more" >&2; exit 1; }
}
build aarch64 kernels
build riscv64 kernels-riscv64
