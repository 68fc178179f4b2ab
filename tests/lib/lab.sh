# shellcheck shell=bash
# The laboratory of demo and tests: source this file, `stage_up` once, then
# `lab_up` and `lab_down` around each test. Nothing outside of the namespaces
# and of the directories $STAGE and $LAB is touched, but for /etc/netns/NAME.
#
# No user is added to the machine: users here are numbers.

umask 022
# What programs print is read.
export LC_ALL=C.UTF-8
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$ROOT/tests/lib/mitmdump.sh"
source "$ROOT/tests/lib/netns.sh"
source "$ROOT/tests/lib/origin.sh"
source "$ROOT/tests/lib/stage.sh"

MITM_UID=10042  # runs mitmdump, is not intercepted
HEALTH_UID=10043 # runs healthd's responder
APP_UID=20001   # the application
# shellcheck disable=SC2034 # for the suites
OTHER_UID=20002 # some other user of the pod

# A fresh directory LAB, namespaces POD and ORIGIN, the origin, and the
# environment in which setup and healthd stay within all that.
lab_up() {
  ALL_SPAWNED=()
  LAB=$(mktemp -d /tmp/egress-lab-XXXXXX)
  chmod 0755 "$LAB"
  mkdir "$LAB/home" "$LAB/origin" "$LAB/addons" # (nobody else writes where addons are)
  chown "$MITM_UID:$MITM_UID" "$LAB/home"
  netns_up
  lab_environment
  origin_up "${ORIGIN_PKI:-$STAGE/pki}" "$LAB/origin"
}

lab_environment() {
  local name
  # What the caller's shell may hold and curl or mitmdump would heed.
  unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE
  unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
  for name in ${!OPENSANDBOX_EGRESS_*}; do unset "$name"; done
  CONFDIR=$LAB/home/.mitmproxy EXPORT=$LAB/export STATE=$LAB/run/state
  BUNDLE=$EXPORT/merged-ca-certificates.pem
  # shellcheck disable=SC2034 # for tests: where they make CAs (pki.sh), and a CA_DIR
  PKI=$LAB/ca CA_DIR=$LAB/secret
  export PATH=$STAGE/usr/sbin:$PATH
  # iptables shall not wait for, nor hold up, that of the machine.
  export XTABLES_LOCKFILE=$LAB/xtables.lock
  export OPENSANDBOX_EGRESS_MITMPROXY_TRANSPARENT=1
  export OPENSANDBOX_EGRESS_MITMPROXY_SCRIPTS_DIR=$STAGE/usr/share/opensandbox/mitmscripts
  export OPENSANDBOX_EGRESS_MITMPROXY_SCRIPT=$STAGE/usr/share/opensandbox/mitmscripts/add_header.py
  export OPENSANDBOX_EGRESS_MITMPROXY_CONFDIR=$CONFDIR
  export OPENSANDBOX_EGRESS_MITMPROXY_UPSTREAM_TRUST_DIR=$STAGE/pki/trust
  export OPENSANDBOX_EGRESS_MITMPROXY_USER=$MITM_UID
  export OPENSANDBOX_EGRESS_MITMPROXY_BIN=$MITMDUMP
  export OPENSANDBOX_EGRESS_HEALTHD_USER=$HEALTH_UID
  export OPENSANDBOX_EGRESS_STATE_FILE=$STATE
  export OPENSANDBOX_EGRESS_EXPORT_DIR=$EXPORT
}

