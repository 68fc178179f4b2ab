#!/usr/bin/env bats
# A run with nothing to prepare finds that out without OpenSSL, and only then.

# shellcheck source=tests/lib/suite.sh
source "$BATS_TEST_DIRNAME/lib/suite.sh"
# shellcheck source=tests/lib/ca.sh
source "$BATS_TEST_DIRNAME/lib/ca.sh"
# shellcheck source=tests/lib/pki.sh
source "$BATS_TEST_DIRNAME/lib/pki.sh"
# shellcheck source=tests/lib/clock.sh
source "$BATS_TEST_DIRNAME/lib/clock.sh"

# The programs count as read, and have just been installed.
setup_file() {
  suite_up
  clock_library
  preload_library fixed_times
  sleep 2.1
}
teardown_file() { suite_down; }
setup() { lab_up; }
teardown() { lab_down; }

AS_IT_SHOULD_BE='CA and export are as they should be$'
RECORD() { echo "$(dirname "$STATE")/.$(basename "$STATE").prepared"; }

# What was changed in the last two seconds is not relied on when prepare reads it: that
# much later it runs once more, for its record.
settled() {
  sleep 2.1
  in_pod setup prepare 2>/dev/null
}
prepare() {
  attempt in_pod "$@" setup prepare
  [[ $STATUS == 0 ]]
}
is_quick() {
  prepare "$@"
  has "$OUTPUT" "$AS_IT_SHOULD_BE"
}
is_full() {
  prepare "$@"
  lacks "$OUTPUT" "$AS_IT_SHOULD_BE"
}

@test "a second run does without OpenSSL, writes the same state, and the third too" {
  local before
  is_full
  before=$(grep '^setup.ca' "$STATE")
  has "$before" '^setup.ca_file_sha256='
  for _ in 1 2; do
    is_quick
    same 'state file' "$before" "$(grep '^setup.ca' "$STATE")"
  done
  # Whatever healthd has made of the state file: what is known of the CA comes from the record.
  rm "$STATE"
  is_quick
  same 'state file' "$before" "$(grep '^setup.ca' "$STATE")"
  # The part with OpenSSL is really left alone.
  attempt in_pod env LD_DEBUG=files setup prepare
  lacks "$OUTPUT" 'libcrypto'
  rm "$(RECORD)"
  attempt in_pod env LD_DEBUG=files setup prepare
  has "$OUTPUT" 'libcrypto'
}

