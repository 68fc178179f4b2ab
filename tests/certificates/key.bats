#!/usr/bin/env bats
# The key stays where it is: not in a file, a log or an environment, and neither in memory that
# has had it, nor in a core.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

setup() {
  test_up
  root one
  root two
}

# Everything by which the private key in file $1 could be recognised, one regular expression in hex for
# each: the lines of its PEM form, and the secret number in both byte orders.
key_marks() {
  /usr/bin/python3 - "$1" <<'PYTHON'
import re, subprocess, sys
pem = open(sys.argv[1]).read()
body = re.search("-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", pem, re.S).group(1).split()
text = subprocess.run(["openssl", "pkey", "-noout", "-text", "-in", sys.argv[1]], capture_output=True, text=True).stdout
number = bytes.fromhex(re.search(r"priv(?:ate ?Exponent)?:\n([\s0-9a-f:]+)", text).group(1).replace(":", "").replace(" ", "").replace("\n", ""))
number = number.lstrip(b"\0")
# The first line of an EC key is the same in all of them, and the last may be short.
for mark in [line.encode() for line in body[1:-1]] + [number, number[::-1], number.hex().encode()]:
    print(mark.hex())
PYTHON
}
# marked FILE...: which of these hold one of MARKS
marked() {
  /usr/bin/python3 - "$MARKS" "$@" <<'PYTHON'
import sys
marks = [bytes.fromhex(mark) for mark in sys.argv[1].split()]
for path in sys.argv[2:]:
    try:
        content = open(path, "rb").read()
    except OSError:
        continue
    if any(mark in content for mark in marks):
        print(path)
PYTHON
}
# The same for the memory of a process: marked_memory PID
marked_memory() {
  /usr/bin/python3 - "$MARKS" "$1" <<'PYTHON'
import re, sys
marks = [bytes.fromhex(mark) for mark in sys.argv[1].split()]
pid = sys.argv[2]
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        first, last, mode, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)", line).groups()
        # (What is larger is a sanitizer's.)
        if not mode.startswith("rw") or int(last, 16) - int(first, 16) > 1 << 28:
            continue
        try:
            memory.seek(int(first, 16))
            content = memory.read(int(last, 16) - int(first, 16))
        except (OSError, OverflowError, ValueError):
            continue
        for number, mark in enumerate(marks):
            if mark in content:
                print(f"mark {number} at {line.strip()}")
PYTHON
}

