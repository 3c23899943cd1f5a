#!/bin/bash
# Assembles the runner.S of each architecture into its runner.bin, which is committed. Needs Debian's
# gcc-aarch64-linux-gnu and gcc-riscv64-linux-gnu.
set -euo pipefail
cd "$(dirname "$0")/src"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
assemble() { # DIRECTORY TOOLS OUTPUT ADDRESS FLAG...
    "$2-gcc" -c "${@:5}" -o "$work/runner.o" "$1/runner.S"
    "$2-gcc" "${@:5}" -nostdlib -static -Wl,--build-id=none -Wl,-Ttext="$4" -o "$work/runner.elf" "$work/runner.o"
    "$2-objcopy" -O binary -j .text "$work/runner.elf" "$1/$3"
}
assemble a64 aarch64-linux-gnu runner.bin 0x400000
assemble riscv riscv64-linux-gnu runner64.bin 0x400000
assemble riscv riscv64-linux-gnu runner32.bin 0x20040000 -march=rv32gc -mabi=ilp32d
