#!/usr/bin/env bats
# CAs that cannot work: refused with the reason, quickly, and nothing is changed.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/clients.sh"

setup_file() { suite_up; clients_up; }
setup() {
  test_up
  BAD=$LAB/bad
  mkdir "$BAD"
  root good
  pem good >"$LAB/good.pem"
}

# A CA is there, exported, and the rules: as it is before the operator's mistake.
good_confdir() {
  unset ${P}MITMPROXY_CA_DIR
  place_ca "$LAB/good.pem" $MITM_UID 0600 $MITM_UID 0700
  in_pod setup 2>"$LAB/log" || cat "$LAB/log"
}
# What must be the same afterwards.
as_before() {
  find "$CONFDIR" "$EXPORT" -printf '%p %y %m %U:%G %n %s %i %T@ %C@ %l\n' | sort
  find "$CONFDIR" "$EXPORT" -type f -size -1M -print0 | sort -z | xargs -0r sha256sum
  state setup.ca
  state setup.ca_sha256
}

# refused NAME PATTERN FILE: setup with the CA as it lies there.
refused() {
  local name=$1 pattern=$2 file=$3 status=${4-78} before started took
  before=$(as_before)
  started=$(milliseconds)
  attempt in_pod timeout 10 setup
  took=$(($(milliseconds) - started))
  [[ $STATUS != 0 ]] || {
    fault "$name: accepted"
    remove "$CONFDIR"
    good_confdir
    return 0
  }
  [[ $STATUS =~ ^($status)$ ]] || fault "$name: status $STATUS"
  has "$OUTPUT" " error .*($file)" || fault "$name: file not named"
  has "$OUTPUT" " error .*($pattern)" || fault "$name: reason not named"
  ((took < 2000)) || fault "$name: took $took ms"
  lacks "$OUTPUT" 'PRIVATE KEY|passphrase:|pass phrase:' || fault "$name: says too much, or asks"
  [[ $(grep -c ' error ' <<<"$OUTPUT") == 1 ]] || fault "$name: more than one error line"
  same "$name" "$before" "$(as_before)" || fault "$name: something changed"
  state_is setup.state failed || fault "$name: state $(state setup.state)"
  has "$(state setup.error)" "$pattern" || fault "$name: not in the state file"
}
# as_secret NAME PATTERN [FILE]: what lies in $BAD as tls.crt and tls.key, in CA_DIR.
as_secret() {
  rm -rf "$CA_DIR"
  secret "$CA_DIR" tls.crt="$BAD/tls.crt" tls.key="$BAD/tls.key"
  give MITMPROXY_CA_DIR="$CA_DIR"
  refused "$1 (Secret)" "$2" "$CA_DIR/(${3-tls.(crt|key)})"
}
# as_pem NAME PATTERN: the same in one file, in CA_DIR.
as_pem() {
  rm -rf "$CA_DIR"
  mkdir "$CA_DIR"
  cat "$BAD/tls.key" "$BAD/tls.crt" >"$CA_DIR/mitmproxy-ca.pem"
  give MITMPROXY_CA_DIR="$CA_DIR"
  refused "$1 (mitmproxy-ca.pem)" "$2" "$CA_DIR/mitmproxy-ca.pem"
}
# in_confdir NAME PATTERN: the same where the CA in use was.
in_confdir() {
  unset ${P}MITMPROXY_CA_DIR
  cat "$BAD/tls.key" "$BAD/tls.crt" >"$LAB/pem"
  cp -a "$CONFDIR/mitmproxy-ca.pem" "$LAB/kept"
  place_ca "$LAB/pem" $MITM_UID 0600 $MITM_UID 0700
  refused "$1 (confdir)" "$2" "$CONFDIR/mitmproxy-ca.pem"
  rm "$CONFDIR/mitmproxy-ca.pem"
  mv "$LAB/kept" "$CONFDIR/mitmproxy-ca.pem"
}

# use NAME [KEY]: take certificate and key from $PKI.
use() {
  cp "$PKI/$1.crt" "$BAD/tls.crt"
  cp "$PKI/${2-$1}.key" "$BAD/tls.key"
}

