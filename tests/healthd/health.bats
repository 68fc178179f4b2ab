#!/usr/bin/env bats
# /healthz at every stage: 503 with the reason until all is there, 200 only then.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

@test "no state file" {
  spawn healthd healthd
  not_ready 'state|setup'
  stays_unready 1000
}

@test "setup running" {
  in_pod setup prepare
  spawn healthd healthd
  not_ready 'setup.*running|running.*setup' 15
  # Also while mitmdump listens.
  wait_until 10 listens $PROXY_PORT
  not_ready 'setup'
  stays_unready 500
  in_pod setup redirect
  wait_until 2 healthz_is '200 ok'
}

@test "setup failed: with its error" {
  in_pod setup prepare
  attempt in_pod setup redirect --wait=1
  [[ $STATUS == 69 ]]
  spawn healthd healthd
  not_ready 'setup.*failed.*listen'
  wait_until 10 listens $PROXY_PORT
  not_ready 'setup.*failed'
}

@test "CA missing: named, and mitmdump is not let make its own" {
  in_pod setup redirect
  spawn healthd healthd
  not_ready 'CA|certificate'
  stays_unready 1500
  [[ ! -e $CONFDIR/mitmproxy-ca.pem ]]
}

@test "CA gone from the confdir since: named, and mitmdump is not let make its own" {
  in_pod setup
  mv "$CONFDIR/mitmproxy-ca.pem" "$LAB/aside"
  spawn healthd healthd
  not_ready 'CA|certificate|mitmproxy-ca.pem'
  stays_unready 1500
  [[ ! -e $CONFDIR/mitmproxy-ca.pem ]]
}

@test "rules missing: never made, cleared, or flushed by somebody" {
  in_pod setup
  in_pod setup clear
  spawn healthd healthd
  not_ready 'rules|redirect|setup'
  wait_until 10 listens $PROXY_PORT
  not_ready 'rules|redirect|setup'
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  in_pod setup
  in_pod iptables-legacy -w -t nat -F
  spawn healthd healthd
  wait_until 10 listens $PROXY_PORT
  not_ready 'rules|redirect|canary'
  stays_unready 500
  in_pod setup redirect
  wait_until 12 healthz_is '200 ok'
}

@test "rules flushed in steady state turn it red within one period, and back" {
  up
  in_pod iptables-legacy -w -t nat -D OUTPUT 1
  not_ready 'rules|redirect|canary' 12
  in_pod setup redirect
  wait_until 12 healthz_is '200 ok'
}

@test "mitmdump that does not listen" {
  fake_mitmdump <<'FAKE'
#!/bin/sh
exec sleep 1000
FAKE
  in_pod setup
  spawn healthd healthd
  not_ready 'mitmdump.*(listen|starting)'
  stays_unready 1000
}

@test "mitmdump that ends at once: its status and its last words, never 200" {
  fake_mitmdump <<'FAKE'
#!/bin/sh
echo "first words"
echo "no such option: --frobnicate" >&2
exit 3
FAKE
  in_pod setup
  spawn healthd healthd
  not_ready 'mitmdump.*(3|frobnicate)' 5
  not_ready 'frobnicate' 5
  stays_unready 2000
  # Restarted at once, then after 1 s, 2 s, ...
  restarts() { (($(state mitm.restarts) >= $1)); }
  wait_until 4 restarts 2
  refute restarts 6
}

@test "mitmdump that says it listens is not believed" {
  fake_mitmdump <<'FAKE'
#!/bin/sh
echo "Transparent Proxy listening at 127.0.0.1:18081."
exec sleep 1000
FAKE
  in_pod setup
  spawn healthd healthd
  not_ready 'mitmdump'
  stays_unready 1500
}

@test "all is there: 200 and the body ok, exactly" {
  up
  same body 'ok' "$(get /healthz)"
  same size 3 "$(get /healthz | wc -c)"
  state_is mitm.state listening
  same pid "$(mitmdump_pid)" "$(state mitm.pid)"
}

