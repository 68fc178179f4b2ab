#!/usr/bin/env bats
# What can go wrong with mitmdump, its port, its CA and its addons. The numbers are those of
# the fault table; faults-state.bats says where each of its rows is proved.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

setup_file() {
  suite_up
  clock_library
  in_background stopped addon_that_never_returns never_listens ends_soon \
    slow_but_alive generated_long_ago warned_early bad_regex syntax_error listens_then_dies
}
teardown() { lab_down; memory_limit_down; }

mitmdump_is_gone() { [[ -z $(mitmdump_pid) ]]; }
SHOP=https://shop.example.test

@test "fault 1: mitmdump crashes: 503 with the signal, 80 and 443 wait meanwhile, restarted at once" {
  held_mitmdump
  up
  find_three
  hold
  kill -KILL "$MITMDUMP_PID"
  # It has been restarted, but does not listen yet: what is wrong is still why it had to be.
  wait_until 5 started 2
  not_ready 'killed by signal 9' || fault reason
  local url clients=()
  for url in http://shop.example.test/ $SHOP/; do
    as_app curl -sS --max-time 30 --cacert "$BUNDLE" -A meanwhile "$url" >>"$LAB/meanwhile" 3>&- &
    clients+=($!)
  done
  sleep 0.3
  refute origin_saw 'agent="meanwhile"' || fault 'something came through'
  release
  ready_within 40
  wait "${clients[@]}" || fault 'who waited was not served'
  same 'served through mitmdump' 2 "$(grep -c '^X-OpenSandbox-Egress: 1' "$LAB/meanwhile")" || fault 'around it'
  is_intercepted $SHOP/ || fault 'not intercepted afterwards'
  same 'restarts by cause' 1 "$(restarts_by killed)" || fault counter
  no_faults
}

# The seconds between start $1 and the next, from the notes of the program in place of mitmdump.
pause_after() { sed -n "$1,$(($1 + 1))p" "$LAB/home/starts" | paste -sd' ' | awk '{ print $2 - $1 }'; }
# between LOW HIGH VALUE
between() { awk -v low="$1" -v high="$2" -v value="$3" 'BEGIN { exit !(value >= low && value <= high) }'; }

@test "fault 1: the first restart at once, then after 1 s, doubling, by up to a tenth more or less" {
  fake_mitmdump <<FAKE
#!/bin/sh
date +%s.%N >>"$LAB/home/starts"
exit 1
FAKE
  no_starts
  in_pod setup
  spawn healthd healthd
  wait_until 20 started 5
  local n expected=(0 1 2 4) pause
  for n in 1 2 3 4; do
    pause=$(pause_after "$n")
    echo "# restart $n after $pause s" >&3
    # Never earlier; later, if the machine is busy.
    between "$(awk -v s="${expected[n - 1]}" 'BEGIN { print s * 0.9 }')" $((expected[n - 1] + 3)) "$pause" ||
      fault "restart $n after $pause s"
  done
  (($(restarts_by exited) >= 4)) || fault "counted: $(restarts_by exited)"
  no_faults
}

# A memory cgroup of its own for what is started with in_memory_limit, if the machine lets
# us make one: MEMORY_LIMIT is its directory.
MEMORY_LIMIT=''
memory_limit_up() {
  local path
  path=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/egress-$BASHPID
  if mkdir "$path" 2>/dev/null; then
    MEMORY_LIMIT=$path
    echo "$1" >"$path/memory.limit_in_bytes"
    return
  fi
  path=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/egress-$BASHPID
  mkdir "$path" 2>/dev/null || return 1
  MEMORY_LIMIT=$path
  echo "$1" 2>/dev/null >"$path/memory.max"
}
memory_limit_down() {
  [[ -z $MEMORY_LIMIT ]] || wait_until 3 rmdir "$MEMORY_LIMIT" || true
  MEMORY_LIMIT=''
}

