#!/bin/bash
# Compares what probes show with what other tools show of the same programs: system calls with those of qemu's `-strace`,
# call stacks with gdb's. The programs are Debian's arm64 ones (tests/debian/run.sh --fetch gets them) and the guests here,
# those for RISC-V too.
# usage: observed.sh [--spile COMMAND]
# Exit status: 0 all the same, 1 something differs, 2 the comparison could not be made.
set -uo pipefail
cd "$(dirname "$0")/.."
spile=$PWD/target/release/spile
[ "${1:-}" != --spile ] || spile=$(realpath "$2")
root=$PWD/target/debian/arm64/root guests=$PWD/tests/guest/bin
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
for command in qemu-aarch64 qemu-riscv64 gdb-multiarch; do
    command -v $command > /dev/null || { echo "observed.sh: $command not found" >&2; exit 2; }
done
[ -d "$root/usr/bin" ] || { echo "observed.sh: no programs in $root: run tests/debian/run.sh --fetch" >&2; exit 2; }
export LC_ALL=C TZ=UTC
passed=0 failed=0

# Counts a comparison of two files, which must not be empty.
same() { # NAME EXPECTED FOUND
    if [ -s "$2" ] && diff "$2" "$3" > "$work/diff"; then
        passed=$((passed + 1))
        echo "$1: $(wc -l < "$2") lines the same"
    else
        failed=$((failed + 1))
        echo "FAILED $1 (< the other tool, > spile):"
        head -20 "$work/diff"
    fi
}

