# shellcheck shell=bash
# What through.bats needs beside suite.sh: an origin with an address for each row and certificates
# of its own, and a player that has both ends of each row (tests/lib/through/play.py).

THROUGH=$ROOT/tests/lib/through

# In place of the lab's: the player serves every address itself.
origin_up() { :; }

# In setup_file: a lab in which mitmdump runs with the shipped addons, and every row has been played.
through_lab() {
  lab_for_file
  need ipv6
  through_certificates
  through_addresses
  give MITMPROXY_EXCLUDE_UIDS="$OTHER_UID" MITMPROXY_EXTRA_PORTS=2525,8081,8443 MITMPROXY_NON_HTTP=allow
  up
}

# An address for each row and way, and addresses at which nobody is.
through_addresses() {
  in_origin sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 ||
    skip_or_fail '/proc/sys is read-only'
  ip -n "$ORIGIN" -batch - <<<'
    route add local 198.18.0.0/16 dev lo
    route add local 198.19.0.0/24 dev lo
    route add blackhole 198.19.1.0/24
    route add unreachable 198.19.2.0/24'
  ip -n "$ORIGIN" -6 -batch - <<<'
    route add local 2001:db8:18::/48 dev lo
    route add blackhole 2001:db8:dead::/48
    route add unreachable 2001:db8:beef::/48'
  ip -n "$POD" route add unreachable 198.19.3.0/24
  # A name for each row, which leads to its address on the way through: for the proxy, that looks for it.
  local row number
  for row in {1..1000}; do
    number=$((2 * row + 1))
    echo "198.18.$((number >> 8)).$((number & 255)) n$row.through.test"
  done >>"/etc/netns/$POD/hosts"
}

# What the origin shows: one certificate for all names, one for addresses, and those that are at fault.
# (PKI as pki.sh has it.)
through_certificates() {
  local addresses=() number
  for number in {0..15}; do addresses+=("IP:198.18.255.$number" "IP:2001:db8:18::$number"); done
  mkdir -p "$PKI"
  cp "$STAGE"/pki/{private-ca,unknown-ca}.{crt,key} "$PKI/"
  through_certificate wild.through.test 'DNS:*.through.test' private-ca
  through_certificate address "$(IFS=,; echo "${addresses[*]}")" private-ca
  through_certificate other-name DNS:other.test private-ca
  through_certificate unknown 'DNS:*.through.test' unknown-ca
  through_certificate self-signed 'DNS:*.through.test'
  through_certificate client email:client@through.test private-ca
  START='-10 days' END='-1 day' through_certificate expired 'DNS:*.through.test' private-ca
  START='+2 days' through_certificate early 'DNS:*.through.test' private-ca
}
# through_certificate NAME ALTERNATIVE_NAMES [CA]
through_certificate() {
  new_key "$1" ec-P-256
  EXTENSIONS="subjectAltName=$2" certify "$1" "${@:3}"
}

# play_rows [PATTERN]: each row in both ways; the results are in $LAB/results.
play_rows() {
  local tier=short
  [[ ${TIER-} != @(long|all) ]] || tier=long
  PYTHONDONTWRITEBYTECODE=1 "$(client_python)" "$THROUGH/play.py" "$POD" "$ORIGIN" "$PKI" "$EXPORT/mitmproxy-ca-cert.pem" \
    "$APP_UID" "$OTHER_UID" "$tier" "$LAB/results" "${1-}" 3>&- </dev/null >"$LAB/play.log" 2>&1 || {
    cat "$LAB/play.log"
    return 1
  }
}
