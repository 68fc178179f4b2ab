#!/usr/bin/env bats
# Real traffic, through real rules and a real mitmdump, to a real origin.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

SHOP=https://shop.example.test

# intercepted URL [CURL OPTIONS]: the client is shown a certificate of our CA, which it can
# verify with the bundle alone, and the origin sees the header.
intercepted() {
  attempt app_curl "$@"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  has "$(seen_issuer "$@")" 'CN=mitmproxy'
}
# passed_through URL [CURL OPTIONS]: the client sees the origin's own certificate, and the
# origin what the client sent.
passed_through() {
  attempt app_curl "$@"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: $'
  has "$(seen_issuer "$@")" 'CN=Private Test CA'
}

# A client that asks for plain HTTP without a pause: one line per request, "ok" or curl's status.
start_client() {
  spawn client setpriv --reuid $APP_UID --regid $APP_UID --clear-groups bash -c "
    while :; do
      curl -s -o /dev/null --max-time 5 -A $1 http://shop.example.test/ && echo ok || echo \$?
    done"
  CLIENT=$SPAWNED
  wait_until 3 test -s "$LAB/client.log"
}
stop_client() {
  kill "$CLIENT"
  wait "$CLIENT" || true
}
# The origin's lines of client $1, intercepted (1) or not (-).
origin_lines() { grep -F "agent=\"$1\"" "$LAB/origin/access.log" | grep -c "egress=\"$2\"" || true; }

@test "HTTPS: certificate of our CA, verified with the bundle alone, header added, destination kept" {
  up
  attempt app_curl -v -w 'verify=%{ssl_verify_result} status=%{http_code}\n' -A first $SHOP/hello
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
  has "$OUTPUT" '^to: 203.0.113.10:443'
  has "$OUTPUT" '^host: shop.example.test'
  has "$OUTPUT" 'verify=0 status=200'
  has "$OUTPUT" 'issuer: .*CN=mitmproxy'
  has "$(origin_saw 'agent="first"')" 'egress="1"'
  # Really ours: the certificate alone verifies it, what is the origin's own does not.
  attempt as_app curl -sS --max-time 5 --cacert "$EXPORT/mitmproxy-ca-cert.pem" --capath /dev/null $SHOP/
  [[ $STATUS == 0 ]]
  attempt as_app curl -sS --max-time 5 --cacert "$STAGE/pki/private-ca.crt" --capath /dev/null $SHOP/
  [[ $STATUS == 60 ]]
  # The address that the client chose, not what the name says.
  attempt app_curl --resolve shop.example.test:443:203.0.113.11 $SHOP/
  has "$OUTPUT" '^to: 203.0.113.11:443'
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
  # HTTP/1.1 as well.
  attempt app_curl --http1.1 https://api.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
  has "$OUTPUT" '^to: 203.0.113.11:443'
}

@test "HTTP, and a header that the client made up is replaced" {
  up
  attempt app_curl -H 'X-OpenSandbox-Egress: none' -A second http://api.example.test/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  has "$OUTPUT" '^to: 203.0.113.11:80'
  has "$(origin_saw 'agent="second"')" 'egress="1"'
}

@test "root is intercepted, too; the mitmproxy user, other ports and loopback are not" {
  up
  attempt in_pod curl -sS --max-time 5 --cacert "$BUNDLE" --capath /dev/null $SHOP/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  attempt as_mitm curl -sS --max-time 5 --cacert "$STAGE/pki/private-ca.crt" --capath /dev/null $SHOP/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: $'
  attempt as_mitm curl -sS --max-time 5 http://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: $'
  passed_through https://shop.example.test:8443/
  attempt app_curl http://shop.example.test:8080/
  has "$OUTPUT" '^X-OpenSandbox-Egress: $'
  # A server in the pod, at both of its addresses.
  mkdir "$LAB/served"
  echo local >"$LAB/served/index.html"
  spawn server python3 -m http.server --directory "$LAB/served" 80
  wait_until 3 listens 80
  same loopback local "$(as_app curl -s --max-time 5 http://127.0.0.1/)"
  same 'own address' local "$(as_app curl -s --max-time 5 http://10.77.0.2/)"
}

