#!/usr/bin/env bats
# The CA: kept or made, checked, exported; and the directories that it lies in.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

SYSTEM_ROOTS=/etc/ssl/certs/ca-certificates.crt

about() { stat -c '%a %u:%g' "$1"; }
# Bytes, inode, time of last writing.
identity() { stat -c '%i %y %s' "$1" && sha256sum <"$1"; }

# The confdir and what lies in it belong to the mitmproxy user, and the key to nobody else.
confdir_is_right() {
  same confdir "700 $MITM_UID:$MITM_UID" "$(about "$CONFDIR")"
  same key "600 $MITM_UID:$MITM_UID" "$(about "$CONFDIR/mitmproxy-ca.pem")"
  same 'owned by others' '' "$(find "$CONFDIR" ! -uid $MITM_UID)"
  same 'writable by others' '' "$(find "$CONFDIR" -perm /022)"
}
export_is_right() {
  same export '755 0:0' "$(about "$EXPORT")"
  for name in mitmproxy-ca-cert.pem merged-ca-certificates.pem; do
    same $name '644 0:0' "$(about "$EXPORT/$name")"
  done
}
# Every place names the CA with fingerprint $1.
everywhere() {
  same export "$1" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  same 'state file' "$1" "$(state setup.ca_sha256)"
  same 'certificate in the confdir' "$1" "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.pem")"
  grep -qx "$1" <(fingerprints "$BUNDLE")
  same setup.ca exported "$(state setup.ca)"
}

@test "a CA is made as the design says" {
  attempt in_pod setup prepare
  [[ $STATUS == 0 ]]
  confdir_is_right
  export_is_right
  everywhere "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")"
  local pem=$CONFDIR/mitmproxy-ca.pem text
  text=$(openssl x509 -in "$pem" -noout -text "${NAME_FORM[@]}")
  echo "$text"
  has "$text" 'Version: 3'
  has "$text" 'Subject: CN=mitmproxy, O=mitmproxy$'
  has "$text" 'Issuer: CN=mitmproxy, O=mitmproxy$'
  has "$text" 'NIST CURVE: P-256'
  has "$text" 'Signature Algorithm: ecdsa-with-SHA256'
  has "$(grep -A1 'Basic Constraints: critical' <<<"$text")" 'CA:TRUE'
  has "$(grep -A1 'Key Usage' <<<"$text")" '^ *Certificate Sign, CRL Sign$'
  # SHA-1 over the key's bit string, which ends the DER form: 65 bytes, uncompressed.
  local key
  key=$(openssl x509 -in "$pem" -noout -pubkey | openssl pkey -pubin -outform DER | tail -c 65 | sha1sum | cut -c1-40)
  has "$(grep -A1 'Subject Key Identifier' <<<"$text" | tr -d ': ')" "^${key^^}$"
  openssl verify -x509_strict -CAfile "$pem" "$pem"
  # The key comes first, and it is that of the certificate.
  has "$(head -n 1 "$pem")" 'BEGIN.*PRIVATE KEY'
  same key "$(openssl x509 -in "$pem" -noout -pubkey)" "$(openssl pkey -in "$pem" -pubout)"
  local from until now
  from=$(date -d "$(openssl x509 -in "$pem" -noout -startdate | cut -d= -f2)" +%s)
  until=$(date -d "$(openssl x509 -in "$pem" -noout -enddate | cut -d= -f2)" +%s)
  now=$(date +%s)
  ((now - from >= 2 * 86400 - 60 && now - from <= 2 * 86400 + 60))
  ((until - now >= 3647 * 86400 && until - now <= 3653 * 86400))
  # What mitmproxy would otherwise write itself.
  same .cer "$(fingerprint "$pem")" "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.cer")"
  openssl dhparam -in "$CONFDIR/mitmproxy-dhparam.pem" -check -noout
}

