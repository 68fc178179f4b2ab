#!/usr/bin/env bats
# Time to truth: how long after something has happened /healthz says so, as an observer sees it
# that asks all the time. What is measured is printed; what is asserted are multiples of it, for a
# machine that is busy with something else.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

setup_file() {
  suite_up
  in_background redirect_flushed guard_flushed canary_lost state_file_deleted
}

# measured WHAT GOAL BOUND: what AFTER is, in milliseconds; GOAL is what it should be.
measured() {
  echo "# $1 after $AFTER ms (should be within $2 ms)" >&3
  awk -v is="$AFTER" -v bound="$3" 'BEGIN { exit !(is <= bound) }' || {
    echo "$1 after $AFTER ms"
    return 1
  }
}

# (First, so that the other measurements have the machine for themselves.)
# What functions in labs of their own have measured: note NAME.
note() { echo "$AFTER" >"$BACKGROUND/$1"; }
# missed NAME PATTERN CMD...: how long until healthd says PATTERN once CMD has done harm to the rules.
missed() {
  begin entrypoint.sh
  start_observer 0.003
  # Right after the start it looks every second.
  sleep 2.5
  local name=$1 pattern=$2 since
  shift 2
  since=$(now)
  in_pod "$@"
  await_first 20 "$since" "$pattern"
  note "$name"
}
redirect_flushed() {
  missed redirect_flushed ' 503 ' iptables-legacy -w -t nat -F
  local since
  since=$(now)
  in_pod setup redirect
  await_first 10 "$since" ' 200 ok'
  note redirect_restored_by_setup
  # Back for a moment only, as when a setup fails: nothing but healthd's own canary may say so.
  local saved
  saved=$(in_pod iptables-legacy-save -t nat)
  since=$(now)
  in_pod iptables-legacy -w -t nat -F
  await_first 20 "$since" ' 503 '
  since=$(now)
  in_pod iptables-legacy-restore <<<"$saved"
  await_first 5 "$since" ' 200 ok'
  since=$(now)
  in_pod iptables-legacy -w -t nat -F
  await_first 20 "$since" ' 503 '
  note redirect_back_for_a_moment
}
guard_flushed() { missed guard_flushed ' 503 ' iptables-legacy -w -t filter -F; }
# Neither answered nor refused.
canary_lost() {
  missed canary_lost ' 503 .*did not arrive' iptables-legacy -w -t mangle -I OUTPUT -p tcp -d 127.0.0.2 -j DROP
}
state_file_deleted() {
  begin entrypoint.sh
  start_observer 0.003
  local since
  since=$(now)
  rm "$STATE"
  await_first 5 "$since" ' 503 '
  note state_file_deleted
}

@test "rules flushed: 503 within one probe period; restored: 200; state file deleted: 503" {
  local what goal bound
  outcome redirect_flushed guard_flushed canary_lost state_file_deleted
  while read -r what goal bound; do
    AFTER=$(<"$BACKGROUND/$what")
    measured "${what//_/ }" "$goal" "$bound" || fault "$what"
  done <<'TABLE'
redirect_flushed 10000 13000
redirect_restored_by_setup 1000 5000
redirect_back_for_a_moment 1000 5000
guard_flushed 10000 13000
canary_lost 10000 13000
state_file_deleted 50 2000
TABLE
  no_faults
}

@test "mitmdump killed: 503; the next one is up: 200" {
  up
  start_observer 0.003
  local since pid
  for _ in 1 2 3; do
    ready_within 40
    pid=$(mitmdump_pid)
    since=$(now)
    kill -KILL "$pid"
    await_first 5 "$since" ' 503 '
    measured 'mitmdump killed: 503' 50 1000
    await_first 20 "$AT" ' 200 ok'
    AFTER=$(((AT - since) / 1000))
    measured 'mitmdump killed: 200 again' 100 5000
  done
}

@test "mitmdump hangs under traffic: 503; goes on: 200" {
  up
  find_three
  start_observer 0.003
  start_traffic http://shop.example.test/
  wait_until 5 origin_saw shop.example.test
  local since
  since=$(now)
  kill -STOP "$MITMDUMP_PID"
  await_first 12 "$since" ' 503 '
  measured 'mitmdump stopped: 503' 6000 8000
  # Not earlier than it can be called a hang.
  ((AT - since > 4000000))
  since=$(now)
  kill -CONT "$MITMDUMP_PID"
  await_first 12 "$since" ' 200 ok'
  measured 'mitmdump goes on: 200' 50 5000
}

@test "the runner is stopped, and mitmdump hangs: 503 all the same; it goes on: 200" {
  up
  find_three
  start_observer 0.003
  local since
  since=$(now)
  kill -STOP "$RUNNER" "$MITMDUMP_PID"
  await_first 12 "$since" " 503 .*healthd's runner is stopped"
  measured 'runner stopped: 503' 5000 8000
  # It is looked at every 1.2 s: not earlier than 5 s after the last one.
  ((AT - since > 3500000))
  since=$(now)
  kill -CONT "$MITMDUMP_PID" "$RUNNER"
  await_first 12 "$since" ' 200 ok'
  measured 'runner goes on: 200' 50 5000
}
