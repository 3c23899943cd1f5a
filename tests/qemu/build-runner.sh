#!/bin/bash
# Assembles the runner.S of each architecture into its runner.bin, which is committed. Needs Debian's
# gcc-aarch64-linux-gnu and gcc-riscv64-linux-gnu.
set -euo pipefail
cd "$(dirname "$0")/src"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
assemble() { # DIRECTORY TOOLS
    "$2-gcc" -c -o "$work/runner.o" "$1/runner.S"
    "$2-ld" -Ttext=0x400000 -o "$work/runner.elf" "$work/runner.o"
    "$2-objcopy" -O binary -j .text "$work/runner.elf" "$1/runner.bin"
}
assemble a64 aarch64-linux-gnu
assemble rv64 riscv64-linux-gnu
