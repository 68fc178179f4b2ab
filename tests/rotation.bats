#!/usr/bin/env bats
# A new CA in CA_DIR: nobody who trusts only an earlier one may break.

# shellcheck source=tests/lib/suite.sh
source "$BATS_TEST_DIRNAME/lib/suite.sh"
# shellcheck source=tests/lib/ca.sh
source "$BATS_TEST_DIRNAME/lib/ca.sh"
# shellcheck source=tests/lib/pki.sh
source "$BATS_TEST_DIRNAME/lib/pki.sh"
# shellcheck source=tests/lib/clients.sh
source "$BATS_TEST_DIRNAME/lib/clients.sh"

setup_file() {
  suite_up
  clients_up
}
teardown_file() { suite_down; }
setup() {
  lab_up
  PKI=$LAB/ca CA_DIR=$LAB/secret
  mkdir "$PKI"
}
teardown() { lab_down; }

# rotate_to NAME [ROOT]: that CA lies in CA_DIR when setup runs next.
rotate_to() {
  give MITMPROXY_CA_DIR="$CA_DIR"
  tls_secret "$@"
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "setup with $1: status $STATUS"
  PREPARED=$OUTPUT
}
# mitmdump reads its CA when it starts.
restart() {
  [[ -z ${SPAWNED-} ]] || {
    kill -TERM "$SPAWNED"
    await_exit "$SPAWNED" 6
  }
  up healthd
  read_trust_env
}

# The exported files hold these roots of ours and no other; status names each.
# carries NAME...: the current one first
carries() {
  local name expected system status file
  expected=$(for name; do fingerprint "$PKI/$name.crt"; done | sort)
  same mitmproxy-ca-cert.pem "$(fingerprint "$PKI/$1.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault 'exported certificate'
  same mitmproxy-ca-roots.pem "$expected" "$(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")" || fault roots
  system=$({ fingerprints /etc/ssl/certs/ca-certificates.crt && fingerprint "$STAGE/pki/private-ca.crt"; } | sort -u)
  cat "$EXPORT"/certs/* >"$LAB/hashed"
  for file in "$BUNDLE" "$LAB/hashed"; do
    same "${file##*/}" "$expected" "$(comm -13 <(echo "$system") <(fingerprints "$file"))" || fault "${file##*/}"
  done
  openssl pkcs12 -in "$EXPORT/mitmproxy-truststore.p12" -nokeys -passin pass:changeit -out "$LAB/listed"
  same 'trust store' "$expected" "$(comm -13 <(echo "$system") <(fingerprints "$LAB/listed"))" || fault 'trust store'
  status=$(in_pod setup status) || fault "status: exit $?"
  for name; do
    has "$status" "$(fingerprint "$PKI/$name.crt")" || fault "status: $name"
  done
  same state "$(fingerprint "$PKI/$1.crt")" "$(state setup.ca_sha256)" || fault state
}

# What mitmdump sends, from the leaf on.
sent() {
  as_app bash -c 'openssl s_client -showcerts -connect shop.example.test:443 -servername shop.example.test </dev/null' \
    2>/dev/null | sed -n '/BEGIN/,/END/p' >"$LAB/sent"
  [[ -s $LAB/sent ]]
}
# verifies NAME...: `openssl verify` takes what was sent with that root alone, strictly
# as well as leniently.
verifies() {
  local name
  sent || fault 'nothing is sent'
  for name; do
    attempt openssl verify -x509_strict -no-CApath -no-CAstore -CAfile "$PKI/$name.crt" -untrusted "$LAB/sent" "$LAB/sent"
    [[ $STATUS == 0 ]] || fault "openssl verify with $name"
  done
}
# everybody NAME...: whichever of these roots alone a client trusts, or the new bundle.
# (wget verifies with GnuTLS, which finds a root that it trusts only at the end of what
# is sent: it is asked where that is one cross certificate long.)
WHO=(curl java)
everybody() {
  local name
  for name; do trusting "$PKI/$name.crt" "${WHO[@]}"; done
  intercepted "${WHO[@]}"
  verifies "$@"
}
clients_are() { WHO=("$@"); }
# ending NAME SECONDS: a root that ends so soon; until_ended waits for it. A machine that is too
# slow to do in_time what comes before would prove nothing.
ending() {
  END="+$2 seconds" root "$1"
  ENDS=$((${EPOCHREALTIME/.*/} + $2))
}
in_time() { ((${EPOCHREALTIME/.*/} < ENDS)) || fault 'this machine is too slow: it has expired already'; }
has_ended() { (($(date +%s) > ENDS + 1)); }
until_ended() { wait_until 12 has_ended; }
# The confdir holds the generated CA: give it a name.
name_generated() { openssl x509 -in "$CONFDIR/mitmproxy-ca.pem" -out "$PKI/$1.crt"; }

