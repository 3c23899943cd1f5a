# Debian's static busybox: no interpreter, no libraries, little start-up, so each case runs in every tier.
# Nothing here executes a program: qemu cannot.
# shellcheck shell=bash

case_true() { bb true; }
case_false() { bb false; }
case_echo() { bb echo 'hello,   world' '*' ''; }
case_echo_escapes() { bb echo -n -e 'a\tb\101\n\c'; }
case_sort_n_20000() { bb sort -n "$input/numbers"; }
case_sort_unique_reverse() { bb sort -r -u "$input/text"; }
case_sort_key() { bb sort -k2,2nr -t ' ' "$input/text"; }
case_awk_sum() { bb awk '{ sum += $1; if ($1 > max) max = $1 } END { print NR, sum, max, sum / NR }' "$input/numbers"; }
case_awk_words() { bb awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) if (n[w] > 100) print n[w], w }' "$input/text" | bb sort; }
case_awk_floats() { bb awk 'BEGIN { for (i = 1; i < 200; i++) printf "%.17g %g %e %d %f\n", i / 7, i * 1e300 * i, 1 / (i * i * i), i * 12345.678, -i % 3.5 }'; }
case_awk_strings() { bb awk '{ gsub(/[aeiou]/, "<&>"); print toupper(substr($0, 5, 30)), length($0), index($0, "word") }' "$input/text"; }
case_sha512sum() { bb sha512sum < "$input/data"; }
case_sha256sum() { bb sha256sum < "$input/data"; }
case_sha1sum() { bb sha1sum < "$input/data"; }
case_md5sum() { bb md5sum < "$input/data"; }
case_crc32() { bb crc32 "$input/data" | bb cut -c 1-8; }
case_gzip() { bb gzip -c < "$input/text" | od -An -tx1 | tail -n +2; }
case_gzip_gunzip() { bb gzip < "$input/text" | bb gunzip | cmp - "$input/text" && echo same; }
case_bzip2_bunzip2() { bb bzip2 < "$input/data" | bb bunzip2 | cmp - "$input/data" && echo same; }
case_sh_loop_exit7() { bb sh -c 'i=0; sum=0; while [ $i -lt 2000 ]; do i=$((i + 1)); sum=$((sum + i * i)); done; echo $sum; exit 7'; }
case_sh_functions() { bb sh -c 'f() { [ $1 -lt 2 ] && { r=$1; return; }; f $(($1 - 1)); local a=$r; r=$((a + $1)); }; f 50; echo $r; case abc in a*) echo ok;; esac'; }
case_sh_substitution() { bb sh -c 'x=/usr/lib/file.tar.gz; echo ${x##*/} ${x%.*} ${#x} ${y:-none} "$(echo in $(echo side))"'; }
case_sh_pipe() { bb sh -c 'for i in 5 3 9 1; do echo $i; done | while read n; do echo "<$n>"; done; echo a | read x; echo $?'; }
case_sh_trap() { bb sh -c 'trap "echo caught" USR1; trap "echo bye" EXIT; kill -USR1 $$; echo after; exit 3'; }
case_sh_background() { bb sh -c '(exit 5) & wait $!; echo $?; (while :; do :; done) & kill -TERM $!; wait $!; echo $?'; }
case_sh_kills_itself() { bb sh -c 'echo before; kill -TERM $$; echo not reached'; }
case_sh_here_document() { bb sh -c 'cat << E
value $((6 * 7))
E'; }
case_sh_redirections() { bb sh -c 'echo out > f; echo more >> f; { echo err >&2; } 2>> f; exec 3< f; read l <&3; echo got $l; cat f'; }
case_ls_l() { cd "$input/tree" && bb ls -l -n; }
case_ls_recursive() { cd "$input/tree" && bb ls -R -1; }
case_find() { cd "$input/tree" && bb find . -type f -size -2 | bb sort; }
case_find_names() { cd "$input/tree" && bb find . -name '[a-c]' -o -type l | bb sort; }
case_stat() { cd "$input/tree" && bb stat -c '%n %s %F %a %Y' a link sub | bb sed 's/ directory / dir /'; }
case_sed() { bb sed -n 's/line \([0-9]*\)5 of/[\1]/p; 100,105p; $=' "$input/text"; }
case_sed_program() { bb sed -e '/END/!d' -e 'y/abc/ABC/' -e 's/\(.*\) \(.*\)/\2 \1/' "$input/text"; }
case_grep() { bb grep -n -i 'word1[0-9] and end' "$input/text"; }
case_grep_count() { bb grep -c -v -E '(some|9[0-9]) ?' "$input/text"; }
case_grep_none() { bb grep -q 'not there' "$input/text"; }
case_tr() { bb tr 'a-z' 'A-Z' < "$input/text" | bb tr -d '0-9' | bb tr -s 'AEIOU '; }
case_wc() { bb wc "$input/text" | bb sed "s|$input||"; }
case_cut() { bb cut -d ' ' -f 2,5-6 "$input/text"; bb cut -c 3-9 "$input/text"; }
case_dd() { bb dd if="$input/data" bs=1000 skip=3 count=7 2> /dev/null | bb od -An -tx1; }
case_expr() { bb expr 17 '*' '(' 5 + 3 ')' % 7; bb expr abcdef : 'ab\(.*\)f'; bb expr 1 = 2; }
case_date() { bb date -u -d @1000000000; bb date -u -d '2026-11-22 10:00:00' '+%A %j %s %U'; }
case_printf() { bb printf '%5d|%-8s|%x|%o|%e|%c\n' 42 abc 255 8 3.25 xyz 7 d 16 9 1e100 q; }
case_seq() { bb seq 1 3 1000; bb seq -w 8 11; bb seq 0.5 0.25 3; }
case_od() { bb head -c 500 "$input/data" | bb od -c; bb head -c 64 "$input/data" | bb od -t x4; }
case_hexdump() { bb head -c 300 "$input/data" | bb hexdump -C; }
case_diff() { bb sed '7d; 20s/line/LINE/; 2999a\new' "$input/text" > changed; bb diff "$input/text" changed | bb grep -v '^---\|^+++'; }
case_cmp() { bb cmp "$input/text" "$input/data" | bb sed "s|$input/||g"; }
case_tar() { bb tar -c -C "$input" tree > t.tar; bb tar -t -v -f t.tar | bb awk '{ print $1, $3, $6 }' | bb sort; mkdir x; bb tar -x -C x -f t.tar; cmp x/tree/sub/c "$input/text" && echo same; }
case_cpio() { cd "$input" && bb find tree -type f | bb sort | bb cpio -o -H newc 2> /dev/null | bb cpio -t 2> /dev/null; }
case_cp_mv_rm() { bb cp -r "$input/tree" here; bb mv here/a here/z; bb rm here/b; bb mkdir -p d/e; bb ln -s ../z d/e/l; bb find . | bb sort; bb rm -r here/sub; bb ls here; bb readlink d/e/l; }
case_touch_chmod() { bb touch -d '2020-02-02 02:02:02' f; bb chmod 640 f; bb stat -c '%a %Y' f; bb chmod u+x,o=r f; bb ls -l -n f | bb cut -c 1-10; }
case_env() { bb env | sort; } # qemu turns the order round
case_xargs() { bb seq 100 | bb xargs echo; }
case_head_tail() { bb head -n 7 "$input/text"; bb tail -n 5 "$input/text"; bb tail -c 100 "$input/text"; bb head -c 99 "$input/text"; }
case_uniq() { bb sort -n "$input/numbers" | bb uniq -c | bb sort -rn | bb awk 'NR <= 5 { print $1 }'; }
case_rev_tac_nl() { bb head -n 20 "$input/text" | bb rev | bb tac | bb nl; }
case_paste_fold() { bb head -n 30 "$input/numbers" | bb paste - - -; bb fold -w 33 "$input/text"; }
case_base64() { bb base64 < "$input/data" | bb base64 -d | cmp - "$input/data" && echo same; bb head -c 100 "$input/data" | bb base64; }
case_factor() { bb factor 1234567890123456 1000036000099 97; }
case_bc_dc() { echo '2 100 ^ 7 % p 5 k 22 7 / p' | bb dc; }
case_test() { bb test 5 -gt 3 -a -d "$input/tree" && echo yes; bb test -x "$input/text" || echo no; }
case_basename() { bb basename /a/b/c.txt .txt; bb dirname /a/b/c.txt; bb realpath / ; }
case_sleep() { bb sleep 0.01 && echo slept; }
case_tee() { bb head -n 3 "$input/text" | bb tee copy | bb wc -l; bb cat copy; }
case_unknown_applet() { bb nonsense 2>&1; }
case_missing_file() { bb cat /does/not/exist 2>&1; }
case_cat_binary() { bb cat "$input/data" "$input/numbers"; }