# Reduces lines of strace to what both tools know alike: names, strings, flags, numbers below 64 Ki, and results.
# Addresses differ between emulators, and with them what is unmapped around a mapping; so do process ids and times.
# QEMU gives no `rseq`, and `set_robust_list` is not its business; it does not show what a call returns in memory.
calls() {
    sed -E 's/^[0-9]+ //' "$1" | awk '
        BEGIN {
            split("2 ENOENT 9 EBADF 10 ECHILD 13 EACCES 17 EEXIST 20 ENOTDIR 22 EINVAL 25 ENOTTY 29 ESPIPE 38 ENOSYS 61 ENODATA", errors, " ")
            for (n = 1; n in errors; n += 2) error[errors[n]] = errors[n + 1]
            # How many arguments are compared: QEMU shows some that are none, or flags as numbers and offsets in hexadecimal.
            limit["faccessat"] = 3; limit["newfstatat"] = 3; limit["mmap"] = 5; limit["statx"] = 2; limit["ioctl"] = 1
            limit["readlinkat"] = 2; limit["unlinkat"] = 2; limit["utimensat"] = 2; limit["clock_gettime"] = 1
            limit["rt_sigaction"] = 0; limit["kill"] = 0; limit["socket"] = 2; limit["connect"] = 1; limit["rt_sigprocmask"] = 1; limit["read"] = 1; limit["write"] = 1; limit["fcntl"] = 2
            limit["openat"] = 2; limit["getdents64"] = 1; limit["futex"] = 0; limit["pselect6"] = 1
        }
        function value(text) {
            if (text == "NULL" || text == "0" || text ~ /^0x/) return "address"
            sub(/^PF_/, "AF_", text)
            return text ~ /^[A-Z]/ ? sorted(text) : text
        }
        # Flags in one order.
        function sorted(text,    words, count, n, m, word) {
            count = split(text, words, "|")
            for (n = 2; n <= count; n++) {
                word = words[n]
                for (m = n - 1; m >= 1 && words[m] > word; m--) words[m + 1] = words[m]
                words[m + 1] = word
            }
            text = words[1]
            for (n = 2; n <= count; n++) text = text "|" words[n]
            return text
        }
        function arguments(name, text,    rest, out, token, n) {
            out = ""
            for (rest = text; rest != "" && !(name in limit && n >= limit[name]); n++) {
                if (match(rest, /^"([^"\\]|\\.)*"(\.\.\.)?/)) token = substr(rest, 1, RLENGTH)
                else if (match(rest, /^[^,]*/)) token = substr(rest, 1, RLENGTH)
                rest = substr(rest, RLENGTH + 1)
                sub(/^, */, "", rest)
                out = out " " value(token)
            }
            return out
        }
        !/^[a-z_0-9]+\(/ { next }
        /^(munmap|brk|rseq|set_robust_list|set_tid_address|exit_group|execve|prlimit64|getrandom|sysinfo|get[a-z]*id)\(/ { next }
        {
            name = $0; sub(/\(.*/, "", name)
            if (!match($0, /\) += /)) next
            text = substr($0, length(name) + 2, RSTART - length(name) - 2)
            result = substr($0, RSTART + RLENGTH)
            sub(/^-1 /, "", result)
            sub(/ .*/, "", result)
            if (sub(/^errno=/, "", result) && result in error) result = error[result]
            if (result ~ /^0x/ || length(result) > 8) result = "address"
            # QEMU leaves out O_LARGEFILE, and has its own lines in what standard error is.
            if (text ~ /F_GETFL/) result = "flags"
            if (name ~ /^(close|lseek)$/ && text ~ /^2(,|$)/) next
            print name ":" arguments(name, text) " = " result
        }'
}

strace() { # NAME PROGRAM ARGUMENTS...
    local name=$1 program=$root$2
    shift 2
    qemu-aarch64 -L "$root" -strace "$program" "$@" < /dev/null 2> "$work/qemu" > /dev/null
    "$spile" run -L "$root" -e 'after syscall *' -o "$work/spile" "$program" "$@" < /dev/null > /dev/null 2>&1
    calls "$work/qemu" > "$work/expected"
    calls "$work/spile" > "$work/found"
    same "system calls of $name" "$work/expected" "$work/found"
}

# Compares the stack at the Nth call of a function, from there to `main`.
stack() { # NAME N FUNCTION PROGRAM ARGUMENTS...
    local name=$1 count=$2 function=$3 program=$4 socket=$work/gdb.socket qemu=qemu-aarch64
    shift 4
    [[ $program != */riscv64/* ]] || qemu=qemu-riscv64
    $qemu -L "$root" -g "$socket" "$program" "$@" < /dev/null > /dev/null 2>&1 &
    qemu=$!
    local libraries=()
    # Functions of libraries are found once these are there.
    [[ $program == "$guests"/* ]] || libraries=(-ex 'break __libc_start_main' -ex continue)
    for _ in {1..100}; do [ -S "$socket" ] && break; sleep 0.1; done
    timeout 100 gdb-multiarch -q -batch -nx -ex 'set pagination off' -ex 'set confirm off' -ex "set sysroot $root" \
        -ex "target remote $socket" -ex 'handle all nostop noprint pass' "${libraries[@]}" \
        -ex "break *$function" -ex "ignore \$bpnum $((count - 1))" -ex continue -ex 'echo @@\n' -ex backtrace -ex kill "$program" > "$work/gdb" 2> /dev/null < /dev/null
    kill $qemu 2> /dev/null
    wait $qemu 2> /dev/null
    rm -f "$socket"
    "$spile" run -L "$root" -e "on call $function hit $count print stack" -o "$work/spile" "$program" "$@" \
        < /dev/null > /dev/null 2>&1
    sed -n '/^@@/,$p' "$work/gdb" | sed -nE 's/^#[0-9]+ +(0x[0-9a-f]+ in )?(<signal|[^ ]+).*/\2/p' > "$work/expected"
    sed -nE 's/^ +//p' "$work/spile" | sed -E 's/\+0x[0-9a-f]+$//; s/^<signal>$/<signal/; s/^0x.*/??/; /^main$/q' > "$work/found"
    same "stack of $name" "$work/expected" "$work/found"
}

strace sed /usr/bin/sed -n 1,3p /etc/passwd
strace ls /bin/ls -l /etc/apt
strace sqlite3 /usr/bin/sqlite3 :memory: 'select 1'
strace find /usr/bin/find /etc -maxdepth 1
strace perl /usr/bin/perl -e 'open F, "</etc/passwd"; seek F, 0, 2; print tell F; rename "/none", "/other"; kill 0, $$'
stack "a call" 1 leaf "$guests/unwind"
stack "recursion" 3 inner "$guests/unwind"
stack "tail calls" 3 odd "$guests/unwind"
stack "fib" 10 fib "$guests/fib"
stack "a call, RISC-V" 1 leaf "$guests/riscv64/unwind-tables"
stack "recursion, RISC-V" 3 inner "$guests/riscv64/unwind-tables"
stack "in a handler, RISC-V" 5 leaf "$guests/riscv64/unwind-tables"
stack "fib, RISC-V" 1 fib "$guests/riscv64/fib"
stack "lua's write" 1 write "$root/usr/bin/lua5.4" -e 'local function f(n) if n > 0 then f(n - 1) else pcall(function() io.write("x"):flush() end) end end f(5)'
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
