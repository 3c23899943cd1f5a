#!/bin/bash
# Rebuilds the benchmark's guest program with Debian's gcc-aarch64-linux-gnu; the result is committed.
# The flags are those that spile-bench gives the host's compiler, and the target's.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0
aarch64-linux-gnu-gcc -std=gnu11 -Wall -Wextra -Werror -O2 -ffreestanding -nostdlib -static -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fno-ident -fno-builtin -fno-math-errno -ffp-contract=off -fno-pie -ffile-prefix-map="$PWD"=. \
    -fno-tree-loop-distribute-patterns -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code -o kernels kernels.c
aarch64-linux-gnu-strip -g kernels
[ "$(stat -c %s kernels)" -lt 20480 ] || { echo "build.sh: kernels is 20 KiB or more" >&2; exit 1; }
