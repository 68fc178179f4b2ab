#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and some start healthd in their own way
# The log: a line is whole or not there, JSON is JSON whatever mitmdump says, and nobody waits for
# who should read it.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy)

setup() { test_up; in_pod setup; }
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
  down
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
  down
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
    b"\xc2\x9b31m", b"\xe2\x80\xae turned", b"\xf3\xa0\x81\x81 tag", b"\x9b31m raw",
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
  down
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
for word in ("\x9b31m", "\u202e turned", "\U000e0041 tag", "\ufffd31m raw", 'quoted "words" and \\ backslashes', "éé€😀 good"[1:], "\ufffd\ufffd\ufffd", "{}", "%s %n %d"):
    assert word in words, word
raw = open(sys.argv[1], "rb").read()
for bad in (b"\xc2\x9b", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xf3\xa0\x81\x81"):
    assert bad not in raw, bad
assert any("no end" in text for text in said), "the end without a line feed"
PYTHON
}

# What a terminal obeys, turns or hides: NAME and PYTHON BYTES, a line each; and how it is escaped in
# text, and as JSON ("-" for U+FFFD).
unprintable() {
  cat <<'TABLE'
escape \x1b \x1b \u001b
delete \x7f \x7f \u007f
C1-introducer \xc2\x9b \u009b \u009b
C1-first \xc2\x80 \u0080 \u0080
C1-last \xc2\x9f \u009f \u009f
raw-C1 \x9b \x9b -
raw-first \x80 \x80 -
raw-last \x9f \x9f -
raw-byte \xff \xff -
overlong \xc0\x9b \xc0\x9b -
override \xe2\x80\xae \u202e \u202e
embedding \xe2\x80\xaa \u202a \u202a
isolate \xe2\x81\xa6 \u2066 \u2066
isolate-end \xe2\x81\xa9 \u2069 \u2069
left-to-right \xe2\x80\x8e \u200e \u200e
right-to-left \xe2\x80\x8f \u200f \u200f
arabic-mark \xd8\x9c \u061c \u061c
line-separator \xe2\x80\xa8 \u2028 \u2028
paragraph-separator \xe2\x80\xa9 \u2029 \u2029
byte-order-mark \xef\xbb\xbf \ufeff \ufeff
zero-width \xe2\x80\x8b \u200b \u200b
tag \xf3\xa0\x81\x81 \U000e0041 \udb40\udc41
TABLE
}
# no_raw WHAT FILE: it is UTF-8, and has nothing in it that is unprintable.
no_raw() {
  /usr/bin/python3 - "$2" <<'PYTHON' || fault "$1"
import sys, unicodedata
text = open(sys.argv[1], "rb").read().decode("utf-8", "strict")
bad = {f"U+{ord(c):04X}" for c in text if c != "\n" and (unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp"))}
print(sys.argv[1], bad or "is printable")
sys.exit(bool(bad))
PYTHON
}

# What setup status says, in $LAB/status; nft's rules are listed with the tabs before them.
status_of_setup() { in_pod setup status 2>&1 | sed -E 's/^(  [A-Za-z]+ +)\t+/\1/' >"$LAB/status" || true; }
@test "what a terminal would obey, turn or hide is escaped: text, JSON, /healthz, the state file, setup status" {
  local name bytes text json line format fake=$LAB/home/fake
  # shellcheck disable=SC2028 # they are Python's
  {
    echo '#!/usr/bin/python3 -S'
    echo 'import os'
    # The last line goes into the reason.
    while read -r name bytes text json; do echo "os.write(1, b'$name [$bytes]\n')"; done < <(unprintable)
    echo "os.write(2, b'last: $(unprintable | awk '{ printf "%s.", $2 }')\n')"
    echo 'raise SystemExit(1)'
  } >"$fake"
  chmod 0755 "$fake"
  give MITMPROXY_BIN="$fake"
  for format in text json; do
    spawn "healthd-$format" env ${P}LOG_FORMAT=$format healthd
    reason() { grep -q 'exited with status 1: last: ' <<<"$(healthz)"; }
    wait_until 10 reason || fault "$format: $(healthz)"
    healthz >"$LAB/healthz"
    verbose >"$LAB/verbose"
    cp "$STATE" "$LAB/state"
    status_of_setup
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
    for name in healthz verbose state status "healthd-$format.log"; do no_raw "$format: $name" "$LAB/$name"; done
    grep -q 'exited with status 1: last: ' "$LAB/status" || fault "$format: no reason in setup status"
    while read -r name bytes text json; do
      line=$json
      [[ $format == json ]] || line=$text
      if [[ $line == - ]]; then
        grep -q "$name \[$(printf '\xef\xbf\xbd')" "$LAB/healthd-$format.log"
      else
        grep -qF "$name [$line]" "$LAB/healthd-$format.log"
      fi || fault "$format: $name: $(grep -a "$name \[" "$LAB/healthd-$format.log" | head -n 1)"
    done < <(unprintable)
  done
  no_faults
}

@test "what the mitmproxy user writes into the state file does not reach a terminal raw" {
  local bytes
  for bytes in '\xc2\x9b31m' '\x9b31m' '\xe2\x80\xae' '\xff'; do
    # shellcheck disable=SC2059 # bytes
    printf "version=1\nsetup.state=failed\nsetup.error=x $bytes y\n" >"$STATE"
    status_of_setup
    no_raw "$bytes in the state file" "$LAB/status"
    grep -q 'bad value' "$LAB/status" || fault "$bytes: accepted"
  done
  no_faults
}
