#!/usr/bin/env bats
# /metrics and /healthz?verbose: in the format that they are said to have, in accord with each
# other and with /healthz, and true.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

teardown() {
  # A stopped process does not end.
  [[ -z ${STOPPED-} ]] || kill -CONT "$STOPPED" 2>/dev/null || true
  lab_down
}

reads() { /usr/bin/python3 "$ROOT/tests/lib/metrics.py"; }
# METRICS becomes what /metrics says now, a sample a line, labels sorted; value SAMPLE prints one.
scrape() {
  METRICS=$(get /metrics | reads) || {
    echo "$METRICS"
    return 1
  }
}
value() { awk -v sample="$1" '$1 == sample { print $2 }' <<<"$METRICS"; }
# value_is SAMPLE VALUE, in a new scrape.
value_is() {
  scrape
  [[ $(value "$1") == "$2" ]]
}
# expect SAMPLE VALUE: in the last one.
expect() { [[ $(value "$1") == "$2" ]] || fault "$1 is $(value "$1"), not $2"; }

# requests PATH CODE: how many were counted.
requests() { value "http_requests_total{code=\"$2\",path=\"$1\"}"; }
restarts() { value "mitmdump_restarts_total{cause=\"$1\"}"; }

# The conditions that are listed, in order.
ALL='state-file setup ca runner mitmdump rules canary-ipv4 canary-ipv6 guard-ipv4 guard-ipv6 gate'
# Leave out those of IPv6 where there is none.
expected() { tr ' ' '\n' <<<"$1" | if ((IPV6 == 1)); then cat; else grep -v ipv6; fi | paste -sd' '; }

# verbose: VERBOSE becomes the answer, MARKS "+NAME -NAME ..." and CODE its status.
verbose() {
  VERBOSE=$(in_pod curl -s --max-time 2 -w '%{http_code}' "http://127.0.0.1:$HEALTH_PORT/healthz?verbose")
  CODE=${VERBOSE##*$'\n'} VERBOSE=${VERBOSE%$'\n'*}
  MARKS=$(sed -nE 's/^\[([+!-])\]([a-z0-9-]+) (ok|failed: .+|missing: .+)$/\1\2/p' <<<"$VERBOSE" | paste -sd' ')
}
# coherent [CONDITIONS]: /healthz, /healthz?verbose and /metrics tell the same, at a time when
# nothing changes. The conditions are ALL, or those named.
coherent() {
  local plain mark name
  plain=$(healthz)
  verbose
  scrape || fault "$METRICS"
  same conditions "$(expected "${1-$ALL}")" "$(tr ' ' '\n' <<<"$MARKS" | cut -c2- | paste -sd' ')" || fault 'conditions'
  # A line each, and the last.
  (($(wc -l <<<"$VERBOSE") == $(wc -w <<<"$MARKS") + 1)) || fault "$VERBOSE"
  # Not 200 with one that fails, nor 503 without.
  if grep -qE '(^| )-' <<<"$MARKS"; then [[ $CODE == 503 ]]; else [[ $CODE == 200 ]]; fi || fault "$CODE with $MARKS"
  case $CODE in
    200)
      same plain '200 ok' "$plain" || fault plain
      same 'the last line' 'healthz check passed' "$(tail -n 1 <<<"$VERBOSE")" || fault last
      expect ready 1
      ;;
    503)
      [[ $plain == '503 mitm not ready: '* ]] || fault "$plain"
      # The reason is that of the first condition that fails.
      same reason "${plain#*ready: }" "$(sed -n 's/^\[-\][a-z0-9-]* failed: //p' <<<"$VERBOSE" | head -n 1)" || fault reason
      same 'the last line' 'healthz check failed' "$(tail -n 1 <<<"$VERBOSE")" || fault last
      expect ready 0
      ;;
    *) fault "status $CODE" ;;
  esac
  for mark in $MARKS; do
    name=${mark:1}
    expect "condition{name=\"$name\"}" "$([[ $mark == +* ]] && echo 1 || echo 0)"
  done
  same 'number of conditions' "$(wc -w <<<"$MARKS")" "$(grep -c '^condition{' <<<"$METRICS")" || fault conditions
}
# fails_only SECONDS CONDITION...: within that time these fail, and no other.
fails_only() {
  local seconds=$1 wanted
  wanted=$(tr ' ' '\n' <<<"$2")
  failing() {
    verbose
    [[ $(tr ' ' '\n' <<<"$MARKS" | sed -n 's/^-//p') == "$wanted" ]]
  }
  wait_until "$seconds" failing || fault "expected to fail: $2; is: $VERBOSE"
}
sleeping_mitmdump() {
  fake_mitmdump <<'FAKE'
#!/bin/sh
exec sleep 1000
FAKE
}
off() {
  give MITMPROXY_TRANSPARENT=off
  spawn healthd healthd
  wait_until 5 healthz_is '200 ok'
}

