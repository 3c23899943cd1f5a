# One schedule: two runs print the same, in programs that show times, process ids and random numbers.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

# Runs a program twice, from the same directory, and says whether the two were one.
twice() {
    mkdir -p work
    (cd work && g_with --deterministic -- "$@" 2>&1) > ../first
    (cd work && g_with --deterministic -- "$@" 2>&1) > ../second
    cmp ../first ../second && echo "the same, $(wc -l < ../first) lines"
}

slow_one_schedule_shell() { twice bash -c 'echo $$ $RANDOM $SECONDS; for i in 1 2 3; do (sleep 0.$i; echo $i $BASHPID) & done; wait
    date +%s.%N; echo a | tee /dev/null | cat; head -c 8 /dev/urandom | od -An -tx1; seq 100000 | tail -n 1; kill $$'; }
want_one_schedule_shell() { echo "the same, 9 lines"; }
# No cache of compiled modules: another case may add to it between the two runs, and less would be left to do.
slow_one_schedule_python() { twice $python -X pycache_prefix=none -B -S -c 'import os, random, signal, threading, time
print(time.time(), os.getpid(), random.random(), os.urandom(4).hex())
def work(n):
    for i in range(20):
        print(n, i, end=" ")
        if i % 5 == 0: time.sleep(random.random() / 100)
threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
[t.start() for t in threads]; [t.join() for t in threads]
seen = []
signal.signal(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
total = sum(i * i for i in range(30000))
signal.setitimer(signal.ITIMER_REAL, 0)
print(total, seen, len(seen) > 5)
r, w = os.pipe()
children = []
for k in range(4):
    if not (pid := os.fork()):
        for _ in range(5): os.write(w, b"%d" % k); time.sleep(0.001 * (k + 1))
        os._exit(k)
    children.append(pid)
os.close(w)
print(children, [os.waitpid(pid, 0) for pid in children], os.read(r, 100), time.time())'; }
want_one_schedule_python() { echo "the same, 3 lines"; }
slow_one_schedule_perl() { twice perl -e '$| = 1; print "$$ ", time, " ", rand, "\n"; $p = fork; if (!$p) { select undef, undef, undef, 0.25; print "child $$\n"; exit 3 }
    $SIG{ALRM} = sub { print "alarm ", time, "\n" }; alarm 2; print waitpid($p, 0) == $p, " ", $? >> 8, "\n"; sleep 100; print time, "\n"'; }
want_one_schedule_perl() { echo "the same, 5 lines"; }
