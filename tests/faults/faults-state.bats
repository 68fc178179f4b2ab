#!/usr/bin/env bats
# What can go wrong with files, volumes, namespaces, rules and the start. The numbers are those
# of the fault table, each row of which is proved by tests "fault N: ..." here, in
# faults-proxy.bats and faults-environment.bats, or by a suite that goes into it further:
#
#   1   health            mitmdump killed: its restart counted, 200 again by itself
#   1   workers           one of three killed: named by its number, the others serve, it comes back; the launcher's death is no fault
#   1   workers           no worker for 10 s: who came meanwhile has waited, and is reset; later ones at once
#   3   workers           a worker is silent: red within 6 s without any traffic, restarted after 30 s
#   5   workers           nobody else gets the proxy's port while mitmdump is started again, nor does a client's own port matter
#   1   intercept         mitmdump killed: who comes meanwhile waits, nothing leaves unintercepted, the same CA
#   4   intercept         entrypoint.sh with an addon that is broken: stays up, 503 with the reason, never 200
#   5   health            a proxy port that somebody else holds: 503 with port and uid, ready by itself when it is free
#   7   health            a state file that is gone or damaged under a running healthd: 503, not repaired by healthd alone
#   9   write-failure     a full volume under confdir, export and state, with nothing or little left
#   10  write-failure     a read-only volume under confdir, export and state, when something is to be written
#   11  health            CA gone from the confdir since: named, and mitmdump is not let make its own
#   12  bad-ca            a key that is not that of the certificate, more than one, encrypted, too weak, or unusable
#   13  bad-ca            within 30 days of its end: a warning with the date; before that none
#   14  write-failure     read-only confdir and export are no fault when nothing is to be written
#   15  ca                config.yaml is code: refused from others, or writable by others
#   15  addons            an addon that others can write: refused by setup, with the path, unless it is allowed
#   15  addons            an addon that others can write meanwhile: named in healthd's 503, mitmdump is not started, unless it is allowed
#   16  config            MITMPROXY_USER, bad values
#   16  config            MITMPROXY_BIN, bad values
#   17  health            a state file of another namespace or boot is stale
#   18  backend           iptables: whatever is changed behind our back is named, and repaired
#   18  backend           nft: whatever is changed behind our back in a chain is named, and repaired
#   19  rules             three runs give the same listing as one, and reset no counter
#   19  rules             several setups at once: all succeed, the rules are there once
#   19  fault             iptables, from empty tables: killed at each change, whole tables, and the next run repairs
#   19  fault             nft, from older rules: killed at each change, nothing open, and the next run repairs
#   20  contention        200 rounds of setup among three other writers: nobody loses a rule, ours are there once
#   21  backend           each capability that is missing is named, and the exit status is 77
#   21  backend           each capability that prepare lacks is named, and the exit status is 77
#   21  config            setup without a capability: exit 77, its name, the rules as before
#   22  traffic           iptables: a namespace without IPv6 is no error, and becomes ready
#   22  traffic           iptables: IPv6 without ::1 cannot be redirected: exit 69, MITMPROXY_IPV6 named
#   22  backend           one table or extension that is missing is enough for nft, and is named
#   23  process           SIGTERM at any moment of the start of entrypoint.sh: exit 0, nobody left
#   23  process           SIGTERM at any moment of the start of healthd: exit 0, nobody left
#   23  process           SIGTERM, SIGINT, SIGHUP, and SIGTERM twice in steady state: exit 0, rules stay
#   23  process           SIGTERM in backoff: exit 0 at once
#   24  process           healthd killed: mitmdump dies with it, a new one starts clean
#   24  process           runner killed: mitmdump dies at once, no 200 without it
#   25  process           mitmdump that ignores SIGTERM: 503 from now on, killed after 5 s, exit 0 within 6 s
#   32  write-failure     fsync fails (no space, quota), wherever it is called
#   32  write-failure     write fails in the middle (quota), wherever it is called
#   33  health            setup failed: with its error
#   34  workers           one of three killed: named by its number, the others serve, it comes back; the launcher's death is no fault
#   34  workers           a launcher that hangs: the next worker is started without it, and so is the launcher, anew
#   35  workers           a worker is silent: red within 6 s without any traffic, restarted after 30 s
#   36  escape-gate       nft: a device that comes later has no gate until setup redirect, and it is said

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

