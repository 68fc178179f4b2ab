#!/usr/bin/env bats
# Whatever asks healthd for its health understands the answer: kubelet, the clients of
# shells and languages, and tools that ask as often as they can. Nobody sees an error.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

URL=http://10.77.0.2:18080/healthz

# One healthd for all, 200 because interception is off: here only the protocol counts.
setup_file() { healthd_for_file; }
# What was answered with other than 200 since healthd began: nothing.
teardown() {
  [[ -e /proc/$HEALTHD ]]
  lacks "$(get /metrics | grep http_requests_total)" 'code="[^2]'
}

@test "kubelet's probe, one second for all of it" {
  attempt in_origin /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT --count 500
  [[ $STATUS == 0 ]]
  # As several kubelets would at once.
  local pids=() pid
  for _ in 1 2 3 4; do
    in_origin /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT --count 200 3>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
}

@test "curl: one at a time, 100 at once, HTTP/1.0, an offer of HTTP/2, HEAD" {
  local options
  for options in '' --http1.0 --http2 --head --tcp-nodelay '--compressed' '-H Expect:100-continue' '-H Connection:keep-alive'; do
    # shellcheck disable=SC2086 # words
    attempt in_origin curl -sS --fail --max-time 10 $options "$URL"
    [[ $STATUS == 0 ]] || fault "curl $options"
    [[ $options == --head ]] || [[ $OUTPUT == ok ]] || fault "curl $options: $OUTPUT"
  done
  # It would use one connection for all if it could.
  attempt in_origin curl -sS --fail --max-time 10 "$URL" "$URL" "$URL"
  same 'three in a row' $'ok\nok\nok' "$OUTPUT" || fault 'three in a row'
  local answers status=0
  answers=$(in_origin curl -sS --fail --max-time 20 --parallel --parallel-immediate --parallel-max 100 \
    "$URL?[1-300]" 2>"$LAB/curl.log") || status=$?
  [[ $status == 0 && $(grep -cx ok <<<"$answers") == 300 ]] ||
    fault "in parallel: status $status, $(wc -l <<<"$answers") answers, $(tr '\r' '\n' <"$LAB/curl.log" | grep curl:)"
  no_faults
}

@test "wget" {
  local options
  for options in '' --no-http-keep-alive --server-response; do
    # shellcheck disable=SC2086 # one or none
    attempt in_origin wget -q -O - --tries=1 --timeout=10 $options "$URL"
    [[ $STATUS == 0 ]] || fault "wget $options"
    has "$OUTPUT" '^ok$' || fault "wget $options"
  done
  # One connection for all, if it could.
  attempt in_origin wget -q -O - --tries=1 --timeout=10 "$URL" "$URL" "$URL"
  same 'three in a row' $'ok\nok\nok' "$OUTPUT" || fault 'three in a row'
  attempt in_origin wget -q --spider --tries=1 --timeout=10 "$URL"
  [[ $STATUS == 0 ]] || fault 'wget --spider, which is HEAD'
  no_faults
}

@test "Python: urllib and http.client" {
  attempt in_origin /usr/bin/python3 "$ROOT/tests/lib/probe_clients.py" 10.77.0.2 $HEALTH_PORT 200
  [[ $STATUS == 0 ]]
}

@test "Go: net/http" {
  need go
  mkdir -p "$STAGE/clients"
  # No module, nothing to fetch. Newer ones come without a compiled library, so what they make is kept.
  attempt env HOME="$LAB" GOCACHE="$ROOT/build/go" GO111MODULE=off GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0 \
    go build -o "$STAGE/clients/probe" "$ROOT/tests/lib/probe.go"
  [[ $STATUS == 0 ]]
  attempt in_origin "$STAGE/clients/probe" "$URL" 200
  [[ $STATUS == 0 ]]
}

@test "Java: HttpURLConnection and java.net.http" {
  need java
  need javac
  mkdir -p "$STAGE/clients"
  javac -nowarn -d "$STAGE/clients" "$ROOT/tests/lib/Probe.java"
  attempt in_origin java -Xshare:auto -XX:TieredStopAtLevel=1 -cp "$STAGE/clients" Probe "$URL" 100
  [[ $STATUS == 0 ]]
}

@test "ab: 5000 requests, 50 at a time, with and without keep-alive" {
  need ab
  local options
  for options in '' -k '-i'; do
    # shellcheck disable=SC2086 # one or none
    attempt in_origin ab -q -n 5000 -c 50 -s 10 $options "$URL"
    [[ $STATUS == 0 ]] || fault "ab $options"
    has "$OUTPUT" '^Complete requests: +5000$' || fault "ab $options"
    has "$OUTPUT" '^Failed requests: +0$' || fault "ab $options"
    lacks "$OUTPUT" '^(Non-2xx|Write errors)' || fault "ab $options"
  done
  no_faults
}

@test "wrk: as often as it can for three seconds" {
  need wrk
  attempt in_origin wrk -t 2 -c 50 -d 3s --timeout 10s "$URL"
  [[ $STATUS == 0 ]]
  # It speaks of these if there are any.
  lacks "$OUTPUT" 'Socket errors|Non-2xx'
  local requests
  requests=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' <<<"$OUTPUT")
  echo "# wrk: $(grep -E 'requests in|Requests/sec' <<<"$OUTPUT" | paste -sd' ')" >&3
  ((requests > 1000))
}
