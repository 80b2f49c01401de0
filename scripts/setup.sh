#!/bin/sh
# Installs what the build, the lab and the tests need: Debian's packages, then npm's. What is there already stays.
set -eu
cd "$(dirname "$0")/.."

missing=""
# need COMMAND PACKAGE: installs PACKAGE when COMMAND is not on this machine.
need() {
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
need containerd containerd
need runc runc
need iptables iptables
need nft nftables
need conntrack conntrack
need ip iproute2
need ipset ipset
need etcd etcd-server
need tini-static tini
need runsvdir runit
need ps procps
need curl curl
need kubectl kubernetes-client
need pip3 python3-pip
need zsh zsh
need fish fish
# The report page is tried in it.
need chromium chromium
need man man-db
# Runs the plugin for the other architecture: in its build and in tests.
[ "$(uname -m)" = aarch64 ] && other=x86_64 || other=aarch64
need "qemu-$other-static" qemu-user-static
[ -x /bin/busybox ] || [ -x /usr/bin/busybox ] || missing="$missing busybox-static"
[ -x /usr/lib/cni/portmap ] || missing="$missing containernetworking-plugins"
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "setup: missing:$missing; install them (Debian: apt-get install$missing), then run this again" >&2
		exit 1
	fi
	echo "setup: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	# Installing a daemon must not start it: the lab brings its own instances.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
	# Not "npm ci": it wants every platform's variant of a package to be in the registry, even those that are not for this machine.
	npm install --no-save --no-fund --no-audit --ignore-scripts --loglevel=error
	touch node_modules/.package-lock.json
fi
# npm may be configured not to run install scripts; Bun's puts the executable in its place.
[ "$(node_modules/bun/bin/bun.exe --version 2>/dev/null || true)" ] || node node_modules/bun/install.js
