# shellcheck shell=bash
# Two throw-away network namespaces: the pod and, one hop away, its internet.
#
#   pod     10.77.0.2  fd77::2      everything is routed to the origin
#   origin  10.77.0.1  fd77::1      owns every address in HOSTS below
#
# ip-netns(8) shows the files of /etc/netns/NAME to what runs in namespace
# NAME, so each has a hosts file of its own and no name leaves the machine.

# Names that the origin serves. Different addresses, so that a proxy that loses
# the original destination is found out.
HOSTS='
203.0.113.10   shop.example.test
203.0.113.11   api.example.test
203.0.113.12   example.com
203.0.113.21   pinned-one.test
203.0.113.22   pinned-two.test
203.0.113.23   pinned-three.test
203.0.113.30   unknown-ca.test
203.0.113.40   dual.example.test
2001:db8::40   dual.example.test
2001:db8::16   six.example.test
203.0.113.50   nginx.escape.test
203.0.113.51   go.escape.test
203.0.113.52   node.escape.test
203.0.113.53   python.escape.test
203.0.113.54   raw.escape.test
203.0.113.55   none.escape.test
203.0.113.56   two.escape.test
203.0.113.57   retry.escape.test
203.0.113.58   banner.escape.test
203.0.113.59   good.test
'

# Make namespaces with names that no other run has: POD and ORIGIN.
netns_up() {
  local id=$BASHPID-$RANDOM name address
  POD=egress-pod-$id ORIGIN=egress-origin-$id
  for name in "$POD" "$ORIGIN"; do
    mkdir -p "/etc/netns/$name"
    printf '127.0.0.1 localhost\n::1 localhost\n%s' "$HOSTS" >"/etc/netns/$name/hosts"
    # A name that is not in there is refused at once, not looked for.
    [[ ! -e /etc/resolv.conf ]] || echo 'nameserver 127.0.0.1' >"/etc/netns/$name/resolv.conf"
    ip netns add "$name"
    # IPv6 may be off by default, or /proc/sys read-only: IPV6 below tells. Link-local addresses are
    # there at once: nobody else can have them.
    ip netns exec "$name" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 \
      net.ipv6.conf.default.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0 2>/dev/null || true
  done
  ip -n "$POD" link add eth0 type veth peer name eth0 netns "$ORIGIN"
  ip -n "$POD" -batch - <<<'
    link set lo up
    address add 10.77.0.2/24 dev eth0
    link set eth0 up
    route add default via 10.77.0.1'
  ip -n "$ORIGIN" -batch - <<<'
    link set lo up
    address add 10.77.0.1/24 dev eth0
    link set eth0 up'
  IPV6=1
  ip -n "$ORIGIN" address add fd77::1/64 dev eth0 nodad 2>/dev/null &&
    ip -n "$POD" address add fd77::2/64 dev eth0 nodad 2>/dev/null &&
    ip -n "$POD" -6 route add default via fd77::1 2>/dev/null || IPV6=0
  while read -r address name; do
    case $address in
      *:*) ((IPV6 == 0)) || echo "address replace $address/128 dev lo nodad" ;;
      *.*) echo "address replace $address/32 dev lo" ;;
    esac
  done <<<"$HOSTS" | ip -n "$ORIGIN" -batch -
}

# End every process in both namespaces, then the namespaces: politely first,
# because a parent that is killed leaves its children to the machine's init.
netns_down() {
  local name tries pids signal
  for name in ${POD:+"$POD"} ${ORIGIN:+"$ORIGIN"}; do
    for ((tries = 0; tries < 100; tries++)); do
      mapfile -t pids < <(ip netns pids "$name" 2>/dev/null)
      ((${#pids[@]} > 0)) || break
      signal=TERM
      ((tries < 8)) || signal=KILL
      kill "-$signal" "${pids[@]}" 2>/dev/null || true
      sleep 0.02
    done
    ip netns del "$name" 2>/dev/null || true
    rm -rf "/etc/netns/$name"
  done
  rmdir /etc/netns 2>/dev/null || true
  POD='' ORIGIN=''
}

in_pod() { ip netns exec "$POD" "$@"; }
in_origin() { ip netns exec "$ORIGIN" "$@"; }
