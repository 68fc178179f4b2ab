#!/usr/bin/env bats
# Others in the same tables: whatever they have there stays, whenever they change it.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy ipv6)

CHAIN=OPENSANDBOX_EGRESS

# --- at the same time

start_writers() {
  local mode
  WRITERS=()
  for mode in append insert chain; do
    spawn "writer-$mode" /usr/bin/python3 "$ROOT/tests/lib/writer.py" "$mode" $mode "${SEED:-$RANDOM}"
    WRITERS+=("$SPAWNED")
    wait_until 5 grep -q begin "$LAB/writer-$mode.log"
  done
}
stop_writers() {
  local pid
  kill "${WRITERS[@]}" || true
  for pid in "${WRITERS[@]}"; do
    await_exit "$pid" 10
    [[ $STATUS == 0 ]] || fault "a writer ended with $STATUS"
  done
  grep -h -e failed -e operations "$LAB"/writer-*.log
}
# The writer's rules, as it believes them to be and as they are.
believed() { grep -h '^ip6\?tables-legacy ' "$LAB/writer-$1.log"; }
found() {
  local program table
  for program in iptables-legacy ip6tables-legacy; do
    for table in nat filter; do
      in_pod $program -w -t $table -S | grep -E -e "--comment $1-[0-9]+" | sed "s/^/$program $table /"
    done
  done
}
writers_have_their_rules() {
  local mode
  for mode in append insert chain; do
    (($(sed -n 's/^operations //p' "$LAB/writer-$mode.log") > 100)) || fault "$mode: too few operations to tell"
    same "rules of writer $mode" "$(believed $mode)" "$(found $mode)" || fault "$mode: lost or revived"
  done
}
# What is ours in the listing on standard input.
ours() { grep -E "\\b$CHAIN(_INPUT|_FORWARD)?\\b|^ip6?tables -t"; }

# contend ROUNDS CONFIGURATION...: setup in turn with these, among the writers. (A
# configuration: VARIABLE=VALUE, several separated by blanks.)
contend() {
  local rounds=$1 round
  shift
  start_writers
  for ((round = 0; round < rounds; round++)); do
    # shellcheck disable=SC2046 # several variables
    attempt with $(eval "echo \${$((round % $# + 1))}") setup redirect >/dev/null
    [[ $STATUS == 0 ]] || fault "round $round: status $STATUS: $OUTPUT"
  done
  stop_writers
}

@test "200 rounds of setup among three other writers: nobody loses a rule, ours are there once" {
  contend 200 MITMPROXY_PORT=18081 'MITMPROXY_PORT=18085 MITMPROXY_EXCLUDE_UIDS=7,8 MITMPROXY_EXTRA_PORTS=8080'
  writers_have_their_rules
  # A rule of the writer that inserts may be in front of ours by now.
  attempt in_pod setup redirect
  [[ $STATUS == 0 ]]
  same 'our rules' "$(ours <"$BATS_TEST_DIRNAME/golden/iptables-default.rules")" "$(listing iptables | ours)" || fault ours
  our_jump_is_first
  in_pod setup clear
  nothing_of_ours
  writers_have_their_rules
  no_faults
}

@test "60 rounds among them from one backend to the other: the same" {
  contend 60 REDIRECT_BACKEND=nft REDIRECT_BACKEND=iptables 'REDIRECT_BACKEND=nft MITMPROXY_PORT=18085'
  writers_have_their_rules
  attempt with REDIRECT_BACKEND=iptables setup redirect
  same 'our rules' "$(ours <"$BATS_TEST_DIRNAME/golden/iptables-default.rules")" "$(listing iptables | ours)" || fault ours
  same 'nft tables' '' "$(listing nft | without_gate)" || fault 'rules of both'
  no_faults
}

# --- before

# Every rule with its counters (the policies' count all traffic), and the nft tables.
counted() {
  local family table
  for family in '' 6; do
    for table in nat filter mangle; do
      echo "ip${family}tables -t $table"
      in_pod "ip${family}tables-legacy-save" -c -t $table | sed -e '/^#/d' -e '/^:/s/ \[.*//'
    done
  done
  listing nft
}
# The same without what is ours.
others() { counted | without_ours; }
our_jump_is_first() {
  local family where table hook chain
  for family in '' 6; do
    for where in nat:OUTPUT:$CHAIN filter:OUTPUT:$CHAIN filter:INPUT:${CHAIN}_INPUT filter:FORWARD:${CHAIN}_FORWARD; do
      IFS=: read -r table hook chain <<<"$where"
      same "ip${family}tables -t $table: first rule" "-A $hook -j $chain" \
        "$(in_pod "ip${family}tables-legacy" -w -t "$table" -S "$hook" | sed -n 2p)" || fault "ip${family}tables -t $where"
    done
  done
}
# kept: whatever setup does, in both backends, what was there before is there still, in order
# and with its counters; and after clear there is nothing else.
kept() {
  local before backend started
  before=$(counted)
  for backend in iptables nft iptables; do
    started=$(milliseconds)
    attempt with REDIRECT_BACKEND=$backend setup redirect
    [[ $STATUS == 0 ]] || fault "$backend: status $STATUS"
    (($(milliseconds) - started < 5000)) || fault "$backend: took $(($(milliseconds) - started)) ms"
    same "others' rules" "$before" "$(others)" || fault "$backend: others' rules"
    [[ $backend != iptables ]] || our_jump_is_first
    attempt with REDIRECT_BACKEND=$backend MITMPROXY_PORT=18085 MITMPROXY_IPV6=reject setup redirect
    same "others' rules" "$before" "$(others)" || fault "$backend: others' rules after a change"
    attempt with REDIRECT_BACKEND=$backend setup status
    same "others' rules" "$before" "$(others)" || fault "$backend: others' rules after status"
    in_pod setup clear
    same tables "$before" "$(counted)" || fault "$backend: tables after clear"
  done
  no_faults
}

