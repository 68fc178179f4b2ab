#!/usr/bin/env bats
# The HTTP that healthd speaks: what it answers to good requests, and to bad ones.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

# These tests do not disturb each other: one lab, one healthd (200, for interception is off).
setup_file() { healthd_for_file; }
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
  # The body is as long as the header says, or there is none.
  local length body=${answer#*$'\r\n\r\n'}
  body=${body%$'\n'closed*}
  length=$(sed -n 's/^Content-Length: \([0-9]*\)\r$/\1/p' <<<"$answer")
  [[ $1 == HEAD\ * || $length == "${#body}" ]] || fault "${1:0:200}: Content-Length $length, body of ${#body}"
  [[ $1 != HEAD\ * || $body == '' ]] || fault "${1:0:200}: body: $body"
}
# requests EXPECTED TEXT...: the same of several.
requests() {
  local expected=$1 text
  shift
  for text; do request "$text" "$expected"; done
}
# Has healthd no more than so many descriptors?
back_to() { (($(descriptors "$HEALTHD") <= $1)); }
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

@test "request lines" {
  # RFC 9112, 3: single spaces, CRLF at the end, and nothing but a method, a target and a version.
  requests 400 \
    'GET /healthz\r\n\r\n' \
    'GET\r\n\r\n' \
    'GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz  HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n' \
    ' GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1 x\r\nHost: x\r\n\r\n' \
    'GET /health z HTTP/1.1\r\nHost: x\r\n\r\n' \
    ' /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'G\001T /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'G(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET: /healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\nHost: x\n\n' \
    'GET /healthz HTTP/1.1\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\rHost: x\r\n\r\n' \
    'GET /healthz\rHTTP/1.1\r\nHost: x\r\n\r\n'
  # The version is HTTP, in capitals, a digit, a point and a digit (2.3).
  requests 400 \
    'GET /healthz HTTX/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz http/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/01.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1,1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP 1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/-1.1\r\nHost: x\r\n\r\n'
  requests 505 'GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n' 'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n'
  # One empty line before the request is passed over (2.2).
  request '\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' 200
  requests 400 '\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' '\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  # A refusal of HEAD has no body either.
  requests 400 'HEAD /healthz HTTP/1.1\r\n\r\n' 'HEAD healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  request 'HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n' 404
  no_faults
}

@test "targets" {
  # RFC 9112, 3.2: a path with or without a query, an absolute URI, or "*".
  requests 200 \
    'GET /healthz? HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz?verbose&a=b?c HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http://pod:18080/healthz HTTP/1.1\r\nHost: pod:18080\r\n\r\n' \
    'GET HTTP://[::1]:18080/healthz?x HTTP/1.1\r\nHost: other\r\n\r\n'
  # An absolute URI without a path is "/", whatever its query looks like. Escapes are not undone.
  requests 404 \
    'GET http://pod HTTP/1.1\r\nHost: pod\r\n\r\n' \
    'GET http://pod?/healthz HTTP/1.1\r\nHost: pod\r\n\r\n' \
    'GET http://pod//healthz HTTP/1.1\r\nHost: pod\r\n\r\n' \
    'GET /%%68ealthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz%%00 HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz;a HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /x/../healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET * HTTP/1.1\r\nHost: x\r\n\r\n' \
    'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n' \
    "GET /healthz$(printf '/%.0s' {1..56}) HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" \
    "GET /healthz$(printf '/%.0s' {1..57}) HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
  requests 400 \
    'GET healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET ?verbose HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET ** HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http:/healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http:///healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http://:80/healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http://pod:http/healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http://user@pod/healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET https://pod/healthz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET http://pod/healthz HTTP/1.1\r\n\r\n' \
    'CONNECT pod:443 HTTP/1.1\r\nHost: pod:443\r\n\r\n' \
    'GET /heal\001thz HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz\000 HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz\177 HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /h\303\251 HTTP/1.1\r\nHost: x\r\n\r\n'
  no_faults
}

