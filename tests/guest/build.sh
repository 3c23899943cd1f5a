#!/bin/bash
# Rebuilds the guest programs. Needs Debian's gcc-aarch64-linux-gnu and gcc-riscv64-linux-gnu; the results are committed,
# so nobody else does.
# usage: build.sh [--check | --build-only]
#   --check builds into a temporary directory and compares with what is committed, --build-only does not compare
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0
mode=${1:-replace}
out=bin
[ "$mode" = replace ] || out=$(mktemp -d)
mkdir -p "$out"

cc=aarch64-linux-gnu-gcc
command -v $cc > /dev/null || { echo "build.sh: $cc not found: install Debian's gcc-aarch64-linux-gnu" >&2; exit 1; }
common=(-std=gnu11 -Wall -Wextra -Werror -ffreestanding -nostdlib -fno-stack-protector -fno-asynchronous-unwind-tables
        -fno-ident -fno-builtin -fno-tree-loop-distribute-patterns -ffile-prefix-map="$PWD"=. -mno-outline-atomics
        -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code -Wl,-z,norelro)

for source in hello.S exit7.S loop.S relay.S; do
    $cc "${common[@]}" -static -o "$out/${source%.S}" "$source"
done
for source in fib.c sieve.c calls.c memory.c args.c signals.c selfmod.c crash.c flags.c threads.c faults.c hostile.c kernel.c turns.c \
    exec.c unwind.c prompt.c stuck.c ciphers.c handover.c; do
    # -O1 keeps recursion and calls as they are written, which is what the counts in the sources speak of.
    $cc "${common[@]}" -O1 -fno-pie -static -o "$out/${source%.c}" "$source"
done
$cc "${common[@]}" -O1 -fPIE -static-pie -o "$out/pie" pie.c
$cc "${common[@]}" -O1 -fPIE -pie -Wl,--dynamic-linker=/relay -o "$out/libraries" libraries.c
# Its code is at another address than offset, and its only symbols are those that it exports.
$cc "${common[@]}" -O1 -fPIC -shared -s -Wl,-soname,libplug.so.1 -Wl,--version-script=libplug.map -Wl,-e,plug_entry \
    -Wl,-z,separate-code -Wl,-Ttext=0x9000 -Wl,-Bsymbolic -Wl,--hash-style=gnu -o "$out/libplug.so" libplug.c
for source in seed.S seedloop.S device.S; do
    $cc "${common[@]}" -static -Wl,-Ttext=0x800 -o "$out/${source%.S}.elf" "$source"
    aarch64-linux-gnu-objcopy -O binary -j .text "$out/${source%.S}.elf" "$out/${source%.S}.bin"
    rm "$out/${source%.S}.elf"
done
# With debug information, as it is written and optimised; the third has it in a file of its own, packed.
debug=("${common[@]}" -gdwarf-5 -fno-pie -static -Wl,--build-id=0x5011eb0b)
$cc "${debug[@]}" -O0 -o "$out/records" records.c
$cc "${debug[@]}" -O2 -o "$out/records-O2" records.c
$cc "${debug[@]}" -O1 -o "$out/results" results.c
# For the scripts of the language's design: with debug information, and with code at the addresses that they name.
design=(-O1 -gdwarf-5 -gz=zlib -fno-pie -static)
firmware=(-O1 -fno-pie -static -Wl,-Ttext-segment=0x10000000 -Wl,--section-start=.at_401a30=0x401a30)
$cc "${common[@]}" "${design[@]}" -o "$out/prog" prog.c
$cc "${common[@]}" "${firmware[@]}" -o "$out/firmware" firmware.c
# A program called `a.out` and its libraries: one without debug information at address 0, one with a blank in its name.
$cc "${common[@]}" -O1 -gdwarf-5 -gz=zlib -fPIE -pie -Wl,--dynamic-linker=/relay -Wl,--section-start=.at_1234=0x1234 \
    -Wl,-Ttext=0x1300 -o "$out/a.out" main.c