@test "rotation by CA_DIR, other subject: old root alone, new root alone, new bundle" {
  clients_are "${ROTATION_CLIENTS[@]}" wget
  root old
  root new
  root stranger
  rotate_to old
  carries old
  rotate_to new
  restart
  carries new old
  everybody old new
  not_trusting "$PKI/stranger.crt" "${WHO[@]}"
  no_faults
}

@test "rotation, same subject, RSA to EC" {
  clients_are curl java wget
  SUBJECT=/CN=mitmproxy/O=mitmproxy root old rsa2048
  SUBJECT=/CN=mitmproxy/O=mitmproxy root new
  rotate_to old
  rotate_to new
  restart
  carries new old
  everybody old new
  no_faults
}

@test "twice in a row, EC to RSA to EC: each of three roots alone, and the new bundle" {
  clients_are "${ROTATION_CLIENTS[@]}"
  root first
  root second rsa2048
  root third
  rotate_to first
  rotate_to second
  rotate_to third
  restart
  carries third second first
  everybody first second third
  no_faults
}

@test "twice in a row, all of the same subject" {
  local name
  for name in first second third; do SUBJECT=/CN=ours root $name; done
  for name in first second third; do rotate_to $name; done
  restart
  carries third second first
  everybody first second third
  no_faults
}

@test "from a generated CA, with the same subject as that" {
  clients_are curl java wget
  attempt in_pod setup
  name_generated generated
  SUBJECT=/CN=mitmproxy/O=mitmproxy root new rsa2048
  rotate_to new
  restart
  carries new generated
  everybody generated new
  no_faults
}

# start_client NAME PEM: requests without a pause; one line each, curl's exit status.
start_client() {
  spawn "$1" setpriv --reuid $APP_UID --regid $APP_UID --clear-groups bash -c "
    while :; do
      curl -s -o /dev/null --max-time 5 --cacert '$2' --capath /dev/null https://shop.example.test/
      echo \$?
      sleep 0.03
    done"
  RUNNING+=("$SPAWNED")
  wait_until 5 test -s "$LAB/$1.log"
}
# never NAME: it must not have seen a certificate that it could not verify (60), nor
# have missed its file (77), but have had answers at the start and at the end.
never() {
  local answers
  answers=$(sort "$LAB/$1.log" | uniq -c)
  echo "$1:"
  echo "$answers"
  lacks "$answers" ' (60|77)$' || fault "$1"
  same "first of $1" 0 "$(head -n 1 "$LAB/$1.log")" || fault "$1"
  same "last of $1" 0 "$(tail -n 1 "$LAB/$1.log")" || fault "$1"
}
@test "under traffic: no client sees a certificate that it cannot verify, at no moment" {
  local healthd RUNNING=() round
  root one
  root two rsa2048
  root three
  rotate_to one
  up healthd
  healthd=$SPAWNED
  start_client old "$PKI/one.crt"
  start_client bundle "$BUNDLE"
  start_client roots "$EXPORT/mitmproxy-ca-roots.pem"
  for round in two three; do
    rotate_to $round
    # The export is new, mitmdump is not.
    sleep 0.5
    kill -TERM "$healthd"
    await_exit "$healthd" 6
    up healthd
    healthd=$SPAWNED
    sleep 0.5
  done
  wait_until 5 sh -c "tail -qn 1 $LAB/old.log $LAB/bundle.log $LAB/roots.log | sort -u | grep -qx 0"
  kill -STOP "${RUNNING[@]}"
  never old
  never bundle
  never roots
  kill -KILL "${RUNNING[@]}"
  carries three two one
  no_faults
}

