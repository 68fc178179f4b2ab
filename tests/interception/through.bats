#!/usr/bin/env bats
# Promise 2: what works without the proxy works with it, with the same semantics. Each row
# (tests/lib/through/rows_*.py) is a client and a server, played past the proxy and through it; what
# both ends have seen is compared. Where the two differ today is in tests/lib/through/differs.py.
# ROWS=pattern plays only rows that it matches ("HTTP/2: GOAWAY").

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/through.sh"

setup_file() {
  suite_up
  through_lab
  play_rows "${ROWS-}"
  [[ -z ${THROUGH_KEEP-} ]] || cp "$LAB/results" "$LAB/play.log" "$LAB/up.log" "$THROUGH_KEEP"
}

# group NAME: each of its rows is the same in both ways, or stands in the table.
group() {
  local verdict status=0
  verdict=$(/usr/bin/python3 -B "$THROUGH/judge.py" "$LAB/results" "$1") || status=1
  echo "$verdict"
  echo "# $(tail -n 1 <<<"$verdict")" >&3
  return $status
}

@test "requests and answers, whatever the version of HTTP" { group HTTP; }
@test "bodies of every size, up and down" { group bodies; }
@test "HTTP/1 on the wire" { group HTTP/1; }
@test "HTTP/2 on the wire" { group HTTP/2; }
@test "WebSockets" { group WebSocket; }
@test "gRPC" { group gRPC; }
@test "how connections end" { group ends; }
@test "origins that are away, and TLS at fault" { group origin; }
@test "other protocols, and other ports" { group other; }