@test "upstream is verified: an unknown CA gets 502, and 200 with SSL_INSECURE" {
  up
  attempt app_curl -A careful -w 'status=%{http_code}\n' -o /dev/null https://unknown-ca.test/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'status=502'
  refute origin_saw 'agent="careful"'
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  give MITMPROXY_SSL_INSECURE=yes
  up
  attempt app_curl -w 'status=%{http_code}\n' https://unknown-ca.test/
  has "$OUTPUT" 'status=200'
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  intercepted $SHOP/
}

@test "the trust directory is what upstream is verified against" {
  mkdir "$LAB/trust"
  cp "$STAGE/pki/unknown-ca.crt" "$LAB/trust/unknown-ca.pem"
  openssl rehash "$LAB/trust"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  up
  attempt app_curl -o /dev/null -w '%{http_code}' https://unknown-ca.test/
  same status 200 "$OUTPUT"
  attempt app_curl -o /dev/null -w '%{http_code}' $SHOP/
  same status 502 "$OUTPUT"
}

@test "IGNORE_HOSTS: each of three patterns is passed through by SNI, all else intercepted" {
  local name
  give MITMPROXY_IGNORE_HOSTS='^(.+\.)?pinned-one\.test(:\d+)?$; ^(.+\.)?pinned-two\.test(:\d+)?$ ;^(.+\.)?pinned-three\.test(:\d+)?$'
  up
  for name in one two three; do
    passed_through "https://pinned-$name.test/"
    # By the name, wherever it leads to.
    passed_through "https://pinned-$name.test/" --resolve "pinned-$name.test:443:203.0.113.10"
  done
  intercepted $SHOP/
  intercepted https://api.example.test/
  intercepted $SHOP/ --resolve shop.example.test:443:203.0.113.21
}

@test "IGNORE_HOSTS matches addresses as well" {
  give MITMPROXY_IGNORE_HOSTS='^203\.0\.113\.11(:\d+)?$'
  up
  passed_through https://api.example.test/
  intercepted $SHOP/
}

@test "event streams and chunked answers arrive piece by piece, large ones whole" {
  slow_origin_up
  up
  local path
  for path in events chunked; do
    for version in --http1.1 --http2; do
      attempt as_app curl -sSN $version --max-time 1.5 --cacert "$BUNDLE" "$SHOP/$path?pause=4"
      [[ $STATUS == 28 ]] # there is more to come
      has "$OUTPUT" first
    done
    attempt app_curl -N "$SHOP/$path?pause=0.1"
    [[ $STATUS == 0 ]]
    has "$OUTPUT" second
  done
  attempt app_curl -o /dev/null -w '%{size_download}' $SHOP/large
  same size $((16 << 20)) "$OUTPUT"
}

@test "a fixed CA, RSA and EC, is what the client sees, and is so after a restart" {
  local kind before
  for kind in rsa ec; do
    make_ca "$LAB/$kind" $kind
    remove "$CONFDIR" "$EXPORT"
    place_ca "$LAB/$kind/ca.pem"
    before=$(sha256sum <"$CONFDIR/mitmproxy-ca.pem")
    for _ in 1 2; do
      up
      attempt as_app curl -sS --max-time 5 --cacert "$LAB/$kind/cert.pem" --capath /dev/null $SHOP/
      [[ $STATUS == 0 ]]
      has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
      has "$(seen_issuer $SHOP/)" "CN=Fixed $kind"
      kill "$SPAWNED"
      await_exit "$SPAWNED" 6
    done
    same 'the CA' "$before" "$(sha256sum <"$CONFDIR/mitmproxy-ca.pem")"
    same export "$(fingerprint "$LAB/$kind/cert.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
    same 'state file' "$(fingerprint "$LAB/$kind/cert.pem")" "$(state setup.ca_sha256)"
  done
}