# Make what is wrong with it: bad NAME. Begins with the good one.
bad() {
  local crt=$BAD/tls.crt private=$BAD/tls.key
  use good
  case $1 in
    # Whether it parses.
    truncated-cert) head -c 300 "$PKI/good.crt" >"$crt" ;;
    truncated-key) head -c 150 "$PKI/good.key" >"$private" ;;
    cert-without-end) sed '$d' "$PKI/good.crt" >"$crt" ;;
    empty-cert) : >"$crt" ;;
    empty-key) : >"$private" ;;
    blank) printf '\n\n' >"$crt" && printf '\n' >"$private" ;;
    text) cp /etc/hostname "$crt" && cp /etc/hostname "$private" ;;
    binary) head -c 2000 /dev/urandom >"$crt" && head -c 2000 /dev/urandom >"$private" ;;
    base64) sed '3s/^...../!!!!!/' "$PKI/good.crt" >"$crt" ;;
    der-inside) { echo '-----BEGIN CERTIFICATE-----' && head -c 300 /dev/zero | base64 && echo '-----END CERTIFICATE-----'; } >"$crt" ;;
    cert-is-der) openssl x509 -in "$PKI/good.crt" -outform DER -out "$crt" ;;
    key-is-der) openssl pkey -in "$PKI/good.key" -outform DER -out "$private" ;;
    pkcs12) openssl pkcs12 -export -in "$PKI/good.crt" -inkey "$PKI/good.key" -passout pass: -out "$crt" ;;
    exchanged) cp "$PKI/good.key" "$crt" && cp "$PKI/good.crt" "$private" ;;
    cert-is-request) openssl req -new -config "$PKI/ca.cnf" -key "$PKI/good.key" -subj /CN=x -out "$crt" ;;
    text-cert) cp /etc/hostname "$crt" ;;
    damaged-key) sed '2s/^...../!!!!!/' "$PKI/good.key" >"$private" ;;
    cert-is-key) cp "$PKI/good.key" "$crt" ;;
    key-is-cert) cp "$PKI/good.crt" "$private" ;;
    key-is-public) openssl pkey -in "$PKI/good.key" -pubout -out "$private" ;;
    nul-bytes) { cat "$PKI/good.crt" && head -c 100 /dev/zero && cat "$PKI/good.crt"; } >"$crt" ;;
    garbage-between) { cat "$PKI/good.crt" && head -c 3000 /dev/urandom && echo && cat "$PKI/good.crt"; } >"$crt" ;;
    broken-chain) { cat "$PKI/good.crt" && sed '3s/^...../!!!!!/' "$PKI/good.crt"; } >"$crt" ;;
    bom) { printf '\xef\xbb\xbf' && cat "$PKI/good.crt"; } >"$crt" && { printf '\xef\xbb\xbf' && cat "$PKI/good.key"; } >"$private" ;;
    utf-16) iconv -t UTF-16 "$PKI/good.crt" >"$crt" && iconv -t UTF-16 "$PKI/good.key" >"$private" ;;
    # Key and certificate.
    other-key) new_key other ec-P-256 && cp "$PKI/other.key" "$private" ;;
    other-kind-of-key) new_key other rsa2048 && cp "$PKI/other.key" "$private" ;;
    two-keys) new_key other ec-P-256 && cat "$PKI/other.key" "$PKI/good.key" >"$private" ;;
    two-keys-good-first) new_key other ec-P-256 && cat "$PKI/good.key" "$PKI/other.key" >"$private" ;;
    other-half) python_key "$PKI/good.key" 'data[data.index(b"\x04\x20") + 20] ^= 1' ;;
    damaged-half) root rsa rsa2048 && use rsa && python_key "$PKI/rsa.key" 'data[-30] ^= 1; data[-400] ^= 1' ;;
    encrypted) openssl pkey -in "$PKI/good.key" -aes128 -passout pass:x -out "$private" ;;
    encrypted-traditional) openssl ec -in "$PKI/good.key" -aes128 -passout pass:x -out "$private" 2>/dev/null ;;
    encrypted-empty) openssl ec -in "$PKI/good.key" -aes128 -passout pass: -out "$private" 2>/dev/null || openssl pkey -in "$PKI/good.key" -aes128 -passout pass:abcd -out "$private" ;;
    rsa-1024) root rsa-1024 rsa1024 && use rsa-1024 ;;
    rsa-512) root rsa-512 rsa512 && use rsa-512 ;;
    rsa-2047) root rsa-2047 rsa2047 && use rsa-2047 ;;
    ec-192) root ec-192 ec-prime192v1 && use ec-192 ;;
    ec-secp256k1) root ec-256k1 ec-secp256k1 && use ec-256k1 ;;
    ed25519) new_key ed ED25519 && DIGEST=default certify ed && use ed ;;
    pss) root pss pss2048 && use pss ;;
    dsa) dsa_ca && use dsa ;;
    explicit-curve) explicit_curve_ca && use explicit ;;
    # What the certificate says.
    leaf) EXTENSIONS=basicConstraints=critical,CA:FALSE root leaf && use leaf ;;
    server-certificate) EXTENSIONS=$'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:a.test' root server && use server ;;
    no-constraints) EXTENSIONS=subjectKeyIdentifier=hash root none && use none ;;
    version-1) version_1_ca && use v1 ;;
    no-cert-sign) EXTENSIONS=$'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,cRLSign' root usage && use usage ;;
    expired) START='-9 days' END='2026-11-20 10:11:12 UTC' root expired && use expired ;;
    expired-just-now) END='-2 seconds' root expired && use expired ;;
    not-yet) START='+1 hour' root later && use later ;;
    not-for-years) START='2031-01-02 03:04:05 UTC' END='2032-01-01' root later && use later ;;
    # (openssl signs so with RSA only.)
    md5) DIGEST=md5 root md5 rsa2048 && use md5 ;;
    sha1-intermediate) root top rsa2048 && DIGEST=sha1 intermediate middle top && chain middle top ;;
    # Chains.
    no-root) root top && intermediate middle top && use middle ;;
    root-first) root top && intermediate middle top && cat "$PKI/top.crt" "$PKI/middle.crt" >"$crt" && cp "$PKI/middle.key" "$private" ;;
    pss-sha1-intermediate) root top rsa2048 && SIGOPT='-sigopt rsa_padding_mode:pss' DIGEST=sha1 intermediate middle top && chain middle top ;;
    md5-intermediate) root top rsa2048 && DIGEST=md5 intermediate middle top && chain middle top ;;
    expired-root) START='-9 days' END='-1 day' root top && intermediate middle top && chain middle top ;;
    path-length) EXTENSIONS=${CA_EXTENSIONS/CA:TRUE/CA:TRUE,pathlen:0} root top && intermediate middle top && chain middle top ;;
    leaf-as-issuer) root top && EXTENSIONS=basicConstraints=CA:FALSE intermediate leaf top && intermediate middle leaf && chain middle leaf top ;;
    rsa-1024-root) root top rsa1024 && intermediate middle top && chain middle top ;;
    gap) root top && EXTENSIONS=$CA_EXTENSIONS intermediate one top && intermediate two one && chain two top ;;
    forged) root top && intermediate middle top && SUBJECT=/CN=top root false-top && chain middle false-top ;;
    # On the edge.
    many-copies) for _ in {1..300}; do cat "$PKI/good.crt"; done >"$crt" ;;
    ec-224) root ec-224 ec-secp224r1 && use ec-224 ;;
    ec-521) root ec-521 ec-P-521 && use ec-521 ;;
    ec-brainpool) root brainpool ec-brainpoolP256r1 && use brainpool ;;
    client-only) EXTENSIONS=$CA_EXTENSIONS$'\nextendedKeyUsage=clientAuth' root client && use client ;;
    critical) EXTENSIONS=$CA_EXTENSIONS$'\n1.2.3.4=critical,ASN1:UTF8String:x' root critical && use critical ;;
  esac
}
# python_key FILE EDIT: as tls.key, with its DER form (data) changed.
python_key() {
  /usr/bin/python3 - "$1" "$BAD/tls.key" "$2" <<'PYTHON'
import base64, sys
data = bytearray(base64.b64decode("".join(open(sys.argv[1]).read().splitlines()[1:-1])))
exec(sys.argv[3])
text = base64.encodebytes(data).decode()
open(sys.argv[2], "w").write(f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n")
PYTHON
}
chain() {
  local name
  cp "$PKI/$1.key" "$BAD/tls.key"
  for name; do cat "$PKI/$name.crt"; done >"$BAD/tls.crt"
}
dsa_ca() {
  openssl dsaparam -genkey 1024 2>/dev/null | openssl pkey -out "$PKI/dsa.key" && certify dsa
}
explicit_curve_ca() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out "$PKI/explicit.key" 2>/dev/null &&
    certify explicit
}
version_1_ca() {
  cp "$PKI/good.key" "$PKI/v1.key"
  openssl req -new -config "$PKI/ca.cnf" -key "$PKI/v1.key" -subj /CN=v1 -out "$PKI/request" &&
    openssl x509 -req -in "$PKI/request" -signkey "$PKI/v1.key" -days 100 -out "$PKI/v1.crt" 2>"$PKI/log"
}