@test "the private key is nowhere but in the confdir: export, state, logs, status, environments, command lines" {
  local kind pid status
  for kind in generated rsa2048 ec-P-256; do
    remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
    unset ${P}MITMPROXY_CA_DIR
    [[ $kind == generated ]] || {
      root $kind $kind
      tls_secret $kind
      give MITMPROXY_CA_DIR="$CA_DIR"
    }
    in_pod env ${P}LOG_LEVEL=debug setup >"$LAB/setup.log" 2>&1 || fault "$kind: setup"
    MARKS=$(key_marks "$CONFDIR/mitmproxy-ca.pem")
    [[ $(marked "$CONFDIR/mitmproxy-ca.pem") ]] || fault "$kind: this test finds nothing"
    up env ${P}LOG_LEVEL=debug entrypoint.sh
    app_curl https://shop.example.test/ >"$LAB/answer"
    status=$(in_pod setup status)
    echo "$status" >"$LAB/status.log"
    mapfile -d '' -t files < <(find "$LAB" -type f ! -path "$CONFDIR/*" ! -path "$CA_DIR/*" ! -path "$PKI/*" -print0)
    same "$kind: files" '' "$(marked "${files[@]}")" || fault "$kind: a file"
    for pid in $(ip netns pids "$POD"); do
      [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") != *nginx* ]] || continue
      same "$kind: $pid" '' "$(marked "/proc/$pid/environ" "/proc/$pid/cmdline")" || fault "$kind: environment"
    done
    down
    in_pod setup clear 2>/dev/null
  done
  no_faults
}

@test "setup has no key in its memory while it works on the rules, and no core can be written of it" {
  local kind pid limits
  for kind in generated ec-P-256 rsa2048 rotated; do
    [[ $kind == rotated ]] || remove "$CONFDIR" "$EXPORT" "$LAB/run"
    unset ${P}MITMPROXY_CA_DIR
    [[ $kind == generated ]] || {
      root $kind "${kind/rotated/ec-P-256}"
      tls_secret $kind
      give MITMPROXY_CA_DIR="$CA_DIR"
    }
    in_pod setup clear 2>/dev/null
    # It waits for the lock of iptables once the CA is done with.
    : >"$LAB/xtables.lock"
    spawn holder flock "$LAB/xtables.lock" sleep 20
    spawn setup bash -c 'ulimit -c unlimited; exec setup'
    pid=$SPAWNED
    exported() { [[ -e $EXPORT/mitmproxy-truststore.p12 && -e $EXPORT/trust.env ]] && [[ $kind != rotated || $(fingerprint "$EXPORT/mitmproxy-ca-cert.pem") == "$(fingerprint "$PKI/rotated.crt")" ]]; }
    wait_until 5 exported || fault "$kind: nothing exported"
    sleep 0.2
    if gone "$pid"; then
      fault "$kind: setup has ended: $(<"$LAB/setup.log")"
    else
      MARKS=$(key_marks "$CONFDIR/mitmproxy-ca.pem")
      same "$kind: memory of setup" '' "$(marked_memory "$pid")" || fault "$kind: the key is still in setup's memory"
      limits=$(grep '^Max core file size' "/proc/$pid/limits")
      has "$limits" 'size +0 +0 ' || fault "$kind: setup may write a core: $limits"
    fi
    kill -KILL "$pid"
    ip netns pids "$POD" | xargs -r ps -o pid=,cmd= -p | awk '/flock|sleep 20/ { print $1 }' | xargs -r kill -KILL
    wait_until 5 pod_is_empty
  done
  no_faults
}

# stop_setup MOMENT [CMD...]: setup prepare, of which one process, STOPPED, has stopped at a moment of
# lib/stopped.c. CMD is what it is started with.
stop_setup() {
  local moment=$1
  shift
  preload_library stopped
  mkdir -p "$LAB/stop"
  chmod 0777 "$LAB/stop"
  : >"$LAB/stop/here"
  spawn stopped "$@" env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" LD_PRELOAD="$STAGE/stopped.so" \
    STOP_AT="$moment" STOP_FILE="$LAB/stop/here" SUID_DUMPABLE=1 setup prepare
  wait_until 10 find_stopped || {
    echo "not stopped ($moment): $(<"$LAB/stopped.log")"
    return 1
  }
}
find_stopped() {
  for STOPPED in $(ip netns pids "$POD"); do
    ! grep -q '^State:.T' "/proc/$STOPPED/status" 2>/dev/null || return 0
  done
  return 1
}
end_stopped() {
  ip netns pids "$POD" | xargs -r kill -KILL
  wait "$SPAWNED" 2>/dev/null || true
  wait_until 5 pod_is_empty
}
# made_anew KIND: so that setup generates a CA, keeps the one that it has, takes over one of that kind,
# or takes one over in the place of another ("rotated").
made_anew() {
  remove "$CONFDIR" "$EXPORT" "$LAB/run"
  unset ${P}MITMPROXY_CA_DIR
  case $1 in kept | rotated) in_pod setup prepare 2>/dev/null ;; esac
  # (What is exported already would not be written again.)
  case $1 in kept) rm -r "$EXPORT" ;; esac
  case $1 in generated | kept) return ;; esac
  root "$1" "${1/rotated/ec-P-256}"
  tls_secret "$1"
  give MITMPROXY_CA_DIR="$CA_DIR"
}
name_of() { tr '\0' ' ' <"/proc/$1/cmdline"; }

