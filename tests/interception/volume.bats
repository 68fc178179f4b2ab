#!/usr/bin/env bats
# VOLUME MiB each way, in HTTP bodies of twice that, and REQUESTS over one connection: all of it arrives,
# and the worker's memory is soon what it was.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

VOLUME=${VOLUME:-1024}
REQUESTS=${REQUESTS:-40000}
GROWTH=$((40 * 1024)) # KiB
SHOP=https://shop.example.test

up_for_volume() {
  truncate -s "$((2 * VOLUME))M" "$LAB/origin/volume" "$LAB/upload"
  cat >"$LAB/origin/more.conf" <<EOF
location = /volume { root $LAB/origin; }
location = /grpc/volume { alias $LAB/origin/volume; default_type application/grpc; types { } }
location = /put { proxy_pass http://127.0.0.1:9101; proxy_request_buffering off; proxy_http_version 1.1; }
EOF
  kill -HUP "$(<"$LAB/origin/pid")"
  in_origin /usr/bin/python3 "$ROOT/tests/lib/volume.py" serve 203.0.113.10 8081 9000 3>&- >>"$LAB/origin/output" 2>&1 &
  give MITMPROXY_NON_HTTP=allow MITMPROXY_EXTRA_PORTS=8081,9000
  up
  wait_until 5 in_origin curl -so /dev/null http://127.0.0.1:9101/
}
# arrives MIB WHAT CMD...: the command prints how many bytes have arrived, and the memory stays.
arrives() {
  local before pid mib=$1
  shift
  pid=$(mitmdump_pid)
  before=$(private "$pid")
  attempt "${@:2}"
  same "$1: bytes" $((mib << 20)) "$OUTPUT" || fault "$1"
  report "$1: private $before KiB before, $(private "$pid") KiB after, most resident $(most_resident "$pid") KiB"
  wait_until 10 is_small "$pid" $((before + GROWTH)) || fault "$1: memory of $(private "$pid") KiB, $before before"
  same "$1: mitmdump" "$pid" "$(mitmdump_pid)" || fault "$1: another mitmdump"
}
is_small() { (($(private "$1") <= $2)); }
patient_curl() { app_curl --max-time 300 "$@"; }
curl_down() { patient_curl -o /dev/null -w '%{size_download}' "$@"; }
volume() { as_app timeout 300 /usr/bin/python3 "$STAGE/lib/volume.py" "$@" "$VOLUME"; }

@test "$VOLUME MiB each way: HTTP/1.1, HTTP/2, gRPC, WebSocket, other bytes" {
  up_for_volume
  for version in --http1.1 --http2; do
    arrives $((2 * VOLUME)) "$version down" curl_down $version $SHOP/volume
    arrives $((2 * VOLUME)) "$version up" patient_curl $version -T "$LAB/upload" $SHOP/put
  done
  arrives $((2 * VOLUME)) 'gRPC down' curl_down --http2 -H 'Content-Type: application/grpc' $SHOP/grpc/volume
  arrives $((2 * VOLUME)) 'gRPC up' patient_curl --http2 -H 'Content-Type: application/grpc' -T "$LAB/upload" $SHOP/put
  arrives "$VOLUME" 'WebSocket down' volume websocket down 203.0.113.10 8081
  arrives "$VOLUME" 'WebSocket up' volume websocket up 203.0.113.10 8081
  arrives "$VOLUME" 'bytes down' volume bytes down 203.0.113.10 9000
  arrives "$VOLUME" 'bytes up' volume bytes up 203.0.113.10 9000
  no_faults
}

# many_requests LIMIT VERSION: with an origin that ends a connection after so many.
many_requests() {
  local before pid
  pid=$(mitmdump_pid)
  echo "keepalive_requests $1;" >"$LAB/origin/more.conf"
  kill -HUP "$(<"$LAB/origin/pid")"
  patient_curl "$2" -o /dev/null "$SHOP/?[1-3000]"
  before=$(private "$pid")
  patient_curl "$2" -o /dev/null "$SHOP/?[1-$REQUESTS]"
  report "$2, $1 for each connection: private $before KiB before, $(private "$pid") KiB after"
  (($(private "$pid") - before < REQUESTS / 6)) || fault "$2, $1: 170 bytes for each request, or more"
}
@test "$REQUESTS requests over one connection, in either version of HTTP" {
  # A timer holds what has ended until it goes off.
  give MITMPROXY_SET=http2_ping_keepalive=1
  up
  many_requests 1000 --http1.1
  many_requests 1000 --http2
  many_requests 1000000 --http2
  no_faults
}
