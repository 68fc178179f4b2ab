#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and one changes MITM_UID
# The processes: what they may do, how they begin and how they end.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

# The value of FIELD in /proc/PID/status: field PID FIELD.
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr -s '\t' ' ' | sed 's/ *$//'; }

# unprivileged WHO PID UID GID
unprivileged() {
  local who=$1 pid=$2 name
  same "$who Uid" "$3 $3 $3 $3" "$(field "$pid" Uid)" || fault "$who"
  same "$who Gid" "$4 $4 $4 $4" "$(field "$pid" Gid)" || fault "$who"
  same "$who Groups" '' "$(field "$pid" Groups)" || fault "$who"
  for name in CapInh CapPrm CapEff CapBnd CapAmb; do
    same "$who $name" 0000000000000000 "$(field "$pid" $name)" || fault "$who"
  done
  same "$who NoNewPrivs" 1 "$(field "$pid" NoNewPrivs)" || fault "$who"
}
# The four processes, once `up` has succeeded: RESPONDER, RUNNER, LAUNCHER (none with a mitmdump that
# it cannot fork), MITMDUMP_PID.
find_four() {
  RESPONDER=$SPAWNED
  MITMDUMP_PID=$(mitmdump_pid)
  LAUNCHER=$(launcher_pid)
  RUNNER=$(field "$MITMDUMP_PID" PPid)
  same 'parent of the runner' "$RESPONDER" "$(field "$RUNNER" PPid)"
  [[ -z $LAUNCHER ]] || same 'parent of the launcher' "$RUNNER" "$(field "$LAUNCHER" PPid)"
  # And nobody else.
  same processes "$(printf '%s\n' "$RESPONDER" "$RUNNER" ${LAUNCHER:+"$LAUNCHER"} "$MITMDUMP_PID" | sort)" "$(ip netns pids "$POD" | sort)"
}

@test "ids, groups, five capability sets and NoNewPrivs of mitmdump, launcher, runner and responder" {
  # Started with more than it needs, so that giving it up can be seen.
  up setpriv --groups 0,4,27,100 --inh-caps +net_admin,+net_raw --ambient-caps +net_admin,+net_raw entrypoint.sh
  find_four
  unprivileged responder "$RESPONDER" $HEALTH_UID $HEALTH_UID
  unprivileged runner "$RUNNER" $MITM_UID $MITM_UID
  unprivileged launcher "$LAUNCHER" $MITM_UID $MITM_UID
  unprivileged mitmdump "$MITMDUMP_PID" $MITM_UID $MITM_UID
  no_faults
}

@test "uid:gid, names, and a second start of mitmdump keep to it" {
  cat >"/etc/netns/$POD/passwd" <<PASSWD
root:x:0:0::/root:/bin/sh
proxy:x:10077:10078::/nonexistent:/bin/false
PASSWD
  printf 'root:x:0:\nproxy:x:10078:\nextra:x:10079:proxy\n' >"/etc/netns/$POD/group"
  give MITMPROXY_USER=proxy HEALTHD_USER=10055:10056
  chown 10077:10078 "$LAB/home"
  export MITM_UID=10077
  up
  find_four
  kill -KILL "$MITMDUMP_PID"
  wait_until 2 refute healthz_is 200 2>/dev/null
  wait_until 10 healthz_is '200 ok'
  find_four
  unprivileged responder "$RESPONDER" 10055 10056
  unprivileged runner "$RUNNER" 10077 10078
  unprivileged mitmdump "$MITMDUMP_PID" 10077 10078
  no_faults
}

@test "responder and runner cannot be looked into by their own users" {
  # Wherever a change of the user makes a process dumpable.
  preload_library stopped
  up env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" LD_PRELOAD="$STAGE/stopped.so" SUID_DUMPABLE=1 entrypoint.sh
  find_four
  # Not dumpable: /proc belongs to root, and no debugger of the same user gets in.
  same responder 0 "$(stat -c %u "/proc/$RESPONDER/mem")"
  same runner 0 "$(stat -c %u "/proc/$RUNNER/mem")"
  refute as_user $HEALTH_UID ls "/proc/$RESPONDER/fd"
  # And the responder's user cannot read the key.
  refute as_user $HEALTH_UID cat "$CONFDIR/mitmproxy-ca.pem"
}

