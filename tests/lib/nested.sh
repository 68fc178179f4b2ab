# shellcheck shell=bash
# Somebody for whom the pod forwards packets: namespaces behind it, as containers in the pod have.

# nested_up: NESTED is behind a veth of the pod, BRIDGED behind a bridge. The origin knows the way to
# both. Whoever calls it ends with nested_down.
nested_up() {
  NESTED=$POD-nested BRIDGED=$POD-bridged
  in_pod sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 || skip_or_fail '/proc/sys is read-only'
  ip -n "$POD" link add br0 type bridge
  nested_namespace "$NESTED" inner0 79
  nested_namespace "$BRIDGED" inner1 80
  ip -n "$POD" link set inner1 master br0
  nested_gateway inner0 79
  nested_gateway br0 80
}
nested_down() {
  local name
  for name in ${NESTED:+"$NESTED"} ${BRIDGED:+"$BRIDGED"}; do
    ip netns pids "$name" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
    ip netns del "$name" 2>/dev/null || true
  done
  NESTED='' BRIDGED=''
}

# nested_namespace NAME LINK NET: it has 10.NET.0.2 and fdNET::2.
nested_namespace() {
  ip netns add "$1"
  ip netns exec "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0
  ip -n "$POD" link add "$2" type veth peer name eth0 netns "$1"
  ip -n "$POD" link set "$2" up
  ip -n "$1" -batch - <<BATCH
    link set lo up
    address add 10.$3.0.2/24 dev eth0
    address add fd$3::2/64 dev eth0 nodad
    link set eth0 up
    route add default via 10.$3.0.1
    route add default via fd$3::1
BATCH
}
# nested_gateway LINK NET
nested_gateway() {
  ip -n "$POD" -batch - <<BATCH
    address add 10.$2.0.1/24 dev $1
    address add fd$2::1/64 dev $1 nodad
    link set $1 up
BATCH
  ip -n "$ORIGIN" route add "10.$2.0.0/24" via 10.77.0.2
  ip -n "$ORIGIN" -6 route add "fd$2::/64" via fd77::2
}
