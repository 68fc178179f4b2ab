#!/usr/bin/env bats
# The process that parses what the network sends can do nothing but its loop: everything else is
# refused by the kernel, whoever has got hold of it. It is tried from inside.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

filter_of() { sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$1/status"; }
injector() {
  [[ $(uname -m) == x86_64 ]] || skip_or_fail 'written for x86-64 alone'
  cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -o "$LAB/inject" "$ROOT/tests/lib/inject.c"
  attempt "$LAB/inject" "$RUNNER" getpid
  [[ $STATUS != 71 ]] || skip_or_fail "no ptrace here: $OUTPUT"
  same getpid "$RUNNER" "$OUTPUT"
}

@test "the responder has a filter, runner and mitmdump have none of it" {
  up
  find_healthd
  same responder 2 "$(filter_of "$RESPONDER")"
  same runner 0 "$(filter_of "$RUNNER")"
  same mitmdump 0 "$(filter_of "$(mitmdump_pid)")"
}

@test "without root, and as PID 1, as well" {
  in_pod setup
  up setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups --bounding-set -all --no-new-privs healthd
  find_healthd
  same responder 2 "$(filter_of "$RESPONDER")"
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  spawn up unshare --pid --fork --kill-child --mount-proc healthd
  wait_until 20 healthz_is '200 ok'
  same 'responder as PID 1' 2 "$(filter_of "$(pgrep -P "$SPAWNED")")"
}

# What somebody might want to do who has taken the responder over. Null where a pointer belongs, and
# descriptors that are none: let through, none of it does harm, but it fails in another way, or not.
ATTEMPTS='
execve 0 0 0
execveat -1 0 0 0 0
clone 0x800
clone3 0 0
ptrace 16 999999999
process_vm_readv 999999999 0 0 0 0 0
open 0 0x41 0644
openat -100 0 0x41 0644
openat -100 0 1
openat -100 0 2
truncate 0 0
ftruncate -1 0
unlink 0
unlinkat -100 0 0
rename 0 0
renameat2 -100 0 -100 0 0
mkdir 0 0755
rmdir 0
link 0 0
symlink 0 0
chmod 0 0777
chown 0 0 0
chdir 0
chroot 0
memfd_create 0 0
mprotect 0 0 5
mmap 0 4096 7 0x22 -1 0
setuid UID
setgid UID
unshare 0
setns -1 0
prlimit64 0 7 0 0
ioctl -1 0x5412 0
getdents64 -1 0 0
sendfile -1 -1 0 0
listen -1 1
add_key 0 0 0 0 0
shmget 7 4096 0
pidfd_open -1 0
io_uring_setup 0 0
socket 17 3 0
socket 16 3 12
socket 38 5 0
'

@test "system calls that its loop does not need are refused, and it goes on" {
  up
  find_healthd
  injector
  local name arguments result control tried=0
  while read -r name arguments; do
    [[ -n $name ]] || continue
    # Its own id: to become who it is would be allowed.
    # shellcheck disable=SC2086 # words
    result=$("$LAB/inject" "$RESPONDER" "$name" ${arguments//UID/$HEALTH_UID})
    # shellcheck disable=SC2086 # words
    control=$("$LAB/inject" "$RUNNER" "$name" ${arguments//UID/$MITM_UID})
    echo "$name $arguments: $result (without a filter: $control)"
    [[ $result == EPERM ]] || fault "$name $arguments: $result"
    # What was opened is closed again.
    [[ $name != socket || $control == E* ]] || "$LAB/inject" "$RUNNER" close "$control" >/dev/null
    [[ $name != socket || $result == E* ]] || "$LAB/inject" "$RESPONDER" close "$result" >/dev/null
    # The kernel's own refusal proves nothing.
    [[ $control == EPERM ]] || tried=$((tried + 1))
  done <<<"$ATTEMPTS"
  echo "$tried would not have been refused without the filter"
  ((tried >= 30)) || fault "only $tried were a proof"
  healthz_is '200 ok' || fault "$(healthz)"
  same 'still the same' "$RESPONDER" "$SPAWNED"
  no_faults
}

@test "under the filter it still sees all, logs, reaps, and ends" {
  up
  find_healthd
  # A canary that fails and comes back, a restart, a state file that is gone: nothing of it needs
  # what the filter refuses.
  in_pod iptables-legacy -w -t nat -F OUTPUT
  wait_until 12 healthz_is '503 mitm not ready: redirect'
  in_pod setup redirect
  wait_until 5 healthz_is '200 ok'
  kill -KILL "$(mitmdump_pid)"
  wait_until 2 refute healthz_is 200 >/dev/null
  wait_until 20 healthz_is '200 ok'
  mv "$STATE" "$LAB/aside"
  wait_until 2 healthz_is 503
  mv "$LAB/aside" "$STATE"
  wait_until 5 healthz_is '200 ok'
  in_pod curl -sf --max-time 2 "http://127.0.0.1:$HEALTH_PORT/metrics" | grep -q 'mitmdump_resident_memory_bytes{worker="1"} [1-9]'
  lacks "$(<"$LAB/up.log")" 'not permitted'
  down
  [[ $STATUS == 0 ]]
}

# --- files

# opened PROCESS PATH: what openat for reading gave it; a descriptor is "opened", and is closed again.
opened() {
  local result
  result=$("$LAB/inject" "$1" openat -100 "$2" 0x80000)
  case $result in
    E*) echo "$result" ;;
    *)
      "$LAB/inject" "$1" close "$result" >/dev/null
      echo opened
      ;;
  esac
}
# may EXPECTED CONTROL PATH: so for the responder, and so for the runner, who is the same user.
may() {
  same "the responder: $3" "$1" "$(opened "$RESPONDER" "$3")" || fault "$3"
  same "the runner: $3" "$2" "$(opened "$RUNNER" "$3")" || fault "no proof: $3"
}
files_of() {
  local proxy
  proxy=$(mitmdump_pid)
  may EACCES opened "$CONFDIR/mitmproxy-ca.pem"
  may EACCES opened "$CONFDIR"
  may EACCES opened "$CONFDIR/../.mitmproxy/mitmproxy-ca.pem"
  may EACCES opened /etc/passwd
  may EACCES opened /
  may EACCES opened /dev/null
  may EACCES opened "/proc/$proxy/root/etc/passwd"
  may EACCES opened "/proc/$proxy/cwd"
  may EACCES opened "/proc/$proxy/mem"
  may EACCES opened "/proc/$proxy/environ"
  may EACCES opened "/proc/$proxy/maps"
  may opened opened "$STATE"
  may opened opened "$(dirname "$STATE")"
  may opened opened "/proc/$proxy/stat"
  may opened opened /proc/sys/kernel/random/boot_id
  # A path that leads out of where it may read.
  may EACCES opened "$(dirname "$STATE")/../home/.mitmproxy/mitmproxy-ca.pem"
  become_mitm ln -s "$CONFDIR/mitmproxy-ca.pem" "$LAB/home/link"
  may EACCES opened "$LAB/home/link"
  may EACCES opened "/proc/self/fd/../root/etc/passwd"
  healthz_is '200 ok' || fault "$(healthz)"
  refute gone "$RESPONDER"
}
landlock() { grep -qw landlock /sys/kernel/security/lsm 2>/dev/null || grep -q landlock <(zcat /proc/config.gz 2>/dev/null); }

@test "as mitmdump's user, the responder can open the state file and proc, and nothing else" {
  [[ -z ${SANITIZE-} ]] || skip_or_fail 'sanitizers need files of their own'
  landlock || skip_or_fail 'the kernel has no Landlock'
  in_pod setup
  up setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups --bounding-set -all --no-new-privs healthd
  find_healthd
  injector
  lacks "$(<"$LAB/up.log")" Landlock
  files_of
  no_faults
}
