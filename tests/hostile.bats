#!/usr/bin/env bats
# The mitmproxy user is hostile, and setup runs as root: nothing outside is touched or
# told, whatever lies in confdir, export and state directory. The key stays where it is.

# shellcheck source=tests/lib/suite.sh
source "$BATS_TEST_DIRNAME/lib/suite.sh"
# shellcheck source=tests/lib/ca.sh
source "$BATS_TEST_DIRNAME/lib/ca.sh"
# shellcheck source=tests/lib/pki.sh
source "$BATS_TEST_DIRNAME/lib/pki.sh"
# shellcheck source=tests/lib/addons.sh
source "$BATS_TEST_DIRNAME/lib/addons.sh"

setup_file() { suite_up; }
teardown_file() { suite_down; }
setup() {
  lab_up
  PKI=$LAB/ca CA_DIR=$LAB/secret VAULT=$LAB/vault
  mkdir "$PKI"
  root one
  root two
  make_vault
}
teardown() { lab_down; }

ATTACK=$BATS_TEST_DIRNAME/lib/attack.py

# A directory like /etc: who can make setup touch it has won. SECRETS has lines of what
# must not be told.
make_vault() {
  mkdir -p "$VAULT/directory" "$VAULT/.mitmproxy"
  root vault rsa2048
  echo 'root:not-for-your-eyes:19000:0:99999:7:::' >"$VAULT/shadow"
  pem vault >"$VAULT/ca.pem"
  pem vault >"$VAULT/.mitmproxy/mitmproxy-ca.pem"
  cp "$VAULT/shadow" "$VAULT/directory/state"
  chmod 0600 "$VAULT/shadow" "$VAULT/ca.pem" "$VAULT/.mitmproxy/mitmproxy-ca.pem" "$VAULT/directory/state"
  SECRETS=$LAB/secrets
  { echo 'not-for-your-eyes' && sed -n 3p "$PKI/vault.key" && sed -n 4p "$PKI/vault.crt"; } >"$SECRETS"
}
vault() {
  find "$VAULT" -printf '%p %y %m %U:%G %i %s %T@\n' | sort
  find "$VAULT" -type f -print0 | sort -z | xargs -0 sha256sum
}

# confdir, export and state as CA one left them; CA_DIR says two, so that all is written anew.
template() {
  give MITMPROXY_CA_DIR="$CA_DIR"
  tls_secret one
  in_pod setup prepare 2>"$LAB/log" || {
    cat "$LAB/log"
    return 1
  }
  mkdir "$LAB/template"
  cp -a "$LAB/home" "$EXPORT" "$LAB/run" "$LAB/template"
  tls_secret two
}
as_left() {
  rm -rf "${LAB:?}/home" "$EXPORT" "$LAB/run"
  cp -a "$LAB/template/." "$LAB"
  chown "$MITM_UID:$MITM_UID" "$LAB/home"
}