# table ROWS: NAME PATTERN, where the pattern is what the message must say.
table() {
  local name pattern before
  good_confdir
  before=$(rules)
  while read -r name pattern; do
    [[ -n $name ]] || continue
    bad "$name" >"$LAB/log" 2>&1 || {
      fault "$name: cannot be made: $(tail -n 2 "$LAB/log")"
      continue
    }
    as_secret "$name" "$pattern"
    # Which part is in which file makes no difference in there.
    [[ $name == exchanged ]] || in_confdir "$name" "$pattern"
  done <<<"$1"
  same rules "$before" "$(rules)" || fault rules
  no_faults
}

@test "a CA that does not parse" {
  table '
    truncated-cert        damaged certificate|certificate.*(PEM|pars|truncated|incomplete|END)
    truncated-key         key.*(PEM|pars|damaged|truncated|incomplete|END)|no (usable )?private key
    cert-without-end      damaged certificate|certificate.*(PEM|pars|truncated|incomplete|END)
    empty-cert            empty|no certificate
    empty-key             empty|no (usable )?(private )?key
    blank                 empty|no (certificate|(usable )?private key)
    text                  no (certificate|(usable )?private key)
    binary                no (certificate|(private )?key)|binary|PEM
    base64                certificate.*(PEM|pars|base64|decode)
    der-inside            certificate.*(pars|DER|ASN|decode|PEM)
    cert-is-der           no certificate|DER|PEM
    key-is-der            no (private )?key|DER|PEM
    pkcs12                no certificate|PKCS|PEM
    exchanged             no (certificate|(usable )?private key)
    cert-is-request       no certificate|REQUEST|request
    cert-is-key           no certificate|key
    key-is-cert           no (usable )?private key
    key-is-public         no (usable )?private key|public
    nul-bytes             NUL|binary|byte|PEM
    garbage-between       garbage|binary|between|byte|PEM
    broken-chain          certificate.*(PEM|pars|base64|decode)
    bom                   BOM|byte order mark|PEM|before|begin
    utf-16                no (certificate|(private )?key)|UTF|NUL|byte|PEM'
}

