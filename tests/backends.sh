#!/usr/bin/env bash
# Installs the programs that the tests talk to. It starts none of them.
#
#   usage: tests/backends.sh [DIR]     (DIR defaults to target/backends in this workspace)
#
# What is already there is used as it is, so a second run takes a fraction of a second and needs no
# network. What is missing comes from apt (as root, or by sudo) and pip, as they are configured here.
#
# The result is DIR/backends.env, one KEY=path a line: tests/run exports them, and the tests read the
# file when they are run without it.
#
# To add a backend: one `apt_program` or one line of PYTHON_PACKAGES, and one `provide`. What must be newer
# than this machine's release has it is unpacked, not installed: see `victoria_metrics`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${1:-$root/target/backends}
venv=$dir/venv
victoria=$dir/overlay/usr/bin/victoria-metrics

# Exact versions: a new release of a judge must not turn the tests red by itself.
PYTHON_PACKAGES="prometheus-client==0.26.0 rotel==0.0.1a15 ddapm-test-agent==1.69.1"
VICTORIA_SUITE=trixie # the first release of Debian whose VictoriaMetrics takes OTLP

say() { printf 'backends: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

mkdir -p "$dir"
exec 9>"$dir/.lock"
flock 9 # one installation at a time in a directory

# A Debian package starts its daemon when installed, unless policy-rc.d says no. The tests start their
# own, on ports of their own, so one is put in place for the while, if the machine has none.
policy=/usr/sbin/policy-rc.d
placed_policy=
remove_policy() { [ -z "$placed_policy" ] || as_root rm -f "$policy"; }
trap remove_policy EXIT
forbid_daemons() {
  [ ! -e "$policy" ] || return 0
  placed_policy=1
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

refreshed=
apt_install() { # PACKAGE
  command -v apt-get >/dev/null || die "no apt-get here: install $1 by hand and run this again"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "installing $1 needs root"
  say "apt-get install $1"
  local log=$dir/apt.log
  export DEBIAN_FRONTEND=noninteractive
  if [ -z "$refreshed" ]; then
    as_root apt-get update -qq >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "apt-get update failed"; }
    refreshed=1
  fi
  forbid_daemons
  as_root apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    "$1" >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "apt-get install $1 failed"; }
}

apt_program() { # PROGRAM PACKAGE: the package, unless the program is there
  command -v "$1" >/dev/null || apt_install "$2"
}

python_packages() {
  local stamp=$venv/.installed
  [ "$(cat "$stamp" 2>/dev/null)" != "$PYTHON_PACKAGES" ] || return 0
  apt_program python3 python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  say "pip install $PYTHON_PACKAGES"
  python3 -m venv --clear "$venv"
  # shellcheck disable=SC2086  # a list of words on purpose
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: $PYTHON_PACKAGES >&2
  printf '%s\n' "$PYTHON_PACKAGES" >"$stamp"
}

# Unpacked from the archive, and checked with the key, that apt uses already. It is one program that needs
# no more than libc and libzstd, so it runs on an older release too, and nothing of the two is mixed.
victoria_metrics() {
  [ ! -x "$victoria" ] || return 0
  local work=$dir/overlay.new archive options log=$dir/apt.log
  archive=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian" && $2 == "main" && !/security|debug/ { print $3; exit }')
  [ -n "$archive" ] || die "apt has no archive of Debian: put victoria-metrics >= 1.100 at $victoria by hand"
  say "unpacking victoria-metrics of $VICTORIA_SUITE"
  rm -rf "$work"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "$archive" "$VICTORIA_SUITE" >"$work/sources.list"
  options="-qq -o Dir::Etc::sourcelist=$work/sources.list -o Dir::Etc::sourceparts=$work/parts -o Dir::Cache=$work/cache
    -o Dir::State::lists=$work/lists -o Acquire::Languages=none -o APT::Sandbox::User=root"
  # shellcheck disable=SC2086  # a list of words on purpose
  (cd "$work" && apt-get $options update && apt-get $options download victoria-metrics) >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; die "downloading victoria-metrics failed"; }
  dpkg-deb --fsys-tarfile "$work"/victoria-metrics_*.deb | tar -x -C "$work" ./usr/bin/victoria-metrics
  mkdir -p "$(dirname "$victoria")"
  mv "$work/usr/bin/victoria-metrics" "$victoria"
  rm -rf "$work"
}

: >"$dir/backends.env.new"
provide() { # KEY PROGRAM: a line of backends.env, if the program is there and finds its libraries
  local path
  path=$(command -v "$2") || die "$2 is still missing after the installation"
  if ldd "$path" 2>/dev/null | grep 'not found' >&2; then die "$path lacks the libraries above"; fi
  printf '%s=%s\n' "$1" "$path" >>"$dir/backends.env.new"
}

apt_program prometheus prometheus
apt_program promtool promtool # in Debian 12 a part of the package prometheus
apt_program nginx nginx-light # refuses, redirects, drops, and speaks TLS
apt_program valgrind valgrind # counts instructions
victoria_metrics
python_packages
# The program in rotel's wheel is linked against the interpreter's own library, which Debian's python3 does not bring.
rotel=$(echo "$venv"/lib/python3.*/site-packages/rotel/rotel-agent)
if ldd "$rotel" | grep -q 'libpython.*not found'; then
  apt_install "$(ldd "$rotel" | sed -n 's/.*\(libpython3\.[0-9]*\)\.so.*not found/\1/p')"
fi

provide BACKEND_PROMETHEUS prometheus
provide BACKEND_PROMTOOL promtool
provide BACKEND_NGINX nginx
provide BACKEND_PYTHON "$venv/bin/python"
provide BACKEND_ROTEL "$rotel" # a receiver of OTLP that prints what it is sent
provide BACKEND_DDAPM "$venv/bin/ddapm-test-agent" # a receiver of OTLP that can be asked what it was sent
provide BACKEND_VICTORIA_METRICS "$victoria" # a database that takes metrics over OTLP
mv "$dir/backends.env.new" "$dir/backends.env"
cat "$dir/backends.env"
