# Programs that read text and write text.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

case_sed_substitute() { g sed -n 's/line \([0-9]*\)5 of/[\1]/p; 100,105p; $=' "$input/text"; }
large_sed_script() { g sed -e '/END/!d' -e 'y/abc/ABC/' -e 's/\(.*\) \(.*\)/\2 \1/' "$input/text"; g sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' "$input/numbers"; }
large_sed_in_place() { cp "$input/text" t; g sed -i.bak '2,$d' t && cat t && cmp t.bak "$input/text"; }
case_grep_numbers() { g grep -n -i 'word1[0-9] and end' "$input/text"; }
large_grep_kinds() { g grep -c -v -E '(some|9[0-9]) ?' "$input/text"; g grep -o -w 'word[0-9]*' "$input/text" | sed -n 1,5p; g grep -F -x -e 'none' "$input/text"; }
large_grep_perl() { g grep -P '(?<=word)(\d)\1(?!\d)' "$input/text"; }
large_grep_recursive() { g grep -r -l -c 'two' "$input/tree" | sed "s,$input/,,"; }
case_mawk() { g mawk '{ n[$1 % 10] += $1 } END { for (i = -9; i < 10; i++) if (i in n) print i, n[i] }' "$input/numbers"; }
large_gawk_floats() { g gawk 'BEGIN { for (i = 1; i < 100; i++) printf "%.17g %g %e %d %f\n", i / 7, i * 1e300 * i, 1 / (i * i * i), i * 12345.678, -i % 3.5; print sin(1), atan2(1, 2), exp(1), log(10), sqrt(2), int(-3.7), 2 ^ 100 }'; }
large_gawk_strings() { g gawk '{ gsub(/[aeiou]/, "<&>"); print toupper(substr($0, 5, 30)), length($0), index($0, "word"); if (match($0, /word([0-9]+)/, m)) s += m[1] } END { print s }' "$input/text"; }
large_gawk_sorted() { g gawk '{ n[$5]++ } END { PROCINFO["sorted_in"] = "@val_num_desc"; for (w in n) print w, n[w] }' "$input/text"; }
large_gawk_command() { g gawk 'BEGIN { "echo from a pipe" | getline x; print x; print "b\na" | "sort"; close("sort"); print system("exit 4"), strftime("%F %T", 1e9, 1) }'; }
large_gawk_bignum() { g gawk -M 'BEGIN { print 2 ^ 200, 7 ^ 77 % 1000007 }'; }
case_sort_numeric() { g sort -n "$input/numbers" | sed -n 1,50p; }
large_sort_key() { g sort --parallel=1 -k2,2nr -t ' ' "$input/text"; g sort -u -r --parallel=1 "$input/text" | tail -3; }
large_uniq_join() { g sort -n --parallel=1 "$input/numbers" > s && g uniq -c s | sed -n 1,20p; seq 1 2 20 > a; seq 0 3 20 > b; g join a b; g comm a b; }
large_cut_paste_tr() { g cut -d ' ' -f 2,5-6 "$input/text" | g tr 'a-z' 'A-Z' | g paste - - - | sed -n 1,20p; g fold -w 33 "$input/text" | tail -3; g fmt -w 60 "$input/text" | sed -n 1,5p; }
large_head_tail_wc() { g head -n 7 "$input/text"; g tail -c 100 "$input/text"; g wc "$input/text" | sed "s,$input/,,"; g tac "$input/text" | sed -n 1,3p; g nl "$input/text" | tail -2; }
large_od() { g head -c 300 "$input/data" | g od -c; g od -t f8 -N 64 "$input/data"; g od -A x -t x1z -N 64 "$input/data"; }
large_diff_patch() {
    sed '7d; 20s/line/LINE/; 2999a\new' "$input/text" > changed
    g diff -u --label a --label b "$input/text" changed > d; cat d; cp "$input/text" t; g patch -s t d && cmp t changed && echo same
    g diff -y -W 60 "$input/tree/a" "$input/tree/b"; g cmp "$input/text" "$input/data" | sed "s,$input/,,g"
}
large_diff3_sdiff() { printf 'a\nb\nc\n' > o; printf 'a\nB\nc\n' > x; printf 'a\nb\nc\nd\n' > y; g diff3 -m x o y; g diff3 x o y; }
want_diff3_sdiff() { printf 'a\nb\nc\n' > o; printf 'a\nB\nc\n' > x; printf 'a\nb\nc\nd\n' > y; diff3 -m x o y; diff3 x o y; } # it executes diff
large_ed() { printf '1,3p\n/word5 /s/line/LINE/p\n$d\n,n\n' | g ed -s "$input/text" | sed -n 1,20p; }
large_m4() { printf 'define(`f'"'"', `ifelse($1, 0, 1, `eval($1 * f(decr($1)))'"'"')'"'"')f(10) format(`%%05d'"'"', 42) esyscmd(`echo shell'"'"')\n' | g m4; }
large_column_hexdump() { printf 'a bb ccc\ndddd e f\n' | g column -t; g hexdump -C -n 100 "$input/data"; g rev "$input/tree/a"; }
large_less() { g less "$input/tree/a"; }
large_numfmt_seq() { g seq 0.5 0.25 3; g seq -w 8 11; g numfmt --to=iec 1234567 1024; g printf '%5d|%-8s|%x|%e|%q\n' 42 abc 255 3.25 'a b'; g expr 17 '*' '(' 5 + 3 ')' % 7; }
large_factor() { g factor 1234567890123456 1000036000099 97; }
large_shuf_split() { g shuf -i 1-100 --random-source="$input/data" | sed -n 1,5p; g split -l 700 "$input/text" part. && wc -l part.*; g csplit -s "$input/text" 10 20 && head -1 xx0*; }
large_dates() { g date -u -d @1000000000; g date -u -d '2026-11-22 10:00:00 + 3 weeks' '+%A %j %s %U'; g date -u -d 'last monday 2001-09-09' 2>&1 | sed 's/.*invalid/invalid/'; }
