#!/usr/bin/env bats
# What CAP_NET_RAW makes by itself: frames and packets, which are tried without rules first, to see
# that each would arrive.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(ipv6)

EXTRA=9443 # a redirected port, as frames.py has it

# rules BACKEND: what setup writes.
install_rules() {
  [[ $1 == nft ]] || need legacy
  give REDIRECT_BACKEND="$1" MITMPROXY_EXTRA_PORTS=$EXTRA
  attempt in_pod setup
  [[ $STATUS == 0 ]]
}
without_gate() { in_pod nft delete table netdev opensandbox_egress; }

# frames WORD FAMILY UID [PART]: each row of frames.py is as it has to be.
frames() {
  local own target neighbour owner=(setpriv --reuid "$3" --regid "$3" --clear-groups)
  if [[ $2 == 4 ]]; then
    own=10.77.0.2 target=203.0.113.10
  else
    own=fd77::2 target=2001:db8::16
  fi
  neighbour=$(in_origin cat /sys/class/net/eth0/address)
  attempt in_origin /usr/bin/python3 "$STAGE/lib/frames.py" watch eth0 \
    ip netns exec "$POD" "${owner[@]}" --inh-caps -all,+net_raw --ambient-caps -all,+net_raw --bounding-set -all,+net_raw \
    /usr/bin/python3 "$STAGE/lib/frames.py" play eth0 $own $target "$neighbour" "$1" "${4-}"
  has "$OUTPUT" '^0 wrong$' || fault "frames of IPv$2 from user $3"
}
all_frames() {
  local family
  for family in 4 6; do
    frames "$1" $family $APP_UID
    frames "$1" $family 0
  done
}

@test "without rules, every frame would arrive" {
  all_frames free
  no_faults
}
gate() {
  install_rules "$1"
  all_frames gate
  no_faults
}
@test "iptables: frames and packets of CAP_NET_RAW" { gate iptables; }
@test "nft: frames and packets of CAP_NET_RAW" { gate nft; }
guard() {
  install_rules "$1"
  without_gate
  all_frames guard
  no_faults
}
@test "iptables, without the gate: packets of CAP_NET_RAW" { guard iptables; }
@test "nft, without the gate: packets of CAP_NET_RAW" { guard nft; }