@test "a second run after a rotation changes nothing, neither does CA_DIR gone; a lost export has the current root" {
  root old
  root new
  rotate_to old
  rotate_to new
  local before
  before=$(files | grep -v "$LAB/run")
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  same files "$before" "$(files | grep -v "$LAB/run")"
  unset ${P}MITMPROXY_CA_DIR
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  same files "$before" "$(files | grep -v "$LAB/run")"
  # The export volume is lost, which alone is believed about earlier roots: what the confdir
  # says, the mitmproxy user could have written.
  rm -rf "$EXPORT" "$LAB/run"
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  carries new
  no_faults
}

@test "back to the earlier CA: both roots alone, and the new bundle" {
  root one
  root two
  rotate_to one
  rotate_to two
  rotate_to one
  restart
  carries one two
  everybody one two
  no_faults
}

@test "a renewed certificate for the same key: the old one alone, the new one alone" {
  SUBJECT=/CN=ours END='+20 days' root old rsa2048
  cp "$PKI/old.key" "$PKI/renewed.key"
  SUBJECT=/CN=ours END='+2 years' certify renewed
  rotate_to old
  rotate_to renewed
  restart
  same 'exported certificate' "$(fingerprint "$PKI/renewed.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  everybody old renewed
  # And once more, to another key.
  root new
  rotate_to new
  restart
  everybody old renewed new
  no_faults
}

@test "a renewed certificate for the same key, with another subject" {
  SUBJECT='/CN=old name' root old
  cp "$PKI/old.key" "$PKI/renewed.key"
  SUBJECT='/CN=new name' certify renewed
  rotate_to old
  rotate_to renewed
  restart
  everybody old renewed
  no_faults
}

@test "an old CA with pathlen:0 can sign no other: a warning, the new root and the bundle work" {
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} root old
  root new
  rotate_to old
  rotate_to new
  has "$PREPARED" 'warn.*(path ?len|path length|pathlen:0)' || fault 'no warning'
  restart
  carries new old
  trusting "$PKI/new.crt" "${WHO[@]}"
  intercepted "${WHO[@]}"
  verifies new
  # Not silently accepted either: this client cannot work.
  not_trusting "$PKI/old.crt" curl openssl
  no_faults
}

@test "an old CA with pathlen:0 and the same subject as the new one, which is no CA below it" {
  # (But for GnuTLS, which counts it.)
  clients_are "${ROTATION_CLIENTS[@]}"
  SUBJECT=/CN=ours EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} root old
  SUBJECT=/CN=ours root new
  rotate_to old
  rotate_to new
  restart
  carries new old
  everybody old new
  trusting "$PKI/new.crt" wget
  no_faults
}

@test "the second of three has pathlen:0: the last root and the bundle work" {
  root first
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} root second
  root third
  rotate_to first
  rotate_to second
  rotate_to third
  restart
  carries third second first
  trusting "$PKI/third.crt" "${WHO[@]}"
  intercepted "${WHO[@]}"
  no_faults
}

@test "the first has pathlen:1, rotated twice: the new bundle and the last two roots work" {
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:1} root first
  root second
  root third
  rotate_to first
  rotate_to second
  rotate_to third
  restart
  carries third second first
  everybody second third
  no_faults
}

@test "an earlier root is carried until it expires, and then no more" {
  ending old 6
  root new
  rotate_to old
  rotate_to new
  carries new old
  in_time
  until_ended
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  carries new
  restart
  trusting "$PKI/new.crt" "${WHO[@]}"
  intercepted "${WHO[@]}"
  verifies new
  no_faults
}

# Clients that find a trusted root only at the end of what is sent, or look at the dates of all of
# it, do so whatever they trust.
@test "the first of three ends: the roots after it alone, and the bundle, by every client" {
  ending first 8
  root second
  root third
  rotate_to first
  rotate_to second
  rotate_to third
  carries third second first
  in_time
  until_ended
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  carries third second
  same 'certificates of the CA' 2 "$(grep -c BEGIN.CERT "$CONFDIR/mitmproxy-ca.pem")" || fault chain
  clients_are "${ROTATION_CLIENTS[@]}"
  restart
  everybody second third
  intercepted wget git
  no_faults
}

