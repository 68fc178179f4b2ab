# shellcheck shell=bash
# What the suites tests/*/*.bats share: the lab, and words to say what must be so.
# A suite sources this file; and after it addons.sh, clients.sh, container.sh, escape.sh or
# versions.sh, if it is about those.

bats_require_minimum_version 1.5.0
source "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
source "$ROOT/tests/lib/ca.sh"
source "$ROOT/tests/lib/clock.sh"
source "$ROOT/tests/lib/fault.sh"
source "$ROOT/tests/lib/faults.sh"
source "$ROOT/tests/lib/figures.sh"
source "$ROOT/tests/lib/observer.sh"
source "$ROOT/tests/lib/pki.sh"
source "$ROOT/tests/lib/tables.sh"
source "$ROOT/tests/lib/variant.sh"

# bats notes where it is before each command of a test, to say where one has failed, which takes
# longer than most commands do. Here it does so when one fails.
set +T
bats_error_trap() {
  bats_check_status_from_trap
  bats_capture_stack_trace
  # shellcheck disable=SC2034 # for bats
  BATS_DEBUG_LAST_STACK_TRACE_IS_VALID=1
}

P=OPENSANDBOX_EGRESS_ # every variable begins with it
HEALTH_PORT=18080
# shellcheck disable=SC2034 # for the suites
PROXY_PORT=18081

# What a suite does unless it has functions of its own, which begin and end with these: a stage
# for the file; for each test a lab, in which there is what NEEDS names. Instead, one lab for all
# tests of the file: lab_for_file in setup_file. None at all: `setup() { :; }`.
NEEDS=()
setup_file() { suite_up; }
teardown_file() { suite_down; }
setup() { test_up; }
teardown() { test_down; }

suite_up() { stage_up; }
suite_down() {
  [[ -z ${BACKGROUND-} ]] || background_down
  [[ -z ${LAB_OF_FILE-} ]] || lab_down
  stage_down
}
test_up() {
  local what
  [[ -n ${LAB_OF_FILE-} ]] || lab_up
  for what in "${NEEDS[@]}"; do need "$what"; done
}
test_down() { [[ -n ${LAB_OF_FILE-} ]] || lab_down; }
lab_for_file() {
  export LAB_OF_FILE=1
  lab_up
  export LAB POD ORIGIN IPV6 CONFDIR EXPORT STATE BUNDLE
}

# with NAME=VALUE... CMD...: run in the pod with these variables of ours
# (written without the prefix) set.
with() (
  while [[ $1 == [A-Z]*=* ]]; do
    export "$P$1"
    shift
  done
  exec ip netns exec "$POD" "$@"
)

# The same for the environment of what follows.
give() {
  local variable
  for variable; do export "$P$variable"; done
}

# attempt CMD...: like `run`, but what stands in STATUS and OUTPUT (standard
# output and error) is shown when the test fails.
attempt() {
  STATUS=0
  OUTPUT=$("$@" 2>&1) || STATUS=$?
  printf '$ %s\n%s\n(status %d)\n' "$*" "$OUTPUT" "$STATUS"
}

# A test with a table goes on after a row that is wrong: fault TEXT..., and
# `no_faults` at the end.
FAULTS=0
fault() {
  FAULTS=$((FAULTS + 1))
  echo "WRONG: $*"
}
no_faults() {
  ((FAULTS == 0)) || {
    echo "$FAULTS wrong"
    return 1
  }
}

# refute CMD...: must fail. (`! CMD` does not end a test.)
refute() {
  if "$@"; then
    echo "should fail: $*"
    return 1
  fi
}
# same WHAT EXPECTED ACTUAL
same() {
  [[ $2 == "$3" ]] || {
    echo "$1 differs:"
    diff <(echo "$2") <(echo "$3") || true
    return 1
  }
}
# For openssl(1): names as one version writes them, and another not by itself ("CN = x").
# shellcheck disable=SC2034 # for the suites
NAME_FORM=(-nameopt 'oneline,-space_eq')
# has TEXT PATTERN (extended regular expression, matched line by line)
has() {
  grep -qE -e "$2" <<<"$1" || {
    printf 'no line matches %s in:\n%s\n' "$2" "$1"
    return 1
  }
}
lacks() {
  ! grep -E -e "$2" <<<"$1" || {
    printf 'above matches %s\n' "$2"
    return 1
  }
}

# golden NAME ACTUAL: is this what tests/redirect/golden/NAME.rules says?
golden() { same "$1.rules" "$(<"$ROOT/tests/redirect/golden/$1.rules")" "$2"; }

# The state file's value of key $1 (setup.state).
state() { sed -n "s/^$1=//p" "$STATE" 2>/dev/null; }
state_is() { [[ $(state "$1") == "$2" ]]; }

# Print every legacy rule of the pod, and the gate, as they can be compared.
rules() { inside list_iptables; }
nothing_of_ours() { lacks "$(rules)" '(OPENSANDBOX|opensandbox)_'; }
# Every file that the programs may touch: kind, mode, owner, links, size, inode,
# times, and what is in it.
# (And in directories named.)
# shellcheck disable=SC2120
files() {
  local path
  for path in "$LAB/home" "$LAB/run" "$LAB/export" "$@"; do
    [[ -e $path || -L $path ]] || {
      echo "no $path"
      continue
    }
    find "$path" -printf '%p %y %m %U:%G %n %s %i %T@ %C@ %l\n' | sort
    find "$path" -type f -print0 | sort -z | xargs -0r sha256sum
  done
}
# What must not change when nothing may be touched.
snapshot() {
  # shellcheck disable=SC2119 # no more than those
  files
  rules
  in_pod nft list ruleset 2>/dev/null || true
}