@test "whatever is changed of what prepare reads or makes: the next run works in full, and sets it right" {
  local name action
  mkdir "$LAB/trust"
  cp "$STAGE"/pki/trust/* "$LAB/trust/"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  is_full
  is_full
  settled
  while read -r name action; do
    is_quick
    echo "== $name: $action"
    (cd / && eval "$action")
    is_full
    [[ $name != trust* ]] || settled
  done <<'TABLE'
certificate     rm "$EXPORT/mitmproxy-ca-cert.pem"
bundle          echo >>"$BUNDLE"
bundle's-mode   chmod 0600 "$BUNDLE"
java            : >"$EXPORT/mitmproxy-truststore.p12"
environment     rm "$EXPORT/trust.env"
hashed          rm "$(find "$EXPORT/certs" -type f | head -n 1)"
hashed-content  echo >>"$(find "$EXPORT/certs" -type f | head -n 1)"
export          rm -r "$EXPORT"
confdir's-mode  chmod 0755 "$CONFDIR"
key's-mode      chmod 0644 "$CONFDIR/mitmproxy-ca.pem"
derived         rm "$CONFDIR/mitmproxy-ca-cert.pem"
parameters      rm "$CONFDIR/mitmproxy-dhparam.pem"
configuration   install -m 0644 -o root /dev/null "$CONFDIR/config.yaml"
trust           cp "$STAGE/pki/unknown-ca.crt" "$LAB/trust/01234567.0"
trust-content   echo >>"$(find "$LAB/trust" -name '*.0' | head -n 1)"
trust-gone      rm "$LAB/trust/01234567.0"
state           rm "$(RECORD)"
TABLE
  same 'certificate' "$(fingerprint "$CONFDIR/mitmproxy-ca.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  same 'mode of the key' 600 "$(stat -c %a "$CONFDIR/mitmproxy-ca.pem")"
}

@test "another configuration is prepared in full, and the one before again" {
  is_full
  is_quick
  is_full env ${P}EXPORT_MOUNT=/elsewhere
  has "$(<"$EXPORT/trust.env")" '=/elsewhere/'
  is_quick env ${P}EXPORT_MOUNT=/elsewhere
  is_full
  lacks "$(<"$EXPORT/trust.env")" '=/elsewhere/'
}

# with_roots FILE: what begins with "${WITH_ROOTS[@]}" sees it in the place of the system's bundle.
with_roots() {
  # shellcheck disable=SC2016 # for the shell in there
  WITH_ROOTS=(unshare --mount sh -c 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"' "$1")
}

@test "another root in the system's bundle: the next run works in full, and exports it" {
  local roots=$LAB/roots.crt
  cp /etc/ssl/certs/ca-certificates.crt "$roots"
  with_roots "$roots"
  is_full "${WITH_ROOTS[@]}"
  sleep 2.1
  is_full "${WITH_ROOTS[@]}"
  is_quick "${WITH_ROOTS[@]}"
  cat "$STAGE/pki/unknown-ca.crt" >>"$roots"
  is_full "${WITH_ROOTS[@]}"
  grep -qx "$(fingerprint "$STAGE/pki/unknown-ca.crt")" <(fingerprints "$BUNDLE")
}

@test "a damaged certificate in the trust directory is warned of each time" {
  mkdir "$LAB/trust"
  sed '2s/^.*$/damaged/' "$STAGE/pki/private-ca.crt" >"$LAB/trust/01234567.0"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  is_full
  sleep 2.1
  for _ in 1 2; do
    is_full
    has "$OUTPUT" 'warn .*/trust/01234567\.0: damaged'
  done
}

# File $1, with empty lines behind it, so that all are of one size.
padded() { cat "$1" - < <(head -c $((4096 - $(stat -c %s "$1"))) /dev/zero | tr '\0' '\n'); }

@test "another CA in CA_DIR, of the same size and with the same time, is taken" {
  local first
  mkdir "$LAB/source"
  make_ca "$LAB/first" ec
  make_ca "$LAB/second" ec
  padded "$LAB/first/ca.pem" >"$LAB/source/mitmproxy-ca.pem"
  give MITMPROXY_CA_DIR="$LAB/source"
  is_full
  settled
  is_quick
  first=$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")
  touch -r "$LAB/source/mitmproxy-ca.pem" "$LAB/time"
  padded "$LAB/second/ca.pem" >"$LAB/source/mitmproxy-ca.pem"
  touch -r "$LAB/time" "$LAB/source/mitmproxy-ca.pem"
  is_full
  [[ $first == "$(fingerprint "$LAB/first/cert.pem")" ]]
  same 'exported' "$(fingerprint "$LAB/second/cert.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
}

