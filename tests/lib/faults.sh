# shellcheck shell=bash
# What the suites about faults share: words for what /metrics and /healthz?verbose say, and
# labs that run at the same time.

# Print healthd's answer for a path: get PATH.
get() { in_pod curl -s --max-time 2 "http://127.0.0.1:$HEALTH_PORT$1"; }
verbose() { get '/healthz?verbose'; }
# metric NAME: its value; NAME has its labels, without the prefix.
metric() { get /metrics | sed -n "s/^opensandbox_egress_$1 //p"; }
metric_is() { [[ $(metric "$1") == "$2" ]]; }
restarts_by() { metric "mitmdump_restarts_total{cause=\"$1\"}"; }
# condition NAME PATTERN: is the line of that condition like that?
condition() { verbose | grep -E -e "^\\[[-+!]\\]$1 " | grep -qE -e "$2"; }

ready_within() {
  wait_until "$1" healthz_is '200 ok' || {
    echo "not ready after $1 s: $(healthz)"
    verbose
    return 1
  }
}

# mitmdump itself, which notes each start in $LAB/home/starts and does not begin as long as
# the file $LAB/home/hold is there. It is started all the same: healthd waits for it.
held_mitmdump() {
  fake_mitmdump <<FAKE
#!/bin/sh
date +%s.%N >>"$LAB/home/starts"
while [ -e "$LAB/home/hold" ]; do sleep 0.05; done
exec "$MITMDUMP" "\$@"
FAKE
}
no_starts() { install -o "$MITM_UID" /dev/null "$LAB/home/starts"; }
hold() { touch "$LAB/home/hold"; }
release() { rm -f "$LAB/home/hold"; }
starts() { wc -l <"$LAB/home/starts"; }
started() { (($(starts) >= $1)); }

# The processes of a healthd that is ready: RESPONDER, RUNNER, MITMDUMP_PID.
parent() { awk '/^PPid:/ { print $2 }' "/proc/$1/status"; }
find_three() {
  # shellcheck disable=SC2034 # for the caller
  MITMDUMP_PID=$(mitmdump_pid) RUNNER=$(parent "$(mitmdump_pid)")
  # shellcheck disable=SC2034 # for the caller
  RESPONDER=$(parent "$RUNNER")
}
# Processor time that it has used, in ticks of 10 ms.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# A client that connects several times a second, answered or not, until the lab ends.
start_traffic() {
  # shellcheck disable=SC2016 # for that shell
  spawn traffic setpriv --reuid "$APP_UID" --regid "$APP_UID" --clear-groups bash -c '
    while :; do
      curl -sk --max-time 20 -o /dev/null "$0" &
      sleep 0.3
    done' "${1-https://shop.example.test/}"
}

# What has to be waited for runs beside the other tests of its file, each in a lab of its own:
# in_background FUNCTION... in setup_file; and in a test
# outcome FUNCTION..., which fails if one of them has failed, and shows what that has said.
# (The file's own function `unmount`, if it has one, is called before a lab is removed.)
in_background() {
  local name
  export BACKGROUND=$STAGE/background-$BASHPID
  mkdir "$BACKGROUND"
  for name; do
    in_a_lab "$name" </dev/null >"$BACKGROUND/$name.log" 2>&1 3>&- &
    echo $! >"$BACKGROUND/$name.pid"
  done
}
# The next one may begin. (`begin CMD...` is `up CMD...`, and says so.)
next_begins() { flock -u 9; }
begin() {
  up "$@"
  next_begins
}
in_a_lab() {
  local status=failed
  # Those of bats, which know of one test at a time.
  trap - ERR DEBUG
  trap 'exit 1' TERM
  trap '[[ $(type -t unmount) != function ]] || unmount; lab_down; echo "$status" >"$BACKGROUND/$1.status"' EXIT
  # shellcheck disable=SC2034 # what lab_down removes
  POD='' ORIGIN='' LAB=''
  # One begins after the other: a start of mitmdump is work for the machine.
  exec 9>>"$BACKGROUND/turn"
  flock 9
  lab_up
  "$1"
  status=ok
}
has_ended() { [[ -s $BACKGROUND/$1.status ]] || gone "$(<"$BACKGROUND/$1.pid")"; }
outcome() {
  local name bad=0
  for name; do
    # Each has its own bounds for all that it does.
    wait_until 300 has_ended "$name"
    grep '^# ' "$BACKGROUND/$name.log" >&3 || true
    grep -qsx ok "$BACKGROUND/$name.status" || {
      echo "== $name:"
      cat "$BACKGROUND/$name.log"
      bad=$((bad + 1))
    }
  done
  ((bad == 0))
}
background_down() {
  local file
  for file in "$BACKGROUND"/*.pid; do
    [[ -s ${file%.pid}.status ]] || kill "$(<"$file")" 2>/dev/null || true
  done
  for file in "$BACKGROUND"/*.pid; do
    wait_until 10 gone "$(<"$file")" || echo "no end: $file" >&2
  done
  rm -rf "$BACKGROUND"
}