@test "fault 2: out of memory: mitmdump is the one that goes, healthd and the rules stay" {
  cat >"$LAB/addons/hog.py" <<'HOG'
hoard = []
def request(flow):
    if flow.request.path == "/hog":
        for _ in range(50):
            hoard.append(bytearray(b"x") * (16 << 20))
HOG
  give MITMPROXY_SCRIPT="$LAB/addons/hog.py"
  local since
  if memory_limit_up $((400 << 20)); then
    # ip(8) hides the cgroups from the pod, so it is put in there from here.
    # shellcheck disable=SC2016 # for that shell
    spawn up sh -c 'while [ ! -e "$0" ]; do sleep 0.05; done; exec entrypoint.sh' "$LAB/go"
    echo "$SPAWNED" >"$MEMORY_LIMIT/cgroup.procs"
    touch "$LAB/go"
    ready_within 40
    find_three
    grep -qx "$MITMDUMP_PID" "$MEMORY_LIMIT/cgroup.procs"
    start_observer 0.003
    since=$(now)
    app_curl -o /dev/null --max-time 15 http://shop.example.test/hog || true
  else
    echo '# no memory cgroup can be made here: killed by hand' >&3
    up
    find_three
    start_observer 0.003
    since=$(now)
    # (The kernel would have chosen it.)
    (($(</proc/"$MITMDUMP_PID"/oom_score) > $(</proc/"$RESPONDER"/oom_score)))
    (($(</proc/"$MITMDUMP_PID"/oom_score) > $(</proc/"$RUNNER"/oom_score)))
    kill -KILL "$MITMDUMP_PID"
  fi
  wait_until 5 gone "$MITMDUMP_PID"
  await_first 2 "$since" ' 503 mitm not ready: .*killed by signal 9'
  local responder=$RESPONDER runner=$RUNNER first=$MITMDUMP_PID
  ready_within 40
  find_three
  same 'responder and runner' "$responder $runner" "$RESPONDER $RUNNER"
  [[ $MITMDUMP_PID != "$first" ]]
  same 'restarts by cause' 1 "$(restarts_by killed)"
  # The test can fail: without a limit nothing would have been killed.
  [[ -z $MEMORY_LIMIT ]] || grep -q '^[1-9]' "$MEMORY_LIMIT/memory.failcnt" 2>/dev/null ||
    grep -q '^oom_kill [1-9]' "$MEMORY_LIMIT/memory.events"
}

# hangs_until_restarted: with traffic, a mitmdump that has just begun to hang is found out,
# ended and replaced; CAN_END says whether it ends on SIGTERM.
hangs_until_restarted() {
  local since=$1 first=$2
  await_first 12 "$since" ' 503 mitm not ready: .*mitmdump hangs'
  echo "hung: 503 after $AFTER ms"
  ((AT - since < 8000000)) || fault "503 after $AFTER ms"
  has "$(healthz)" 'mitmdump hangs: has been silent for [5-9] s' || fault 'reason'
  condition mitmdump 'failed: mitmdump hangs' || fault "verbose: $(verbose)"
  # 30 s of it, 5 s between the signals, and the start of the next one.
  wait_until 50 gone "$first"
  echo "ended after $((($(now) - since) / 1000)) ms"
  (($(now) - since > 29000000)) || fault 'ended too early'
  ready_within 40
  [[ $(mitmdump_pid) != "$first" ]] || fault 'the same process'
  same 'restarts by cause' 1 "$(restarts_by hung)" || fault counter
  # Those who have waited come first.
  wait_until 30 is_intercepted $SHOP/ || fault 'not intercepted afterwards'
}
stopped() {
  begin entrypoint.sh
  find_three
  start_observer 0.02
  start_traffic
  wait_until 5 origin_saw sni
  local since
  since=$(now)
  kill -STOP "$MITMDUMP_PID"
  hangs_until_restarted "$since" "$MITMDUMP_PID"
  no_faults
}
addon_that_never_returns() {
  cat >"$LAB/addons/hang.py" <<'HANG'
import time
def request(flow):
    if flow.request.path == "/hang":
        time.sleep(1000)
HANG
  give MITMPROXY_SCRIPT="$LAB/addons/hang.py,$STAGE/usr/share/opensandbox/mitmscripts/add_header.py"
  begin entrypoint.sh
  find_three
  start_observer 0.02
  local since
  since=$(now)
  spawn hang setpriv --reuid $APP_UID --regid $APP_UID --clear-groups curl -s --max-time 60 http://shop.example.test/hang
  start_traffic
  hangs_until_restarted "$since" "$MITMDUMP_PID"
  no_faults
}
# Busy, but it goes on each time: this is no hang.
slow_but_alive() {
  begin entrypoint.sh
  find_three
  start_observer 0.02
  start_traffic http://shop.example.test/
  local since
  since=$(now)
  for _ in 1 2 3 4; do
    kill -STOP "$MITMDUMP_PID"
    sleep 2
    kill -CONT "$MITMDUMP_PID"
    wait_until 3 is_intercepted http://shop.example.test/
  done
  refute has_seen "$since" 503
  same restarts 0 "$(restarts_by hung)"
}
# It starts, and never says that it has.
never_listens() {
  fake_mitmdump <<FAKE
#!/bin/sh
date +%s.%N >>"$LAB/home/starts"
[ "\$(wc -l <"$LAB/home/starts")" -eq 1 ] || exec "$MITMDUMP" "\$@"
trap '' TERM
while :; do sleep 1; done
FAKE
  no_starts
  in_pod setup
  spawn healthd healthd
  next_begins
  wait_until 3 started 1
  not_ready 'mitmdump.*(listen|start)'
  not_ready 'did not finish its start within 20 s' 30
  wait_until 15 started 2
  # It has ignored SIGTERM for 5 s.
  between 24.5 40 "$(pause_after 1)" || fault "restarted after $(pause_after 1) s"
  echo "never listens: restarted after $(pause_after 1) s"
  ready_within 40
  same 'restarts by cause' 1 "$(restarts_by start_timeout)" || fault counter
  no_faults
}

