# Programs that run several threads: their output does not depend on the schedule.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

large_xz_threads() { g xz -c -T4 -1 --block-size=20000 "$input/data" | tee z | md5sum; g xz -dc -T4 z | cmp - "$input/data" && echo same; }
large_zstd_threads() { g zstd -q -T4 -5 -c "$input/data" | tee z | md5sum; g zstd -q -dc z | cmp - "$input/data" && echo same; }
large_sort_threads() { tr ' ' '\n' < "$input/text" > words; g sort --parallel=4 -S 1M words | md5sum; g sort --parallel=4 -rn words | md5sum; }
slow_python_threads() { py -c 'import threading, queue
q, out = queue.Queue(), []
def work():
    while (n := q.get()) is not None: out.append(n * n)
ts = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in ts]; [q.put(n) for n in list(range(1000)) + [None] * 8]; [t.join() for t in ts]
l, n = threading.Lock(), 0
def add():
    global n
    for _ in range(1000):
        with l: n += 1
ts = [threading.Thread(target=add) for _ in range(4)]; [t.start() for t in ts]; [t.join() for t in ts]
e = threading.Event(); threading.Timer(0.05, e.set).start(); print(sum(out), len(out), n, e.wait(10), threading.active_count())'; }
slow_python_fork_in_thread() { py -c 'import os, threading, subprocess
def child():
    pid = os.fork()
    if pid == 0: os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), subprocess.run(["/bin/true"]).returncode)
t = threading.Thread(target=child); t.start(); t.join()'; }
slow_python_daemon_threads() { py -c 'import threading, time
for _ in range(4): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("over")'; }
slow_python_signal_storm() { py -c 'import os, signal, threading, time, zlib
seen, kept = 0, []
def handler(*_):
    global seen
    seen += 1; kept.append([str(seen + n) for n in range(20)]); del kept[:-50]
signal.signal(signal.SIGALRM, handler); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
def compute():
    parts = [bytes([n % 256]) * (n * 37 % 700) for n in range(1000)]; d = {str(n): parts[n] for n in range(0, 1000, 3)}
    return zlib.crc32(b"".join(d[k] for k in sorted(d)))
want, wrong = compute(), 0
while seen < 300: wrong += compute() != want
r, w = os.pipe()
def feed():
    for n in range(50): time.sleep(0.002); os.write(w, bytes([n]))
    os.close(w)
t = threading.Thread(target=feed); t.start(); got = b""
while piece := os.read(r, 1): got += piece
start = time.monotonic(); time.sleep(0.05); slept = time.monotonic() - start >= 0.05
turns, ready = [], [threading.Semaphore(0), threading.Semaphore(0)]
def player(own):
    for n in range(100): ready[own].acquire(); turns.append(own); ready[1 - own].release()
ts = [threading.Thread(target=player, args=(n,)) for n in (0, 1)]; [u.start() for u in ts]; ready[0].release(); [u.join() for u in ts]
signal.setitimer(signal.ITIMER_REAL, 0); t.join()
print(want, wrong, got == bytes(range(50)), slept, turns == [0, 1] * 100, seen >= 300, len(kept))'; }
# A program of our own, since no packaged one checks its heap: static and with the libraries of the packages.
storm() {
    command -v $triplet-gcc > /dev/null || { echo "$triplet-gcc is missing: .ci/run installs it" >&2; return 1; }
    $triplet-gcc -O2 -pthread "$1" "$programs/storm.c" -o storm && g "$PWD/storm" 4000 200
}
case_signal_storm() { storm -static; }
slow_signal_storm_dynamic() { storm -dynamic; }

# The stressors check what they compute; how much they print depends on the time.
stress() { g stress-ng --verify -t 60 "$@" > report 2>&1; echo "$*: $?"; grep -E 'fail|error' report; }
slow_stress_cpu() { stress --cpu 1 --cpu-method all --cpu-ops 80; }
slow_stress_memory() { stress --vm 1 --vm-bytes 8M --vm-ops 500; stress --mmap 1 --mmap-ops 5 --mmap-bytes 1M; stress --shm-sysv 1 --shm-sysv-ops 2; }
# With few operations the first thread of `mutex` may be done, and raise SIGALRM, before the main thread has counted it as
# created: the stressor then says that it could create none. 20,000 operations outlast the creation many times over.
slow_stress_threads() { stress --pthread 1 --pthread-ops 20; stress --mutex 1 --mutex-ops 20000; stress --atomic 1 --atomic-ops 20; }
slow_stress_waiting() { stress --futex 2 --futex-ops 500; stress --sem-sysv 1 --sem-sysv-ops 500; stress --pipe 1 --pipe-ops 500; }
slow_stress_processes() { stress --fork 1 --fork-ops 10; stress --vfork 1 --vfork-ops 5; }
slow_stress_signals() { stress --sigsegv 1 --sigsegv-ops 100; stress --sigq 1 --sigq-ops 200; stress --timer 1 --timer-ops 200; }
