#!/usr/bin/env bats
# The rules: exactly ours, exactly once, everybody else's left alone.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

CHAIN=OPENSANDBOX_EGRESS
FORWARD_CHAIN=OPENSANDBOX_EGRESS_FORWARD
nat() { in_pod iptables-legacy -w -t nat "$@"; }

# Other people's rules, with counters, in every table: in front and behind, chains too.
foreign() {
  in_pod iptables-legacy-restore -c <<RESTORE
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:FOREIGN - [0:0]
:OPENSANDBOX_EGRESS_X - [0:0]
[1:11] -A PREROUTING -p tcp -m tcp --dport 5555 -j REDIRECT --to-ports 5556
[2:22] -A OUTPUT -d 198.51.100.1/32 -p tcp -m tcp --dport 81 -j DNAT --to-destination 198.51.100.2:82
[3:33] -A OUTPUT -m owner --uid-owner 777 -j FOREIGN
[4:44] -A OUTPUT -d 198.51.100.3/32 -j OPENSANDBOX_EGRESS_X
[5:55] -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
[6:66] -A FOREIGN -m comment --comment "somebody else" -j RETURN
[7:77] -A OPENSANDBOX_EGRESS_X -p tcp -m tcp --dport 443 -j RETURN
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:GUARD - [0:0]
[8:88] -A OUTPUT -d 198.51.100.9/32 -j GUARD
[9:99] -A GUARD -j DROP
COMMIT
RESTORE
  ((IPV6 == 0)) || in_pod ip6tables-legacy-restore -c <<RESTORE
*nat
:OUTPUT ACCEPT [0:0]
[3:33] -A OUTPUT -d 2001:db8:9::/48 -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 82
COMMIT
*filter
:OUTPUT ACCEPT [0:0]
[3:33] -A OUTPUT -d 2001:db8:9::/48 -j DROP
COMMIT
RESTORE
}
# Every rule with its counters. (Those of the chains' policies count all traffic.)
counted() {
  local table family
  for family in '' 6; do
    for table in nat filter; do
      in_pod "ip${family}tables-legacy-save" -c -t $table 2>/dev/null | sed -e '/^#/d' -e '/^:/s/ \[.*//'
    done
  done
}

@test "the rules are those of the design" {
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  golden default "$(legacy_rules nat)"
  state_is setup.state ready
  state_is setup.backend iptables
}

@test "setup redirect alone gives the same, with the CA left for later" {
  attempt in_pod setup redirect
  [[ $STATUS == 0 ]]
  golden default "$(legacy_rules nat)"
  [[ ! -e $CONFDIR ]]
}

@test "three runs give the same listing as one, and reset no counter" {
  attempt in_pod setup
  local once
  once=$(rules)
  as_app curl -s --max-time 2 http://shop.example.test/ || true
  nat -nvL $CHAIN | grep 'dports 80,443'
  has "$(nat -nvL $CHAIN)" '^ +[1-9][0-9]* .*dports 80,443'
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  same rules "$once" "$(rules)"
  golden default "$(legacy_rules nat)"
  has "$(nat -nvL $CHAIN)" '^ +[1-9][0-9]* .*dports 80,443'
}

@test "other ports and another user give exactly the new rules, there and back" {
  attempt in_pod setup
  attempt with MITMPROXY_PORT=65535 HTTP_ADDR=127.0.0.1:19000 MITMPROXY_USER=4294967294 \
    MITMPROXY_CONFDIR="$LAB/run/other" setup redirect
  [[ $STATUS == 0 ]]
  golden other-ports "$(legacy_rules nat)"
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  golden default "$(legacy_rules nat)"
}

@test "foreign rules stay, in order and with their counters; our jump is the first" {
  foreign
  local before
  before=$(counted)
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  golden foreign "$(legacy_rules nat)"
  same 'foreign rules' "$before" "$(counted | without_ours)"
  attempt with MITMPROXY_PORT=18085 setup
  same 'foreign rules' "$before" "$(counted | without_ours)"
  attempt in_pod setup clear
  [[ $STATUS == 0 ]]
  same 'all tables' "$before" "$(counted)"
}

