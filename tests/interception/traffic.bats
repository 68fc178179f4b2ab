#!/usr/bin/env bats
# What goes through the proxy and what does not: the same list of checks over both
# backends and both address families.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

# One lab per backend serves the whole list.
setup_file() {
  suite_up
  local backend
  for backend in iptables nft; do
    lab_up
    printf '%s=%q\n' LAB "$LAB" POD "$POD" ORIGIN "$ORIGIN" IPV6 "$IPV6" >"$BATS_FILE_TMPDIR/$backend"
    furnish
    (enter $backend && up)
  done
}
teardown_file() {
  local backend
  for backend in iptables nft; do
    [[ -e $BATS_FILE_TMPDIR/$backend ]] || continue
    enter $backend
    ALL_SPAWNED=() # those of the other lab may be among them
    lab_down
  done
  suite_down
}
setup() { ENTERED='' LAB='' POD='' ORIGIN=''; }
# A test ends a lab of its own, not one that it has entered.
teardown() { [[ -n $ENTERED ]] || lab_down; }

# Excluded networks whose borders lie within a byte, and single addresses.
CIDRS=198.51.100.72/29,2001:db8:64:80::/57,198.51.100.1,2001:db8:1::1
INSIDE4='198.51.100.72 198.51.100.79 198.51.100.1'
OUTSIDE4='198.51.100.71 198.51.100.80 198.51.100.2'
INSIDE6='2001:db8:64:80:: 2001:db8:64:ff:ffff:ffff:ffff:ffff 2001:db8:1::1'
OUTSIDE6='2001:db8:64:7f:ffff:ffff:ffff:ffff 2001:db8:64:100:: 2001:db8:1::2'
# Hosts of both families that are nothing special.
HOST4=203.0.113.10 HOST6=2001:db8::16
EXTRA=8443
# With 80 and 443 all that one rule can hold; the last of them is tried.
EXTRA_PORTS=8001,8002,8003,8004,8005,8006,8007,8008,8009,8010,8011,8012,$EXTRA
LOG_UID=20003

# enter BACKEND: go on in its lab, with the configuration of the list.
enter() {
  # shellcheck disable=SC1090 # written in setup_file
  source "$BATS_FILE_TMPDIR/$1"
  ENTERED=1
  lab_environment
  list_configuration
  give REDIRECT_BACKEND="$1"
}
# (Hosts are asked for by address, which no certificate of the origin names.)
list_configuration() {
  give MITMPROXY_EXTRA_PORTS=$EXTRA_PORTS MITMPROXY_EXCLUDE_CIDRS=$CIDRS \
    MITMPROXY_EXCLUDE_UIDS=$OTHER_UID,$LOG_UID MITMPROXY_SSL_INSECURE=1 \
    MITMPROXY_SCRIPT="$STAGE/usr/share/opensandbox/mitmscripts/add_header.py,$LAB/addons/seen.py"
}

# What the list needs of a lab: addresses and UDP servers of the origin, servers in the pod,
# and an addon that writes down what mitmdump believes to be the destination.
furnish() {
  local address
  for address in $INSIDE4 $OUTSIDE4; do ip -n "$ORIGIN" address add "$address/32" dev lo; done
  ((IPV6 == 0)) ||
    for address in $INSIDE6 $OUTSIDE6; do ip -n "$ORIGIN" address add "$address/128" dev lo nodad; done
  serve_udp
  cat >"$LAB/addons/seen.py" <<PYTHON
def request(flow):
    with open("$LAB/home/seen", "a") as seen:
        print(*flow.server_conn.address[:2], flow.request.headers.get("user-agent"), file=seen)
PYTHON
  mkdir "$LAB/www"
  echo local >"$LAB/www/index.html"
  serve_in_pod 80
  serve_in_pod 443
}
serve_udp() {
  local port addresses="$HOST4 $INSIDE4 $OUTSIDE4" own='127.0.0.1 10.77.0.2'
  ((IPV6 == 0)) || addresses+=" $HOST6 $INSIDE6 $OUTSIDE6" own+=' ::1 fd77::2'
  for port in 5353 80 443 $EXTRA; do
    # shellcheck disable=SC2086 # several addresses
    in_origin /usr/bin/python3 "$STAGE/lib/udp.py" serve "$port" $addresses 3>&- >"$LAB/udp.$port" 2>&1 &
    # shellcheck disable=SC2086 # several addresses
    in_pod /usr/bin/python3 "$STAGE/lib/udp.py" serve "$port" $own 3>&- >"$LAB/udp.pod.$port" 2>&1 &
  done
  wait_until 5 serve_udp_on in_origin "$addresses"
  wait_until 5 serve_udp_on in_pod "$own"
}
# All four ports, on so many addresses.
serve_udp_on() { (($($1 ss -Hlun | wc -l) == 4 * $(wc -w <<<"$2"))); }
# Both address families of the pod, at that port.
serve_in_pod() {
  spawn "server.$1" /usr/bin/python3 -m http.server "$1" --bind :: --directory "$LAB/www"
  wait_until 5 listens "$1"
}