@test "the reader of these tests sees what is wrong" {
  good() {
    cat <<'TEXT'
# HELP opensandbox_egress_a_total text
# TYPE opensandbox_egress_a_total counter
opensandbox_egress_a_total{x="a\"b\\c"} 1
opensandbox_egress_a_total{x="",y="d"} 2.5e3
# HELP opensandbox_egress_b b
# TYPE opensandbox_egress_b gauge
opensandbox_egress_b -1
TEXT
  }
  good | reads
  local edit bad
  # Each is an edit that makes it wrong.
  while read -r edit; do
    bad=$(good | sed "$edit")
    [[ $bad != "$(good)" ]] || fault "changes nothing: $edit"
    reads <<<"$bad" >/dev/null && fault "taken: $edit"
  done <<'EDITS'
s/HELP/HELLP/
s/counter/counting/
s/ 1$/ one/
s/} 1$/} -1/
s/counter/gauge/
3s/a_total/c_total/
s/x="a/1="a/
s/\\"/\\q/
s/\\"/"/
3p
4s/,y="d"/,/
4s/y=/x=/
1p
2p
1d
2d
s/} 1/}  1/
s/ 1$/ 1\r/
s/""/"a\\"b\\\\c"/; s/,y="d"//
6h; 6d; $G
$G; 3h; 3d; ${G}
s/opensandbox_egress_b/other_b/
s/x="a/x="a"b="/
s/^# TYPE/#TYPE/
EDITS
  printf '%s' "$(good)" | reads >/dev/null && fault 'taken: no line feed at the end'
  no_faults
}

@test "content type, GET and HEAD, HTTP/1.0; other methods are refused" {
  off
  local head answer
  answer=$(in_pod curl -si --max-time 2 "http://127.0.0.1:$HEALTH_PORT/metrics")
  head=$(in_pod curl -sI --max-time 2 "http://127.0.0.1:$HEALTH_PORT/metrics")
  has "$answer" $'^HTTP/1.1 200 OK\r$'
  has "$answer" $'^Content-Type: text/plain; version=0.0.4; charset=utf-8\r$'
  has "$answer" $'^Connection: close\r$'
  has "$head" $'^HTTP/1.1 200 OK\r$'
  has "$head" $'^Content-Type: text/plain; version=0.0.4; charset=utf-8\r$'
  has "$head" $'^Content-Length: [1-9][0-9]+\r$'
  lacks "$head" opensandbox
  in_pod curl -sf --http1.0 --max-time 2 "http://127.0.0.1:$HEALTH_PORT/metrics" | reads
  same POST 405 "$(in_pod curl -s -o /dev/null -w '%{http_code}' -X POST "http://127.0.0.1:$HEALTH_PORT/metrics")"
}