# up [CMD...]: start entrypoint.sh (or CMD) and wait for 200; SPAWNED is its process.
up() {
  (($# > 0)) || set -- entrypoint.sh
  spawn up "$@"
  wait_until 40 healthz_is '200 ok' || {
    echo "not ready: $(healthz); log:"
    cat "$LAB/up.log"
    return 1
  }
}

# Print the process ids in the pod of user $1 whose command line matches $2.
processes() {
  local pid status words
  # (Many a test polls with it, so it needs no programs; a process may end meanwhile.)
  for pid in $(ip netns pids "$POD"); do
    { status=$(<"/proc/$pid/status") && mapfile -d '' -t words <"/proc/$pid/cmdline"; } 2>/dev/null || continue
    [[ $status == *$'\nUid:\t'"$1"$'\t'* && "${words[*]} " =~ $2 ]] || continue
    echo "$pid"
  done
}
# The application gets at the origin, and through mitmdump: is_intercepted URL
is_intercepted() { grep -q '^X-OpenSandbox-Egress: 1' <<<"$(app_curl "$1" 2>&1)"; }

# The launcher has the same command line as the workers that it forks, and another name.
mitmdump_pid() {
  local pid
  for pid in $(processes "$MITM_UID" '(^| )[^ ]*mitmdump .*transparent'); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == launcher ]] || echo "$pid"
  done
}
another_mitmdump_than() { [[ -n $(mitmdump_pid) && $(mitmdump_pid) != "$1" ]]; }
launcher_pid() {
  local pid
  for pid in $(processes "$MITM_UID" 'launch\.py '); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) != launcher ]] || echo "$pid"
  done
}
pod_is_empty() { [[ -z $(ip netns pids "$POD") ]]; }
gone() { [[ ! -e /proc/$1 ]] || grep -q '^State:.[ZX]' "/proc/$1/status" 2>/dev/null; }
listens() { in_pod ss -Hltn "sport = :$1" | grep -q .; }
milliseconds() { echo $((${EPOCHREALTIME/./} / 1000)); }

# on_exit_of PID SECONDS: wait for a spawned process, with a bound; STATUS is
# its exit status, TOOK the milliseconds until it ended.
await_exit() {
  local started
  started=$(milliseconds)
  wait_until "$2" gone "$1" || {
    echo "process $1 runs still after $2 s"
    ip netns pids "$POD" | xargs -r ps -fp || true
    return 1
  }
  STATUS=0
  wait "$1" || STATUS=$?
  # shellcheck disable=SC2034 # for the caller
  TOOK=$(($(milliseconds) - started))
}

# End what up has started as a pod ends it; STATUS and TOOK as above.
down() {
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 6
}

# capable CAPABILITIES CMD...: as root with these alone (net_admin,net_raw).
capable() {
  local set="-all${1:+,+${1//,/,+}}"
  shift
  in_pod setpriv --bounding-set="$set" --inh-caps=-all "$@"
}

# not_ready PATTERN [SECONDS]: 503 within that time, with a reason that matches.
reason_matches() { grep -qE -e "^503 mitm not ready: .*($1)" <<<"$(healthz)"; }
not_ready() {
  wait_until "${2-3}" reason_matches "$1" || {
    echo "expected 503 with $1, but: $(healthz)"
    in_pod curl -s --max-time 2 "http://127.0.0.1:$HEALTH_PORT/healthz?verbose"
    return 1
  }
  echo "$1: $(healthz)"
}
# stays_unready MILLISECONDS: answers, but never 200, in that time.
stays_unready() {
  local deadline=$(($(milliseconds) + $1)) answer
  while (($(milliseconds) < deadline)); do
    answer=$(healthz)
    [[ $answer == 503* ]] || {
      echo "expected 503 all the time, but: $answer"
      return 1
    }
  done
}
# A program in the place of mitmdump: its file is $FAKE, its text standard input.
fake_mitmdump() {
  FAKE=$LAB/home/fake
  cat >"$FAKE"
  chmod 0755 "$FAKE"
  give MITMPROXY_BIN="$FAKE"
}

# mitmdump itself, which the launcher can fork, with lines of Python before it: standard input.
changed_mitmdump() {
  local program=$LAB/home/mitmdump
  {
    sed -n 1p "$MITMDUMP"
    cat
    printf 'import sys\nfrom mitmproxy.tools.main import mitmdump\nsys.exit(mitmdump())\n'
  } >"$program"
  chmod 0755 "$program"
  give MITMPROXY_BIN="$program"
}

# What is installed, in LAB/usr, for a test that damages it.
copy_programs() {
  mkdir "$LAB/usr"
  cp -rp "$STAGE/usr/sbin" "$STAGE/usr/libexec" "$LAB/usr/"
}

# For suites about healthd's HTTP alone: one lab and one healthd for all tests of the file, 200
# because interception is off. HEALTHD is its process.
healthd_for_file() {
  suite_up
  lab_for_file
  give MITMPROXY_TRANSPARENT=off
  spawn healthd healthd
  export HEALTHD=$SPAWNED
  wait_until 5 healthz_is '200 ok'
}

# preload_library NAME: compile tests/lib/NAME.c, and what begins so, to be preloaded, as $STAGE/NAME.so.
preload_library() {
  local library=$STAGE/$1.so
  [[ ! -e $library ]] || return 0
  # Several suites may do it at once.
  cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -fPIC -shared -o "$library.$BASHPID" \
    "$ROOT/tests/lib/$1"*.c -ldl
  mv "$library.$BASHPID" "$library"
}
