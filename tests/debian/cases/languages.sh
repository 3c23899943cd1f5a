# Interpreters and compilers of other languages.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

# Python compiles what it imports at first, and keeps it beside the sources.
py() { g $python -X utf8 "$@"; }

case_lua_hello() { g lua5.4 -e 'for i = 1, 5 do print(i, i / 3, i // 2, string.format("%5.2f %q", i, "a\nb")) end'; }
large_lua_tables() { g lua5.4 -e 'local t = {} for i = 1, 20000 do t[i] = (i * 7919) % 10007 end table.sort(t) print(t[1], t[10000], t[20000], #t) local s = {} for w in ("the quick brown fox"):gmatch("%a+") do s[#s + 1] = w:upper() end print(table.concat(s, "-"))'; }
large_lua_coroutines() { g lua5.4 -e 'local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i * i) end end) end local s = 0 for v in gen(2000) do s = s + v end print(s, pcall(error, {code = 1}), select("#", table.unpack({1, 2, nil, 4}, 1, 4))) print(io.popen("echo piped"):read("a"), os.getenv("GREETING"), os.time({year = 2001, month = 9, day = 9, hour = 1}))' | sed 's/table: 0x[0-9a-f]*/T/'; }
slow_lua_fibonacci() { g lua5.4 -e 'local function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end print(f(24)) local s = 0.0 for i = 1, 300000 do s = s + math.sin(i) * i % 3 end print(s)'; }
slow_luajit() { g luajit -e 'local s = 0 for i = 1, 3e6 do s = s + i % 7 end print(s) local ffi = require "ffi" ffi.cdef "int abs(int);" print(ffi.C.abs(-5), jit.status())'; }
large_luajit_interpreter() { g luajit -joff -e 'local t = {} for i = 1, 1000 do t[#t + 1] = i * i % 97 end print(table.concat(t, ","))'; }
large_perl_hashes() { g perl -e 'my %h; $h{$_ % 7} += $_ for 1 .. 10000; print join(",", map { "$_=$h{$_}" } sort keys %h), "\n"; printf "%s %.15g %s\n", scalar(gmtime(0)), 1 / 3, join "", reverse split //, "abc"'; }
large_perl_regex() { g perl -ne 'while (/(?<w>word(\d+)) and (some|END)/g) { $n{$3} += $2 } END { print "$_ $n{$_}\n" for sort keys %n }' "$input/text"; g perl -pe 's/(\d+)/$1 * 2/ge; last if $. > 5' "$input/text"; }
large_perl_processes() { g perl -e '$| = 1; print `echo hi`; my $p = fork; if (!$p) { exit 3 } waitpid $p, 0; print $? >> 8, "\n"; pipe my $r, my $w; if (!fork) { print $w "from child\n"; exit } close $w; print <$r>; wait; $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 5; open my $f, "|-", "cat" or die; print $f "to cat\n"; close $f; kill USR1 => $$'; }
large_perl_sort_pack() { g perl -e 'my @l = sort { $a <=> $b } map { ($_ * 7919) % 10007 } 1 .. 5000; print "@l[0, 2500, 4999]\n"; print unpack("H*", pack("nNvVd>w", 1, 2, 3, 4, 1.5, 300)), "\n"; print sprintf("%vd", "1.22.333"), " ", crypt("a", "ab") // "", "\n"'; }
slow_perl_sieve() { g perl -e 'my @s; my $n = 0; for my $i (2 .. 30000) { next if $s[$i]; $n++; for (my $j = $i * $i; $j <= 30000; $j += $i) { $s[$j] = 1 } } print "$n\n"'; }
slow_python_hello() { py -S -c 'import sys; print(sys.version_info[:2], sys.platform, sys.byteorder, 2 ** 200, 1 / 3, "ä".encode())'; }
slow_python_json() { py -c 'import json; d = json.loads("{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"\\u00e4\"}}"); print(json.dumps(d, sort_keys=True, indent=1)); print(json.dumps(list(range(50)) + [1e100, float("inf")]))'; }
slow_python_hashlib() { py -c 'import hashlib, zlib, binascii, base64; d = open("'"$input"'/data", "rb").read(); print(*(hashlib.new(n, d).hexdigest() for n in ("md5", "sha1", "sha256", "sha3_256", "blake2b")), sep="\n"); print(zlib.crc32(d), zlib.adler32(d), len(zlib.compress(d, 6)), base64.b85encode(d[:9]))'; }
slow_python_regex() { py -c 'import re; t = open("'"$input"'/text").read(); print(len(re.findall(r"word(\d)\1 ", t)), re.sub(r"(\w+) (\w+)", r"\2 \1", t[:60]), re.split(r"\W+", t[:40]))'; }
slow_python_numbers() { py -c 'import math, random, decimal, fractions, statistics; random.seed(5); print([random.random() for _ in range(3)], random.randint(1, 10**20), math.factorial(50), math.sin(1e10), math.fsum([.1] * 10), decimal.Decimal(1) / 7, fractions.Fraction(3, 9), statistics.stdev([1, 2, 4]))'; }
slow_python_subprocess() { py -c 'import subprocess as s, sys; print(s.run(["/bin/echo", "hi"], capture_output=True, text=True).stdout, s.run(["/bin/sh", "-c", "cat; exit 4"], input=b"x").returncode, flush=True)
p = s.Popen(["/bin/sleep", "9"]); p.terminate(); print(p.wait())
try: s.run(["/does/not/exist"])
except FileNotFoundError as e: print(e)
print(s.check_output("echo a | tr a b", shell=True))'; }
slow_python_signals() { py -c 'import signal, os, time
signal.signal(signal.SIGUSR1, lambda *a: print("usr1", a[0])); os.kill(os.getpid(), signal.SIGUSR1)
signal.signal(signal.SIGALRM, lambda *a: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.3)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2); print(signal.sigpending(), signal.sigwait([signal.SIGUSR2]))
def stop(*a): raise KeyError("from handler")
signal.signal(signal.SIGINT, stop)
try: os.kill(os.getpid(), signal.SIGINT); time.sleep(1)
except KeyError as e: print(e)
os.abort()'; }
slow_python_fork() { py -c 'import os, sys, mmap, select
m = mmap.mmap(-1, 4096); r, w = os.pipe()
if os.fork() == 0: m[:5] = b"hello"; os.write(w, b"done"); os._exit(7)
print(os.read(r, 10), os.waitstatus_to_exitcode(os.wait()[1]), m[:5]); p = select.poll(); p.register(r, select.POLLIN); print(p.poll(10))
print(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], os.environ) > 0, os.waitstatus_to_exitcode(os.wait()[1]))'; }
slow_python_sockets() { py -c 'import socket, select, struct, array, os
a, b = socket.socketpair(); f = os.open("'"$input"'/tree/a", os.O_RDONLY)
socket.send_fds(a, [b"take"], [f]); data, fds, flags, addr = socket.recv_fds(b, 10, 4); print(data, os.read(fds[0], 9), flags)
l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); s, _ = l.accept(); c.sendmsg([b"one", b"two"]); print(s.recv(20), s.getpeername() == c.getsockname())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); u.sendto(b"dgram", u.getsockname()); print(u.recvmsg(9)[0], u.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
e = select.epoll(); e.register(s, select.EPOLLIN); c.send(b"x"); print(e.poll(1)[0][1]); n = socket.socket(socket.AF_UNIX); n.bind("\0spile-" + str(os.getpid())); print(len(n.getsockname()) > 5, socket.inet_ntop(socket.AF_INET6, b"\0" * 15 + b"\1"))'; }
slow_python_files() { py -c 'import os, pathlib, tempfile, shutil, glob, fcntl, stat
d = pathlib.Path("d"); (d / "e").mkdir(parents=True); (d / "f").write_text("x" * 1000); os.symlink("f", d / "l"); print(sorted(p.name for p in d.iterdir()), os.readlink(d / "l"), (d / "l").stat().st_size, stat.filemode(os.lstat(d / "l").st_mode))
shutil.copytree(d, "c", symlinks=True); print(sorted(glob.glob("c/**", recursive=True)), shutil.disk_usage(".").total > 0); shutil.rmtree("c"); os.rename(d / "f", d / "g")
with open(d / "g", "r+b") as f: fcntl.lockf(f, fcntl.LOCK_EX); f.seek(500); f.truncate(); print(os.fstat(f.fileno()).st_size, os.pread(f.fileno(), 3, 10)); os.copy_file_range(f.fileno(), os.open("h", os.O_CREAT | os.O_WRONLY), 100, 0)
print(os.path.getsize("h"), os.listdir("."), os.access("h", os.W_OK), [e.is_dir() for e in os.scandir(d) if e.name == "e"])
fd = os.memfd_create("m"); os.write(fd, b"abc"); print(os.sendfile(1, fd, 0, 3) if False else os.lseek(fd, 0, 1), os.get_terminal_size.__name__, os.getxattr.__name__)'; }
slow_python_classes() { py -c 'import dataclasses, enum, collections, itertools, functools, heapq, bisect
@dataclasses.dataclass(order=True)
class P: x: int; y: float = 2.5
print(sorted([P(2), P(1, 3.0)]), collections.Counter("mississippi").most_common(2), list(itertools.islice(itertools.permutations("abc"), 3)), functools.reduce(lambda a, b: a * b, range(1, 20)), heapq.nsmallest(3, [5, 1, 9, 3]))
def g():
    x = yield 1
    try: yield x
    finally: print("closed")
i = g(); print(next(i), i.send("s")); i.close()
print(sum(i * i for i in range(100000)), {k: v for k, v in zip("ab", (1, 2))}, f"{3.14159:>10.2f}|{255:#x}|{1e20:,}")'; }
slow_python_error() { py -c 'import sys
def f(n): return 1 / n
try: f(0)
except ZeroDivisionError as e: print("caught", e)
sys.exit(f([]))' 2>&1; }
slow_python_recursion() { py -c 'import sys
def f(n): return n if n == 0 else 1 + f(n - 1)
print(f(900))
try: f(10 ** 6)
except RecursionError: print("deep")'; }
slow_python_ctypes_struct() { py -c 'import struct, ctypes; print(struct.pack("<iqd3s", 1, 2, 1.5, b"abc").hex(), struct.calcsize("P"), ctypes.sizeof(ctypes.c_long)); l = ctypes.CDLL(None); l.strlen.restype = ctypes.c_size_t; print(l.strlen(b"hello"), l.abs(-3)); f = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)); a = (ctypes.c_int * 5)(5, 1, 4, 2, 3); l.qsort(a, 5, 4, f(lambda x, y: x[0] - y[0])); print(list(a))'; }
slow_python_asyncio() { py -c 'import asyncio
async def w(n): await asyncio.sleep(n / 100); return n
async def main(): print(await asyncio.gather(*(w(n) for n in (3, 1, 2))))
asyncio.run(main())'; }
large_tcl() { echo 'proc fib n { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }; puts [fib 12]; puts [lsort -integer [list 5 3 9 1]]; puts [exec echo sub]; puts [clock format 0 -gmt 1 -format %F]; puts [regexp -inline {(\w+)@(\w+)} a@b]' > t.tcl; TCL_LIBRARY=$root/usr/share/tcltk/tcl8.6 g_with -E TCL_LIBRARY="$root/usr/share/tcltk/tcl8.6" -- tclsh8.6 t.tcl; }
large_gforth() { g gforth -p "$root/usr/lib/gforth/0.7.3:$root/usr/share/gforth/0.7.3" -i "$root/usr/lib/gforth/0.7.3/gforth.fi" -e ': fib dup 2 < if else dup 1- recurse swap 2 - recurse + then ; 15 fib . 355 113 / . cr bye'; }
