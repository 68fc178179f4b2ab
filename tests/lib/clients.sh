# shellcheck shell=bash
# Real TLS clients, as the application in the pod, which trust nothing but what
# they are told: `clients_up` once in setup_file.

# openssl-file and -path are told by option, openssl by the environment alone.
# shellcheck disable=SC2034 # for the suites
CLIENTS=(curl openssl-file openssl-path openssl urllib requests node java git wget)

clients_up() {
  local program
  for program in curl openssl node java javac git wget; do need "$program"; done
  /usr/bin/python3 -c 'import requests' || skip_or_fail 'no python3-requests'
  mkdir -p "$STAGE/clients"
  [[ -e $STAGE/clients/Fetch.class ]] ||
    javac -nowarn -d "$STAGE/clients" "$ROOT/tests/lib/Fetch.java"
  cat >"$STAGE/clients/get_urllib.py" <<'PYTHON'
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2] if len(sys.argv) > 2 else None)
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10, context=context).read().decode())
PYTHON
  cat >"$STAGE/clients/get_requests.py" <<'PYTHON'
import sys, requests
answer = requests.get(sys.argv[1], timeout=10)
answer.raise_for_status()
sys.stdout.write(answer.text)
PYTHON
  cat >"$STAGE/clients/fetch.mjs" <<'NODE'
try {
  const answer = await fetch(process.argv[2], { signal: AbortSignal.timeout(10000) });
  process.stdout.write(await answer.text());
} catch (error) {
  console.error(error.cause ?? error);
  process.exit(1);
}
NODE
  # s_client.sh HOST PATH [OPTIONS]: over a verified handshake, or not at all.
  cat >"$STAGE/clients/s_client.sh" <<'SHELL'
host=$1 path=$2
shift 2
printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$host" |
  timeout 10 openssl s_client -quiet -ignore_unexpected_eof -verify_return_error -verify_hostname "$host" \
    -servername "$host" -connect "$host:443" "$@"
SHELL
}

# bare CMD...: as the application, with PATH, an empty HOME and the lines of
# TRUST_ENV, and no other variable.
TRUST_ENV=()
bare() {
  [[ -d $LAB/app ]] || install -d -o "$APP_UID" -g "$APP_UID" "$LAB/app"
  as_app env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$LAB/app" "${TRUST_ENV[@]}" "$@"
}
# What the application is told to trust by trust.env, now.
read_trust_env() { read_trust_env_of "$EXPORT"; }
read_trust_env_of() { mapfile -t TRUST_ENV <"$1/trust.env"; }
# restart CMD: begin it by `up`, or end it and begin again, since mitmdump reads its CA
# when it starts; clients are told what is exported then.
restart() {
  [[ -z ${SPAWNED-} ]] || down
  up "$@"
  read_trust_env
}

# Clients that are told by TRUST_ENV: client NAME HOST PATH
client() {
  local host=$2 path=$3 url=https://$2$3
  case $1 in
    curl) bare curl -sS --max-time 10 "$url" ;;
    openssl) bare sh "$STAGE/clients/s_client.sh" "$host" "$path" ;;
    openssl-file) bare sh "$STAGE/clients/s_client.sh" "$host" "$path" -no-CApath -no-CAstore -CAfile "$BUNDLE" ;;
    openssl-path) bare sh "$STAGE/clients/s_client.sh" "$host" "$path" -no-CAfile -no-CAstore -CApath "$EXPORT/certs" ;;
    urllib | requests) bare /usr/bin/python3 "$STAGE/clients/get_$1.py" "$url" ;;
    node) bare node "$STAGE/clients/fetch.mjs" "$url" ;;
    java) bare java -Xshare:auto -XX:TieredStopAtLevel=1 -cp "$STAGE/clients" Fetch "$url" ;;
    wget) bare wget -nv -O - --tries=1 --timeout=10 "$url" ;;
    # What it asks for is no repository, which it can only say after the handshake.
    git)
      bare env GIT_TERMINAL_PROMPT=0 timeout 10 git ls-remote "$url" 2>&1 |
        tee /dev/stderr | grep -qE 'not valid: is this a git repository|not found'
      ;;
  esac
}

# Clients that are told in their own way to trust the roots in PEM and no other
# (Node: no other but its own): client_trusting PEM NAME HOST PATH
# shellcheck disable=SC2034 # for the suites
ROTATION_CLIENTS=(curl openssl urllib node java)
client_trusting() {
  local pem=$1 host=$3 path=$4 url=https://$3$4
  # (Debian's Node heeds SSL_CERT_FILE as well.)
  local TRUST_ENV=()
  case $2 in
    curl) bare curl -sS --max-time 10 --cacert "$pem" --capath /dev/null "$url" ;;
    openssl) bare sh "$STAGE/clients/s_client.sh" "$host" "$path" -no-CApath -no-CAstore -CAfile "$pem" ;;
    urllib) bare /usr/bin/python3 "$STAGE/clients/get_urllib.py" "$url" "$pem" ;;
    node) bare env NODE_EXTRA_CA_CERTS="$pem" node "$STAGE/clients/fetch.mjs" "$url" ;;
    java) bare java -Xshare:auto -XX:TieredStopAtLevel=1 -cp "$STAGE/clients" Fetch "$url" "$pem" ;;
    wget) bare wget -nv -O - --tries=1 --timeout=10 --ca-certificate="$pem" --ca-directory="$STAGE/clients" "$url" ;;
  esac
}

# The origin's log says what became of a request: "1" if it was intercepted,
# "-" if it came as the client sent it.
origin_egress() { origin_saw "https://$1:443$2" | sed -n '$s/.* egress="\([^"]*\)".*/\1/p'; }

# reaches EGRESS HOST WHAT CMD...: CMD with HOST and a PATH that nobody else has asked
# for must succeed, and the origin must have seen it intercepted (1) or not (-).
reaches() {
  local egress=$1 host=$2 what=$3 path=/$RANDOM$RANDOM seen
  shift 3
  attempt "$@" "$host" "$path"
  [[ $STATUS == 0 ]] || {
    fault "$what: status $STATUS: $(tail -n 3 <<<"$OUTPUT")"
    return 0
  }
  seen=$(origin_egress "$host" "$path")
  [[ $seen == "$egress" ]] || fault "$what: the origin saw egress=\"$seen\""
}

# intercepted NAME...: these clients, with trust.env, verify what mitmdump shows them;
# passed_through NAME...: and what the origin itself shows them.
intercepted() {
  local name
  for name; do reaches 1 shop.example.test "$name, intercepted" client "$name"; done
}
passed_through() {
  local name
  for name; do reaches - pinned-one.test "$name, passed through" client "$name"; done
}
# trusting PEM NAME...: these clients, with only the roots in PEM.
trusting() {
  local pem=$1 name
  shift
  for name; do reaches 1 shop.example.test "$name, trusting ${pem##*/}" client_trusting "$pem" "$name"; done
}
# not_trusting PEM NAME...: must refuse, because of the certificate.
not_trusting() {
  local pem=$1 name
  shift
  for name; do
    attempt client_trusting "$pem" "$name" shop.example.test /
    [[ $STATUS != 0 ]] || fault "$name works, trusting ${pem##*/}"
    grep -qiE 'certif|verif|SSL' <<<"$OUTPUT" || fault "$name: not the certificate: $OUTPUT"
  done
}
