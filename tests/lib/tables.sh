# shellcheck shell=bash
# What is in the kernel's tables.

# The listing of a backend's tables in the namespace one is in, as golden files have it.
list_iptables() {
  local family table
  for family in '' 6; do
    for table in nat filter; do
      echo "ip${family}tables -t $table"
      "ip${family}tables-legacy-save" -t $table | sed -e '/^#/d' -e 's/ *\[[0-9]*:[0-9]*\]//'
    done
  done
}
# (Versions of nft have different words for the same.)
list_nft() {
  nft list ruleset | sed -e 's/priority dstnat;/priority -100;/' \
    -e 's/tcp flags & (syn | rst | ack) == (*syn | ack)*/tcp flags syn,ack \/ syn,rst,ack/' \
    -e 's/tcp flags & (syn | rst | ack) == syn/tcp flags syn \/ syn,rst,ack/'
}

# inside CMD...: run a function of this file in the pod. One entering of the namespace is
# much cheaper than one per program.
inside() { in_pod bash -c "$(declare -f list_iptables list_nft everything); \"\$@\"" bash "$@"; }
# listing BACKEND
listing() { inside "list_$1"; }
everything() {
  list_iptables
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

# run_dry BACKEND TEXT: what `setup redirect --dry-run` printed, fed to the programs whose
# syntax it is, in a namespace that is empty; prints the listing. Run it in any namespace.
run_dry() {
  unshare -n bash -c "$(declare -f list_iptables list_nft feed_iptables feed_nft)
    feed_$1 && list_$1" <<<"$2"
}
feed_nft() { nft -f -; }
# Two parts, one for each program.
feed_iptables() {
  local text
  text=$(cat)
  [[ $text == '# iptables-legacy-restore --noflush'* ]] || {
    echo 'no heading'
    return 1
  }
  iptables-legacy-restore --noflush <<<"${text%%'# ip6tables-legacy-restore'*}" || return
  [[ $text != *'# ip6tables-legacy-restore --noflush'* ]] ||
    ip6tables-legacy-restore --noflush <<<"${text#*'# ip6tables-legacy-restore --noflush'}"
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