@test "the CA before has outlived the one before that: it vouches for the next as long as it lives itself" {
  ending first 6
  END='+90 days' root second
  root third
  rotate_to first
  rotate_to second
  until_ended
  rotate_to third
  lacks "$PREPARED" warn || fault 'a warning'
  carries third second
  same 'end of the cross certificate' "$(openssl x509 -in "$PKI/second.crt" -noout -enddate)" \
    "$(openssl x509 -in "$CONFDIR/mitmproxy-ca.pem" -noout -enddate)" || fault end
  clients_are "${ROTATION_CLIENTS[@]}" wget
  restart
  everybody second third
  intercepted git
  no_faults
}

@test "the CA before a CA whose key identifier is not the SHA-1 of its key ends: clients go on" {
  local narrow=${ODD_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0}
  ending old 8
  EXTENSIONS=$ODD_EXTENSIONS root new
  # (What leads to this one has its own name, which Java does not take.)
  EXTENSIONS=$narrow root narrow
  rotate_to old
  rotate_to narrow
  cp -a "$CONFDIR" "$LAB/narrow"
  rm -rf "$CONFDIR" "$EXPORT"
  rotate_to old
  rotate_to new
  until_ended
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  carries new
  clients_are "${ROTATION_CLIENTS[@]}" wget
  restart
  everybody new
  rm -rf "$CONFDIR" "$EXPORT"
  cp -a "$LAB/narrow" "$CONFDIR"
  tls_secret narrow
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "narrow: status $STATUS"
  carries narrow
  restart
  trusting "$PKI/narrow.crt" curl openssl urllib node
  no_faults
}

@test "a confdir that cannot be written when something in the chain has ended: a warning" {
  ending old 6
  root new
  rotate_to old
  rotate_to new
  until_ended
  mount --bind "$CONFDIR" "$CONFDIR"
  mount -o remount,ro,bind "$CONFDIR"
  attempt in_pod setup
  umount -l "$CONFDIR"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'warn.*mitmproxy-ca.pem: has certificates that have expired: .*Read-only'
  carries new
}

# Java takes no more than ten certificates.
@test "a dozen in a row: the last ones alone, and the bundle; who is lost is said" {
  local i
  for i in {1..12}; do
    root "r$i"
    rotate_to "r$i"
    # Each is said once.
    if ((i < 11)); then
      lacks "$PREPARED" warn || fault "$i: a warning"
    else
      has "$PREPARED" "warn.*only the earlier root $(fingerprint "$PKI/r$((i - 10)).crt" | cut -c 1-16).*not accept the CA" || fault "$i: no warning"
      same warnings 1 "$(grep -c ' warn ' <<<"$PREPARED")" || fault "$i: warnings"
    fi
  done
  clients_are curl java
  restart
  everybody r12 r3
  # Nor when an intermediate CA is renewed with a longer chain of its own.
  root top
  EXTENSIONS=$CA_EXTENSIONS intermediate upper top
  EXTENSIONS=$CA_EXTENSIONS intermediate lower upper
  EXTENSIONS=$CA_EXTENSIONS intermediate below top
  bring below top
  same 'certificates of the CA' 9 "$(grep -c BEGIN.CERT "$CONFDIR/mitmproxy-ca.pem")" || fault chain
  bring lower upper top
  same 'with a longer chain' 9 "$(grep -c BEGIN.CERT "$CONFDIR/mitmproxy-ca.pem")" || fault 'longer chain'
  no_faults
}

@test "back, on, and back again: a root that is lost by that is said" {
  root one
  root two
  root three
  rotate_to one
  rotate_to two
  rotate_to one
  rotate_to three
  lacks "$PREPARED" warn || fault 'a warning'
  rotate_to one
  has "$PREPARED" "warn.*only the earlier root $(fingerprint "$PKI/two.crt" | cut -c 1-16)" || fault 'no warning'
  restart
  everybody one three
  no_faults
}

