#!/usr/bin/env bats
# The mitmproxy user is hostile, and setup runs as root: nothing outside is touched or
# told, whatever lies in confdir, export and state directory.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

setup() {
  test_up
  VAULT=$LAB/vault ATTACK=$STAGE/lib/attack.py
  root one
  root two
  make_vault
}

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
  remove "${LAB:?}/home" "$EXPORT" "$LAB/run"
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
    'empty file') : >"$2" && chmod 0666 "$2" ;;
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
  for name in mitmproxy-ca.pem mitmproxy-ca-cert.pem mitmproxy-ca-cert.cer \
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
  for name in mitmproxy-ca.pem mitmproxy-ca-cert.pem; do
    for kind in 'link to a CA' 'hard link to a CA' FIFO; do
      as_left
      plant "$kind" "$CONFDIR/$name"
      bears "$kind at $name"
      remove "$EXPORT"
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
    certs certs/java certs/java/cacerts trust.env trust.sh wgetrc; do
    for kind in 'link to a secret' 'link to a directory' 'hard link' FIFO; do
      as_left
      chmod 0777 "$EXPORT" "$EXPORT/certs" "$EXPORT/certs/java"
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

is_held() { ! flock -n "$LAB/run/.state.setup-lock" true; }
@test "planted in the place of the locks, or held: setup neither waits nor stumbles" {
  template
  local kind name
  for name in .state.setup-lock .state.lock; do
    for kind in "${KINDS[@]}" 'directory of links' 'empty file'; do
      as_left
      plant "$kind" "$LAB/run/$name"
      bears "$kind at $name"
      [[ $STATUS == 0 ]] || fault "$kind at $name: refused"
    done
  done
  # Files of root's that the mitmproxy user can open and hold, moved to the lock's name.
  for name in state .state.other .state.lock 'hard link'; do
    as_left
    [[ $name != .state.other ]] || install -m 0644 /dev/null "$LAB/run/$name"
    if [[ $name == 'hard link' ]]; then
      # As fs.protected_hardlinks=0 would let it: the lock itself, with another name as well.
      rm -f "$LAB/run/.state.setup-lock"
      install -m 0600 /dev/null "$LAB/run/.state.setup-lock"
      ln "$LAB/run/.state.setup-lock" "$LAB/run/.state.x"
      spawn holder flock -x "$LAB/run/.state.x" sleep 60
    else
      become_mitm mv -f "$LAB/run/$name" "$LAB/run/.state.setup-lock"
      spawn holder setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups flock -x "$LAB/run/.state.setup-lock" sleep 60
    fi
    wait_until 3 is_held || fault "$name: not held"
    bears "$name moved to the lock"
    [[ $STATUS == 0 ]] || fault "$name moved to the lock: refused"
    same "$name: the lock" "600 0 1 regular empty file" "$(stat -c '%a %u %h %F' "$LAB/run/.state.setup-lock")" || fault "$name"
    kill "$SPAWNED"
    wait "$SPAWNED" || true
  done
  no_faults
}

@test "a lock that another setup holds is waited for, until it is gone or replaced" {
  in_pod setup prepare 2>/dev/null
  local started
  spawn holder flock -x "$LAB/run/.state.setup-lock" sleep 1.5
  wait_until 3 is_held
  started=$(milliseconds)
  attempt in_pod timeout 10 setup prepare
  [[ $STATUS == 0 ]]
  (($(milliseconds) - started > 800)) || fault 'not waited for'
  # One that nobody finds any more, because its name leads elsewhere, keeps nobody.
  spawn holder flock -x "$LAB/run/.state.setup-lock" sleep 60
  wait_until 3 is_held
  spawn setup setup prepare
  sleep 0.3
  mv "$LAB/run/.state.setup-lock" "$LAB/run/.state.moved"
  await_exit "$SPAWNED" 10
  [[ $STATUS == 0 ]]
  no_faults
}

@test "a lock is none any more when its name leads elsewhere by the time that it is held" {
  in_pod setup prepare 2>/dev/null
  preload_library stopped
  touch "$LAB/home/stop"
  spawn setup env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" LD_PRELOAD="$STAGE/stopped.so" \
    STOP_AT=lock STOP_FILE="$LAB/home/stop" setup prepare
  local setup=$SPAWNED holder
  is_stopped() { grep -q '^State:.T' "/proc/$setup/status"; }
  wait_until 5 is_stopped
  # The attacker takes it away, and another setup makes and holds its own.
  mv "$LAB/run/.state.setup-lock" "$LAB/run/.state.moved"
  install -m 0600 /dev/null "$LAB/run/.state.setup-lock"
  spawn holder flock -x "$LAB/run/.state.setup-lock" sleep 60
  holder=$SPAWNED
  wait_until 3 is_held
  kill -CONT "$setup"
  sleep 1
  gone "$setup" && fault 'two at once'
  kill "$holder"
  ip netns pids "$POD" | xargs -r ps -o pid=,cmd= -p | awk '/sleep 60/ { print $1 }' | xargs -r kill
  await_exit "$setup" 10
  [[ $STATUS == 0 ]]
  no_faults
}

@test "swapped in a loop: the lock of setup with a file that is held" {
  two_secrets
  install -m 0644 /dev/null "$LAB/run/.state.evil"
  spawn holder setpriv --reuid $MITM_UID --regid $MITM_UID --clear-groups flock -x "$LAB/run/.state.evil" sleep 600
  in_rounds 'lock' "${EXPECT[@]}" -- swap "$LAB/run/.state.setup-lock" "$LAB/run/.state.evil"
  no_faults
}

@test "the mitmproxy user stops the process that prepares the confdir, at any moment: an error after 30 s" {
  local moment pids=() started
  preload_library stopped
  started=$(milliseconds)
  # All at once, each in places of its own.
  for moment in drop answer begun end; do
    become_mitm touch "$LAB/home/stop-$moment"
    spawn "$moment" env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" LD_PRELOAD="$STAGE/stopped.so" \
      STOP_AT="$moment" STOP_FILE="$LAB/home/stop-$moment" "${P}STATE_FILE=$LAB/run-$moment/state" \
      "${P}MITMPROXY_CONFDIR=$LAB/home/$moment/.mitmproxy" "${P}EXPORT_DIR=$LAB/export-$moment" setup prepare
    pids+=("$moment:$SPAWNED")
  done
  for moment in "${pids[@]}"; do
    await_exit "${moment#*:}" 45 || fault "${moment%:*}: it waits for ever"
    moment=${moment%:*}
    [[ $STATUS == 1 ]] || fault "$moment: status $STATUS"
    has "$(<"$LAB/$moment.log")" ' error .*the process that prepares it was stopped, or hangs' || fault "$moment: $(<"$LAB/$moment.log")"
    [[ ! -e $LAB/home/stop-$moment ]] || fault "$moment: nothing was stopped"
    has "$(<"$LAB/run-$moment/state")" '^setup.state=failed' || fault "$moment: state"
    [[ ! -e $LAB/export-$moment/mitmproxy-ca-cert.pem ]] || fault "$moment: exported"
  done
  (($(milliseconds) - started >= 29000)) || fault 'too early'
  pod_is_empty || fault "left behind: $(ip netns pids "$POD" | xargs -r ps -o pid,stat,cmd -p)"
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