mkdir -p "$out/lib"
for library in libc.so.6 libssl.so.3 libcrypto.so libstub.so 'my lib.so'; do
    name=${library%%.so*} place=()
    [ "$name" != 'my lib' ] || name=mine
    [ "$name" != libstub ] || place=(-Wl,-Ttext=0 -Wl,-z,separate-code -Wl,-Tdata=0x2000)
    $cc "${common[@]}" -O1 -fPIC -shared -D"$name" -Wl,-Bsymbolic -Wl,-e,entry -Wl,--hash-style=gnu "${place[@]}" \
        -o "$out/lib/$library" library.c
done
kept=$out/debug/usr/lib/debug/.build-id/50
mkdir -p "$kept"
aarch64-linux-gnu-objcopy --only-keep-debug --compress-debug-sections=zlib "$out/records" "$kept/11eb0b.debug"
aarch64-linux-gnu-objcopy --strip-all "$out/records" "$out/records-stripped"

# Those for RISC-V: of the same sources, as far as these have no instructions of one architecture.
rv=$out/riscv64
mkdir -p "$rv"
rvcc=riscv64-linux-gnu-gcc
command -v $rvcc > /dev/null || { echo "build.sh: $rvcc not found: install Debian's gcc-riscv64-linux-gnu" >&2; exit 1; }
rvcommon=()
for flag in "${common[@]}"; do [ "$flag" = -mno-outline-atomics ] || rvcommon+=("$flag"); done
for source in fib.c sieve.c calls.c args.c signals.c crash.c exec.c prompt.c riscv.c ciphers.c vector.c; do
    $rvcc "${rvcommon[@]}" -O1 -fno-pie -static -o "$rv/${source%.c}" "$source"
done
# Compilers use no frame pointer here: stacks are walked by one that is asked for, and by call frame information.
$rvcc "${rvcommon[@]}" -O1 -fno-omit-frame-pointer -fno-pie -static -o "$rv/unwind" unwind.c
$rvcc "${rvcommon[@]}" -O1 -fasynchronous-unwind-tables -fno-pie -static -o "$rv/unwind-tables" unwind.c
$rvcc "${rvcommon[@]}" -gdwarf-5 -O0 -fno-pie -static -o "$rv/records" records.c
$rvcc "${rvcommon[@]}" -gdwarf-5 -O1 -fno-pie -static -o "$rv/results" results.c
raw() { # FOLDER SOURCE FLAG...
    local image=$1/${2%.S}
    $rvcc "${rvcommon[@]}" "${@:3}" -static -Wl,-Ttext=0x800 -o "$image.elf" "$2"
    riscv64-linux-gnu-objcopy -O binary -j .text "$image.elf" "$image.bin"
    rm "$image.elf"
}
mkdir -p "$out/riscv32"
for source in seed.S seedloop.S mixed.S; do
    raw "$rv" "$source"
    raw "$out/riscv32" "$source" -march=rv32gc -mabi=ilp32d
done
raw "$out/riscv32" words.S -march=rv32gc_zba_zbb_zbs -mabi=ilp32d
$rvcc "${rvcommon[@]}" "${design[@]}" -o "$rv/prog" prog.c
$rvcc "${rvcommon[@]}" "${firmware[@]}" -Wl,--section-start=.at_8000040=0x8000040 \
    -Wl,--section-start=.at_80000040=0x80000040 -o "$rv/firmware" firmware.c
for program in "$rv"/*; do
    case $program in *.bin | */records* | */results | */prog) ;; *) riscv64-linux-gnu-strip -g "$program" ;; esac
done
for program in "$out"/*; do
    case $program in *.bin | */records* | */results | */prog | */a.out | */debug | */lib | */riscv64 | */riscv32) ;; *) aarch64-linux-gnu-strip -g "$program" ;; esac
    [ -d "$program" ] || [ "$(stat -c %s "$program")" -lt 20480 ] || { echo "build.sh: $program is 20 KiB or more" >&2; exit 1; }
done
[ "$mode" != --check ] || { diff -r bin "$out" && echo "the committed guests are what this compiler builds"; }
[ "$mode" = replace ] || rm -r "$out"