@test "a key that is not that of the certificate, more than one, encrypted, too weak, or unusable" {
  table '
    other-key             key.*(match|belong|not that)
    other-kind-of-key     key.*(match|belong|not that)
    two-keys              (two|2|more than one|second|several).*key|key.*(two|more than one|second)|match
    two-keys-good-first   (two|2|more than one|second|several).*key|key.*(two|more than one|second)
    encrypted             encrypted
    encrypted-traditional encrypted
    encrypted-empty       encrypted
    rsa-1024              RSA.*1024.*2048|1024.*RSA
    rsa-512               RSA.*512|512.*RSA
    rsa-2047              RSA.*2047|2047.*RSA
    ec-192                192|curve
    other-half            private key is damaged: its private half
    damaged-half          private key is damaged: its private half
    ed25519               (ED|Ed|ed)25519
    dsa                   (DSA|dsa)'
}

@test "a certificate that is not that of a CA, or not now" {
  table '
    leaf                  basicConstraints.*(CA|FALSE)
    server-certificate    basicConstraints.*(CA|FALSE)
    no-constraints        basicConstraints
    version-1             basicConstraints|version
    no-cert-sign          keyUsage.*(keyCertSign|sign|digitalSignature)
    expired               (notAfter|expired).*2026-11-20
    expired-just-now      (notAfter|expired).*20[0-9][0-9]-
    not-yet               (notBefore|not.*(yet|before)|valid from).*20[0-9][0-9]-
    not-for-years         (notBefore|not.*(yet|before)|valid from).*2031-01-02
    md5                   (MD5|md5)'
}

@test "a chain that no client can follow" {
  table '
    no-root               root|issuer|chain
    md5-intermediate      (MD5|md5)
    sha1-intermediate     (SHA-?1|sha-?1)
    pss-sha1-intermediate (SHA-?1|sha-?1)
    expired-root          (notAfter|expired).*(20[0-9][0-9]-|top)
    path-length           (pathlen|path length|pathLenConstraint)
    leaf-as-issuer        basicConstraints|CA
    rsa-1024-root         1024
    gap                   root|issuer|chain
    forged                root|issuer|chain|signature'
}

