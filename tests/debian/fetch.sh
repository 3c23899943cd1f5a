#!/bin/bash
# Unpacks Debian packages of another architecture into a private root, without touching this machine's dpkg.
# usage: fetch.sh DIRECTORY ARCHITECTURE SUITE PACKAGE...
#
# Dependencies are not followed: name them. An empty SUITE is this machine's own. That of another is verified as well, for
# which the keyring must know it: Debian 12's package debian-archive-keyring does from 2023.3+deb12u2 on.
# DIRECTORY/root then holds the files, and DIRECTORY/stamp says which packages they are of.
set -euo pipefail
directory=$1 architecture=$2 suite=$3
shift 3
wanted="$architecture $suite $*"
[ "$(cat "$directory/stamp" 2> /dev/null)" != "$wanted" ] || exit 0
command -v apt-get dpkg > /dev/null || { echo "fetch.sh: this needs Debian's apt-get and dpkg" >&2; exit 1; }

[ -n "$suite" ] || suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | sort -u | head -1)
[ -n "$mirror" ] || { echo "fetch.sh: apt has no Debian mirror; run apt-get update first" >&2; exit 1; }

rm -rf "$directory/debs"
mkdir -p "$directory"/apt/lists/partial "$directory"/apt/cache/archives/partial "$directory/debs"
directory=$(cd "$directory" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=""
[ ! -e $keyring ] || signed="[signed-by=$keyring] "
echo "deb $signed$mirror $suite main" > "$directory/apt/sources.list"
options=(-o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::Cache="$directory/apt/cache"
         -o Dir::State::Lists="$directory/apt/lists" -o Dir::Etc::SourceList="$directory/apt/sources.list"
         -o Dir::Etc::SourceParts=/dev/null -o Dir::State::status=/dev/null)
apt-get "${options[@]}" update -qq
(cd "$directory/debs" && apt-get "${options[@]}" download -qq "$@")
# As in an installed system, /bin, /lib and /sbin are links; packages still bring files below them.
rm -rf "$directory/root"
mkdir -p "$directory"/root/usr/{bin,lib,sbin}
for name in bin lib sbin; do ln -s usr/$name "$directory/root/$name"; done
for deb in "$directory"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$directory/root" --keep-directory-symlink --no-same-owner
done
echo "$wanted" > "$directory/stamp"
