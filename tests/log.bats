#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and some start healthd in their own way
# The log: a line is whole or not there, JSON is JSON whatever mitmdump says, and nobody waits for
# who should read it.

# shellcheck source=tests/lib/suite.sh
source "$BATS_TEST_DIRNAME/lib/suite.sh"

setup_file() { suite_up; }
teardown_file() { suite_down; }
setup() {
  lab_up
  need legacy
  in_pod setup
}
teardown() {
  exec 8>&- || true
  lab_down
}

# In the place of mitmdump: the Python program on standard input, then mitmdump itself.
talkative_mitmdump() {
  local fake=$LAB/home/fake
  {
    echo '#!/usr/bin/python3 -S'
    echo 'import os, sys'
    cat
    echo "os.execv('$MITMDUMP', ['$MITMDUMP'] + sys.argv[1:])"
  } >"$fake"
  chmod 0755 "$fake"
  give MITMPROXY_BIN="$fake"
}
read_log() { /usr/bin/python3 "$ROOT/tests/lib/log_reader.py"; }
# A pipe that this shell holds open by descriptor 8; healthd writes to it, started by healthd_into_pipe.
make_pipe() {
  mkfifo "$LAB/pipe"
  exec 8<>"$LAB/pipe"
}
healthd_into_pipe() {
  ip netns exec "$POD" healthd </dev/null >"$LAB/pipe" 2>&1 3>&- 8>&- &
  SPAWNED=$!
  ALL_SPAWNED+=("$SPAWNED")
}
# Nobody may be late: kubelet's probe, as long as a restart takes.
probes_are_answered() {
  attempt in_origin /usr/bin/python3 "$ROOT/tests/lib/probes.py" 10.77.0.2 $HEALTH_PORT --count "${1-100}" --interval 0.01
  [[ $STATUS == 0 ]]
}
ends_well() {
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 6
  [[ $STATUS == 0 ]]
  pod_is_empty
}

@test "a pipe that nobody reads, and a mitmdump that never stops talking: both go on" {
  talkative_mitmdump <<'PYTHON'
for n in range(20000):
    os.write(1 + n % 2, b"line %d of what nobody reads\n" % n)
if os.fork() == 0:  # goes on talking while mitmdump listens
    while os.getppid() != 1:
        os.write(1, b"and on " * 500 + b"\n")
    os._exit(0)
PYTHON
  make_pipe
  healthd_into_pipe
  wait_until 30 healthz_is '200 ok'
  probes_are_answered
  same 'through the proxy' 200 "$(app_curl -o /dev/null -w '%{http_code}' https://shop.example.test/)"
  # Canaries, a restart, the state file: nothing of it waits for the log.
  kill -KILL "$(mitmdump_pid)"
  wait_until 2 refute healthz_is 200 >/dev/null
  wait_until 30 healthz_is '200 ok'
  probes_are_answered
  ends_well
}

@test "who reads again gets whole lines, the old ones and new ones" {
  talkative_mitmdump <<'PYTHON'
for n in range(5000):
    os.write(1 + n % 2, b"%05d " % n + b"word " * (n % 300) + b"\n")
PYTHON
  give LOG_FORMAT=json
  make_pipe
  healthd_into_pipe
  wait_until 30 healthz_is '200 ok'
  # 64 KiB are in there, the rest was dropped.
  timeout 30 cat <&8 >"$LAB/read" &
  local reader=$!
  kill -KILL "$(mitmdump_pid)"
  restarted() { grep -q 'killed by signal 9' "$LAB/read"; }
  wait_until 10 restarted || {
    tail -n 3 "$LAB/read"
    false
  }
  wait_until 30 healthz_is '200 ok'
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 6
  said() { grep -q '"stopping"' "$LAB/read"; }
  wait_until 3 said
  kill "$reader"
  wait "$reader" || true
  read_log <"$LAB/read"
}

