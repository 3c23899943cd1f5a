#!/bin/bash
# Writes expected/ anew from what qemu makes of the guest programs, and checks the statuses in cases.txt.
# Read the difference before committing it: the sources say what each program must print.
set -euo pipefail
cd "$(dirname "$0")/bin"
command -v qemu-aarch64 > /dev/null || { echo "bless.sh: qemu-aarch64 not found: install Debian's qemu-user" >&2; exit 1; }
failed=0
while read -r name status program; do
    # qemu 7.2 does not walk robust lists: expected/threads-robust is what the manual page says; nor does it know
    # `riscv_hwprobe`: the rest of expected/threads-riscv is what it makes of it; nor vectors in signal frames and `prctl`:
    # expected/vector-linux is what the kernel's sources say.
    case $name in '#'* | '' | threads-robust | threads-riscv | vector-linux) continue ;; esac
    case $program in riscv64/*) qemu="qemu-riscv64 -cpu rv64,v=true,vlen=128" ;; *) qemu=qemu-aarch64 ;; esac
    code=0
    # shellcheck disable=SC2086 # the command's words are separate arguments
    { env -i GREETING=hello $qemu $program > "../expected/$name" 2> /dev/null < /dev/null; } 2> /dev/null || code=$?
    [ $code -le 128 ] || code=SIG$(kill -l $((code - 128)))
    [ "$code" = "$status" ] || { echo "bless.sh: $name ended with $code, cases.txt says $status" >&2; failed=1; }
done < ../cases.txt
exit $failed