# bears WHAT [CMD...]: setup, with what has been planted, ends with an error or a right result,
# and neither changes nor tells what is none of its business.
bears() {
  local what=$1 before path
  shift
  (($# > 0)) || set -- setup prepare
  before=$(vault)
  attempt in_pod timeout 10 "$@"
  case $STATUS in
    0) [[ $* == *status ]] || right || fault "$what: status 0, and the result is wrong" ;;
    1 | 69 | 77 | 78) [[ $* == *status ]] || has "$OUTPUT" ' error ' || fault "$what: status $STATUS without a message" ;;
    *) fault "$what: status $STATUS" ;;
  esac
  same "$what" "$before" "$(vault)" || fault "$what: the vault has changed"
  refute grep -qFf "$SECRETS" <<<"$OUTPUT" || fault "$what: a secret is in the log"
  while read -r path; do
    # (A hard link to it is planted, not written.)
    [[ $(find "$VAULT" -samefile "$path") ]] || fault "$what: a secret is in $path"
  done < <(grep -rlFf "$SECRETS" --devices=skip "$LAB/home" "$EXPORT" "$LAB/run" 2>/dev/null)
}
# What is exported is CA two, in files of root; the key is that of CA two.
right() {
  [[ ! -L $EXPORT && -d $EXPORT && $(stat -c %u "$EXPORT") == 0 ]] &&
    [[ -f $EXPORT/mitmproxy-ca-cert.pem && ! -L $EXPORT/mitmproxy-ca-cert.pem ]] &&
    [[ $(fingerprint "$EXPORT/mitmproxy-ca-cert.pem") == "$(fingerprint "$PKI/two.crt")" ]] &&
    [[ $(openssl pkey -in "$CONFDIR/mitmproxy-ca.pem" -pubout) == "$(openssl pkey -in "$PKI/two.key" -pubout)" ]] &&
    [[ $(stat -c '%F %a %u %h' "$CONFDIR/mitmproxy-ca.pem") == "regular file 600 $MITM_UID 1" ]] &&
    [[ -z $(find "$EXPORT" \( ! -uid 0 -o -perm /022 \) ! -type l) ]] &&
    [[ -z $(find "$EXPORT" -type l ! -path "$EXPORT/certs/*") ]]
}

# plant KIND PATH
plant() {
  rm -rf "$2"
  case $1 in
    'link to a secret') ln -s "$VAULT/shadow" "$2" ;;
    'link to a CA') ln -s "$VAULT/ca.pem" "$2" ;;
    'link to a new name') ln -s "$VAULT/new" "$2" ;;
    'link to a directory') ln -s "$VAULT/directory" "$2" ;;
    'hard link') ln "$VAULT/shadow" "$2" ;;
    'hard link to a CA') ln "$VAULT/ca.pem" "$2" ;;
    FIFO) mkfifo "$2" ;;
    device) mknod "$2" c 1 5 ;;
    directory) mkdir "$2" && touch "$2/file" ;;
    'directory of links') mkdir "$2" && ln -s "$VAULT/shadow" "$2/state" ;;
    '1 GiB') truncate -s 1G "$2" ;;
  esac
  # The attacker's own, but not what it only points to.
  case $1 in
    hard*) ;;
    *) chown -hR "$MITM_UID:$MITM_UID" "$2" ;;
  esac
}
KINDS=('link to a secret' 'link to a CA' 'link to a new name' 'link to a directory' 'hard link' 'hard link to a CA'
  FIFO device directory '1 GiB')

@test "planted in the confdir: links, hard links, FIFOs, devices, directories in the place of each file" {
  template
  local kind name
  for name in mitmproxy-ca.pem mitmproxy-ca-cert.pem mitmproxy-ca-cert.cer mitmproxy-ca-previous.pem \
    mitmproxy-dhparam.pem config.yaml; do
    for kind in "${KINDS[@]}"; do
      as_left
      plant "$kind" "$CONFDIR/$name"
      bears "$kind at $name"
    done
  done
  no_faults
}

@test "planted in the confdir, with the CA in there: none is taken from elsewhere" {
  template
  unset ${P}MITMPROXY_CA_DIR
  tls_secret one
  right() { [[ $(fingerprint "$EXPORT/mitmproxy-ca-cert.pem") == "$(fingerprint "$PKI/one.crt")" ]]; }
  local kind name
  for name in mitmproxy-ca.pem mitmproxy-ca-previous.pem; do
    for kind in 'link to a CA' 'hard link to a CA' FIFO; do
      as_left
      plant "$kind" "$CONFDIR/$name"
      bears "$kind at $name"
      rm -rf "$EXPORT"
      bears "$kind at $name, nothing exported"
      [[ $name != mitmproxy-ca.pem || ! -e $EXPORT/mitmproxy-ca-cert.pem ]] || fault "$kind: exported"
    done
  done
  no_faults
}