@test "requests are counted by path and code, each once" {
  off
  # Whoever waited for 200 is counted as well: what counts is the difference.
  local before expected sample
  # shellcheck disable=SC2059 # it is a format
  raw() { printf -- "$1" | in_pod /usr/bin/python3 "$ROOT/tests/lib/raw_http.py" 127.0.0.1 $HEALTH_PORT >/dev/null; }
  scrape
  before=$METRICS
  for _ in 1 2 3; do get /healthz; done
  for _ in 1 2; do get '/healthz?verbose'; done
  raw 'HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  raw 'POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  for _ in 1 2 3 4; do get /livez; done
  for _ in 1 2 3 4 5; do get /nothing; done
  raw 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
  raw 'GET /healthz HTTP/1.1\nHost: x\n\n'
  raw '\026\003\001\002\000\001\000\001\374\003\003\r\n\r\n'
  raw "GET /healthz HTTP/1.1\r\nHost: x\r\nA: $(printf 'x%.0s' {1..5000})\r\n\r\n"
  raw 'GET /healthz HTTP/1.1\r\nHost: never'
  # Neither of these is a request that was answered.
  in_pod bash -c 'exec 5<>/dev/tcp/127.0.0.1/18080'
  in_pod bash -c 'exec 5<>/dev/tcp/127.0.0.1/18080; printf "GET /hea" >&5'
  scrape
  grep http_requests_total <<<"$METRICS"
  for expected in '/healthz 200 6' '/healthz 405 1' '/livez 200 4' 'other 404 6' 'other 400 2' 'other 431 1' 'other 408 1' '/metrics 200 1'; do
    # shellcheck disable=SC2086 # three words
    set -- $expected
    sample="http_requests_total{code=\"$2\",path=\"$1\"}"
    local was
    was=$(awk -v sample="$sample" '$1 == sample { print $2 }' <<<"$before")
    (($(value "$sample") == ${was:-0} + $3)) || fault "$sample: $(value "$sample"), was ${was:-0}, $3 asked"
  done
  # And no other combination has turned up.
  same combinations 8 "$(grep -c '^http_requests_total{' <<<"$METRICS")" || fault combinations
  no_faults
}

@test "clients that are there, and those that had to go" {
  off
  local many
  coproc MANY { in_pod /usr/bin/python3 "$ROOT/tests/lib/many_clients.py" 127.0.0.1 $HEALTH_PORT 20 3>&-; }
  many=$MANY_PID
  local line
  read -r -t 20 line <&"${MANY[0]}"
  [[ $line == holding ]]
  scrape
  # With the one that asks.
  same clients 21 "$(value http_clients)"
  same dropped 0 "$(value http_clients_dropped_total)"
  kill "$many"
  wait "$many" || true
  wait_until 5 value_is http_clients 1
  coproc MANY { in_pod /usr/bin/python3 "$ROOT/tests/lib/many_clients.py" 127.0.0.1 $HEALTH_PORT 1000 3>&-; }
  many=$MANY_PID
  read -r -t 20 line <&"${MANY[0]}"
  scrape
  echo "clients $(value http_clients), dropped $(value http_clients_dropped_total)"
  # Each that is not there was dropped (or told after 2 s that its request came late).
  (($(value http_clients_dropped_total) > 0))
  (($(value http_clients) < 1000))
  (($(value http_clients_dropped_total) + $(value http_clients) + 0$(requests other 408) >= 1000))
  kill "$many"
  wait "$many" || true
  wait_until 5 value_is http_clients 1
}

@test "interception off: ready, one condition, and what is not known is not there" {
  off
  coherent setup
  expect 'condition{name="setup"}' 1
  lacks "$METRICS" '^ca_expiry'
  local cause
  for cause in exited killed hung start_timeout ca_changed not_started; do
    expect "mitmdump_restarts_total{cause=\"$cause\"}" 0
  done
  no_faults
}

