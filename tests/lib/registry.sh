# shellcheck shell=bash
# What the suites of clients share: registries and other servers behind the lab's origin, and
# rows, each of which is a real client's command.

# Packages of Python's index, which deps.sh provides, and where they are staged.
# shellcheck disable=SC2034 # for the suites
PYTHON_CLIENTS=$ROOT/build/clients

# After lab_up.
registry_up() {
  local tree=$LAB/origin/tree
  mkdir "$tree" "$tree/sent" "$LAB/rows"
  /usr/bin/python3 "$ROOT/tests/lib/registry/make.py" "$tree" https://shop.example.test
  install -d -m 1777 "$tree/arrived"
  registry_start /usr/bin/python3 "$ROOT/tests/lib/registry/serve.py" "$tree" 9101
  registry_start "$STAGE/python-clients/bin/python3" "$ROOT/tests/lib/registry/grpc_server.py" 9102
  wait_until 10 registry_listens || {
    cat "$LAB/origin/output"
    return 1
  }
  cat >"$LAB/origin/more.conf" <<'EOF'
    location ~ ^/(pypi|npm|crates|go|maven|apt|gems|git|v2|v1|websocket|egress-bucket)(/|$) {
      proxy_pass http://127.0.0.1:9101;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_buffering off;
    }
    location /egress.Demo/ { grpc_pass grpc://127.0.0.1:9102; }
EOF
  kill -HUP "$(<"$LAB/origin/pid")"
  wait_until 5 registry_answers
}
registry_start() {
  ip netns exec "$ORIGIN" "$@" 3>&- </dev/null >>"$LAB/origin/output" 2>&1 &
  disown
}
registry_listens() { (($(in_origin ss -Hltn '( sport = :9101 or sport = :9102 )' | wc -l) >= 2)); }
registry_answers() { in_origin curl -sf -o /dev/null http://shop.example.test/pypi/simple/egress-demo/; }

# run_row WAY COMMAND HOME: as the application, by a shell in an empty HOME, with PATH and
#   variables   what trust.env says
#   mounted     the exported certs/ over /etc/ssl/certs, and no variable
#   none        neither
# What is in the machine's own configuration of pip and npm is not read.
run_row() {
  local way=$1 command=$2 home=$3 told=() inside=()
  install -d -o "$APP_UID" -g "$APP_UID" "$home"
  [[ $way != variables ]] || mapfile -t told <"$EXPORT/trust.env"
  # shellcheck disable=SC2016 # the other shell's
  [[ $way != mounted ]] ||
    inside=(unshare --mount sh -c 'mount --bind "$0" /etc/ssl/certs && exec "$@"' "$EXPORT/certs")
  # shellcheck disable=SC2016 # the other shell's
  in_pod "${inside[@]}" setpriv --reuid "$APP_UID" --regid "$APP_UID" --clear-groups \
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$home" LC_ALL=C.UTF-8 PIP_CONFIG_FILE=/dev/null NPM_CONFIG_GLOBALCONFIG=/dev/null \
    U=https://shop.example.test STAGE="$STAGE" GO="$GO" MODEL="${home##*/}" ARRIVED="$LAB/origin/tree/arrived" "${told[@]}" \
    timeout 60 sh -c 'cd "$HOME" && eval "$1"' sh "$command" 3>&- </dev/null
}

# play WAY: run all of ROWS that have something to do with it, three at a time. A row is: NAME, the
# ways by which it has to work (v for variables, m for mounted), COMMAND. It works if it prints
# "demo", or that the origin has seen it intercepted; the same command without what is exported must
# fail, because of the certificate.
play() {
  local way=$1 name by command log running=0
  while read -r name by command; do
    has_to_do_with "$way" "$by" || continue
    log=$LAB/rows/$name.$way
    ((running < 3)) || wait -n || true
    running=$((running + 1))
    finish_row "$way" "$command" "$LAB/rows/$name-$way" "$log" &
  done <<<"$ROWS"
  wait
  while read -r name by command; do
    has_to_do_with "$way" "$by" || continue
    judge "$way" "$name" "$LAB/rows/$name.$way"
  done <<<"$ROWS"
  same 'not intercepted' '' "$(grep 'https://.*egress="-"' "$LAB/origin/access.log")" || fault 'something is not intercepted'
  no_faults
}
has_to_do_with() { [[ $1 == none || $2 == *${1:0:1}* ]]; }
finish_row() {
  local status=0
  run_row "$1" "$2" "$3" >"$4" 2>&1 || status=$?
  echo "$status" >"$4.status"
}
judge() {
  local way=$1 name=$2 log=$3 status works=0
  status=$(<"$log.status")
  ((status != 0)) || ! grep -qE 'demo|^X-OpenSandbox-Egress: 1' "$log" || works=1
  case $way in
    none)
      ((works == 0)) || fault "$name works without what is exported"
      grep -qiE 'certif|verif|x509|PKIX|SSL|TLS|issuer' "$log" || fault "$name: not the certificate: $(tail -n 5 "$log")"
      ;;
    *) ((works == 1)) || fault "$name, $way: status $status: $(tail -n 5 "$log")" ;;
  esac
}

# tokens WAY: of each answer of a language model, how long after it was sent each token has come.
# One that was held back until another came would be marked by the server, which waits for each.
tokens() {
  local sent model
  for sent in "$LAB/origin/tree/sent"/*-"$1"; do
    model=${sent##*/}
    same "$model: tokens" 5 "$(wc -l <"$LAB/origin/tree/arrived/$model")" || fault "$model"
    refute grep -q LATE "$LAB/rows/${model%-*}.${model##*-}" || fault "$model: a token came late"
    echo "# $model: each token after $(paste "$sent" "$LAB/origin/tree/arrived/$model" | awk '{ printf "%.0f ", ($2 - $1) * 1000 }')ms" >&3
  done
  no_faults
}
