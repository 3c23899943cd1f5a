# The files that the cases read, made with the host's tools in a directory of its own: `$input`.
# shellcheck shell=bash

make_input() {
    awk 'BEGIN { x = 12345; for (i = 0; i < 20000; i++) { x = (x * 16807) % 2147483647; print x % 100000 - 50000 } }' > numbers
    awk 'BEGIN { x = 99; for (i = 0; i < 3000; i++) { x = (x * 16807) % 2147483647
         printf "line %d of the file, word%d and %s\n", i, x % 97, (x % 3 ? "some more text" : "END") } }' > text
    awk 'BEGIN { x = 7; for (i = 0; i < 40000; i++) { x = (x * 16807) % 2147483647; printf "%c%c", x % 127 + 1, x / 1000 % 127 + 1 } }' > data
    mkdir tree && echo one > tree/a && echo two > tree/b && mkdir tree/sub && cp text tree/sub/c && ln -s a tree/link
    find . -exec touch -h -d '2001-09-09 01:46:40 UTC' {} +
}