# given DESCRIPTORS: to what is started in the place of mitmdump; what it opens itself, and shares.
given() {
  fake_mitmdump <<FAKE
#!/usr/bin/python3 -S
import os, sys
def is_open(fd):
    try:
        return os.fstat(fd)
    except OSError:
        return None
with open("$LAB/home/descriptors", "w") as report:
    print([fd for fd in range(4096) if is_open(fd) and fd != report.fileno()], file=report)
os.execv("$MITMDUMP", ["$MITMDUMP"] + sys.argv[1:])
FAKE
  # The caller leaves some open.
  up bash -c 'exec 7</etc/hostname 8</etc 9>/dev/null 200</etc/hosts; exec entrypoint.sh'
  same 'after exec' "$1" "$(<"$LAB/home/descriptors")"
  MITMDUMP_PID=$(mitmdump_pid) RESPONDER=$SPAWNED
  RUNNER=$(field "$MITMDUMP_PID" PPid)
  local link
  # What it has now it opened itself: no file, no directory, no device.
  for link in "/proc/$MITMDUMP_PID/fd"/*; do
    ((${link##*/} > 2)) || continue
    echo "${link##*/} $(readlink "$link")"
    [[ $(readlink "$link") =~ ^(socket:|pipe:|anon_inode:) ]] || fault "$(readlink "$link")"
  done
  # It shares the sockets on which it listens with the runner, and no other.
  same shared "$(($2))" "$(comm -12 \
    <(find "/proc/$MITMDUMP_PID/fd" -type l -printf '%l\n' | grep -E 'socket' | sort -u) \
    <(find "/proc/$RUNNER/fd" "/proc/$RESPONDER/fd" -type l -printf '%l\n' | grep -E 'socket' | sort -u) | wc -l)"
  no_faults
}
@test "mitmdump is given its pulse and the proxy's sockets as descriptors 3 to 5, and nothing else" {
  given '[0, 1, 2, 3, 4, 5]' 2
}
@test "without IPv6 there is one socket" {
  give MITMPROXY_IPV6=off
  given '[0, 1, 2, 3, 4]' 1
}

# with_soft_limit CMD...: as most containers are started: 1024 descriptors, more if asked for.
with_soft_limit() {
  up bash -c 'ulimit -Sn 1024; exec "$@"' bash "$@"
}
@test "mitmdump may open as many descriptors as the hard limit allows, and 600 connections that wait all live" {
  (($(ulimit -Hn) >= 2048)) || skip_or_fail "the hard limit of descriptors is $(ulimit -Hn)"
  with_soft_limit entrypoint.sh
  find_four
  local limits
  limits=$(grep '^Max open files' "/proc/$MITMDUMP_PID/limits")
  has "$limits" "^Max open files +$(ulimit -Hn) +$(ulimit -Hn) " || fault "mitmdump: $limits"
  has "$(grep '^Max open files' "/proc/$RESPONDER/limits")" '^Max open files +1024 ' || fault 'the test gives no soft limit'
  attempt as_app timeout 120 /usr/bin/python3 "$STAGE/lib/keep_alive.py" 203.0.113.10 shop.example.test "$BUNDLE" 600
  [[ $STATUS == 0 ]] || fault 'not all connections live'
  has "$OUTPUT" '^600 of 600$' || fault 'not all connections live'
  same 'mitmdump is the same' "$MITMDUMP_PID" "$(mitmdump_pid)" || fault restarted
  no_faults
}

