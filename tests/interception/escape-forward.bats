#!/usr/bin/env bats
# What the pod forwards for somebody else: containers and virtual machines in it, who are root of
# their own namespaces.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/nested.sh"

NEEDS=(ipv6)
teardown() {
  nested_down
  test_down
}

EXTRA=9443 # redirected; the origin listens there, and at OTHER
OTHER=8080

# install_rules BACKEND [NAME=VALUE...]
install_rules() {
  [[ $1 == nft ]] || need legacy
  give REDIRECT_BACKEND="$1" MITMPROXY_EXTRA_PORTS=$EXTRA "${@:2}"
  attempt in_pod setup
  [[ $STATUS == 0 ]]
}
serve() {
  local port
  for port in 80 443 $EXTRA $OTHER; do
    in_origin /usr/bin/python3 "$STAGE/lib/udp.py" serve "$port" 203.0.113.10 2001:db8::16 3>&- >"$LAB/udp-$port.log" 2>&1 &
  done
  in_origin /usr/bin/python3 -c "import socket, time
servers = [socket.create_server(('203.0.113.10', $EXTRA)),
           socket.create_server(('2001:db8::16', $EXTRA), family=socket.AF_INET6)]
time.sleep(1000)" 3>&- &
  wait_until 5 serving
  wait_until 10 is_on_its_way
}
# The first packets may wait for addresses and neighbours to be found.
is_on_its_way() {
  local name address
  for name in "$NESTED" "$BRIDGED"; do
    for address in 203.0.113.10 2001:db8::16; do
      ! ip netns exec "$name" /usr/bin/python3 "$STAGE/lib/forwarded.py" $address $OTHER | grep -q silence || return
    done
  done
}
serving() {
  [[ $(in_origin ss -Hltn "sport = :$EXTRA" | wc -l) == 2 && $(in_origin ss -Hlun "sport = :$OTHER" | wc -l) == 2 ]]
}
# found NAMESPACE ADDRESS EXPECTED: what somebody there gets at the ports, a word for each.
found() {
  attempt ip netns exec "$1" /usr/bin/python3 "$STAGE/lib/forwarded.py" "$2" 80 443 $EXTRA $OTHER
  same "from $1 to $2" "$3" "$(cut -d: -f2 <<<"$OUTPUT" | xargs)" || fault "$1 to $2"
}
everywhere() {
  local name address
  for name in "$NESTED" "$BRIDGED"; do
    for address in 203.0.113.10 2001:db8::16; do found "$name" $address "$1"; done
  done
}
ALL_PASS='connected answered connected answered connected answered connected answered'
REFUSED='refused refused refused refused refused refused connected answered'

@test "without rules, all that is forwarded passes" {
  nested_up
  serve
  everywhere "$ALL_PASS"
  no_faults
}
forwarded() {
  nested_up
  serve
  install_rules "$1"
  everywhere "$REFUSED"
  # It does not come from the gate.
  in_pod nft delete table netdev opensandbox_egress
  everywhere "$REFUSED"
  # With the rules as they are told to be.
  give MITMPROXY_FORWARDED=allow
  in_pod setup
  everywhere "$ALL_PASS"
  no_faults
}
@test "iptables: forwarded connections and datagrams to the redirected ports are refused" { forwarded iptables; }
@test "nft: forwarded connections and datagrams to the redirected ports are refused" { forwarded nft; }

excluded() {
  nested_up
  serve
  install_rules "$1" MITMPROXY_EXCLUDE_CIDRS=203.0.113.10/32
  found "$NESTED" 203.0.113.10 "$ALL_PASS"
  found "$NESTED" 2001:db8::16 "$REFUSED"
  no_faults
}
@test "iptables: to excluded networks forwarded packets pass" { excluded iptables; }
@test "nft: to excluded networks forwarded packets pass" { excluded nft; }

# --- frames that its root makes

FORWARDED_WORD=gate
# forwarded_frames FAMILY PART...: rows of frames.py are stopped on their way by the pod. (Not those
# of "short": connection tracking lets the first fragment go, and keeps the others.)
forwarded_frames() {
  local own target gateway part
  if [[ $1 == 4 ]]; then
    own=10.79.0.2 target=203.0.113.10
  else
    own=fd79::2 target=2001:db8::16
  fi
  gateway=$(in_pod cat /sys/class/net/inner0/address)
  shift
  for part; do
    attempt in_origin /usr/bin/python3 "$STAGE/lib/frames.py" watch eth0 ip netns exec "$NESTED" \
      /usr/bin/python3 "$STAGE/lib/frames.py" play eth0 $own $target "$gateway" "$FORWARDED_WORD" "$part"
    has "$OUTPUT" '^0 wrong$' || fault "$part"
    refute test "$(wc -l <<<"$OUTPUT")" -le 1
  done
}
frames() {
  nested_up
  serve
  install_rules "$1"
  forwarded_frames 4 'frame: SYN' segment: ended: fragment: header: 'passing: UDP to another port'
  forwarded_frames 6 'frame: SYN' segment: ended: fragment: header: 'passing: UDP to another port'
  no_faults
}
@test "iptables: frames of a root behind the pod" { frames iptables; }
@test "nft: frames of a root behind the pod" { frames nft; }

