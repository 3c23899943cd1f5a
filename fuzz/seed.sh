#!/bin/bash
# Makes the seed corpora from the repository's own scripts and guest programs: fuzz/corpus/{parse,check,elf}.
set -euo pipefail
cd "$(dirname "$0")"
for target in parse check; do
    mkdir -p corpus/$target
    cp ../examples/*.spile ../tests/lang/ok/*.spile ../tests/lang/err/*.spile corpus/$target/
    # Most golden scripts are lists of one-line probes: alone they are better seeds.
    cat ../tests/lang/ok/*.spile ../tests/lang/err/*.spile | grep '^on ' | sort -u \
        | awk -v folder=corpus/$target '{ file = folder "/line-" NR; print > file; close(file) }'
done
mkdir -p corpus/elf
find ../tests/guest/bin -type f -exec cp {} corpus/elf/ \;
