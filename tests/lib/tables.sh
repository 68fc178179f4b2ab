# shellcheck shell=bash
# What is in the kernel's tables.

# The listing of a backend's tables in the namespace one is in, as golden files have it: the gate is
# nft's in both.
list_iptables() {
  list_legacy
  list_gate
}
list_legacy() {
  local family table
  for family in '' 6; do
    for table in nat filter; do
      echo "ip${family}tables -t $table"
      "ip${family}tables-legacy-save" -t $table
    done
  done | sed -e '/^#/d' -e 's/ *\[[0-9]*:[0-9]*\]//'
}
list_nft() { nft list ruleset | in_one_form; }
list_gate() { nft list table netdev opensandbox_egress 2>/dev/null | in_one_form; }
# Versions of nft have different words for the same; and a device has another number in each namespace.
in_one_form() {
  sed -e 's/priority dstnat - 10;/priority -110;/' -e 's/chain \(copy\|gate\)_[0-9]* {/chain \1_N {/' \
    -e 's/ip frag-off & 0x3fff != 0x0/ip frag-off \& 16383 != 0/' -e 's/ip frag-off & 0x1fff != 0x0/ip frag-off \& 8191 != 0/' \
    -e 's/tcp flags & (syn | rst | ack) == (*syn | ack)*/tcp flags syn,ack \/ syn,rst,ack/' \
    -e 's/tcp flags & (syn | rst | ack) == syn/tcp flags syn \/ syn,rst,ack/'
}
# Listings of nft on standard input without the gate, and of both without all that is ours.
without_gate() { sed '/^table netdev opensandbox_egress /,/^}/d'; }
without_ours() {
  sed -e '/\bOPENSANDBOX_EGRESS\(_INPUT\|_FORWARD\)\?\b/d' -e '/^table \(inet\|netdev\) opensandbox_egress /,/^}/d'
}

# inside CMD...: run a function of this file in the pod. One entering of the namespace is
# much cheaper than one per program.
LISTING=(list_iptables list_legacy list_nft list_gate in_one_form everything)
inside() { in_pod bash -c "$(declare -f "${LISTING[@]}"); \"\$@\"" bash "$@"; }
# listing BACKEND
listing() { inside "list_$1"; }
everything() {
  list_legacy
  list_nft
}

# What other people may have before setup comes, in both families and both interfaces.
foreign_rules() {
  local family address
  for family in '' 6; do
    address=198.51.100.1
    [[ -z $family ]] || address=2001:db8:9::1
    in_pod "ip${family}tables-legacy-restore" <<RESTORE
*nat
:FOREIGN - [0:0]
-A OUTPUT -d $address -p tcp -m tcp --dport 81 -j FOREIGN
-A FOREIGN -m owner --uid-owner 777 -j RETURN
COMMIT
*filter
:FOREIGN - [0:0]
-A OUTPUT -d $address -j FOREIGN
-A INPUT -s $address -j FOREIGN
-A FORWARD -d $address -j FOREIGN
-A FOREIGN -p tcp -m tcp --dport 82 -j DROP
COMMIT
RESTORE
  done
  in_pod nft -f - <<'NFT'
table inet foreign {
  chain output {
    type filter hook output priority filter; policy accept;
    ip daddr 198.51.100.1 tcp dport 81 drop
  }
}
NFT
}

# elsewhere COMMANDS [ARGUMENT...]: run these commands of bash in a network namespace that nobody used,
# which has a device of the same name as the pod.
elsewhere() {
  unshare -nm bash -c "$(declare -f "${LISTING[@]}" feed_iptables feed_nft)
    ip link add eth0 type veth peer name other\$\$ netns $ORIGIN && ip link set lo up || exit
    [[ ! -e /etc/netns/$POD/resolv.conf ]] || mount --bind /etc/netns/$POD/resolv.conf /etc/resolv.conf || exit
    $1" bash "${@:2}"
}
# run_dry BACKEND TEXT: what `setup redirect --dry-run` printed, fed to the programs whose
# syntax it is, in a namespace that is empty; prints the listing. Run it in any namespace.
run_dry() { elsewhere "feed_$1 && list_$1" <<<"$2"; }
feed_nft() { nft -f -; }
# Three parts, one for each program.
feed_iptables() {
  local text gate=''
  text=$(cat)
  [[ $text == '# iptables-legacy-restore --noflush'* ]] || {
    echo 'no heading'
    return 1
  }
  if [[ $text == *'# nft -f - '* ]]; then
    gate="# nft -f - ${text#*'# nft -f - '}"
    text=${text%%'# nft -f - '*}
  fi
  iptables-legacy-restore --noflush <<<"${text%%'# ip6tables-legacy-restore'*}" || return
  [[ $text != *'# ip6tables-legacy-restore --noflush'* ]] ||
    ip6tables-legacy-restore --noflush <<<"${text#*'# ip6tables-legacy-restore --noflush'}" || return
  nft -f - <<<"$gate"
}

# A client in a tight loop against port and addresses of the origin, in a pod where nobody
# listens on the proxy port: start_probe PAUSE PORT ADDRESS..., stop_probe; then PROBED is its
# line "connected N refused N other N answered N". (PAUSE: after each turn, for long tests.)
start_probe() {
  local address where
  for address in "${@:3}"; do
    # (A newer ss takes IPv6 in brackets only.)
    where=$address
    [[ $address != *:* ]] || where="[$address]"
    in_origin ss -Hlun "src $where:443" | grep -q . && continue
    in_origin /usr/bin/python3 "$STAGE/lib/udp.py" serve 443 "$address" 3>&- >>"$LAB/udp.log" 2>&1 &
  done
  spawn probe setpriv --reuid "$APP_UID" --regid "$APP_UID" --clear-groups \
    /usr/bin/python3 "$STAGE/lib/probe.py" "$@"
  PROBE=$SPAWNED PROBED=''
  wait_until 5 grep -q begin "$LAB/probe.log"
}
stop_probe() {
  kill -TERM "$PROBE"
  await_exit "$PROBE" 10
  # shellcheck disable=SC2034 # for the caller
  PROBED=$(tail -n 1 "$LAB/probe.log")
  cat "$LAB/probe.log"
}
# Nothing came through, and the probe has really probed.
nothing_came_through() {
  has "$PROBED" '^connected 0 refused [0-9]{3,} other 0 answered 0$'
}
