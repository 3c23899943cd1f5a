# Programs that build software: make, git, tcc, binutils.
# What they execute is the guest's, which qemu cannot do: `want_` says what is right.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

large_make() { printf 'all: a b\n\t@cat a b; uname -m\na:\n\techo one > $@\nb: a\n\tsed s/one/two/ < a > $@\nfail:\n\t@exit 3\n' > Makefile; g make; g make; g make -j2 -B a; g make fail 2>&1; }
want_make() { printf 'echo one > a\nsed s/one/two/ < a > b\none\ntwo\n'$machine'\none\ntwo\n'$machine'\necho one > a\nmake: *** [Makefile:8: fail] Error 3\n'; return 2; }
large_make_functions() { printf 'X := $(wildcard *.in)\nY := $(patsubst %%.in,%%.out,$(X))\nall: $(Y); @echo $(sort $(Y)) $(shell echo sub) $(words $(X)) $(foreach v,$(X),[$(v)])\n%%.out: %%.in ; @tr a-z A-Z < $< > $@\n' > Makefile; echo hi > a.in; echo ho > b.in; g make -s; cat a.out b.out; }
want_make_functions() { printf 'a.out b.out sub 2 [a.in] [b.in]\nHI\nHO\n'; }
large_git() {
    export_git=(-E GIT_AUTHOR_DATE='1000000000 +0000' -E GIT_COMMITTER_DATE='1000000000 +0000' -E GIT_CONFIG_NOSYSTEM=1 -E GIT_EXEC_PATH="$root/usr/lib/git-core" -E GIT_TEMPLATE_DIR="$root/usr/share/git-core/templates")
    git_() { g_with "${export_git[@]}" -- git -c user.name=A -c user.email=a@b -c init.defaultBranch=main -c gc.auto=0 -c pack.threads=1 -c maintenance.auto=false "$@"; }
    git_ init -q r && cd r && cp "$input/text" f && git_ add f && git_ commit -q -m one && sed -i 5d f && git_ commit -q -a -m two
    git_ log --format='%H %s' && git_ diff --stat HEAD~ && git_ checkout -q -b side HEAD~ && echo x > g && git_ add g && git_ commit -q -m three
    git_ merge -q -m merged main && git_ log --oneline --graph && git_ fsck 2>&1 | tail -1 && git_ status --short && git_ blame -s -L 4,6 f && git_ gc -q && git_ cat-file --batch-all-objects --batch-check | wc -l
}
want_git() {
    export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000' GIT_CONFIG_NOSYSTEM=1 HOME=/
    git_() { git -c user.name=A -c user.email=a@b -c init.defaultBranch=main -c gc.auto=0 -c pack.threads=1 -c maintenance.auto=false "$@"; }
    git_ init -q r && cd r && cp "$input/text" f && git_ add f && git_ commit -q -m one && sed -i 5d f && git_ commit -q -a -m two
    git_ log --format='%H %s' && git_ diff --stat HEAD~ && git_ checkout -q -b side HEAD~ && echo x > g && git_ add g && git_ commit -q -m three
    git_ merge -q -m merged main && git_ log --oneline --graph && git_ fsck 2>&1 | tail -1 && git_ status --short && git_ blame -s -L 4,6 f && git_ gc -q && git_ cat-file --batch-all-objects --batch-check | wc -l
}
tcc() { g tcc -B"$root/usr/lib/$triplet/tcc" -nostdinc -nostdlib "$@"; }
large_tcc_object() { printf 'int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\nstatic double d[3] = {1.5, 2.5};\ndouble s(void) { return d[0] + d[1]; }\n' > f.c; tcc -c f.c -o f.o && g $triplet-objdump -d -t f.o; }
large_objdump() { g $triplet-objdump -d "$root/usr/bin/true" | tail -n +4 | md5sum; g $triplet-readelf -hlS --dyn-syms "$root/usr/bin/bash" | md5sum; g $triplet-nm -D "$root/usr/bin/sed" | sed -n 1,10p; }
large_as_ld() {
    case $machine in
    aarch64) code='mov x0, #42\n mov x8, #93\n svc #0' ;;
    *) code='li a0, 42\n li a7, 93\n ecall' ;;
    esac
    printf ".globl _start\n_start: $code\n" > s.s && g $triplet-as s.s -o s.o && g $triplet-ld s.o -o s && g $triplet-strip s && g $triplet-size s | tail -1 | cut -f 1-3
    g "$PWD/s"
}
