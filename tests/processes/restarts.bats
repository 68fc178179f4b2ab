#!/usr/bin/env bats
# A program that dies at once is started again, and again: after thousands of times nothing
# has piled up, and every one was counted. RESTARTS says how many (10000 is what must hold).

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

RESTARTS=${RESTARTS:-2000}
SLACK=32 # KiB

setup_file() {
  suite_up
  variant quick '-DBACKOFF_FIRST_MS=1 -DBACKOFF_MAX_MS=2'
}

setup() {
  test_up
  # In memory, as in a pod: on a disk most of the time would be spent waiting for it.
  MEMORY=$(mktemp -d /dev/shm/egress-lab-XXXXXX)
  chmod 0755 "$MEMORY"
  STATE=$MEMORY/run/state
  give STATE_FILE="$STATE"
}
teardown() {
  lab_down
  rm -rf "$MEMORY"
}

# mortal N: in the place of mitmdump, a program that dies at once until its Nth start.
mortal() {
  local dir=$LAB/home/mortal
  mkdir "$dir"
  cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -static -DDIRECTORY="\"$dir\"" \
    -o "$dir/mortal" "$ROOT/tests/lib/mortal.c"
  echo "$1" >"$dir/lives"
  chown -R "$MITM_UID" "$dir"
  give MITMPROXY_BIN="$dir/mortal"
  STARTS=$dir/starts
}
starts() { stat -c %s "$STARTS" 2>/dev/null || echo 0; }
# While a child has not become the program yet, it shares pages which are then not private: the
# most of a few looks.
most_private() {
  local most=0 now
  for _ in {1..20}; do
    now=$(private "$1")
    ((now <= most)) || most=$now
  done
  echo "$most"
}
metrics() { get /metrics; }
restarted() { metrics | sed -n "s/^opensandbox_egress_mitmdump_restarts_total{cause=\"$1\"} //p"; }

@test "$RESTARTS restarts of a program that dies at once: nothing leaks, all are counted" {
  mortal $((RESTARTS + 1))
  in_pod setup
  local began cause memory_responder memory_runner fds_responder fds_runner
  began=$(milliseconds)
  spawn healthd "$VARIANT"
  wait_until 30 started $((RESTARTS / 4)) # whatever is allocated once is allocated now
  find_healthd
  memory_responder=$(most_private "$RESPONDER") memory_runner=$(most_private "$RUNNER")
  fds_runner=$(descriptors "$RUNNER")
  report "runner before: $(figures "$RUNNER")"
  report "responder before: $(figures "$RESPONDER")"
  healthz_is '503 mitm not ready'
  wait_until $((30 + RESTARTS / 50)) started $((RESTARTS + 1))
  report "$RESTARTS restarts in $(($(milliseconds) - began)) ms"
  # The last one lives, and is the only child.
  running() { [[ $(pgrep -P "$RUNNER" | wc -l) == 1 && $(pgrep -P "$RUNNER" -x mortal) == "$(state mitm.pid)" ]]; }
  wait_until 5 running || fault "children of the runner: $(pgrep -lP "$RUNNER"), recorded: $(state mitm.pid)"
  same zombies 0 "$(zombies "$RUNNER")" || fault zombies
  same "responder's zombies" 0 "$(zombies "$RESPONDER")" || fault zombies
  same exited $((RESTARTS - RESTARTS / 2)) "$(restarted exited)" || fault counters
  same killed $((RESTARTS / 2)) "$(restarted killed)" || fault counters
  for cause in hung start_timeout ca_changed not_started; do
    same $cause 0 "$(restarted $cause)" || fault counters
  done
  same 'the state file' "$RESTARTS" "$(state mitm.restarts)" || fault 'state file'
  same starts $((RESTARTS + 1)) "$(starts)" || fault starts
  ! memory_counts || {
    (($(private "$RUNNER") <= memory_runner + SLACK)) || fault "runner: private $(private "$RUNNER"), was $memory_runner KiB"
    (($(private "$RESPONDER") <= memory_responder + SLACK)) || fault "responder: private $(private "$RESPONDER"), was $memory_responder KiB"
  }
  # With one alive its two pipes may be more than there were at a moment without.
  (($(descriptors "$RUNNER") <= fds_runner + 3)) || fault "runner: $(descriptors "$RUNNER") descriptors, $fds_runner before"
  fds_responder=$(descriptors "$RESPONDER")
  ((fds_responder <= 14)) || fault "responder: $fds_responder descriptors"
  report "runner after: $(figures "$RUNNER")"
  report "responder after: $(figures "$RESPONDER")"
  tail -n 5 "$LAB/healthd.log"
  down
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  wait_until 1 pod_is_empty || fault 'somebody is left'
  no_faults
}

@test "the build that is installed has no such backoff" {
  mortal 1000000
  in_pod setup
  spawn healthd healthd
  wait_until 5 started 2
  # At once, then after 1 s, 2 s, 4 s: quick would have made hundreds of this.
  refute wait_until 2 started 5
  find_healthd
  healthz_is '503 mitm not ready'
}
