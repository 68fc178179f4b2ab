# shellcheck shell=bash
# An observer that asks healthd all the time.

# start_observer INTERVAL: looks with pauses of so many seconds; its log is $LAB/observer.log,
# see observer.py.
start_observer() {
  spawn observer /usr/bin/python3 "$ROOT/tests/lib/observer.py" "$HEALTH_PORT" "$@"
  OBSERVER=$SPAWNED
  wait_until 5 test -s "$LAB/observer.log"
}
stop_observer() {
  kill -TERM "$OBSERVER"
  await_exit "$OBSERVER" 5
}
# Microseconds since the epoch.
now() { echo "${EPOCHREALTIME/./}"; }

# first SINCE PATTERN: the time of the first line after SINCE that matches, or nothing.
first() { awk -v since="$1" -v pattern="$2" '$1 >= since && $0 ~ pattern { print $1; exit }' "$LAB/observer.log"; }
has_seen() { [[ -n $(first "$1" "$2") ]]; }
# await_first SECONDS SINCE PATTERN: wait for it; AT is its time, AFTER the milliseconds since then.
await_first() {
  wait_until "$1" has_seen "$2" "$3" || {
    echo "the observer has not seen $3 within $1 s:"
    tail -n 20 "$LAB/observer.log"
    return 1
  }
  AT=$(first "$2" "$3")
  # shellcheck disable=SC2034 # for the caller
  AFTER=$(awk -v us=$((AT - $2)) 'BEGIN { printf us < 10000 ? "%.1f" : "%.0f", us / 1000 }')
}