setup_file() {
  suite_up
  in_background full_volume read_only_volume iptables_flushed iptables_jump_removed \
    iptables_chain_changed nft_flushed nft_chain_changed
}
teardown() { unmount; lab_down; }

SHOP=https://shop.example.test

@test "each row of the fault table has a test, and those named above exist" {
  local row suite name
  while read -r row suite name; do
    grep -qF "@test \"$name\"" "$ROOT"/tests/*/"$suite.bats" || fault "row $row: no test \"$name\" in $suite.bats"
  done < <(sed -n 's/^#   \([0-9][0-9]* .*\)/\1/p' "$BATS_TEST_FILENAME")
  for ((row = 1; row <= 36; row++)); do
    grep -qE "^(#   |@test \"fault )$row\\b" "$BATS_TEST_DIRNAME"/faults-*.bats || fault "row $row: no test"
  done
  no_faults
}

# The state volume as a file system of its own: LAB/run.
unmount() {
  local tries
  [[ -n ${LAB-} ]] || return 0
  for ((tries = 0; tries < 5; tries++)); do
    mountpoint -q "$LAB/run" || return 0
    umount -l "$LAB/run"
  done
}
state_on_tmpfs() {
  STATE=$LAB/run/egress/state
  give STATE_FILE="$STATE"
  mkdir "$LAB/run"
  mount -t tmpfs -o "size=$1,mode=0755" egress-lab "$LAB/run"
}
# A copy of the state file as it is when all is well: LAB/good; well_again puts it back.
remember_state() { cp "$STATE" "$LAB/good"; }
# well_again KIND: the good file in its place again, at once: where there is none for a moment,
# healthd may be about to put its own half there, and is given another one.
well_again() {
  local new
  new=$(dirname "$STATE")/.$(basename "$STATE").new
  for _ in 1 2 3; do
    [[ ! -d $STATE || -L $STATE ]] || rm -r "$STATE"
    install -m 0644 "$LAB/good" "$new"
    mv -fT "$new" "$STATE"
    ! wait_until 3 healthz_is '200 ok' || return 0
  done
  fault "$1: not well again: $(healthz)"
}

@test "fault 7: state file deleted while running: 503, healthd restores its own half, and only setup makes it ready" {
  up
  remember_state
  local pid
  pid=$(mitmdump_pid)
  rm "$STATE"
  not_ready 'state|setup'
  condition 'state-file|setup' failed || fault "verbose: $(verbose)"
  # healthd's half, and nothing of setup's.
  wait_until 5 state_is mitm.state listening || fault 'not restored'
  state_is mitm.pid "$pid" || fault "mitm.pid: $(state mitm.pid)"
  lacks "$(<"$STATE")" '^setup\.(state=(ready|running|disabled)|netns=.|boot=.|backend=.|ca=.|ca_sha256=.)' ||
    fault "setup's half restored"
  kill -KILL "$pid" # healthd has something to write
  stays_unready 3000 || fault 'ready without setup'
  in_pod setup
  ready_within 40
  state_is mitm.restarts 1 || fault "mitm.restarts: $(state mitm.restarts)"
  no_faults
}

# damage KIND: something else in the place of the state file. (healthd may have put its own there
# meanwhile.)
damage() {
  until rm -rf "$STATE" && put "$1" 2>/dev/null; do sleep 0.05; done
}
put() {
  case $1 in
    empty) : >"$STATE" ;;
    'torn after '*) head -c "${1##* }" "$LAB/good" >"$STATE" ;;
    garbage) head -c 4096 /dev/urandom >"$STATE" ;;
    'zero bytes') head -c 4096 /dev/zero >"$STATE" ;;
    '1 GiB') cp "$LAB/good" "$STATE" && truncate -s 1G "$STATE" ;;
    '1 GiB of lines') yes setup.state=ready | head -c 1G >"$STATE" ;;
    'one endless line') { cat "$LAB/good" && head -c 1M /dev/zero | tr '\0' x; } >"$STATE" ;;
    'wrong version') sed '1s/[0-9]/9/' "$LAB/good" >"$STATE" ;;
    'no version') sed 1d "$LAB/good" >"$STATE" ;;
    FIFO) mkfifo "$STATE" ;;
    symlink) ln -s "$LAB/good" "$STATE" ;;
    'symlink to nowhere') ln -s "$LAB/nothing" "$STATE" ;;
    directory) mkdir "$STATE" ;;
    device) mknod "$STATE" c 1 5 ;;
    'wrong owner') install -o $OTHER_UID -g $OTHER_UID -m 0644 "$LAB/good" "$STATE" ;;
    unreadable) install -m 0600 "$LAB/good" "$STATE" ;;
  esac
}

@test "fault 8: state file torn, 1 GiB, FIFO, link, of others...: 503 at once, bounded, and it lives" {
  up
  find_three
  remember_state
  local kind size before after asked took responder=$RESPONDER
  size=$(stat -c %s "$LAB/good")
  before=$(resident "$RESPONDER")
  for kind in empty 'torn after 1' 'torn after 9' "torn after $((size / 2))" garbage 'zero bytes' '1 GiB' \
    'one endless line' 'wrong version' 'no version' FIFO symlink 'symlink to nowhere' directory device \
    'wrong owner' unreadable; do
    damage "$kind"
    asked=$(milliseconds)
    not_ready 'state|setup' || fault "$kind"
    took=$(($(milliseconds) - asked))
    ((took < 3000)) || fault "$kind: 503 after $took ms"
    # Whatever healthd makes of it, it does not make it ready.
    stays_unready 300 || fault "$kind: ready"
    well_again "$kind"
  done
  after=$(resident "$RESPONDER")
  echo "# resident memory of the responder: $before kB before, $after kB afterwards" >&3
  ((after - before < 4096)) || fault 'memory'
  find_three
  same responder "$responder" "$RESPONDER" || fault 'another process'
  no_faults
}

@test "fault 8: healthd starts with such a file, answers at once, and setup puts it right" {
  in_pod setup
  remember_state
  local kind
  for kind in '1 GiB' FIFO directory 'wrong owner' garbage; do
    damage "$kind"
    spawn healthd healthd
    not_ready 'state|setup' || fault "$kind"
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
    [[ $STATUS == 0 ]] || fault "$kind: status $STATUS"
    [[ $kind != directory ]] || rm -r "$STATE"
    attempt in_pod timeout 10 setup
    [[ $STATUS == 0 ]] || fault "$kind: setup: status $STATUS"
  done
  up healthd
  no_faults
}

# How many lines of healthd's log say that the state file cannot be written.
complaints() { grep -cE '(runner|healthd).*(state|'"$STATE"').*(No space|Read-only)' "$LAB/up.log" || true; }
failures() { metric state_write_failures_total; }
has_failed() { (($(failures) >= $1)); }

# answers_from_memory: the state volume takes nothing more, and mitmdump is killed twice.
answers_from_memory() {
  local times
  for times in 1 2; do
    kill -KILL "$(mitmdump_pid)"
    not_ready 'killed by signal 9|mitmdump' 2 || fault "death $times is not told"
    ready_within 40
  done
  is_intercepted $SHOP/ || fault 'not intercepted'
  same 'restarts in /metrics' 2 "$(restarts_by killed)" || fault restarts
  wait_until 3 has_failed 1 || fault 'no failure in /metrics'
  # Said once, not with each change and each second.
  same 'complaints in the log' 1 "$(complaints)" || fault "log: $(grep -i state "$LAB/up.log")"
}
# The file catches up by itself when it can be written again.
catches_up() {
  wait_until 15 state_is mitm.restarts 2 || fault "the file has not caught up: $(state mitm.restarts)"
  state_is mitm.pid "$(mitmdump_pid)" || fault 'mitm.pid'
  healthz_is '200 ok' || fault "then: $(healthz)"
  no_faults
}
full_volume() {
  state_on_tmpfs 64k
  begin entrypoint.sh
  find_three
  dd if=/dev/zero of="$LAB/run/filler" bs=4k status=none 2>/dev/null || true
  local before
  before=$(sha256sum "$STATE")
  answers_from_memory
  same 'state file' "$before" "$(sha256sum "$STATE")" || fault 'touched'
  attempt in_pod timeout 10 setup
  [[ $STATUS != 0 && $STATUS -lt 124 ]] || fault "setup: status $STATUS"
  has "$OUTPUT" ' error .*No space' || fault 'setup: reason'
  same 'state file' "$before" "$(sha256sum "$STATE")" || fault 'not intact after setup'
  find "$LAB/run/egress" -name '*state*' -size +0 ! -path "$STATE"
  healthz_is '200 ok' || fault "after setup: $(healthz)"
  rm "$LAB/run/filler"
  catches_up
}
# ip(8), which makes the mount namespace, has the shell's words on its own command line before.
in_that_shell() { [[ $(<"/proc/$SPAWNED/comm") == sh ]] && grep -qaF "$LAB/go" "/proc/$SPAWNED/cmdline"; }
read_only_volume() {
  state_on_tmpfs 64k
  begin entrypoint.sh
  mount -o remount,ro "$LAB/run"
  answers_from_memory
  attempt in_pod timeout 10 setup
  [[ $STATUS != 0 && $STATUS -lt 124 ]] || fault "setup: status $STATUS"
  has "$OUTPUT" " error .*$LAB/run.*Read-only" || fault 'setup: reason'
  healthz_is '200 ok' || fault "after setup: $(healthz)"
  # A healthd that has never been able to write. (Its namespace's own mount is writable, as that
  # one above: ip(8) has made it before.)
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  mount -o remount,rw "$LAB/run"
  # shellcheck disable=SC2016 # for that shell
  spawn up sh -c 'while [ ! -e "$0" ]; do sleep 0.05; done; exec healthd' "$LAB/go"
  wait_until 3 in_that_shell
  mount -o remount,ro "$LAB/run"
  touch "$LAB/go"
  ready_within 40
  kill -KILL "$(mitmdump_pid)"
  mount -o remount,rw "$LAB/run"
  ready_within 40
  wait_until 15 state_is mitm.restarts 1 || fault "the file has not caught up: $(state mitm.restarts)"
  no_faults
}

@test "fault 9: state volume full; fault 10: read-only: setup says so, healthd works, and catches up" {
  outcome full_volume read_only_volume
}

@test "fault 17: the namespace is made anew, the state volume survives: 503 until setup has run again" {
  up
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
  cp -a "$LAB/run" "$LAB/survivor"
  netns_down
  netns_up
  mkdir "$LAB/origin-2"
  origin_up "$STAGE/pki" "$LAB/origin-2"
  state_is setup.state ready
  spawn healthd healthd
  not_ready 'another network namespace' 5
  wait_until 10 listens $PROXY_PORT
  stays_unready 1000
  has "$(healthz)" 'another network namespace'
  attempt in_pod setup status >/dev/null
  [[ $STATUS != 0 ]]
  in_pod setup
  ready_within 10
  is_intercepted $SHOP/
}

# found_out CONDITION...: what was just done to the rules turns these conditions, and no other, red
# within one period of 10 s; `setup status` names the difference, `setup redirect` repairs it.
red() { verbose | sed -n 's/^\[-\]\([a-z0-9-]*\) .*/\1/p' | paste -sd' '; }
red_is() { [[ $(red) == "$1" ]]; }
found_out() {
  local since
  since=$(milliseconds)
  # (A period, and something for a machine that is busy: truth.bats measures it.)
  wait_until 14 red_is "$*" || fault "expected $* to fail, but: $(verbose)"
  echo "red after $(($(milliseconds) - since)) ms"
  has "$(healthz)" '^503 mitm not ready: (redirect|guard) rules not in effect: ' || fault "reason: $(healthz)"
  attempt in_pod setup status >/dev/null
  [[ $STATUS != 0 ]] || fault 'status is content'
  has "$OUTPUT" 'MISSING|WRONG|EXTRA|CHANGED' || fault "status names no difference: $OUTPUT"
  attempt in_pod setup redirect >/dev/null
  [[ $STATUS == 0 ]] || fault "redirect: status $STATUS"
  ready_within 10
  attempt in_pod setup status >/dev/null
  [[ $STATUS == 0 ]] || fault "status is not content afterwards: $OUTPUT"
  no_faults
}
CHAIN=OPENSANDBOX_EGRESS
iptables_flushed() {
  give REDIRECT_BACKEND=iptables
  begin entrypoint.sh
  in_pod iptables-legacy -w -t nat -F
  in_pod ip6tables-legacy -w -t filter -F
  found_out canary-ipv4 guard-ipv6
}
iptables_jump_removed() {
  give REDIRECT_BACKEND=iptables
  begin entrypoint.sh
  in_pod ip6tables-legacy -w -t nat -D OUTPUT -j $CHAIN
  in_pod iptables-legacy -w -t filter -D OUTPUT -j $CHAIN
  found_out canary-ipv6 guard-ipv4
}
iptables_chain_changed() {
  give REDIRECT_BACKEND=iptables
  begin entrypoint.sh
  in_pod iptables-legacy -w -t nat -R $CHAIN 1 -p tcp -d 127.0.0.2 --dport 9 -j RETURN
  in_pod ip6tables-legacy -w -t filter -F $CHAIN
  found_out canary-ipv4 guard-ipv6
}
nft_flushed() {
  give REDIRECT_BACKEND=nft
  begin entrypoint.sh
  in_pod nft flush ruleset
  found_out canary-ipv4 canary-ipv6 guard-ipv4 guard-ipv6
}
nft_chain_changed() {
  give REDIRECT_BACKEND=nft
  begin entrypoint.sh
  in_pod nft flush chain inet opensandbox_egress filter_output
  in_pod nft flush chain inet opensandbox_egress nat_ipv6
  found_out canary-ipv6 guard-ipv4 guard-ipv6
}

@test "fault 18: rules flushed, jump removed, chain changed: 503 within a period, named, repaired" {
  need ipv6
  outcome iptables_flushed iptables_jump_removed iptables_chain_changed nft_flushed nft_chain_changed
}

@test "fault 22: ::1 goes away in a running pod: IPv4 is intercepted still, nothing leaves over IPv6" {
  need ipv6
  up
  ip -n "$POD" address del ::1/128 dev lo
  is_intercepted $SHOP/ || fault 'IPv4 is not intercepted'
  attempt app_curl -A over-six http://six.example.test/
  [[ $STATUS != 0 ]] || has "$OUTPUT" '^X-OpenSandbox-Egress: 1$' || fault 'open'
  refute grep -E 'egress="-" agent="over-six"' "$LAB/origin/access.log" || fault 'something got out'
  echo "health: $(healthz)"
  no_faults
}

@test "fault 24: responder and runner killed: a new healthd is not fooled by an old listener" {
  up
  find_three
  local runner=$RUNNER mitmdump=$MITMDUMP_PID
  kill -KILL "$RESPONDER"
  wait_until 5 gone "$runner" || fault 'the runner lives on'
  wait_until 5 gone "$mitmdump" || fault 'mitmdump lives on'
  # One that has outlived its healthd, by whatever accident: the same program and the same user.
  local old modes=(--mode "transparent@127.0.0.1:$PROXY_PORT" --mode "transparent@::1:$PROXY_PORT")
  ((IPV6 == 1)) || {
    modes=(--mode transparent --listen-host 127.0.0.1 --listen-port "$PROXY_PORT")
    give MITMPROXY_IPV6=off
  }
  spawn old setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups env HOME="$LAB/home" \
    "$MITMDUMP" "${modes[@]}" --set confdir="$CONFDIR" -q
  old=$SPAWNED
  wait_until 30 listens $PROXY_PORT
  spawn healthd healthd
  not_ready "$PROXY_PORT.*$MITM_UID|$MITM_UID.*$PROXY_PORT" 10
  stays_unready 2000
  kill -KILL "$old"
  ready_within 40
  [[ $(state mitm.pid) != "$old" ]]
  no_faults
}

# fails_in_background PATTERN CMD...: the entrypoint's own setup fails, healthd stays and says why.
fails_in_background() {
  local pattern=$1
  shift
  spawn entrypoint "$@"
  not_ready "setup failed: .*($pattern)" 15
  condition setup "failed: .*($pattern)" || fault "verbose: $(verbose)"
  wait_until 15 listens $PROXY_PORT || fault 'mitmdump does not run'
  stays_unready 1000 || fault ready
  [[ $(state setup.state) == failed ]] || fault "setup.state: $(state setup.state)"
  [[ -e /proc/$SPAWNED ]] || fault 'healthd has gone'
  attempt in_pod healthd --probe
  [[ $STATUS == 1 ]] || fault '--probe'
  no_faults
}

@test "fault 33: entrypoint's background setup fails: 503 with its error, nothing claims readiness" {
  fails_in_background CAP_NET_ADMIN setpriv --bounding-set -net_admin,-net_raw entrypoint.sh
  # With what it lacked it becomes ready without a restart.
  in_pod setup redirect
  ready_within 10
}
