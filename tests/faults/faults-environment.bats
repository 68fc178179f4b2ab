#!/usr/bin/env bats
# What the world around healthd does to it: clocks, load, descriptors, clients, its log, and
# foreign processes. The numbers are those of the fault table, see faults-state.bats.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

setup_file() {
  suite_up
  clock_library
  in_background no_output no_descriptor_at_all full_device reader_gone nobody_reads
}

DAY=86400

SHOP=https://shop.example.test

@test "fault 26: the clock jumps a day, both ways: only the validity of the CA moves" {
  # A CA that ends in 20 hours.
  new_key short ec-P-256
  START='-3 days' END='+20 hours' certify short
  cat "$PKI/short.key" "$PKI/short.crt" >"$LAB/short.pem"
  place_ca "$LAB/short.pem" $MITM_UID 0600 $MITM_UID 0700
  set_clock 0
  up "${CLOCK_PRELOADED[@]}" entrypoint.sh
  find_three
  start_observer 0.02
  # Back: nothing moves. (The origin's certificates begin today: plain HTTP shows as much.)
  set_clock -$DAY
  sleep 1.5
  is_intercepted http://shop.example.test/ || fault 'back: not intercepted'
  healthz_is '200 ok' || fault "back: $(healthz)"
  # Nor does what is measured in seconds: the probes, and the pauses between restarts.
  in_pod iptables-legacy -w -t nat -F
  not_ready 'rules not in effect|canary' 13
  in_pod setup redirect
  ready_within 10
  kill -KILL "$MITMDUMP_PID"
  wait_until 3 gone "$MITMDUMP_PID"
  ready_within 40
  # On: the CA has ended. (By the clock of that time.)
  set_clock $DAY
  not_ready 'CA expired at ' 3
  condition ca 'failed: CA expired' || fault "verbose: $(verbose)"
  (($(verbose | grep -c '^\[-\]') == 1)) || fault "more than the CA is said to be wrong: $(verbose)"
  # And back to where it was: well, by itself, and the same mitmdump all the time.
  local pid
  pid=$(mitmdump_pid)
  set_clock 0
  ready_within 10
  same mitmdump "$pid" "$(mitmdump_pid)" || fault 'restarted by a clock'
  # 503 was said for these reasons and no other.
  stop_observer
  lacks "$(grep -vE 'rules not in effect|canary|setup is running|mitmdump|CA expired at' "$LAB/observer.log")" ' 503 |none' || fault 'another reason'
  no_faults
}

@test "fault 27: 10,000 probes a second: all are answered, memory and processor bounded, mitmdump notices nothing" {
  need wrk
  up
  find_three
  local memory open mitm_open mitm_ticks lines rate load
  healthz >/dev/null
  memory=$(resident "$RESPONDER") open=$(descriptors "$RESPONDER") mitm_open=$(descriptors "$MITMDUMP_PID")
  mitm_ticks=$(ticks "$MITMDUMP_PID") lines=$(wc -l <"$LAB/up.log")
  spawn load wrk -t1 -c64 -d4s -H 'Connection: close' "http://127.0.0.1:$HEALTH_PORT/healthz"
  load=$SPAWNED
  # Meanwhile it does its work.
  for _ in 1 2 3; do
    is_intercepted $SHOP/ || fault 'not intercepted under load'
    healthz_is '200 ok' || fault "under load: $(healthz)"
  done
  ((mitm_ticks = $(ticks "$MITMDUMP_PID") - mitm_ticks))
  await_exit "$load" 20
  cat "$LAB/load.log"
  rate=$(sed -n 's/^Requests\/sec: *//p' "$LAB/load.log")
  echo "# $rate probes a second; responder: $memory kB before, $(resident "$RESPONDER") kB afterwards" >&3
  lacks "$(<"$LAB/load.log")" 'Socket errors: .*(connect|read|write|timeout) [1-9]|Non-2xx' || fault 'probes without an answer'
  awk -v rate="$rate" 'BEGIN { exit !(rate > 500) }' || fault 'so little load is no test'
  (($(resident "$RESPONDER") - memory < 4096)) || fault 'memory of the responder'
  ((mitm_ticks < 150)) || fault "mitmdump has worked for $mitm_ticks ticks"
  same 'descriptors of mitmdump' "$mitm_open" "$(descriptors "$MITMDUMP_PID")" || fault descriptors
  wait_until 5 no_more_descriptors "$RESPONDER" "$open" || fault "descriptors of the responder: $open before, $(descriptors "$RESPONDER") now"
  # No line in the log for each.
  (($(wc -l <"$LAB/up.log") - lines < 20)) || fault 'log'
  is_idle "$RESPONDER" || fault 'the responder works on'
  no_faults
}
no_more_descriptors() { (($(descriptors "$1") <= $2)); }
# is_idle PID: it uses next to no processor time.
is_idle() {
  local before
  before=$(ticks "$1")
  sleep 1
  (($(ticks "$1") - before < 20))
}

