# Probes in shared libraries. qemu has none, so each case says what is right.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

large_probes_at_the_start() {
    g_with -q -e 'on insn at libc:malloc once print func, module' -e 'on insn at pow once print "{'$float'0} {'$float'1}"' \
        -e 'on insn at libm:"po?" count by func' -- lua5.4 -e 'print(2 ^ 10.5)' 2>&1
}
want_probes_at_the_start() { printf 'func=malloc module=libc.so.6\n2.0 10.5\n1448.15468787\ncount by func:\n  1  pow\n'; }

# The C library chooses these when they are first called.
large_probes_at_indirect_functions() {
    g_with -q -e 'on insn at strlen when str(arg0) == "hello" once print "{func} in {module}"' \
        -e 'on insn at libc:"memcp?" when str(arg1) == "hello" once print "{func}"' -- \
        lua5.4 -e 'print(#os.getenv("GREETING"))' 2>&1
}
want_probes_at_indirect_functions() { printf 'strlen in libc.so.6\nmemcpy\n5\n'; }

slow_probes_in_plugins() {
    g_with -q -e 'on insn at libz:crc32 print "{func} of {arg2} bytes in {module}"' \
        -e 'on insn at BZ2_bzlibVersion count by module' -- $python -S -X utf8 -c '
import ctypes, threading, _ctypes
z = ctypes.CDLL("libz.so.1")
z.crc32.restype = ctypes.c_ulong
print(z.crc32(0, b"abc", 3), flush=True)
def work():
    for i in range(20):
        l = ctypes.CDLL("libbz2.so.1.0")
        l.BZ2_bzlibVersion.restype = ctypes.c_char_p
        assert l.BZ2_bzlibVersion()
        _ctypes.dlclose(l._handle)
t = [threading.Thread(target=work) for _ in range(3)]
[x.start() for x in t]
[x.join() for x in t]' 2>&1 | sed 's/\(libz.so.1\|libbz2.so.1.0\)[.0-9]*/\1/'
}
want_probes_in_plugins() {
    printf 'crc32 of 0x3 bytes in libz.so.1\n891568578\ncount by module:\n  60  libbz2.so.1.0\n'
}

large_probes_in_executed_programs() {
    g_with -q -e 'on insn at luaL_openlibs optional print "{func}"' -- dash -c \
        'lua5.4 -e "print(1)"; busybox echo static; exec lua5.4 -e "print(2)"' 2>&1
}
want_probes_in_executed_programs() { printf 'luaL_openlibs\n1\nstatic\nluaL_openlibs\n2\n'; }
