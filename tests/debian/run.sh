#!/bin/bash
# Runs Debian's programs of another architecture under qemu and under Spile and compares output and status, case by case.
# usage: run.sh [--arch NAME] [--spile COMMAND] [--tier LIST] [--jobs N] [--against COMMAND] [--list] [CASE-GLOB...]
#   --arch NAME         arm64 (the default) or riscv64
#   --spile COMMAND     default target/release/spile
#   --tier LIST         default auto,interp,jit; a case runs in those of the list that it is for
#   --jobs N            how many cases run at a time, default 2
#   --against COMMAND   another emulator in place of Spile
#   --list              the cases and their tiers; nothing is run
#   --fetch             gets the packages into target/debian; nothing is run
# Exit status: 0 all the same, 1 something differs, 2 the comparison could not be made.
# README.md says how to add a case.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/debian arch=arm64
programs=$here/programs # for the cases
spile=target/release/spile tiers=auto,interp,jit against="" jobs=2 list="" only_fetch="" globs=()
limit=120 # seconds for a program

die() { echo "run.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --arch) arch=$2; shift 2 ;;
    --spile) spile=$2; shift 2 ;;
    --tier) tiers=$2; shift 2 ;;
    --jobs) jobs=$2; shift 2 ;;
    --against) against=$2; shift 2 ;;
    --list) list=1; shift ;;
    --fetch) only_fetch=1; shift ;;
    -*) die "unknown option $1" ;;
    *) globs+=("$1"); shift ;;
    esac
done

# What cases need to know of the architecture. `left_out`: cases of programs that it does not have.
left_out=()
case $arch in
arm64)
    suite="" qemu=qemu-aarch64 machine=aarch64 loader=ld-linux-aarch64.so.1 python=python3.11
    feature=asimd float=d # a word of /proc/cpuinfo; what registers of floating-point arguments are called
    ;;
riscv64)
    suite=trixie qemu=qemu-riscv64 machine=riscv64 loader=ld-linux-riscv64-lp64d.so.1 python=python3.13
    feature=rv64imafdc float=fa
    # No packages of them, or not of all that they need.
    left_out=(gforth tcc_object 'stress_*')
    # Looks each path up from `/` on, which is the sysroot's, and does not find the directory that it is in.
    left_out+=(rsync)
    ;;
*) die "no packages for $arch" ;;
esac
triplet=$machine-linux-gnu work=$PWD/target/debian/$arch

for file in "$here"/cases/*.sh; do
    # shellcheck disable=SC1090 # all of them
    . "$file"
done

# The names that the globs want, with the tiers that they are for, one a line.
cases() {
    local kind name glob
    declare -F | awk '{ print $3 }' | while read -r function; do
        kind=${function%%_*} name=${function#*_}
        case $kind in
        case) set -- auto interp jit ;;
        large) set -- auto interp ;;
        slow) set -- auto ;;
        *) continue ;;
        esac
        for glob in "${left_out[@]}"; do
            # shellcheck disable=SC2053 # a glob is meant
            [[ $name != $glob ]] || continue 2
        done
        for glob in "${globs[@]:-*}"; do
            # shellcheck disable=SC2053 # a glob is meant
            [[ $name == $glob ]] && echo "$function $*" && break
        done
    done
}
[ -z "$list" ] || { cases; exit; }

mapfile -t packages < <(sed 's/#.*//; /^ *$/d' "$here/packages/$arch")
"$here/fetch.sh" "$work" "$arch" "$suite" "${packages[@]}" || die "could not get the packages for $arch"
[ -z "$only_fetch" ] || exit 0
qemu=$(command -v "$qemu") || die "qemu not found: install Debian's qemu-user"
root=$work/root
input=$work/input
rm -rf "$input" "$work/out" && mkdir -p "$input" "$work/out" && (cd "$input" && make_input) || die "could not make the input"

if [ -n "$against" ]; then
    tiers=other
else
    [ -x "$spile" ] || die "$spile does not exist: build it with cargo build --release"
    spile=$(realpath "$spile")
fi

# The command that runs a guest program in tier $1, or under qemu.
engine_of() {
    case $1 in
    qemu) echo "$qemu" ;;
    other) echo "$against" ;;
    *) echo "$spile run --tier $1" ;;
    esac
}

