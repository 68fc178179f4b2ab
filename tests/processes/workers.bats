#!/usr/bin/env bats
# The launcher, and several workers: who serves, what is noticed when one of them is gone or silent,
# and what clients see of it.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/faults.sh"

NEEDS=(legacy)
SHOP=https://shop.example.test/
KILLS=${KILLS:-8} # 50 in the long tier

setup_file() {
  suite_up
  # One that is killed again and again would soon be started later and later.
  variant quick '-DBACKOFF_FIRST_MS=1 -DBACKOFF_MAX_MS=2'
  in_background silent_worker none_for_long
}

workers() { mitmdump_pid | wc -l; }
# The process of worker N, by its number in the log.
worker_pid() { sed -n "s/.*started mitmdump $1, pid //p" "$LAB"/{up,healthd}.log 2>/dev/null | tail -n 1; }
connections_of() { metric "mitmdump_connections_total{worker=\"$1\"}"; }

@test "three workers: all have to be up, each is counted, connections are spread among them" {
  give MITMPROXY_WORKERS=3
  up
  same workers 3 "$(workers)"
  local n pid
  for pid in $(mitmdump_pid); do
    grep -zqx "HOME=$CONFDIR" "/proc/$pid/environ" || fault "HOME of $pid"
    # It is the runner's child, and the launcher's no more.
    same parent "$(parent "$(launcher_pid)")" "$(parent "$pid")" || fault parent
    same group "$pid" "$(ps -o pgid= -p "$pid" | tr -d ' ')" || fault 'process group'
  done
  # One after the other, and many at once.
  as_app /usr/bin/python3 "$STAGE/lib/steady_load.py" 203.0.113.10 80 shop.example.test 100 1 >"$LAB/steady"
  as_app /usr/bin/python3 "$STAGE/lib/steady_load.py" 203.0.113.10 80 shop.example.test 100000 0.003 >"$LAB/burst"
  same answered 400 "$(grep -c ' ok$' <(cat "$LAB/steady" "$LAB/burst"))" || fault "$(sort -k3 "$LAB/steady" "$LAB/burst" | awk '{ print $3 }' | uniq -c)"
  sleep 1.2 # the next beat
  for n in 1 2 3; do
    echo "# worker $n: $(connections_of $n) connections" >&3
    # An even share is 133.
    (($(connections_of $n) >= 40)) || fault "worker $n has taken $(connections_of $n)"
    metric_is "mitmdump_up{worker=\"$n\"}" 1 || fault "worker $n is not up"
    (($(metric "mitmdump_resident_memory_bytes{worker=\"$n\"}") > 1 << 20)) || fault "memory of worker $n"
  done
  same sum 400 "$(($(connections_of 1) + $(connections_of 2) + $(connections_of 3)))" || fault 'not all are counted'
  metric_is mitmdump_workers 3 || fault metric
  no_faults
}

@test "auto: as many as the processors that may be used" {
  give MITMPROXY_WORKERS=auto
  up taskset -c 0 entrypoint.sh
  same workers 1 "$(workers)"
  down
  (($(nproc) == 1)) || {
    up entrypoint.sh
    (($(workers) > 1 && $(workers) <= $(nproc)))
  }
}

@test "one of three killed: named by its number, the others serve, it comes back; the launcher's death is no fault" {
  give MITMPROXY_WORKERS=3
  up
  local first launcher
  start_observer 0.002
  first=$(worker_pid 2)
  launcher=$(launcher_pid)
  local since
  since=$(now)
  kill -KILL "$first"
  is_intercepted $SHOP || fault 'the others do not serve'
  await_first 2 "$since" ' 503 mitm not ready: .*worker 2 of 3: .*killed by signal 9'
  ready_within 10
  same restarts 1 "$(restarts_by killed)" || fault counter
  kill -KILL "$launcher"
  since=$(now)
  wait_until 1 another_launcher_than "$launcher" || fault 'no new launcher within 1 s'
  is_intercepted $SHOP || fault 'the workers do not go on'
  sleep 0.5
  refute has_seen "$since" 503 || fault 'the death of the launcher is taken for a fault'
  same workers 3 "$(workers)" || fault workers
  # And the new one forks.
  first=$(worker_pid 1)
  kill -KILL "$first"
  wait_until 10 worker_is_another 1 "$first"
  grep -q '/launch\.py' <<<"$(tr '\0' ' ' </proc/"$(worker_pid 1)"/cmdline)" || fault 'not forked'
  ready_within 10
  no_faults
}
another_launcher_than() { [[ -n $(launcher_pid) && $(launcher_pid) != "$1" ]]; }
worker_is_another() { [[ -n $(worker_pid "$1") && $(worker_pid "$1") != "$2" ]]; }

@test "a launcher that hangs: the next worker is started without it, and so is the launcher, anew" {
  up
  local launcher first
  launcher=$(launcher_pid)
  first=$(mitmdump_pid)
  kill -STOP "$launcher"
  is_intercepted $SHOP || fault 'the worker does not go on'
  kill -KILL "$first"
  ready_within 20
  is_intercepted $SHOP || fault 'not intercepted afterwards'
  wait_until 5 another_launcher_than "$launcher" || fault 'no new launcher'
  has "$(<"$LAB/up.log")" 'warn  runner: the launcher does not answer' || fault 'not said'
  no_faults
}