@test "the key is cleared where it was used before setup hears of it, and no other process has had it" {
  local kind moment pid
  for kind in generated kept ec-P-256 rsa2048 rotated; do
    for moment in answer export; do
      made_anew "$kind"
      stop_setup "$moment" || fault "$kind"
      MARKS=$(key_marks "$CONFDIR/mitmproxy-ca.pem")
      for pid in $(ip netns pids "$POD"); do
        same "$kind, $moment" '' "$(marked_memory "$pid")" || fault "$kind: the key is in the memory of $(name_of "$pid") ($moment)"
      done
      end_stopped
    done
  done
  no_faults
}

NET_ADMIN=12
# has_capability PID NUMBER: in any of its sets but the bounding one.
has_capability() {
  local set
  while read -r set; do
    (((0x$set >> $2) & 1)) && return 0
  done < <(awk '/^Cap(Inh|Prm|Eff|Amb):/ { print $2 }' "/proc/$1/status")
  return 1
}
# Root has no key where it writes, and no capability either.
export_is_unprivileged() {
  has "$(name_of "$STOPPED")" '^setup-ca export ' &&
    has "$(<"/proc/$STOPPED/status")" '^CapPrm:	0{16}$' &&
    has "$(<"/proc/$STOPPED/status")" '^CapEff:	0{16}$' &&
    has "$(<"/proc/$STOPPED/status")" '^NoNewPrivs:	1$' &&
    refute grep -q "$CONFDIR" <(find "/proc/$STOPPED/fd" -printf '%l\n')
}
@test "the process that has the key and the process that has CAP_NET_ADMIN are two" {
  local kind moment pid holders admins
  while read -r kind moment; do
    made_anew "$kind"
    stop_setup "$moment" || fault "$kind"
    MARKS=$(key_marks "$(find "$CONFDIR" -name '.mitmproxy-ca.pem.*' | grep . || echo "$PKI/$kind.key")")
    holders='' admins=''
    for pid in $(ip netns pids "$POD"); do
      [[ -z $(marked_memory "$pid") ]] || holders+=" $pid"
      ! has_capability "$pid" $NET_ADMIN || admins+=" $pid"
    done
    echo "$kind, $moment: key$holders, CAP_NET_ADMIN$admins"
    same "$kind, $moment: who has the key" " $STOPPED" "$holders" || fault "$kind, $moment"
    same "$kind, $moment: who has CAP_NET_ADMIN" " $SPAWNED" "$admins" || fault "$kind, $moment"
    has "$(name_of "$STOPPED")" '^setup-ca confdir ' || fault "$kind, $moment"
    has "$(<"/proc/$STOPPED/status")" "^Uid:	$MITM_UID	$MITM_UID	$MITM_UID	" || fault "$kind, $moment: uid"
    has "$(<"/proc/$STOPPED/status")" '^CapPrm:	0{16}$' || fault "$kind, $moment: capabilities"
    has "$(<"/proc/$STOPPED/status")" '^NoNewPrivs:	1$' || fault "$kind, $moment: NoNewPrivs"
    end_stopped
  done <<'TABLE'
generated key
ec-P-256 judged
ec-P-256 key
rsa2048 judged
rotated judged
rotated key
TABLE
  made_anew ec-P-256
  stop_setup export
  export_is_unprivileged || fault 'the export'
  end_stopped
  no_faults
}