# in_url ADDRESS: as it stands in a URL.
in_url() { [[ $1 == *:* ]] && echo "[$1]" || echo "$1"; }
# fetch USER URL [OPTIONS]: curl without any check of certificates, as that user, with a
# name of its own in the origin's log.
AGENT=0
fetch() {
  AGENT=$((AGENT + 1))
  attempt as_user "$1" curl -skS --max-time 10 -A "agent-$BATS_TEST_NUMBER-$AGENT-" "${@:2}"
}
# The question is always the same: was it mitmdump who brought it to the origin?
through_proxy() {
  fetch "$@"
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$' || fault "as $1: $2: did not go through the proxy"
}
past_proxy() {
  fetch "$@"
  has "$OUTPUT" '^X-OpenSandbox-Egress: $' || fault "as $1: $2: did not go past the proxy"
}
# udp USER ADDRESS PORT ANSWER
udp() {
  local answer
  answer=$(as_user "$1" /usr/bin/python3 "$STAGE/lib/udp.py" ask "$2" "$3" 2>&1)
  [[ $answer == "$4" ]] || fault "UDP as $1 to $2 port $3: $answer, not $4"
}
udp_refused() { udp "$@" refused; }
udp_delivered() { udp "$@" "$2 $3"; }

# The list: each check is given the family, 4 or 6.

