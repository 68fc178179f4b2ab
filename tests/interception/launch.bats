#!/usr/bin/env bats
# shellcheck disable=SC2317 # functions that `alike` calls
# mitmscripts/launch.py: mitmdump forked by it is the same mitmdump. What it puts off
# is used here, in one and in the other, and has to come out the same.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

PORT=8888

setup_file() {
  suite_up
  lab_for_file
  export LAUNCH=$STAGE/usr/share/opensandbox/mitmscripts/launch.py
  mkdir "$LAB/confdir"
}
teardown() { stop; }

# mitmdump_by stock|forked ARGUMENT...: run it in the pod, with a confdir of its own.
mitmdump_by() {
  local by=()
  [[ $1 == stock ]] || by=(/usr/bin/python3 "$STAGE/lib/launched.py" "$LAUNCH")
  shift
  in_pod timeout 30 "${by[@]}" "$MITMDUMP" --set confdir="$LAB/confdir" "$@"
}

# start stock|forked ARGUMENT...: a plain proxy, until it listens.
start() {
  local by=()
  [[ $1 == stock ]] || by=(/usr/bin/python3 "$STAGE/lib/launched.py" "$LAUNCH")
  spawn "$1" "${by[@]}" "$MITMDUMP" --set confdir="$LAB/confdir" --mode "regular@127.0.0.1:$PORT" "${@:2}"
  wait_until 30 listens "$PORT" || {
    cat "$LAB/$1.log"
    return 1
  }
}
stop() {
  [[ -n ${SPAWNED-} ]] || return 0
  kill "$SPAWNED" 2>/dev/null || true
  wait "$SPAWNED" 2>/dev/null || true
  SPAWNED=''
}

# Print what a client gets by the proxy: status, then body.
get() { in_pod curl -s --max-time 20 -w '\n%{http_code}\n' -x "http://127.0.0.1:$PORT" "$@" || echo "curl: $?"; }

# alike WHAT ARGUMENT... -- CMD...: what CMD prints is the same with either; it is left in SEEN.
alike() {
  local what=$1 by arguments=() seen=()
  shift
  while [[ $1 != -- ]]; do
    arguments+=("$1")
    shift
  done
  shift
  for by in stock forked; do
    start "$by" "${arguments[@]}"
    seen+=("$("$@")")
    stop
  done
  same "$what" "${seen[0]}" "${seen[1]}"
  SEEN=${seen[1]}
  echo "$what: ${SEEN:0:300}"
}

@test "options, commands, help and version are the same" {
  local option
  for option in --options --commands --help --version; do
    same "$option" "$(mitmdump_by stock "$option" 2>&1)" "$(mitmdump_by forked "$option" 2>&1)"
  done
}

@test "errors and exit statuses are the same" {
  local by arguments seen
  for arguments in '--mode nonsense' '--set dumper_filter=~nonsense(' '-s /nonexistent.py'; do
    seen=()
    for by in stock forked; do
      # shellcheck disable=SC2086 # several words
      attempt mitmdump_by "$by" -n $arguments
      [[ $STATUS != 0 ]] || fault "$by $arguments: status 0"
      # The time, and lines of Python's own that a traceback has.
      seen+=("$STATUS $(sed -E 's/^\[[0-9:.]+\] //' <<<"$OUTPUT" | grep -vE '^ |^Traceback')")
    done
    same "$arguments" "${seen[0]}" "${seen[1]}"
  done
  no_faults
}

@test "mitm.it, a web application that is loaded late, gives the CA of the confdir" {
  alike 'mitm.it' -- get http://mitm.it/
  has "$SEEN" '^200$'
  alike 'certificate' -- get http://mitm.it/cert/pem
  has "$SEEN" 'BEGIN CERTIFICATE'
  same certificate "$(<"$LAB/confdir/mitmproxy-ca-cert.pem")" "$(head -n -2 <<<"$SEEN")"
}

@test "authentication by htpasswd" {
  echo "user:$(openssl passwd -apr1 secret)" >"$LAB/htpasswd"
  both() {
    get http://api.example.test/
    get --proxy-user user:wrong http://api.example.test/
    get --proxy-user user:secret http://api.example.test/
  }
  alike 'htpasswd' --proxyauth "@$LAB/htpasswd" -- both
  same statuses '407 407 200' "$(grep -xE '[0-9]{3}' <<<"$SEEN" | xargs)"
}

@test "filters, a block list, files instead of answers" {
  mkdir -p "$LAB/files"
  echo 'from a file' >"$LAB/files/here"
  both() {
    get http://shop.example.test/
    get http://api.example.test/files/here
    get http://api.example.test/files/../../home
    get http://api.example.test/other
  }
  alike 'lists' --set 'block_list=:~d shop.example.test:444' --set block_list=':~u /other & ~m GET:418' \
    --map-local "|api.example.test/files|$LAB/files" -- both
  has "$SEEN" 'from a file'
  has "$SEEN" '^418$'
}

@test "the log of a flow" {
  local by seen=()
  for by in stock forked; do
    start "$by" --flow-detail 3 --set 'dumper_filter=~d api'
    get http://api.example.test/json -H 'content-type: application/json' -d '{"a": [1, 2]}' >/dev/null
    stop
    seen+=("$(sed -E 's/^\[[0-9:.]+\]//; s/127.0.0.1:[0-9]+/CLIENT/; /^ *(Date|Server)/d' "$LAB/$by.log")")
  done
  same 'log' "${seen[0]}" "${seen[1]}"
  has "${seen[1]}" '"a"'
}

@test "garbage is collected" {
  printf 'import gc\ndef running():\n    print("enabled", gc.isenabled(), flush=True)\n' >"$LAB/addon.py"
  start forked -s "$LAB/addon.py"
  wait_until 10 grep -q '^enabled True' "$LAB/forked.log"
}

@test "addons use what is put off in many threads at once, and derive from it" {
  local by
  cat >"$LAB/addon.py" <<'PYTHON'
import functools, http.cookiejar, threading, typing
from ruamel.yaml import YAML
class Mine(YAML):
    pass
def either(loader: YAML | None = None) -> typing.Optional[YAML]:
    return loader
@functools.singledispatch
def kind(thing):
    return "else"
kind.register(YAML, lambda thing: "YAML")
wrong = []
def use(barrier):
    try:
        barrier.wait()
        http.cookiejar.CookieJar()
        assert Mine(typ="safe").load("a: [1]") == {"a": [1]}
    except BaseException as error:
        wrong.append(repr(error))
def running():
    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=use, args=(barrier,)) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("threads:", wrong, isinstance(YAML, type), kind(Mine()), flush=True)
PYTHON
  for by in stock forked; do
    start "$by" -s "$LAB/addon.py"
    wait_until 10 grep -q '^threads:' "$LAB/$by.log"
    stop
    same "$by" 'threads: [] True YAML' "$(grep '^threads:' "$LAB/$by.log")"
  done
}