# blames NAME FILE MESSAGE: of the two files of the Secret that one alone is named.
blames() {
  bad "$1"
  as_secret "$1" "$3" "$2"
  lacks "$(grep ' error ' <<<"$OUTPUT")" "tls\.($([[ $2 == tls.key ]] && echo crt || echo key))" || fault "$1: the other file is named"
  lacks "$OUTPUT" 'unsupported' || fault "$1: says unsupported"
}
@test "the message names the file that is wrong, and only that, and says what is" {
  good_confdir
  blames other-half tls.key 'the private key is damaged: its private half'
  blames empty-key tls.key ': empty'
  blames truncated-key tls.key 'truncated: it has no END line'
  blames key-is-cert tls.key 'no private key in it'
  blames key-is-der tls.key 'NUL bytes, expected PEM|no private key in it, expected PEM'
  blames damaged-key tls.key 'the private key is damaged'
  blames encrypted tls.key 'the private key is encrypted'
  blames two-keys tls.key 'more than one private key'
  blames rsa-1024 tls.key 'RSA of 1024 bits'
  blames other-key tls.key 'does not belong to the first certificate'
  blames empty-cert tls.crt ': empty'
  blames text-cert tls.crt 'no certificate in it, expected PEM'
  blames truncated-cert tls.crt 'damaged certificate'
  blames cert-is-key tls.crt 'no certificate in it'
  blames nul-bytes tls.crt 'NUL bytes'
  blames leaf tls.crt 'basicConstraints'
  blames expired tls.crt 'expired at 2026-11-20'
  no_faults
}

@test "the same in mitmproxy-ca.pem of CA_DIR" {
  good_confdir
  bad truncated-cert && as_pem truncated-cert certificate
  bad other-key && as_pem other-key 'key.*(match|belong)'
  bad leaf && as_pem leaf basicConstraints
  bad expired && as_pem expired '2026-11-20'
  bad encrypted && as_pem encrypted encrypted
  bad rsa-1024 && as_pem rsa-1024 1024
  bad no-root && as_pem no-root 'root|issuer|chain'
  no_faults
}