@test "the exported certificate is lost in the confdir after a rotation: nothing else is, with CA_DIR and without" {
  local before
  root old
  root new
  rotate_to old
  rotate_to new
  before=$(<"$CONFDIR/mitmproxy-ca.pem")
  rm "$CONFDIR/mitmproxy-ca-cert.pem"
  rotate_to new
  lacks "$PREPARED" 'warn|renewed|replaced' || fault 'with CA_DIR'
  carries new old
  rm "$CONFDIR/mitmproxy-ca-cert.pem"
  unset ${P}MITMPROXY_CA_DIR
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "without CA_DIR: status $STATUS"
  carries new old
  same mitmproxy-ca.pem "$before" "$(<"$CONFDIR/mitmproxy-ca.pem")" || fault 'the CA'
  same 'made again' "$(fingerprint "$PKI/new.crt")" "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.pem")" || fault 'certificate'
  no_faults
}

@test "what an old intermediate CA vouches for ends with it, which is said" {
  root top
  END='+40 days' EXTENSIONS=$CA_EXTENSIONS intermediate middle top
  root new
  rotate_to middle top
  rotate_to new
  has "$PREPARED" "warn.*only the root before will accept the new CA until $(date -u -d '+40 days' +%Y-%m-)" || fault 'no warning'
  # Of one that ends with the old root itself there is nothing to say.
  END='+20 days' root third
  END='+2 years' root fourth
  rotate_to third
  rotate_to fourth
  lacks "$PREPARED" 'will accept the new CA until' || fault 'a warning'
  no_faults
}

# at_rest WHAT: whatever runs again changes nothing, and says nothing.
at_rest() {
  local before
  before=$(<"$CONFDIR/mitmproxy-ca.pem")
  for _ in 1 2; do
    rm -f "$LAB/run/.state.prepared"
    attempt in_pod setup prepare
    [[ $STATUS == 0 ]] || fault "$1: status $STATUS"
    lacks "$OUTPUT" 'warn|renewed|replaced' || fault "$1: says something again"
    same "$1" "$before" "$(<"$CONFDIR/mitmproxy-ca.pem")" || fault "$1: written again"
  done
}
# leads_from NAME...: those roots alone lead to what the CA issues.
leads_from() {
  local name ca=$CONFDIR/mitmproxy-ca.pem
  new_key leaf ec-P-256
  openssl req -new -config "$PKI/ca.cnf" -key "$PKI/leaf.key" -subj /CN=leaf |
    openssl x509 -req -CA "$ca" -CAkey "$ca" -days 1 -extfile <(printf 'authorityKeyIdentifier=keyid\n') -out "$PKI/leaf.crt" 2>"$PKI/log"
  for name; do
    openssl verify -no-CApath -no-CAstore -CAfile "$PKI/$name.crt" -untrusted "$ca" "$PKI/leaf.crt" || fault "from $name"
  done
}
# bring NAME FILE...: CA_DIR holds the key of NAME, and the certificates of all these.
bring() {
  local name
  give MITMPROXY_CA_DIR="$CA_DIR"
  for name; do cat "$PKI/$name.crt"; done >"$LAB/chain"
  secret "$CA_DIR" tls.crt="$LAB/chain" tls.key="$PKI/$1.key"
  attempt in_pod setup prepare
  [[ $STATUS == 0 ]] || fault "$*: status $STATUS"
}