@test "workers killed under 100 connections a second: none is refused, and none that came later is cut" {
  in_pod setup
  up "$VARIANT"
  local n victim
  spawn load setpriv --reuid $APP_UID --regid $APP_UID --clear-groups \
    /usr/bin/python3 "$STAGE/lib/steady_load.py" 203.0.113.10 80 shop.example.test 100 $((KILLS + 2))
  local load=$SPAWNED
  sleep 1
  for ((n = 0; n < KILLS; n++)); do
    victim=$(mitmdump_pid)
    kill -KILL "$victim"
    echo "${EPOCHREALTIME/,/.}" >>"$LAB/kills"
    wait_until 5 another_mitmdump_than "$victim"
    sleep 0.7
  done
  wait_until 40 gone "$load"
  awk '
    NR == FNR { kill[++kills] = $1; next }
    { all++; if ($3 == "ok") { ok++; next } }
    $3 == "refused" { refused++; next }
    {
      # What the killed one had accepted.
      for (i = 1; i <= kills; i++)
        if ($1 <= kill[i] && $1 + $2 / 1000 >= kill[i] - 0.1) { lost++; next }
      print "cut: " $0
      cut++
    }
    END { printf "%d connections, %d ok, %d refused, %d lost with a worker, %d cut\n", all, ok, refused, lost, cut }
  ' "$LAB/kills" "$LAB/load.log" >"$LAB/summary"
  cat "$LAB/summary"
  sed 's/^/# /' "$LAB/summary" | tail -n 1 >&3
  has "$(tail -n 1 "$LAB/summary")" ' 0 refused, [0-9]+ lost with a worker, 0 cut$'
  # And most of them live.
  (($(sed -n 's/.* \([0-9]*\) ok.*/\1/p' "$LAB/summary") >= KILLS * 70))
}

@test "nobody else gets the proxy's port while mitmdump is started again, nor does a client's own port matter" {
  need ipv6
  in_pod setup
  up "$VARIANT"
  spawn thief setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups /usr/bin/python3 -c '
import socket, sys, time
tried = 0
end = time.monotonic() + 60
while time.monotonic() < end:
    for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
        for option in (), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with socket.socket(family) as thief:
                for name in option:
                    thief.setsockopt(socket.SOL_SOCKET, name, 1)
                tried += 1
                try:
                    thief.bind((address, int(sys.argv[1])))
                    thief.listen()
                except OSError:
                    continue
                print("got", address, option, flush=True)
    if tried % 1600 == 0:
        print("tried", tried, flush=True)
' $PROXY_PORT
  local thief=$SPAWNED n victim
  for ((n = 0; n < KILLS; n++)); do
    victim=$(mitmdump_pid)
    kill -KILL "$victim"
    wait_until 5 another_mitmdump_than "$victim"
  done
  kill "$thief"
  wait_until 5 gone "$thief"
  tail -n 3 "$LAB/thief.log"
  refute grep -q '^got' "$LAB/thief.log"
  grep -q '^tried' "$LAB/thief.log"
  ready_within 40
  # A client whose own port is the proxy's.
  attempt app_curl --interface 10.77.0.2 --local-port $PROXY_PORT $SHOP
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
}

# --- in the background

# A worker that is stopped, with nobody who asks it anything.
silent_worker() {
  give MITMPROXY_WORKERS=3
  begin entrypoint.sh
  start_observer 0.02
  local since first
  since=$(now)
  first=$(worker_pid 3)
  kill -STOP "$first"
  await_first 8 "$since" ' 503 mitm not ready: mitmdump hangs: worker 3 of 3 has been silent for 5 s'
  ((AT - since < 6000000)) || fault "503 after $AFTER ms"
  is_intercepted $SHOP || fault 'the others do not serve'
  wait_until 50 gone "$first"
  (($(now) - since > 29000000)) || fault 'ended too early'
  ready_within 10
  same restarts 1 "$(restarts_by hung)" || fault counter
  no_faults
}
@test "a worker is silent: red within 6 s without any traffic, restarted after 30 s" { outcome silent_worker; }

# No worker for more than 10 s: clients wait that long, and no longer.
none_for_long() {
  changed_mitmdump <<CHANGE
import os, time
while os.path.exists("$LAB/home/hold"):
    time.sleep(0.05)
CHANGE
  begin entrypoint.sh
  # One that comes back after 3 s: the client has waited.
  hold
  kill -KILL "$(mitmdump_pid)"
  spawn patient setpriv --reuid $APP_UID --regid $APP_UID --clear-groups \
    /usr/bin/python3 "$STAGE/lib/steady_load.py" 203.0.113.10 80 shop.example.test 2 1
  sleep 3
  release
  wait_until 15 gone "$SPAWNED"
  refute grep -qv ' ok$' "$LAB/patient.log" || fault "waited in vain: $(<"$LAB/patient.log")"
  # And one that does not.
  hold
  local killed
  killed=$(milliseconds)
  kill -KILL "$(mitmdump_pid)"
  spawn impatient setpriv --reuid $APP_UID --regid $APP_UID --clear-groups \
    /usr/bin/python3 "$STAGE/lib/steady_load.py" 203.0.113.10 80 shop.example.test 1 1
  wait_until 20 gone "$SPAWNED"
  has "$(<"$LAB/impatient.log")" ' reset$' || fault 'not reset'
  (($(milliseconds) - killed > 9000)) || fault 'reset too early'
  # From now on at once.
  local asked
  asked=$(milliseconds)
  attempt app_curl http://shop.example.test/
  [[ $STATUS != 0 ]] || fault 'answered by nobody'
  (($(milliseconds) - asked < 2000)) || fault 'not reset at once'
  release
  ready_within 20
  is_intercepted $SHOP || fault 'not intercepted afterwards'
  no_faults
}
@test "no worker for 10 s: who came meanwhile has waited, and is reset; later ones at once" { outcome none_for_long; }
