#!/usr/bin/env bats
# Faults at random for TORTURE seconds, by TORTURE_SEED: every 200 is true at its time, and when
# the faults end it is soon ready. See tests/lib/torture.py and witness.py. And what only the
# runner's silence shows.

# shellcheck source=tests/lib/suite.sh
source "$BATS_TEST_DIRNAME/lib/suite.sh"
# shellcheck source=tests/lib/figures.sh
source "$BATS_TEST_DIRNAME/lib/figures.sh"
# shellcheck source=tests/lib/variant.sh
source "$BATS_TEST_DIRNAME/lib/variant.sh"

TORTURE=${TORTURE:-30}
STOPPED=()

setup_file() {
  suite_up
  # With the backoff that it has, a round would be waiting for the most part.
  variant torture '-DBACKOFF_MAX_MS=2000'
}
teardown_file() { suite_down; }
setup() {
  lab_up
  need legacy
}
teardown() {
  # A stopped process does not end.
  ((${#STOPPED[@]} == 0)) || kill -CONT "${STOPPED[@]}" 2>/dev/null || true
  lab_down
}

@test "$TORTURE seconds of faults at random: no 200 is a lie, and calm brings readiness" {
  local status=0
  IPV6=$IPV6 PYTHONDONTWRITEBYTECODE=1 in_pod /usr/bin/python3 "$ROOT/tests/lib/torture.py" \
    "$TORTURE" "${TORTURE_SEED:-$RANDOM}" "$VARIANT" "$LAB" 3>&- >"$LAB/report" 2>&1 || status=$?
  sed 's/^/# /' "$LAB/report" >&3
  ((status == 0)) || tail -n "${TORTURE_LOG:-40}" "$LAB/torture.log"
  ((status == 0))
}

# A stopped runner reports nothing, and hears nothing.
stop_the_runner() {
  up
  find_healthd
  STOPPED=("$RUNNER" "$(mitmdump_pid)")
  kill -STOP "$RUNNER"
}

@test "a runner that is stopped does not keep healthd from ending, and is not left behind" {
  stop_the_runner
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 7
  [[ $STATUS == 0 ]]
  wait_until 1 pod_is_empty || {
    ip netns pids "$POD" | xargs -r ps -o pid,ppid,stat,cmd -p
    false
  }
}

@test "a runner that is stopped does not hide that mitmdump hangs" {
  stop_the_runner
  kill -STOP "${STOPPED[1]}"
  as_app bash -c 'exec 5<>/dev/tcp/203.0.113.10/80; exec sleep 60' 3>&- >/dev/null 2>&1 &
  local client=$!
  wait_until 12 healthz_is '503 mitm not ready' || fault "still $(healthz)"
  healthz
  kill -CONT "${STOPPED[@]}"
  wait_until 12 healthz_is '200 ok' || fault "$(healthz)"
  kill "$client"
  wait "$client" || true
  no_faults
}