@test "mitmdump killed: its restart counted, 200 again by itself" {
  up
  local first killed
  for _ in 1 2; do
    first=$(mitmdump_pid)
    kill -KILL "$first"
    killed=$(milliseconds)
    # The next one is there soon: how long it was red, and that it was, truth.bats measures.
    wait_until 10 another_mitmdump_than "$first"
    wait_until 10 healthz_is '200 ok'
    echo "200 again within $(($(milliseconds) - killed)) ms"
  done
  same restarts 2 "$(state mitm.restarts)"
}

@test "a proxy port that somebody else holds: 503 with port and uid, ready by itself when it is free" {
  in_pod setup
  spawn holder setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups \
    socat TCP-LISTEN:$PROXY_PORT,bind=127.0.0.1,fork EXEC:'sleep 30'
  local holder=$SPAWNED
  wait_until 10 listens $PROXY_PORT
  spawn healthd healthd
  not_ready "$PROXY_PORT.*$OTHER_UID|$OTHER_UID.*$PROXY_PORT" 5
  stays_unready 1000
  kill "$holder"
  wait_until 10 healthz_is '200 ok'
}

@test "a listener of the mitmproxy user that is not our mitmdump is not taken for it" {
  in_pod setup
  spawn holder setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups \
    socat TCP-LISTEN:$PROXY_PORT,bind=127.0.0.1,fork EXEC:'sleep 30'
  wait_until 10 listens $PROXY_PORT
  spawn healthd healthd
  not_ready "port $PROXY_PORT of 127.0.0.1 is held by another process, of uid $MITM_UID"
  stays_unready 1500
}

@test "a state file of another namespace or boot is stale" {
  in_pod setup
  cp "$STATE" "$LAB/good"
  sed -i 's/^setup.netns=.*[0-9]/&7/' "$STATE"
  spawn healthd healthd
  wait_until 10 listens $PROXY_PORT
  not_ready 'namespace'
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  sed 's/^setup.boot=..../setup.boot=0000/' "$LAB/good" >"$STATE"
  spawn healthd healthd
  wait_until 10 listens $PROXY_PORT
  not_ready 'boot'
  in_pod setup
  wait_until 3 healthz_is '200 ok'
}

@test "a state file that is gone or damaged under a running healthd: 503, not repaired by healthd alone" {
  up
  cp "$STATE" "$LAB/good"
  restore() {
    remove "$STATE"
    cp "$LAB/good" "$STATE"
    wait_until 15 healthz_is '200 ok' || fault "$1: not well again: $(healthz)"
  }
  rm "$STATE"
  not_ready 'state' || fault gone
  local first
  first=$(mitmdump_pid)
  kill -KILL "$first" # healthd has something to write
  wait_until 15 another_mitmdump_than "$first"
  stays_unready 500 || fault 'ready without setup'
  restore gone
  : >"$STATE"
  not_ready 'state' || fault empty
  restore empty
  head -c 60 "$LAB/good" >"$STATE"
  not_ready 'state|setup' || fault torn
  restore torn
  head -c 4096 /dev/urandom >"$STATE"
  not_ready 'state' || fault garbage
  restore garbage
  { cat "$LAB/good" && head -c 64M /dev/zero; } >"$STATE"
  not_ready 'state' || fault huge
  restore huge
  sed '1s/[0-9]/9/' "$LAB/good" >"$STATE"
  not_ready 'state|version' || fault version
  restore version
  # What stands in it goes on to people's terminals.
  sed $'s/^setup.error=.*/&\e[31mred/' "$LAB/good" >"$STATE"
  not_ready 'state' || fault 'control characters'
  lacks "$(healthz)" $'\e' || fault 'control characters reach /healthz'
  restore 'control characters'
  # By rename: where there is none for a moment, healthd may put its own half there.
  mkfifo "$LAB/other"
  mv -fT "$LAB/other" "$STATE"
  not_ready 'state' || fault FIFO
  restore FIFO
  ln -s "$LAB/good" "$LAB/other"
  mv -fT "$LAB/other" "$STATE"
  not_ready 'state' || fault symlink
  restore symlink
  chmod 0600 "$STATE"
  not_ready 'state|ermission' || fault unreadable
  restore unreadable
  no_faults
}