@test "a rule that came in front of ours is second after the next run" {
  attempt in_pod setup
  nat -I OUTPUT 1 -p tcp --dport 443 -j ACCEPT
  attempt in_pod setup status
  [[ $STATUS != 0 ]]
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  same OUTPUT "-P OUTPUT ACCEPT
-A OUTPUT -j $CHAIN
-A OUTPUT -p tcp -m tcp --dport 443 -j ACCEPT" "$(nat -S OUTPUT)"
}

@test "clear leaves an untouched namespace untouched, and says nothing is ready" {
  local before
  before=$(counted)
  attempt in_pod setup clear
  [[ $STATUS == 0 ]]
  same 'all tables' "$before" "$(counted)"
  attempt in_pod setup
  state_is setup.state ready
  attempt in_pod setup clear
  [[ $STATUS == 0 ]]
  same 'all tables' "$before" "$(counted)"
  refute state_is setup.state ready
  [[ -s $CONFDIR/mitmproxy-ca.pem && -s $EXPORT/mitmproxy-ca-cert.pem ]]
}

@test "clear works with the configuration changed since, and when off" {
  local before
  before=$(counted)
  in_pod setup
  attempt with MITMPROXY_PORT=18085 HTTP_ADDR=:18099 MITMPROXY_USER=12345 setup clear
  [[ $STATUS == 0 ]]
  same 'all tables' "$before" "$(counted)"
  in_pod setup
  attempt with MITMPROXY_TRANSPARENT=off setup clear
  [[ $STATUS == 0 ]]
  same 'all tables' "$before" "$(counted)"
}

# What a crash, another tool or an older version may leave behind: one function each.
leave_chain_only() { nat -D OUTPUT 1; }
leave_empty_chain() { nat -F $CHAIN; }
leave_three_jumps() {
  nat -I OUTPUT 1 -j $CHAIN
  nat -A OUTPUT -j $CHAIN
}
leave_jump_last() {
  nat -D OUTPUT 1
  nat -A OUTPUT -j $CHAIN
}
leave_jump_narrowed() {
  nat -D OUTPUT 1
  nat -I OUTPUT 1 -p tcp --dport 80 -j $CHAIN
}
leave_rule_missing() { nat -D $CHAIN 4; }
leave_rule_added() { nat -I $CHAIN 3 -p tcp --dport 4444 -j ACCEPT; }
leave_rule_appended() { nat -A $CHAIN -p tcp --dport 4444 -j REDIRECT --to-ports 4445; }
leave_rule_changed() { nat -R $CHAIN 4 -p tcp -m multiport --dports 80,443 -j REDIRECT --to-ports 4444; }
leave_ports_changed() { nat -R $CHAIN 4 -p tcp -m multiport --dports 80,444 -j REDIRECT --to-ports 18081; }
leave_user_changed() { nat -R $CHAIN 3 -m owner --uid-owner 4444 -j RETURN; }
leave_user_inverted() { nat -R $CHAIN 3 -m owner ! --uid-owner 10042 -j RETURN; }
leave_verdict_changed() { nat -R $CHAIN 3 -m owner --uid-owner 10042 -j ACCEPT; }
leave_canary_narrowed() { nat -R $CHAIN 1 -s 10.0.0.0/8 -d 127.0.0.2/32 -p tcp -m multiport --dports 9 -j REDIRECT --to-ports 18080; }
leave_reordered() {
  nat -D $CHAIN 3
  nat -A $CHAIN -m owner --uid-owner 10042 -j RETURN
}
# The same with what the pod forwards, and with the gate.
filter() { in_pod iptables-legacy -w -t filter "$@"; }
leave_forward_chain_only() { filter -D FORWARD 1; }
leave_forward_chain_empty() { filter -F $FORWARD_CHAIN; }
leave_forward_three_jumps() {
  filter -I FORWARD 1 -j $FORWARD_CHAIN
  filter -A FORWARD -j $FORWARD_CHAIN
}
leave_forward_jump_narrowed() {
  filter -D FORWARD 1
  filter -I FORWARD 1 -p tcp --dport 80 -j $FORWARD_CHAIN
}
leave_forward_rule_missing() { filter -D $FORWARD_CHAIN 2; }
leave_forward_rule_added() { filter -I $FORWARD_CHAIN 1 -p tcp --dport 4444 -j ACCEPT; }
leave_forward_ports_changed() { filter -R $FORWARD_CHAIN 1 -p udp -m multiport --dports 80,444 -j REJECT; }
gate() { in_pod nft "$@"; }
GATE='netdev opensandbox_egress'
# (Words of a command of nft.)
# shellcheck disable=SC2086
{
  leave_gate_deleted() { gate delete table $GATE; }
  leave_gate_flushed() { gate flush table $GATE; }
  leave_gate_chain_flushed() { gate flush chain $GATE gate; }
  leave_gate_opened() { gate insert rule $GATE gate tcp dport 4444 accept; }
  leave_gate_without_a_rule() {
    gate delete rule $GATE gate handle "$(gate -a list chain $GATE gate | sed -n 's/.* skuid >= 0 .*# handle //p' | tail -n 1)"
  }
}
leftovers() { compgen -A function leave_; }

