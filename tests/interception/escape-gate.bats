#!/usr/bin/env bats
# What CAP_NET_RAW makes by itself: frames and packets, which are tried without rules first, to see
# that each would arrive.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(ipv6)

EXTRA=9443 # a redirected port, as frames.py has it

# The kernel may take two bytes of the Ethernet address for a port: here these are 443.
setup() {
  test_up
  ip -n "$ORIGIN" link set eth0 address 02:00:01:bb:00:01
}

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
  long_frames
  for family in 4 6; do frames "$1" $family $APP_UID 'tag: '; done
}
long_frames() { ip -n "$POD" link set eth0 mtu "${1:-65535}" && ip -n "$ORIGIN" link set eth0 mtu "${1:-65535}"; }

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

# --- what poses as an answer

# Without privileges, but for the raw socket and the frames.
posed() {
  local family
  in_pod sysctl -qw net.ipv4.ip_unprivileged_port_start=0 || skip_or_fail '/proc/sys is read-only'
  for family in 4 6; do frames "$1" $family $APP_UID "posed: ${2-}"; done
}
# The fence of frames.py goes to 8080.
refuse_the_rest() {
  give OTHER_TRAFFIC=reject MITMPROXY_EXCLUDE_PORTS=8080
  install_rules "$1"
}
@test "without rules, what the pod answers to somebody who poses as the origin would arrive" {
  posed free
  no_faults
}
answers() {
  refuse_the_rest "$1"
  posed gate
  without_gate
  posed guard
  # Ranges let answers pass as well; datagrams to 443 are none.
  give OTHER_TRAFFIC=allow MITMPROXY_EXCLUDE_PORTS='' MITMPROXY_EXTRA_PORTS=5000-6000
  in_pod setup redirect
  without_gate
  for family in 4 6; do frames guard $family $APP_UID 'posed: a '; done
  no_faults
}
@test "iptables: what poses as coming from outside makes no answers" { answers iptables; }
@test "nft: what poses as coming from outside makes no answers" { answers nft; }

# The commands that take the rules for foreign addresses out of a chain of both families.
foreign_away() {
  local family program chain=OPENSANDBOX_EGRESS
  if [[ $1 == nft ]]; then
    for family in 4 6; do
      in_pod nft -a list chain inet opensandbox_egress "${2}_ipv$family" | sed -n \
        "s/.*fib saddr.* # handle \([0-9]*\)/nft delete rule inet opensandbox_egress ${2}_ipv$family handle \1/p"
    done
    return
  fi
  [[ $2 == filter ]] || chain+=_INPUT
  for program in iptables-legacy ip6tables-legacy; do
    in_pod $program -w -S | sed -n "/^-A $chain .*--src-type/s/^-A /$program -w -D /p"
  done
}