# fixed_times DIRECTORY SECONDS: to what begins with "${FIXED[@]}" all in it has the same inode and
# this time of change, see fixed_times.c. (Any time but the present has settled.)
fixed_times() {
  FIXED=(env FIXED_BELOW="$1" FIXED_TIME="$2" LD_PRELOAD="$STAGE/fixed_times.so"
    ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0")
}
THEN=$(date -d 2024-01-01 +%s)

# put FILE NAME: in CA_DIR, of the same size and written at the same time as all others.
put() {
  padded "$1" >"$CA_DIR/$2"
  touch -d "@$THEN" "$CA_DIR/$2"
}
# taken_once CERTIFICATE: of the CA that lies in CA_DIR.
taken_once() {
  is_full "${FIXED[@]}"
  same 'exported' "$(fingerprint "$1")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  is_quick "${FIXED[@]}"
}
@test "another CA in CA_DIR that differs in nothing but its content is taken" {
  local time name
  PKI=$LAB/ca CA_DIR=$LAB/source
  mkdir "$PKI" "$CA_DIR"
  give MITMPROXY_CA_DIR="$CA_DIR"
  for name in first second; do
    root $name
    pem $name >"$PKI/$name.pem"
  done
  # (Content is certain even where there are no times.)
  for time in 0 "$THEN"; do
    fixed_times "$CA_DIR" "$time"
    for name in first second; do
      put "$PKI/$name.crt" tls.crt
      put "$PKI/$name.key" tls.key
      taken_once "$PKI/$name.crt"
    done
    rm "$CA_DIR"/*
    for name in first second; do
      put "$PKI/$name.pem" mitmproxy-ca.pem
      taken_once "$PKI/$name.crt"
    done
    rm "$CA_DIR"/*
  done
}

@test "a file in CA_DIR that need not be read, and cannot be: no record" {
  make_ca "$LAB/first" ec
  mkdir "$LAB/source"
  cp "$LAB/first/ca.pem" "$LAB/source/mitmproxy-ca.pem"
  give MITMPROXY_CA_DIR="$LAB/source"
  is_full
  settled
  is_quick
  head -c 257K /dev/zero >"$LAB/source/ca.crt"
  is_full
  settled
  is_full
  rm "$LAB/source/ca.crt"
  mkfifo "$LAB/source/ca.crt"
  is_full timeout 5
  settled
  is_full timeout 5
}

@test "a trust directory with the same inodes and times of change: size and time of writing count" {
  local file=$LAB/trust/01234567.0
  mkdir "$LAB/trust"
  cp "$STAGE/pki/private-ca.crt" "$file"
  touch -d "@$THEN" "$file"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  fixed_times "$LAB/trust" "$THEN"
  is_full "${FIXED[@]}"
  is_quick "${FIXED[@]}"
  echo >>"$file"
  touch -d "@$THEN" "$file"
  is_full "${FIXED[@]}"
  is_quick "${FIXED[@]}"
  touch -d "@$((THEN + 1))" "$file"
  is_full "${FIXED[@]}"
  is_quick "${FIXED[@]}"
}

@test "a trust directory without real times of change: no record" {
  local time
  mkdir "$LAB/trust"
  cp "$STAGE/pki/private-ca.crt" "$LAB/trust/01234567.0"
  give MITMPROXY_UPSTREAM_TRUST_DIR="$LAB/trust"
  is_full
  settled
  is_quick
  for time in 0 1 315532800; do
    fixed_times "$LAB/trust" $time
    for _ in 1 2; do
      is_full "${FIXED[@]}"
    done
  done
  is_quick
}

@test "the mitmproxy user cannot pass off a CA or a record" {
  is_full
  is_quick
  # A CA of its own, with the time set back.
  make_ca "$LAB/own" ec
  chmod -R a+rX "$LAB/own"
  touch -r "$CONFDIR/mitmproxy-ca.pem" "$LAB/time"
  become_mitm sh -c "cat '$LAB/own/ca.pem' >'$CONFDIR/mitmproxy-ca.pem'; touch -r '$LAB/time' '$CONFDIR/mitmproxy-ca.pem'"
  is_full
  same 'exported' "$(fingerprint "$LAB/own/cert.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
  # A record that is not root's, though every word of it is true.
  is_quick
  become_mitm sh -c "cp '$(RECORD)' '$(RECORD).new' && mv '$(RECORD).new' '$(RECORD)'"
  is_full
  # Garbage, and a FIFO.
  for record in 'version=1' 'version=2' ''; do
    echo "$record" >"$(RECORD)"
    is_full
    is_quick
  done
  rm "$(RECORD)"
  become_mitm mkfifo "$(RECORD)"
  is_full
}

@test "after a day, with the clock set back, or near the CA's end it is looked at in full" {
  local made days row
  is_full
  is_quick
  made=$(sed -n 's/^made=//p' "$(RECORD)")
  same 'until' $((made + 86400)) "$(sed -n 's/^until=//p' "$(RECORD)")"
  for row in made=$((made + 3600)) until=$((made - 1)); do
    sed -i "s/^${row%=*}=.*/$row/" "$(RECORD)"
    is_full
    is_quick
  done
  for days in 29 40; do
    rm -rf "$CONFDIR" "$EXPORT"
    make_ca "$LAB/$days" "ends-$days"
    place_ca "$LAB/$days/ca.pem"
    is_full
    if ((days < 30)); then
      for _ in 1 2; do
        has "$OUTPUT" 'the certificate expires at'
        is_full
      done
    else
      is_quick
    fi
  done
}

# until_is SECONDS: the record holds until then, and no longer; the next day has not come by then.
until_is() {
  same 'until' "$1" "$(sed -n 's/^until=//p' "$(RECORD)")"
  set_clock $(($1 - $(date +%s) - 60))
  is_quick "${CLOCK_PRELOADED[@]}"
  set_clock $(($1 - $(date +%s) + 60))
  is_full "${CLOCK_PRELOADED[@]}"
}
end_of() { date -d "$(openssl x509 -in "$1" -noout -enddate | cut -d= -f2)" +%s; }

@test "a record does not hold into the last 30 days of the CA" {
  PKI=$LAB/ca
  mkdir "$PKI"
  END='+30 days +12 hours' root own
  pem own >"$LAB/pem"
  place_ca "$LAB/pem"
  is_full
  is_quick
  until_is $(($(end_of "$PKI/own.crt") - 30 * 86400))
  has "$OUTPUT" 'warn .*the certificate expires at'
}

@test "a record does not hold across the end of an earlier root that is exported" {
  PKI=$LAB/ca CA_DIR=$LAB/secret
  mkdir "$PKI"
  END='+12 hours' root old
  root new
  give MITMPROXY_CA_DIR="$CA_DIR"
  tls_secret old
  is_full
  tls_secret new
  is_full
  grep -qx "$(fingerprint "$PKI/old.crt")" <(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")
  sleep 2.1
  is_full
  is_quick
  until_is "$(end_of "$PKI/old.crt")"
  same 'roots' "$(fingerprint "$PKI/new.crt")" "$(fingerprints "$EXPORT/mitmproxy-ca-roots.pem")"
}

@test "an addon that others can write to is refused although nothing else has changed" {
  local script=$LAB/addons/addon.py
  mkdir "$LAB/addons"
  echo >"$script"
  give MITMPROXY_SCRIPT="$script"
  is_full
  is_quick
  chmod 0666 "$script"
  attempt in_pod setup prepare
  [[ $STATUS == 78 ]]
  has "$OUTPUT" "$script"
  chmod 0644 "$script"
  is_quick
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
  sleep 2.1
  few
  few
  has "$OUTPUT" "$AS_IT_SHOULD_BE"
  ln -sfn ..second "$LAB/source/..data"
  few
  lacks "$OUTPUT" "$AS_IT_SHOULD_BE"
  same 'exported' "$(fingerprint "$LAB/second/cert.pem")" "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")"
}

@test "the part with OpenSSL is another one: all is done again; of another version, or missing: an error that names it" {
  local module
  copy_programs
  module=$LAB/usr/lib/opensandbox-egress/setup-ca.so
  by_copy() { attempt in_pod "$LAB/usr/sbin/setup" prepare; }
  by_copy
  sleep 2.1
  by_copy
  by_copy
  has "$OUTPUT" "$AS_IT_SHOULD_BE"
  cp --remove-destination "$STAGE/usr/lib/opensandbox-egress/setup-ca.so" "$module"
  by_copy
  lacks "$OUTPUT" "$AS_IT_SHOULD_BE"
  local version
  version=$("$STAGE/usr/sbin/setup" --version)
  version=${version#* }
  sed -i "s/\\x00${version//./\\.}\\x00/\\x00${version//[0-9]/9}\\x00/" "$module"
  by_copy
  [[ $STATUS == 1 ]]
  has "$OUTPUT" "setup-ca.so is of version ${version//[0-9]/9}, expected $version"
  rm "$module"
  by_copy
  [[ $STATUS == 1 ]]
  has "$OUTPUT" "cannot be loaded: .*setup-ca.so"
}

@test "a mitmproxy user that stops the process which prepares the confdir: an error, not a wait for ever" {
  preload_library stopped
  become_mitm touch "$LAB/home/stop"
  attempt in_pod env ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" \
    LD_PRELOAD="$STAGE/stopped.so" STOP_AT=drop STOP_FILE="$LAB/home/stop" timeout 60 setup prepare
  [[ $STATUS == 1 ]]
  has "$OUTPUT" 'error .*the process that prepares it was stopped, or hangs'
  [[ ! -e $LAB/home/stop ]]
  is_full
  is_quick
}
