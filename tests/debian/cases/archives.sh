# Compression and archives: the formats are compared by their bytes.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

case_gzip_bytes() { g gzip -nc "$input/text" | md5sum; }
large_gzip_levels() { for level in 1 6 9; do g gzip -nc -$level "$input/data" | tee z | md5sum; g gzip -dc z | cmp - "$input/data"; done; g gzip -l < z | tail -1; echo garbage | g gzip -dc; }
large_zcat_script() { gzip -nc "$input/text" > t.gz; g sh "$root/usr/bin/zcat" t.gz | md5sum; g bash "$root/usr/bin/zgrep" -c END t.gz; }
want_zcat_script() { md5sum < "$input/text"; grep -c END "$input/text"; }
large_bzip2() { g bzip2 -c "$input/text" | tee z | md5sum; g bzip2 -dc z | cmp - "$input/text" && echo same; }
large_xz() { g xz -c -T1 -3 "$input/data" | tee z | md5sum; g xz -dc -T1 z | cmp - "$input/data" && echo same; g xz -T1 --list --robot z | cut -f 1-5; }
large_lz4() { g lz4 -q -c "$input/text" | tee z | md5sum; g lz4 -q -dc z | cmp - "$input/text" && echo same; }
large_brotli() { g brotli -q 5 -c "$input/text" | tee z | md5sum; g brotli -dc z | cmp - "$input/text" && echo same; }
large_tar_create() { g tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$input" tree | tee t | md5sum; g tar -tvf t --full-time --utc; mkdir x; g tar -x -C x -f t && cmp x/tree/sub/c "$input/text" && echo same; }
large_tar_z() { g tar -czf t.tgz --sort=name -C "$input" tree && gzip -dc t.tgz | tar -t; mkdir x; g tar -xzf t.tgz -C x && diff -r x/tree "$input/tree" && echo same; g tar -cJf t.xz -C "$input" tree && xz -dc t.xz | tar -t | wc -l; }
want_tar_z() { printf 'tree/\ntree/a\ntree/b\ntree/link\ntree/sub/\ntree/sub/c\nsame\n6\n'; }
large_cpio() { cd "$input" && find tree | sort | g cpio -o -H newc --reproducible --quiet | g cpio -t --quiet; }
large_ar() { echo one > a.txt; echo two > b.txt; g $triplet-ar rcD t.a a.txt b.txt && g $triplet-ar tv t.a && g $triplet-ar p t.a b.txt && md5sum t.a; }
