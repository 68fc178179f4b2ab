#!/usr/bin/env bash
# Run commands in a bare Debian: tests/debian.sh SUITE COMMAND...
#
#   tests/debian.sh trixie 'make demo' 'make check SUITE=rules'
#
# SUITE is trixie, testing or another that debootstrap knows. The root holds what its minbase has,
# and make; the clone lies in a home that is closed to others, in a path with a space. Each COMMAND
# is a line of shell, run there as root one after the other until one fails. Everything happens in a mount and
# a process namespace, so that nothing stays mounted or runs on, however this ends. Networks are
# the machine's, as for `make check`.
#   MINUTES=n  the time that all may take (30)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$ROOT/tests/lib/machine.sh"

CLONE='/home/newcomer/a clone'

# Kept a week: the bare root, and what apt and pip have fetched.
provide_bare() {
  [[ -z $(find "$KEPT/bare/made" -mtime -7 2>/dev/null) ]] || return 0
  rm -rf "$KEPT/bare"
  mkdir -p "$KEPT/archives/partial" "$KEPT/pip"
  debootstrap --variant=minbase --include=make "$SUITE" "$KEPT/bare" "$(debian_mirror)" >"$KEPT/log" 2>&1 || {
    tail -n 3 "$KEPT/log"
    return 1
  }
  rm -f "$KEPT"/bare/var/cache/apt/archives/*.deb
  touch "$KEPT/bare/made"
}

# A copy of it, with this clone in it.
furnish() {
  local path
  cp -a "$KEPT/bare" "$RUN/root"
  machine_files "$RUN/root/run/machine" /run/machine
  cp "$RUN/root/run/machine/pip.conf" "$RUN/root/etc/pip.conf"
  cp "$RUN/root/run/machine/apt.conf" "$RUN/root/etc/apt/apt.conf.d/00machine"
  # It does not outlive the machine.
  echo force-unsafe-io >"$RUN/root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  for path in "${MACHINE_PATHS[@]}"; do
    [[ ! -e $path ]] || cp -rLT "$path" "$RUN/root$path"
  done
  mkdir -p "$RUN/root$CLONE"
  tar -C "$ROOT" --exclude=./build --exclude=__pycache__ -c . | tar -C "$RUN/root$CLONE" -x
  chown -R 1000:1000 "$RUN/root/home/newcomer"
  chmod 0700 "$RUN/root/home/newcomer"
}

# The first process of the namespaces.
# shellcheck disable=SC2016 # for the shells in there
INSIDE='
  set -e
  root=$1 kept=$2 clone=$3
  shift 3
  # ip-netns(8) wants a root that is a mount.
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  for path in /sys /dev; do mount --rbind $path "$root$path"; done
  mkdir -p "$root/root/.cache/pip"
  mount --bind "$kept/archives" "$root/var/cache/apt/archives"
  mount --bind "$kept/pip" "$root/root/.cache/pip"
  for command; do
    echo "== $command"
    chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      SSL_CERT_FILE=/run/machine/certificates.pem REQUIRE_ALL="$REQUIRE_ALL" WERROR="$WERROR" bash -c "cd \"\$1\" && $command" bash "$clone" </dev/null
  done
'

((EUID == 0 && $# >= 2)) || {
  echo 'usage, as root: tests/debian.sh SUITE COMMAND...' >&2
  exit 1
}
SUITE=$1 KEPT=$ROOT/build/debian/$1
shift
mkdir -p "$KEPT"
RUN=$(mktemp -d "$KEPT/run-XXXXXX")
trap 'rm -rf --one-file-system "$RUN"' EXIT
exec {lock}>"$KEPT/lock"
flock "$lock"
provide_bare
exec {lock}>&-
furnish
export REQUIRE_ALL=${REQUIRE_ALL-} WERROR=${WERROR-}
# The signal ends unshare(1), whose child, and with it all others, is killed then.
timeout --foreground -s KILL "${MINUTES:-30}m" unshare --mount --pid --fork --kill-child \
  bash -c "$INSIDE" bash "$RUN/root" "$KEPT" "$CLONE" "$@"
