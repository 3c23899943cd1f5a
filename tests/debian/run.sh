#!/bin/bash
# Runs Debian's arm64 busybox under qemu-aarch64 and under Spile and compares output and status, case by case.
# usage: run.sh [--spile COMMAND] [--tier LIST] [--against COMMAND] [CASE-GLOB...]
#   --spile COMMAND     default target/release/spile
#   --tier LIST         default auto,interp,jit
#   --against COMMAND   another emulator in place of Spile
# Exit status: 0 all the same, 1 something differs, 2 the comparison could not be made.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/debian work=$PWD/target/debian
spile=target/release/spile tiers=auto,interp,jit against="" globs=()
limit=60 # seconds for a case

die() { echo "run.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --spile) spile=$2; shift 2 ;;
    --tier) tiers=$2; shift 2 ;;
    --against) against=$2; shift 2 ;;
    -*) die "unknown option $1" ;;
    *) globs+=("$1"); shift ;;
    esac
done

qemu=$(command -v qemu-aarch64) || die "qemu-aarch64 not found: install Debian's qemu-user"
"$here/fetch.sh" "$work/busybox" arm64 busybox-static || die "could not get busybox-static for arm64"
busybox=$work/busybox/root/bin/busybox
[ -e "$busybox" ] || busybox=$work/busybox/root/usr/bin/busybox
[ -e "$busybox" ] || die "the package has no busybox"

# shellcheck source=cases.sh
. "$here/cases.sh"
input=$work/input
rm -rf "$input" && mkdir -p "$input" && (cd "$input" && make_input) || die "could not make the input"

declare -A engines
if [ -n "$against" ]; then
    engines[other]=$against
else
    [ -x "$spile" ] || die "$spile does not exist: build it with cargo build --release"
    for tier in ${tiers//,/ }; do engines[$tier]="$(realpath "$spile") run --tier $tier"; done
fi

# Busybox under the engine in $engine.
bb() { env -i PATH=/usr/bin:/bin HOME=/ LC_ALL=C TZ=UTC GREETING=hello timeout -k 5 $limit $engine "$busybox" "$@"; }

# Runs case $1 under the command $2; leaves out, err and status in directory $3.
run_case() {
    local engine=$2 status=0
    rm -rf "$3" && mkdir -p "$3/cwd"
    (cd "$3/cwd" && set -o pipefail && "case_$1") > "$3/out" 2> "$3/err" < /dev/null || status=$?
    echo $status > "$3/status"
}

wanted() {
    [ ${#globs[@]} -gt 0 ] || return 0
    local glob
    for glob in "${globs[@]}"; do
        # shellcheck disable=SC2053 # a glob is meant
        [[ $1 == $glob ]] && return 0
    done
    return 1
}

explain() { # case, tier
    local expected=$work/out/$1/qemu found=$work/out/$1/$2
    echo "FAILED $1 in tier $2: status $(cat "$found/status"), qemu $(cat "$expected/status")"
    cmp "$expected/out" "$found/out" 2>&1 | sed 's/^/  /'
    diff -a <(head -c 3000 "$expected/out") <(head -c 3000 "$found/out") | head -8 | cut -c 1-160 | sed 's/^/  /'
    tail -n 3 "$found/err" | cut -c 1-200 | sed 's/^/  stderr: /'
}

passed=0 failed=0
for name in $(declare -F | awk '{ print $3 }' | sed -n 's/^case_//p'); do
    wanted "$name" || continue
    run_case "$name" "$qemu" "$work/out/$name/qemu"
    for tier in "${!engines[@]}"; do
        run_case "$name" "${engines[$tier]}" "$work/out/$name/$tier"
        if cmp -s "$work/out/$name/qemu/out" "$work/out/$name/$tier/out" &&
            cmp -s "$work/out/$name/qemu/status" "$work/out/$name/$tier/status"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            explain "$name" "$tier"
        fi
    done
done
echo "$passed passed, $failed failed"
[ $((passed + failed)) -gt 0 ] || die "no case has such a name"
[ $failed -eq 0 ]
