#!/usr/bin/env bats
# Every system call of the way from one backend to the other fails once, or is the last of a setup that
# is killed: the tables are what they were, or what they shall be, and nothing is open meanwhile.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/fault_cases.sh"

@test "from one backend to the other: each call fails once, and they are the old or the new ones" {
  from_older nft iptables
  each_fault <<'TABLE'
setsockopt ENOMEM
setsockopt after-EINVAL
getsockopt ENOMEM
socket EPERM
sendmsg ENOBUFS
TABLE
  stop_probe
  nothing_came_through || fault 'something came through'
  from_older iptables nft
  each_fault <<'TABLE'
setsockopt ENOMEM
setsockopt after-EINVAL
getsockopt ENOMEM
socket EMFILE
sendmsg ENOBUFS
sendmsg after-ENOBUFS
TABLE
  conclude 50
}

@test "auto, and each look at the legacy tables fails once: one backend or the other, never both" {
  local error n nft
  from_older auto iptables
  nft=$(with REDIRECT_BACKEND=nft "${NEW_CONFIGURATION[@]}" setup redirect 2>/dev/null && now)
  begin_again
  for error in ENOPROTOOPT ENOENT EPERM; do
    for ((n = 1; ; n++)); do
      inject "getsockopt:$n:$error" || break
      if [[ $STATUS == 0 && $NOW == "$nft" ]]; then
        state_is setup.state ready || fault "getsockopt:$n:$error: $(state setup.state)"
      else
        whole "getsockopt:$n:$error"
      fi
      begin_again
    done
  done
  conclude 50
}

@test "from one backend to the other: killed at each change, nothing open, and the next run repairs" {
  from_older nft iptables
  killed sendmsg
  killed setsockopt
  stop_probe
  nothing_came_through || fault 'something came through'
  from_older iptables nft
  killed setsockopt
  killed sendmsg
  conclude 26
}