@test "/livez is 200 whatever is missing" {
  spawn healthd healthd
  wait_until 3 healthz_is 503
  same livez 200 "$(in_pod curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18080/livez)"
}

@test "healthd --probe does not believe whoever else holds the port" {
  local address
  for address in 0.0.0.0 ::ffff:127.0.0.1; do
    stranger "$address"
    wait_until 5 healthz_is '200 ok'
    attempt in_pod healthd --probe
    [[ $STATUS == 1 ]] || fault "$address: believed"
    has "$OUTPUT" "port $HEALTH_PORT is held by another process, of uid $OTHER_UID" || fault "$address"
    kill "$SPAWNED"
    wait_until 5 gone "$SPAWNED"
  done
  # With interception off it may be anybody's.
  give MITMPROXY_TRANSPARENT=off
  spawn healthd setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" --clear-groups healthd
  wait_until 5 in_pod healthd --probe || fault 'interception off'
  no_faults
}
stranger() {
  spawn stranger setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" --clear-groups /usr/bin/python3 -c '
import socket, sys
server = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen()
while True:
    client = server.accept()[0]
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok\n")
    client.close()' "$1" "$HEALTH_PORT"
}

@test "healthd --probe: 0 when ready, 1 when not, when nobody is there, when nobody answers" {
  attempt in_pod healthd --probe
  [[ $STATUS == 1 ]]
  attempt in_pod healthd --probe=livez
  [[ $STATUS == 1 ]]
  spawn healthd healthd
  local first=$SPAWNED
  wait_until 3 healthz_is 503
  attempt in_pod healthd --probe
  [[ $STATUS == 1 ]]
  attempt in_pod healthd --probe=livez
  [[ $STATUS == 0 ]]
  kill "$first"
  await_exit "$first" 6
  up
  attempt as_app healthd --probe
  [[ $STATUS == 0 ]]
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  spawn holder socat TCP-LISTEN:$HEALTH_PORT,fork,reuseaddr EXEC:'sleep 30'
  wait_until 10 listens $HEALTH_PORT
  attempt in_pod timeout 10 healthd --probe
  [[ $STATUS == 1 ]]
}

@test "HTTP_ADDR: other ports and hosts; loopback always answers" {
  local address code
  answers() { code=$(in_pod curl -s -o /dev/null --max-time 2 -w '%{http_code}' "http://$1/livez" || true); [[ $code == 200 ]]; }
  give MITMPROXY_TRANSPARENT=off
  for address in :18090 127.0.0.1:18090 10.77.0.2:18090 0.0.0.0:18090 ${IPV6:+'[::]:18090'} ${IPV6:+'[::1]:18090'} ${IPV6:+'[fd77::2]:18090'}; do
    spawn healthd env ${P}HTTP_ADDR="$address" healthd
    wait_until 3 answers 127.0.0.1:18090 || fault "$address: loopback"
    case $address in
      10.*) answers 10.77.0.2:18090 || fault "$address: not answered" ;;
      '[fd77'*) answers '[fd77::2]:18090' || fault "$address: not answered" ;;
      127.*) refute answers 10.77.0.2:18090 || fault "$address: answers elsewhere" ;;
    esac
    attempt with HTTP_ADDR="$address" healthd --probe
    [[ $STATUS == 0 ]] || fault "$address: --probe"
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
  no_faults
}

@test "a health port that is taken: healthd says so and ends" {
  spawn holder socat TCP-LISTEN:$HEALTH_PORT,fork,reuseaddr EXEC:'sleep 30'
  wait_until 10 listens $HEALTH_PORT
  attempt in_pod timeout 5 healthd
  [[ $STATUS != 0 && $STATUS != 124 ]]
  has "$OUTPUT" "$HEALTH_PORT"
  [[ -z $(mitmdump_pid) ]]
}