@test "planted in the export directory, when it was open to all or belongs to the attacker" {
  template
  local kind name
  for name in mitmproxy-ca-cert.pem mitmproxy-ca-roots.pem merged-ca-certificates.pem mitmproxy-truststore.p12 \
    certs trust.env wgetrc; do
    for kind in 'link to a secret' 'link to a directory' 'hard link' FIFO; do
      as_left
      chmod 0777 "$EXPORT"
      plant "$kind" "$EXPORT/$name"
      bears "$kind at $name"
    done
  done
  for kind in 'link to a secret' 'link to a new name' 'hard link' FIFO; do
    as_left
    chmod 0777 "$EXPORT/certs"
    plant "$kind" "$EXPORT/certs/$(openssl x509 -in "$PKI/two.crt" -noout -hash).0"
    bears "$kind in certs"
    as_left
    for name in mitmproxy-ca-cert.pem merged-ca-certificates.pem trust.env; do plant "$kind" "$EXPORT/$name"; done
    chown -h "$MITM_UID:$MITM_UID" "$EXPORT"
    bears "$kind in a directory of the attacker"
  done
  no_faults
}

@test "planted in the state directory, which the mitmproxy user may write" {
  template
  local kind
  for kind in "${KINDS[@]}" 'directory of links'; do
    as_left
    plant "$kind" "$STATE"
    bears "$kind at state"
    as_left
    plant "$kind" "$STATE"
    bears "$kind at state, status" setup status
  done
  as_left
  # A state file that says what is not so.
  { echo version=1 && echo 'setup.error=x' && head -c 300000 /dev/zero | tr '\0' 'A'; } >"$LAB/run/state"
  bears 'a large state file'
  as_left
  printf 'version=1\nsetup.state=ready\nsetup.ca=exported\nsetup.ca_sha256=\0\377%s\n' '%s%n%x' >"$LAB/run/state"
  bears 'a state file with other bytes'
  no_faults
}

@test "planted in the place of the directories, and above them" {
  template
  # An emptyDir: whoever is there may rename what he likes.
  local volume=$LAB/home/volume directory kind target
  for directory in CONFDIR EXPORT_DIR STATE_FILE; do
    for kind in 'link to a directory' 'link to a new name' FIFO 'hard link' 'directory of links' vault parent; do
      as_left
      install -d -o $MITM_UID -g $MITM_UID -m 0777 "$volume"
      target=$volume/$directory
      case $kind in
        vault) ln -s "$VAULT" "$target" ;; # with a .mitmproxy of root's in it
        parent) ln -s "$VAULT" "$target" && target+=/.mitmproxy ;;
        *) plant "$kind" "$target" ;;
      esac
      case $directory in
        CONFDIR)
          # An ordinary directory of the user's is nothing bad.
          [[ $kind != 'directory of links' ]] || continue
          bears "$directory: $kind" env ${P}MITMPROXY_CONFDIR="$target" setup prepare
          ;;
        EXPORT_DIR) bears "$directory: $kind" env ${P}EXPORT_DIR="$target" setup prepare ;;
        STATE_FILE) bears "$directory: $kind" env ${P}STATE_FILE="$target/state" setup prepare ;;
      esac
      [[ $STATUS != 0 ]] || fault "$directory: $kind: accepted"
    done
  done
  no_faults
}

@test "a lock that the mitmproxy user holds for ever: setup ends all the same" {
  template
  as_left
  spawn lock setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups /usr/bin/python3 "$ATTACK" lock \
    "$CONFDIR" "$CONFDIR/mitmproxy-ca.pem" "$EXPORT" "$LAB/run" "$STATE" "$LAB/home"
  wait_until 5 grep -q held "$LAB/lock.log"
  bears 'a lock on everything'
  bears 'a lock on everything, setup' setup
  bears 'a lock on everything, status' setup status
  no_faults
}