@test "Host" {
  # RFC 9112, 3.2: just one in HTTP/1.1, and what is none is answered 400.
  local host
  for host in '' x 'pod:18080' 'pod:' 10.0.0.7:18080 '[::1]' '[fd00::7]:18080' 'a-b.c_d~e' 'a%%20b' ' x\t'; do
    request "GET /healthz HTTP/1.1\r\nHost:$host\r\n\r\n" 200
  done
  for host in 'a b' 'a,b' 'a:b' 'a:1:2' '::1' '[::1' '[]' '[::1]x' '[::1]:x' 'a[::1]' 'http://a' 'a/b' 'u@a' 'a?b' '"a"' 'h\303\251' 'a\\b'; do
    request "GET /healthz HTTP/1.1\r\nHost: $host\r\n\r\n" 400
  done
  requests 400 \
    'GET /healthz HTTP/1.1\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHosts: x\r\n\r\n' \
    'GET /healthz HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.0\r\nHost: a b\r\n\r\n'
  requests 200 'GET /healthz HTTP/1.1\r\nHOST: x\r\n\r\n' 'GET /healthz HTTP/1.1\r\nA: b\r\nhost:x\r\n\r\n'
  no_faults
}

@test "field lines" {
  # RFC 9112, 5: a token, a colon right behind it, and no control characters but tabs.
  requests 200 \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA:b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: \t b\tc : d \r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: h\303\251\377\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n!#$%%&'\''*+-.^_`|~0aZ: b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'
  requests 400 \
    'GET /healthz HTTP/1.1\r\nHost: x\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n\n' \
    'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA\t: b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n \r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\000c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\013c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\033[31m\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\177c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA\001: b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA\000: b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA\303\251: b\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n"A": c\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n'
  no_faults
}

@test "a body's length" {
  # RFC 9112, 6: no body that two readers could see the end of in different places.
  requests 200 \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length:\t003 \r\n\r\nabc' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999999\r\n\r\n' \
    'GET /healthz HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\ntransfer-encoding:CHUNKED\r\n\r\n0\r\n\r\n'
  local length
  for length in '' abc -1 +1 0x1 1.0 1e1 '1 2' '1, 1' '1,2' '"1"' 1\; 9999999999999999999 99999999999999999999999 18446744073709551617; do
    request "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: $length\r\n\r\n" 400
  done
  local coding
  for coding in '' gzip identity 'gzip, chunked' 'chunked, chunked' 'chunked, gzip' 'chunked;q=1' xchunked 'chunked\013' '"chunked"' ',chunked'; do
    request "POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: $coding\r\n\r\n0\r\n\r\n" 400
  done
  requests 400 \
    'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    'POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n' \
    'POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    'POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    'POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n' \
    'POST /healthz HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'
  no_faults
}

@test "what is no HTTP/1" {
  requests 505 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
  # TLS and SOCKS are refused at once, with no line yet.
  requests 400 \
    '\026\003\001\002\000\001\000\001\374\003\003' \
    '\005\001\000' \
    'GET /heal\000' \
    'SSH-2.0-OpenSSH_9.2p1\r\n' \
    'HELO pod\r\n' \
    '\r\n\r\n' \
    '\n' \
    '\377\376\r\n'
  request '' 408
  request '\r\n' 408
  no_faults
}

@test "a request is answered alike in one piece and byte by byte" {
  local text whole pieces
  for text in 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' 'HEAD /nothing HTTP/1.0\r\n\r\n' \
    'GET /\000 HTTP/2.0\r\n\r\n' 'HEAD /\000 HTTP/1.1\r\nHost: x\r\n\r\n' \
    'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n' 'GET /a\rb HTTP/1.1\r\n\r\n'; do
    # shellcheck disable=SC2059 # it is a format
    whole=$(printf "$text" | raw | grep -vE '^Date|^closed')
    # shellcheck disable=SC2059
    pieces=$(printf "$text" | raw 0.01 | grep -vE '^Date|^closed')
    same "$text" "$whole" "$pieces" || fault "$text"
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
  before=$(descriptors "$HEALTHD")
  for _ in {1..20}; do
    in_pod bash -c 'exec 5<>/dev/tcp/127.0.0.1/18080; printf "GET /hea" >&5'
    in_pod bash -c 'exec 5<>/dev/tcp/127.0.0.1/18080'
  done
  wait_until 4 back_to "$before"
}

@test "2000 clients that say nothing: a probe is answered within a second" {
  local before started
  before=$(descriptors "$HEALTHD")
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