@test "fault 3: mitmdump hangs (stopped; an addon that never returns; never listens): 503, ended, restarted" {
  outcome stopped addon_that_never_returns never_listens slow_but_alive
}

# never_ready PATTERN: healthd runs into a crash loop; nobody has ever seen 200, and the reason
# has the last line that mitmdump printed, which matches PATTERN.
again() { (($(state mitm.restarts) >= 2)); }
never_ready() {
  in_pod setup
  spawn healthd healthd
  next_begins
  wait_until 5 healthz_is 503
  start_observer 0.003
  wait_until 60 again
  not_ready "$1" 10
  stop_observer
  refute grep ' 200 ' "$LAB/observer.log"
  cat "$LAB/healthd.log"
}
# (mitmdump 11 has no more to say than this in its last line.)
LOADING='exited with status 1: .*(look-behind requires fixed-width|SyntaxError|Error logged during startup)'
bad_regex() {
  # Valid as such, but not for Python: look-behind of no fixed width.
  give MITMPROXY_IGNORE_HOSTS='(?<=a+)b'
  never_ready "$LOADING"
  grep -q 'look-behind requires fixed-width' "$LAB/healthd.log"
}
syntax_error() {
  echo 'def request(flow) return' >"$LAB/addons/broken.py"
  give MITMPROXY_SCRIPT="$LAB/addons/broken.py"
  never_ready "$LOADING"
  grep -q SyntaxError "$LAB/healthd.log"
}
listens_then_dies() {
  fake_mitmdump <<FAKE
#!/usr/bin/python3 -S
import sys, time
print("Error: this will not do.", flush=True)
print("Transparent Proxy listening at 127.0.0.1:$PROXY_PORT.", flush=True)
time.sleep(0.4)
print("Traceback: these are the last words", file=sys.stderr)
sys.exit(1)
FAKE
  never_ready 'these are the last words'
}

@test "fault 4: crash loop: never 200, whatever it logs, and its last words in the reason" {
  outcome bad_regex syntax_error listens_then_dies
}

