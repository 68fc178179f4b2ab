#!/usr/bin/env bats
# setup can be run again at any time: it always does its work, sets right what is not as it should
# be, and writes no file whose content is right.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

prepare() {
  attempt in_pod "$@" setup prepare
  [[ $STATUS == 0 ]]
}
# What no file or directory of confdir and export may have lost: owner, mode, inode, times.
identities() { files | grep -v "$LAB/run"; }

@test "a second run, and the third, write no file of confdir and export, and the same state" {
  local before state
  prepare
  before=$(identities)
  state=$(grep '^setup.ca' "$STATE")
  has "$state" '^setup.ca_file_sha256='
  for _ in 1 2; do
    prepare
    same files "$before" "$(identities)"
    same 'state file' "$state" "$(grep '^setup.ca' "$STATE")"
  done
  # Nothing that is known of the CA comes from the state file.
  rm "$STATE"
  prepare
  same 'state file' "$state" "$(grep '^setup.ca' "$STATE")"
}

# What counts of a file or directory: kind, mode, owner and content.
content() {
  find "$CONFDIR" "$EXPORT" -printf '%p %y %m %U:%G\n' | sort
  find "$CONFDIR" "$EXPORT" -type f -print0 | sort -z | xargs -0 sha256sum
}
@test "whatever is changed of what setup makes, the next run sets it right, and writes nothing else" {
  local name action before
  prepare
  before=$(content)
  while read -r name action; do
    (cd / && eval "$action")
    [[ $(content) != "$before" ]] || fault "$name: nothing is changed"
    prepare || fault "$name"
    same "$name" "$before" "$(content)" || fault "$name"
  done <<'TABLE'
certificate     rm "$EXPORT/mitmproxy-ca-cert.pem"
bundle          echo >>"$BUNDLE"
bundle's-mode   chmod 0600 "$BUNDLE"
java            : >"$EXPORT/mitmproxy-truststore.p12"
environment     rm "$EXPORT/trust.env"
shell           rm "$EXPORT/trust.sh"
apt             echo >>"$EXPORT/apt.conf"
php             : >"$EXPORT/php.ini"
mounted         rm "$EXPORT/certs/ca-certificates.crt"
mounted-java    echo >>"$EXPORT/certs/java/cacerts"
mounted-other   touch "$EXPORT/certs/java/other"
hashed          rm "$(find "$EXPORT/certs" -name "*.0" | head -n 1)"
hashed-content  echo >>"$(find "$EXPORT/certs" -name "*.0" | head -n 1)"
hashed-other    touch "$EXPORT/certs/01234567.0"
export          rm -r "$EXPORT"
confdir's-mode  chmod 0755 "$CONFDIR"
key's-mode      chmod 0644 "$CONFDIR/mitmproxy-ca.pem"
derived         rm "$CONFDIR/mitmproxy-ca-cert.pem"
parameters      rm "$CONFDIR/mitmproxy-dhparam.pem"
TABLE
  before=$(identities | grep -v -e "^$EXPORT " -e trust.env)
  rm "$EXPORT/trust.env"
  prepare
  same 'all but trust.env' "$before" "$(identities | grep -v -e "^$EXPORT " -e trust.env)"
  no_faults
}

@test "a root that comes to the trust directory or leaves it comes to the export, and leaves it" {
  mkdir "$LAB/trust"
  cp "$STAGE"/pki/trust/* "$LAB/trust/"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  local fingerprint
  fingerprint=$(fingerprint "$STAGE/pki/unknown-ca.crt")
  prepare
  refute grep -qx "$fingerprint" <(fingerprints "$BUNDLE")
  cp "$STAGE/pki/unknown-ca.crt" "$LAB/trust/01234567.0"
  prepare
  grep -qx "$fingerprint" <(fingerprints "$BUNDLE")
  rm "$LAB/trust/01234567.0"
  prepare
  refute grep -qx "$fingerprint" <(fingerprints "$BUNDLE")
}

@test "another configuration is prepared at once, and the one before again" {
  prepare
  prepare env ${P}EXPORT_MOUNT=/elsewhere
  has "$(<"$EXPORT/trust.env")" '=/elsewhere/'
  prepare
  lacks "$(<"$EXPORT/trust.env")" '=/elsewhere/'
}

@test "another root in the system's bundle is exported by the next run" {
  local roots=$LAB/roots.crt
  cp /etc/ssl/certs/ca-certificates.crt "$roots"
  # shellcheck disable=SC2016 # for the shell in there
  with_roots() { prepare unshare --mount sh -c 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"' "$roots"; }
  with_roots
  cat "$STAGE/pki/unknown-ca.crt" >>"$roots"
  with_roots
  grep -qx "$(fingerprint "$STAGE/pki/unknown-ca.crt")" <(fingerprints "$BUNDLE")
}

@test "a damaged certificate in the trust directory is warned of each time" {
  mkdir "$LAB/trust"
  sed '2s/^.*$/damaged/' "$STAGE/pki/private-ca.crt" >"$LAB/trust/01234567.0"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  for _ in 1 2; do
    prepare
    has "$OUTPUT" 'warn .*/trust/01234567\.0: damaged'
  done
}

