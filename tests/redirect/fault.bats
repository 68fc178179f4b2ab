#!/usr/bin/env bats
# Every system call of the way to the kernel's tables fails once, or is the last of a setup
# that is killed: the tables are what they were, or what they shall be. (From one backend to the
# other: fault-switch.bats.)

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/fault_cases.sh"

legacy_faults() {
  cat <<'TABLE'
setsockopt EPERM
setsockopt ENOMEM
setsockopt EAGAIN
setsockopt EINVAL
setsockopt after-EINVAL
getsockopt EPERM
getsockopt ENOMEM
socket EMFILE
TABLE
}
# Reads are many: one way to fail for each beginning.
nft_faults() {
  cat <<TABLE
sendmsg EPERM
sendmsg ENOBUFS
sendmsg after-ENOBUFS
sendto ENOMEM
recvmsg $1
recvfrom $1
socket EMFILE
getsockopt ENOMEM
TABLE
}

@test "iptables, from empty tables: each call fails once, and they are empty or the new ones" {
  from_empty iptables
  each_fault < <(legacy_faults)
  conclude 100
}
@test "iptables, from older rules: each call fails once, and they are the old or the new ones" {
  from_older iptables
  each_fault < <(legacy_faults)
  conclude 100
}
@test "nft, from empty tables: each call fails once, and they are empty or the new ones" {
  from_empty nft
  each_fault < <(nft_faults EIO)
  conclude 100
}
@test "nft, from older rules: each call fails once, and they are the old or the new ones" {
  from_older nft
  each_fault < <(nft_faults after-ENOBUFS)
  conclude 100
}

@test "a change by somebody else during the commit (EAGAIN) is tried again, not for ever" {
  local n started
  from_older iptables
  for n in 1 3 5 7 9 11; do
    inject "setsockopt:$n:EAGAIN"
    [[ $STATUS == 0 ]] || fault "replacement $n: status $STATUS: $OUTPUT"
    whole "setsockopt:$n:EAGAIN"
    begin_again
  done
  for n in 1 3; do
    started=$(milliseconds)
    inject "setsockopt:$n+:EAGAIN"
    (($(milliseconds) - started < 15000)) || fault "took $(($(milliseconds) - started)) ms"
    [[ $STATUS != 0 ]] || fault 'status 0, and nothing was done'
    # With every further change refused nothing can be rolled back.
    [[ $n == 3 ]] || same tables "$OLD" "$NOW" || fault "$n+"
    tables_are_whole "$n+"
    begin_again
  done
  conclude 8
}

@test "iptables, a failure after which nothing can be rolled back: whole tables, nothing open" {
  local n
  from_older iptables
  for ((n = 1; ; n++)); do
    inject "setsockopt:$n+:ENOMEM" || break
    [[ $STATUS != 0 ]] || same tables "$NEW" "$NOW" || fault "$n+: status 0"
    has "$OUTPUT" ' error ' >/dev/null || fault "$n+: nothing said"
    tables_are_whole "$n+"
    begin_again
  done
  conclude 6
}

@test "iptables, from empty tables: killed at each change, whole tables, and the next run repairs" {
  from_empty iptables
  killed setsockopt
  conclude 24
}
@test "iptables, from older rules: killed at each change, nothing open, and the next run repairs" {
  from_older iptables
  killed setsockopt
  conclude 24
}
@test "nft, from older rules: killed at each change, nothing open, and the next run repairs" {
  from_older nft
  killed sendmsg
  conclude 2
}