@test "setup first: refused until mitmdump listens, nothing leaves unintercepted" {
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  attempt app_curl -A early http://shop.example.test/
  [[ $STATUS == 7 ]]
  attempt app_curl -A early $SHOP/
  [[ $STATUS == 7 ]]
  start_client looping
  up healthd
  intercepted $SHOP/
  wait_until 5 grep -qx ok "$LAB/client.log"
  stop_client
  refute origin_saw 'agent="early"'
  # Refused at first, then intercepted, and nothing else.
  same 'first answer' 7 "$(head -n 1 "$LAB/client.log")"
  same 'kinds of answers' $'7\nok' "$(sort -u "$LAB/client.log")"
  same 'not intercepted' 0 "$(origin_lines looping -)"
  (($(origin_lines looping 1) > 0))
}

@test "entrypoint.sh alone: the rules come only after the listener, so nobody is ever refused" {
  start_client looping
  wait_until 3 origin_saw 'agent="looping"'
  up
  intercepted $SHOP/
  local before
  before=$(origin_lines looping 1)
  more() { (($(origin_lines looping 1) > before + 2)); }
  wait_until 5 more
  stop_client
  # The connection that was open when the rules came, if there was one, is closed (56): by setup, or by
  # the proxy's kernel if something of it has come there before.
  same 'kinds of answers' ok "$(grep -vx 56 "$LAB/client.log" | sort -u)"
  (($(grep -cx 56 "$LAB/client.log") <= 1))
  (($(origin_lines looping -) > 0))
  # Once intercepted, always intercepted.
  same 'changes' $'egress="-"\negress="1"' \
    "$(grep 'agent="looping"' "$LAB/origin/access.log" | grep -o 'egress="[^"]*"' | uniq)"
}

@test "mitmdump killed: who comes meanwhile waits, nothing leaves unintercepted, the same CA" {
  up
  local ca
  ca=$(fingerprint "$CONFDIR/mitmproxy-ca.pem")
  start_client looping
  wait_until 5 grep -qx ok "$LAB/client.log"
  local first
  first=$(mitmdump_pid)
  kill -KILL "$first"
  wait_until 10 another_mitmdump_than "$first"
  wait_until 10 healthz_is '200 ok'
  intercepted $SHOP/
  stop_client
  same 'not intercepted' 0 "$(origin_lines looping -)"
  same CA "$ca" "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")"
}

@test "after the end: refused (fail closed), and free again after setup clear" {
  up
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  attempt app_curl $SHOP/
  [[ $STATUS == 7 ]]
  in_pod setup clear
  attempt as_app curl -sS --cacert "$STAGE/pki/private-ca.crt" $SHOP/
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: $'
}

@test "entrypoint.sh with arguments: setup, healthd, anything else" {
  attempt in_pod entrypoint.sh setup prepare
  [[ $STATUS == 0 && -s $BUNDLE ]]
  nothing_of_ours
  attempt in_pod entrypoint.sh setup
  [[ $STATUS == 0 ]]
  up entrypoint.sh healthd
  intercepted $SHOP/
  attempt in_pod entrypoint.sh printf '<%s>' 'a b' c
  same output '<a b><c>' "$OUTPUT"
  attempt in_pod entrypoint.sh sh -c 'exit 7'
  [[ $STATUS == 7 ]]
  attempt with MITMPROXY_PORT=abc entrypoint.sh
  [[ $STATUS == 78 ]]
}