@test "mitmdump is given healthd's environment with HOME, a clean signal state, and dies before healthd" {
  fake_mitmdump <<FAKE
#!/bin/sh
{ grep -E '^Sig(Blk|Ign)' /proc/self/status; env; printf 'arguments:'; printf ' <%s>' "\$@"; } >"$LAB/home/report"
exec "$MITMDUMP" "\$@"
FAKE
  up env --default-signal SEEN=this HOME=/root entrypoint.sh
  local report
  report=$(<"$LAB/home/report")
  echo "$report"
  has "$report" $'^SigBlk:\t0000000000000000$'
  has "$report" '^SEEN=this$'
  has "$report" "^HOME=$CONFDIR\$|^HOME=$LAB/home\$"
  # Signals that stay ignored over exec: none that the caller had not ignored.
  # (32 and 33 are the C library's own, and may come from whoever runs this.)
  (((16#$(sed -n 's/^SigIgn:\t//p' <<<"$report") & 0x7fffffff) == 0))
  find_four
  (($(<"/proc/$MITMDUMP_PID/oom_score_adj") > $(<"/proc/$RESPONDER/oom_score_adj")))
  (($(<"/proc/$MITMDUMP_PID/oom_score_adj") > $(<"/proc/$RUNNER/oom_score_adj")))
}

# All is up, with mitmdump's arguments in LAB/home/report.
up_reporting() {
  fake_mitmdump <<FAKE
#!/bin/sh
printf '%s\n' "\$@" >"$LAB/home/report"
exec "$MITMDUMP" "\$@"
FAKE
  up
}

@test "MITMPROXY_SET wins over what healthd sets, and mitmdump takes it" {
  give MITMPROXY_SET='flow_detail=2;block_global=true'
  up_reporting
  same flow_detail flow_detail=2 "$(grep '^flow_detail=' "$LAB/home/report")"
  same block_global block_global=true "$(grep '^block_global=' "$LAB/home/report")"
}

@test "mitmdump's command line is that of the design" {
  give MITMPROXY_SET='anticache=true ' MITMPROXY_IGNORE_HOSTS='^a\.test$;^b\.test$' \
    MITMPROXY_NON_HTTP=log MITMPROXY_STREAM_REQUESTS=64k MITMPROXY_NO_NAME=passthrough
  up_reporting
  local report
  report=$(<"$LAB/home/report")
  echo "$report"
  has "$report" '^(transparent@127.0.0.1:18081|transparent)$'
  has "$report" "^confdir=$CONFDIR\$"
  has "$report" '^connection_strategy=eager$'
  has "$report" '^rawtcp=false$'
  has "$report" '^egress_non_http=log$'
  has "$report" '^egress_no_name=passthrough$'
  has "$report" '^egress_stream_requests=65536$'
  same patterns $'egress_ignore_hosts=^a\\.test$\negress_ignore_hosts=^b\\.test$' "$(grep ignore_hosts <<<"$report")"
  has "$report" '^block_global=false$'
  has "$report" '^flow_detail=0$'
  has "$report" "^ssl_verify_upstream_trusted_confdir=$STAGE/pki/trust\$"
  has "$report" '^anticache=true$'
  same 'first addon' admission.py "$(grep -A1 '^-s$' <<<"$report" | sed -n '2s,.*/,,p')"
  has "$report" '/add_header\.py$'
  # Bound to loopback only.
  same addresses "127.0.0.1:$PROXY_PORT" "$(in_pod ss -Hltn "sport = :$PROXY_PORT" | awk '{ print $4 }' | grep -v '^\[::1\]')"
}

no_zombies() {
  local pid
  for pid in $(ip netns pids "$POD"); do
    ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 1
  done
}
@test "as PID 1 it reaps what is not its own, and ends on SIGTERM" {
  spawn init unshare --pid --fork --kill-child --mount-proc entrypoint.sh
  wait_until 20 healthz_is '200 ok'
  local one
  one=$(pgrep -P "$SPAWNED")
  # Orphans of somebody who entered the container.
  for _ in 1 2 3; do
    nsenter --target "$one" --pid --mount --net sh -c '(sleep 0.3 &) ; (sleep 0.1 &)' 3>&-
  done
  orphans() { pgrep --ns "$one" --nslist pid sleep >/dev/null; }
  wait_until 2 refute orphans >/dev/null
  all_reaped() { ! ps -o stat= -p "$(pgrep --ns "$one" --nslist pid | paste -sd,)" | grep -q Z; }
  wait_until 2 all_reaped || {
    ps -o pid,ppid,stat,cmd -p "$(pgrep --ns "$one" --nslist pid | paste -sd,)"
    false
  }
  kill -TERM "$one"
  await_exit "$SPAWNED" 6
  [[ $STATUS == 0 ]]
  pod_is_empty
}

@test "no zombie stays: the entrypoint's setup, killed mitmdumps" {
  up
  wait_until 1 no_zombies
  for _ in 1 2; do
    kill -KILL "$(mitmdump_pid)"
    wait_until 2 refute healthz_is 200 >/dev/null
    wait_until 10 healthz_is '200 ok'
    wait_until 1 no_zombies
  done
  find_four
}

# ends_well WHAT: after a signal SPAWNED must end within 6 s, with 0, and leave nobody.
ends_well() {
  local forgiven=${2-0}
  await_exit "$SPAWNED" 6 || {
    fault "$1: still there"
    kill -KILL "$SPAWNED"
    return 0
  }
  [[ $STATUS == 0 || $STATUS == "$forgiven" ]] || fault "$1: status $STATUS: $(tail -n 3 "$LAB/start.log")"
  wait_until 1 pod_is_empty || {
    fault "$1: left behind: $(ip netns pids "$POD" | xargs -r ps -o pid,cmd -p)"
    ip netns pids "$POD" | xargs -r kill -KILL
  }
  echo "$1: status $STATUS after $TOOK ms"
}
# Send SIGTERM to process $1. FORGIVEN becomes 143 if no program of ours could know of it: the shell
# has not set its trap yet, or the next program has not reached its main(). Stopped meanwhile, the
# process cannot get from one state to another between the look and the signal.
terminate() {
  local masks
  kill -STOP "$1"
  masks=$(sed -n 's/^Sig\(Blk\|Cgt\):\t//p' "/proc/$1/status")
  kill -TERM "$1"
  # One that has no handler yet is gone already.
  kill -CONT "$1" 2>/dev/null || true
  FORGIVEN=143
  local mask
  for mask in $masks; do
    (((16#$mask & 16#4000) == 0)) || FORGIVEN=0
  done
}

@test "SIGTERM at any moment of the start of entrypoint.sh: exit 0, nobody left" {
  local delay
  for delay in 0 3 6 10 15 20 30 45 70 100 150 220 300 380 460 540 620 700 800 900; do
    in_pod setup clear 2>/dev/null
    spawn start entrypoint.sh
    sleep "$(printf '0.%03d' "$delay")"
    terminate "$SPAWNED"
    ends_well "entrypoint.sh, $delay ms" $FORGIVEN
  done
  no_faults
}

@test "the same with an empty confdir, when the CA is made meanwhile" {
  local delay
  for delay in 5 8 12 16 25 40; do
    remove "$CONFDIR" "$EXPORT" "$LAB/run"
    spawn start entrypoint.sh
    sleep "$(printf '0.%03d' "$delay")"
    terminate "$SPAWNED"
    ends_well "entrypoint.sh, $delay ms" $FORGIVEN
    # What is there is whole: the next run works with it.
    attempt in_pod setup prepare
    [[ $STATUS == 0 ]] || fault "prepare after $delay ms"
  done
  no_faults
}

@test "SIGTERM at any moment of the start of healthd: exit 0, nobody left" {
  local delay
  in_pod setup
  for delay in 0 2 4 7 10 15 25 50 100 200 300 400 500 600 750 900; do
    spawn start healthd
    sleep "$(printf '0.%03d' "$delay")"
    terminate "$SPAWNED"
    ends_well "healthd, $delay ms" $FORGIVEN
  done
  no_faults
}

@test "SIGTERM, SIGINT, SIGHUP, and SIGTERM twice in steady state: exit 0, rules stay" {
  local signals signal
  for signals in TERM INT HUP 'TERM TERM'; do
    spawn start entrypoint.sh
    wait_until 20 healthz_is '200 ok'
    for signal in $signals; do
      # It may have ended before the second.
      kill -s "$signal" "$SPAWNED" || gone "$SPAWNED"
    done
    ends_well "SIG$signals"
    has "$(rules)" 'dports 80,443 -j REDIRECT'
  done
  no_faults
}

@test "SIGUSR1 and SIGUSR2, and SIGHUP under nohup, are nobody's order" {
  local pids signal
  in_pod setup
  spawn start nohup healthd
  wait_until 20 healthz_is '200 ok'
  pids=$(ip netns pids "$POD")
  find_four
  for signal in USR1 USR2 HUP; do
    kill -$signal "$RESPONDER" "$RUNNER"
  done
  sleep 0.3
  healthz_is '200 ok'
  same processes "$pids" "$(ip netns pids "$POD")"
  terminate "$SPAWNED"
  ends_well 'SIGTERM'
}

@test "started with SIGCHLD ignored: mitmdump's end is seen all the same" {
  in_pod setup
  spawn start /usr/bin/python3 -c 'import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execvp("healthd", ["healthd"])'
  wait_until 20 healthz_is '200 ok'
  kill -KILL "$(mitmdump_pid)"
  wait_until 5 healthz_is 503
  wait_until 20 healthz_is '200 ok'
  terminate "$SPAWNED"
  ends_well SIGTERM
}

@test "SIGTERM in backoff: exit 0 at once" {
  fake_mitmdump <<'FAKE'
#!/bin/sh
exit 1
FAKE
  in_pod setup
  spawn start healthd
  backoff() { state_is mitm.state backoff; }
  wait_until 8 backoff
  kill -TERM "$SPAWNED"
  ends_well backoff
  ((TOOK < 1500))
  no_faults
}

# In the place of mitmdump: beats, and does not end when it is asked to.
fake_stubborn_mitmdump() {
  fake_mitmdump <<FAKE
#!/usr/bin/python3
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    os.write(3, b"beat 0 0 0 0 0 0 0 0")
    time.sleep(1)
FAKE
}
@test "mitmdump that ignores SIGTERM: 503 from now on, killed after 5 s, exit 0 within 6 s" {
  fake_stubborn_mitmdump
  in_pod setup
  up healthd
  local asked
  asked=$(milliseconds)
  kill -TERM "$SPAWNED"
  wait_until 1 healthz_is '503 mitm not ready'
  healthz
  same livez 200 "$(in_pod curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18080/livez)"
  await_exit "$SPAWNED" 7
  local took=$(($(milliseconds) - asked))
  echo "took $took ms"
  [[ $STATUS == 0 ]]
  ((took > 4500 && took < 6200))
  pod_is_empty
}

@test "a start of mitmdump that hangs is ended as well" {
  fake_mitmdump <<'FAKE'
#!/bin/sh
trap '' TERM INT
while :; do sleep 1; done
FAKE
  in_pod setup
  spawn start healthd
  starting() { [[ -n $(processes $MITM_UID fake) ]]; }
  wait_until 3 starting
  kill -TERM "$SPAWNED"
  ends_well 'hanging start'
  no_faults
}

@test "healthd killed: mitmdump dies with it, a new one starts clean" {
  up
  find_four
  kill -KILL "$RESPONDER"
  wait "$RESPONDER" || true
  wait_until 2 pod_is_empty || {
    ip netns pids "$POD" | xargs -r ps -fp
    false
  }
  up healthd
  find_four
}

@test "runner killed: mitmdump dies at once, no 200 without it" {
  up
  find_four
  kill -KILL "$RUNNER"
  wait_until 1 gone "$MITMDUMP_PID"
  [[ $(healthz) != 200* ]]
  healthz
  # Whether the responder ends or stays, it leaves nothing and ends when asked.
  kill -TERM "$RESPONDER" 2>/dev/null || true
  await_exit "$RESPONDER" 6
  wait_until 1 pod_is_empty
  up healthd
  find_four
}

@test "without root: everything as the mitmproxy user, ready all the same" {
  in_pod setup
  up setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups --bounding-set -all --no-new-privs healthd
  find_four
  unprivileged responder "$RESPONDER" $MITM_UID $MITM_UID
  unprivileged runner "$RUNNER" $MITM_UID $MITM_UID
  unprivileged launcher "$LAUNCHER" $MITM_UID $MITM_UID
  unprivileged mitmdump "$MITMDUMP_PID" $MITM_UID $MITM_UID
  # It has been dumpable, and no change of the user has put an end to that.
  same responder 0 "$(stat -c %u "/proc/$RESPONDER/mem")"
  same runner 0 "$(stat -c %u "/proc/$RUNNER/mem")"
  down
  [[ $STATUS == 0 ]]
  no_faults
}

@test "mitmdump stopped (SIGSTOP) does not keep healthd from ending" {
  up
  kill -STOP "$(mitmdump_pid)"
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 7
  [[ $STATUS == 0 ]]
  wait_until 1 pod_is_empty
}

@test "mitmdump's words reach the log, and a log that nobody reads stops nothing" {
  up
  in_pod setup clear
  down
  fake_mitmdump <<FAKE
#!/bin/sh
echo 'words of mitmdump' >&2
exec "$MITMDUMP" "\$@"
FAKE
  up
  grep -q 'words of mitmdump' "$LAB/up.log"
  down
  # A pipe that is full.
  mkfifo "$LAB/pipe"
  exec 8<>"$LAB/pipe"
  dd if=/dev/zero of="$LAB/pipe" bs=4096 oflag=nonblock status=none 2>/dev/null || true
  ip netns exec "$POD" env ${P}LOG_LEVEL=debug healthd <"/dev/null" >"$LAB/pipe" 2>&1 3>&- 8>&- &
  SPAWNED=$!
  ALL_SPAWNED+=("$SPAWNED")
  wait_until 3 healthz_is 503
  in_pod setup
  wait_until 15 healthz_is '200 ok'
  down
  exec 8>&-
  [[ $STATUS == 0 ]]
}