@test "serial numbers are random and keys are not the same" {
  in_pod setup prepare
  local first second
  first=$(openssl x509 -in "$CONFDIR/mitmproxy-ca.pem" -noout -serial -pubkey)
  rm -r "$CONFDIR"
  in_pod setup prepare
  second=$(openssl x509 -in "$CONFDIR/mitmproxy-ca.pem" -noout -serial -pubkey)
  [[ ${first#*$'\n'} != "${second#*$'\n'}" && ${first%%$'\n'*} != "${second%%$'\n'*}" ]]
  [[ ${first%%$'\n'*} =~ serial=[0-9A-F]{16,} ]]
  everywhere "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")"
}

@test "a CA that was made is kept, whatever runs again" {
  in_pod setup
  local name before after
  before=$(files)
  attempt in_pod setup
  attempt in_pod setup prepare
  attempt with MITMPROXY_PORT=18085 setup
  attempt in_pod setup clear
  attempt with MITMPROXY_TRANSPARENT=off setup
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  after=$(files)
  for name in mitmproxy-ca.pem mitmproxy-ca-cert.pem mitmproxy-ca-cert.cer mitmproxy-dhparam.pem; do
    same $name "$(grep "/home/.*$name" <<<"$before")" "$(grep "/home/.*$name" <<<"$after")"
  done
}

@test "a second run with the same configuration changes no file of confdir and export" {
  in_pod setup
  local before
  before=$(files)
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  same files "$(grep -v "$LAB/run" <<<"$before")" "$(files | grep -v "$LAB/run")"
}

# fixed KIND [OWNER MODE DIRECTORY_OWNER DIRECTORY_MODE]
fixed() {
  remove "$CONFDIR" "$EXPORT" "$LAB/run"
  place_ca "$LAB/$1/ca.pem" "${@:2}"
  local before
  before=$(identity "$CONFDIR/mitmproxy-ca.pem")
  for _ in 1 2 3; do
    attempt in_pod setup
    [[ $STATUS == 0 ]] || return 1
  done
  same 'the CA' "$before" "$(identity "$CONFDIR/mitmproxy-ca.pem")" &&
    confdir_is_right && export_is_right && everywhere "$(fingerprint "$LAB/$1/cert.pem")"
}
@test "a fixed CA, RSA or EC, however it was placed: used, never rewritten, owned right" {
  local kind
  for kind in rsa ec; do
    make_ca "$LAB/$kind" $kind
    fixed $kind || fault "$kind, placed by root"
    fixed $kind 0 0644 0 0700 || fault "$kind, readable, in root's directory"
    fixed $kind 0 0600 $MITM_UID 0755 || fault "$kind, in the user's directory"
    fixed $kind 0 0644 $MITM_UID 0700 || fault "$kind, readable, in the user's directory"
    fixed $kind $MITM_UID 0600 $MITM_UID 0700 || fault "$kind, owned right"
    fixed $kind $MITM_UID 0640 $MITM_UID 0750 || fault "$kind, owned right, readable"
    fixed $kind $MITM_UID 0400 0 0755 || fault "$kind, read-only" # 0400 is not 0600, but see below
  done
  no_faults
}

@test "a fixed CA with a chain is used with it" {
  make_ca "$LAB/ec" ec
  make_ca "$LAB/rsa" rsa
  cat "$LAB/ec/ca.pem" "$LAB/rsa/cert.pem" >"$LAB/chain.pem"
  place_ca "$LAB/chain.pem"
  local before
  before=$(identity "$CONFDIR/mitmproxy-ca.pem")
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  everywhere "$(fingerprint "$LAB/ec/cert.pem")"
  same 'the CA' "$before" "$(identity "$CONFDIR/mitmproxy-ca.pem")"
}

@test "derived files of another CA are replaced" {
  make_ca "$LAB/ec" ec
  place_ca "$LAB/ec/ca.pem"
  cp "$STAGE/pki/unknown-ca.crt" "$CONFDIR/mitmproxy-ca-cert.pem"
  install -d "$EXPORT"
  cp "$STAGE/pki/unknown-ca.crt" "$EXPORT/mitmproxy-ca-cert.pem"
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  everywhere "$(fingerprint "$LAB/ec/cert.pem")"
  confdir_is_right
  refute grep -qx "$(fingerprint "$STAGE/pki/unknown-ca.crt")" <(fingerprints "$BUNDLE")
}

@test "another CA in the confdir: the export follows" {
  in_pod setup
  make_ca "$LAB/ec" ec
  rm "$CONFDIR/mitmproxy-ca.pem"
  place_ca "$LAB/ec/ca.pem"
  attempt in_pod setup
  [[ $STATUS == 0 ]]
  everywhere "$(fingerprint "$LAB/ec/cert.pem")"
  confdir_is_right
}

@test "the merged bundle: system roots, trust directory and CA, each once, the same every time" {
  local trust=$LAB/trust own all
  cp -a "$STAGE/pki/trust" "$trust"
  cp "$STAGE/pki/unknown-ca.crt" "$trust/unknown-ca.pem"
  sed -n '1,/END CERT/p' $SYSTEM_ROOTS >"$trust/system.pem" # there a second time
  echo 'no certificate' >"$trust/README"
  openssl rehash "$trust" 2>/dev/null
  # One more name for the same, as rehash does not make it.
  cp "$STAGE/pki/private-ca.crt" "$trust/again.pem"
  ln -s again.pem "$trust/$(openssl x509 -in "$trust/again.pem" -noout -hash).1"
  attempt with MITMPROXY_UPSTREAM_TRUST_DIR="$trust" setup prepare
  [[ $STATUS == 0 ]]
  own=$(fingerprint "$CONFDIR/mitmproxy-ca.pem")
  all=$(fingerprints "$BUNDLE")
  same 'repeated certificates' '' "$(uniq -d <<<"$all")"
  same 'missing system roots' '' "$(comm -13 <(echo "$all") <(fingerprints $SYSTEM_ROOTS | uniq))"
  grep -qx "$own" <<<"$all"
  grep -qx "$(fingerprint "$STAGE/pki/private-ca.crt")" <<<"$all"
  same 'number of certificates' "$(($(fingerprints $SYSTEM_ROOTS | uniq | wc -l) + 3))" "$(wc -l <<<"$all")"
  # curl and openssl read it.
  openssl verify -CAfile "$BUNDLE" -no-CApath "$EXPORT/mitmproxy-ca-cert.pem"
  openssl verify -CAfile "$BUNDLE" -no-CApath "$STAGE/pki/shop.example.test.crt"
  local once
  once=$(sha256sum <"$BUNDLE")
  attempt with MITMPROXY_UPSTREAM_TRUST_DIR="$trust" setup prepare
  same bundle "$once" "$(sha256sum <"$BUNDLE")"
  rm -r "$EXPORT"
  attempt with MITMPROXY_UPSTREAM_TRUST_DIR="$trust" setup prepare
  same bundle "$once" "$(sha256sum <"$BUNDLE")"
}

block() { printf -- '-----BEGIN %s-----\n%s\n-----END %s-----\n' "$1" "$2" "$1"; }

# spoilt NUMBER NAME: of the file on standard input, as one of the trust directory, so many
# certificates are damaged, and three are not.
spoilt() {
  cat >"$LAB/trust/01234567.0"
  remove "$EXPORT" "$LAB/run"
  attempt with MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust" setup prepare
  [[ $STATUS == 0 ]] || fault "$2: status $STATUS"
  same "$2: missing" '' "$(comm -13 <(fingerprints "$BUNDLE") "$LAB/three")" || fault "$2"
  if (($1 == 0)); then
    lacks "$OUTPUT" 'warn' || fault "$2: a warning"
  else
    has "$OUTPUT" "warn .* $LAB/trust/01234567\\.0: damaged certificates.*: $1\$" || fault "$2: no warning"
  fi
}
@test "what is damaged in a file with roots costs no other root of it, and is warned of" {
  local one two=$STAGE/pki/private-ca.crt three=$STAGE/pki/unknown-ca.crt cut
  mkdir "$LAB/trust"
  make_ca "$LAB/ec" ec
  one=$LAB/ec/cert.pem
  for cut in "$one" "$two" "$three"; do fingerprint "$cut"; done | sort >"$LAB/three"
  cut=$(head -n 4 "$one")
  spoilt 1 'not base64' < <(cat "$one" && block CERTIFICATE '!!!!' && cat "$two" "$three")
  spoilt 1 'no certificate' < <(cat "$one" && block CERTIFICATE AAAA && cat "$two" "$three")
  spoilt 1 'empty' < <(cat "$one" && block CERTIFICATE '' && cat "$two" "$three")
  spoilt 1 'cut off' < <(cat "$one" && echo "$cut" && cat "$two" "$three")
  spoilt 1 'another last line' < <(cat "$one" && sed 's/END CERT/END A CERT/' "$one" && cat "$two" "$three")
  spoilt 3 'first, in the middle, last' < <(echo "$cut" && cat "$one" "$two" && block CERTIFICATE '!!!!' && cat "$three" && echo "$cut")
  spoilt 1 'the last line has no newline' < <(cat "$one" "$two" && block CERTIFICATE '!!!!' && printf %s "$(<"$three")")
  spoilt 1 'bytes behind it' < <(cat "$one" && block CERTIFICATE "$({ openssl x509 -in "$one" -outform DER && echo more; } | base64 -w 64)" && cat "$two" "$three")
  spoilt 0 'no newline between' < <(printf %s "$(<"$one")" && printf %s "$(<"$two")" && cat "$three")
  spoilt 0 'byte order mark' < <(printf '\xef\xbb\xbf' && cat "$one" "$two" "$three")
  spoilt 0 'lines of DOS' < <(cat "$one" "$two" "$three" | sed 's/$/\r/')
  spoilt 0 'other kinds' < <(cat "$one" && block 'X509 CRL' '!!!!' && block 'PRIVATE KEY' AAAA && cat "$two" "$three")
  spoilt 0 'in remarks' < <(block CERTIFICATE '!!!!' | sed 's/^/# /' && cat "$one" && block CERTIFICATE '!!!!' | sed 's/^/#/' && cat "$two" "$three")
  no_faults
}

@test "a damaged certificate in the system's bundle, and a missing newline: the other ones are exported" {
  local roots=$LAB/roots.crt
  { sed '/END/q' $SYSTEM_ROOTS && block CERTIFICATE damaged | tr -d '\n' && sed '1,/END/d' $SYSTEM_ROOTS; } >"$roots"
  # shellcheck disable=SC2016 # for the shell in there
  attempt in_pod unshare --mount sh -c 'mount --bind "$0" "$1" && exec setup prepare' "$roots" $SYSTEM_ROOTS
  [[ $STATUS == 0 ]]
  has "$OUTPUT" "warn .* $SYSTEM_ROOTS: damaged certificates.*: 1\$"
  same 'missing system roots' '' "$(comm -13 <(fingerprints "$BUNDLE") <(fingerprints $SYSTEM_ROOTS | uniq))"
}

@test "the export has its modes whatever the umask, keeps what is others', and never a key" {
  # The default export directory holds the shipped addons, too.
  mkdir -m 0777 "$EXPORT"
  mkdir "$EXPORT/mitmscripts"
  echo theirs >"$EXPORT/mitmscripts/addon.py"
  attempt in_pod bash -c 'umask 077; setup prepare'
  [[ $STATUS == 0 ]]
  export_is_right
  confdir_is_right
  [[ $(<"$EXPORT/mitmscripts/addon.py") == theirs ]]
  rm -r "$EXPORT" "$CONFDIR"
  attempt in_pod bash -c 'umask 0; setup'
  [[ $STATUS == 0 ]]
  export_is_right
  confdir_is_right
  refute grep -rq 'PRIVATE KEY' "$EXPORT" "$LAB/run"
  refute grep -rqF "$(sed -n 2p "$CONFDIR/mitmproxy-ca.pem")" "$EXPORT" "$LAB/run"
  [[ -z $(find "$EXPORT" "$LAB/run" -name '*.tmp*' -o -name '.*' ! -name '*lock' -type f) ]]
  become $APP_UID cat "$BUNDLE" >"$LAB/read"
  refute become $APP_UID ls "$CONFDIR"
}

# refused NAME REASON: setup must say no to the CA that lies in the confdir, and why, and leave it.
refused() {
  local name=$1 reason=$2 before
  before=$(files)
  attempt in_pod timeout 5 setup
  [[ $STATUS == 78 ]] || fault "$name: status $STATUS"
  has "$OUTPUT" "$CONFDIR|mitmproxy-ca.pem" || fault "$name: file not named"
  has "$OUTPUT" "$reason" || fault "$name: reason not named"
  same 'confdir' "$(grep -F "$CONFDIR" <<<"$before")" "$(files | grep -F "$CONFDIR")" || fault "$name: touched"
  [[ ! -e $EXPORT/mitmproxy-ca-cert.pem ]] || fault "$name: exported"
  nothing_of_ours || fault "$name: rules"
  state_is setup.state failed || fault "$name: state $(state setup.state)"
  remove "$CONFDIR" "$EXPORT"
}
# As it should be placed.
place() { place_ca "$1" $MITM_UID 0600 $MITM_UID 0700; }
@test "a CA that cannot work is refused with the reason, and left as it is" {
  local kind
  for kind in 'expired expired' 'not-yet not.*(yet|before)|valid' 'leaf CA' 'no-constraints CA' \
    'no-signing [Uu]sage|[Ss]ign' 'other-key key' 'encrypted encrypted|pass'; do
    make_ca "$LAB/${kind% *}" "${kind% *}"
    place "$LAB/${kind% *}/ca.pem"
    refused "${kind% *}" "${kind#* }"
  done
  make_ca "$LAB/ec" ec
  for kind in key cert; do
    place "$LAB/ec/$kind.pem"
    refused "$kind only" '[Kk]ey|[Cc]ertificate|CERTIFICATE|PEM'
  done
  place /etc/hostname
  refused garbage '.'
  head -c 300 "$LAB/ec/ca.pem" >"$LAB/short"
  place "$LAB/short"
  refused truncated '.'
  place /dev/null
  refused empty '.'
  { cat "$LAB/ec/ca.pem" && head -c 40M /dev/zero; } >"$LAB/large"
  place "$LAB/large"
  refused 'too large' 'large|big|size|bytes'
  no_faults
}

@test "a refused CA and its directory keep their owners and modes" {
  make_ca "$LAB/expired" expired
  place_ca "$LAB/expired/ca.pem" 0 0640
  refused expired expired
  no_faults
}

@test "a CA file that is no plain file of the right owner is refused, and left as it is" {
  make_ca "$LAB/ec" ec
  install -d -o $MITM_UID -g $MITM_UID -m 0700 "$CONFDIR"
  ln -s "$LAB/ec/ca.pem" "$CONFDIR/mitmproxy-ca.pem"
  refused symlink '[Ss]ymbolic|[Ll]ink'
  same 'target of the link' '644 0:0' "$(about "$LAB/ec/ca.pem")"
  place_ca "$LAB/ec/ca.pem"
  ln "$CONFDIR/mitmproxy-ca.pem" "$LAB/ec/second"
  refused 'hard link' 'link'
  same 'other name' '600 0:0' "$(about "$LAB/ec/second")"
  install -d -o $MITM_UID -g $MITM_UID -m 0700 "$CONFDIR"
  mkfifo "$CONFDIR/mitmproxy-ca.pem"
  refused FIFO 'regular|file'
  mkdir -p "$CONFDIR/mitmproxy-ca.pem"
  chown -R $MITM_UID:$MITM_UID "$CONFDIR"
  refused directory 'regular|directory|file'
  place_ca "$LAB/ec/ca.pem" $OTHER_UID 0600
  refused 'of another user' "own|$OTHER_UID"
  no_faults
}

@test "config.yaml is code: refused from others, or writable by others" {
  local before owner mode
  in_pod setup
  for owner in "$OTHER_UID 0600" "$MITM_UID 0620" "$MITM_UID 0602" '0 0666'; do
    mode=${owner#* } owner=${owner% *}
    echo 'flow_detail: 0' >"$CONFDIR/config.yaml"
    chown "$owner:$owner" "$CONFDIR/config.yaml"
    chmod "$mode" "$CONFDIR/config.yaml"
    before=$(files | grep config.yaml)
    attempt in_pod setup
    [[ $STATUS == 78 ]] || fault "$owner $mode: status $STATUS"
    has "$OUTPUT" config.yaml || fault "$owner $mode: not named"
    same config.yaml "$before" "$(files | grep config.yaml)" || fault "$owner $mode: touched"
  done
  for owner in "$MITM_UID" 0; do
    chown "$owner:$owner" "$CONFDIR/config.yaml"
    chmod 0644 "$CONFDIR/config.yaml"
    attempt in_pod setup
    [[ $STATUS == 0 ]] || fault "$owner: refused"
  done
  no_faults
}

# foreign VARIABLE DIRECTORY: must be refused, and left as it is.
foreign() {
  local before
  before=$(files "$2" | grep -F "$2")
  attempt with "$1=$2" timeout 5 setup
  [[ $STATUS == 78 ]] || fault "$1=$2: status $STATUS"
  has "$OUTPUT" "$2" || fault "$1=$2: not named"
  same "$2" "$before" "$(files "$2" | grep -F "$2")" || fault "$1=$2: touched"
}
@test "a confdir that is somebody else's directory is refused, and left as it is" {
  mkdir -m 0755 "$LAB/etc" "$LAB/etc/ssl"
  echo root:x >"$LAB/etc/passwd"
  install -m 0640 /dev/null "$LAB/etc/shadow"
  foreign MITMPROXY_CONFDIR "$LAB/etc"
  install -d -o $OTHER_UID -g $OTHER_UID -m 0755 "$LAB/other"
  foreign MITMPROXY_CONFDIR "$LAB/other"
  ln -s etc "$LAB/link"
  attempt with MITMPROXY_CONFDIR="$LAB/link" setup
  [[ $STATUS == 78 ]] || fault "link: status $STATUS"
  same etc '755 0:0' "$(about "$LAB/etc")"
  [[ ! -e $LAB/etc/mitmproxy-ca.pem ]]
  touch "$LAB/plain"
  foreign MITMPROXY_CONFDIR "$LAB/plain"
  no_faults
}

@test "an export or state directory of another user is refused, and left as it is" {
  install -d -o $OTHER_UID -g $OTHER_UID -m 0755 "$LAB/other"
  foreign EXPORT_DIR "$LAB/other"
  mkdir -m 0750 "$LAB/etc"
  echo root:x >"$LAB/etc/passwd"
  foreign EXPORT_DIR "$LAB/etc"
  local before
  before=$(files "$LAB/other")
  attempt with STATE_FILE="$LAB/other/state" setup
  [[ $STATUS == 78 ]] || fault "state: status $STATUS"
  same 'state directory' "$before" "$(files "$LAB/other")" || fault 'state directory touched'
  # The key and what everybody reads cannot share a directory.
  in_pod setup
  foreign EXPORT_DIR "$CONFDIR"
  no_faults
}

@test "the state file: whole, with its keys, its directory for both users" {
  in_pod setup
  same 'state directory' "775 0:$MITM_UID" "$(about "$LAB/run")"
  has "$(head -n 1 "$STATE")" 'version|^[0-9]+$'
  local key
  for key in setup.state setup.error setup.netns setup.boot setup.backend setup.gate setup.gate_error setup.rules setup.ca setup.ca_sha256 setup.time; do
    [[ $(grep -c "^$key=" "$STATE") == 1 ]] || fault "$key"
  done
  same boot "$(tr -d - </proc/sys/kernel/random/boot_id)" "$(state setup.boot | tr -d -)"
  [[ $(state setup.netns) == *[0-9]* ]]
  (($(date +%s) - $(state setup.time) < 10))
  # Both users can read it, whatever the umask.
  rm "$STATE"
  in_pod bash -c 'umask 077; setup'
  become $HEALTH_UID cat "$STATE" >/dev/null
  become $MITM_UID cat "$STATE" >/dev/null
  become $MITM_UID touch "$LAB/run/new" # healthd's runner renames in it
  no_faults
}

@test "prepare leaves the rules alone and does not say ready" {
  attempt in_pod setup prepare
  [[ $STATUS == 0 ]]
  nothing_of_ours
  refute state_is setup.state ready
}