@test "whatever is left over is repaired by the next run" {
  local leftover
  nat -A OUTPUT -p tcp --dport 9999 -j ACCEPT
  in_pod setup
  local right
  right=$(rules)
  for leftover in $(leftovers); do
    $leftover
    refute same rules "$right" "$(rules)" >/dev/null || fault "$leftover: changed nothing"
    attempt in_pod setup
    [[ $STATUS == 0 ]] || fault "$leftover: status $STATUS"
    same rules "$right" "$(rules)" || fault "$leftover: not repaired"
  done
  no_faults
}

@test "whatever is left over is removed by clear" {
  local before leftover
  nat -A OUTPUT -p tcp --dport 9999 -j ACCEPT
  before=$(rules)
  for leftover in $(leftovers); do
    in_pod setup
    $leftover
    attempt in_pod setup clear
    [[ $STATUS == 0 ]] || fault "$leftover: status $STATUS"
    same rules "$before" "$(rules)" || fault "$leftover: not removed"
  done
  no_faults
}

@test "status: 0 when all is right, the difference named and not 0 when it is not" {
  local right leftover
  nat -A OUTPUT -p tcp --dport 9999 -j ACCEPT
  in_pod setup
  attempt in_pod setup status
  [[ $STATUS == 0 ]]
  right=$OUTPUT
  has "$right" "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")"
  has "$right" 20[0-9][0-9]-[01][0-9]-[0-3][0-9] # expiry
  for leftover in $(leftovers); do
    $leftover
    attempt in_pod setup status
    [[ $STATUS != 0 ]] || fault "$leftover: status 0"
    diff <(echo "$right") <(echo "$OUTPUT") | grep '^>' | grep -qE -e '-[AIDR] |OUTPUT|FORWARD|4444|OPENSANDBOX|gate|skuid' ||
      fault "$leftover: no rule named"
    in_pod setup redirect 2>/dev/null
  done
  nat -F
  attempt in_pod setup status
  [[ $STATUS != 0 ]] || fault 'flushed: status 0'
  no_faults
}

@test "status changes nothing, and knows off, cleared and never set up" {
  local before
  before=$(snapshot)
  attempt in_pod setup status
  [[ $STATUS != 0 ]]
  attempt with MITMPROXY_TRANSPARENT=off setup status
  same 'what is there' "$before" "$(snapshot)"
  in_pod setup
  before=$(snapshot)
  attempt in_pod setup status
  [[ $STATUS == 0 ]]
  attempt with MITMPROXY_TRANSPARENT=off setup status
  [[ $STATUS != 0 ]] # the rules are there yet
  attempt with MITMPROXY_PORT=18085 setup status
  [[ $STATUS != 0 ]] # others should be
  same 'what is there' "$before" "$(snapshot)"
  in_pod setup clear
  attempt in_pod setup status
  [[ $STATUS != 0 ]]
  with MITMPROXY_TRANSPARENT=off setup
  attempt with MITMPROXY_TRANSPARENT=off setup status
  [[ $STATUS == 0 ]]
}

