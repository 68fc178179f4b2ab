#!/usr/bin/env bats
# Where the CA comes from, and that everybody can trust it with what is exported.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/clients.sh"

setup_file() { suite_up; clients_up; }
setup() {
  test_up
  give MITMPROXY_IGNORE_HOSTS='^pinned-one\.test(:\d+)?$'
}

from_ca_dir() { give MITMPROXY_CA_DIR="$CA_DIR"; }

fresh() { remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"; }

# Every client, with nothing but what is exported; and none without it.
all_clients() {
  read_trust_env
  intercepted "${CLIENTS[@]}"
  passed_through "${CLIENTS[@]}"
  no_faults
}

# The fingerprint is the same in each file, in status, in state and in what is served.
# everywhere FINGERPRINT: of the root
everywhere() {
  local served
  same mitmproxy-ca-cert.pem "$1" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault export
  grep -qx "$1" <(fingerprints "$EXPORT/mitmproxy-ca-roots.pem") || fault roots
  grep -qx "$1" <(fingerprints "$BUNDLE") || fault bundle
  cat "$EXPORT"/certs/*.[0-9] >"$LAB/hashed"
  grep -qx "$1" <(fingerprints "$LAB/hashed") || fault 'hashed directory'
  keytool -list -keystore "$EXPORT/mitmproxy-truststore.p12" -storepass changeit 2>&1 | tr -d : | tr A-F a-f >"$LAB/listed"
  grep -q "$1" "$LAB/listed" || fault 'trust store'
  same state "$1" "$(state setup.ca_sha256)" || fault state
  has "$(in_pod setup status)" "$1" || fault status
  served=$(as_app curl -sS --max-time 5 --cacert "$EXPORT/mitmproxy-ca-cert.pem" --capath /dev/null https://shop.example.test/)
  has "$served" '^X-OpenSandbox-Egress: 1' || fault served
}

@test "a generated CA: every client, intercepted and passed through" {
  up
  all_clients
  everywhere "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")"
  no_faults
}

@test "without the exported files no client is content: the clients can fail" {
  up
  local name
  TRUST_ENV=()
  for name in "${CLIENTS[@]}"; do
    [[ $name != openssl-* ]] || continue # are told by option
    attempt client "$name" shop.example.test /
    [[ $STATUS != 0 ]] || fault "$name"
    grep -qiE 'certif|verif|PKIX' <<<"$OUTPUT" || fault "$name: not the certificate: $OUTPUT"
  done
  new_key stranger ec-P-256
  certify stranger
  not_trusting "$PKI/stranger.crt" "${ROTATION_CLIENTS[@]}"
  no_faults
}

@test "the confdir as mitmproxy made it (RSA): every client, intercepted and passed through" {
  become_mitm env HOME="$LAB/home" "$MITMDUMP" --set confdir="$CONFDIR" -n -r /dev/null
  local before
  before=$(stat -c '%i %Y %s' "$CONFDIR/mitmproxy-ca.pem")
  up
  same 'the CA' "$before" "$(stat -c '%i %Y %s' "$CONFDIR/mitmproxy-ca.pem")"
  all_clients
  everywhere "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.pem")"
  no_faults
}

@test "CA_DIR with an intermediate CA as cert-manager makes it: every client, intercepted and passed through" {
  from_ca_dir
  root top rsa2048
  intermediate middle top
  tls_secret middle top
  up
  all_clients
  everywhere "$(fingerprint "$PKI/top.crt")"
  no_faults
}

# Two clients suffice to tell whether a CA works: served KIND ROOT
served() {
  local root=$2
  restart entrypoint.sh || {
    fault "$1: $(tail -n 2 "$LAB/up.log")"
    return 0
  }
  reaches 1 shop.example.test "$1, curl" client curl
  reaches 1 shop.example.test "$1, openssl" client openssl-file
  same "$1" "$(fingerprint "$PKI/$root.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault "$1: exported"
  # The key is still the same, and it is what signs.
  same "$1" "$(openssl pkey -in "$PKI/${3-$2}.key" -pubout)" "$(openssl pkey -in "$CONFDIR/mitmproxy-ca.pem" -pubout)" ||
    fault "$1: another key"
  same "$1" "600 $MITM_UID:$MITM_UID" "$(stat -c '%a %u:%g' "$CONFDIR/mitmproxy-ca.pem")" || fault "$1: owner and mode"
}

@test "CA_DIR, RSA and EC, PKCS#1, SEC1 and PKCS#8" {
  from_ca_dir
  local algorithm form
  while read -r algorithm form; do
    fresh
    root "$algorithm" "$algorithm"
    key_form "$algorithm" "$form" >"$LAB/key"
    secret "$CA_DIR" tls.crt="$PKI/$algorithm.crt" tls.key="$LAB/key"
    served "$algorithm $form" "$algorithm"
  done <<<'rsa2048 pkcs8
    rsa3072 pkcs1
    ec-P-256 pkcs8
    ec-P-256 sec1
    ec-P-256 sec1-parameters
    ec-P-384 sec1'
  no_faults
}

@test "CA_DIR with mitmproxy-ca.pem, key first or last, and a Secret that only root can read" {
  from_ca_dir
  root one rsa2048
  cat "$PKI/one.key" "$PKI/one.crt" >"$LAB/pem"
  secret "$CA_DIR" mitmproxy-ca.pem="$LAB/pem"
  served 'mitmproxy-ca.pem, key first' one
  fresh
  cat "$PKI/one.crt" "$PKI/one.key" >"$LAB/pem"
  mkdir "$CA_DIR"
  cp "$LAB/pem" "$CA_DIR/mitmproxy-ca.pem"
  served 'mitmproxy-ca.pem, key last, a plain file' one
  fresh
  SECRET_MODE=0400 tls_secret one
  served 'mode 0400' one
  no_faults
}

@test "the confdir as it is, by hand: RSA and EC, PKCS#1, SEC1 and PKCS#8, with a chain" {
  local algorithm form
  while read -r algorithm form; do
    fresh
    root "$algorithm" "$algorithm"
    { key_form "$algorithm" "$form" && cat "$PKI/$algorithm.crt"; } >"$LAB/pem"
    place_ca "$LAB/pem"
    served "$algorithm $form" "$algorithm"
  done <<<'rsa2048 pkcs1
    rsa2048 pkcs8
    ec-P-256 sec1
    ec-P-256 sec1-parameters'
  fresh
  root top
  intermediate middle top
  pem middle top >"$LAB/pem"
  place_ca "$LAB/pem"
  served 'intermediate with its root' top middle
  no_faults
}

@test "an intermediate CA: root in tls.crt or in ca.crt, two levels, in mitmproxy-ca.pem" {
  from_ca_dir
  root top rsa2048
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:1} intermediate policy top
  intermediate issuing policy rsa2048
  intermediate middle top
  tls_secret middle top
  served 'root in ca.crt' top middle
  fresh
  cat "$PKI/middle.crt" "$PKI/top.crt" >"$LAB/chain"
  secret "$CA_DIR" tls.crt="$LAB/chain" tls.key="$PKI/middle.key"
  served 'root in tls.crt' top middle
  fresh
  cat "$PKI/issuing.crt" "$PKI/policy.crt" >"$LAB/chain"
  secret "$CA_DIR" tls.crt="$LAB/chain" tls.key="$PKI/issuing.key" ca.crt="$PKI/top.crt"
  served 'two levels, root in ca.crt' top issuing
  # A client that trusts only the root needs every level to be sent along.
  as_app bash -c 'openssl s_client -showcerts -connect shop.example.test:443 -servername shop.example.test </dev/null' \
    2>/dev/null | sed -n '/BEGIN/,/END/p' >"$LAB/sent"
  for name in issuing policy; do
    grep -qx "$(fingerprint "$PKI/$name.crt")" <(fingerprints "$LAB/sent") || fault "$name is not sent"
  done
  trusting "$PKI/top.crt" "${ROTATION_CLIENTS[@]}"
  fresh
  pem issuing policy top >"$LAB/pem"
  secret "$CA_DIR" mitmproxy-ca.pem="$LAB/pem"
  served 'two levels, mitmproxy-ca.pem' top issuing
  no_faults
}

@test "what belongs to the chain is found, whatever lies around it, and in whatever order" {
  from_ca_dir
  root top rsa2048
  root other
  SUBJECT=/CN=top root namesake
  EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:1} intermediate policy top
  intermediate issuing policy
  cat "$PKI/other.crt" "$PKI/namesake.crt" "$PKI/top.crt" >"$LAB/roots"
  secret "$CA_DIR" tls.crt=<(cat "$PKI/issuing.crt" "$PKI/policy.crt") tls.key="$PKI/issuing.key" ca.crt="$LAB/roots"
  served 'several roots in ca.crt' top issuing
  fresh
  secret "$CA_DIR" tls.crt=<(cat "$PKI/issuing.crt" "$PKI/other.crt" "$PKI/policy.crt") tls.key="$PKI/issuing.key" ca.crt="$PKI/top.crt"
  served 'another root in tls.crt' top issuing
  fresh
  secret "$CA_DIR" tls.crt=<(cat "$PKI/issuing.crt" "$PKI/top.crt" "$PKI/policy.crt") tls.key="$PKI/issuing.key"
  served 'another order' top issuing
  trusting "$PKI/top.crt" "${ROTATION_CLIENTS[@]}"
  fresh
  SUBJECT=/CN=top KEY=top START='-9 days' END='-1 day' certify ended
  secret "$CA_DIR" tls.crt=<(cat "$PKI/issuing.crt" "$PKI/policy.crt" "$PKI/ended.crt") tls.key="$PKI/issuing.key" ca.crt="$PKI/top.crt"
  served 'a renewed root in ca.crt' top issuing
  fresh
  DIGEST=default root modern ED25519
  DIGEST=default intermediate middle modern rsa2048
  tls_secret middle modern
  served 'an Ed25519 root' modern middle
  no_faults
}

# Pods whose volumes live in memory know of no earlier run.
@test "further roots in ca.crt are exported: an application finds the earlier one as well" {
  local name ca
  from_ca_dir
  root earlier
  root current
  root middle-top
  START='-9 days' END='-1 day' root ended
  EXTENSIONS=basicConstraints=critical,CA:FALSE root leaf
  intermediate middle middle-top
  cat "$PKI/earlier.crt" "$PKI/current.crt" "$PKI/ended.crt" "$PKI/leaf.crt" "$PKI/middle.crt" >"$LAB/roots"
  for ca in tls single; do
    fresh
    if [[ $ca == tls ]]; then
      secret "$CA_DIR" tls.crt="$PKI/current.crt" tls.key="$PKI/current.key" ca.crt="$LAB/roots"
    else
      pem current >"$LAB/pem"
      secret "$CA_DIR" mitmproxy-ca.pem="$LAB/pem" ca.crt="$LAB/roots"
    fi
    served "$ca" current
    same "$ca: roots" "$({ fingerprint "$PKI/current.crt" && fingerprint "$PKI/earlier.crt"; } | sort)" \
      "$(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")" || fault "$ca: roots"
    cat "$EXPORT"/certs/*.[0-9] >"$LAB/hashed"
    for name in current earlier; do
      grep -qx "$(fingerprint "$PKI/$name.crt")" <(fingerprints "$BUNDLE") || fault "$ca: $name in the bundle"
      grep -qx "$(fingerprint "$PKI/$name.crt")" <(fingerprints "$LAB/hashed") || fault "$ca: $name in certs"
    done
    has "$(in_pod setup status)" "$(fingerprint "$PKI/earlier.crt")" || fault "$ca: status"
  done
  # A damaged ca.crt is refused: who relies on the earlier root would break.
  sed '3s/^...../!!!!!/' "$PKI/earlier.crt" >"$LAB/roots"
  secret "$CA_DIR" tls.crt="$PKI/current.crt" tls.key="$PKI/current.key" ca.crt="$LAB/roots"
  attempt in_pod setup
  [[ $STATUS == 78 ]] || fault "damaged: status $STATUS"
  has "$OUTPUT" 'error .*/ca.crt: damaged certificate' || fault damaged
  no_faults
}

@test "an existing confdir with the same CA as CA_DIR is left as it is" {
  from_ca_dir
  root one
  tls_secret one
  in_pod setup
  local before
  before=$(files | grep -v "$LAB/run")
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  # kubelet writes the same anew.
  tls_secret one
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  same files "$before" "$(files | grep -v "$LAB/run")"
}

@test "CA_DIR is never written, neither are its owners and modes: read-only will do" {
  from_ca_dir
  root one
  SECRET_MODE=0440 tls_secret one
  local before
  before=$(find "$CA_DIR" -printf '%p %y %m %U:%G %n %s %i %T@ %C@ %l\n' | sort)
  in_pod setup
  same CA_DIR "$before" "$(find "$CA_DIR" -printf '%p %y %m %U:%G %n %s %i %T@ %C@ %l\n' | sort)"
  remove "$CONFDIR"
  # shellcheck disable=SC2016 # for the inner shell
  attempt in_pod unshare -m bash -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec setup' bash "$CA_DIR"
  [[ $STATUS == 0 ]]
}

# The namespaces are gone, the volumes stay.
new_pod() {
  down
  netns_down
  netns_up
  origin_up "$STAGE/pki" "$LAB/origin"
}

@test "everything restarted but the volumes: same fingerprint, no client breaks; volumes deleted: a new CA everywhere" {
  up
  local first second
  first=$(fingerprint "$CONFDIR/mitmproxy-ca.pem")
  everywhere "$first"
  # What an application read at its start, and keeps.
  cp -a "$EXPORT" "$LAB/kept"
  new_pod
  up
  everywhere "$first"
  sed -i "s,$EXPORT,$LAB/kept,g" "$LAB"/kept/{trust.env,wgetrc,apt.conf,php.ini}
  read_trust_env_of "$LAB/kept"
  intercepted curl openssl urllib requests node java git wget
  passed_through curl openssl urllib
  new_pod
  fresh
  up
  second=$(fingerprint "$CONFDIR/mitmproxy-ca.pem")
  [[ $second != "$first" ]]
  everywhere "$second"
  read_trust_env
  intercepted curl openssl urllib node java
  refute grep -rq "$first" "$STATE" "$LAB/listed"
  refute grep -qx "$first" <(fingerprints "$BUNDLE")
  refute grep -qx "$first" <(fingerprints "$LAB/hashed")
  refute grep -qx "$first" <(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")
  lacks "$(in_pod setup status)" "$first"
  no_faults
}

@test "only the export volume deleted: the same CA is exported again" {
  up
  local first
  first=$(fingerprint "$CONFDIR/mitmproxy-ca.pem")
  remove "$EXPORT" "$LAB/run"
  restart entrypoint.sh
  everywhere "$first"
  no_faults
}

@test "the export is the same every time, byte for byte" {
  root one
  pem one >"$LAB/pem"
  place_ca "$LAB/pem"
  in_pod setup prepare
  local before
  before=$(cd "$EXPORT" && find . -type f -exec sha256sum {} + | sort)
  remove "$EXPORT"
  sleep 1.1 # a time stamp in a file would have changed
  in_pod setup prepare
  same export "$before" "$(cd "$EXPORT" && find . -type f -exec sha256sum {} + | sort)"
  has "$before" ' \./mitmproxy-truststore.p12$'
  has "$before" ' \./trust.env$'
}

@test "the export: directory 0755, files 0644, of root, and no key" {
  from_ca_dir
  root one rsa2048
  tls_secret one
  in_pod bash -c 'umask 077; setup prepare'
  same 'modes of files' '644 0:0' "$(find "$EXPORT" -type f -printf '%m %U:%G\n' | sort -u)"
  same 'modes of directories' '755 0:0' "$(find "$EXPORT" -type d -printf '%m %U:%G\n' | sort -u)"
  same 'anything else' '' "$(find "$EXPORT" ! -type f ! -type d ! -type l)"
  refute grep -rq 'PRIVATE KEY' "$EXPORT"
  # Nor in the trust store, which is binary.
  attempt openssl pkcs12 -in "$EXPORT/mitmproxy-truststore.p12" -passin pass:changeit -nocerts -nodes
  lacks "$OUTPUT" 'PRIVATE KEY'
}

@test "the hashed directory is what openssl rehash would make" {
  in_pod setup prepare
  mkdir "$LAB/again"
  awk -v dir="$LAB/again" '/BEGIN CERT/ { file = dir "/" ++n ".pem" } file { print > file } /END CERT/ { close(file); file = "" }' "$BUNDLE"
  openssl rehash "$LAB/again"
  same names "$(find "$LAB/again" -type l -printf '%f\n' | sort)" "$(find "$EXPORT/certs" -name '*.[0-9]' -printf '%f\n' | sort)"
  cat "$EXPORT"/certs/*.[0-9] >"$LAB/hashed"
  same certificates "$(fingerprints "$BUNDLE")" "$(fingerprints "$LAB/hashed")"
  # ... and beside it what else Debian and Alpine have in /etc/ssl/certs.
  same 'other files' $'ca-certificates.crt\njava/cacerts' \
    "$(find "$EXPORT/certs" ! -type d ! -name '*.[0-9]' -printf '%P\n' | sort)"
  cmp "$BUNDLE" "$EXPORT/certs/ca-certificates.crt"
  cmp "$EXPORT/mitmproxy-truststore.p12" "$EXPORT/certs/java/cacerts"
}

@test "keytool lists the trust store, with the same roots, with the password changeit and with none" {
  in_pod setup prepare
  local all
  all=$(grep -c BEGIN "$BUNDLE")
  # Nobody is there to answer a question. (keytool prints one whatever the file.)
  attempt timeout 20 setsid keytool -list -keystore "$EXPORT/mitmproxy-truststore.p12" </dev/null
  [[ $STATUS == 0 ]] || fault 'without a password'
  same 'trusted entries, no password' "$all" "$(grep -c trustedCertEntry <<<"$OUTPUT")" || fault entries
  attempt timeout 20 keytool -list -keystore "$EXPORT/mitmproxy-truststore.p12" -storetype PKCS12 -storepass changeit </dev/null
  [[ $STATUS == 0 ]] || fault 'with the password changeit'
  same 'trusted entries' "$all" "$(grep -c trustedCertEntry <<<"$OUTPUT")" || fault entries
  no_faults
}

@test "trust.env: NAME=value lines, with paths as the application sees them" {
  give EXPORT_MOUNT=/etc/opensandbox
  in_pod setup prepare
  local texts=("$EXPORT"/{trust.env,trust.sh,wgetrc,apt.conf,php.ini}) line path
  refute grep -F "$EXPORT" "${texts[@]}"
  # Each line names the export, and no character in it means anything to a shell's `export "$line"`.
  while IFS= read -r line; do
    [[ $line =~ ^[A-Z][A-Z0-9_]*=[^\"\'\$]*/etc/opensandbox ]] || fault "$line"
  done <"$EXPORT/trust.env"
  same 'variables that stand twice' '' "$(cut -d= -f1 "$EXPORT/trust.env" | sort | uniq -d)"
  # Programs that have their own transport beside it do not start with this one.
  lacks "$(<"$EXPORT/trust.env")" '^AWS_CA_BUNDLE'
  # Each file that is named is there.
  while read -r path; do
    [[ -e $EXPORT/${path#/etc/opensandbox} ]] || fault "$path"
  done < <(grep -ohE '/etc/opensandbox[^" '\'']*' "${texts[@]}")
  no_faults
}

@test "trust.sh: every shell takes it, and has the variables of trust.env then" {
  local shell
  give EXPORT_MOUNT='/opt/a_b-c.d+e@f=,%'
  in_pod setup prepare
  for shell in 'dash -eu' 'bash -eu' 'bash --posix -eu'; do
    # shellcheck disable=SC2016,SC2086 # the other shell's; a shell and its options
    attempt env -i PATH="$PATH" $shell -c '. "$1" && env' shell "$EXPORT/trust.sh"
    same "$shell" "$(sort "$EXPORT/trust.env")" "$(grep -vE '^(PATH|PWD|SHLVL|OLDPWD|_)=' <<<"$OUTPUT" | sort)" || fault "$shell"
  done
  no_faults
}

@test "EXPORT_MOUNT: the application sees the export elsewhere, and trusts all the same" {
  give EXPORT_MOUNT="$LAB/elsewhere"
  up
  refute grep -qF "$EXPORT/" "$EXPORT/trust.env"
  mv "$EXPORT" "$LAB/elsewhere"
  read_trust_env_of "$LAB/elsewhere"
  intercepted curl openssl urllib requests node java git wget
  no_faults
}

# The roots of other distributions lie elsewhere. roots_at PATH: setup, where that is all there is.
roots_at() {
  local etc=$LAB/etc
  remove "$etc" "$EXPORT"
  mkdir -p "$etc" "$LAB/empty"
  # shellcheck disable=SC2016 # for the inner shell
  in_pod unshare -m bash -euc '
    mount -t tmpfs none "$1"
    mkdir "$1/upper" "$1/work"
    mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
    rm -rf /etc/ssl /etc/pki /etc/ca-certificates
    mkdir -p "${2%/*}" /etc/ssl
    cp "$3" "$2"
    # What Debian keeps beside /etc/ssl.
    ! [ -d /usr/share/ca-certificates ] || mount --bind "$4" /usr/share/ca-certificates
    exec setup prepare' bash "$etc" "$1" "$LAB/roots.pem" "$LAB/empty"
}
@test "system roots are found where Debian, Red Hat, Alpine and SUSE keep them" {
  root one
  root two rsa2048
  cat "$PKI/one.crt" "$PKI/two.crt" "$PKI/one.crt" >"$LAB/roots.pem"
  local path all
  for path in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
    /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem /etc/ssl/ca-bundle.pem; do
    attempt roots_at "$path"
    [[ $STATUS == 0 ]] || fault "$path: status $STATUS"
    all=$(fingerprints "$BUNDLE")
    # Both, the private CA of the trust directory, and ours.
    [[ $(wc -l <<<"$all") == 4 ]] || fault "$path: $(wc -l <<<"$all") certificates"
    for name in one two; do
      grep -qx "$(fingerprint "$PKI/$name.crt")" <<<"$all" || fault "$path: $name is missing"
    done
  done
  no_faults
}

# The five that the init step needs, and no other.
FIVE=(net_admin net_raw chown setuid setgid)
# with_capabilities CAPABILITY... -- CMD...
with_capabilities() {
  local list=-all
  while [[ $1 != -- ]]; do
    list+=,+$1
    shift
  done
  shift
  in_pod setpriv --bounding-set="$list" --inh-caps=-all "$@"
}

# Where the confdir may be: CONFDIR, and how its parent looks.
confdir_in_the_users_home() { :; } # the default, and the lab's
confdir_on_a_volume() {
  CONFDIR=$LAB/volume/.mitmproxy
  mkdir -m 0777 "$LAB/volume"
  chmod 0777 "$LAB/volume"
  give MITMPROXY_CONFDIR="$CONFDIR"
}
confdir_is_a_volume() {
  CONFDIR=$LAB/volume
  fresh
  give MITMPROXY_CONFDIR="$CONFDIR"
}
fresh_volume() {
  fresh
  [[ $CONFDIR != "$LAB/volume" ]] || {
    mkdir "$CONFDIR"
    chmod 0777 "$CONFDIR"
  }
}

# every_source: run with the five capabilities, with a CA from each source.
every_source() {
  # shellcheck disable=SC2016 # for awk
  attempt with_capabilities "${FIVE[@]}" -- awk '/^Cap(Prm|Eff|Bnd)/ { print $2 }' /proc/self/status
  same capabilities 00000000000030c1 "$(sort -u <<<"$OUTPUT")"
  local what
  fresh_volume
  for what in 'first run' 'second run'; do
    attempt with_capabilities "${FIVE[@]}" -- setup
    [[ $STATUS == 0 ]] || fault "generated, $what: status $STATUS"
  done
  from_ca_dir
  for what in one two three; do
    root $what
    SECRET_MODE=0400 tls_secret $what
    attempt with_capabilities "${FIVE[@]}" -- setup
    [[ $STATUS == 0 ]] || fault "CA_DIR, $what: status $STATUS"
    same "$what" "$(fingerprint "$PKI/$what.crt")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" || fault "$what"
  done
  attempt with_capabilities "${FIVE[@]}" -- setup status
  [[ $STATUS == 0 ]] || fault "status: $STATUS"
  unset "${P}MITMPROXY_CA_DIR"
  pem one >"$LAB/pem"
  fresh_volume
  place_ca "$LAB/pem"
  attempt with_capabilities "${FIVE[@]}" -- setup
  [[ $STATUS == 0 ]] || fault "confdir, placed by root: status $STATUS"
  fresh_volume
  place_ca "$LAB/pem" $MITM_UID 0600 $MITM_UID 0700
  attempt with_capabilities "${FIVE[@]}" -- setup
  [[ $STATUS == 0 ]] || fault "confdir, placed by the user: status $STATUS"
  restart entrypoint.sh
  read_trust_env
  intercepted curl
  no_faults
}
@test "exactly NET_ADMIN, NET_RAW, CHOWN, SETUID, SETGID will do: confdir in the user's home" {
  confdir_in_the_users_home
  every_source
}
@test "exactly NET_ADMIN, NET_RAW, CHOWN, SETUID, SETGID will do: confdir on a volume" {
  confdir_on_a_volume
  every_source
}
@test "exactly NET_ADMIN, NET_RAW, CHOWN, SETUID, SETGID will do: confdir is a volume" {
  confdir_is_a_volume
  every_source
}

@test "a missing capability is named, exit 77, and nothing is left half done" {
  local missing capability some
  confdir_on_a_volume
  for missing in "${FIVE[@]}"; do
    some=()
    for capability in "${FIVE[@]}"; do
      [[ $capability == "$missing" ]] || some+=("$capability")
    done
    in_pod setup clear
    fresh
    # Without NET_RAW nft would do.
    attempt with_capabilities "${some[@]}" -- env ${P}REDIRECT_BACKEND=iptables setup
    [[ $STATUS == 77 ]] || fault "$missing: status $STATUS"
    has "$OUTPUT" "CAP_${missing^^}" || fault "$missing: not named"
    for capability in "${some[@]}"; do
      # NET_RAW and NET_ADMIN may be named together: libiptc cannot tell which.
      [[ $missing == net_* && $capability == net_* ]] || lacks "$OUTPUT" "CAP_${capability^^}" || fault "$missing: $capability is named"
    done
    nothing_of_ours || fault "$missing: rules"
    # With all of them the next run succeeds, whatever this one left.
    attempt with_capabilities "${FIVE[@]}" -- setup
    [[ $STATUS == 0 ]] || fault "$missing: the next run: status $STATUS"
  done
  no_faults
}
