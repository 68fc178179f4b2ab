#!/usr/bin/env bats
# Whoever can reach the health port can send to it what he likes, and as much: a probe is
# answered within its second all the same, and healthd grows no further than its bounds.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

SECONDS_OF_PROBES=${LOAD_SECONDS:-3} # in each test
MEMORY_BOUND=8192                    # KiB, the most that the responder may ever have resident

# The real thing, ready, and kubelet and its enemies one hop away: the origin.
setup_file() {
  suite_up
  lab_for_file
  need legacy
  local n
  for n in {1..8}; do ip -n "$ORIGIN" address add "10.77.1.$n/32" dev lo; done
  up
  export HEALTHD=$SPAWNED
  # Whatever is allocated once is allocated now.
  in_origin /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT --count 50 --metrics-every 10
  FDS_BEFORE=$(descriptors "$HEALTHD") MITMDUMP_BEFORE=$(mitmdump_pid)
  export FDS_BEFORE MITMDUMP_BEFORE
}
setup() {
  mkfifo "$LAB/go"
  exec 9<>"$LAB/go" # what runs ends when nobody can write to it any more
  LOADS=()
}
teardown() {
  exec 9>&-
  ((${#LOADS[@]} == 0)) || wait "${LOADS[@]}" || true
  rm -f "$LAB/go" "$LAB"/load-*
}

SOURCES=10.77.1.1,10.77.1.2,10.77.1.3,10.77.1.4,10.77.1.5,10.77.1.6,10.77.1.7,10.77.1.8
STRANGERS=10.77.2.1,10.77.2.2,10.77.2.3,10.77.2.4 # nobody has these

# load SOURCES KIND=COUNT...: in the background, until `calm`. Those who attack have a machine of
# their own; here they get what the others leave.
load() {
  local log=$LAB/load-${#LOADS[@]}
  in_origin nice -n 19 /usr/bin/python3 "$ROOT/tests/lib/load.py" 10.77.0.2 $HEALTH_PORT "$@" \
    <"$LAB/go" >"$log" 2>&1 3>&- 9>&- &
  LOADS+=($!)
}
all_hold() {
  local n
  for n in "${!LOADS[@]}"; do grep -q holding "$LAB/load-$n" || return 1; done
}
calm() {
  exec 9>&-
  wait "${LOADS[@]}"
  LOADS=()
  report "clients: $(grep -hv holding "$LAB"/load-* | paste -sd'|')"
}
# Probes from kubelet's side and over loopback; none may fail.
probes() {
  local pids=() pid failed=0 name
  for name in in_origin in_pod; do
    $name /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT \
      --count $((SECONDS_OF_PROBES * 10)) --interval 0.1 >"$LAB/probes-$name" 2>&1 3>&- 9>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  tail -n 20 "$LAB"/probes-*
  report "probes: $(tail -qn 1 "$LAB"/probes-* | paste -sd'|')"
  ((failed == 0))
}
back_to_normal() { (($(descriptors "$HEALTHD") == FDS_BEFORE)); }
# What must be so after each attack.
unharmed() {
  report "responder: $(figures "$HEALTHD")"
  wait_until 8 back_to_normal || fault "$(descriptors "$HEALTHD") descriptors, $FDS_BEFORE before"
  ! memory_counts || (($(most_resident "$HEALTHD") < MEMORY_BOUND)) || fault "resident $(most_resident "$HEALTHD") KiB"
  same 'mitmdump, which shall have noticed nothing,' "$MITMDUMP_BEFORE" "$(mitmdump_pid)" || fault mitmdump
  healthz_is '200 ok' || fault "$(healthz)"
  no_faults
}
# What has been begun holds, is borne, and leaves nothing behind.
harmless() {
  wait_until 60 all_hold
  probes
  during
  calm
  unharmed
}
during() {
  report "responder, meanwhile: $(figures "$HEALTHD"); its clients:" \
    "$(in_pod ss -Hatn "sport = :$HEALTH_PORT" | awk '$1 != "LISTEN" { n[$1]++ } END { for (s in n) printf " %s %d", s, n[s] }')"
}

@test "10,000 idle connections" {
  local n
  for n in 1 2 3 4; do load "$SOURCES" idle=2500 rate=700 turnover=200; done
  wait_until 60 all_hold
  during
  probes
  during
  calm
  unharmed
}

@test "10,000 connections with half a request" {
  local n
  for n in 1 2 3 4; do load "$SOURCES" half=2500 rate=700 turnover=200; done
  wait_until 60 all_hold
  probes
  calm
  unharmed
}

@test "a byte a second, windows that never open, half-closed, reset" {
  load "$SOURCES" slow=400 shut=400 rate=300
  load "$SOURCES" deaf=400 reset=50 rate=300
  harmless
}

@test "SYN without the rest, from addresses that do not answer" {
  load "$STRANGERS" syn=3000
  wait_until 30 all_hold
  half_open() { (($(in_pod ss -Htn state syn-recv "sport = :$HEALTH_PORT" | wc -l) >= 200)); }
  wait_until 10 half_open
  probes
  during
  calm
  unharmed
}

@test "floods from eight addresses at once" {
  local n
  for n in 1 2 3; do load "10.77.1.$n,10.77.1.$((n + 3))" flood=100 rate=1500; done
  load 10.77.1.7,10.77.1.8 reset=50 rate=500
  harmless
}

@test "all of it at once" {
  load 10.77.1.1,10.77.1.2 idle=1000 half=500 rate=500
  load 10.77.1.3,10.77.1.4 slow=200 deaf=200 shut=200 rate=300
  load 10.77.1.5,10.77.1.6,10.77.1.7 flood=50 reset=20 rate=800
  load "$STRANGERS" syn=1000
  harmless
}

@test "clients that have just had every port of the pod: canaries are not mistaken for theirs" {
  # The kernel remembers a closed connection for two minutes, and gives a canary that would
  # look like one of those another port on its way.
  local range before
  before=$(wc -l <"$LAB/up.log")
  range=$(in_pod sysctl -n net.ipv4.ip_local_port_range)
  in_pod sysctl -qw net.ipv4.ip_local_port_range='40000 40099'
  in_pod /usr/bin/python3 "$ROOT/tests/lib/probes.py" 127.0.0.1 $HEALTH_PORT --count 600
  # More than one period of the canary.
  attempt in_origin /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT --count 1300 --interval 0.01
  in_pod sysctl -qw net.ipv4.ip_local_port_range="$range"
  lacks "$(tail -n "+$((before + 1))" "$LAB/up.log")" 'did not arrive' || fault 'a canary was missed'
  [[ $STATUS == 0 ]] || fault 'a probe failed'
  unharmed
}