@test "an addon that fails at the end of its start: never 200" {
  cat >"$LAB/addons/late.py" <<'PYTHON'
import asyncio, logging
class Late:
    async def running(self):
        await asyncio.sleep(2)
        logging.error("late failure")
addons = [Late()]
PYTHON
  give MITMPROXY_SCRIPT="$LAB/addons/late.py"
  spawn entrypoint entrypoint.sh
  local answer deadline=$(($(milliseconds) + 20000))
  until (($(state mitm.restarts) >= 2)); do
    answer=$(healthz)
    [[ $answer != 200* ]] || fault "$answer"
    (($(milliseconds) < deadline)) || fault 'it has not ended twice'
    ((FAULTS == 0)) || break
  done
  has "$(<"$LAB/entrypoint.log")" 'late failure'
  no_faults
}

@test "addons that print half a line, or have standard output for themselves: ready without delay" {
  local addon
  for addon in 'import sys; print("half", end="", flush=True); sys.stderr.write("\\rloading 100%")' \
    'import os, sys; sys.stdout = open(os.devnull, "w")'; do
    printf '%b\n' "$addon" >"$LAB/addons/odd.py"
    give MITMPROXY_SCRIPT="$LAB/addons/odd.py"
    spawn odd entrypoint.sh
    wait_until 5 healthz_is '200 ok'
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
}

@test "no request is served before the last addon has started" {
  cat >"$LAB/addons/late.py" <<'PYTHON'
import asyncio
ready = False
async def running():
    global ready
    await asyncio.sleep(1.5)
    ready = True
def request(flow):
    flow.request.headers["user-agent"] = "in time" if ready else "too early"
PYTHON
  give MITMPROXY_SCRIPT="$LAB/addons/late.py"
  in_pod setup
  spawn healthd healthd
  wait_until 5 listens $PROXY_PORT
  attempt app_curl http://shop.example.test/
  has "$OUTPUT" '^User-Agent: in time$'
}

@test "an addon that does not end its start: no request is served without it, and the log says why" {
  cp -r "$STAGE/usr/share/opensandbox/mitmscripts" "$LAB/scripts"
  sed -i 's/^START_MAX = 15$/START_MAX = 1/' "$LAB/scripts/worker.py"
  grep -q '^START_MAX = 1$' "$LAB/scripts/worker.py"
  printf 'import asyncio\nasync def running():\n    await asyncio.sleep(5)\n' >"$LAB/addons/endless.py"
  give MITMPROXY_SCRIPTS_DIR="$LAB/scripts" MITMPROXY_SCRIPT="$LAB/addons/endless.py"
  in_pod setup
  spawn healthd healthd
  local deadline=$(($(milliseconds) + 20000))
  until grep -q 'has an addon that has not started within 1 s' "$LAB/healthd.log"; do
    attempt app_curl --max-time 2 http://shop.example.test/
    [[ $STATUS != 0 ]] || fault "served: $OUTPUT"
    (($(milliseconds) < deadline)) || fault 'no line says why'
    ((FAULTS == 0)) || break
  done
  has "$(healthz)" '^503'
  no_faults
}

@test "an addon that takes its time to start: 200 only then" {
  printf 'import asyncio\nasync def running():\n    await asyncio.sleep(2)\n    print("now", flush=True)\n' >"$LAB/addons/slow.py"
  give MITMPROXY_SCRIPT="$LAB/addons/slow.py"
  up
  grep -q 'mitmdump: now$' "$LAB/up.log"
  lacks "$(<"$LAB/up.log")" 'has started'
}

@test "entrypoint.sh with an addon that is broken: stays up, 503 with the reason, never 200" {
  echo 'this is not python' >"$LAB/addons/broken.py"
  give MITMPROXY_SCRIPT="$LAB/addons/broken.py"
  spawn entrypoint entrypoint.sh
  wait_until 5 healthz_is '503 mitm not ready'
  # Such a mitmdump listens for a moment, and says so, before it ends.
  local answer deadline=$(($(milliseconds) + 12000))
  until (($(state mitm.restarts) >= 2)); do
    answer=$(healthz)
    echo "$answer"
    [[ $answer == '503 mitm not ready: '* ]]
    (($(milliseconds) < deadline))
  done
  [[ $answer == *mitmdump* ]]
  [[ -e /proc/$SPAWNED ]]
}
