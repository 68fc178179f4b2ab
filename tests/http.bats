#!/usr/bin/env bats
# The HTTP that healthd speaks: what it answers to good requests, and to bad ones.

# shellcheck source=tests/lib/suite.sh
source "$BATS_TEST_DIRNAME/lib/suite.sh"

# These tests do not disturb each other: one lab, one healthd (200, for interception is off).
setup_file() {
  suite_up
  lab_for_file
  give MITMPROXY_TRANSPARENT=off
  spawn healthd healthd
  export HEALTHD=$SPAWNED
  wait_until 5 healthz_is '200 ok'
}
teardown_file() {
  lab_down
  suite_down
}
# Whatever was sent, it is alive.
teardown() { healthz_is '200 ok' && [[ -e /proc/$HEALTHD ]]; }

# raw [DRIP]: send standard input, print the answer.
raw() { in_pod /usr/bin/python3 "$ROOT/tests/lib/raw_http.py" 127.0.0.1 $HEALTH_PORT "$@"; }

# request TEXT EXPECTED: TEXT is a format of printf(1), EXPECTED the status.
request() {
  local answer
  # shellcheck disable=SC2059 # it is a format
  answer=$(printf -- "$1" | raw | tr -d '\0')
  [[ $answer == "HTTP/1.1 $2 "* ]] || {
    fault "expected $2 for ${1:0:200}, got ${answer:0:300}"
    return 0
  }
  [[ ${answer##*$'\n'} == closed* ]] || fault "${1:0:200}: ${answer##*$'\n'}"
  grep -qi $'^Connection: close\r$' <<<"$answer" || fault "${1:0:200}: no Connection: close"
}
# How many descriptors healthd has open; back_to N: no more than that.
descriptors() { find "/proc/$HEALTHD/fd" | wc -l; }
back_to() { (($(descriptors) <= $1)); }
HOST='Host: pod:18080\r\n'

@test "GET and HEAD" {
  local answer
  answer=$(printf 'GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:18080\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\nConnection: close\r\n\r\n' | raw)
  echo "$answer"
  has "$answer" $'^HTTP/1.1 200 OK\r$'
  has "$answer" $'^Content-Length: 3\r$'
  has "$answer" $'^Connection: close\r$'
  has "$answer" '^ok$'
  local head
  head=$(printf 'HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n' | raw)
  echo "$head"
  lacks "$head" '^ok$'
  # The same header.
  same header "$(sed '/^\r$/q' <<<"$answer" | grep -v '^Date')" "$(sed '/^\r$/q' <<<"$head" | grep -v '^Date')"
}

@test "paths and methods" {
  local method
  request 'GET /livez HTTP/1.1\r\n'"$HOST"'\r\n' 200
  request 'HEAD /livez HTTP/1.1\r\n'"$HOST"'\r\n' 200
  for path in / /nothing /healthz/ /healthzz /HEALTHZ /livez/x //healthz /../healthz; do
    request "GET $path HTTP/1.1\r\n$HOST\r\n" 404
  done
  for method in POST PUT DELETE OPTIONS PATCH TRACE FROB get; do
    request "$method /healthz HTTP/1.1\r\n$HOST\r\n" 405
    has "$(printf '%s /healthz HTTP/1.1\r\nHost: x\r\n\r\n' $method | raw)" '^Allow: .*GET.*HEAD|^Allow: .*HEAD.*GET' ||
      fault "$method: no Allow"
  done
  no_faults
}

@test "HTTP/1.0 needs no Host; other versions are refused" {
  request 'GET /healthz HTTP/1.0\r\n\r\n' 200
  request 'HEAD /healthz HTTP/1.0\r\n\r\n' 200
  request 'GET /healthz HTTP/2.0\r\n'"$HOST"'\r\n' 505
  request 'GET /healthz HTTP/3.0\r\n'"$HOST"'\r\n' 505
  request 'GET /healthz HTTP/0.9\r\n'"$HOST"'\r\n' 505
  no_faults
}

@test "malformed requests: 400" {
  local bad
  for bad in \
    'GET /healthz HTTP/1.1\nHost: x\n\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\n\r\n' \
    'GET /healthz HTTP/1.1\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\000c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\177c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA\001: b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n' \
    'GET /heal\001thz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz\r\n\r\n' \
    'GET\r\n\r\n' \
    'GET /healthz HTTX/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1 x\r\nHost: x\r\n\r\n' \
    'GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    ' GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'G\001T /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    '\026\003\001\002\000\001\000\001\374\003\003\r\n\r\n' \
    'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n'; do
    request "$bad" 400
  done
  no_faults
}

@test "4 KiB are taken, more is 431" {
  local padding
  # Request line, Host, "A: " and line ends are 46 bytes.
  padding=$(printf 'x%.0s' {1..4050})
  request "GET /healthz HTTP/1.1\r\nHost: x\r\nA: $padding\r\n\r\n" 200
  request "GET /healthz HTTP/1.1\r\nHost: x\r\nA: ${padding}$(printf 'x%.0s' {1..60})\r\n\r\n" 431
  request "GET /healthz HTTP/1.1\r\nHost: x\r\nA: $(printf 'x%.0s' {1..200000})\r\n\r\n" 431
  request "GET /$(printf 'x%.0s' {1..5000}) HTTP/1.1\r\nHost: x\r\n\r\n" 431
  # Without an end, as well.
  request "GET /healthz HTTP/1.1\r\nHost: x\r\nA: $(printf 'x%.0s' {1..100000})" 431
  no_faults
}

@test "a request that is not whole after 2 s: 408, however it dribbles" {
  local answer took drip
  for drip in '' 0.15; do
    # shellcheck disable=SC2086 # none, or one
    answer=$(printf 'GET /healthz HTTP/1.1\r\nHost: a-rather-long-name' | raw $drip)
    echo "$answer"
    has "$answer" '^HTTP/1.1 408 '
    took=$(sed -n 's/^closed after \([0-9]*\) ms$/\1/p' <<<"$answer")
    ((took > 1800 && took < 2700))
  done
}

@test "a body does not eat the answer, and a second request is not answered" {
  request 'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'"$(printf 'y%.0s' {1..1000})" 405
  request 'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n'"$(printf 'y%.0s' {1..100000})" 405
  local answer
  answer=$(printf 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' | raw)
  same answers 1 "$(grep -c '^HTTP/1.1' <<<"$answer")"
  no_faults
}

@test "a client that closes, or sends half and goes, does no harm" {
  local before
  before=$(descriptors)
  for _ in {1..20}; do
    in_pod bash -c 'exec 5<>/dev/tcp/127.0.0.1/18080; printf "GET /hea" >&5'
    in_pod bash -c 'exec 5<>/dev/tcp/127.0.0.1/18080'
  done
  wait_until 4 back_to "$before"
}

@test "2000 clients that say nothing: a probe is answered within a second" {
  local before started
  before=$(descriptors)
  # Its standard input is a pipe that this shell holds.
  coproc MANY { in_pod /usr/bin/python3 "$ROOT/tests/lib/many_clients.py" 127.0.0.1 $HEALTH_PORT 2000 3>&-; }
  local line many=$MANY_PID
  read -r -t 20 line <&"${MANY[0]}"
  [[ $line == holding ]]
  for _ in 1 2 3; do
    started=$(milliseconds)
    healthz_is '200 ok'
    (($(milliseconds) - started < 1000))
  done
  kill "$many"
  wait "$many" || true
  wait_until 5 back_to "$before"
}

@test "over the pod's address, as kubelet does, and over IPv6" {
  same IPv4 ok "$(in_origin curl -s --max-time 2 http://10.77.0.2:18080/healthz)"
  ((IPV6 == 1)) || return 0
  same IPv6 ok "$(in_origin curl -s --max-time 2 'http://[fd77::2]:18080/healthz')"
}