redirected_ports_are_intercepted() {
  local host=HOST$1 url
  for url in "http://$(in_url "${!host}")" "https://$(in_url "${!host}")" "https://$(in_url "${!host}"):$EXTRA"; do
    through_proxy $APP_UID "$url/"
    has "$OUTPUT" "^to: ${!host}:" || fault "$url: another destination"
    through_proxy 0 "$url/" # root, too
  done
  for url in "https://$(in_url "${!host}")" "https://$(in_url "${!host}"):$EXTRA"; do
    has "$(seen_issuer "$url/")" 'CN=mitmproxy' || fault "$url: not our certificate"
  done
}
# IPv4 asked for through an IPv6 socket, and IPv6 without a route or a name.
other_ways_to_say_it() {
  local address
  if [[ $1 == 4 ]]; then
    through_proxy $APP_UID "http://[::ffff:$HOST4]/"
    udp_refused $APP_UID "::ffff:$HOST4" 443
  else
    address=$(ip -n "$ORIGIN" -6 -o address show dev eth0 scope link | grep -o 'fe80::[0-9a-f:]*')
    # No proxy can go on to there, for want of a scope: what counts is that nobody gets there.
    wait_until 5 as_mitm curl -s -o /dev/null --max-time 2 "http://[$address%25eth0]/" || fault "no $address"
    fetch $APP_UID "http://[$address%25eth0]/" --max-time 2
    refute origin_saw "agent-$BATS_TEST_NUMBER-$AGENT-" || fault "$address was reached"
  fi
}
by_name_with_its_destination() {
  local name=shop.example.test address=203.0.113.10 other=203.0.113.11
  [[ $1 == 4 ]] || name=six.example.test address=2001:db8::16 other=2001:db8::40
  # With certificates checked, by the exported bundle alone.
  attempt app_curl -A "named-$1-" "https://$name/"
  [[ $STATUS == 0 ]] || fault "https://$name/: $STATUS"
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$' || fault "$name: not intercepted"
  has "$(<"$LAB/home/seen")" "^$address 443 named-$1-$" || fault "$name: mitmdump saw another destination"
  # The address that the client chose, not what the name says.
  attempt app_curl -A "moved-$1-" --resolve "$name:443:$other" "https://$name/"
  has "$(<"$LAB/home/seen")" "^$other 443 moved-$1-$" || fault "$name: mitmdump saw another destination"
  has "$(origin_saw "moved-$1-")" "address=$other " || fault "$name: the origin saw another destination"
}
other_ports_are_not() {
  local host=HOST$1
  past_proxy $APP_UID "http://$(in_url "${!host}"):8080/"
}
own_link() { ip -n "$POD" -6 address show dev eth0 scope link | sed -n 's|.*inet6 \([^/]*\)/.*|\1|p'; }
loopback_and_own_address_are_not() {
  local address port addresses='127.0.0.1 127.0.0.5 10.77.0.2'
  [[ $1 == 4 ]] || addresses="::1 fd77::2 $(own_link)%25eth0"
  for address in $addresses; do
    for port in 80 443; do
      fetch $APP_UID "http://$(in_url "$address"):$port/"
      same "$address port $port" local "$OUTPUT" || fault "$address port $port"
    done
  done
}
exempt_users_are_not() {
  local host=HOST$1 user
  for user in $MITM_UID $OTHER_UID $LOG_UID; do
    past_proxy "$user" "http://$(in_url "${!host}")/"
    past_proxy "$user" "https://$(in_url "${!host}")/"
    past_proxy "$user" "https://$(in_url "${!host}"):$EXTRA/"
  done
  # Their neighbours are.
  for user in $((MITM_UID + 1)) $((OTHER_UID - 1)) $((LOG_UID + 1)); do
    through_proxy "$user" "http://$(in_url "${!host}")/"
  done
}
excluded_networks_are_not() {
  local inside=INSIDE$1 outside=OUTSIDE$1 address
  for address in ${!inside}; do
    past_proxy $APP_UID "http://$(in_url "$address")/"
    past_proxy $APP_UID "https://$(in_url "$address")/"
    udp_delivered $APP_UID "$address" 443
  done
  for address in ${!outside}; do
    through_proxy $APP_UID "http://$(in_url "$address")/"
    through_proxy $APP_UID "https://$(in_url "$address")/"
    udp_refused $APP_UID "$address" 443
  done
}
quic_is_refused() {
  local host=HOST$1 user port address own='127.0.0.1 10.77.0.2'
  [[ $1 == 4 ]] || own='::1 fd77::2'
  for port in 80 443 $EXTRA; do
    udp_refused $APP_UID "${!host}" "$port"
    udp_refused 0 "${!host}" "$port"
    for user in $MITM_UID $OTHER_UID $LOG_UID; do udp_delivered "$user" "${!host}" "$port"; done
    for address in $own; do udp_delivered $APP_UID "$address" "$port"; done
  done
  udp_delivered $APP_UID "${!host}" 5353
}

# on BACKEND FAMILY CHECK
on() {
  enter "$1"
  [[ $2 == 4 ]] || need ipv6
  "$3" "$2"
  no_faults
}

@test "iptables, IPv4: 80, 443 and an extra port are intercepted" { on iptables 4 redirected_ports_are_intercepted; }
@test "iptables, IPv6: 80, 443 and an extra port are intercepted" { on iptables 6 redirected_ports_are_intercepted; }
@test "nft, IPv4: 80, 443 and an extra port are intercepted" { on nft 4 redirected_ports_are_intercepted; }
@test "nft, IPv6: 80, 443 and an extra port are intercepted" { on nft 6 redirected_ports_are_intercepted; }

@test "iptables, IPv4: a name is intercepted, and mitmdump sees where it leads" { on iptables 4 by_name_with_its_destination; }
@test "iptables, IPv6: a name is intercepted, and mitmdump sees where it leads" { on iptables 6 by_name_with_its_destination; }
@test "nft, IPv4: a name is intercepted, and mitmdump sees where it leads" { on nft 4 by_name_with_its_destination; }
@test "nft, IPv6: a name is intercepted, and mitmdump sees where it leads" { on nft 6 by_name_with_its_destination; }

@test "iptables, IPv4: so is what goes there by an IPv6 socket" { on iptables 4 other_ways_to_say_it; }
@test "iptables, IPv6: so is what goes there by its link" { on iptables 6 other_ways_to_say_it; }
@test "nft, IPv4: so is what goes there by an IPv6 socket" { on nft 4 other_ways_to_say_it; }
@test "nft, IPv6: so is what goes there by its link" { on nft 6 other_ways_to_say_it; }