@test "the guard flushed: 503 though the redirect stands, and setup redirect repairs it" {
  up
  in_pod iptables-legacy -w -F OPENSANDBOX_EGRESS
  not_ready 'guard rules not in effect: .*127.0.0.2:9.*let through' 12
  has "$(verbose)" '^\[\+\]canary-ipv4 ok$'
  in_pod setup redirect
  wait_until 3 healthz_is '200 ok'
}

# The command line of the mitmdump that runs.
command_line() { tr '\0' ' ' </proc/"$(mitmdump_pid)"/cmdline; }

# Is the mitmdump that runs one that the launcher has forked?
was_forked() { grep -q '/launch\.py ' <<<"$(command_line)"; }

@test "MITMPROXY_FAST: mitmdump is forked by the launcher; started as it stands when it is off, or cannot be forked" {
  up
  has "$(command_line)" "python[^ ]* [^ ]*/launch.py $MITMDUMP --mode "
  down
  give MITMPROXY_FAST=off
  up
  refute was_forked
  [[ -z $(launcher_pid) ]]
  is_intercepted https://shop.example.test/
  down
  give MITMPROXY_FAST=on
  local interpreter
  for interpreter in '/usr/bin/env python3' '/usr/bin/python3 -I'; do
    fake_mitmdump < <(printf '#!%s\nimport time\ntime.sleep(60)\n' "$interpreter")
    spawn healthd healthd
    wait_until 5 grep -q 'no launcher: .*fake is not a script' "$LAB/healthd.log"
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
}

own_scripts() {
  mkdir "$LAB/scripts"
  cp "$STAGE"/usr/share/opensandbox/mitmscripts/*.py "$LAB/scripts/"
  give MITMPROXY_SCRIPTS_DIR="$LAB/scripts"
}

@test "a launcher that cannot start: mitmdump is started without it, at once" {
  own_scripts
  echo 'raise SystemExit("unlike any mitmproxy that is known")' >"$LAB/scripts/launch.py"
  up
  refute was_forked
  has "$(<"$LAB/up.log")" 'error runner: the launcher exited with status 1: unlike any mitmproxy'
  same restarts 0 "$(state mitm.restarts)"
}

@test "a mitmdump that fails when it is forked is started without the launcher, and the other way round" {
  own_scripts
  sed -i 's/^    runpy.run_path/    raise SystemExit("unlike any mitmdump")\n&/' "$LAB/scripts/launch.py"
  up
  refute was_forked
  has "$(<"$LAB/up.log")" 'error runner: mitmdump exited with status 1: unlike any mitmdump; next start in 0 ms'
  same restarts 1 "$(state mitm.restarts)"
}

@test "a launcher that does not fork: mitmdump is started without it, the launcher is started again" {
  own_scripts
  sed -i 's/^    child = os.fork()/    time.sleep(1000)/' "$LAB/scripts/launch.py"
  up
  refute was_forked
  has "$(<"$LAB/up.log")" 'warn  runner: the launcher does not answer: SIGKILL'
}

@test "a state file that was cut off between two lines is not enough" {
  up
  local whole lines
  whole=$(<"$STATE")
  # The last one, setup.time, says nothing of it.
  for lines in {0..11}; do
    # In the middle of it, too, so that healthd's half is not what is missed.
    { head -n $((1 + lines)) <<<"$whole"; grep '^mitm' <<<"$whole"; } >"$LAB/cut"
    cp "$LAB/cut" "$STATE"
    [[ $(healthz) == 503* ]] || fault "$lines lines of setup's half: $(healthz)"
  done
  echo "$whole" >"$LAB/cut"
  cp "$LAB/cut" "$STATE"
  wait_until 3 healthz_is '200 ok' || fault "whole again: $(healthz)"
  no_faults
}