@test "a CA that brings its own cross certificates: who trusts only the root before goes on, and setup comes to rest" {
  root old
  root one
  root two
  intermediate below one
  SUBJECT=/CN=one KEY=one certify one-by-two two
  cp "$PKI/one.key" "$PKI/one-by-two.key"
  # As one changes from one root to the next.
  bring below one
  bring below one-by-two two
  at_rest 'with the next root'
  same 'certificates of the CA' 3 "$(grep -c BEGIN.CERT "$CONFDIR/mitmproxy-ca.pem")" || fault chain
  leads_from one two
  same current "$(fingerprint "$PKI/two.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault 'current root'
  # The root that it may also lead to is not there.
  rm -rf "$CONFDIR" "$EXPORT"
  bring old
  bring below one-by-two one
  lacks "$OUTPUT" warn || fault 'a warning'
  at_rest 'with a cross certificate that leads nowhere'
  leads_from old one
  # The CA's own certificate by itself, then by another.
  rm -rf "$CONFDIR" "$EXPORT"
  bring one
  bring one-by-two two
  at_rest 'self-signed before'
  leads_from one two
  # The file that setup has made, as a source.
  rm -rf "$CONFDIR" "$EXPORT"
  bring old
  bring one
  cp "$CONFDIR/mitmproxy-ca.pem" "$LAB/made"
  bring two
  secret "$CA_DIR" mitmproxy-ca.pem="$LAB/made"
  rm -f "$CA_DIR"/tls.*
  attempt in_pod setup prepare
  [[ $STATUS == 0 ]] || fault "its own file: status $STATUS"
  at_rest 'its own file'
  leads_from old one two
  no_faults
}

@test "CAs without a key identifier: rotated and renewed" {
  # (Without being told, openssl adds one.)
  local EXTENSIONS=$'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=none'
  for name in one two three; do root $name; done
  rotate_to one
  rotate_to two
  rotate_to three
  lacks "$PREPARED" warn || fault 'a warning'
  leads_from one two three
  restart
  for name in two three; do trusting "$PKI/$name.crt" curl java; done
  cp "$PKI/three.key" "$PKI/renewed.key"
  SUBJECT=/CN=three certify renewed
  rotate_to renewed
  at_rest renewed
  leads_from one two renewed
  no_faults
}

@test "a renewed certificate with another key identifier after a rotation: the new root comes first, the others are said to be lost" {
  root one
  EXTENSIONS=$ODD_EXTENSIONS root two
  cp "$PKI/two.key" "$PKI/renewed.key"
  SUBJECT=/CN=two certify renewed
  rotate_to one
  rotate_to two
  rotate_to renewed
  has "$PREPARED" 'warn.*only the root before' || fault 'no warning'
  has "$PREPARED" "warn.*only the earlier root $(fingerprint "$PKI/one.crt" | cut -c 1-16)" || fault 'no warning of the first'
  at_rest renewed
  clients_are curl openssl urllib node
  restart
  everybody renewed
  no_faults
}

@test "the root between two others ends: who trusts only the first is said to be lost" {
  root first
  ending second 6
  root third
  rotate_to first
  rotate_to second
  rotate_to third
  until_ended
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  has "$OUTPUT" "warn.*only the earlier root $(fingerprint "$PKI/first.crt" | cut -c 1-16).*not accept the CA" || fault 'no warning'
  at_rest after
  no_faults
}

@test "the file of earlier roots is lost in the confdir: those exported are carried on" {
  root one
  root two
  root three
  rotate_to one
  rotate_to two
  rotate_to three
  rm "$CONFDIR/mitmproxy-ca-previous.pem"
  rotate_to three
  carries three two one
  no_faults
}

@test "what limits the new root limits the cross certificate, too" {
  root old
  EXTENSIONS=$CA_EXTENSIONS$'\nnameConstraints=permitted;DNS:example.test\nextendedKeyUsage=serverAuth' root new
  rotate_to old
  rotate_to new
  for extension in nameConstraints extendedKeyUsage; do
    same $extension "$(openssl x509 -in "$PKI/new.crt" -noout -ext $extension)" \
      "$(openssl x509 -in "$CONFDIR/mitmproxy-ca.pem" -noout -ext $extension)" || fault $extension
  done
  restart
  everybody old new
  no_faults
}

@test "a CA in the confdir that has expired is replaced by that in CA_DIR" {
  START='-3 days' END='-1 hour' root old
  root new
  pem old >"$LAB/pem"
  place_ca "$LAB/pem"
  rotate_to new
  carries new
  restart
  trusting "$PKI/new.crt" curl openssl java
  intercepted curl
  no_faults
}

