#!/bin/bash
# Hammers the engine with threads: each test of tests/guest/threads.c for many rounds, in every tier.
# usage: threads.sh [--spile COMMAND] [--rounds N] [TEST...]
# Exit status: 0 if every run printed what it must, 1 if not.
set -uo pipefail
cd "$(dirname "$0")/.."
spile=target/release/spile rounds=1000000 tests=()
while [ $# -gt 0 ]; do
    case $1 in
    --spile) spile=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    *) tests+=("$1"); shift ;;
    esac
done
[ ${#tests[@]} -gt 0 ] || tests=(stack seqlock sb dmb mp lse code tls spawn signals interrupts)
limit=300 # seconds for a run
passed=0 failed=0
for test in "${tests[@]}"; do
    for tier in auto jit interp; do
        # The interpreter is slower, and the signals are sent one after the other.
        count=$rounds
        [ $tier != interp ] || count=$((rounds / 10))
        [ "$test" != signals ] || count=$((rounds / 5))
        start=$SECONDS
        if found=$(timeout -k 5 $limit "$spile" run --tier $tier tests/guest/bin/threads "$test" "$count" 2>&1) &&
            [ "$found" = "$(cat "tests/guest/expected/threads-$test")" ]; then
            passed=$((passed + 1))
            echo "$test, $tier, $count rounds: $((SECONDS - start)) s"
        else
            failed=$((failed + 1))
            echo "FAILED $test in tier $tier: $found"
        fi
    done
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