# hold_clients COUNT: so many that are connected and say nothing; let_go.
hold_clients() {
  coproc CLIENTS { in_pod /usr/bin/python3 "$ROOT/tests/lib/many_clients.py" 127.0.0.1 $HEALTH_PORT "$1" 3>&-; }
  HOLDER=$CLIENTS_PID
  local line
  read -r -t 20 line <&"${CLIENTS[0]}"
  [[ $line == holding ]]
}
let_go() {
  kill "$HOLDER" 2>/dev/null || true
  wait "$HOLDER" 2>/dev/null || true
}

@test "fault 40: a worker is out of descriptors: nothing that is held is cut, it is said once, and it recovers" {
  # shellcheck disable=SC2016 # for that shell
  up bash -c 'ulimit -n 256; exec entrypoint.sh'
  attempt as_app timeout 60 /usr/bin/python3 "$STAGE/lib/keep_alive.py" 203.0.113.10 shop.example.test "$BUNDLE" 80 200
  has "$OUTPUT" '^80 of 80$' || fault 'not all that were held live'
  same 'said' 1 "$(grep -c 'no descriptors are left' "$LAB/up.log")" || fault 'not said once'
  lacks "$(<"$LAB/up.log")" 'Unhandled error' || fault 'a flood in the log'
  wait_until 5 is_intercepted "$SHOP/after" || fault 'it does not recover'
  state_is mitm.restarts 0 || fault 'restarted'
  healthz_is '200 ok' || fault "$(healthz)"
  no_faults
}

@test "fault 28: out of descriptors: no spin, a probe is answered when some are free, and it recovers" {
  # Few for healthd, enough for mitmdump.
  fake_mitmdump <<FAKE
#!/bin/bash
ulimit -S -n 1024
exec "$MITMDUMP" "\$@"
FAKE
  in_pod setup
  # shellcheck disable=SC2016 # for that shell
  up sh -c 'ulimit -S -n "$0"; exec healthd' 20
  find_three
  healthz >/dev/null
  local open memory lines
  open=$(descriptors "$RESPONDER") memory=$(resident "$RESPONDER") lines=$(wc -l <"$LAB/up.log")
  echo "# $open descriptors of 20" >&3
  ((open > 5 && open < 18))
  hold_clients 60
  wait_until 3 refute no_more_descriptors "$RESPONDER" 16 >/dev/null || fault "only $(descriptors "$RESPONDER") are taken: this is no test"
  is_idle "$RESPONDER" || fault 'the responder spins'
  is_idle "$RUNNER" || fault 'the runner spins'
  # Each of them holds one for 2 s at most.
  wait_until 10 healthz_is '200 ok' || fault "few are free: $(healthz)"
  let_go
  wait_until 3 healthz_is '200 ok' || fault "afterwards: $(healthz)"
  wait_until 5 no_more_descriptors "$RESPONDER" "$open" || fault "descriptors: $open before, $(descriptors "$RESPONDER") now"
  (($(resident "$RESPONDER") - memory < 4096)) || fault memory
  (($(wc -l <"$LAB/up.log") - lines < 100)) || fault 'a flood in the log'
  # What it has to do besides goes on.
  in_pod iptables-legacy -w -t nat -F
  hold_clients 60
  not_ready 'rules not in effect|canary' 15 || fault 'the canary is not asked'
  let_go
  in_pod setup redirect
  ready_within 10
  kill -KILL "$MITMDUMP_PID"
  wait_until 3 gone "$MITMDUMP_PID"
  ready_within 40
  no_faults
}

@test "fault 29: 1,000 slow clients, resets, half-closes: a probe is answered within a second" {
  up
  find_three
  healthz >/dev/null
  local open memory line started took slowest=0 rude
  open=$(descriptors "$RESPONDER") memory=$(resident "$RESPONDER")
  coproc RUDE { in_pod /usr/bin/python3 "$ROOT/tests/lib/rude_clients.py" 127.0.0.1 $HEALTH_PORT 1000 3>&-; }
  rude=$RUDE_PID
  read -r -t 20 line <&"${RUDE[0]}"
  [[ $line == holding ]]
  for _ in {1..15}; do
    started=$(milliseconds)
    healthz_is '200 ok' || fault "among them: $(healthz)"
    took=$(($(milliseconds) - started))
    ((took <= slowest)) || slowest=$took
  done
  echo "# slowest probe among them: $slowest ms (with the start of curl)" >&3
  ((slowest < 1500)) || fault "$slowest ms"
  kill "$rude"
  wait "$rude" || true
  (($(resident "$RESPONDER") - memory < 8192)) || fault "memory: $memory kB, then $(resident "$RESPONDER") kB"
  wait_until 8 no_more_descriptors "$RESPONDER" "$open" || fault "descriptors: $open before, $(descriptors "$RESPONDER") now"
  is_idle "$RESPONDER" || fault 'the responder works on'
  no_faults
}