@test "to an intermediate CA with a root of its own, and on from it: old root alone, new root alone, new bundle" {
  clients_are "${ROTATION_CLIENTS[@]}"
  root old
  root top rsa2048
  intermediate middle top
  rotate_to old
  rotate_to middle top
  lacks "$PREPARED" warn || fault 'a warning'
  restart
  carries top old
  everybody old top
  # A second run changes nothing.
  local before
  before=$(files | grep -v "$LAB/run")
  attempt in_pod setup
  same files "$before" "$(files | grep -v "$LAB/run")" || fault 'second run'
  # Another intermediate CA of the same root, and the same one renewed, are still vouched for.
  intermediate other top
  rotate_to other top
  cp "$PKI/other.key" "$PKI/renewed.key"
  SUBJECT=/CN=other END='+2 years' EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} certify renewed top
  rotate_to renewed top
  has "$PREPARED" 'renewed from' || fault 'not renewed'
  restart
  carries top old
  everybody old top
  no_faults
}

@test "to an intermediate CA two levels below its root; the old CA with just room for that, and without" {
  local room warns
  root top
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:1} intermediate policy top
  intermediate issuing policy
  cat "$PKI/issuing.crt" "$PKI/policy.crt" >"$PKI/chain.crt"
  cp "$PKI/issuing.key" "$PKI/chain.key"
  for room in 3 2; do
    rm -rf "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
    EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:$room} root old
    rotate_to old
    rotate_to chain top
    warns=$(grep -c 'warn.*trust only the root before.*path length' <<<"$PREPARED" || true)
    same "warnings with room for $room" $((room == 2)) "$warns" || fault warnings
    restart
    carries top old
    if ((room == 3)); then everybody old top; else trusting "$PKI/top.crt" "${WHO[@]}"; fi
  done
  no_faults
}

@test "from an intermediate CA to one of another root: the old root has room for two, or for one" {
  local room warns
  root top
  intermediate middle top
  for room in 2 1; do
    rm -rf "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
    EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:$((room + 1))} root old rsa2048
    EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:$room} intermediate below old
    rotate_to below old
    rotate_to middle top
    warns=$(grep -c 'warn.*trust only the root before.*path length' <<<"$PREPARED" || true)
    same "warnings with room for $room" $((room == 1)) "$warns" || fault warnings
    restart
    carries top old
    if ((room == 2)); then everybody old top; else trusting "$PKI/top.crt" "${WHO[@]}"; fi
  done
  no_faults
}

@test "to and from a CA whose key identifier is not the SHA-1 of its key: each root alone, and the bundle" {
  clients_are "${ROTATION_CLIENTS[@]}"
  root first rsa2048
  EXTENSIONS=$ODD_EXTENSIONS root odd
  root third
  EXTENSIONS=${ODD_EXTENSIONS/0102/ffff} root fourth
  rotate_to first
  rotate_to odd
  restart
  carries odd first
  everybody first odd
  rotate_to third
  rotate_to fourth
  lacks "$PREPARED" warn || fault 'a warning'
  restart
  carries fourth third odd first
  everybody first odd third fourth
  local before
  before=$(files | grep -v "$LAB/run")
  attempt in_pod setup
  same files "$before" "$(files | grep -v "$LAB/run")" || fault 'second run'
  unset ${P}MITMPROXY_CA_DIR
  attempt in_pod setup
  same files "$before" "$(files | grep -v "$LAB/run")" || fault 'CA_DIR gone'
  no_faults
}

@test "a renewed certificate has another key identifier: a warning, if the old root alone will not do; new root alone" {
  local name
  EXTENSIONS=$ODD_EXTENSIONS SUBJECT=/CN=ours root odd
  for name in renewed usual; do cp "$PKI/odd.key" "$PKI/$name.key"; done
  EXTENSIONS=$ODD_EXTENSIONS SUBJECT=/CN=ours END='+2 years' certify renewed
  SUBJECT=/CN=ours END='+3 years' certify usual
  rotate_to odd
  rotate_to renewed
  lacks "$PREPARED" warn || fault 'a warning'
  restart
  everybody odd renewed
  for name in usual odd; do
    rotate_to $name
    has "$PREPARED" 'warn.*trust only the root before' || fault "$name: no warning"
    restart
    trusting "$PKI/$name.crt" "${WHO[@]}"
  done
  no_faults
}