# holds_port HOW: user OTHER_UID is in the way of the proxy's port on 127.0.0.1. SPAWNED is its process.
holds_port() {
  spawn holder setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups /usr/bin/python3 -c '
import socket, sys, time
how, port = sys.argv[1], int(sys.argv[2])
server = socket.create_server(("127.0.0.1", 0 if how == "connection" else port))
if how == "bound":
    server.close()
    server = socket.socket()
    server.bind(("127.0.0.1", port))
elif how == "connection":
    client = socket.socket()
    client.bind(("127.0.0.1", port))
    client.connect(server.getsockname())
print("holds", flush=True)
time.sleep(60)' "$1" $PROXY_PORT
  wait_until 5 grep -q holds "$LAB/holder.log"
}

@test "fault 5: the proxy port is taken at the start: 503 with port and uid at once, ready by itself when it is free" {
  local how since pattern
  in_pod setup
  for how in listener connection bound; do
    case $how in
      listener) pattern="port $PROXY_PORT of 127.0.0.1 is held by another process, of uid $OTHER_UID" ;;
      connection) pattern="port $PROXY_PORT of 127.0.0.1 is held by a connection of a process of uid $OTHER_UID" ;;
      bound) pattern="port $PROXY_PORT of 127.0.0.1 is held by a socket" ;;
    esac
    holds_port $how
    local holder=$SPAWNED
    spawn healthd healthd
    wait_until 3 listens $HEALTH_PORT
    since=$(milliseconds)
    not_ready "$pattern" 1 || fault "$how: not named within 1 s"
    # Nor is it something else a moment later.
    while (($(milliseconds) - since < 2500)); do
      reason_matches "$pattern" || fault "$how: $(healthz)"
      sleep 0.1
    done
    lacks "$(healthz)" 'Traceback|Errno' || fault "$how: mitmdump's words"
    mitmdump_is_gone || fault "$how: started in vain"
    kill "$holder"
    ready_within 40 || fault "$how: not ready by itself"
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
  no_faults
}

@test "fault 6: only ::1 is taken: that family is named with port and uid, ready by itself when it is free" {
  need ipv6
  in_pod setup
  spawn holder setpriv --reuid $OTHER_UID --regid $OTHER_UID --clear-groups \
    socat TCP6-LISTEN:$PROXY_PORT,bind='[::1]',ipv6only=1,fork EXEC:'sleep 30'
  local holder=$SPAWNED
  wait_until 3 listens $PROXY_PORT
  spawn healthd healthd
  not_ready "(::1|IPv6).*$OTHER_UID" 5
  has "$(healthz)" "$PROXY_PORT" || fault 'port not named'
  blames_ipv6_alone() { [[ $(healthz) =~ ::1|IPv6 && $(healthz) != *127.0.0.1* ]]; }
  wait_until 5 blames_ipv6_alone || fault 'the other family is blamed'
  condition mitmdump "failed: .*$OTHER_UID" || fault "verbose: $(verbose)"
  stays_unready 1000
  kill "$holder"
  ready_within 40
  condition mitmdump ok || fault "verbose: $(verbose)"
  no_faults
}

@test "fault 11: CA file gone: 503 with its path, not restarted, none made in silence, well when it is back" {
  local ca=$CONFDIR/mitmproxy-ca.pem first before
  up
  find_three
  first=$MITMDUMP_PID
  before=$(fingerprint "$ca")
  # Under a running mitmdump.
  mv "$ca" "$LAB/aside"
  not_ready "CA file $ca: No such file or directory" 3
  condition ca 'failed: ' || fault "verbose: $(verbose)"
  mv "$LAB/aside" "$ca"
  ready_within 10
  same 'mitmdump is the same' "$first" "$(mitmdump_pid)" || fault 'restarted without a reason'
  # And when it is to start again.
  mv "$ca" "$LAB/aside"
  kill -KILL "$first"
  wait_until 3 gone "$first"
  stays_unready 3000
  has "$(healthz)" "CA file $ca: No such file" || fault 'reason'
  mitmdump_is_gone || fault 'started without a CA'
  [[ ! -e $ca ]] || fault 'somebody has made another CA'
  mv "$LAB/aside" "$ca"
  ready_within 40
  same CA "$before" "$(fingerprint "$ca")" || fault 'another CA'
  (($(restarts_by not_started) >= 1)) || fault 'not counted'
  is_intercepted $SHOP/ || fault 'not intercepted afterwards'
  no_faults
}

