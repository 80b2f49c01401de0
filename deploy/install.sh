#!/bin/sh
# Installs hostport from the files of a release: sh install.sh [DIRECTORY or https://…], by default the directory that it is in. PREFIX is where
# to, by default /usr/local. It takes the archive for this machine, checks it against SHA256SUMS, and unpacks it.
set -eu
from=${1:-$(dirname "$0")}
prefix=${PREFIX:-/usr/local}

fail() {
	echo "error: cannot install hostport: $1" >&2
	exit 1
}

system=$(uname -s)
[ "$system" = Linux ] || fail "there is none for $system; run it on Linux"
machine=$(uname -m)
case $machine in
x86_64) arch=amd64 glibc=/lib64/ld-linux-x86-64.so.2 musl=/lib/ld-musl-x86_64.so.1 ;;
aarch64 | arm64) arch=arm64 glibc=/lib/ld-linux-aarch64.so.1 musl=/lib/ld-musl-aarch64.so.1 ;;
*) fail "there is none for $machine; run it on x86_64 or aarch64" ;;
esac
# What a program needs first is its C library's loader.
if [ -e "${SYSROOT:-}$glibc" ]; then
	platform=$arch needs="it needs glibc 2.17 or newer"
elif [ -e "${SYSROOT:-}$musl" ]; then
	platform=$arch-musl needs="it needs libstdc++ of GCC 13 or newer (apk add libstdc++)"
else
	fail "neither $glibc nor $musl is here; it needs glibc or musl"
fi

case $from in
https://*) command -v curl >/dev/null || fail "curl is not here; install it, or give the directory of a release" ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A trap that does not exit would let the script go on, without its directory.
trap 'exit 130' INT
trap 'exit 143' TERM
# take FILE: copies a file of the release into the scratch directory.
take() {
	case $from in
	https://*) curl --proto '=https' --fail --silent --show-error --location --output "$scratch/$1" "$from/$1" ||
		fail "$from/$1 cannot be downloaded; give the address of a release's files" ;;
	*) cp "$from/$1" "$scratch/$1" 2>/dev/null || fail "there is no $from/$1; give the directory of a release" ;;
	esac
}

take SHA256SUMS
line=$(grep -E "^[0-9a-f]{64}  hostport-[0-9][^/]*-linux-$platform\.tar\.gz\$" "$scratch/SHA256SUMS" || :)
[ -n "$line" ] || fail "this release has none for $platform; SHA256SUMS lists what it has"
wanted=${line%% *}
file=${line##* }
take "$file"
seen=$(sha256sum "$scratch/$file")
seen=${seen%% *}
[ "$seen" = "$wanted" ] ||
	fail "the SHA-256 of $file is $seen, and SHA256SUMS has $wanted; download both again"

tar -xzf "$scratch/$file" -C "$scratch"
top=$scratch/${file%.tar.gz}
mkdir -p "$prefix/bin" "$prefix/share/man/man1" ||
	fail "$prefix cannot be written; run it as root, or set PREFIX"
# A program that runs keeps its file: the new one gets the name, once it has run here.
new=$prefix/bin/.hostport.new
trap 'rm -rf "$scratch" "$new"' EXIT
cp "$top/bin/hostport" "$new"
if ! version=$("$new" version 2>"$scratch/said"); then
	said=$(head -n 1 "$scratch/said")
	fail "the program for $platform does not run here${said:+: $said}; $needs"
fi
mv -f "$prefix/bin/.hostport.new" "$prefix/bin/hostport"
# As kubectl's plugin it is known by the name of its file, so a symbolic link does not do.
ln -f "$prefix/bin/hostport" "$prefix/bin/kubectl-hostport"
cp "$top"/share/man/man1/*.1 "$prefix/share/man/man1/"
for each in bash:bash-completion/completions/hostport zsh:zsh/site-functions/_hostport fish:fish/vendor_completions.d/hostport.fish; do
	mkdir -p "$prefix/share/$(dirname "${each#*:}")"
	cp "$top/share/completion/hostport.${each%%:*}" "$prefix/share/${each#*:}"
done
# Where XDG_DATA_DIRS is not set, fish looks below its own prefix, which is /usr, and in /etc.
etc=${SYSROOT:-}/etc/fish
if [ "$prefix" = /usr/local ] && [ -w "$etc" ]; then
	mkdir -p "$etc/completions"
	ln -sf "$prefix/share/fish/vendor_completions.d/hostport.fish" "$etc/completions/hostport.fish"
fi
echo "installed $version for $platform in $prefix"