# Remove everything, whatever happened before.
ALL_SPAWNED=()
lab_down() {
  netns_down
  # Reaped here, the shell does not report them as killed.
  ((${#ALL_SPAWNED[@]} == 0)) || wait "${ALL_SPAWNED[@]}" 2>/dev/null || true
  ALL_SPAWNED=()
  [[ -z ${LAB-} ]] || remove "$LAB"
  LAB=''
}

# remove PATH...: with all that is in it, even if a process writes there meanwhile.
remove() { wait_until 3 rm -rf "$@"; }

# become UID CMD...: run a command, or a function, as that user. In the pod's
# namespace: as_app, as_mitm.
become() {
  local uid=$1
  shift
  if [[ $(type -t "$1") == function ]]; then
    setpriv --reuid "$uid" --regid "$uid" --clear-groups \
      bash -c "$(declare -f "$1"); \"\$@\"" bash "$@"
  else
    setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
  fi
}
become_mitm() { become "$MITM_UID" "$@"; }
as_user() {
  local uid=$1
  shift
  in_pod setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}
as_app() { as_user "$APP_UID" "$@"; }
as_mitm() { as_user "$MITM_UID" "$@"; }

# spawn NAME CMD...: start a daemon in the pod, as root, output in $LAB/NAME.log.
# SPAWNED is its process id: ip(8) becomes the command, there is nothing between.
spawn() {
  local name=$1
  shift
  # Descriptor 3 is that of bats, which would wait until nobody has it.
  ip netns exec "$POD" "$@" 3>&- </dev/null >"$LAB/$name.log" 2>&1 &
  # shellcheck disable=SC2034 # for the caller
  SPAWNED=$!
  ALL_SPAWNED+=("$SPAWNED")
}

# wait_until SECONDS CMD...: poll until the command succeeds; status 1 if it never does. A look takes
# time from what is waited for: the longer it lasts, the fewer there are.
wait_until() {
  local started=${EPOCHREALTIME/./} limit=$(($1 * 1000000)) waited pause
  shift
  until "$@"; do
    waited=$((${EPOCHREALTIME/./} - started))
    ((waited < limit)) || return 1
    pause=$((waited / 10))
    printf -v pause '0.%06d' $((pause < 30000 ? 30000 : pause > 150000 ? 150000 : pause))
    sleep "$pause"
  done
}

# curl as the application, which trusts nothing but the exported bundle.
app_curl() { as_app curl -sS --max-time 10 --cacert "$BUNDLE" --capath /dev/null "$@"; }

# Print status and body of healthd's answer ("200 ok"); "000" if there is none.
healthz() {
  local body code
  body=$(in_pod curl -s --max-time 2 -w '\n%{http_code}' "http://127.0.0.1:${HEALTH_PORT:-18080}/healthz") || true
  code=${body##*$'\n'}
  body=${body%"$code"}
  body="${code:-000} ${body//$'\n'/ }"
  echo "${body%"${body##*[! ]}"}"
}
healthz_is() { [[ $(healthz) == "$1"* ]]; }

# Print the issuer of the certificate that the application is shown: URL [CURL OPTIONS]
# (without any check: what is shown is the question, not whether it is good).
seen_issuer() { as_app curl -skv --max-time 10 -o /dev/null "$@" 2>&1 | sed -n 's/^\*  *issuer: //p'; }

# The SHA-256 fingerprint of the first certificate in file $1, or on stdin.
fingerprint() {
  local line
  line=$(openssl x509 -noout -fingerprint -sha256 ${1:+-in "$1"}) || true
  line=${line##*=} line=${line//:/}
  echo "${line,,}"
}

# Print the pod's legacy rules of table $1 (nat) in family $2 (nothing, or 6), as they
# can be compared: without remarks and counters.
legacy_rules() {
  in_pod "ip${2-}tables-legacy-save" -t "${1:-nat}" | sed -e '/^#/d' -e 's/ *\[[0-9]*:[0-9]*\]//'
}

# A test that cannot run here is skipped, unless the machine promised to run all.
skip_or_fail() {
  if [[ ${REQUIRE_ALL-} == 1 ]]; then
    echo "cannot run here, and REQUIRE_ALL=1: $1" >&2
    return 1
  fi
  skip "$1"
}

# need legacy | ipv6 | COMMAND: skip_or_fail where it is not there.
need() {
  case $1 in
    legacy) in_pod iptables-legacy -w -t nat -S OUTPUT >/dev/null 2>&1 || skip_or_fail 'the kernel has no legacy tables' ;;
    ipv6) ((IPV6 == 1)) || skip_or_fail 'the kernel has no IPv6' ;;
    *) command -v "$1" >/dev/null || skip_or_fail "no $1" ;;
  esac
}