@test "status names a CA that is gone, or another one in the export" {
  in_pod setup
  mv "$EXPORT/mitmproxy-ca-cert.pem" "$LAB/aside"
  attempt in_pod setup status
  [[ $STATUS != 0 ]]
  mv "$LAB/aside" "$EXPORT/mitmproxy-ca-cert.pem"
  attempt in_pod setup status
  [[ $STATUS == 0 ]]
  mv "$CONFDIR/mitmproxy-ca.pem" "$LAB/aside"
  attempt in_pod setup status
  [[ $STATUS != 0 ]]
  mv "$LAB/aside" "$CONFDIR/mitmproxy-ca.pem"
  cp "$STAGE/pki/unknown-ca.crt" "$EXPORT/mitmproxy-ca-cert.pem"
  attempt in_pod setup status
  [[ $STATUS != 0 ]]
}

@test "several setups at once: all succeed, the rules are there once" {
  local round pids pid
  for round in {1..8}; do
    pids=()
    for _ in 1 2 3 4; do
      in_pod setup >>"$LAB/setup.log" 2>&1 &
      pids+=($!)
    done
    for pid in "${pids[@]}"; do
      wait "$pid" || fault "round $round: a setup failed with $?"
    done
    golden default "$(legacy_rules nat)" || fault "round $round"
    state_is setup.state ready || fault "round $round: $(state setup.state)"
    in_pod setup clear 2>>"$LAB/setup.log"
  done
  cat "$LAB/setup.log"
  no_faults
}

@test "setup and clear at once: all of the rules or none" {
  local round none now
  none=$(legacy_rules nat)
  for round in {1..10}; do
    in_pod setup redirect >>"$LAB/setup.log" 2>&1 &
    in_pod setup clear >>"$LAB/setup.log" 2>&1 || fault "round $round: clear failed"
    wait $! || true # its rules may go before they are proved
    now=$(legacy_rules nat)
    [[ $now == "$none" ]] || golden default "$now" || fault "round $round"
  done
  cat "$LAB/setup.log"
  no_faults
}

# hold_port UID PORT [CMD]: a listener that answers with CMD, or not at all.
hold_port() {
  spawn holder setpriv --reuid "$1" --regid "$1" --clear-groups \
    socat "TCP-LISTEN:$2,bind=127.0.0.1,reuseaddr,fork" "${3-EXEC:sleep 30}"
  wait_until 3 listens "$2"
}

@test "a health port that somebody else holds: exit 69, the rules as before" {
  local none old
  none=$(rules)
  hold_port $OTHER_UID $HEALTH_PORT
  attempt in_pod timeout 15 setup
  [[ $STATUS == 69 ]]
  same rules "$none" "$(rules)"
  state_is setup.state failed
  [[ -n $(state setup.error) ]]
  # With other rules in place it is those that stay.
  attempt with HTTP_ADDR=:18090 MITMPROXY_PORT=18085 setup
  [[ $STATUS == 0 ]]
  old=$(rules)
  refute same rules "$none" "$old" >/dev/null
  attempt in_pod timeout 15 setup
  [[ $STATUS == 69 ]]
  same rules "$old" "$(rules)"
  # When the port is free again, all is well.
  kill "$SPAWNED"
  wait_until 3 refute listens $HEALTH_PORT 2>/dev/null
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  golden default "$(legacy_rules nat)"
}

@test "the canary proves the rules though NAT has to give its connection another port" {
  in_pod setup
  in_pod sysctl -qw net.ipv4.ip_local_port_range='40000 40003'
  # Direct connections to the health port from each of these ports, which connection tracking
  # remembers for a while.
  in_pod python3 - <<PYTHON
import socket
server = socket.create_server(("127.0.0.1", $HEALTH_PORT))
pairs = []
for port in range(40000, 40004):
    client = socket.create_connection(("127.0.0.1", $HEALTH_PORT), source_address=("127.0.0.1", port))
    pairs.append((client, server.accept()[0]))
for client, accepted in pairs:
    accepted.close()
    client.recv(1)
    client.close()
PYTHON
  attempt in_pod timeout 3 setup redirect
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'canary proved$'
}

