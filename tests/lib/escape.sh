# shellcheck shell=bash
# What escape.bats needs beside suite.sh: origins that write down what they take, in place of the
# lab's own; addons that write down what they see; and a judge that compares the two.
#
#   ESCAPE_KEEP=DIRECTORY keeps the logs of the last table there.

source "$ROOT/tests/lib/versions.sh"

ESCAPE=$ROOT/tests/lib/escape

# Its origins have an IPv6 address as well, with the same last part.
HOSTS+=$(sed -n 's/^203\.0\.113\.\(5[0-9]\) /2001:db8::\1 /p' <<<"$HOSTS")$'\n'

# In place of the lab's: each origin has addresses of its own. Logs are in $LAB/origin/*.jsonl.
origin_up() {
  local pki=$1 dir=$2
  need ipv6
  mkdir -p "$dir/tmp"
  chown -R nobody "$dir/tmp"
  escape_nginx "$pki" "$dir" >"$dir/nginx.conf"
  origin_start nginx -e "$dir/error.log" -c "$dir/nginx.conf"
  origin_start "$(client_python)" "$ESCAPE/origin.py" "$pki" "$dir"
  origin_start "$ROOT/build/go/escape-origin" "$pki"/go.escape.test.{crt,key} "$dir/go.jsonl" 203.0.113.51 2001:db8::51
  origin_start node "$ESCAPE/origin.mjs" "$pki"/node.escape.test.{crt,key} "$dir/node.jsonl" 203.0.113.52 2001:db8::52
  wait_until 10 origins_listen || {
    cat "$dir/output" "$dir/error.log" >&2
    return 1
  }
}
origin_start() {
  ip netns exec "$ORIGIN" "$@" 3>&- </dev/null >>"$LAB/origin/output" 2>&1 &
  disown
}
# Ten origins, in both families.
origins_listen() { (($(in_origin ss -Hltn 'sport = :443' | wc -l) == 2 * 10)); }

escape_nginx() {
  local pki=$1 dir=$2
  cat <<EOF
daemon off;
user nobody nogroup;
worker_processes 1;
pid $dir/pid;
error_log $dir/error.log;
events {}
http {
  log_format json escape=json '{"origin":"nginx","client":"\$remote_addr","method":"\$request_method",'
    '"target":"\$request_uri","version":"\$server_protocol","status":"\$status","request":"\$request",'
    '"headers":[["Host","\$http_host"],["X-Seen","\$http_x_seen"],'
    '["X-OpenSandbox-Egress","\$http_x_opensandbox_egress"],["Connection","\$http_connection"]]}';
  access_log $dir/nginx.jsonl json;
  client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;
  scgi_temp_path $dir/tmp; uwsgi_temp_path $dir/tmp;
  client_max_body_size 0;
  merge_slashes off;
  default_type text/plain;
  server {
    listen 203.0.113.50:80; listen 203.0.113.50:443 ssl http2;
    listen [2001:db8::50]:80; listen [2001:db8::50]:443 ssl http2;
    ssl_certificate $pki/nginx.escape.test.crt; ssl_certificate_key $pki/nginx.escape.test.key;
    location / { return 200 "nginx \$request_uri\n"; }
  }
}
EOF
}

# Kept in build/go, because it takes a while.
build_go_origin() {
  local program=$ROOT/build/go/escape-origin
  mkdir -p "${program%/*}"
  [[ $program -nt $ESCAPE/origin.go ]] || {
    GOTOOLCHAIN=local GOFLAGS='' GOCACHE=$ROOT/build/go go build -o "$program.$BASHPID" "$ESCAPE/origin.go"
    mv "$program.$BASHPID" "$program"
  }
}

# In setup_file.
escape_lab() {
  local program
  for program in go node nginx; do need "$program"; done
  build_go_origin
  # Others must be able to enter.
  [[ -e $STAGE/escape ]] || cp -r "$ESCAPE" "$STAGE/escape"
  lab_for_file
  mkdir -p "$LAB/addons"
  cp "$ESCAPE"/{raising,recorder,refuse}.py "$LAB/addons/"
  # What a table of its own (A18) needs hinders no other, and healthd need not be started anew for it.
  export OPENSANDBOX_EGRESS_MITMPROXY_EXTRA_PORTS=53
  export OPENSANDBOX_EGRESS_MITMPROXY_SCRIPT=$LAB/addons/raising.py,$LAB/addons/recorder.py,$LAB/addons/refuse.py,$OPENSANDBOX_EGRESS_MITMPROXY_SCRIPTS_DIR/add_header.py
}