@test "all is well: every family with its type, and its figures are those of /proc and of the CA" {
  up
  local family pid ticks
  pid=$(mitmdump_pid)
  # Canaries of both kinds have flown.
  wait_until 12 value_is ready 1
  coherent
  for family in 'ready gauge' 'condition gauge' 'mitmdump_restarts_total counter' 'mitmdump_start_duration_seconds gauge' \
    'mitmdump_workers gauge' 'mitmdump_up gauge' 'mitmdump_connections gauge' 'mitmdump_connections_total counter' \
    'mitmdump_requests_total counter' 'mitmdump_resident_memory_bytes gauge' 'mitmdump_cpu_seconds_total counter' \
    'http_requests_total counter' 'http_clients gauge' 'http_clients_dropped_total counter' \
    'refused_total counter' 'state_write_failures_total counter' 'ca_expiry_timestamp_seconds gauge' 'build_info gauge'; do
    has "$METRICS" "^# TYPE $family\$" || fault "$family"
  done
  same families 18 "$(grep -c '^# TYPE' <<<"$METRICS")" || fault families
  expect 'mitmdump_up{worker="1"}' 1
  expect mitmdump_workers 1
  expect state_write_failures_total 0
  expect "build_info{version=\"$(sed -n 's/^VERSION *:= *//p' "$ROOT/Makefile")\"}" 1
  expect ca_expiry_timestamp_seconds \
    "$(date -d "$(openssl x509 -noout -enddate -in "$CONFDIR/mitmproxy-ca.pem" | cut -d= -f2)" +%s)"
  awk -v s="$(value mitmdump_start_duration_seconds)" 'BEGIN { exit !(s > 0.01 && s < 60) }' ||
    fault "start took $(value mitmdump_start_duration_seconds) s"
  # The moment is not the same: a tenth, or a tenth of a second.
  awk -v said="$(value 'mitmdump_resident_memory_bytes{worker="1"}')" -v is="$(resident "$pid")" \
    'BEGIN { is *= 1024; exit !(said > is * 0.9 && said < is * 1.1) }' ||
    fault "memory $(value 'mitmdump_resident_memory_bytes{worker="1"}'), is $(resident "$pid") KiB"
  ticks=$(cpu_ms "$pid")
  awk -v said="$(value 'mitmdump_cpu_seconds_total{worker="1"}')" -v is="$ticks" \
    'BEGIN { is /= 1000; exit !(said > is * 0.9 - 0.1 && said <= is * 1.1 + 0.1) }' ||
    fault "processor $(value 'mitmdump_cpu_seconds_total{worker="1"}') s, is $ticks ms"
  no_faults
}

@test "mitmdump killed, and ended: the restarts by their cause, and the new one's figures" {
  up
  kill -KILL "$(mitmdump_pid)"
  wait_until 2 value_is 'mitmdump_restarts_total{cause="killed"}' 1
  wait_until 20 healthz_is '200 ok'
  kill -TERM "$(mitmdump_pid)"
  # Counted when it is started again: this is the second time.
  wait_until 10 value_is 'mitmdump_restarts_total{cause="exited"}' 1
  wait_until 20 healthz_is '200 ok'
  scrape
  expect 'mitmdump_restarts_total{cause="killed"}' 1
  expect 'mitmdump_restarts_total{cause="exited"}' 1
  local cause
  for cause in hung start_timeout ca_changed not_started; do expect "mitmdump_restarts_total{cause=\"$cause\"}" 0; done
  same 'state file' 2 "$(state mitm.restarts)" || fault 'state file'
  # Those of the process that runs, not of those that ran.
  awk -v said="$(value 'mitmdump_resident_memory_bytes{worker="1"}')" -v is="$(resident "$(mitmdump_pid)")" \
    'BEGIN { is *= 1024; exit !(said > is * 0.8 && said < is * 1.2) }' || fault "memory $(value 'mitmdump_resident_memory_bytes{worker="1"}')"
  # Another CA, by setup: a restart of its own kind.
  rm "$CONFDIR"/mitmproxy-ca*
  in_pod setup
  wait_until 15 value_is 'mitmdump_restarts_total{cause="ca_changed"}' 1 || fault 'CA changed'
  wait_until 20 healthz_is '200 ok'
  expect ca_expiry_timestamp_seconds \
    "$(date -d "$(openssl x509 -noout -enddate -in "$CONFDIR/mitmproxy-ca.pem" | cut -d= -f2)" +%s)"
  no_faults
}

@test "connections and requests are counted, by worker, and not forgotten when it is started again" {
  up
  local client
  for _ in 1 2 3; do app_curl http://shop.example.test/ >/dev/null; done
  app_curl http://shop.example.test/ http://shop.example.test/again >/dev/null
  as_app bash -c 'exec 5<>/dev/tcp/203.0.113.10/80; sleep 60' 3>&- >/dev/null 2>&1 &
  client=$!
  wait_until 5 value_is 'mitmdump_connections{worker="1"}' 1 || fault 'open connections'
  wait_until 5 value_is 'mitmdump_connections_total{worker="1"}' 5 || fault 'connections'
  expect 'mitmdump_requests_total{worker="1"}' 5
  kill -KILL "$(mitmdump_pid)"
  wait_until 2 value_is 'mitmdump_restarts_total{cause="killed"}' 1
  wait_until 20 healthz_is '200 ok'
  scrape
  expect 'mitmdump_connections{worker="1"}' 0
  expect 'mitmdump_connections_total{worker="1"}' 5
  app_curl http://shop.example.test/ >/dev/null
  wait_until 5 value_is 'mitmdump_requests_total{worker="1"}' 6 || fault 'requests of the next one'
  kill "$client" || true
  no_faults
}