# Root without CAP_SYS_PTRACE can look into a process that has not more, if it is dumpable.
WITHOUT_PTRACE=(setpriv --bounding-set -sys_ptrace)
@test "no core can be written of setup and what it executes, and no debugger gets in" {
  local moment pid
  spawn dumpable "${WITHOUT_PTRACE[@]}" sleep 20
  wait_until 2 in_pod "${WITHOUT_PTRACE[@]}" readlink "/proc/$SPAWNED/exe"
  end_stopped
  for moment in judged key answer export; do
    made_anew ec-P-256
    stop_setup "$moment" "${WITHOUT_PTRACE[@]}" || fault "$moment"
    for pid in $(ip netns pids "$POD"); do
      # Its files in /proc are root's, not of whom it has become.
      same "$moment: $(name_of "$pid")" 0 "$(stat -c %u "/proc/$pid/mem")" || fault "$moment: it is dumpable"
      refute in_pod "${WITHOUT_PTRACE[@]}" readlink "/proc/$pid/exe" || fault "$moment: root can look into it"
      has "$(<"/proc/$pid/limits")" '^Max core file size +0 +0 ' || fault "$moment: core"
    done
    end_stopped
  done
  no_faults
}

@test "who is not root can neither read the programs that setup executes, nor so trace them" {
  local program
  for program in setup-ca setup-nft; do
    same "$program" 711 "$(stat -c %a "$STAGE/usr/libexec/opensandbox-egress/$program")" || fault "$program"
    refute become_mitm cat "$STAGE/usr/libexec/opensandbox-egress/$program" >/dev/null || fault "$program"
  done
  no_faults
}

@test "this test would find a key in memory" {
  MARKS=$(key_marks "$PKI/one.key")
  spawn holder /usr/bin/python3 -c 'import sys, time; key = open(sys.argv[1]).read(); print("read", flush=True); time.sleep(20)' "$PKI/one.key"
  wait_until 5 grep -q read "$LAB/holder.log"
  has "$(marked_memory "$SPAWNED")" '^mark 0'
}

@test "no process may write a core, whatever the caller's limit; responder and runner do not hold the key" {
  up bash -c 'ulimit -c unlimited; exec entrypoint.sh'
  app_curl https://shop.example.test/ >"$LAB/answer"
  local pid name
  MARKS=$(key_marks "$CONFDIR/mitmproxy-ca.pem")
  for pid in $(ip netns pids "$POD"); do
    name=$(tr '\0' ' ' <"/proc/$pid/cmdline")
    # Either there is no room for one, or the process cannot be dumped: then its files in /proc are root's.
    grep -qE '^Max core file size +0 +0 ' "/proc/$pid/limits" || [[ $(stat -c %u "/proc/$pid/mem") == 0 ]] ||
      fault "core of $name"
    [[ $name == *mitmdump* ]] || {
      same "memory of $name" '' "$(marked_memory "$pid")" || fault "the key is in the memory of $name"
    }
  done
  no_faults
}

@test "setup killed by a signal at any moment leaves no core" {
  [[ $(</proc/sys/kernel/core_pattern) != '|'* ]] || skip_or_fail 'cores go to a program on this machine'
  give MITMPROXY_CA_DIR="$CA_DIR"
  mkdir -m 0777 "$LAB/cores"
  chmod 0777 "$LAB/cores"
  local delay
  # It is possible here at all:
  (cd "$LAB/cores" && ulimit -c unlimited && bash -c 'kill -ABRT $$') 2>/dev/null || true
  [[ $(find "$LAB/cores" -type f) ]] || skip_or_fail 'no core is written here'
  rm "$LAB/cores/"*
  for delay in 5 8 11 14 17 20 25 30 35 40 50 60; do
    remove "$CONFDIR" "$EXPORT" "$CA_DIR"
    tls_secret one
    spawn setup bash -c "cd '$LAB/cores' && ulimit -c unlimited && exec setup prepare"
    sleep "$(printf '0.%03d' $delay)"
    ip netns pids "$POD" | xargs -r kill -ABRT 2>/dev/null || true
    wait_until 5 pod_is_empty || fault "$delay ms: not dead"
  done
  # (Before main() it is bash, or nothing that has seen the key.)
  MARKS=$(key_marks "$PKI/one.key")
  mapfile -d '' -t cores < <(find "$LAB/cores" -type f -print0)
  same cores '' "$(marked "${cores[@]}")"
}
