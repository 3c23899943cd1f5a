#!/bin/bash
# Assembles src/runner.S into src/runner.bin, which is committed. Needs Debian's gcc-aarch64-linux-gnu.
set -euo pipefail
cd "$(dirname "$0")/src"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
aarch64-linux-gnu-gcc -c -o "$work/runner.o" runner.S
aarch64-linux-gnu-ld -Ttext=0x400000 -o "$work/runner.elf" "$work/runner.o"
aarch64-linux-gnu-objcopy -O binary -j .text "$work/runner.elf" runner.bin