@test "silent for 5 s: it is said to hang, without any traffic; it goes on: well again, and not restarted" {
  up
  STOPPED=$(mitmdump_pid)
  kill -STOP "$STOPPED"
  fails_only 10 mitmdump
  has "$VERBOSE" '^\[-\]mitmdump failed: mitmdump hangs: has been silent for 5 s$' || fault reason
  kill -CONT "$STOPPED"
  wait_until 3 healthz_is '200 ok' || fault "$(healthz)"
  same 'not restarted' "$STOPPED" "$(mitmdump_pid)" || fault restarted
  no_faults
}

@test "a state file that cannot be written: counted, said once, made up for later" {
  up
  chown root:root "$LAB/run"
  chmod 0755 "$LAB/run"
  kill -KILL "$(mitmdump_pid)"
  failures() {
    scrape
    (($(value state_write_failures_total) >= $1))
  }
  wait_until 3 failures 1 || fault 'not counted'
  # From memory.
  wait_until 20 healthz_is '200 ok' || fault "$(healthz)"
  # Tried again every ten seconds, not every second.
  wait_until 15 failures 2 || fault 'not tried again'
  scrape
  (($(value state_write_failures_total) <= 12)) || fault "$(value state_write_failures_total) failures"
  same 'lines of the log' 1 "$(grep -ciE 'state.*(denied|not permitted|read-only)' "$LAB/up.log")" || fault "$(cat "$LAB/up.log")"
  chmod 0777 "$LAB/run"
  written() { state_is mitm.pid "$(mitmdump_pid)"; }
  wait_until 15 written || fault 'not made up for'
  no_faults
}

@test "verbose in every spelling, and by HEAD" {
  off
  local query
  for query in verbose verbose=1 verbose=true; do
    same "$query" $'[+]setup ok\nhealthz check passed' "$(get "/healthz?$query")" || fault "$query"
  done
  same head 200 "$(in_pod curl -sI -o /dev/null -w '%{http_code}' --max-time 2 "http://127.0.0.1:$HEALTH_PORT/healthz?verbose")"
  same plain ok "$(get /healthz)"
  no_faults
}

@test "the list follows the configuration" {
  sleeping_mitmdump
  listed() {
    local wanted=$1
    shift
    spawn healthd env "${@/#/$P}" healthd
    wait_until 3 healthz_is 503
    coherent "$wanted"
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  }
  listed "$ALL" LOG_LEVEL=info
  listed 'state-file setup ca runner mitmdump rules canary-ipv4 guard-ipv4 gate' MITMPROXY_IPV6=off
  # The guard does more than to refuse QUIC.
  listed 'state-file setup ca runner mitmdump rules canary-ipv4 guard-ipv4 guard-ipv6 gate' MITMPROXY_IPV6=reject
  listed 'state-file setup ca runner mitmdump rules canary-ipv4 guard-ipv4 guard-ipv6 gate' MITMPROXY_IPV6=reject MITMPROXY_QUIC=allow
  listed 'state-file setup ca runner mitmdump rules canary-ipv4 guard-ipv4 gate' MITMPROXY_IPV6=off MITMPROXY_QUIC=allow
  no_faults
}

@test "before setup, while it runs, when it has failed, and when there is no CA" {
  sleeping_mitmdump
  spawn healthd healthd
  wait_until 3 healthz_is 503
  coherent
  has "$MARKS" '^-state-file ' || fault 'no state file'
  lacks "$METRICS" '^ca_expiry' || fault 'CA unknown'
  in_pod setup prepare
  running() { verbose && [[ $VERBOSE == *'[-]rules failed: setup is running'* ]]; }
  wait_until 3 running || fault "running: $VERBOSE"
  # healthd tries again every second: from here on nothing moves.
  wait_until 5 state_is mitm.state starting || fault 'not started'
  coherent
  has "$MARKS" '^\+state-file \+setup ' || fault "running: $MARKS"
  attempt in_pod setup redirect --wait=1
  failed() { verbose && [[ $VERBOSE == *'[-]setup failed: '*failed* ]]; }
  wait_until 3 failed || fault "failed: $VERBOSE"
  coherent
  has "$MARKS" '-mitmdump' || fault "mitmdump does not listen: $MARKS"
  no_faults
}

