#!/usr/bin/env bats
# A new CA in CA_DIR: nobody who trusts only an earlier one may break.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/clients.sh"

setup_file() {
  suite_up
  clients_up
  clock_library
}

# rotate_to NAME [ROOT]: that CA lies in CA_DIR when setup runs next.
rotate_to() {
  give MITMPROXY_CA_DIR="$CA_DIR"
  tls_secret "$@"
  attempt in_pod setup
  [[ $STATUS == 0 ]] || fault "setup with $1: status $STATUS"
  PREPARED=$OUTPUT
}

# The exported files hold these roots of ours and no other; status names each.
# carries NAME...: the current one first
carries() {
  local name expected system status file
  expected=$(for name; do fingerprint "$PKI/$name.crt"; done | sort)
  same mitmproxy-ca-cert.pem "$(fingerprint "$PKI/$1.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault 'exported certificate'
  same mitmproxy-ca-roots.pem "$expected" "$(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")" || fault roots
  system=$({ fingerprints /etc/ssl/certs/ca-certificates.crt && fingerprint "$STAGE/pki/private-ca.crt"; } | sort -u)
  cat "$EXPORT"/certs/*.[0-9] >"$LAB/hashed"
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
# ending NAME: a root that ends in an hour. ended_by_now CMD...: the same, two hours from now.
ending() { END='+1 hour' root "$1"; }
ended_by_now() {
  set_clock 7200
  attempt in_pod "${CLOCK_PRELOADED[@]}" "$@"
}

@test "rotation by CA_DIR, other subject: old root alone, new root alone, new bundle" {
  clients_are "${ROTATION_CLIENTS[@]}" wget
  root old
  root new
  root stranger
  rotate_to old
  carries old
  rotate_to new
  restart healthd
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
  restart healthd
  carries new old
  everybody old new
  no_faults
}

@test "twice in a row, EC to RSA to EC: the last two roots alone, and the bundle; the first stays in the bundle" {
  clients_are "${ROTATION_CLIENTS[@]}" wget
  root first
  root second rsa2048
  root third
  rotate_to first
  rotate_to second
  rotate_to third
  lacks "$PREPARED" warn || fault 'a warning'
  restart healthd
  carries third second first
  everybody second third
  same 'sent behind the leaf' 2 "$(grep -c BEGIN.CERT "$CONFDIR/mitmproxy-ca.pem")" || fault sent
  refute grep -qx "$(fingerprint "$PKI/first.crt")" <(fingerprints "$LAB/sent")
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
  local healthd RUNNING=()
  root one
  root two rsa2048
  rotate_to one
  up healthd
  healthd=$SPAWNED
  start_client old "$PKI/one.crt"
  start_client bundle "$BUNDLE"
  start_client roots "$EXPORT/mitmproxy-ca-roots.pem"
  rotate_to two
  # The export is new, mitmdump is not.
  sleep 0.5
  kill -TERM "$healthd"
  await_exit "$healthd" 6
  up healthd
  sleep 0.5
  wait_until 5 sh -c "tail -qn 1 $LAB/old.log $LAB/bundle.log $LAB/roots.log | sort -u | grep -qx 0"
  kill -STOP "${RUNNING[@]}"
  never old
  never bundle
  never roots
  kill -KILL "${RUNNING[@]}"
  carries two one
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
  remove "$EXPORT" "$LAB/run"
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
  restart healthd
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
  restart healthd
  same 'exported certificate' "$(fingerprint "$PKI/renewed.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  everybody old renewed
  # And once more, to another key.
  root new
  rotate_to new
  restart healthd
  everybody old renewed new
  no_faults
}

@test "an old CA with pathlen:0 can sign no other: a warning, the new root and the bundle work" {
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} root old
  root new
  rotate_to old
  rotate_to new
  has "$PREPARED" 'warn.*(path ?len|path length|pathlen:0)' || fault 'no warning'
  restart healthd
  carries new old
  trusting "$PKI/new.crt" "${WHO[@]}"
  intercepted "${WHO[@]}"
  verifies new
  # Not silently accepted either: this client cannot work.
  not_trusting "$PKI/old.crt" curl openssl
  no_faults
}

@test "an earlier root is carried until it expires, and then no more" {
  ending old
  root new
  rotate_to old
  rotate_to new
  carries new old
  ended_by_now setup
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  carries new
  restart healthd
  trusting "$PKI/new.crt" "${WHO[@]}"
  intercepted "${WHO[@]}"
  verifies new
  no_faults
}

@test "a confdir that cannot be written when something in the chain has ended: a warning" {
  ending old
  root new
  rotate_to old
  rotate_to new
  mount --bind "$CONFDIR" "$CONFDIR"
  mount -o remount,ro,bind "$CONFDIR"
  ended_by_now setup
  umount -l "$CONFDIR"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'warn.*mitmproxy-ca.pem: has certificates that have expired: .*Read-only'
  carries new
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

@test "a CA that brings its own cross certificate: none is added, and setup comes to rest" {
  root one
  root two
  SUBJECT=/CN=one KEY=one certify one-by-two two
  cp "$PKI/one.key" "$PKI/one-by-two.key"
  rotate_to one
  rotate_to one-by-two two
  carries two one
  same 'certificates of the CA' 2 "$(grep -c BEGIN.CERT "$CONFDIR/mitmproxy-ca.pem")" || fault chain
  local before
  before=$(files | grep -v "$LAB/run")
  attempt in_pod setup
  same files "$before" "$(files | grep -v "$LAB/run")" || fault 'second run'
  restart healthd
  everybody one two
  no_faults
}

@test "CAs without a key identifier" {
  # (Without being told, openssl adds one.)
  local EXTENSIONS=$'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=none'
  root one
  root two
  rotate_to one
  rotate_to two
  lacks "$PREPARED" warn || fault 'a warning'
  restart healthd
  for name in one two; do trusting "$PKI/$name.crt" curl java; done
  no_faults
}

@test "a damaged export: it is made anew, and no root of it is lost" {
  local file roots=$EXPORT/mitmproxy-ca-roots.pem
  for file in one two three; do root $file; done
  rotate_to one
  rotate_to two
  for file in merged-ca-certificates.pem mitmproxy-truststore.p12 mitmproxy-ca-cert.pem trust.env; do
    echo damaged >"$EXPORT/$file"
  done
  rm -r "$EXPORT/certs"
  rotate_to two
  carries two one
  # Of the file that says which roots there were, one certificate is damaged.
  rotate_to three
  { cat "$PKI/one.crt" && sed '3s/^...../!!!!!/' "$PKI/three.crt" && cat "$PKI/two.crt"; } >"$roots"
  rotate_to three
  has "$PREPARED" 'warn .*mitmproxy-ca-roots.pem: damaged certificates' || fault 'no warning'
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
  restart healthd
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
  restart healthd
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
  restart healthd
  carries top old
  everybody old top
  # A second run changes nothing.
  local before
  before=$(files | grep -v "$LAB/run")
  attempt in_pod setup
  same files "$before" "$(files | grep -v "$LAB/run")" || fault 'second run'
  # Another intermediate CA of the same root, and the same one renewed, keep the cross certificate.
  intermediate other top
  rotate_to other top
  cp "$PKI/other.key" "$PKI/renewed.key"
  SUBJECT=/CN=other END='+2 years' EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} certify renewed top
  rotate_to renewed top
  has "$PREPARED" 'renewed from' || fault 'not renewed'
  restart healthd
  carries top old
  everybody old top
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
  restart healthd
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
