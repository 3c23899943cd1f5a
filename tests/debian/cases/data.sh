# Databases, calculators, cryptography.
# shellcheck shell=bash disable=SC2016 # single quotes are meant

large_sqlite_memory() { g sqlite3 :memory: 'create table t(a integer primary key, b text, c real); with recursive n(x) as (select 1 union all select x + 1 from n where x < 3000) insert into t select x, printf("row %d", x * 7919 % 3001), x / 7.0 from n; create index i on t(b); select count(*), sum(a), avg(c), max(b) from t; select a, b from t where b like "row 1_" order by b; select typeof(c), round(c, 3) from t where a = 1000; explain query plan select * from t where b = "x";'; }
large_sqlite_file() { g sqlite3 f.db 'create table t(a, b); insert into t values (1, 2), (3, 4); begin; insert into t values (5, 6); rollback; select * from t; pragma integrity_check'; sha256sum f.db | cut -c 1-16 > /dev/null; g sqlite3 -header -csv f.db 'select a + b as s, hex(b), quote(a) from t'; }
large_sqlite_wal() { g sqlite3 f.db 'pragma journal_mode = wal; create table t(a); insert into t values (1); select count(*) from t; pragma wal_checkpoint;'; g sqlite3 f.db 'update t set a = a + 1; select a from t; vacuum'; ls; }
large_sqlite_json() { g sqlite3 -json :memory: "select json_extract('{\"a\": [1, 2, {\"b\": 3}]}', '\$.a[2].b') as v, json_group_array(value) as l from json_each('[1, 2, 3]')" 'select group_concat(x) over (order by x) as w from (select 1 as x union select 2)'; }
large_sqlite_errors() { g sqlite3 :memory: 'select * from nothing' 2>&1; echo $?; g sqlite3 :memory: 'create table t(a unique); insert into t values (1), (1)' 2>&1; }
large_jq() { printf '{"a": [1, 2, {"b": null}], "s": "\\u00e4x"}' | g jq -S '.a[0:2] + [.s | length, ascii_downcase], (.a | map(type)), (.. | numbers), ([range(20)] | map(. * .) | add), ("a1b22" | [scan("[0-9]+")]), @base64 "\(.s)"'; }
large_jq_programs() { g jq -n 'def f: if . < 2 then . else (. - 1 | f) + (. - 2 | f) end; 15 | f, ([limit(5; repeat(1))] | add), (1e1000, 0.1 + 0.2, 3.0, 100000000000000000000)'; echo '{' | g jq . 2>&1; }
large_bc() { echo 'scale = 50; 4 * a(1); e(1); sqrt(2); 2 ^ 200; define f(n) { if (n < 2) return n; return f(n - 1) + f(n - 2); }; f(15)' | g bc -l; }
large_dc() { echo '2 100 ^ 7 % p 50 k 22 7 / p [la 1 + d sa 10 >x] sx 0 sa lxx la p' | g dc; }
large_openssl_digests() { for n in md5 sha1 sha256 sha512 sha3-256 blake2b512 sm3; do g openssl dgst -$n < "$input/data"; done; g openssl dgst -sha256 -hmac key < "$input/data"; }
large_openssl_ciphers() { for n in aes-128-cbc aes-256-ctr chacha20 camellia-128-cbc aria-128-cbc; do g openssl enc -$n -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 000102030405060708090a0b0c0d0e0f -in "$input/data" 2> /dev/null | md5sum; done; }
large_openssl_keys() {
    g openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out k 2> /dev/null && g openssl pkey -in k -pubout -out p
    g openssl dgst -sha256 -sign k -out s "$input/text" && g openssl dgst -sha256 -verify p -signature s "$input/text"
    g openssl genpkey -algorithm ED25519 -out e && g openssl pkeyutl -sign -rawin -inkey e -in "$input/tree/a" -out t && wc -c < t
    g openssl ecparam -name prime256v1 -genkey -noout -out c && g openssl dgst -sha256 -sign c -out u "$input/text" && g openssl pkey -in c -pubout -out q && g openssl dgst -sha256 -verify q -signature u "$input/text"
}
large_openssl_misc() { g openssl rand -hex 16 | wc -c; g openssl prime 1000003; g openssl passwd -6 -salt ab cd; printf 'abc' | g openssl base64; g openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:pw -kdfopt salt:salt -kdfopt iter:100 PBKDF2; g openssl asn1parse -genstr UTF8:x; }
