#!/usr/bin/env bats
# Every kind of CA is accepted by every mitmdump: the pinned one, and the image's; also where the
# confdir is read-only once setup has been there.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/versions.sh"
source "$ROOT/tests/lib/clients.sh"

setup_file() { suite_up; clients_up; }
teardown() { writable; lab_down; }

read_only() {
  mount --bind "$CONFDIR" "$CONFDIR"
  mount -o remount,ro,bind "$CONFDIR"
  refute touch "$CONFDIR/new" 2>/dev/null
}
writable() {
  while mountpoint -q "$CONFDIR"; do umount -l "$CONFDIR"; done
}

# prepared KIND: put that CA in its place. OLD and NEW are the roots that clients may trust alone.
prepared() {
  OLD='' NEW=''
  unset ${P}MITMPROXY_CA_DIR
  case $1 in
    generated) return 0 ;;
    "mitmproxy's own") become_mitm env HOME="$LAB/home" "$BIN" --set confdir="$CONFDIR" -n -r /dev/null ;;
    *) give MITMPROXY_CA_DIR="$CA_DIR" ;;
  esac
  case $1 in
    'RSA PKCS#1') root one rsa2048 && key_form one pkcs1 >"$LAB/key" ;;
    'RSA PKCS#8') root one rsa3072 && key_form one pkcs8 >"$LAB/key" ;;
    'EC SEC1') root one ec-P-256 && key_form one sec1 >"$LAB/key" ;;
    'EC PKCS#8') root one ec-P-384 && key_form one pkcs8 >"$LAB/key" ;;
    intermediate)
      root top rsa2048
      intermediate middle top
      tls_secret middle top
      NEW=top
      ;;
    'other key identifier')
      EXTENSIONS=$ODD_EXTENSIONS root one rsa2048
      tls_secret one
      NEW=one
      ;;
    'other key identifier, rotated')
      EXTENSIONS=$ODD_EXTENSIONS root one
      EXTENSIONS=${ODD_EXTENSIONS/0102/ffff} root two
      tls_secret one
      in_pod setup prepare
      tls_secret two
      OLD=one NEW=two
      ;;
    rotated)
      SUBJECT=/CN=mitmproxy root one rsa2048
      SUBJECT=/CN=mitmproxy root two
      tls_secret one
      in_pod setup prepare
      tls_secret two
      OLD=one NEW=two
      ;;
  esac
  case $1 in
    *'#'* | *SEC1)
      secret "$CA_DIR" tls.crt="$PKI/one.crt" tls.key="$LAB/key"
      NEW=one
      ;;
  esac
}

# accepts VERSION KIND...: intercepted and verified, from a confdir that is read-only.
accepts() {
  local version=$1 kind name
  shift
  BIN=$MITMDUMP
  if [[ $version != pinned ]]; then
    BIN=$(mitmproxy_12) || skip_or_fail "no mitmproxy $IMAGE_VERSION"
    same version "$version" "$(become_mitm mitmdump_version "$BIN")"
  fi
  give MITMPROXY_BIN="$BIN"
  for kind; do
    writable
    remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR" "$PKI"
    mkdir "$PKI"
    prepared "$kind"
    attempt in_pod setup
    [[ $STATUS == 0 ]] || fault "$kind: setup: status $STATUS"
    read_only
    # And once more, as in a new pod with the same volume.
    attempt in_pod setup
    [[ $STATUS == 0 ]] || fault "$kind: setup with a read-only confdir: status $STATUS"
    up healthd || {
      fault "$kind: $(healthz)"
      continue
    }
    read_trust_env
    reaches 1 shop.example.test "$kind, curl" client curl
    for name in $OLD $NEW; do
      reaches 1 shop.example.test "$kind, trusting $name" client_trusting "$PKI/$name.crt" curl
    done
    lacks "$(<"$LAB/up.log")" 'Traceback|Read-only' || fault "$kind: log"
    down
  done
  no_faults
}
KINDS=(generated "mitmproxy's own" 'RSA PKCS#1' 'RSA PKCS#8' 'EC SEC1' 'EC PKCS#8' intermediate 'other key identifier' 'other key identifier, rotated' rotated)

# (With all of them and a confdir that can be written: ca-source.bats.)
@test "the pinned mitmdump accepts every kind of CA, with a read-only confdir" {
  accepts pinned generated "mitmproxy's own" 'RSA PKCS#1' 'EC SEC1' intermediate rotated
}
@test "the image's mitmdump accepts every kind of CA, with a read-only confdir" {
  accepts "$IMAGE_VERSION" "${KINDS[@]}"
}

# A mitmproxy of which it is not known whether the addons fit: $1 is what it calls itself.
called() {
  fake_mitmdump <<FAKE
#!${MITMDUMP%/*}/python3
import sys
from mitmproxy import version
version.VERSION = "$1"
from mitmproxy.tools.main import mitmdump
sys.exit(mitmdump())
FAKE
}
@test "a CA whose key identifier is not the SHA-1 of its key: a mitmproxy before 12.2.3 is not started with it" {
  local kind
  called 12.2.2
  for kind in 'other key identifier' 'other key identifier, rotated'; do
    remove "$CONFDIR" "$EXPORT" "$LAB/run" "$CA_DIR"
    prepared "$kind"
    spawn healthd entrypoint.sh
    not_ready "mitmproxy 12.2.2 does not work with the CA 'CN=$NEW', whose subjectKeyIdentifier is not the SHA-1 of its key: use mitmproxy 12\.2\.3 or newer" 10
    [[ $(healthz) == 503* ]]
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
}

@test "a mitmproxy that was not tried never becomes ready, and says why; nothing passes" {
  local version
  for version in 10.4.2 11.0.1 12.3.2 13.0.0; do
    called "$version"
    spawn healthd entrypoint.sh
    not_ready "mitmproxy $version does not fit: its version; versions from 11.0.2 to 12.3.1 do" 10
    [[ $(healthz) == 503* ]]
    kill "$SPAWNED"
    await_exit "$SPAWNED" 6
  done
  called 11.1.0
  up
}

@test "a mitmproxy with a function that is not as it was never becomes ready, and names it" {
  fake_mitmdump <<FAKE
#!${MITMDUMP%/*}/python3
import sys
from mitmproxy.proxy.layers.http import HttpStream
def check_body_size(self, request, more):
    yield from ()
HttpStream.check_body_size = check_body_size
from mitmproxy.tools.main import mitmdump
sys.exit(mitmdump())
FAKE
  spawn healthd entrypoint.sh
  not_ready 'does not fit: HttpStream.check_body_size' 10
}