# In CA_DIR: what is no file. no_file NAME PATTERN CMD...: CMD with the path of tls.crt, then of tls.key.
no_file() {
  local name=$1 pattern=$2 file
  shift 2
  give MITMPROXY_CA_DIR="$CA_DIR"
  for file in tls.crt tls.key mitmproxy-ca.pem; do
    rm -rf "$CA_DIR"
    mkdir "$CA_DIR"
    case $file in
      mitmproxy-ca.pem) ;;
      *) cp "$PKI/good.crt" "$CA_DIR/tls.crt" && cp "$PKI/good.key" "$CA_DIR/tls.key" ;;
    esac
    rm -f "$CA_DIR/$file"
    "$@" "$CA_DIR/$file"
    refused "$name, $file" "$pattern" "$file" "${EXPECTED-78}"
  done
}
confdir_no_file() {
  local name=$1 pattern=$2
  shift 2
  unset ${P}MITMPROXY_CA_DIR
  mv "$CONFDIR/mitmproxy-ca.pem" "$LAB/kept"
  "$@" "$CONFDIR/mitmproxy-ca.pem"
  chown -h $MITM_UID:$MITM_UID "$CONFDIR/mitmproxy-ca.pem"
  refused "$name, confdir" "$pattern" "$CONFDIR/mitmproxy-ca.pem" "${EXPECTED-78}"
  rm -r "$CONFDIR/mitmproxy-ca.pem"
  mv "$LAB/kept" "$CONFDIR/mitmproxy-ca.pem"
}
sparse() { truncate -s 2G "$1"; }
sparse_pem() { cat "$LAB/good.pem" >"$1" && truncate -s 2G "$1"; }
large() { { cat "$LAB/good.pem" && head -c 5M /dev/zero | tr '\0' '\n'; } >"$1"; }
device() { mknod "$1" c 1 "$DEVICE"; }
socket_file() { /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$1"; }
dangling() { ln -s nowhere "$1"; }
to_itself() { ln -s "${1##*/}" "$1"; }
to_device() { ln -s /dev/zero "$1"; }

@test "what is no file: a directory, FIFO, device, socket, too large, links to nowhere" {
  good_confdir
  local what
  for what in no_file confdir_no_file; do
    $what directory 'directory|regular' mkdir
    $what FIFO 'FIFO|regular' mkfifo
    DEVICE=5 $what /dev/zero 'device|regular' device
    DEVICE=8 $what /dev/random 'device|regular' device
    $what socket 'socket|regular|No such device' socket_file
    $what '2 GiB' '2147483648|too (large|big)|larger|bytes' sparse
    $what '2 GiB behind a CA' '2147483648|too (large|big)|larger|bytes' sparse_pem
    $what '5 MiB' 'too (large|big)|larger|bytes' large
    $what 'dangling link' 'No such file|[Ll]ink|has neither' dangling
    $what 'link to itself' '[Ll]oop|levels|[Ll]ink' to_itself
    $what 'link to a device' 'device|regular|[Ll]ink' to_device
  done
  no_faults
}

@test "a file of CA_DIR that setup cannot read" {
  good_confdir
  unreadable() { install -o $OTHER_UID -m 0600 "$LAB/good.pem" "$1"; }
  # As in an init container: root without CAP_DAC_OVERRIDE. Status 77 is right, too.
  local original
  original=$(declare -f in_pod)
  eval "original_${original}"
  in_pod() {
    if [[ $1 == timeout ]]; then
      original_in_pod setpriv --bounding-set=-all,+net_admin,+net_raw,+chown,+setuid,+setgid "$@"
    else
      original_in_pod "$@"
    fi
  }
  EXPECTED='77|78' no_file unreadable 'Permission denied|CAP_DAC' unreadable
  no_faults
}

@test "CA_DIR that has nothing, half of a pair, is a file, or is not there" {
  good_confdir
  give MITMPROXY_CA_DIR="$CA_DIR"
  refused 'no such directory' "MITMPROXY_CA_DIR=.*: No such file" "$CA_DIR"
  mkdir "$CA_DIR"
  refused 'empty directory' 'tls.crt' "$CA_DIR"
  cp "$PKI/good.crt" "$CA_DIR/tls.crt"
  refused 'tls.crt alone' 'tls.key' "$CA_DIR"
  rm "$CA_DIR/tls.crt"
  cp "$PKI/good.key" "$CA_DIR/tls.key"
  refused 'tls.key alone' 'tls.crt' "$CA_DIR"
  rm "$CA_DIR/tls.key"
  cp "$PKI/good.crt" "$CA_DIR/ca.crt"
  refused 'ca.crt alone' 'tls.crt' "$CA_DIR"
  rm -r "$CA_DIR"
  cp "$LAB/good.pem" "$CA_DIR"
  refused 'a file' 'MITMPROXY_CA_DIR=.*: Not a directory' "$CA_DIR"
  rm "$CA_DIR"
  ln -s "$CA_DIR" "$CA_DIR"
  refused 'a link to itself' 'MITMPROXY_CA_DIR=.*([Ll]oop|levels|[Ll]ink)' "$CA_DIR"
  no_faults
}

@test "with a bad CA_DIR none is made, and none is taken from the confdir instead" {
  give MITMPROXY_CA_DIR="$CA_DIR"
  bad expired
  secret "$CA_DIR" tls.crt="$BAD/tls.crt" tls.key="$BAD/tls.key"
  attempt in_pod setup
  [[ $STATUS == 78 ]]
  [[ ! -e $CONFDIR/mitmproxy-ca.pem && ! -e $EXPORT/mitmproxy-ca-cert.pem ]]
  nothing_of_ours
  # healthd is not ready with it, and says why.
  spawn healthd healthd
  wait_until 5 healthz_is '503 mitm not ready'
  attempt healthz
  has "$OUTPUT" 'expired|2026-11-20'
}

@test "what can work is not refused: CRLF, comments, blank lines, no final newline" {
  local kind
  give MITMPROXY_CA_DIR="$CA_DIR"
  for kind in crlf comments no-newline blank-lines parameters no-key-usage no-key-identifier; do
    remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
    use good
    case $kind in
      crlf) sed -i 's/$/\r/' "$BAD/tls.crt" "$BAD/tls.key" ;;
      comments) sed -i '1i # made by hand\nBag Attributes: <none>\nsubject=CN = x' "$BAD/tls.crt" "$BAD/tls.key" ;;
      no-newline) printf %s "$(<"$PKI/good.crt")" >"$BAD/tls.crt" && printf %s "$(<"$PKI/good.key")" >"$BAD/tls.key" ;;
      blank-lines) sed -i $'1i \\\n\\\n' "$BAD/tls.crt" "$BAD/tls.key" ;;
      parameters) key_form good sec1-parameters >"$BAD/tls.key" ;;
      no-key-usage) EXTENSIONS=basicConstraints=critical,CA:TRUE root usage && use usage ;;
      no-key-identifier) EXTENSIONS=$'basicConstraints=CA:TRUE,pathlen:3\nsubjectKeyIdentifier=none' root plain && use plain ;;
    esac
    secret "$CA_DIR" tls.crt="$BAD/tls.crt" tls.key="$BAD/tls.key"
    attempt in_pod setup
    [[ $STATUS == 0 ]] || {
      fault "$kind: status $STATUS"
      continue
    }
    up healthd
    attempt app_curl https://shop.example.test/
    [[ $STATUS == 0 ]] || fault "$kind: curl"
    down
  done
  no_faults
}