# bad_ca KIND: a bad CA file instead of the good one, which is $LAB/good.pem.
bad_ca() {
  local ca=$CONFDIR/mitmproxy-ca.pem
  rm -rf "$ca"
  case $1 in
    empty) install -o $MITM_UID -g $MITM_UID -m 0600 /dev/null "$ca" ;;
    unreadable) install -o 0 -g 0 -m 0600 "$LAB/good.pem" "$ca" ;;
    'cut off') head -c 300 "$LAB/good.pem" | install -o $MITM_UID -g $MITM_UID -m 0600 /dev/stdin "$ca" ;;
    'of another key') install -o $MITM_UID -g $MITM_UID -m 0600 "$LAB/other-key/ca.pem" "$ca" ;;
    'another CA') install -o $MITM_UID -g $MITM_UID -m 0600 "$LAB/rsa/ca.pem" "$ca" ;;
    FIFO) mkfifo "$ca" ;;
    link) ln -s "$LAB/good.pem" "$ca" ;;
    good) install -o $MITM_UID -g $MITM_UID -m 0600 "$LAB/good.pem" "$ca" ;;
  esac
}

@test "fault 12: CA file empty, unreadable, cut off, of another key: caught by setup, and before each start" {
  local kind
  up
  cp "$CONFDIR/mitmproxy-ca.pem" "$LAB/good.pem"
  chmod 0644 "$LAB/good.pem"
  make_ca "$LAB/other-key" other-key
  make_ca "$LAB/rsa" rsa
  for kind in empty unreadable 'cut off' 'of another key' 'another CA' FIFO link; do
    bad_ca "$kind"
    # shellcheck disable=SC2046 # one, or none
    kill -KILL $(mitmdump_pid) 2>/dev/null || true
    not_ready "CA file $CONFDIR/mitmproxy-ca.pem" 3 || fault "$kind: healthd"
    # (A valid one was not there when setup ran; whoever put it there is to run setup again. And
    # with a FIFO nobody may wait.)
    case $kind in
      'another CA' | FIFO) ;;
      unreadable) ;; # setup gives it to the mitmproxy user
      *)
        # (What it has to say must not hide what healthd says.)
        attempt with STATE_FILE="$LAB/elsewhere/state" timeout 10 setup prepare
        [[ $STATUS != 0 && $STATUS -lt 124 ]] || fault "$kind: setup: status $STATUS"
        has "$OUTPUT" ' error .*mitmproxy-ca.pem' || fault "$kind: setup: not named"
        ;;
    esac
    bad_ca "$kind"
    stays_unready 300 || fault "$kind: ready"
    mitmdump_is_gone || fault "$kind: started"
  done
  bad_ca good
  in_pod setup
  ready_within 40
  is_intercepted $SHOP/ || fault 'not intercepted afterwards'
  no_faults
}

# The end of a certificate, in seconds since the epoch.
ends() { date -d "$(openssl x509 -noout -enddate -in "$1" | sed 's/.*=//')" +%s; }

