#!/usr/bin/env bats
# Everything redirected (EXTRA_PORTS=all), and everything else refused (OTHER_TRAFFIC=reject): what
# should pass does, and nothing else, over both backends and both address families.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

HOST4=203.0.113.10 HOST6=2001:db8::16
# Two addresses of the origin that are no host of its: a nameserver each.
DNS4=198.51.100.53 DNS6=2001:db8:53::53

OWN_PORTS="9 $HEALTH_PORT $PROXY_PORT" # of canary, health and proxy; at other addresses they are like others

# A UDP server for each port in the origin, and a TCP one; the pod's resolv.conf names one of them.
furnish() {
  local port address addresses=("$HOST4" "$DNS4")
  ip -n "$ORIGIN" address add $DNS4/32 dev lo
  ((IPV6 == 0)) || {
    ip -n "$ORIGIN" address add $DNS6/128 dev lo nodad
    addresses+=("$HOST6" "$DNS6")
  }
  printf 'nameserver %s\nnameserver %s\n' $DNS4 $DNS6 >"/etc/netns/$POD/resolv.conf"
  for port in 53 443 5353 6000 $OWN_PORTS; do
    in_origin /usr/bin/python3 "$STAGE/lib/udp.py" serve "$port" "${addresses[@]}" 3>&- >"$LAB/udp-$port.log" 2>&1 &
    disown
  done
  for port in 53 2222 6000 $OWN_PORTS; do
    for address in "${addresses[@]}"; do
      in_origin /usr/bin/python3 -c "$TCP_SERVER" "$address" "$port" 3>&- >"$LAB/tcp.log" 2>&1 &
      disown
    done
  done
  give MITMPROXY_SSL_INSECURE=1
}
TCP_SERVER='
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
while True:
    connection, _ = server.accept()
    connection.sendall(b"hello\n")
    connection.close()
'
TCP_CLIENT='
import socket, sys
try:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
    connection.sendall(b"neither HTTP nor TLS\n")
    print(connection.recv(64).decode().strip() or "closed")
except ConnectionRefusedError:
    print("refused")
except OSError as error:
    print(error)
'
PING='
import socket, sys
six = ":" in sys.argv[1]
family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
ping = socket.socket(family, socket.SOCK_RAW, protocol)
ping.settimeout(2)
# Type, code, checksum (which the kernel makes for IPv6), identifier, number.
ping.sendto(bytes((128 if six else 8, 0)) + (b"\0\0" if six else b"\xf7\xfd") + b"\0\1\0\1", (sys.argv[1], 0))
while True:
    data = ping.recv(256)
    if data[0 if six else 20] == (129 if six else 0):
        print("answered")
        break
'
# tcp ADDRESS PORT and udp ADDRESS PORT: what an application in the pod sees there.
tcp() { as_app /usr/bin/python3 -c "$TCP_CLIENT" "$@"; }
udp() { as_app /usr/bin/python3 "$STAGE/lib/udp.py" ask "$@"; }

# families FUNCTION: with a host and a nameserver of each family.
families() {
  "$1" $HOST4 $DNS4
  ((IPV6 == 0)) || "$1" $HOST6 $DNS6
}
# A server of the pod's, from outside: TCP and UDP, whatever port its client has.
is_reached() {
  local pod=$1 origin=$2 port
  for port in 2222 5353 443; do
    same "server, client's port $port" 'served' "$(in_origin /usr/bin/python3 - "$origin" "$port" "$pod" <<'PYTHON'
import socket, sys
origin, port, pod = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in pod else socket.AF_INET
client = socket.socket(family, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
client.settimeout(2)
client.bind(("", 20000 + port))
client.sendto(b"?", (pod, 7000))
print("served" if client.recv(64) else "nothing")
PYTHON
)" || fault "$pod: UDP, $port"
  done
  same "TCP server" 'hello' "$(in_origin /usr/bin/python3 -c "$TCP_CLIENT" "$pod" 7001)" || fault "$pod: TCP"
  # What the kernel sends by itself.
  same 'closed port' refused "$(in_origin /usr/bin/python3 "$STAGE/lib/udp.py" ask "$pod" 7002)" || fault "$pod: no ICMP error"
  same ping answered "$(in_origin /usr/bin/python3 -c "$PING" "$pod")" || fault "$pod: does not answer to ping"
}
servers_are_reached() {
  local four six=''
  four=$(ip -n "$POD" -4 -o address show dev eth0 | grep -o 'inet [0-9.]*' | cut -d' ' -f2)
  ((IPV6 == 0)) || six=fd77::2
  as_app /usr/bin/python3 "$STAGE/lib/udp.py" serve 7000 "$four" $six 3>&- >"$LAB/server.log" 2>&1 &
  disown
  local address
  for address in $four $six; do
    as_app /usr/bin/python3 -c "$TCP_SERVER" "$address" 7001 3>&- >"$LAB/server.log" 2>&1 &
    disown
  done
  wait_until 5 listens 7001
  is_reached "$four" "$HOST4"
  [[ -z $six ]] || is_reached "$six" "$HOST6"
}