@test "a reader that has gone: nothing dies of it" {
  make_pipe
  healthd_into_pipe
  wait_until 20 healthz_is '200 ok'
  exec 8>&-
  kill -KILL "$(mitmdump_pid)" # that is worth a line
  wait_until 2 refute healthz_is 200 >/dev/null
  wait_until 20 healthz_is '200 ok'
  probes_are_answered 20
  [[ -e /proc/$SPAWNED ]]
  ends_well
}

@test "no descriptors at all, and a device that is full" {
  spawn healthd bash -c 'exec healthd >&- 2>&- <&-'
  wait_until 20 healthz_is '200 ok'
  # What it opened instead is not taken for the log.
  probes_are_answered 20
  ends_well
  spawn healthd bash -c 'exec healthd >/dev/full 2>&1'
  wait_until 20 healthz_is '200 ok'
  probes_are_answered 20
  ends_well
}

@test "what others write to as well is left as it was: not made non-blocking" {
  make_pipe
  cat <&8 >"$LAB/read" &
  local reader=$!
  # The same open file, not another one of the same pipe.
  ip netns exec "$POD" healthd </dev/null >&8 2>&1 3>&- &
  SPAWNED=$!
  ALL_SPAWNED+=("$SPAWNED")
  wait_until 20 healthz_is '200 ok'
  local flags
  flags=$(sed -n 's/^flags:[[:space:]]*//p' "/proc/$BASHPID/fdinfo/8")
  kill "$reader"
  wait "$reader" || true
  echo "flags $flags"
  (((8#$flags & 8#4000) == 0))
}

@test "JSON: every line is valid, whatever was said, and nothing is lost on the way to a file" {
  talkative_mitmdump <<'PYTHON'
words = [
    b'quoted "words" and \\ backslashes', b"\xff\xfe\xfd", b"cut \xe2\x82", b"\xc0\xaf overlong", b"\xed\xa0\x80 surrogate",
    b"\xf4\x90\x80\x80 beyond", b"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 good", b"\x00 nul", b"\x01\x02\x1b[31m\x7f", b"\ttab\rreturn",
    b"", b" ", b"{}", b"%s %n %d", b"x" * 3000 + b"\xe2\x82\xac" * 700, b"\xe2\x82\xac" * 5000, b"\xff" * 9000, b"\xc2\x85\xe2\x80\xa8",
]
for word in words:
    os.write(1, b"o:" + word + b"\n")
    os.write(2, b"e:" + word + b"\n")
# Two who talk at once.
pids = []
for fd, letter in ((1, b"o"), (2, b"e")):
    pid = os.fork()
    if pid == 0:
        for n in range(2000):
            os.write(fd, letter * (1 + n * 7 % 900) + b"\n")
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
os.write(1, b"no end")
PYTHON
  give LOG_FORMAT=json
  up healthd
  kill -TERM "$SPAWNED"
  await_exit "$SPAWNED" 6
  read_log <"$LAB/up.log"
  # Nothing of one in a line of the other.
  /usr/bin/python3 - "$LAB/up.log" <<'PYTHON'
import collections, json, sys
said = [json.loads(line)["message"] for line in open(sys.argv[1], "rb")]
counts = collections.Counter(text[0] for text in said if text and set(text) <= {"o"} or set(text) <= {"e"} and text)
print(dict(counts))
assert counts == {"o": 2000, "e": 2000}, counts
lengths = [len(text) for text in said if text and set(text) == {"o"}]
assert lengths == [1 + n * 7 % 900 for n in range(2000)], "order or length"
words = {text[2:] for text in said if text[:2] in ("o:", "e:")}
for word in ('quoted "words" and \\ backslashes', "éé€😀 good"[1:], "\ufffd\ufffd\ufffd", "{}", "%s %n %d"):
    assert word in words, word
assert any("no end" in text for text in said), "the end without a line feed"
PYTHON
}
