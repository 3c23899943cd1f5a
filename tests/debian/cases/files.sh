# Programs that work on files and directories.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

case_ls_long() { cd "$input/tree" && g ls -l -n; }
large_ls_recursive() { cd "$input/tree" && g ls -R -1 -a -i -s --time-style=+%s | sed 's/[0-9]* *[0-9]* //' | sort; }
case_stat_format() { cd "$input/tree" && g stat -c '%n %s %F %a %Y %h %u %g' a link sub; }
large_stat_file_system() { g stat -f -c '%T %s %l' "$input"; g df --output=target "$input" | tail -1; g du -a --apparent-size "$input/tree" | sed "s,$input/,," | sort; }
large_find_kinds() { cd "$input/tree" && g find . -type f -size -2 -newermt 2000-01-01 -printf '%p %s %m %T@\n' | sort; g find . -name '[a-c]' -o -type l | sort; }
large_find_exec() { cd "$input/tree" && g find . -type f -exec wc -l {} + | sort; g find . -type f -exec sh -c 'echo "$1"' sh {} ';' | sort; g find . -type f -print0 | g xargs -0 -n 1 -P 2 cksum | sort; }
large_xargs() { seq 100 | g xargs -n 30 echo; seq 3 | g xargs -I N echo '<N>'; seq 3 | g xargs sh -c 'exit 3'; echo $?; }
large_copy_move_remove() {
    g cp -r -p "$input/tree" here; g mv here/a here/z; g rm here/b; g mkdir -p -m 750 d/e; g ln -s ../z d/e/l
    g find . | sort; g readlink -f d/e/l | sed "s,$PWD,.,"; g rm -r here/sub; g ls here; g rmdir --ignore-fail-on-non-empty d/e; g ls d
}
large_cp_sparse_reflink() { g truncate -s 1M holes && echo end >> holes && g cp --sparse=always --reflink=auto holes copy && cmp holes copy && g stat -c %s copy; g dd if=holes of=part bs=4k count=3 skip=255 status=none && g cksum part; }
large_install() { g install -D -m 640 "$input/text" a/b/c && g stat -c %a a/b/c; g install -d -m 700 x && g stat -c %a x; }
large_chmod_touch() { g touch -d '2020-02-02 02:02:02.123456789' f; g chmod 640 f; g stat -c '%a %y' f; g chmod u+x,o=r f; g stat -c %A f; g touch -r f h; g stat -c %Y h; g touch -h -d @5 l 2>&1; }
large_links() { echo x > f; g ln f h; g stat -c %h f; g link f k; g unlink k; g ln -sf nowhere s; g ls -l s | cut -c 1-10; g test -L s && echo link; g test -e s || echo dangling; g realpath -m s/../x | sed "s,$PWD,.,"; }
large_dd_conversions() { g dd if="$input/data" bs=1000 skip=3 count=7 status=none | od -An -tx1 | md5sum; g dd if="$input/text" conv=ucase,swab bs=100 count=2 status=none; }
large_hashes() { for n in md5 sha1 sha224 sha256 sha384 sha512 b2; do g ${n}sum < "$input/data"; done; g cksum "$input/data" | sed "s,$input/,,"; g sum -s < "$input/data"; sha256sum "$input/text" > s; g sha256sum -c --quiet s && echo good; }
large_base64() { g base64 < "$input/data" | g base64 -d | cmp - "$input/data" && echo same; g basenc --base16 "$input/tree/a"; g base32 "$input/tree/b"; }
large_tee_cat() { g head -n 3 "$input/text" | g tee copy | g wc -l; g cat -A copy; g cat "$input/data" "$input/numbers" | md5sum; }
large_mktemp_flock() { f=$(g mktemp ./XXXXXX) && [ -f "$f" ] && echo made; g flock "$f" echo locked; g flock -n "$f" true && echo free; }
large_rsync() { g rsync -a --delete "$input/tree/" copy/ && diff -r "$input/tree" copy && echo same; }
want_rsync() { echo same; } # it executes itself
large_file_types() { cp "$input/data" d; printf '#!/bin/sh\n' > s; gzip -nc d > z; g file -m "$root/usr/lib/file/magic.mgc" d s z . "$root/usr/bin/true" "$input/tree/link" | sed "s,$root,R,; s,$input,I,; s/BuildID[^,]*,//"; }
large_getopt_misc() { g getopt -o ab: --long long: -- -a -b x --long y z; g uuidgen | wc -c; g id -u; g nproc --all | wc -l; g pathchk -p 'a*b'; g dircolors | wc -l; }
large_timeout() { g timeout 0.2 sleep 10; echo $?; g timeout -s KILL 0.2 sleep 10; echo $?; g timeout 5 sh -c 'exit 3'; echo $?; g sleep 0.01; }
large_nice_nohup() { g nice -n 5 nice; g env -u GREETING printenv GREETING; echo $?; g env -S 'A=1 printenv A'; g nohup echo out 2>&1 | tail -1; g stdbuf -oL echo buffered; }
want_nice_nohup() { printf '5\n1\n1\nout\nbuffered\n'; } # stdbuf preloads a library of its own architecture
