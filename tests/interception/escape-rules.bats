#!/usr/bin/env bats
# An application without privileges that looks for a way around the redirect: whatever it does
# with its sockets is intercepted or refused, in both backends and both families.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(ipv6)

CHAIN=OPENSANDBOX_EGRESS
SOURCES=20000 # the application's ports begin here; mitmdump has those of the kernel's range
EXTRA=9443    # a redirected port at which the origin does not listen

# prepare BACKEND FAMILY: all is up, and the origin counts what comes from the application's own
# ports to a redirected port, by whatever address, but for the resets that the pod's kernel sends.
prepare() {
  [[ $1 == nft ]] || need legacy
  if [[ $2 == 4 ]]; then
    OWN=10.77.0.2 TARGET=203.0.113.10
  else
    OWN=fd77::2 TARGET=2001:db8::16
  fi
  SOURCE=$SOURCES
  give REDIRECT_BACKEND="$1" MITMPROXY_EXTRA_PORTS=$EXTRA MITMPROXY_SSL_INSECURE=1
  # Data go with the first SYN already; and as in a container, low ports are anybody's.
  in_pod sysctl -qw net.ipv4.tcp_fastopen=5 net.ipv4.ip_unprivileged_port_start=0 ||
    skip_or_fail '/proc/sys is read-only'
  second_device
  in_origin nft -f - <<NFT
table netdev watch {
  counter direct {}
  chain ingress {
    type filter hook ingress devices = { eth0, eth1 } priority 0; policy accept;
    ip daddr 127.0.0.0/8 counter name direct
    ip6 daddr ::1 counter name direct
    tcp dport { 80, 443, $EXTRA } tcp sport $SOURCES-$((SOURCES + 999)) tcp flags & rst == 0 counter name direct
  }
}
table inet mood {
  chain mood {}
  chain input { type filter hook input priority 0; policy accept; jump mood; }
}
NFT
  up
}
# A second way out of the pod, at whose end somebody answers to the pod's own addresses.
second_device() {
  local address link
  ip -n "$POD" link add eth1 type veth peer name eth1 netns "$ORIGIN"
  ip -n "$ORIGIN" link set eth1 up
  ip -n "$POD" address add 10.78.0.2/24 dev eth1
  ip -n "$POD" link set eth1 up
  OWN_LINK=$(ip -n "$POD" -6 address show dev eth0 scope link | sed -n 's|.*inet6 \([^/]*\)/.*|\1|p')
  link=$(ip -n "$ORIGIN" link show dev eth1 | sed -n 's|.*link/ether \([^ ]*\) .*|\1|p')
  for address in 10.77.0.2 "$OWN_LINK"; do
    ip -n "$POD" neighbour add "$address" lladdr "$link" dev eth1
  done
}
# The origin's ports: silent, or closed, or (without a word) as they are.
mood() {
  in_origin nft flush chain inet mood mood
  (($# == 0)) || in_origin nft add rule inet mood mood tcp dport "{ 80, 443 }" "$@"
}
forget() { in_origin nft reset counter netdev watch direct >/dev/null; }
direct() { in_origin nft list counter netdev watch direct | sed -n 's/.*packets \([0-9]*\) .*/\1/p'; }

# escape UID WAY: what became of it, in ESCAPE.
escape() {
  ESCAPE=$(as_user "$1" /usr/bin/python3 "$STAGE/lib/escape.py" "$2" "$OWN" "$TARGET" 443 $SOURCE 2>&1)
}
# tried WAY: the application tries it, and the origin hears nothing of it.
tried() {
  forget
  escape $APP_UID "$1"
  echo "$1 from $SOURCE: $ESCAPE"
  [[ $ESCAPE == intercepted || $ESCAPE == 'refused: '* ]] || fault "$1: $ESCAPE"
  same 'packets that came to the origin' 0 "$(direct)" || fault "$1"
  SOURCE=$((SOURCE + 1))
}
# intercepted WAY: and it is not merely refused.
intercepted() {
  tried "$@"
  [[ $ESCAPE == intercepted ]] || fault "$1: $ESCAPE"
}

# Each with a source port of its own.
ways() {
  local way
  prepare "$@"
  for way in plain fast_open multipath after_loopback beside_loopback after_listening multipath_after_loopback \
    fast_open_after_loopback; do
    intercepted $way
  done
  # Connection tracking is to forget soon what has been reset.
  in_pod sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close=1
  for way in forgotten fast_open_by_device after_free_bind as_the_origin by_loopback by_loopback_from_anywhere by_unicast_interface by_device \
    to_loopback_by_device; do
    tried $way
  done
  if [[ $2 == 4 ]]; then
    for way in mapped mapped_after_loopback; do intercepted $way; done
    for way in by_own_address by_gateway; do tried $way; done
  fi
  [[ $2 == 6 ]] && TARGET=$OWN_LINK || TARGET=$OWN
  tried to_own_by_other_device
  healthz_is '200 ok' || fault "$(healthz)"
  no_faults
}
@test "iptables, IPv4: sockets bound to devices, fast open, multipath, mapped addresses" { ways iptables 4; }
@test "iptables, IPv6: sockets bound to devices, fast open, multipath" { ways iptables 6; }
@test "nft, IPv4: sockets bound to devices, fast open, multipath, mapped addresses" { ways nft 4; }
@test "nft, IPv6: sockets bound to devices, fast open, multipath" { ways nft 6; }

# Where mitmdump's own connections were, an entry of connection tracking without NAT is left.
footsteps() {
  prepare "$@"
  # Nobody has answered, and mitmdump has given up.
  mood drop
  escape $MITM_UID half_way
  mood
  tried plain
  # The origin has refused.
  mood reject with tcp reset
  escape $MITM_UID half_way
  mood
  tried plain
  # It was a whole connection, which the origin has ended.
  escape $MITM_UID plain
  tried plain
  # It is under way.
  mood drop
  in_pod setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups /usr/bin/python3 \
    "$STAGE/lib/escape.py" plain "$OWN" "$TARGET" 443 $SOURCE 3>&- >/dev/null &
  wait_until 3 is_under_way
  forget
  escape $APP_UID plain
  mood
  [[ $ESCAPE == 'refused: '* ]] || fault "under way: $ESCAPE"
  wait $! || true
  no_faults
}
is_under_way() { in_pod ss -Htn state syn-sent "sport = :$SOURCE" | grep -q .; }
@test "iptables, IPv4: from the source ports of mitmdump's connections" { footsteps iptables 4; }
@test "iptables, IPv6: from the source ports of mitmdump's connections" { footsteps iptables 6; }
@test "nft, IPv4: from the source ports of mitmdump's connections" { footsteps nft 4; }
@test "nft, IPv6: from the source ports of mitmdump's connections" { footsteps nft 6; }

# An origin that connects to the application's port, from the one that the application connects to.
meeting() {
  prepare "$@"
  kill "$(<"$LAB/origin/pid")"
  wait_until 5 origin_is_gone
  in_origin /usr/bin/python3 "$STAGE/lib/escape.py" meet "$TARGET" "$OWN" $SOURCE 443 3>&- >"$LAB/meeting" &
  escape $APP_UID meet
  wait $! || true
  has "$ESCAPE" '^refused: nobody met$'
  has "$(<"$LAB/meeting")" '^refused: nobody met$'
}
origin_is_gone() { [[ -z $(in_origin ss -Hltn 'sport = :443') ]]; }
@test "iptables, IPv4: both ends connect at once" { meeting iptables 4; }
@test "iptables, IPv6: both ends connect at once" { meeting iptables 6; }
@test "nft, IPv4: both ends connect at once" { meeting nft 4; }
@test "nft, IPv6: both ends connect at once" { meeting nft 6; }

# --- and nobody else is refused

# Counters are no part of our nft rules, so the guard's is given one here.
count_refused() {
  local chain handle
  [[ $1 == nft ]] || return 0
  for chain in filter_ipv4 filter_ipv6; do
    handle=$(in_pod nft -a list chain inet opensandbox_egress $chain | sed -n 's/.* syn .*tcp reset # handle //p')
    in_pod nft replace rule inet opensandbox_egress $chain handle "$handle" \
      tcp flags syn / syn,rst,ack tcp dport '{ 80, 443, '$EXTRA' }' counter reject with tcp reset
  done
}
# The same for what the gate drops.
count_dropped() {
  {
    echo 'delete table netdev opensandbox_egress'
    in_pod nft list table netdev opensandbox_egress | sed 's/ drop$/ counter drop/'
  } >"$LAB/gate.nft"
  in_pod nft -f "$LAB/gate.nft"
}
dropped() {
  in_pod nft list table netdev opensandbox_egress |
    awk '/counter/ { for (i = 1; $i != "packets"; i++); n += $(i + 1) } END { print n + 0 }'
}
# Print how many SYNs the guards of both families have refused.
refused() {
  if [[ $1 == nft ]]; then
    in_pod nft list table inet opensandbox_egress | awk '/counter/ { for (i = 1; $i != "packets"; i++); n += $(i + 1); rules++ }
      END { print n " by " rules }'
  else
    {
      in_pod iptables-legacy -w -t filter -vnxL $CHAIN
      in_pod ip6tables-legacy -w -t filter -vnxL $CHAIN
    } | awk '/0x16\/0x02.*tcp-reset/ { n += $1; rules++ } END { print n " by " rules }'
  fi
}
mixed_traffic() {
  local address clients=() client mark
  prepare "$1" 4
  count_refused "$1"
  count_dropped
  for address in 203.0.113.10 2001:db8::16; do
    in_origin /usr/bin/python3 "$STAGE/lib/mixed_traffic.py" serve $address $EXTRA 3>&- >"$LAB/server.log" 2>&1 &
    spawn "client-$address" setpriv --reuid $APP_UID --regid $APP_UID --clear-groups \
      /usr/bin/python3 "$STAGE/lib/mixed_traffic.py" ask 100 $address $EXTRA
    clients+=("$SPAWNED")
  done
  for mark in 20 40 60; do
    wait_until 60 grep -q "^round $mark$" "$LAB/client-203.0.113.10.log"
    kill -KILL "$(mitmdump_pid)"
    wait_until 20 healthz_is '200 ok'
  done
  for client in "${clients[@]}"; do
    await_exit "$client" 60
    [[ $STATUS == 0 ]] || fault "a client ended with $STATUS"
  done
  grep -h answered "$LAB"/client-*.log
  for address in 203.0.113.10 2001:db8::16; do
    (($(sed -n 's/^answered \([0-9]*\) .*/\1/p' "$LAB/client-$address.log") > 40)) || fault "$address: too few to tell"
  done
  same 'SYNs that the guard refused' '0 by 2' "$(refused "$1")" || fault 'somebody was refused'
  same 'frames that the gate dropped' 0 "$(dropped)" || fault 'somebody was dropped'
  # It would have been seen.
  mood drop
  escape $MITM_UID half_way
  mood
  tried plain
  same 'SYNs that the guard refused' '1 by 2' "$(refused "$1")" || fault 'nothing is counted'
  no_faults
}
@test "iptables: 200 rounds of mixed traffic, mitmdump killed three times, and the guard refuses nothing" { mixed_traffic iptables; }
@test "nft: 200 rounds of mixed traffic, mitmdump killed three times, and the guard refuses nothing" { mixed_traffic nft; }