# Runs a guest program under the engine in $engine, with the options that follow it up to `--`.
# What Python compiles it keeps outside the root: a directory of the root that changes while a case reads it is another
# input, and cases that run a program twice would see the difference.
# shellcheck disable=SC2086 # engine is a command with arguments
under_engine() {
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    env -i PATH=/usr/bin:/bin HOME=/ LC_ALL=C TZ=UTC GREETING=hello PYTHONPYCACHEPREFIX="$work/pycache" \
        timeout -k 5 $limit $engine "${options[@]}" "$@"
}

# The file of a guest program.
file_of() {
    local directory
    case $1 in /*) echo "$1"; return ;; esac
    for directory in usr/bin bin usr/sbin sbin; do
        [ ! -e "$root/$directory/$1" ] || { echo "$root/$directory/$1"; return; }
    done
    echo "$1 is not in the packages" >&2
    echo /nonexistent
}

# For the cases: a guest program; the same with options of the engine, up to `--`; busybox, without a sysroot.
g() { local program; program=$(file_of "$1"); shift; under_engine -L "$root" -- "$program" "$@"; }
g_with() {
    local options=() program
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    program=$(file_of "$2"); shift 2
    under_engine -L "$root" "${options[@]}" -- "$program" "$@"
}
bb() { under_engine -- "$(file_of busybox)" "$@"; }

# Runs function $1 under engine $2; leaves out, err and status in a directory.
run_case() {
    local directory=$work/out/$1/$2 engine status=0
    engine=$(engine_of "$2")
    mkdir -p "$directory/cwd"
    (cd "$directory/cwd" && set -o pipefail && "$1") > "$directory/out" 2> "$directory/err" < /dev/null || status=$?
    echo $status > "$directory/status"
}

# What a case must give: what `want_NAME` gives, which has no engine, or else what it gives under qemu.
run_reference() {
    local want=want_${1#*_} directory=$work/out/$1/qemu status=0
    if ! declare -F "$want" > /dev/null; then
        run_case "$1" qemu
        return
    fi
    mkdir -p "$directory/cwd"
    (cd "$directory/cwd" && set -o pipefail && LC_ALL=C TZ=UTC "$want") > "$directory/out" 2> "$directory/err" \
        < /dev/null || status=$?
    echo $status > "$directory/status"
}

explain() { # case, tier
    local expected=$work/out/$1/qemu found=$work/out/$1/$2
    echo "FAILED ${1#*_} in tier $2: status $(cat "$found/status"), wanted $(cat "$expected/status")"
    cmp "$expected/out" "$found/out" 2>&1 | sed 's/^/  /'
    diff -a <(head -c 3000 "$expected/out") <(head -c 3000 "$found/out") | head -8 | cut -c 1-160 | sed 's/^/  /'
    tail -n 3 "$found/err" | cut -c 1-200 | sed 's/^/  stderr: /'
}

# Runs a case in its tiers and writes a line for each to its file `result`.
check_case() { # case, tiers
    local name=$1 tier before
    shift
    run_reference "$name"
    for tier in "$@"; do
        before=$EPOCHREALTIME
        run_case "$name" "$tier"
        echo "took $tier $(((${EPOCHREALTIME/./} - ${before/./}) / 1000)) ms" >> "$work/out/$name/result"
        if cmp -s "$work/out/$name"/{qemu,"$tier"}/out && cmp -s "$work/out/$name"/{qemu,"$tier"}/status; then
            echo "passed $tier" >> "$work/out/$name/result"
        else
            echo "failed $tier" >> "$work/out/$name/result"
            explain "$name" "$tier"
        fi
    done
}

# Those of the wanted tiers that a case is for.
wanted_tiers() {
    local tier
    [ "$tiers" != other ] || { echo other; return; }
    for tier in "$@"; do [[ ,$tiers, != *,$tier,* ]] || printf '%s ' "$tier"; done
}

start=$SECONDS running=0
while read -r name for_tiers; do
    # shellcheck disable=SC2046,SC2086 # lists of words
    set -- $(wanted_tiers $for_tiers)
    [ $# -gt 0 ] || continue
    [ "$running" -lt "$jobs" ] || { wait -n; running=$((running - 1)); }
    check_case "$name" "$@" &
    running=$((running + 1))
done < <(cases)
wait
passed=$(cat "$work"/out/*/result 2> /dev/null | grep -c ^passed)
failed=$(cat "$work"/out/*/result 2> /dev/null | grep -c ^failed)
echo "$passed passed, $failed failed after $((SECONDS - start)) s"
[ $((passed + failed)) -gt 0 ] || die "no case has such a name"
[ "$failed" -eq 0 ]