# Who poses as the origin makes answers of what he sends, which ranges let pass: not to 80 and 443.
posing() {
  local family
  in_pod sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.inner0.rp_filter=0
  for family in 4 6; do forwarded_frames "$family" posed:; done
}
answers() {
  nested_up
  serve
  install_rules "$1" MITMPROXY_EXTRA_PORTS=9000-9999
  in_pod nft delete table netdev opensandbox_egress
  posing
  # They would arrive.
  give MITMPROXY_FORWARDED=allow
  in_pod setup redirect
  FORWARDED_WORD=free
  posing
  no_faults
}
@test "iptables: what poses as coming from outside makes no answers to 80 and 443" { answers iptables; }
@test "nft: what poses as coming from outside makes no answers to 80 and 443" { answers nft; }

# Both ends connect at once, and the one behind the pod does not hear that it is refused.
meeting() {
  local target source
  nested_up
  install_rules "$1"
  kill "$(<"$LAB/origin/pid")"
  wait_until 5 origin_is_gone
  ip netns exec "$NESTED" nft -f - <<'NFT'
table inet deaf {
  chain input {
    type filter hook input priority 0; policy accept;
    tcp flags rst drop
    meta l4proto { icmp, icmpv6 } ct state related drop
  }
}
NFT
  for target in 203.0.113.10 2001:db8::16; do
    source=10.79.0.2
    [[ $target != *:* ]] || source=fd79::2
    in_origin /usr/bin/python3 "$STAGE/lib/escape.py" meet $target $source 20000 443 3>&- >"$LAB/meeting" &
    attempt ip netns exec "$NESTED" /usr/bin/python3 "$STAGE/lib/escape.py" meet $source $target 443 20000
    wait $! || true
    has "$OUTPUT" '^refused: nobody met$' || fault "$target"
    has "$(<"$LAB/meeting")" '^refused: nobody met$' || fault "$target"
  done
  no_faults
}
origin_is_gone() { [[ -z $(in_origin ss -Hltn 'sport = :443') ]]; }
@test "iptables: both ends connect at once, one behind the pod" { meeting iptables; }
@test "nft: both ends connect at once, one behind the pod" { meeting nft; }

# --- without them

# Some row is wrong.
seen() {
  local before=$FAULTS family
  {
    found "$NESTED" 203.0.113.10 "$REFUSED"
    found "$NESTED" 2001:db8::16 "$REFUSED"
    if ((FAULTS == before)); then
      for family in 4 6; do forwarded_frames $family 'segment: data' ended:; done
    fi
  } >/dev/null
  ((FAULTS > before)) || return 1
  FAULTS=$before
}
# The commands that take away one rule each, a line for each.
deletions() {
  local program
  if [[ $1 == nft ]]; then
    in_pod nft -a list table inet opensandbox_egress | awk '$1 == "chain" { chain = $2 }
      / # handle / && chain ~ /forward/ && $1 != "chain" { print "nft delete rule inet opensandbox_egress", chain, "handle", $NF }'
    return
  fi
  for program in iptables-legacy ip6tables-legacy; do
    in_pod $program -w -S | sed -n "/^-A .*FORWARD/s/^-A /$program -w -D /p"
  done
}
sabotaged() {
  local deletion count=0 list
  nested_up
  serve
  install_rules "$1"
  refute seen
  mapfile -t list < <(deletions "$1")
  for ((count = 0; count < ${#list[@]}; count++)); do
    # Handles are others after each time.
    mapfile -t list < <(deletions "$1")
    deletion=${list[count]}
    # shellcheck disable=SC2086 # words
    in_pod $deletion
    seen || fault "no row sees that this is gone: $deletion"
    in_pod setup redirect 2>/dev/null
  done
  echo "$count rules"
  ((count == 10))
  no_faults
}
@test "iptables: each rule of FORWARD taken away makes a row fail" { sabotaged iptables; }
@test "nft: each rule of FORWARD taken away makes a row fail" { sabotaged nft; }
