#!/bin/bash
# Installs what is missing on a Debian machine, and nothing else: a second run does nothing.
#
#   tools/deps.sh [--check] GROUP...
#
#   build   what `make` needs: compiler, Meson, libraries; and etcd, which clusters run
#   check   the second compiler, the formatter, the sanitizers' and fuzzers' runtime
#   test    the real clients and daemons that the system tests drive
#
# --check installs nothing: it lists what is missing, and exits 1 if anything is.
#
# Daemons (etcd, syslog-ng, rsyslog, Burrow) are unpacked under build/test-root rather than installed:
# syslog-ng and rsyslog conflict as packages, and nothing here may start services on anyone's machine.
# build/test-root/bin/NAME starts each, be it from there or from the system; build/etcd too, since
# the broker looks beside itself first.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# A row is a package; `a|b` takes the first that this Debian has; `a@cmd` needs no package when the
# command is there.
build_packages=(
	gcc libc6-dev meson ninja-build ccache pkg-config python3
	libuv1-dev libisal-dev libmimalloc-dev librdkafka-dev libjansson-dev libpcre2-dev uthash-dev
	liblz4-dev libzstd-dev libsnappy-dev zlib1g-dev libssl-dev libcurl4-openssl-dev libcmocka-dev
)
check_packages=(
	clang clang-format shellcheck 'libclang-rt-dev|libclang-rt-14-dev'
)
test_packages=(
	python3-pytest python3-kafka python3-confluent-kafka kcat
	golang-go golang-github-segmentio-kafka-go-dev
	'golang-github-shopify-sarama-dev|golang-github-ibm-sarama-dev'
	nodejs@node npm@npm ca-certificates iproute2@ip
)
# command, then the packages that bring it
build_daemons=(
	'etcd etcd-server'
)
test_daemons=(
	'syslog-ng syslog-ng-core syslog-ng-mod-rdkafka'
	'rsyslogd rsyslog rsyslog-kafka'
	'Burrow burrow'
)
test_root=build/test-root
node_dir=test/system/node

check_only=no
missing=()
chosen=

say()
{
	printf 'deps: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

has_command()
{
	command -v "$1" >/dev/null 2>&1
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif has_command sudo; then
		sudo "$@"
	else
		die "needs root to run: $* (no sudo here; run it as root yourself)"
	fi
}

apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

apt_updated=no
apt_update_once()
{
	[ "$apt_updated" = no ] || return 0
	apt update
	apt_updated=yes
}

has_candidate()
{
	case $(apt-cache policy "$1" 2>/dev/null) in
	*'Candidate: (none)'* | '') return 1 ;;
	esac
}

# Prints the names among the arguments that are installed packages.
installed_among()
{
	# dpkg-query fails when it knows one of them not at all; the others are listed all the same.
	{ dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
		sed -n 's/^installed //p'
}

# Puts the rows that nothing satisfies into `missing`.
find_missing()
{
	local row alternatives name found have
	alternatives=()
	for row in "$@"; do
		IFS='|' read -ra names <<<"${row%@*}"
		alternatives+=("${names[@]}")
	done
	have=" $(installed_among "${alternatives[@]}" | tr '\n' ' ')"
	for row in "$@"; do
		found=no
		case $row in
		*@*) ! has_command "${row#*@}" || found=yes ;;
		esac
		IFS='|' read -ra names <<<"${row%@*}"
		for name in "${names[@]}"; do
			case $have in
			*" $name "*) found=yes ;;
			esac
		done
		[ "$found" = yes ] || missing+=("${row%@*}")
	done
}

# Sets `chosen` to the first alternative of a row that can be installed. Package lists are fetched
# only when this machine's know none of them.
choose()
{
	local name names
	IFS='|' read -ra names <<<"$1"
	while true; do
		for name in "${names[@]}"; do
			if has_candidate "$name"; then
				chosen=$name
				return
			fi
		done
		[ "$apt_updated" = no ] ||
			die "no package named $1 (is Debian's main archive among the apt sources?)"
		apt_update_once
	done
}

install_missing()
{
	local row wanted=()
	for row in "${missing[@]}"; do
		choose "$row"
		wanted+=("$chosen")
	done
	say "installing ${wanted[*]}"
	if ! apt install -y --no-install-recommends "${wanted[@]}"; then
		apt_update_once
		apt install -y --no-install-recommends "${wanted[@]}" ||
			die "could not install: ${wanted[*]}"
	fi
}