# in_rounds WHAT EXPECT... -- ATTACK...: setup prepare again and again, while the mitmproxy user
# attacks: attack.py ATTACK. 13 times 77 are 1001.
in_rounds() {
  local count=77 what=$1 expect=()
  [[ -z ${SANITIZE-} ]] || count=10 # a sanitizer makes each a good deal slower
  shift
  while [[ $1 != -- ]]; do
    expect+=(--expect "$1")
    shift
  done
  shift
  spawn attack setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups /usr/bin/python3 "$ATTACK" "$@"
  attempt in_pod /usr/bin/python3 "$ATTACK" rounds --count "$count" --vault "$VAULT" --secrets "$SECRETS" \
    "${expect[@]}" --export "$EXPORT" --places "$LAB/home" "$EXPORT" "$LAB/run" --command setup prepare
  [[ $STATUS == 0 ]] || fault "$what"
  gone "$SPAWNED" && fault "$what: the attack has ended: $(<"$LAB/attack.log")"
  kill -KILL "$SPAWNED"
  wait "$SPAWNED" || true
}
export_to() {
  EXPORT=$1
  give EXPORT_DIR="$EXPORT"
}
# Two Secrets, each with its own CA, taken in turn: everything is written in every round.
two_secrets() {
  template
  as_left
  CA_DIR=$LAB/secret.one tls_secret one
  CA_DIR=$LAB/secret.two tls_secret two
  EXPECT=("$LAB/secret.one:$PKI/one.crt" "$LAB/secret.two:$PKI/two.crt")
}

@test "the rounds would find what they look for" {
  template
  # finds TEXT CMD...: so it must be called when CMD is run in the place of setup.
  finds() {
    local text=$1
    shift
    attempt /usr/bin/python3 "$ATTACK" rounds --count 1 --limit 1 --vault "$VAULT" --secrets "$SECRETS" \
      --expect ":$PKI/one.crt" --export "$EXPORT" --places "$LAB/home" "$EXPORT" "$LAB/run" --command "$@"
    [[ $STATUS == 1 ]] && has "$OUTPUT" "WRONG.*$text" || fault "$text: not found"
  }
  finds 'vault has changed' touch "$VAULT/new"
  finds 'vault has changed' chown $MITM_UID "$VAULT/shadow"
  finds 'vault has changed' chmod 0644 "$VAULT/ca.pem"
  finds 'vault has changed' truncate -s +1 "$VAULT/shadow"
  finds 'secret is in .*/run/copy' cp "$VAULT/shadow" "$LAB/run/copy"
  finds 'secret is in the log' cat "$VAULT/ca.pem"
  finds 'another certificate is exported' cp "$PKI/two.crt" "$EXPORT/mitmproxy-ca-cert.pem"
  finds 'status -11' bash -c 'kill -SEGV $$'
  finds 'runs still' sleep 20
  no_faults
}

@test "swapped in a loop: mitmproxy-ca.pem with a link to another CA" {
  two_secrets
  ln -s "$VAULT/ca.pem" "$LAB/home/evil"
  in_rounds 'link to a CA' "${EXPECT[@]}" -- swap "$CONFDIR/mitmproxy-ca.pem" "$LAB/home/evil"
  # Nobody says which CA: that in the confdir, or an error, but not that of the vault.
  as_left
  ln -s "$VAULT/ca.pem" "$LAB/home/evil"
  in_rounds 'link to a CA, without CA_DIR' ":$PKI/one.crt" -- swap "$CONFDIR/mitmproxy-ca.pem" "$LAB/home/evil"
  no_faults
}

@test "swapped in a loop: mitmproxy-ca.pem with a hard link to another CA, and with a FIFO" {
  two_secrets
  ln "$VAULT/ca.pem" "$LAB/home/evil"
  in_rounds 'hard link to a CA' ":$PKI/one.crt" -- swap "$CONFDIR/mitmproxy-ca.pem" "$LAB/home/evil"
  as_left
  plant FIFO "$LAB/home/evil"
  in_rounds FIFO "${EXPECT[@]}" -- swap "$CONFDIR/mitmproxy-ca.pem" "$LAB/home/evil"
  no_faults
}

@test "swapped in a loop: a file that is made anew with a link to a secret" {
  two_secrets
  ln -s "$VAULT/shadow" "$LAB/home/evil"
  in_rounds 'link to a secret' "${EXPECT[@]}" -- swap "$CONFDIR/mitmproxy-ca-cert.pem" "$LAB/home/evil"
  no_faults
}

