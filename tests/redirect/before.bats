#!/usr/bin/env bats
# What was in the namespace before the rules came: connections of applications, and nat chains of
# other programs.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(ipv6)

EXCLUDED_UID=777

# keeping NAME UID ROW...: somebody who keeps connections (kept.py).
keeping() {
  local name=$1 uid=$2
  shift 2
  spawn "$name" setpriv --reuid "$uid" --regid "$uid" --clear-groups /usr/bin/python3 "$STAGE/lib/kept.py" "$@"
  wait_until 10 grep -q connected "$LAB/$name.log" || {
    cat "$LAB/$name.log"
    return 1
  }
  printf -v "KEEPER_$name" %s "$SPAWNED"
}
# kept NAME TEXT: what has become of them.
kept() {
  local keeper=KEEPER_$1 lines
  lines=$(wc -l <"$LAB/$1.log")
  kill -USR1 "${!keeper}"
  wait_until 10 finished "$1" "$lines"
  same "$1's connections" "$2" "$(tail -n +$((lines + 1)) "$LAB/$1.log" | grep -v '^done$')" || fault "$1"
}
finished() { tail -n +$(($2 + 1)) "$LAB/$1.log" | grep -q '^done$'; }
# local_server PORT ADDRESS: in the pod.
local_server() {
  spawn "local-$1" /usr/bin/python3 -m http.server --protocol HTTP/1.1 --bind "$2" "$1"
  wait_until 5 listens "$1"
}
redirect() {
  attempt in_pod setup redirect
  [[ $STATUS == 0 ]]
}
prepared() {
  [[ $1 == nft ]] || need legacy
  give REDIRECT_BACKEND="$1" MITMPROXY_EXTRA_PORTS=8443,9443 MITMPROXY_EXCLUDE_UIDS=$EXCLUDED_UID \
    MITMPROXY_EXCLUDE_CIDRS=203.0.113.12/32,2001:db8::40/128
  in_pod setup prepare
}

connections() {
  prepared "$1"
  local_server 80 127.0.0.1
  keeping app $APP_UID 203.0.113.10/443 203.0.113.10/80 203.0.113.10/8443 2001:db8::16/443 2001:db8::16/80 \
    ::ffff:203.0.113.10/443 multipath+203.0.113.10/443 \
    203.0.113.10/8080 2001:db8::16/8080 203.0.113.12/443 ::ffff:203.0.113.12/443 2001:db8::40/443 127.0.0.1/80
  keeping root 0 203.0.113.10/443 2001:db8::16/443
  keeping proxy $MITM_UID 203.0.113.10/443 2001:db8::16/443
  keeping excluded $EXCLUDED_UID 203.0.113.10/80 2001:db8::16/80
  redirect
  kept app "203.0.113.10/443: ECONNABORTED
203.0.113.10/80: ECONNABORTED
203.0.113.10/8443: ECONNABORTED
2001:db8::16/443: ECONNABORTED
2001:db8::16/80: ECONNABORTED
::ffff:203.0.113.10/443: ECONNABORTED
multipath+203.0.113.10/443: ECONNABORTED
203.0.113.10/8080: alive
2001:db8::16/8080: alive
203.0.113.12/443: alive
::ffff:203.0.113.12/443: alive
2001:db8::40/443: alive
127.0.0.1/80: alive"
  kept root '203.0.113.10/443: ECONNABORTED
2001:db8::16/443: ECONNABORTED'
  kept proxy '203.0.113.10/443: alive
2001:db8::16/443: alive'
  kept excluded '203.0.113.10/80: alive
2001:db8::16/80: alive'
  has "$OUTPUT" 'info  setup: 6 connections from before the rules closed$'
  has "$OUTPUT" 'info  setup: 3 connections from before the rules closed$'
  # A second run closes nothing, whatever it would have.
  give MITMPROXY_EXCLUDE_CIDRS='' MITMPROXY_EXCLUDE_UIDS=''
  keeping later $MITM_UID 203.0.113.10/443
  redirect
  lacks "$OUTPUT" 'from before'
  same 'connections that are left' 3 "$(in_pod ss -Htn state established 'dport = :80' | wc -l)" || fault 'closed'
  kept later '203.0.113.10/443: alive'
  no_faults
}
@test "iptables: connections from before the rules are closed, and no others" { connections iptables; }
@test "nft: connections from before the rules are closed, and no others" { connections nft; }

# Whom the file belongs to says who is asked for (sock_diag); the guard goes by who has opened it.
given_away() {
  prepared "$1"
  keeping root 0 "of$MITM_UID+203.0.113.10/443" "of$MITM_UID+2001:db8::16/80" "of$EXCLUDED_UID+203.0.113.10/8443"
  redirect
  kept root "of$MITM_UID+203.0.113.10/443: ECONNRESET
of$MITM_UID+2001:db8::16/80: ECONNRESET
of$EXCLUDED_UID+203.0.113.10/8443: ECONNRESET"
  lacks "$(cat "$LAB/origin/access.log")" 'shop.example.test'
  no_faults
}
@test "iptables: a connection that was given to an exempt user is refused" { given_away iptables; }
@test "nft: a connection that was given to an exempt user is refused" { given_away nft; }


