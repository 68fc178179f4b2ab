#!/usr/bin/env bats
# Configurations at random, one after the other in one namespace: what is live is what the dry run says,
# and what a first run gives in a namespace that nobody used.
#   RANDOM_ROUNDS=n, RANDOM_SEED=n

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy ipv6)

# one_of WORD...: one of them, or nothing.
one_of() {
  local words=('' "$@")
  echo "${words[RANDOM % ${#words[@]}]}"
}
# some COUNT CMD...: up to so many of what CMD prints, separated by commas.
some() {
  local count=$((RANDOM % ($1 + 1))) items=()
  shift
  for ((; count > 0; count--)); do items+=("$("$@")"); done
  local IFS=,
  echo "${items[*]}"
}
port() { echo $((RANDOM % 65535 + 1)); }
# Not those of the proxy, of health and of the canary, which are errors by themselves.
other_port() {
  local port=$((RANDOM % 40000 + 20000))
  ((RANDOM % 3)) || port=$port-$((port + RANDOM % 3000))
  echo $port
}
extra_port() {
  ((RANDOM % 8)) || {
    echo all
    return
  }
  other_port
}
uid() { echo $((RANDOM * RANDOM)); }
network() {
  case $((RANDOM % 4)) in
    0) echo "10.$((RANDOM % 256)).0.0/16" ;;
    1) echo "192.0.2.$((RANDOM % 256))" ;;
    2) echo "2001:db8:$((RANDOM % 10000))::/48" ;;
    3) echo "fd00::$((RANDOM % 10000))" ;;
  esac
}
# CONFIGURATION, as arguments for `with`.
roll() {
  CONFIGURATION=(
    MITMPROXY_PORT="$((RANDOM % 1000 + 18100))"
    HTTP_ADDR=":$((RANDOM % 1000 + 19100))"
    MITMPROXY_USER="$((RANDOM % 60000 + 1))"
    MITMPROXY_EXTRA_PORTS="$(some 12 extra_port)"
    MITMPROXY_EXCLUDE_PORTS="$(some 6 other_port)"
    MITMPROXY_EXCLUDE_UIDS="$(some 4 uid)"
    MITMPROXY_EXCLUDE_CIDRS="$(some 6 network)"
    MITMPROXY_IPV6="$(one_of redirect reject off)"
    MITMPROXY_QUIC="$(one_of reject allow)"
    MITMPROXY_FORWARDED="$(one_of reject allow)"
    OTHER_TRAFFIC="$(one_of allow reject)"
  )
  [[ ${CONFIGURATION[*]} != *IPV6=off*OTHER_TRAFFIC=reject* ]] || CONFIGURATION+=(OTHER_TRAFFIC=allow)
}

@test "configurations at random: live is the dry run, and A to B is a fresh B, in both backends" {
  local seed=${RANDOM_SEED:-$RANDOM} round backend text fresh variables
  echo "RANDOM_SEED=$seed"
  RANDOM=$seed
  for ((round = 1; round <= ${RANDOM_ROUNDS:-25}; round++)); do
    for backend in iptables nft; do
      roll
      variables=("${CONFIGURATION[@]/#/$P}" "${P}REDIRECT_BACKEND=$backend")
      text=$(in_pod env "${variables[@]}" setup redirect --dry-run) || fault "$round $backend: dry run"
      in_pod env "${variables[@]}" setup redirect >"$LAB/log" 2>&1 || fault "$round $backend: $(<"$LAB/log")"
      same live "$(run_dry $backend "$text")" "$(listing $backend)" || fault "$round $backend: live is not the dry run: ${CONFIGURATION[*]}"
      fresh=$(elsewhere "env \"\$@\" ${P}STATE_FILE=$LAB/first/state setup redirect 2>$LAB/log && everything" "${variables[@]}") ||
        fault "$round $backend: first run: $(<"$LAB/log")"
      same fresh "$fresh" "$(inside everything)" || fault "$round $backend: not as a first run: ${CONFIGURATION[*]}"
      in_pod env "${variables[@]}" setup redirect 2>&1 | grep -q 'were there already' || fault "$round $backend: a second run changes something"
      ((FAULTS < 3)) || break 2
    done
  done
  no_faults
}