@test "iptables, IPv4: other ports are not" { on iptables 4 other_ports_are_not; }
@test "iptables, IPv6: other ports are not" { on iptables 6 other_ports_are_not; }
@test "nft, IPv4: other ports are not" { on nft 4 other_ports_are_not; }
@test "nft, IPv6: other ports are not" { on nft 6 other_ports_are_not; }

@test "iptables, IPv4: loopback and the pod's own address are not" { on iptables 4 loopback_and_own_address_are_not; }
@test "iptables, IPv6: loopback and the pod's own address are not" { on iptables 6 loopback_and_own_address_are_not; }
@test "nft, IPv4: loopback and the pod's own address are not" { on nft 4 loopback_and_own_address_are_not; }
@test "nft, IPv6: loopback and the pod's own address are not" { on nft 6 loopback_and_own_address_are_not; }

@test "iptables, IPv4: mitmproxy's and the excluded users are not, their neighbours are" { on iptables 4 exempt_users_are_not; }
@test "iptables, IPv6: mitmproxy's and the excluded users are not, their neighbours are" { on iptables 6 exempt_users_are_not; }
@test "nft, IPv4: mitmproxy's and the excluded users are not, their neighbours are" { on nft 4 exempt_users_are_not; }
@test "nft, IPv6: mitmproxy's and the excluded users are not, their neighbours are" { on nft 6 exempt_users_are_not; }

@test "iptables, IPv4: excluded networks are not, from first to last address" { on iptables 4 excluded_networks_are_not; }
@test "iptables, IPv6: excluded networks are not, from first to last address" { on iptables 6 excluded_networks_are_not; }
@test "nft, IPv4: excluded networks are not, from first to last address" { on nft 4 excluded_networks_are_not; }
@test "nft, IPv6: excluded networks are not, from first to last address" { on nft 6 excluded_networks_are_not; }

@test "iptables, IPv4: UDP to the redirected ports is refused at once, but for what is exempt" { on iptables 4 quic_is_refused; }
@test "iptables, IPv6: UDP to the redirected ports is refused at once, but for what is exempt" { on iptables 6 quic_is_refused; }
@test "nft, IPv4: UDP to the redirected ports is refused at once, but for what is exempt" { on nft 4 quic_is_refused; }
@test "nft, IPv6: UDP to the redirected ports is refused at once, but for what is exempt" { on nft 6 quic_is_refused; }

# Other configurations, each in a lab of its own.

# fresh BACKEND: a lab for a test that changes what the list needs.
fresh() {
  lab_up
  furnish
  list_configuration
  give REDIRECT_BACKEND="$1"
}

quic_is_allowed() {
  local host port
  fresh "$1"
  attempt with MITMPROXY_QUIC=allow setup redirect
  [[ $STATUS == 0 ]]
  for host in $HOST4 $HOST6; do
    for port in 80 443 $EXTRA; do udp_delivered $APP_UID "$host" "$port"; done
  done
  # TCP is redirected as ever: here to nobody.
  for host in $HOST4 $HOST6; do
    fetch $APP_UID "http://$(in_url "$host")/"
    [[ $STATUS == 7 ]] || fault "TCP to $host: $STATUS"
  done
  # And back.
  in_pod setup redirect
  for host in $HOST4 $HOST6; do udp_refused $APP_UID "$host" 443; done
  no_faults
}
@test "iptables: QUIC=allow lets UDP through in both families, and nothing else" { quic_is_allowed iptables; }
@test "nft: QUIC=allow lets UDP through in both families, and nothing else" { quic_is_allowed nft; }