# running VERSION [NAME=VALUE...]: healthd runs the mitmdump of that version (11 or 12) with these
# variables beside the usual ones; started anew only if it does not so already. With the other
# version each row is played over the other address family (rows.py).
running() {
  local version=$1 variable
  shift
  FIRST_FAMILY=$((version == 11 ? 4 : 6))
  [[ $(cat "$LAB/running" 2>/dev/null) != "$version $*" || $(healthz) != 200* ]] || return 0
  stop_running
  for variable in MITMPROXY_NON_HTTP MITMPROXY_IGNORE_HOSTS; do unset "$P$variable"; done
  give "$@"
  if [[ $version == 12 ]]; then
    MITMDUMP_12=$(mitmproxy_12) || skip_or_fail "no mitmproxy $IMAGE_VERSION"
    give MITMPROXY_BIN="$MITMDUMP_12"
  else
    give MITMPROXY_BIN="$MITMDUMP"
  fi
  up
  echo "$SPAWNED" >"$LAB/running.pid"
  echo "$version $*" >"$LAB/running"
}
# bats runs each test in a process of its own, so it may be another's child.
stop_running() {
  local pid
  pid=$(cat "$LAB/running.pid" 2>/dev/null) || return 0
  rm "$LAB/running.pid" "$LAB/running"
  kill "$pid" 2>/dev/null || return 0
  wait_until 8 gone "$pid"
}

# rows KIND [PATTERN]: play these rows as the application, judge them, show what was wrong.
rows() {
  play "$@" || fault "$1: see above"
  cat "$LAB/verdict"
  sed 's/^/# /' "$LAB/verdict" >&3
}
# The same without showing the verdict, which is in $LAB/verdict; status 1 if something was wrong.
play() {
  local verdict=$LAB/verdict status=0
  : >"$LAB/home/seen.jsonl"
  chown "$MITM_UID" "$LAB/home/seen.jsonl"
  find "$LAB/origin" -name '*.jsonl' -exec truncate -s 0 {} +
  as_app env PROXY_CA="$EXPORT/mitmproxy-ca-cert.pem" ORIGIN_CA="$STAGE/pki/private-ca.crt" PYTHONDONTWRITEBYTECODE=1 \
    "$(client_python)" "$STAGE/escape/rows.py" "$1" "$FIRST_FAMILY" "${@:2}" >"$LAB/results" 2>"$LAB/results.err" || fault "rows: $(tail -n 3 "$LAB/results.err")"
  # What was sent may still be on its way.
  wait_until 5 logs_are_still
  python3 -B "$ESCAPE/judge.py" "$LAB/results" "$LAB/origin" "$LAB/home/seen.jsonl" >"$verdict" || status=1
  [[ -z ${ESCAPE_KEEP-} ]] || cp -r "$LAB"/origin/*.jsonl "$LAB/results" "$LAB/home/seen.jsonl" "$LAB/up.log" "$ESCAPE_KEEP/"
  return $status
}
logs_size() { cat "$LAB"/origin/*.jsonl "$LAB/home/seen.jsonl" | wc -c; }
logs_are_still() {
  local before
  before=$(logs_size)
  sleep 0.4
  [[ $(logs_size) == "$before" ]]
}

# mitmdump's memory in MiB: memory VmRSS or VmHWM; forget_peak makes the second begin anew.
# With several processes the sum.
memory() {
  local pid sum=0
  for pid in $(processes "$MITM_UID" "mitmdump|launch\\.py"); do
    sum=$((sum + $(awk -v name="$1:" '$1 == name { print $2 }' "/proc/$pid/status")))
  done
  echo $((sum / 1024))
}
forget_peak() {
  local pid
  for pid in $(processes "$MITM_UID" "mitmdump|launch\\.py"); do echo 5 >"/proc/$pid/clear_refs"; done
}