@test "between two intermediate CAs of the same root, and one of another" {
  root top
  intermediate one top
  intermediate two top rsa2048
  rotate_to one top
  rotate_to two top
  restart
  carries top
  everybody top
  root new
  rotate_to new
  restart
  carries new top
  trusting "$PKI/new.crt" "${WHO[@]}"
  intercepted "${WHO[@]}"
  no_faults
}

@test "the cross certificate: first in the file, the new key and name, signed by the old, a CA, sent along" {
  root old rsa2048
  root new
  rotate_to old
  rotate_to new
  local pem=$CONFDIR/mitmproxy-ca.pem
  same key "$(openssl pkey -in "$PKI/new.key" -pubout)" "$(openssl pkey -in "$pem" -pubout)"
  same 'key of the first certificate' "$(openssl pkey -in "$PKI/new.key" -pubout)" "$(openssl x509 -in "$pem" -noout -pubkey)"
  same names $'subject=CN=new\nissuer=CN=old' "$(openssl x509 -in "$pem" -noout -subject -issuer "${NAME_FORM[@]}")"
  same 'key identifier' "$(openssl x509 -in "$PKI/new.crt" -noout -ext subjectKeyIdentifier)" \
    "$(openssl x509 -in "$pem" -noout -ext subjectKeyIdentifier)"
  openssl x509 -in "$pem" -out "$LAB/cross.crt"
  openssl verify -x509_strict -no-CApath -CAfile "$PKI/old.crt" "$LAB/cross.crt"
  has "$(openssl x509 -in "$LAB/cross.crt" -noout -text)" 'CA:TRUE'
  refute [ "$(openssl x509 -in "$LAB/cross.crt" -noout -serial)" = "$(openssl x509 -in "$PKI/new.crt" -noout -serial)" ]
  grep -qx "$(fingerprint "$PKI/old.crt")" <(fingerprints "$pem")
  # Not a root: it is exported nowhere.
  refute grep -qx "$(fingerprint "$LAB/cross.crt")" <(fingerprints "$BUNDLE")
  same 'one key' 1 "$(grep -c 'BEGIN.*PRIVATE KEY' "$pem")"
  same 'old key left' '' "$(grep -rlF "$(sed -n 3p "$PKI/old.key")" "$CONFDIR" "$EXPORT" "$LAB/run" || true)"
  restart
  sent
  grep -qx "$(fingerprint "$LAB/cross.crt")" <(fingerprints "$LAB/sent")
}

# What is there, but for the hashed names.
names() { find "$CONFDIR" "$EXPORT" "$LAB/run" -printf '%p\n' | grep -v '/certs/[0-9a-f]*\.[0-9]*$' | sort; }
@test "setup killed at any moment of a rotation: the next run ends it, no root is lost" {
  local delay name previous=one chain names
  root zero
  rotate_to zero
  root one
  rotate_to one
  names=$(names)
  for delay in 0 2 4 6 8 10 12 14 16 18 20 23 26 30 40 60; do
    name=after$delay
    SUBJECT=/CN=$name root $name
    tls_secret $name
    in_pod setup prepare >/dev/null 2>&1 3>&- &
    sleep "$(printf '0.%03d' $delay)"
    kill -KILL $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    wait_until 5 pod_is_empty || fault "$delay ms: something runs still"
    attempt in_pod timeout 10 setup prepare
    [[ $STATUS == 0 ]] || fault "$delay ms: status $STATUS"
    chain=$CONFDIR/mitmproxy-ca.pem
    same "$delay ms" "$(openssl pkey -in "$PKI/$name.key" -pubout)" "$(openssl pkey -in "$chain" -pubout)" || fault "$delay ms: key"
    openssl verify -no-CApath -CAfile "$PKI/$previous.crt" -untrusted "$chain" "$chain" || fault "$delay ms: $previous alone"
    grep -qx "$(fingerprint "$PKI/$previous.crt")" <(fingerprints "$EXPORT/mitmproxy-ca-roots.pem") || fault "$delay ms: $previous is not exported"
    same "$delay ms: names" "$names" "$(names)" || fault "$delay ms: temporary files"
    previous=$name
  done
  no_faults
}