@test "swapped in a loop: the confdir with a link to a directory of root's" {
  two_secrets
  ln -s "$VAULT/.mitmproxy" "$LAB/home/evil"
  in_rounds 'confdir' "${EXPECT[@]}" -- swap "$CONFDIR" "$LAB/home/evil"
  # In the other directory lies a CA, which is not to be exported.
  as_left
  ln -s "$VAULT/.mitmproxy" "$LAB/home/evil"
  in_rounds 'confdir, without CA_DIR' ":$PKI/one.crt" -- swap "$CONFDIR" "$LAB/home/evil"
  no_faults
}

@test "swapped in a loop: the directory above the confdir with a link to one of root's" {
  two_secrets
  mkdir "$LAB/home/above"
  cp -a "$CONFDIR" "$LAB/home/above/.mitmproxy"
  chown $MITM_UID:$MITM_UID "$LAB/home/above"
  ln -s "$VAULT" "$LAB/home/evil"
  give MITMPROXY_CONFDIR="$LAB/home/above/.mitmproxy"
  in_rounds 'above the confdir' "${EXPECT[@]}" -- swap "$LAB/home/above" "$LAB/home/evil"
  no_faults
}

@test "swapped in a loop: the export directory on a volume that is open to all" {
  two_secrets
  chmod 0777 "$LAB/home"
  mv "$EXPORT" "$LAB/home/export"
  export_to "$LAB/home/export"
  ln -s "$VAULT/directory" "$LAB/home/evil"
  # Which of the two is there at the end is the attacker's choice, so it is not compared.
  in_rounds 'export' "$LAB/secret.one:" "$LAB/secret.two:" -- swap "$EXPORT" "$LAB/home/evil"
  no_faults
}

@test "swapped in a loop: the state file and its directory" {
  two_secrets
  ln -s "$VAULT/shadow" "$LAB/run/evil"
  chown -h $MITM_UID "$LAB/run/evil"
  in_rounds 'state file' "${EXPECT[@]}" -- swap "$STATE" "$LAB/run/evil"
  as_left
  mv "$LAB/run" "$LAB/home/run"
  give STATE_FILE="$LAB/home/run/state"
  ln -s "$VAULT/directory" "$LAB/home/evil"
  in_rounds 'state directory' "${EXPECT[@]}" -- swap "$LAB/home/run" "$LAB/home/evil"
  no_faults
}

@test "each new name in confdir or state directory replaced by a link, at once" {
  two_secrets
  in_rounds 'new names in the confdir' "${EXPECT[@]}" -- follow "$CONFDIR" "$VAULT/shadow"
  as_left
  in_rounds 'new names in the state directory' "${EXPECT[@]}" -- follow "$LAB/run" "$VAULT/new"
  no_faults
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
    rm -rf "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
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
    kill -TERM "$SPAWNED"
    await_exit "$SPAWNED" 6
    in_pod setup clear 2>/dev/null
  done
  no_faults
}

@test "memory that held the key is cleared, and no core can be written of it" {
  local kind pid limits
  for kind in generated ec-P-256 rsa2048 rotated; do
    [[ $kind == rotated ]] || rm -rf "$CONFDIR" "$EXPORT" "$LAB/run"
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
  become_mitm touch "$LAB/home/stop"
  spawn stopped "$@" env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" LD_PRELOAD="$STAGE/stopped.so" \
    STOP_AT="$moment" STOP_FILE="$LAB/home/stop" SUID_DUMPABLE=1 setup prepare
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
# What prepare makes a record of, and looks at as the mitmproxy user, has not changed just now.
settled() { [[ -z $(find "$STAGE/usr" "$STAGE/pki" "$MITMDUMP" -newerct '3 seconds ago' -print -quit) ]]; }
# made_anew KIND: so that setup generates a CA, keeps the one that it has, takes over one of that kind,
# or takes one over in the place of another ("rotated").
made_anew() {
  rm -rf "$CONFDIR" "$EXPORT" "$LAB/run"
  unset ${P}MITMPROXY_CA_DIR
  case $1 in kept | rotated) in_pod setup prepare 2>/dev/null ;; esac
  rm -f "$LAB/run/.state.prepared"
  case $1 in generated | kept) return ;; esac
  root "$1" "${1/rotated/ec-P-256}"
  tls_secret "$1"
  give MITMPROXY_CA_DIR="$CA_DIR"
}