@test "ready, and each thing that goes wrong fails by its own name" {
  up
  coherent
  local file=$CONFDIR/mitmproxy-ca.pem families=4
  ((IPV6 == 0)) || families='4 6'
  # The CA's file: gone, back, another one, back.
  mv "$file" "$LAB/aside"
  fails_only 4 ca
  has "$VERBOSE" "^\[-\]ca failed: CA file $file: No such file or directory\$" || fault "$VERBOSE"
  coherent
  cp -p "$LAB/aside" "$file"
  wait_until 4 healthz_is '200 ok' || fault "CA back: $(healthz)"
  sed -i '$d' "$file"
  fails_only 4 ca
  has "$VERBOSE" "^\[-\]ca failed: CA file $file is not the one that setup has checked\$" || fault "$VERBOSE"
  coherent
  cp -p "$LAB/aside" "$file"
  wait_until 4 healthz_is '200 ok' || fault "CA back: $(healthz)"
  # The state file.
  mv "$STATE" "$LAB/state"
  gone() { verbose && [[ $MARKS == -state-file* || $MARKS == *-setup* ]]; }
  wait_until 2 gone || fault "state file gone: $VERBOSE"
  mv "$LAB/state" "$STATE"
  wait_until 4 healthz_is '200 ok' || fault "state file back: $(healthz)"
  # The rules of either table, one family after the other.
  for family in $families; do
    in_pod "ip${family#4}tables-legacy" -w -t nat -F OUTPUT
    fails_only 12 "canary-ipv$family"
    coherent
    in_pod setup redirect
    wait_until 4 healthz_is '200 ok' || fault "nat back: $(healthz)"
    in_pod "ip${family#4}tables-legacy" -w -t filter -F OUTPUT
    fails_only 12 "guard-ipv$family"
    coherent
    has "$VERBOSE" 'failed: guard rules not in effect: ' || fault "$VERBOSE"
    in_pod setup redirect
    wait_until 4 healthz_is '200 ok' || fault "filter back: $(healthz)"
  done
  # (What mitmdump does wrong is another test's.) healthd itself.
  STOPPED=$(mitmdump_pid)
  kill -STOP "$STOPPED"
  kill -TERM "$SPAWNED"
  stopping() { verbose && [[ $VERBOSE == $'[-]healthd failed: healthd is stopping\nhealthz check failed' ]]; }
  wait_until 2 stopping || fault "stopping: $VERBOSE"
  [[ $CODE == 503 ]] || fault "stopping: $CODE"
  no_faults
}

@test "what cannot be read in the state file is not repeated as it is: answers are UTF-8, a line each" {
  sleeping_mitmdump
  in_pod setup
  spawn healthd healthd
  wait_until 3 healthz_is 503
  local noise path
  for noise in 'a\xa3b=c' 'setup.state=\xff\xfe' 'setup.error=\xe2\x82' 'setup.state=\x1b[31mred' '\xed\xa0\x80' 'version=\xf0\x9f'; do
    { head -n 1 "$STATE" && printf '%b\n' "$noise"; } >"$LAB/noise"
    cp "$LAB/noise" "$STATE"
    for path in /healthz '/healthz?verbose' /metrics; do
      get "$path" >"$LAB/answer"
      iconv -f UTF-8 -t UTF-8 "$LAB/answer" >/dev/null || fault "$noise, $path: $(cat -v "$LAB/answer" | head -n 2)"
      refute grep -qP '[\x00-\x09\x0b-\x1f\x7f]' "$LAB/answer" >/dev/null || fault "$noise, $path: control characters"
    done
    in_pod setup >/dev/null 2>&1
  done
  no_faults
}

@test "a path that is no UTF-8 is named in UTF-8" {
  give STATE_FILE="$LAB/run/"$'\xff/state'
  spawn healthd healthd
  wait_until 5 reason_matches 'no state file .*/run/[?]/state'
  get /healthz | iconv -f UTF-8 -t UTF-8 >/dev/null
}
