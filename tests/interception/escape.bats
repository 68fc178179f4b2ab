#!/usr/bin/env bats
# Promise 1, by force: whatever an application writes to a redirected connection, what an origin
# takes has been seen by the addons as the origin took it, or it is refused. Each test plays a table
# of rows (tests/lib/escape/rows.py) against origins that write down all that reaches them, some rows
# over IPv4 and some over IPv6: with the other version of mitmproxy it is the other way round.
# ROWS=word plays only rows with that word (or pattern) in their name or that of their variant.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/escape.sh"

NEEDS=(legacy)
# By name, and by either address.
IGNORED='good\.test;^203\.0\.113\.55(:\d+)?$;^2001:db8::55(:\d+)?$'

setup_file() { suite_up; escape_lab; }

# played VERSION KIND [NAME=VALUE...]
played() {
  local version=$1 kind=$2
  shift 2
  running "$version" "$@"
  rows "$kind" "${ROWS-}"
  has "$(healthz)" '^200' || fault 'healthd is red after it'
}
# The test of a table: table VERSION KIND [NAME=VALUE...]
table() {
  played "$@"
  no_faults
}
# ..., and mitmdump's memory grows by at most MIB, or stays below it:
# bounded growth|peak MIB VERSION KIND
bounded() {
  local what=$1 limit=$2 before peak
  shift 2
  # What others have left behind could be used again, and would hide a growth. It hides no peak.
  [[ $what == peak ]] || stop_running
  running "$1"
  forget_peak
  before=$(memory VmRSS)
  played "$@"
  peak=$(memory VmHWM)
  # Not by the name of the descriptor: opened anew, a file of results would lose what is in it.
  echo "# memory: $before MiB before, $peak MiB at the most; limit for $what: $limit" >&3
  [[ $what == peak ]] || peak=$((peak - before))
  ((peak <= limit)) || fault "memory: $what of $peak MiB"
  no_faults
}
# ..., with a value or rows of its own: of VERSION
ignored() { table "$1" A9 MITMPROXY_IGNORE_HOSTS="$IGNORED"; }
disguised() {
  running "$1" MITMPROXY_NON_HTTP=allow
  rows A2 'ecord|HTTP/0.9|white space'
  rows A11 HelloRetryRequest
  no_faults
}
logged() {
  played "$1" log MITMPROXY_NON_HTTP=log
  has "$(<"$LAB/up.log")" 'mitmdump: .*MITMPROXY_NON_HTTP' || fault 'no line names the variable'
  no_faults
}

# One version after the other, and a table that wants a fresh mitmdump first: each change of the
# variables starts healthd anew.

@test "mitmproxy 11, A16: what has no end: memory grows by less than 64 MiB" { bounded growth 64 11 A16; }
@test "mitmproxy 11, A21: WebSockets without an end: memory grows by less than 160 MiB" { bounded growth 160 11 A21; }
@test "mitmproxy 11, control: ordinary requests arrive at every origin, seen" { table 11 control; }
@test "mitmproxy 11, A2: split, fragmented, slow and odd beginnings; what is no HTTP" { table 11 A2; }
@test "mitmproxy 11, A3: uploads: refused ones leave no byte, allowed ones arrive whole" { table 11 A3; }
@test "mitmproxy 11, A11: client and origin speak the same version, and HTTP/2 fields are fields" { table 11 A11; }
@test "mitmproxy 11, A12: a body that an addon changes is as long as it says" { table 11 A12; }
@test "mitmproxy 11, A13: an addon that raises ends the flow" { table 11 A13; }
@test "mitmproxy 11, A14: what two parsers could understand differently" { table 11 A14; }
@test "mitmproxy 11, A15: no tunnel behind a 101" { table 11 A15; }
@test "mitmproxy 11, A18: DNS over TCP on a redirected port is as any other bytes" { table 11 A18; }
@test "mitmproxy 11, A20: others' uploads that take all memory for bodies hide none from addons" { table 11 A20; }
@test "mitmproxy 11, memory: 50 uploads of 60 MiB at once stay within 512 MiB" { bounded peak 512 11 memory; }
@test "mitmproxy 11, A9: IGNORE_HOSTS is decided by the ClientHello and the address" { ignored 11; }
@test "mitmproxy 11, allow: NON_HTTP=allow passes other protocols" { table 11 allow MITMPROXY_NON_HTTP=allow; }
@test "mitmproxy 11, A15 and allow: NON_HTTP=allow opens no tunnel behind a 101 either" { table 11 A15 MITMPROXY_NON_HTTP=allow; }
@test "mitmproxy 11, A2, A11 and allow: what a server could take for TLS or HTTP does not pass as something else" { disguised 11; }
@test "mitmproxy 11, log: NON_HTTP=log passes them, and says so" { logged 11; }