# lives_without_log: whatever became of its output, all works, and so it does after a restart.
lives_without_log() {
  ready_within 40
  next_begins
  is_intercepted $SHOP/ || fault 'not intercepted'
  kill -KILL "$(mitmdump_pid)"
  wait_until 2 refute healthz_is 200 >/dev/null || true
  ready_within 40
  is_intercepted $SHOP/ || fault 'not intercepted after a restart'
  # No socket of healthd's has got the number of an output: log lines would be sent through it.
  local fd link
  for fd in 0 1 2; do
    link=$(readlink "/proc/$SPAWNED/fd/$fd" || echo nothing)
    [[ $link =~ ^(/dev/null|/dev/full|pipe:.*|/.*/pipe)$ ]] || fault "descriptor $fd is $link"
  done
  same answer ok "$(get /healthz)" || fault "answer: $(get /healthz)"
  local pid=$SPAWNED
  kill -TERM "$pid"
  await_exit "$pid" 7 || fault 'does not end'
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  wait_until 2 pod_is_empty || fault 'left behind'
  no_faults
}
# shellcheck disable=SC2016 # for that shell
no_output() {
  give LOG_LEVEL=debug
  spawn up sh -c 'exec "$0" >&- 2>&-' entrypoint.sh
  lives_without_log
}
# shellcheck disable=SC2016 # for that shell
no_descriptor_at_all() {
  give LOG_LEVEL=debug
  spawn up sh -c 'exec "$0" <&- >&- 2>&-' entrypoint.sh
  lives_without_log
}
# shellcheck disable=SC2016 # for that shell
full_device() {
  give LOG_LEVEL=debug
  spawn up sh -c 'exec "$0" >/dev/full 2>&1' entrypoint.sh
  lives_without_log
}
# shellcheck disable=SC2016 # for that shell
reader_gone() {
  give LOG_LEVEL=debug LOG_FORMAT=json
  mkfifo "$LAB/pipe"
  exec 8<>"$LAB/pipe"
  spawn up sh -c 'exec "$0" >"$1" 2>&1 8>&-' entrypoint.sh "$LAB/pipe"
  ready_within 40
  exec 8>&-
  lives_without_log
}
# A pipe that nobody reads, and a mitmdump that says a lot: neither of them is held up.
# shellcheck disable=SC2016 # for that shell
nobody_reads() {
  cat >"$LAB/addons/chatter.py" <<'CHATTER'
def request(flow):
    print("words " * 20000, flush=True)
CHATTER
  give LOG_LEVEL=debug MITMPROXY_SCRIPT="$LAB/addons/chatter.py,$STAGE/usr/share/opensandbox/mitmscripts/add_header.py"
  mkfifo "$LAB/pipe"
  exec 8<>"$LAB/pipe"
  spawn up sh -c 'exec "$0" >"$1" 2>&1 8>&-' entrypoint.sh "$LAB/pipe"
  ready_within 40
  for _ in {1..10}; do
    is_intercepted http://shop.example.test/ || fault 'mitmdump is held up by its own words'
  done
  healthz_is '200 ok' || fault "with a full pipe: $(healthz)"
  lives_without_log
  exec 8>&-
}

@test "fault 30: stdout closed, its reader gone, its device full, a pipe that nobody reads: nothing blocks, nothing dies" {
  outcome no_output no_descriptor_at_all full_device reader_gone nobody_reads
}

@test "fault 30: setup without outputs: it works, and writes no line of its log into a file" {
  local how
  for how in '>&-' '2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    remove "$CONFDIR" "$EXPORT" "$LAB/run"
    attempt in_pod sh -c "exec setup $how" >/dev/null
    [[ $STATUS == 0 ]] || fault "setup $how: status $STATUS: $(state setup.error)"
    # (A line of the log has the program's name.)
    refute grep -rlE '(info|warn|error) +setup: ' "$LAB/home" "$EXPORT" "$LAB/run" || fault "setup $how: a line in a file"
    in_pod setup clear 2>/dev/null
  done
  no_faults
}

@test "fault 31: a foreign process of the mitmproxy user is exempt, and README says so" {
  # A user whom no other lab on this machine has.
  MITM_UID=10066
  give MITMPROXY_USER=$MITM_UID
  chown $MITM_UID:$MITM_UID "$LAB/home"
  up
  attempt as_mitm curl -sS --max-time 10 --cacert "$STAGE/pki/private-ca.crt" https://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: $'
  grep -q 'do not run an application as that user' "$ROOT/README.md"
}
