#!/usr/bin/env bash
# `make demo`: watch the HTTPS of a pod being intercepted, from start to stop.
# Everything happens in two network namespaces and two temporary directories,
# which are gone at the end. Status 0 only if everything was as promised.
set -euo pipefail

source "$(dirname "$0")/lib/lab.sh"

if [[ -t 1 ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' GREEN='' RED='' PLAIN=''
fi

STEP=0
step() {
  STEP=$((STEP + 1))
  printf '\n%s%d. %s%s\n' "$BOLD" "$STEP" "$*" "$PLAIN"
}

# promise TEXT CMD...: say whether the command succeeds, and remember.
KEPT=0 BROKEN=0
promise() {
  local text=$1
  shift
  if "$@" >/dev/null; then
    KEPT=$((KEPT + 1))
    printf '   %sok%s   %s\n' "$GREEN" "$PLAIN" "$text"
  else
    BROKEN=$((BROKEN + 1))
    printf '   %sFAIL%s %s\n' "$RED" "$PLAIN" "$text"
  fi
}

# show USER CMD...: run a command in the pod as root, app or mitmproxy; show
# command and output (only the lines that match ONLY, if that is set). What it
# printed is then in OUTPUT, its status in STATUS.
show() {
  local user=$1 prompt="$1\$" as
  shift
  case $user in
    root) as=in_pod prompt='root#' ;;
    app) as=as_app ;;
    mitmproxy) as=as_mitm ;;
  esac
  printf '   %s%s %s%s\n' "$DIM" "$prompt" "$(shorten "$*")" "$PLAIN"
  STATUS=0
  OUTPUT=$("$as" "$@" 2>&1) || STATUS=$?
  [[ -z ${ONLY-} ]] || OUTPUT=$(grep -E -e "$ONLY" <<<"$OUTPUT" || true)
  [[ -z $OUTPUT ]] || shorten "$OUTPUT" | sed 's/^/      /'
}
shorten() {
  local text=${1//$LAB/LAB}
  echo "${text//$STAGE/STAGE}"
}
CERTIFICATE='^\* +(subject|issuer|SSL certificate verify)' # what curl -v says about it
output_has() { grep -qF -e "$1" <<<"$OUTPUT"; }
output_lacks() { ! output_has "$1"; }

milliseconds() { echo $(((${EPOCHREALTIME/./} - STARTED) / 1000)); }

# Print each answer of /healthz that differs from the one before, until it is
# 200 (or for 20 s), with the milliseconds since the start.
watch_health() {
  local answer last=''
  until [[ $last == 200* ]] || (($(milliseconds) > 20000)); do
    answer=$(healthz)
    [[ $answer == "$last" ]] || printf '   %6d ms   %s\n' "$(milliseconds)" "${answer/#000/(nobody answers yet)}"
    last=$answer
    sleep 0.01
  done
  [[ $last == '200 ok' ]]
}

# Every rule in the pod, whichever of the kernel's two interfaces holds it.
all_rules() {
  local table
  for table in nat filter; do
    legacy_rules "$table" 2>/dev/null
    legacy_rules "$table" 6 2>/dev/null
  done | grep -v -e '^:[A-Z]* ACCEPT$' -e '^COMMIT$' -e '^\*' || true
  in_pod nft list ruleset 2>/dev/null || true
}

nothing_left() {
  ! ip netns list | grep -qw -e "$1" -e "$2" && [[ ! -e /etc/netns/$1 && ! -e /etc/netns/$2 && ! -e $3 ]]
}

((EUID == 0)) || {
  echo "network namespaces need root: sudo make demo" >&2
  exit 1
}
trap 'lab_down; stage_down' EXIT
trap 'exit 130' INT TERM

step 'A pod and its internet: two network namespaces, an nginx with HTTPS on the far side.'
stage_up
lab_up
printf '   pod     10.77.0.2   programs and addons: %s\n' "$STAGE"
printf '   origin  10.77.0.1   shop.example.test and others, signed by a private CA\n'
printf '   LAB is %s, mitmdump is version %s\n' "$LAB" "$MITMDUMP_VERSION"
URL=https://shop.example.test/hello
show app curl -sS --cacert "$STAGE/pki/private-ca.crt" "$URL"
promise 'not intercepted yet: the origin received what the client sent' output_lacks 'X-OpenSandbox-Egress: 1'

step 'Start entrypoint.sh, the one command of a container, and ask /healthz until it is ready.'
RULES_BEFORE=$(all_rules)
printf '   %sroot# entrypoint.sh &%s\n' "$DIM" "$PLAIN"
STARTED=${EPOCHREALTIME/./}
spawn entrypoint entrypoint.sh
ENTRYPOINT=$SPAWNED
watch_health && READY=yes || READY=no
promise 'ready (/healthz answers 200 ok)' [ "$READY" = yes ]
[[ $READY == yes ]] || {
  echo '   the log of entrypoint.sh:'
  tail -n 20 "$LAB/entrypoint.log" | sed 's/^/      /'
  exit 1
}

step 'HTTPS as an ordinary user, who trusts nothing but the exported bundle.'
show app curl -sS --cacert "$BUNDLE" --capath /dev/null "$URL"
promise 'the origin received the header that the addon adds' output_has 'X-OpenSandbox-Egress: 1'
promise 'and the real destination was kept' output_has 'to: 203.0.113.10:443'

step 'Who issued the certificate that this client was shown?'
ONLY=$CERTIFICATE show app curl -svo /dev/null --cacert "$BUNDLE" --capath /dev/null "$URL"
promise 'mitmproxy did, and the client could verify it' output_has 'issuer: CN=mitmproxy'
promise 'with the CA that setup made and exported' \
  [ "$(fingerprint "$EXPORT/mitmproxy-ca-cert.pem")" = "$(fingerprint "$CONFDIR/mitmproxy-ca-cert.pem")" ]

step 'Plain HTTP.'
show app curl -sS http://api.example.test/plain
promise 'is intercepted too' output_has 'X-OpenSandbox-Egress: 1'

step 'An origin whose CA is not in the upstream trust directory.'
show app curl -sS -o /dev/null -w 'status %{http_code}\n' --cacert "$BUNDLE" --capath /dev/null https://unknown-ca.test/
promise 'gets no traffic: the proxy answers 502' output_has 'status 502'

step 'The same request as the user mitmproxy, who is exempt (or mitmdump would intercept itself).'
show mitmproxy curl -sS --cacert "$STAGE/pki/private-ca.crt" --capath /dev/null "$URL"
promise 'not intercepted: no header' output_lacks 'X-OpenSandbox-Egress: 1'
ONLY=$CERTIFICATE show mitmproxy curl -svo /dev/null --cacert "$STAGE/pki/private-ca.crt" --capath /dev/null "$URL"
promise 'and the certificate is that of the origin' output_has 'issuer: CN=Private Test CA'

step 'The live rules that do it.'
all_rules | sed 's/^/      /'

step 'What setup itself says about configuration, CA, rules and state.'
show root setup status
promise 'setup status: all as it should be (exit status 0)' [ "$STATUS" = 0 ]

step 'Stop with SIGTERM.'
STARTED=${EPOCHREALTIME/./} STATUS=0
kill -TERM "$ENTRYPOINT"
wait "$ENTRYPOINT" || STATUS=$?
printf '   ended after %d ms with exit status %d\n' "$(milliseconds)" "$STATUS"
promise 'exit status 0' [ "$STATUS" = 0 ]
promise 'no process is left in the pod' [ -z "$(ip netns pids "$POD")" ]
show app curl -sS --max-time 5 "$URL"
promise 'fail closed: without a proxy nothing gets out' [ "$STATUS" != 0 ]

step 'Remove the rules.'
show root setup clear
promise 'the tables are as they were before' [ "$(all_rules)" = "$RULES_BEFORE" ]

step 'Tear down.'
pod=$POD origin=$ORIGIN lab=$LAB
lab_down
promise 'namespaces, processes and files are gone' nothing_left "$pod" "$origin" "$lab"

printf '\n%d promises kept, %d broken\n' "$KEPT" "$BROKEN"
((BROKEN == 0))