@test "mitmproxy 12, A16: what has no end: memory grows by less than 64 MiB" { bounded growth 64 12 A16; }
@test "mitmproxy 12, A21: WebSockets without an end: memory grows by less than 160 MiB" { bounded growth 160 12 A21; }
@test "mitmproxy 12, control: ordinary requests arrive at every origin, seen" { table 12 control; }
@test "mitmproxy 12, A2: split, fragmented, slow and odd beginnings; what is no HTTP" { table 12 A2; }
@test "mitmproxy 12, A3: uploads: refused ones leave no byte, allowed ones arrive whole" { table 12 A3; }
@test "mitmproxy 12, A11: client and origin speak the same version, and HTTP/2 fields are fields" { table 12 A11; }
@test "mitmproxy 12, A12: a body that an addon changes is as long as it says" { table 12 A12; }
@test "mitmproxy 12, A13: an addon that raises ends the flow" { table 12 A13; }
@test "mitmproxy 12, A14: what two parsers could understand differently" { table 12 A14; }
@test "mitmproxy 12, A15: no tunnel behind a 101" { table 12 A15; }
@test "mitmproxy 12, A18: DNS over TCP on a redirected port is as any other bytes" { table 12 A18; }
@test "mitmproxy 12, A20: others' uploads that take all memory for bodies hide none from addons" { table 12 A20; }
@test "mitmproxy 12, memory: 50 uploads of 60 MiB at once stay within 512 MiB" { bounded peak 512 12 memory; }
@test "mitmproxy 12, A9: IGNORE_HOSTS is decided by the ClientHello and the address" { ignored 12; }
@test "mitmproxy 12, allow: NON_HTTP=allow passes other protocols" { table 12 allow MITMPROXY_NON_HTTP=allow; }
@test "mitmproxy 12, A15 and allow: NON_HTTP=allow opens no tunnel behind a 101 either" { table 12 A15 MITMPROXY_NON_HTTP=allow; }
@test "mitmproxy 12, A2, A11 and allow: what a server could take for TLS or HTTP does not pass as something else" { disguised 12; }
@test "mitmproxy 12, log: NON_HTTP=log passes them, and says so" { logged 12; }

# --- without them

# sabotaged WHAT KIND PATTERN [KIND PATTERN...]: with a piece of mitmproxy_patches.py left out, or
# (s/…/…/) with admission.py changed, at least one row of each kind with that pattern in its name is
# wrong. Few variants, because a wrong row may wait for an answer that never comes.
sabotaged() {
  local what=$1 left_out='' shipped=$STAGE/usr/share/opensandbox/mitmscripts
  local variables=(MITMPROXY_SCRIPTS_DIR="$LAB/scripts")
  shift
  [[ $1 != A9 ]] || variables+=(MITMPROXY_IGNORE_HOSTS="$IGNORED")
  rm -rf "$LAB/scripts"
  cp -r "$shipped" "$LAB/scripts"
  case $what in
    s/*)
      sed -i "$what" "$LAB/scripts/admission.py"
      refute cmp -s "$LAB/scripts/admission.py" "$shipped/admission.py"
      ;;
    *) left_out=$what ;;
  esac
  # In Python, so that quick_start.py can run it: that is the quicker start.
  fake_mitmdump <<FAKE
#!$(client_python)
import runpy, sys
sys.argv += ["--set", "egress_without=$left_out"]
runpy.run_path("$MITMDUMP", run_name="__main__")
FAKE
  stop_running
  MITMDUMP=$FAKE running 11 "${variables[@]}"
  for (( ; $# > 0; )); do
    play "$1" "$2" || true
    grep '^WRONG: ' "$LAB/verdict" | grep -qv ': [^ ]* control ' || fault "$what: no row of $1 ($2) sees that it is gone"
    shift 2
  done
  stop_running
}

@test "each mending taken away makes a row fail" {
  sabotaged validation A14 'two Hosts' A14 'NUL in a value' A11 'CR LF in a value'
  sabotaged prior_knowledge A11 'HTTP/2 without TLS'
  sabotaged bounded_heads A16 'endless request line 80'
  sabotaged request_hook_first A3 'declared, refused in request 80-9437184'
  sabotaged addon_errors A13 'raised in request raw' A15 'an addon raises'
  sabotaged bounded_bodies A20 'waits for room, declared'
  sabotaged 's/size <= self.SMALL or //' A20 'needs no room, declared'
  sabotaged websockets A15 'a (ping of|pong)' A15 'end with a reason (80|443)$' A21 '200 MiB in 200 kB'
  sabotaged codings A14 'hex, as it stands' A14 'deflate, as it stands'
  sabotaged 's/or objection_to_handshake(request)/or None/' A15 'websocket by (GET|POST) with a length'
  sabotaged 's/request.is_http2 and re.fullmatch(.*/"application\/grpc" in media_type/' A14 'application/grpcXYZ in'
  sabotaged 's/\[1-9\]\[0-9\]{0,4}/[0-9]{0,5}/' A14 'Host with port 00080'
  sabotaged 's/(name and not is_a_host(name))/False/' A14 'Host with an asterisk'
  sabotaged 's/= "chunked"$/= request.headers["transfer-encoding"]/' A14 'chunked in capitals'
  sabotaged 's/data.method.upper() in METHODS/data.method.upper() in (b"HEAD", b"CONNECT")/' A2 'method gEt'
  sabotaged 's/self.take_place_of_next_layer()/pass/' A2 'ClientHello in two segments [12]$'
  sabotaged 's/establish_server_tls_first = .*/establish_server_tls_first = False/' control 'both versions offered'
  sabotaged 's/data.ignore_connection = True/pass/' A9 'by name'
  sabotaged 's/names = \[.*/names = [data.context.client.sni]/' A9 'by address'
  sabotaged 's/reduce_connection(request)$/pass/' A14 'Connection: close, X-Seen'
  sabotaged 's/if mode == "reject":/if False:/' A2 SSH
  sabotaged 's/kind = kind_of(data)/kind = kind_of(data) or OTHER/' A2 'ClientHello in two segments 1$' A2 'request in two segments (80|443)-1$'
  no_faults
}