# refused_or_works NAME PATTERN: what is not refused must work, for OpenSSL and for Java.
refused_or_works() {
  local name=$1 pattern=$2
  bad "$name" >"$LAB/log" 2>&1 || {
    fault "$name: cannot be made: $(tail -n 2 "$LAB/log")"
    return 0
  }
  remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
  secret "$CA_DIR" tls.crt="$BAD/tls.crt" tls.key="$BAD/tls.key"
  attempt in_pod timeout 10 setup
  if [[ $STATUS == 78 ]]; then
    has "$OUTPUT" " error .*($pattern)" || fault "$name: reason not named"
    return 0
  fi
  [[ $STATUS == 0 ]] || fault "$name: status $STATUS"
  spawn healthd healthd
  settled() { healthz_is '200 ok' || [[ $(healthz) == *exited* ]]; }
  wait_until 10 settled
  healthz_is '200 ok' || fault "$name is accepted, but healthd says: $(healthz)"
  if healthz_is '200 ok'; then
    read_trust_env
    reaches 1 shop.example.test "$name is accepted, curl" client curl
    ((STATUS != 0)) || reaches 1 shop.example.test "$name is accepted, java" client java
  fi
  down
}
@test "what is on the edge is refused with the reason, or it works: curves, long chains" {
  give MITMPROXY_CA_DIR="$CA_DIR"
  refused_or_works ec-secp256k1 'secp256k1|curve'
  refused_or_works ec-224 '224|curve'
  refused_or_works ec-brainpool 'brainpool|curve'
  refused_or_works explicit-curve 'curve|explicit'
  refused_or_works ec-521 '521|curve'
  refused_or_works pss 'PSS|pss'
  refused_or_works many-copies 'chain|certificates|300|bytes|large|big'
  refused_or_works client-only 'extendedKeyUsage|[Uu]sage'
  refused_or_works critical 'critical|1\.2\.3\.4'
  no_faults
}

@test "within 30 days of its end: a warning with the date; before that none" {
  local days end
  for days in 1 29 31; do
    remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
    END="+$days days" root "ends$days"
    give MITMPROXY_CA_DIR="$CA_DIR"
    tls_secret "ends$days"
    attempt in_pod setup
    [[ $STATUS == 0 ]] || fault "$days days: status $STATUS"
    end=$(date -u -d "$(openssl x509 -in "$PKI/ends$days.crt" -noout -enddate | cut -d= -f2)" +%Y-%m-%d)
    if ((days < 30)); then
      has "$OUTPUT" "warn.*(expires|ends|valid|notAfter).*$end" || fault "$days days: no warning"
    else
      lacks "$OUTPUT" warn || fault "$days days: warning"
    fi
    # The next run, which takes it from the confdir, says so as well.
    unset ${P}MITMPROXY_CA_DIR
    attempt in_pod setup
    if ((days < 30)); then has "$OUTPUT" "warn.*$end" || fault "$days days, second run: no warning"; fi
  done
  # An intermediate CA is as good as the first to end in its chain.
  remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
  END='+5 days' root top
  intermediate middle top
  give MITMPROXY_CA_DIR="$CA_DIR"
  tls_secret middle top
  attempt in_pod setup
  has "$OUTPUT" "warn.*$(date -u -d '+5 days' +%Y-%m-%d)" || fault 'root that ends: no warning'
  no_faults
}