@test "a health port held by something that answers like a web server is no proof" {
  local none
  none=$(rules)
  hold_port $OTHER_UID $HEALTH_PORT "SYSTEM:echo HTTP/1.1 404 Not Found; echo Content-Length\\: 0; echo"
  attempt in_pod timeout 15 setup
  [[ $STATUS == 69 ]]
  same rules "$none" "$(rules)"
}

@test "a canary that lands elsewhere is a failure: rules as before" {
  # mangle comes before nat: a connection that is dropped there proves nothing.
  in_pod iptables-legacy -w -t mangle -A OUTPUT -d 127.0.0.2/32 -j DROP
  local none
  none=$(rules)
  attempt in_pod timeout 20 setup
  [[ $STATUS == 69 ]]
  has "$OUTPUT" ' error .*canary 127\.0\.0\.2:9: timed out$'
  same rules "$none" "$(rules)"
  state_is setup.state failed
}

@test "redirect --wait: no rule before mitmdump listens, and none if it never does" {
  local none
  none=$(rules)
  in_pod setup prepare
  attempt in_pod setup redirect --wait=1
  [[ $STATUS == 69 ]]
  has "$OUTPUT" "$PROXY_PORT"
  same rules "$none" "$(rules)"
  state_is setup.state failed
  spawn setup setup redirect --wait
  wait_until 3 state_is setup.state running
  same rules "$none" "$(rules)"
  [[ -e /proc/$SPAWNED ]]
  local waiting=$SPAWNED
  # Somebody who only listens there is not mitmdump.
  hold_port $MITM_UID $PROXY_PORT
  local holder=$SPAWNED
  sleep 0.5
  same rules "$none" "$(rules)"
  kill "$holder"
  wait_until 5 gone "$holder"
  spawn healthd healthd
  await_exit "$waiting" 20
  [[ $STATUS == 0 ]]
  golden default "$(legacy_rules nat)"
}

@test "redirect --wait: the state directory replaced meanwhile gets the result" {
  in_pod setup prepare
  spawn waiting setup redirect --wait=20
  wait_until 5 grep -q 'waiting for mitmdump' "$LAB/waiting.log"
  mv "$LAB/run" "$LAB/run.old"
  in_pod setup prepare
  local waiting=$SPAWNED
  spawn healthd healthd
  await_exit "$waiting" 20
  wait_until 5 healthz_is '200 ok'
}

@test "clear without a /proc that shows the network finds its rules all the same" {
  in_pod setup
  attempt in_pod unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc && setup clear'
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'our rules removed'
  nothing_of_ours
}

@test "redirect --wait: somebody else's listener on the proxy port is not mitmdump" {
  local none
  none=$(rules)
  in_pod setup prepare
  hold_port $OTHER_UID $PROXY_PORT
  spawn healthd healthd
  wait_until 5 state_is mitm.state backoff
  attempt in_pod setup redirect --wait=1
  [[ $STATUS == 69 ]]
  has "$OUTPUT" "port $PROXY_PORT of 127.0.0.1 is held by another process, of uid $OTHER_UID"
  same rules "$none" "$(rules)"
}

@test "redirect --wait ends on SIGTERM at once, with nothing changed" {
  local none
  none=$(rules)
  spawn setup setup redirect --wait
  wait_until 3 state_is setup.state running
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 1
  [[ $STATUS != 0 ]]
  same rules "$none" "$(rules)"
}

@test "the lock of iptables is waited for, and done without where it cannot be made" {
  spawn holder flock "$XTABLES_LOCKFILE" sleep 0.7
  wait_until 2 refute flock -n "$XTABLES_LOCKFILE" true 2>/dev/null
  local started
  started=$(milliseconds)
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  (($(milliseconds) - started > 400))
  golden default "$(legacy_rules nat)"
  in_pod setup clear
  attempt in_pod env XTABLES_LOCKFILE=/proc/nowhere/lock setup
  [[ $STATUS == 0 ]]
  golden default "$(legacy_rules nat)"
}