@test "the key is cleared where it was used: in the child before it answers, in setup before it goes on" {
  local kind moment
  wait_until 5 settled
  while read -r kind moment; do
    made_anew "$kind"
    stop_setup "$moment" || fault "$kind"
    MARKS=$(key_marks "$CONFDIR/mitmproxy-ca.pem")
    same "$kind, $moment" '' "$(marked_memory "$STOPPED")" || fault "$kind: the key is still in memory ($moment)"
    end_stopped
  done <<'TABLE'
generated answer
generated return
kept answer
kept return
ec-P-256 answer
ec-P-256 export
rsa2048 answer
rsa2048 export
rotated answer
rotated export
TABLE
  no_faults
}

# Root without CAP_SYS_PTRACE can look into a process that has not more, if it is dumpable.
WITHOUT_PTRACE=(setpriv --bounding-set -sys_ptrace)
@test "no core can be written of setup, and no debugger gets in, whoever it has become meanwhile" {
  local moment
  spawn dumpable "${WITHOUT_PTRACE[@]}" sleep 20
  wait_until 2 in_pod "${WITHOUT_PTRACE[@]}" readlink "/proc/$SPAWNED/exe"
  end_stopped
  wait_until 5 settled
  made_anew kept
  for moment in export answer return again; do
    rm -f "$LAB/run/.state.prepared"
    stop_setup "$moment" "${WITHOUT_PTRACE[@]}" || fault "$moment"
    # Its files in /proc are root's, not of whom it has become.
    same "$moment" 0 "$(stat -c %u "/proc/$STOPPED/mem")" || fault "$moment: it is dumpable"
    refute in_pod "${WITHOUT_PTRACE[@]}" readlink "/proc/$STOPPED/exe" || fault "$moment: root can look into it"
    end_stopped
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
    rm -rf "$CONFDIR" "$EXPORT" "$CA_DIR"
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

@test "an addon that others can write: refused by setup, with the path, unless it is allowed" {
  local how
  for how in "${WRITABLE[@]}"; do
    writable "$how"
    attempt in_pod setup
    [[ $STATUS == 78 ]] || fault "$how: status $STATUS"
    has "$OUTPUT" " error .*: $PLACE \(uid .* by $BY( or whom an ACL names)?;" || fault "$how: path and writer not named"
    has "$OUTPUT" "${P}MITMPROXY_WRITABLE_SCRIPTS" || fault "$how: the override is not named"
    [[ $(grep -c ' error ' <<<"$OUTPUT") == 1 ]] || fault "$how: more than one error line"
    lacks "$(rules)" OPENSANDBOX || fault "$how: rules"
    attempt with MITMPROXY_WRITABLE_SCRIPTS=1 setup
    [[ $STATUS == 0 ]] || fault "$how: not allowed"
    in_pod setup clear
  done
  # The second of several.
  writable 'file, all'
  attempt with MITMPROXY_SCRIPT="$STAGE/usr/share/opensandbox/mitmscripts/add_header.py,$SCRIPT" setup
  [[ $STATUS == 78 ]] || fault "the second: status $STATUS"
  # And those that ship with the project.
  addon
  cp -a "$STAGE/usr/share/opensandbox/mitmscripts" "$LAB/shipped"
  chmod 0777 "$LAB/shipped"
  attempt with MITMPROXY_SCRIPTS_DIR="$LAB/shipped" setup
  [[ $STATUS == 78 ]] || fault "shipped: status $STATUS"
  has "$OUTPUT" "$LAB/shipped" || fault 'shipped: not named'
  no_faults
}

# accepted WHAT: by setup
accepted() {
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "$1: status $STATUS"
}
@test "an addon that only root and the mitmproxy user can write is accepted" {
  addon
  beside helper.py && beside helper/__init__.py && beside __pycache__/helper.cpython-311.pyc
  accepted 'of root'
  # What is not code for Python may be written.
  mkdir -m 0777 "$ADDONS/mine/volume"
  beside notes.txt 0666 && beside volume/report.py 0666
  accepted 'beside what others write'
  chown -R $MITM_UID:$MITM_UID "$ADDONS"
  accepted 'of the mitmproxy user'
  chmod 1777 "$ADDONS"
  accepted 'below a sticky directory'
  ln -s mine "$ADDONS/link"
  give MITMPROXY_SCRIPT="$ADDONS/link/../link/./addon.py"
  accepted 'by a link in a sticky directory'
  no_faults
}

@test "an addon as kubelet puts it into a volume is accepted, if others cannot write to the volume" {
  addon
  secret "$ADDONS/map" addon.py="$SCRIPT" helper.py="$SCRIPT"
  give MITMPROXY_SCRIPT="$ADDONS/map/addon.py"
  attempt in_pod setup
  [[ $STATUS == 78 ]]
  has "$OUTPUT" ": $ADDONS/map \(uid 0, gid 0, mode 1777\)"
  chmod 0755 "$ADDONS/map"
  accepted 'closed'
  # A single file of it, mounted by subPath.
  install -d "$ADDONS/mounted"
  cp --no-dereference "$ADDONS/map/..data/helper.py" "$ADDONS/mounted/addon.py"
  give MITMPROXY_SCRIPT="$ADDONS/mounted/addon.py"
  accepted 'one file'
  no_faults
}

# Python takes a directory that it cannot list for an empty one, but opens byte code by name.
@test "an addon's directory that the mitmproxy user cannot list is accepted, a __pycache__ there only if it cannot be searched either" {
  addon
  beside __pycache__/addon.cpython-311.pyc 0666
  chmod 0711 "$ADDONS/mine" "$ADDONS/mine/__pycache__"
  attempt in_pod setup
  [[ $STATUS == 78 ]] || fault "searched: status $STATUS"
  has "$OUTPUT" "$ADDONS/mine/__pycache__: Permission denied.*${P}MITMPROXY_WRITABLE_SCRIPTS"
  chmod 0700 "$ADDONS/mine/__pycache__"
  accepted 'closed'
  chmod 0755 "$ADDONS/mine/__pycache__"
  attempt in_pod setup
  [[ $STATUS == 78 ]] || fault "listed: status $STATUS"
  has "$OUTPUT" ": $ADDONS/mine/__pycache__/addon.cpython-311.pyc \(uid"
  rm -r "$ADDONS/mine/__pycache__"
  beside helper/__init__.py
  chmod 0711 "$ADDONS/mine/helper"
  chmod 0755 "$ADDONS/mine"
  attempt in_pod setup
  [[ $STATUS == 78 ]] || fault "package: status $STATUS"
  has "$OUTPUT" "$ADDONS/mine/helper: Permission denied"
  no_faults
}

@test "an addon that others can write meanwhile: named in healthd's 503, mitmdump is not started, unless it is allowed" {
  local how
  for how in 'file, group of root' 'directory above' 'link to a link' 'byte code, all' 'module, all'; do
    addon
    in_pod setup
    writable "$how"
    spawn healthd healthd
    named() { [[ $(healthz) == 503*": $PLACE (uid"* ]]; }
    wait_until 5 named || fault "$how: $(healthz)"
    same "$how: mitmdump" '' "$(mitmdump_pid)" || fault "$how: mitmdump runs"
    kill -TERM "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
  give MITMPROXY_WRITABLE_SCRIPTS=1
  up healthd
  attempt app_curl https://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$'
  no_faults
}