# unpack_daemon COMMAND PACKAGE...: what is not installed goes under build/test-root/COMMAND.
unpack_daemon()
{
	local command=$1 root=$test_root/$1 start=$test_root/bin/$1
	shift
	[ ! -x "$start" ] || return 0
	if [ "$check_only" = yes ]; then
		missing+=("$command (to be unpacked under $test_root)")
		return 0
	fi
	mkdir -p "$root" "$test_root/bin"
	if [ "$(installed_among "$@" | wc -l)" -lt $# ]; then
		say "unpacking $* under $root"
		unpack "$root" "$@"
	fi
	write_start "$command" "$PWD/$root" >"$start.tmp"
	chmod +x "$start.tmp"
	mv "$start.tmp" "$start"
}

# unpack ROOT PACKAGE...: with the libraries that they need and this machine lacks.
unpack()
{
	local root=$1 package needed
	shift
	for package in "$@"; do
		choose "$package"
	done
	mapfile -t needed < <(apt-get -s install --no-install-recommends "$@" |
		sed -n 's/^Inst \([^ ]*\).*/\1/p')
	if ! (cd "$root" && apt-get -q download "${needed[@]}" >&2); then
		apt_update_once
		(cd "$root" && apt-get -q download "${needed[@]}" >&2) ||
			die "could not download: ${needed[*]}"
	fi
	for package in "$root"/*.deb; do
		dpkg -x "$package" "$root"
		rm "$package"
	done
}

# Prints the script that starts a daemon from its unpacked root, or the system's when that is empty.
write_start()
{
	local command=$1 root=$2 binary libraries modules=
	binary=$(find "$root" -type f -path "*bin/$command" | head -n 1)
	libraries=$(find "$root" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
	case $command in
	syslog-ng) modules=$(find "$root" -name 'libkafka.so' -printf '--module-path=%h') ;;
	rsyslogd) modules=$(find "$root" -name 'omkafka.so' -printf '-M%h') ;;
	esac
	echo '#!/bin/sh'
	[ -z "$libraries" ] || echo "export LD_LIBRARY_PATH='$libraries'"
	[ -n "$binary" ] || binary=$(PATH=$PATH:/usr/sbin:/sbin command -v "$command")
	echo "exec '$binary' ${modules:+"'$modules' "}\"\$@\""
}

# JavaScript clients: exactly what the committed lock file says.
install_node()
{
	local stamp=$node_dir/node_modules/.installed
	[ -f $node_dir/package-lock.json ] || return 0
	! cmp -s $node_dir/package-lock.json "$stamp" || return 0
	if [ "$check_only" = yes ]; then
		missing+=("node modules ($node_dir/package-lock.json)")
		return 0
	fi
	say "installing the JavaScript clients of $node_dir"
	(cd $node_dir && npm ci --ignore-scripts --no-audit --no-fund </dev/null >&2) ||
		die "npm could not install $node_dir"
	cp $node_dir/package-lock.json "$stamp"
}

main()
{
	local group groups=() daemon daemon_words
	for group in "$@"; do
		case $group in
		--check) check_only=yes ;;
		build | check | test) groups+=("$group") ;;
		*) die "usage: tools/deps.sh [--check] build|check|test..." ;;
		esac
	done
	has_command dpkg-query || die "this is no Debian; install by hand: ${build_packages[*]}"
	for group in "${groups[@]}"; do
		case $group in
		build) find_missing "${build_packages[@]}" ;;
		check) find_missing "${check_packages[@]}" ;;
		test) find_missing "${test_packages[@]}" ;;
		esac
	done
	if [ "$check_only" = no ] && [ ${#missing[@]} -gt 0 ]; then
		install_missing
		missing=()
	fi
	case " ${groups[*]} " in
	*' build '*)
		for daemon in "${build_daemons[@]}"; do
			read -ra daemon_words <<<"$daemon"
			unpack_daemon "${daemon_words[@]}"
			[ "$check_only" = yes ] || ln -sf "test-root/bin/${daemon_words[0]}" build/
		done
		;;
	esac
	case " ${groups[*]} " in
	*' test '*)
		for daemon in "${test_daemons[@]}"; do
			read -ra daemon_words <<<"$daemon"
			unpack_daemon "${daemon_words[@]}"
		done
		install_node
		;;
	esac
	if [ ${#missing[@]} -gt 0 ]; then
		printf '%s\n' "${missing[@]}"
		exit 1
	fi
}

main "$@"
