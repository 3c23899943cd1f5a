# bash and dash: arithmetic, expansion, pipes, jobs, traps, here documents, and other programs that they execute.
# Under qemu the executed programs are the host's, of the same Debian; where that shows, `want_` says what is right.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

case_dash_loop() { g dash -c 'i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; echo $i; exit 7'; }
case_dash_pipeline() { g dash -c 'for i in 5 3 9 1; do echo $i; done | while read n; do echo "<$n>"; done; echo a | read x; echo $?'; }
large_dash_trap() { g dash -c 'trap "echo caught" USR1; trap "echo bye" EXIT; kill -USR1 $$; echo after; exit 3'; }
large_dash_background() { g dash -c '(exit 5) & wait $!; echo $?; (while :; do :; done) & kill -TERM $!; wait $!; echo $?'; }
case_bash_expansion() { g bash -c 'x=/usr/lib/file.tar.gz; echo ${x##*/} ${x%.*} ${#x} ${y:-none} ${x//\//:} ${x^^} {a..e}{1..3} $((16#ff ** 2))'; }
large_bash_arrays() { g bash -c 'declare -A a; for w in one two three two; do ((a[$w]++)); done; for k in one two three; do echo $k ${a[$k]}; done; b=({1..50}); echo ${b[@]:10:5} ${#b[@]}; mapfile -t l < "$1"; echo ${#l[@]} ${l[77]}' bash "$input/text"; }
large_bash_substitution() { g bash -c 'echo "$(echo in $(echo side))" <(:) | sed s,/dev/fd/.*,FD,; read x < <(echo hi); echo $x; cat <<< "three $x"'; }
large_bash_regex() { g bash -c '[[ "key = value" =~ ^([a-z]+)\ *=\ *(.*)$ ]] && echo "${BASH_REMATCH[1]}:${BASH_REMATCH[2]}"; printf "%q %05d %x %s\n" "a b" 42 255 end'; }
large_bash_coproc() { g bash -c 'coproc { while read l; do echo "got $l"; done; }; echo hello >&${COPROC[1]}; read r <&${COPROC[0]}; echo $r'; }
large_bash_job_control() { g bash -c 'set -m; sleep 0.1 & wait; jobs; sleep 9 & kill -STOP %1; sleep 0.1; jobs; kill -CONT %1; kill %1; wait %1; echo $?' 2> /dev/null; }
large_bash_signals() { g bash -c 'trap "echo int" INT; trap "echo chld" CHLD; kill -INT $$; /bin/true; echo end; trap - INT; kill -KILL $$'; }
large_bash_status() { g bash -c 'false | true; echo ${PIPESTATUS[@]}; (exit 300); echo $?; /bin/sh -c "kill -SEGV \$\$"; echo $?; nonsense 2> /dev/null; echo $?; /etc 2> /dev/null; echo $?'; }
large_bash_runs_coreutils() { g bash -c 'sort -n "$1" | uniq | sed -n 1,3p; seq 5 | tac | paste -sd,; basename /a/b.c .c; printf "b\na\n" | sort' bash "$input/numbers"; }
large_bash_script_file() { printf '#!/bin/bash\necho "$0 has $# arguments: $*"; exit 9\n' > script; chmod +x script; g bash -c './script one "two three"; echo $?; ./script'; }
large_script_of_a_script() {
    printf '#!/bin/sh\necho inner "$@"\n' > inner && printf '#!%s/inner from-the-line\n' "$PWD" > outer && chmod +x inner outer
    g bash -c './outer a b' | sed "s,$PWD,.,"
}
large_bash_environment() { g bash -c 'export A=1; B=2 env | sort; env -i C=3 /usr/bin/env; unset GREETING; printenv GREETING; echo $?' | sed '/^_=/d; /^OLDPWD/d; /^PWD/d; /^SHLVL/d'; }
large_bash_ulimit_umask() { g bash -c 'umask 027; : > f; stat -c %a f; ulimit -c 0; ulimit -c; ulimit -n 100; ulimit -n'; }

# What the guest executes is the guest's: these would say x86_64 under qemu.
large_exec_stays_in_the_guest() { g bash -c 'uname -m; sh -c "uname -m"; env uname -m; echo | xargs uname -m; exec uname -m'; }
want_exec_stays_in_the_guest() { printf '%s\n' $machine $machine $machine $machine $machine; }
large_exec_of_a_native_program() { cp /bin/true here; g bash -c './here; echo $?'; }
want_exec_of_a_native_program() { echo 0; }
large_exec_missing() { g bash -c 'exec /does/not/exist' 2>&1 | sed 's/.*exec/exec/'; }
large_exec_argv0() { g bash -c 'exec -a another bash -c '"'"'echo $0; (exec -a third sh -c "echo \$0")'"'"; }
