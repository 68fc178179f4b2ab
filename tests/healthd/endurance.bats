#!/usr/bin/env bats
# Probes without end cost nothing that stays: no memory, no descriptor. A day of kubelet's
# probes, one a second, is PROBES=86400; a scrape of /metrics comes with every fifteenth.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

PROBES=${PROBES:-5000}
SLACK=64 # KiB: a few pages that something is late to touch, as a canary every ten seconds

# From one hop away, as kubelet does.
probe_times() {
  in_origin /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT --metrics-every 15 --count "$1"
}
# A canary may be on its way at any one moment.
descriptors_are() { (($(descriptors "$1") == $2)); }
# same_figures WHO PID PRIVATE DESCRIPTORS: as before.
same_figures() {
  report "$1 after: $(figures "$2")"
  ! memory_counts || (($(private "$2") <= $3 + SLACK)) || fault "$1: private $(private "$2") KiB, $3 before"
  wait_until 3 descriptors_are "$2" "$4" || fault "$1: $(descriptors "$2") descriptors, $4 before"
}

@test "$PROBES probes: memory and descriptors of responder and runner are what they were" {
  up
  find_healthd
  probe_times 500 # whatever is allocated once is allocated now
  local responder runner responder_fds runner_fds responder_cpu runner_cpu outcome
  responder=$(private "$RESPONDER") responder_fds=$(descriptors "$RESPONDER") responder_cpu=$(cpu_ms "$RESPONDER")
  runner=$(private "$RUNNER") runner_fds=$(descriptors "$RUNNER") runner_cpu=$(cpu_ms "$RUNNER")
  report "responder before: $(figures "$RESPONDER")"
  report "runner before: $(figures "$RUNNER")"
  outcome=$(probe_times "$PROBES") || fault 'a probe failed'
  report "$(tail -n 1 <<<"$outcome")"
  same_figures responder "$RESPONDER" "$responder" "$responder_fds"
  same_figures runner "$RUNNER" "$runner" "$runner_fds"
  report "processor for $PROBES probes: responder $(($(cpu_ms "$RESPONDER") - responder_cpu)) ms," \
    "runner $(($(cpu_ms "$RUNNER") - runner_cpu)) ms"
  ((FAULTS == 0)) || echo "$outcome"
  no_faults
}