without_ipv6() {
  prepared "$1"
  give MITMPROXY_IPV6=reject
  keeping app $APP_UID 2001:db8::16/443 2001:db8::16/8080
  keeping proxy $MITM_UID 2001:db8::16/443
  redirect
  # Other ports are as they were.
  kept app '2001:db8::16/443: ECONNABORTED
2001:db8::16/8080: alive'
  kept proxy '2001:db8::16/443: alive'
  no_faults
}
@test "iptables, IPV6=reject: connections from before the rules are closed" { without_ipv6 iptables; }
@test "nft, IPV6=reject: connections from before the rules are closed" { without_ipv6 nft; }

# With OTHER_TRAFFIC=reject: those to other ports as well, but not those from outside.
all_others() {
  local address
  prepared "$1"
  give OTHER_TRAFFIC=reject MITMPROXY_EXCLUDE_PORTS=8443
  local_server 7000 10.77.0.2
  local_server 7006 fd77::2
  keeping app $APP_UID 203.0.113.10/8080 2001:db8::16/8080 ::ffff:203.0.113.10/8080 203.0.113.10/443 \
    203.0.113.10/8443 2001:db8::16/8443 203.0.113.12/8080 2001:db8::40/8080 10.77.0.2/7000
  keeping excluded $EXCLUDED_UID 203.0.113.10/8080 2001:db8::16/8080
  # (From outside: /7000 and /7006 are servers of the pod.)
  ip netns exec "$ORIGIN" /usr/bin/python3 "$STAGE/lib/kept.py" 10.77.0.2/7000 fd77::2/7006 3>&- >"$LAB/outside.log" 2>&1 &
  # shellcheck disable=SC2034 # kept has its name
  KEEPER_outside=$!
  wait_until 10 grep -q connected "$LAB/outside.log"
  redirect
  kept app '203.0.113.10/8080: ECONNABORTED
2001:db8::16/8080: ECONNABORTED
::ffff:203.0.113.10/8080: ECONNABORTED
203.0.113.10/443: ECONNABORTED
203.0.113.10/8443: alive
2001:db8::16/8443: alive
203.0.113.12/8080: alive
2001:db8::40/8080: alive
10.77.0.2/7000: alive'
  kept excluded '203.0.113.10/8080: alive
2001:db8::16/8080: alive'
  kept outside '10.77.0.2/7000: alive
fd77::2/7006: alive'
  no_faults
}
@test "iptables, OTHER_TRAFFIC=reject: connections from before the rules are closed, but not those from outside" { all_others iptables; }
@test "nft, OTHER_TRAFFIC=reject: connections from before the rules are closed, but not those from outside" { all_others nft; }

@test "5000 connections from before the rules are closed" {
  prepared nft
  # They wait to be accepted, which takes no time.
  in_origin sysctl -qw net.core.somaxconn=8192 || skip_or_fail '/proc/sys is read-only'
  in_origin /usr/bin/python3 -c "import socket, time
server = socket.create_server(('10.77.0.1', 9443), backlog=8192)
time.sleep(1000)" 3>&- &
  wait_until 5 origin_listens
  keeping app $APP_UID 5000x10.77.0.1/9443
  redirect
  kept app '10.77.0.1/9443: 0 alive'
  same 'connections that are left' 0 "$(in_pod ss -Htn state established 'dport = :9443' | wc -l)"
  has "$OUTPUT" ' 5000 connections from before the rules closed$'
  no_faults
}
origin_listens() { in_origin ss -Hltn src 10.77.0.1:9443 | grep -q .; }

# --- nat chains of others

foreign_chain() {
  [[ $1 == nft ]] || need legacy
  give REDIRECT_BACKEND="$1"
  in_pod nft -f - <<'NFT'
table ip other {
  chain early { type nat hook output priority -150; policy accept; }
  chain late { type nat hook output priority 10; policy accept; }
  chain elsewhere { type nat hook prerouting priority -150; policy accept; }
}
table ip6 other {
  chain six { type nat hook output priority -150; policy accept; }
}
NFT
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'nat chains of other programs that may come before ours: ip other early \(priority -150\), ip6 other six \(priority -150\)$'
  attempt in_pod setup status
  has "$OUTPUT" '^ *nat chains of other programs that may come before ours: ip other early \(priority -150\), ip6 other six \(priority -150\)$'
  lacks "$OUTPUT" 'late|elsewhere'
  # The proof sees one that takes the canary.
  in_pod nft add rule ip other early ip daddr 127.0.0.2 tcp dport 9 redirect to :7
  attempt in_pod setup redirect
  [[ $STATUS != 0 ]]
  has "$OUTPUT" 'canary'
}
@test "iptables: nat chains of others that come before ours are named" { foreign_chain iptables; }
@test "nft: nat chains of others that come before ours are named" { foreign_chain nft; }