# File $1, with empty lines behind it, so that all are of one size.
padded() { cat "$1" - < <(head -c $((4096 - $(stat -c %s "$1"))) /dev/zero | tr '\0' '\n'); }

@test "another CA in CA_DIR, of the same size and with the same time, is taken" {
  local name
  mkdir "$LAB/source"
  give MITMPROXY_CA_DIR="$LAB/source"
  for name in first second; do
    make_ca "$LAB/$name" ec
    padded "$LAB/$name/ca.pem" >"$LAB/source/mitmproxy-ca.pem"
    touch -d 2024-01-01 "$LAB/source/mitmproxy-ca.pem"
    prepare
    same "$name" "$(fingerprint "$LAB/$name/cert.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  done
}

@test "an addon that others can write to is refused although nothing else has changed" {
  local script=$LAB/addons/addon.py
  mkdir -p "$LAB/addons"
  echo >"$script"
  give MITMPROXY_SCRIPT="$script"
  prepare
  chmod 0666 "$script"
  attempt in_pod setup prepare
  [[ $STATUS == 78 ]]
  has "$OUTPUT" "$script"
  chmod 0644 "$script"
  prepare
}

# kubelet's way: names that lead through ..data, which is replaced.
@test "a CA_DIR as kubelet makes it, that root can search but not list" {
  local kind
  mkdir -m 0711 "$LAB/source"
  for kind in first second; do
    make_ca "$LAB/$kind" ec
    mkdir "$LAB/source/..$kind"
    cp "$LAB/$kind/cert.pem" "$LAB/source/..$kind/tls.crt"
    cp "$LAB/$kind/key.pem" "$LAB/source/..$kind/tls.key"
  done
  ln -s ..first "$LAB/source/..data"
  ln -s ..data/tls.crt ..data/tls.key "$LAB/source/"
  chmod -R a+rX "$LAB/source/..first" "$LAB/source/..second"
  chown -R $OTHER_UID "$LAB/source"
  chmod 0711 "$LAB/source"
  give MITMPROXY_CA_DIR="$LAB/source"
  # Without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
  few() { prepare setpriv --bounding-set -dac_override,-dac_read_search --inh-caps -dac_override,-dac_read_search; }
  few
  ln -sfn ..second "$LAB/source/..data"
  few
  same 'exported' "$(fingerprint "$LAB/second/cert.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
}

@test "setup-ca missing, or not to be executed: named, exit 1, nothing touched; status does not know" {
  copy_programs
  local program=$LAB/usr/libexec/opensandbox-egress/setup-ca what
  for what in 'Permission denied' 'No such file'; do
    if [[ $what == No* ]]; then rm "$program"; else chmod 0600 "$program"; fi
    attempt in_pod "$LAB/usr/sbin/setup" prepare
    [[ $STATUS == 1 ]] || fault "$what: status $STATUS"
    has "$OUTPUT" "error .*cannot be executed: .*setup-ca: $what" || fault "$what"
    [[ ! -e $CONFDIR && ! -e $EXPORT ]] || fault "$what: something is made"
    attempt in_pod "$LAB/usr/sbin/setup" status
    has "$OUTPUT" "UNKNOWN: .*setup-ca: $what" || fault "$what: status"
  done
  no_faults
}