# reset URL: refused by a reset, at once, not by a proxy that is away.
reset() {
  local started
  started=$(milliseconds)
  fetch $APP_UID "$1"
  [[ $STATUS == 7 ]] || fault "$1: curl ends with $STATUS"
  (($(milliseconds) - started < 1000)) || fault "$1: takes a second"
}
ipv6_is_rejected() {
  local user host address
  fresh "$1"
  give MITMPROXY_IPV6=reject
  up
  host=$(in_url $HOST6)
  reset "http://$host/"
  reset "https://$host/"
  reset "https://$host:$EXTRA/"
  reset http://six.example.test/
  # A reset is what the client is sent, not an ICMP message; EACCES or a time-out would be others.
  same 'errno of connect' ECONNREFUSED "$(as_app /usr/bin/python3 -c "
import errno, socket
try:
    socket.create_connection(('$HOST6', 443), 2)
except OSError as error:
    print(errno.errorcode.get(error.errno, error))")"
  has "$(
    rules
    in_pod nft list ruleset
  )" tcp.reset
  refute origin_saw "address=$HOST6 "
  # A client that has the choice takes IPv4 by itself, and is intercepted there.
  attempt app_curl https://dual.example.test/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  has "$OUTPUT" '^to: 203.0.113.40:443$'
  attempt app_curl http://dual.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  # Everything else over IPv6 is as before: exempt users and networks, loopback, other ports.
  for user in $MITM_UID $OTHER_UID; do past_proxy "$user" "https://$host/"; done
  for address in $INSIDE6; do past_proxy $APP_UID "https://$(in_url "$address")/"; done
  for address in $OUTSIDE6; do reset "https://$(in_url "$address")/"; done
  past_proxy $APP_UID "http://$host:8080/"
  loopback_and_own_address_are_not 6
  quic_is_refused 6
  redirected_ports_are_intercepted 4
  no_faults
}
@test "iptables: IPV6=reject resets TCP over IPv6, and a client with the choice takes IPv4" { ipv6_is_rejected iptables; }
@test "nft: IPV6=reject resets TCP over IPv6, and a client with the choice takes IPv4" { ipv6_is_rejected nft; }

ipv6_is_left_alone() {
  fresh "$1"
  give MITMPROXY_IPV6=off
  up
  local host
  host=$(in_url $HOST6)
  past_proxy $APP_UID "http://$host/"
  past_proxy $APP_UID "https://$host/"
  past_proxy $APP_UID "https://$host:$EXTRA/"
  has "$(seen_issuer "https://$host/")" 'CN=Private Test CA'
  loopback_and_own_address_are_not 6
  redirected_ports_are_intercepted 4
  quic_is_refused 4
  no_faults
}
@test "iptables: IPV6=off leaves TCP over IPv6 alone, and IPv4 intercepted" { ipv6_is_left_alone iptables; }
@test "nft: IPV6=off leaves TCP over IPv6 alone, and IPv4 intercepted" { ipv6_is_left_alone nft; }

# A pod without IPv6, as many nodes have it: there is nothing to cover.
without_ipv6() {
  lab_up
  give REDIRECT_BACKEND="$1"
  in_pod sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 ||
    skip_or_fail '/proc/sys is read-only'
  same 'addresses of IPv6' '' "$(ip -n "$POD" -6 address)"
  local value
  for value in redirect reject off; do
    attempt with MITMPROXY_IPV6=$value setup redirect
    [[ $STATUS == 0 ]] || fault "IPV6=$value: status $STATUS"
    in_pod setup clear
  done
  up
  attempt app_curl https://shop.example.test/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  attempt in_pod setup status
  [[ $STATUS == 0 ]]
  no_faults
}
@test "iptables: a namespace without IPv6 is no error, and becomes ready" { without_ipv6 iptables; }
@test "nft: a namespace without IPv6 is no error, and becomes ready" { without_ipv6 nft; }

# IPv6 goes out of eth0, and there is no ::1 to redirect it to.
without_loopback_address() {
  lab_up
  need ipv6
  give REDIRECT_BACKEND="$1"
  ip -n "$POD" address del ::1/128 dev lo
  local none old
  none=$(
    rules
    in_pod nft list ruleset
  )
  attempt in_pod setup redirect
  [[ $STATUS == 69 ]]
  has "$OUTPUT" ' error .*MITMPROXY_IPV6'
  same rules "$none" "$(
    rules
    in_pod nft list ruleset
  )"
  state_is setup.state failed
  # What the sentence says can be done: both ways out work.
  local value
  for value in reject off; do
    attempt with MITMPROXY_IPV6=$value setup redirect
    [[ $STATUS == 0 ]] || fault "IPV6=$value: status $STATUS"
  done
  # What is in place stays in place.
  old=$(
    rules
    in_pod nft list ruleset
  )
  attempt in_pod setup redirect
  [[ $STATUS == 69 ]]
  same rules "$old" "$(
    rules
    in_pod nft list ruleset
  )"
  no_faults
}
@test "iptables: IPv6 without ::1 cannot be redirected: exit 69, MITMPROXY_IPV6 named" { without_loopback_address iptables; }
@test "nft: IPv6 without ::1 cannot be redirected: exit 69, MITMPROXY_IPV6 named" { without_loopback_address nft; }
