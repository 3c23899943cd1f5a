# What a program sees of its system: /proc, the sysroot, its environment, its user.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

large_proc_exe() { g readlink /proc/self/exe | sed "s,$root,,"; g stat -L -c %s /proc/self/exe; g bash -c 'exec /proc/self/exe --version' | sed -n '1s/version [^ ]*/of/p'; }
want_proc_exe() { echo /usr/bin/readlink; stat -L -c %s "$root/usr/bin/stat"; echo "GNU bash, of ($machine-unknown-linux-gnu)"; }
large_proc_names() { g cat /proc/self/comm; g tr '\0' '|' < /dev/null; g cat /proc/self/cmdline | tr '\0' '|' | sed "s,$root,,"; g head -1 /proc/self/status; g bash -c 'cat /proc/$$/comm; tr "\0" "|" < /proc/self/environ | tr "|" "\n" | grep -c ^GREETING=hello$'; }
want_proc_names() { printf 'cat\n%s|/proc/self/cmdline|Name:\thead\nbash\n1\n' /usr/bin/cat; }
large_proc_maps() { g cat /proc/self/maps | sed -n "s,.*$root,,p" | sort -u; g grep -c -E '\[(heap|stack)\]$' /proc/self/maps; g grep -c '^Rss:' /proc/self/smaps | sed 's/^[1-9][0-9]*$/several/'; g grep -c "$feature" /proc/cpuinfo | sed 's/^[1-9][0-9]*$/some/'; }
want_proc_maps() { printf '%s\n' /usr/bin/cat "/usr/lib/$triplet/$loader" "/usr/lib/$triplet/libc.so.6" 2 several some; }
large_auxv() { g_with -E LD_SHOW_AUXV=1 -- true | grep -E 'PAGESZ|PHENT|PLATFORM|SECURE|CLKTCK' | sort; }
large_uname_arch() { g uname -m; g arch; g getconf LONG_BIT; g getconf PAGESIZE; }
large_ps() { g ps -o comm= -p $$; g bash -c 'ps -o comm= -p $$; pgrep -x -P $$ nothing; echo $?'; }
want_ps() { ps -o comm= -p $$; printf 'bash\n1\n'; }
large_free_uptime() { g free | sed -n 1,1p; g uptime -s | wc -l; g w -h -s | wc -l; g lscpu > /dev/null; g vmstat | tail -1 | wc -w; }
large_ids() { g id -u; g id -G | wc -w; g whoami; g groups | wc -l; g logname 2>&1 | wc -l; g tty; g hostname | wc -l; }
large_ldd() { g_with -E LD_TRACE_LOADED_OBJECTS=1 -- bash | sed 's/ (0x.*//; s/.*=> //' | sed "s,$root,,"; }
want_ldd() { printf '/lib/%s\n' "$triplet/libtinfo.so.6" "$triplet/libc.so.6"; printf '\t/lib/%s\n' "$loader"; }
large_library_path() { mkdir libs && cp "$root/usr/lib/$triplet/libtinfo.so.6" libs; g_with -E LD_LIBRARY_PATH="$PWD/libs" -- bash -c 'grep -o "libs/libtinfo[^ ]*" /proc/$$/maps | sort -u; echo $LD_LIBRARY_PATH | sed s,.*/,,; sh -c "echo \${LD_LIBRARY_PATH##*/}"; env -u LD_LIBRARY_PATH sh -c "echo none\$LD_LIBRARY_PATH"'; }
want_library_path() { printf 'libs/libtinfo.so.6.3\nlibs\nlibs\nnone\n' | sed 's/6.3/6/'; }
large_preload() { g_with -E LD_PRELOAD=libfakeroot-sysv.so -E LD_LIBRARY_PATH=/usr/lib/$triplet/libfakeroot -- bash -c 'grep -c libfakeroot-sysv /proc/$$/maps | sed "s/[1-9].*/some/"; exec grep -c libfakeroot-sysv /proc/self/maps' | sed 's/[1-9].*/some/'; }
want_preload() { printf 'some\nsome\n'; }
large_unset_variable() { GREETING=x g_with -U GREETING -E OTHER=1 -- env | sort; }
large_sysroot_paths() {
    g ls -d /usr/lib/$triplet/libc.so.6 /lib/../lib/$loader /usr/bin/../../etc/ld.so.conf.d; g cat /../../usr/share/doc/libc6/../libc6/copyright | head -1
    g test -x /usr/bin/../bin/luajit && echo found; g readlink /lib; g realpath /lib/$loader
}
want_sysroot_paths() {
    printf '%s\n' /usr/lib/$triplet/libc.so.6 /lib/../lib/$loader /usr/bin/../../etc/ld.so.conf.d | LC_ALL=C sort; head -1 "$root/usr/share/doc/libc6/copyright"
    printf '%s\n' found usr/lib "/usr/lib/$triplet/$loader"
}
large_semaphores() { g perl -e 'my $id = semget(0, 3, 0600 | 01000); print defined $id ? "made\n" : "$!\n"; semctl($id, 1, 16, 5); semop($id, pack("sss", 1, -2, 0)); print semctl($id, 1, 12, 0), "\n"; my $all = ""; semctl($id, 0, 13, $all); print join(",", unpack("s*", $all)), "\n"; my $d = ""; semctl($id, 0, 2, $d); print length $d, " ", unpack("x64 Q", $d), "\n"; semctl($id, 0, 0, 0)'; }
large_shared_memory() { g perl -e 'my $id = shmget(0, 8192, 0600 | 01000); shmwrite($id, "hello", 100, 5) or die; if (!fork) { shmwrite($id, "child", 200, 5); exit } wait; my $b; shmread($id, $b, 100, 5); print "$b\n"; shmread($id, $b, 200, 5); print "$b\n"; shmctl($id, 0, 0)'; }
large_message_queues() { g perl -e 'my $id = msgget(0, 0600 | 01000); msgsnd($id, pack("l! a*", 7, "text"), 0) or die "$!"; my $b; msgrcv($id, $b, 100, 7, 0); print join(" ", unpack("l! a*", $b)), "\n"; my $d; msgctl($id, 2, $d); print length $d, "\n"; msgctl($id, 0, 0)'; }
large_ipcs() { g ipcs -l | grep -c max; g lsipc > /dev/null; g ipcmk -S 2 -p 600 | sed 's/[0-9]*$//'; }
large_socat() { (echo request; sleep 0.2) | g socat -t 1 - 'SYSTEM:sed s/request/reply/' ; g socat -u "FILE:$input/tree/a" - ; }
large_socat_unix() { g socat UNIX-LISTEN:./s,fork EXEC:'tr a-z A-Z' & server=$!; for _ in $(seq 100); do [ -S s ] && break; sleep 0.05; done; echo hello | g socat -t 2 - UNIX-CONNECT:./s; kill $server; }
large_setsid_unshare() { g setsid -w sh -c 'echo session'; g setarch -R true; echo $?; g ionice; g chrt -p $$ | sed 's/[0-9]*.s current/x/'; g taskset -p $$ | wc -l; g prlimit --nofile=50 sh -c 'ulimit -n'; g choom -p $$ | wc -l; }
large_script_pty() { g script -q -c 'tty | sed s/[0-9]*$//; stty size; echo done' /dev/null < /dev/null | tr -d '\r'; }
large_getopts_kill() { g kill -l 15; g bash -c 'kill -l | head -2'; g sleep 5 & p=$!; g kill $p; wait $p; echo $?; }
