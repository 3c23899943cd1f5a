#!/bin/bash
# Unpacks Debian packages of another architecture into a private root, without touching this machine's dpkg.
# usage: fetch.sh DIRECTORY ARCHITECTURE PACKAGE...
#
# Dependencies are not followed: name them. The suite is this machine's own, so that its keyring can verify it.
# DIRECTORY/root then holds the files, and DIRECTORY/stamp says which packages they are of.
set -euo pipefail
directory=$1 architecture=$2
shift 2
wanted="$architecture $*"
[ "$(cat "$directory/stamp" 2> /dev/null)" != "$wanted" ] || exit 0
command -v apt-get dpkg > /dev/null || { echo "fetch.sh: this needs Debian's apt-get and dpkg" >&2; exit 1; }

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | sort -u | head -1)
[ -n "$mirror" ] || { echo "fetch.sh: apt has no Debian mirror; run apt-get update first" >&2; exit 1; }

mkdir -p "$directory"/apt/lists/partial "$directory"/apt/cache/archives/partial "$directory/debs" "$directory/root"
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
for deb in "$directory"/debs/*.deb; do dpkg -x "$deb" "$directory/root"; done
echo "$wanted" > "$directory/stamp"
