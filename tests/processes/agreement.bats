#!/usr/bin/env bats
# setup, healthd and whoever else is in the pod: what one of them does must not deceive or
# hold up another.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

@test "a proxy port that differs between setup and healthd: 503, and both ports" {
  in_pod setup
  give MITMPROXY_PORT=18099
  spawn healthd healthd
  wait_until 10 healthz_is '503 mitm not ready: setup has redirected to port 18081'
  [[ $(healthz) == *18099* ]]
}

@test "another MITMPROXY_USER than the rules let through: 503, and both" {
  in_pod setup
  give MITMPROXY_USER=10077
  spawn healthd healthd
  wait_until 10 healthz_is 503
  [[ $(healthz) == *10042*10077* ]]
}

@test "transparent mode off at healthd alone, with rules in place: 503" {
  in_pod setup
  give MITMPROXY_TRANSPARENT=
  spawn healthd healthd
  wait_until 10 healthz_is '503 mitm not ready: setup has installed redirect rules'
  in_pod setup
  wait_until 2 healthz_is '200 ok'
}

@test "setup prepare in a running pod: ready before, ready afterwards" {
  up entrypoint.sh
  in_pod setup prepare
  wait_until 2 healthz_is '200 ok'
  state_is setup.state ready
}

@test "a state file that is replaced all the time: every look at it finds it whole" {
  up entrypoint.sh
  spawn writer /usr/bin/python3 -c '
import os, sys, time
path = sys.argv[1]
data = open(path, "rb").read()
end = time.monotonic() + 8
while time.monotonic() < end:
    with open(path + ".new", "wb") as out:
        out.write(data)
    os.rename(path + ".new", path)
' "$STATE"
  local codes
  codes=$(in_pod curl -s -o /dev/null -w '%{http_code}\n' 'http://127.0.0.1:18080/healthz?[1-3000]' | sort | uniq -c)
  echo "$codes"
  [[ $codes =~ ^\ *3000\ 200$ ]]
}

@test "the application locks the state directory: setup and healthd go on" {
  mkdir -m 0775 "$LAB/run"
  chgrp $MITM_UID "$LAB/run"
  spawn locker setpriv --reuid $APP_UID --regid $APP_UID --clear-groups flock -x "$LAB/run" sleep 30
  sleep 0.2
  up entrypoint.sh
}

@test "the mitmproxy user holds every lock that it can: setup ends well, in seconds" {
  in_pod setup
  local name
  for name in "$LAB/run" "$LAB/run/.state.lock" "$CONFDIR"; do
    spawn "locker" setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups flock -x "$name" sleep 30
  done
  rm -f "$LAB/run/.state.setup-lock"
  become_mitm bash -c "exec flock -x '$LAB/run/.state.setup-lock' sleep 30" 3>&- &
  local own=$!
  sleep 0.3
  attempt in_pod timeout 15 setup redirect
  pkill -P "$own" || true
  kill "$own" || true
  [[ $STATUS == 0 ]]
}

@test "a shell that does not become its last command (bash): entrypoint.sh redirects all the same" {
  up bash --posix "$(command -v entrypoint.sh)"
  has "$(rules)" 'dports 80,443 -j REDIRECT'
}

@test "mitmdump that listens late, or never: entrypoint.sh waits with it" {
  spawn holder setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups \
    socat TCP-LISTEN:18081,bind=127.0.0.1,reuseaddr,fork EXEC:'sleep 30'
  local holder=$SPAWNED
  spawn entrypoint entrypoint.sh
  wait_until 10 healthz_is '503 mitm not ready: mitmdump not listening'
  sleep 1
  kill "$holder"
  wait_until 60 healthz_is '200 ok'
}

@test "the canary's port is nobody's: neither proxy nor health port" {
  attempt with MITMPROXY_PORT=9 setup
  [[ $STATUS == 78 ]]
  has "$OUTPUT" 'MITMPROXY_PORT.*canary'
  attempt with HTTP_ADDR=:9 setup
  [[ $STATUS == 78 ]]
  has "$OUTPUT" 'HTTP_ADDR.*canary'
}

@test "setup and clear at once, many times: what the state file says is what is there" {
  local round
  in_pod setup prepare
  for round in {1..12}; do
    in_pod setup redirect 2>>"$LAB/setup.log" &
    in_pod setup clear 2>>"$LAB/setup.log" || fault "round $round: clear failed"
    wait $! || fault "round $round: redirect failed"
    if [[ $(state setup.state) == ready ]]; then
      in_pod setup status >"$LAB/status" || ! grep -E 'MISSING|EXTRA' "$LAB/status" || fault "round $round: half"
    else
      nothing_of_ours || fault "round $round: rules are left"
    fi
  done
  no_faults
}

@test "a foreign rule of any size in our chain is taken out, by setup and by clear" {
  need legacy
  local hex
  hex=$(printf '6&0xFF=0x%x&&' {1..9})
  in_pod setup
  in_pod iptables-legacy -t nat -A OPENSANDBOX_EGRESS -m u32 --u32 "${hex%&&}" -j ACCEPT
  attempt in_pod setup redirect
  [[ $STATUS == 0 ]]
  refute has "$(legacy_rules nat)" u32
  in_pod iptables-legacy -t nat -A OPENSANDBOX_EGRESS -m u32 --u32 "${hex%&&}" -j ACCEPT
  attempt in_pod setup clear
  [[ $STATUS == 0 ]]
  refute has "$(legacy_rules nat)" OPENSANDBOX
}

@test "another backend and another health port in one step" {
  need legacy
  give REDIRECT_BACKEND=nft
  in_pod setup
  give REDIRECT_BACKEND=iptables HTTP_ADDR=:18090 MITMPROXY_PORT=18091
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  refute has "$(in_pod nft list tables)" 'inet opensandbox'
}