# What a client that has a port of its own gets from a server of the pod.
ASK='
import socket, sys
own, port, pod = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = socket.socket(socket.AF_INET6 if ":" in pod else socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(2)
client.bind((own, port))
client.sendto(b"?", (pod, 21000 + port))
try:
    print("answer" if client.recv(64) else "nothing")
except OSError:
    print("no answer")
'
clients_of_web_ports() {
  local pod=$1 origin=$2 port answer
  for port in 4500 80 443; do
    as_app /usr/bin/python3 "$STAGE/lib/udp.py" serve $((21000 + port)) "$pod" 3>&- >"$LAB/server.log" 2>&1 &
    wait_until 5 serves $((21000 + port)) "$pod"
    answer='no answer'
    [[ $port != 4500 ]] || answer=answer
    same "client's port $port" "$answer" "$(in_origin /usr/bin/python3 -c "$ASK" "$origin" $port "$pod")" || fault "$pod: $port"
  done
}
serves() { in_pod ss -Hlun "src [$2]:$1" | grep -q .; }
# Nobody has 80 or 443 as his own. Without the gate, which drops what goes there as well.
web_ports_have_no_clients() {
  in_pod nft delete table netdev opensandbox_egress
  clients_of_web_ports 10.77.0.2 10.77.0.1
  ((IPV6 == 0)) || clients_of_web_ports fd77::2 fd77::1
}

# What holds with either: exclusions and the nameservers pass, other datagrams do not.
exceptions() {
  same 'UDP' refused "$(udp "$1" 5353)" || fault "$1: UDP"
  same 'TCP, excluded' hello "$(tcp "$1" 6000)" || fault "$1: excluded port"
  same 'UDP, excluded' "$1 6000" "$(udp "$1" 6000)" || fault "$1: excluded port, UDP"
  same 'the nameserver' "$2 53" "$(udp "$2" 53)" || fault "$2: no DNS"
  same 'the nameserver, TCP' hello "$(tcp "$2" 53)" || fault "$2: no DNS over TCP"
  same 'DNS elsewhere' refused "$(udp "$1" 53)" || fault "$1: another nameserver"
}
everything_redirected() {
  local port
  exceptions "$@"
  for port in $OWN_PORTS; do
    same "TCP to $port" closed "$(tcp "$1" "$port")" || fault "$1: $port is not redirected"
    same "UDP to $port" refused "$(udp "$1" "$port")" || fault "$1: $port, UDP"
  done
  same 'TCP server that speaks first' closed "$(tcp "$1" 2222)" || fault "$1: not refused by the proxy"
  same 'DNS elsewhere, TCP' closed "$(tcp "$1" 53)" || fault "$1: another nameserver over TCP"
  same 'UDP to the nameserver' refused "$(udp "$2" 5353)" || fault "$2: another port"
}
# all_is_well FUNCTION: it holds for both families, servers of the pod are reached, health is green.
all_is_well() {
  families "$1"
  servers_are_reached
  same health '200 ok' "$(healthz)" || fault health
  in_pod setup status || fault 'setup status'
}
all_ports() {
  need "${1/iptables/legacy}"
  furnish
  give REDIRECT_BACKEND="$1" MITMPROXY_EXTRA_PORTS=all MITMPROXY_EXCLUDE_PORTS=6000-6100
  up
  # (The origin has servers for HTTP and HTTPS there.)
  has "$(app_curl http://shop.example.test:8080/)" '^X-OpenSandbox-Egress: 1$' || fault 'HTTP on 8080'
  has "$(app_curl https://shop.example.test:8443/)" '^X-OpenSandbox-Egress: 1$' || fault 'HTTPS on 8443'
  all_is_well everything_redirected
  web_ports_have_no_clients
  no_faults
}
@test "iptables: EXTRA_PORTS=all: every TCP port is redirected but those excluded and DNS at the nameservers" { all_ports iptables; }
@test "nft: EXTRA_PORTS=all: every TCP port is redirected but those excluded and DNS at the nameservers" { all_ports nft; }

nothing_else() {
  exceptions "$@"
  same 'TCP' refused "$(tcp "$1" 2222)" || fault "$1: TCP"
  same 'UDP 443' refused "$(udp "$1" 443)" || fault "$1: UDP 443"
  same 'DNS elsewhere, TCP' refused "$(tcp "$1" 53)" || fault "$1: another nameserver over TCP"
  same 'TCP to the nameserver' refused "$(tcp "$2" 2222)" || fault "$2: another port"
  # Another protocol, which only root can make: 253 is for experiments (RFC 3692).
  same 'IP protocol 253' refused "$(in_pod /usr/bin/python3 - "$1" <<'PYTHON'
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
try:
    socket.socket(family, socket.SOCK_RAW, 253).sendto(b"x", (sys.argv[1], 0))
    print("sent")
except PermissionError:
    print("refused")
PYTHON
)" || fault "$1: another protocol"
  # What belongs to no connection begins none: what a closed socket has left, once it is forgotten.
  same 'a FIN with data' 0 "$(arrivals 'tcp sport 20000 tcp dport 2222' ended "$1")" || fault "$1: a FIN with data"
}
# arrivals MATCH CMD...: print how many such packets come to the origin meanwhile.
arrivals() {
  in_origin nft -f - <<NFT
table netdev arrivals {
  chain ingress {
    type filter hook ingress device eth0 priority 0; policy accept;
    $1 counter
  }
}
NFT
  "${@:2}" >/dev/null 2>&1
  in_origin nft list table netdev arrivals | sed -n 's/.*packets \([0-9]*\) .*/\1/p'
  in_origin nft delete table netdev arrivals
}
ended() {
  local own=10.77.0.2
  [[ $1 != *:* ]] || own=fd77::2
  in_pod /usr/bin/python3 "$STAGE/lib/frames.py" leave $own "$1" FIN 2222
}
# The kernel sends for somebody, by a socket that no process has: as for AF_RXRPC.
tunnelled() {
  ip -n "$POD" link add tunnel type vxlan id 5 remote "$HOST4" dstport 4789 dev eth0 || return 0
  ip -n "$POD" address add 10.99.0.1/24 dev tunnel
  ip -n "$POD" link set tunnel up
  in_pod ping -c 1 -W 1 10.99.0.2
  ip -n "$POD" link delete tunnel
}
# DHCP begins without an address, from 0.0.0.0.
without_address() {
  ip -n "$POD" link add later type veth peer name later netns "$ORIGIN"
  ip -n "$POD" link set later up
  ip -n "$ORIGIN" link set later up
  ip -n "$POD" -4 address flush dev eth0
  in_origin nft -f - <<'NFT'
table netdev watch {
  chain ingress {
    type filter hook ingress device later priority 0; policy accept;
    ip saddr 0.0.0.0 udp dport 67 counter
  }
}
NFT
  as_app /usr/bin/python3 -c '
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"later")
client.sendto(b"discover", ("255.255.255.255", 67))' || fault 'DHCP is refused'
  has "$(in_origin nft list table netdev watch)" 'counter packets 1 ' || fault 'DHCP does not arrive'
}
rest_refused() {
  need "${1/iptables/legacy}"
  furnish
  give REDIRECT_BACKEND="$1" OTHER_TRAFFIC=reject MITMPROXY_EXCLUDE_PORTS=6000-6100
  up
  has "$(app_curl https://shop.example.test/)" '^X-OpenSandbox-Egress: 1$' || fault HTTPS
  has "$(app_curl http://shop.example.test/)" '^X-OpenSandbox-Egress: 1$' || fault HTTP
  refute app_curl http://shop.example.test:8080/ || fault 'a port that is not redirected'
  all_is_well nothing_else
  web_ports_have_no_clients
  same 'a tunnel' 0 "$(arrivals 'udp dport 4789' tunnelled)" || fault 'what a tunnel sends'
  # Taken away, it passes: the rows above can fail.
  in_pod setup redirect
  without_address
  ip -n "$POD" address add 10.77.0.2/24 dev eth0
  ip -n "$POD" route add default via 10.77.0.1
  in_pod env ${P}OTHER_TRAFFIC=allow setup redirect
  same 'TCP, allowed' hello "$(tcp $HOST4 2222)" || fault 'still refused'
  same 'UDP, allowed' "$HOST4 5353" "$(udp $HOST4 5353)" || fault 'UDP still refused'
  no_faults
}
@test "iptables: OTHER_TRAFFIC=reject: nothing but what is redirected or excluded, and DNS at the nameservers" { rest_refused iptables; }
@test "nft: OTHER_TRAFFIC=reject: nothing but what is redirected or excluded, and DNS at the nameservers" { rest_refused nft; }