# A CA of our own that ends in a few seconds.
ends_soon() {
  new_key soon ec-P-256
  END='+30 seconds' certify soon
  cat "$PKI/soon.key" "$PKI/soon.crt" >"$LAB/soon.pem"
  place_ca "$LAB/soon.pem" $MITM_UID 0600 $MITM_UID 0700
  begin entrypoint.sh
  has "$(<"$LAB/up.log")" ' warn .*CA .*expire' || fault 'no early warning'
  same metric "$(ends "$PKI/soon.crt")" "$(metric ca_expiry_timestamp_seconds)" || fault '/metrics'
  condition ca ok || fault "verbose: $(verbose)"
  not_ready 'CA expired at ' 45
  (($(date +%s) >= $(ends "$PKI/soon.crt"))) || fault 'too early'
  condition ca 'failed: CA expired at' || fault "verbose: $(verbose)"
  attempt in_pod setup
  [[ $STATUS != 0 ]] || fault "setup: status $STATUS"
  has "$OUTPUT" ' error .*expired' || fault 'setup: reason'
  no_faults
}
# One that setup made eleven years ago.
generated_long_ago() {
  local old
  set_clock $((-11 * 366 * 86400))
  attempt in_pod "${CLOCK_PRELOADED[@]}" setup prepare
  [[ $STATUS == 0 ]]
  old=$(fingerprint "$CONFDIR/mitmproxy-ca.pem")
  (($(ends "$CONFDIR/mitmproxy-ca.pem") < $(date +%s)))
  attempt in_pod setup
  case $STATUS in
    0)
      [[ $(fingerprint "$CONFDIR/mitmproxy-ca.pem") != "$old" ]] || fault 'the expired one is accepted'
      (($(ends "$CONFDIR/mitmproxy-ca.pem") > $(date +%s))) || fault 'the new one has expired'
      same export "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault export
      ;;
    *) has "$OUTPUT" ' error .*expired' || fault 'refused without the reason' ;;
  esac
  echo "a generated CA that has expired: status $STATUS"
  no_faults
}
# Within 30 days of the end: a warning when healthd starts; before that none.
warned() { grep -qE ' warn .*CA .*expire' "$LAB/healthd.log"; }
warned_early() {
  local left
  for left in 29 31; do
    remove "$CONFDIR" "$LAB/run" "$EXPORT"
    PKI=$LAB/ca-$left
    new_key it ec-P-256
    END="+$left days" certify it
    cat "$PKI/it.key" "$PKI/it.crt" >"$LAB/it.pem"
    place_ca "$LAB/it.pem" $MITM_UID 0600 $MITM_UID 0700
    in_pod setup
    spawn healthd healthd
    if ((left < 30)); then
      wait_until 5 warned || fault "$left days: no warning"
    else
      ready_within 40
      refute warned || fault "$left days: a warning"
    fi
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
    in_pod setup clear
  done
  no_faults
}

@test "fault 13: CA expired, or soon: setup refuses or makes a new one, healthd warns, 503 after the end" {
  outcome ends_soon generated_long_ago warned_early
}

@test "fault 14: dhparam missing: setup provides it, so that a read-only confdir will do" {
  in_pod setup
  rm "$CONFDIR/mitmproxy-dhparam.pem"
  in_pod setup
  has "$(<"$CONFDIR/mitmproxy-dhparam.pem")" 'BEGIN DH PARAMETERS'
  same owner $MITM_UID "$(stat -c %u "$CONFDIR/mitmproxy-dhparam.pem")"
  mount --bind "$CONFDIR" "$CONFDIR"
  mount -o remount,ro,bind "$CONFDIR"
  local status=0
  # In a subshell, so that it is unmounted whatever happens.
  (up healthd && is_intercepted $SHOP/) || status=$?
  netns_down
  umount -l "$CONFDIR"
  [[ $status == 0 ]]
}

@test "fault 15: a config.yaml that others can write, in a running pod: refused, and not ready until it is gone" {
  up
  echo 'flow_detail: 0' >"$CONFDIR/config.yaml"
  chmod 0666 "$CONFDIR/config.yaml"
  attempt in_pod setup
  [[ $STATUS == 78 ]]
  not_ready 'config.yaml'
  rm "$CONFDIR/config.yaml"
  in_pod setup
  ready_within 10
}

@test "fault 16: no such user, no such mitmdump, root: distinct messages, exit 78" {
  local program row messages=''
  for program in setup healthd; do
    for row in 'MITMPROXY_USER=nobody-of-that-name' 'MITMPROXY_USER=0' 'MITMPROXY_BIN=/nowhere/mitmdump'; do
      attempt with "$row" timeout 5 "$program"
      [[ $STATUS == 78 ]] || fault "$program, $row: status $STATUS"
      has "$OUTPUT" "${row%%=*}.*${row#*=}" || fault "$program, $row: not named"
      messages+=$(tail -n 1 <<<"$OUTPUT" | sed 's/.* error *//; s/^[a-z]*: //')$'\n'
    done
  done
  same 'distinct messages' 3 "$(sort -u <<<"$messages" | grep -c .)"
  no_faults
}
