#!/usr/bin/env bats
# Faults at random for TORTURE seconds, by TORTURE_SEED: every 200 is true at its time, and when
# the faults end it is soon ready. See tests/lib/torture.py and witness.py.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

TORTURE=${TORTURE:-30}

setup_file() {
  suite_up
  # With the backoff that it has, a round would be waiting for the most part.
  variant torture '-DBACKOFF_MAX_MS=2000'
}

torture() {
  local status=0
  give MITMPROXY_WORKERS="$1"
  IPV6=$IPV6 PYTHONDONTWRITEBYTECODE=1 in_pod /usr/bin/python3 "$ROOT/tests/lib/torture.py" \
    "$TORTURE" "${TORTURE_SEED:-$RANDOM}" "$VARIANT" "$LAB" 3>&- >"$LAB/report" 2>&1 || status=$?
  sed 's/^/# /' "$LAB/report" >&3
  ((status == 0)) || tail -n "${TORTURE_LOG:-40}" "$LAB/torture.log"
  ((status == 0))
}
@test "$TORTURE seconds of faults at random, one worker: no 200 is a lie, and calm brings readiness" { torture 1; }
@test "$TORTURE seconds of faults at random, three workers: no 200 is a lie, and calm brings readiness" { torture 3; }