answers_sabotaged() {
  local chain deletion family before list
  refuse_the_rest "$1"
  in_pod sysctl -qw net.ipv4.ip_unprivileged_port_start=0 || skip_or_fail '/proc/sys is read-only'
  for chain in filter input; do
    mapfile -t list < <(foreign_away "$1" $chain)
    ((${#list[@]} == 2))
    for deletion in "${list[@]}"; do
      # shellcheck disable=SC2086 # words
      in_pod $deletion
    done
    for family in 4 6; do
      before=$FAULTS
      frames gate $family $APP_UID posed: >/dev/null
      ((FAULTS > before)) || fault "no row of IPv$family sees that this is gone: ${list[*]}" || continue
      FAULTS=$before
    done
    in_pod setup redirect
  done
  no_faults
}
@test "iptables: each rule for foreign addresses taken away makes rows fail" { answers_sabotaged iptables; }
@test "nft: each rule for foreign addresses taken away makes rows fail" { answers_sabotaged nft; }

# --- who is gone when his packet comes to the gate

# Whoever sends waits for the neighbour, which is looked for; the socket is closed before it answers.
deaf_origin() {
  in_origin nft -f - <<'NFT'
table arp deaf { chain input { type filter hook input priority 0; policy drop; }; }
table ip6 deaf { chain input { type filter hook input priority 0; icmpv6 type nd-neighbor-solicit drop; }; }
NFT
}
# left_behind FAMILY ROW PORT EXPECTED: how many packets of a closed socket come to the origin.
left_behind() {
  local own=10.77.0.2 target=10.77.0.1
  [[ $1 == 4 ]] || own=fd77::2 target=fd77::1
  in_origin nft reset counters >/dev/null
  deaf_origin
  ip -n "$POD" neighbour flush dev eth0
  attempt in_pod setpriv --reuid $APP_UID --regid $APP_UID --clear-groups --inh-caps -all,+net_raw --ambient-caps -all,+net_raw \
    /usr/bin/python3 "$STAGE/lib/frames.py" leave $own $target "$2" "$3"
  echo "$OUTPUT"
  in_origin nft -f - <<<'delete table arp deaf; delete table ip6 deaf'
  # Behind it, if it was sent at all.
  in_pod bash -c "echo >/dev/udp/$target/8080"
  wait_until 5 is_reachable $target
  same "IPv$1: $2 to $3" "$4" "$(in_origin nft list counter netdev watch left | sed -n 's/.*packets \([0-9]*\) .*/\1/p')" ||
    fault "IPv$1: $2 to $3"
}
is_reachable() { ip -n "$POD" neighbour show "$1" dev eth0 | grep -q lladdr; }
watch_left() {
  in_pod sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=200 net.ipv6.neigh.eth0.retrans_time_ms=200 ||
    skip_or_fail '/proc/sys is read-only'
  in_origin nft -f - <<'NFT'
table netdev watch {
  counter left {}
  chain ingress {
    type filter hook ingress device eth0 priority 0; policy accept;
    udp sport 20000 counter name left
    tcp sport 20000 tcp flags & rst == 0 counter name left
  }
}
NFT
}
# With the guard or without it (then the gate alone is to be seen).
each_left_behind() {
  local family
  for family in 4 6; do
    left_behind $family UDP 443 "$1"
    left_behind $family SYN 443 "$1"
    left_behind $family SYN $EXTRA "$1"
    left_behind $family UDP 8080 1
    left_behind $family SYN 8080 1
  done
}
closed() {
  watch_left
  install_rules "$1"
  each_left_behind 0
  for family in 4 6; do left_behind $family data 443 0; done
  # Somebody else's packets, and the proxy's last ones, come without a socket as well.
  if [[ $1 == nft ]]; then
    in_pod nft delete table inet opensandbox_egress
  else
    in_pod iptables-legacy -w -t filter -F OPENSANDBOX_EGRESS
    in_pod ip6tables-legacy -w -t filter -F OPENSANDBOX_EGRESS
    in_pod iptables-legacy -w -t nat -F OPENSANDBOX_EGRESS
    in_pod ip6tables-legacy -w -t nat -F OPENSANDBOX_EGRESS
  fi
  each_left_behind 0
  for family in 4 6; do left_behind $family data 443 1; done
  without_gate
  each_left_behind 1
  no_faults
}
@test "iptables: packets of sockets that are closed before they come to the gate" { closed iptables; }
@test "nft: packets of sockets that are closed before they come to the gate" { closed nft; }

# --- who is exempt

exempt() {
  install_rules "$1"
  frames free 4 $MITM_UID 'SYN'
  frames free 6 $MITM_UID 'SYN'
  give MITMPROXY_EXCLUDE_CIDRS=203.0.113.10/32,2001:db8::16/128
  in_pod setup
  frames free 4 $APP_UID 'frame: SYN'
  frames free 6 $APP_UID 'frame: SYN'
  # What is called another thing than it is goes nowhere.
  frames gate 4 $APP_UID 'ARP'
  no_faults
}
@test "iptables: the proxy's user and excluded networks are let through the gate" { exempt iptables; }
@test "nft: the proxy's user and excluded networks are let through the gate" { exempt nft; }

without_ipv6() {
  install_rules "$1"
  give MITMPROXY_IPV6=reject
  in_pod setup
  frames gate 4 $APP_UID frame:
  frames gate 6 $APP_UID frame:
  frames none 6 $APP_UID 'an answer to a client at an extra port'
  frames gate 6 $APP_UID 'to another port'
  give MITMPROXY_IPV6=off
  in_pod setup
  frames gate 4 $APP_UID 'frame: SYN'
  frames free 6 $APP_UID 'frame: SYN'
  no_faults
}
@test "iptables: the gate with IPV6=reject and off" { without_ipv6 iptables; }
@test "nft: the gate with IPV6=reject and off" { without_ipv6 nft; }

# --- devices that come later

verbose() { in_pod curl -s --max-time 2 "http://127.0.0.1:$HEALTH_PORT/healthz?verbose"; }
says() { grep -qF -e "$1" <<<"$(verbose)"; }
second_device() {
  ip -n "$POD" link add eth1 type veth peer name eth1 netns "$ORIGIN"
  ip -n "$ORIGIN" link set eth1 up
  ip -n "$POD" link set eth1 up
}
# by_second WORD: the same frames by the other device.
by_second() {
  local neighbour
  neighbour=$(in_origin cat /sys/class/net/eth1/address)
  ip -n "$POD" address replace 10.78.0.2/24 dev eth1
  ip -n "$POD" route replace 203.0.113.11/32 dev eth1
  ip -n "$POD" neighbour replace 203.0.113.11 lladdr "$neighbour" dev eth1
  attempt in_origin /usr/bin/python3 "$STAGE/lib/frames.py" watch eth1 ip netns exec "$POD" \
    /usr/bin/python3 "$STAGE/lib/frames.py" play eth1 10.78.0.2 203.0.113.11 "$neighbour" "$1" 'frame: SYN'
  has "$OUTPUT" '^0 wrong$' || fault "by eth1: not $1"
}
later_device() {
  [[ $1 == nft ]] || need legacy
  give REDIRECT_BACKEND="$1" MITMPROXY_EXTRA_PORTS=$EXTRA
  up
  has "$(verbose)" '^\[\+\]gate ok$'
  second_device
  wait_until 10 says '[!]gate missing: not at device eth1: run setup redirect again'
  has "$(healthz)" '^200'
  by_second free
  attempt in_pod setup redirect
  [[ $STATUS == 0 ]]
  wait_until 10 says '[+]gate ok'
  by_second gate
  # A device that goes and comes again has its gate, or it is said.
  ip -n "$POD" link del eth1
  wait_until 10 says '[+]gate ok'
  second_device
  if ! wait_until 3 says '[!]gate missing'; then
    by_second gate
  fi
  attempt in_pod setup redirect
  [[ $STATUS == 0 ]]
  by_second gate
  no_faults
}
@test "iptables: a device that comes later has no gate until setup redirect, and it is said" { later_device iptables; }
@test "nft: a device that comes later has no gate until setup redirect, and it is said" { later_device nft; }

@test "more devices than the gate has room for: it is said, in the log and by verbose health" {
  local i
  # Two devices each, and eth0.
  for i in {1..16}; do ip -n "$POD" link add "a$i" type veth peer name "b$i"; done
  give REDIRECT_BACKEND=nft
  up
  has "$(<"$LAB/up.log")" 'warn.*more than 32 devices'
  says '[!]gate missing: there are more devices than the 32 at which it can stand'
  ip -n "$POD" link del a16
  attempt in_pod setup redirect
  lacks "$OUTPUT" 'more than'
  wait_until 10 says '[+]gate ok'
}

# --- without them

# Some row is wrong.
seen() {
  local family before=$FAULTS
  for family in 4 6; do
    frames gate $family $APP_UID >/dev/null
    ((FAULTS == before)) || break
    frames free $family $MITM_UID 'frame: SYN' >/dev/null
    ((FAULTS == before)) || break
    long_frames
    frames gate $family $APP_UID tag: >/dev/null
    long_frames 1500
    ((FAULTS == before)) || break
  done
  ((FAULTS > before)) || return 1
  FAULTS=$before
}
# The gate has the same text beside either backend, but what is behind it (the guard) has not.
each_rule_away() {
  local chain handle rule count=0 gate=(netdev opensandbox_egress)
  install_rules "$1"
  refute seen
  while read -r chain handle rule; do
    in_pod nft delete rule "${gate[@]}" "$chain" handle "$handle"
    seen || fault "no row sees that this is gone: $rule"
    count=$((count + 1))
    in_pod nft delete table "${gate[@]}"
    in_pod setup redirect
  done < <(in_pod nft -a list table "${gate[@]}" |
    awk '$1 == "chain" { chain = $2 } / # handle / && $1 != "chain" && $1 != "table" && $1 != "type" {
      rule = $0; sub(/ # handle .*/, "", rule); print chain, $NF, rule }')
  echo "$count rules"
  ((count >= 15))
  no_faults
}
@test "iptables: each rule of the gate taken away makes a row fail" { each_rule_away iptables; }
@test "nft: each rule of the gate taken away makes a row fail" { each_rule_away nft; }