@test "foreign rules in front and behind, foreign chains: kept in order, with counters" {
  local family any net
  for family in '' 6; do
    any=198.51.100.1 net=192.0.2.0/24
    [[ -z $family ]] || any=2001:db8:5::1 net=2001:db8:6::/64
    in_pod "ip${family}tables-legacy-restore" -c <<RESTORE
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[1:10] -A OUTPUT -p tcp -m tcp --dport 5555 -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:A_FIRST - [0:0]
:OPENSANDBOX_EGRES - [0:0]
:OPENSANDBOX_EGRESS2 - [0:0]
:Z_LAST - [0:0]
:EMPTY - [0:0]
[1:11] -A PREROUTING -p tcp -m tcp --dport 5555 -j REDIRECT --to-ports 5556
[2:22] -A OUTPUT -p tcp -m tcp --dport 81 -j A_FIRST
[2:23] -A OUTPUT -p tcp -m tcp --dport 81 -j A_FIRST
[3:33] -A OUTPUT -d $any -m owner --uid-owner 777 -j OPENSANDBOX_EGRESS2
[4:44] -A OUTPUT -p tcp -m tcp --dport 82 -j Z_LAST
[5:55] -A POSTROUTING -s $net -j MASQUERADE
[6:66] -A A_FIRST -m comment --comment "somebody else" -j RETURN
[7:77] -A OPENSANDBOX_EGRES -p tcp -m tcp --dport 443 -j RETURN
[8:88] -A OPENSANDBOX_EGRESS2 -p tcp -m tcp --dport 443 -g OPENSANDBOX_EGRES
[9:99] -A Z_LAST -p tcp -m tcp ! --dport 443 -j REDIRECT --to-ports 1-2
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:GUARD - [0:0]
[1:12] -A INPUT -i eth9 -j DROP
[8:88] -A OUTPUT -o eth9 -m conntrack --ctstate NEW -m limit --limit 5/sec -j GUARD
[9:99] -A GUARD -j DROP
COMMIT
RESTORE
  done
  in_pod nft -f - <<'NFT'
table ip opensandbox_egress {
  chain output { type nat hook output priority -101; policy accept; tcp dport 81 counter packets 5 bytes 6 redirect to :82; }
}
table inet opensandbox_egress2 {
  set names { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 } }
  chain opensandbox_egress { ip daddr @names counter packets 7 bytes 8 drop; }
}
NFT
  kept
}

@test "5,000 foreign rules: kept in order, within seconds" {
  local family program
  for family in '' 6; do
    {
      echo '*nat'
      seq -f '-A OUTPUT -p tcp -m tcp --dport %.0f -m comment --comment foreign -j ACCEPT' 10001 15000
      echo COMMIT
      echo '*filter'
      seq -f '-A OUTPUT -p udp -m udp --dport %.0f -m comment --comment foreign -j ACCEPT' 10001 15000
      echo COMMIT
    } | in_pod "ip${family}tables-legacy-restore"
  done
  kept
}

@test "a nat table that istio's tools filled first: kept in order" {
  local family local_address
  for family in '' 6; do
    local_address=127.0.0.1/32
    [[ -z $family ]] || local_address=::1/128
    in_pod "ip${family}tables-legacy-restore" <<RESTORE
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT ! -d $local_address -o lo -p tcp -m tcp ! --dport 53 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d $local_address -o lo -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d $local_address -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
RESTORE
  done
  kept
}

@test "beside istio's rules traffic is intercepted all the same, and mitmdump's is theirs" {
  in_pod iptables-legacy-restore <<'RESTORE'
*nat
:ISTIO_OUTPUT - [0:0]
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -o lo -j RETURN
-A ISTIO_OUTPUT -p tcp -j REDIRECT --to-ports 15001
COMMIT
RESTORE
  # Envoy's place: it tells where a connection was to go, and goes there by another port.
  spawn envoy socat TCP-LISTEN:15001,reuseaddr,fork,bind=127.0.0.1 TCP:203.0.113.10:8080,sourceport=0
  wait_until 3 listens 15001
  in_pod iptables-legacy -w -t nat -I ISTIO_OUTPUT -p tcp --dport 8080 -j RETURN
  up
  attempt app_curl http://shop.example.test/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  has "$OUTPUT" '^to: 203.0.113.10:8080$'
}
