#!/usr/bin/env bats
# The configuration: every variable, every kind of bad value, in both programs.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

LONG=$(printf 'x%.0s' {1..9000})
MANY=$(printf '/%.0s' {1..9000})

# A pod in which setup has run and users have names, and how everything is there.
setup() {
  test_up
  cat >"/etc/netns/$POD/passwd" <<PASSWD
root:x:0:0::/root:/bin/sh
toor:x:0:0::/root:/bin/sh
nobody:x:65534:65534::/nonexistent:/bin/false
mitmproxy:x:$MITM_UID:$MITM_UID::$LAB/home:/bin/false
alias:x:$MITM_UID:7::/nonexistent:/bin/false
PASSWD
  in_pod setup >/dev/null 2>&1
  RULES=$(rules)
}

PROGRAMS=(setup healthd)

# What --help says is accepted for variable $1.
accepted() {
  HELP=${HELP-$(in_pod setup --help)}
  awk -v name="$1" '
    $1 == name { getline; sub(/.*accepted: /, ""); sub(/; default: [^;]*$/, ""); print }' <<<"$HELP"
}

# complaint PROGRAM NAME VALUE: does OUTPUT hold just one line, which names variable, value
# and what is accepted, and does STATUS say configuration?
complaint() {
  local program=$1 name=$2 value=$3 row
  row="$program with $name=${value:0:60}: "
  [[ $STATUS == 78 ]] || fault "$row exit status $STATUS: ${OUTPUT:0:200}"
  [[ ${OUTPUT#*$'\n'} == "$OUTPUT" && -n $OUTPUT ]] || fault "$row not one line: ${OUTPUT:0:600}"
  [[ $OUTPUT == *"$P$name"[=:\ ]* ]] || fault "$row variable not named: ${OUTPUT:0:200}"
  # Its beginning, up to what is not to be printed.
  value=${value:0:30}
  value=${value%%[![:print:]]*}
  [[ $OUTPUT == *"${value## }"* ]] || fault "$row value not named: ${OUTPUT:0:200}"
  [[ $OUTPUT == *"$ACCEPTED"* ]] || fault "$row what is accepted not named: ${OUTPUT:0:200}"
  [[ ${OUTPUT//$'\n'/} != *[[:cntrl:]]* ]] || fault "$row control characters reach the log"
  ((${#OUTPUT} < 1500)) || fault "$row ${#OUTPUT} bytes of complaint"
}

# Quicker than a snapshot: nothing is written without a new time of change.
touched() { find "$LAB/home" "$LAB/run" "$LAB/export" -printf '%p %m %U:%G %i %C@\n'; }

# bad NAME VALUE [OTHER=VALUE...]: with this value (and others) both programs must refuse.
# In a list ITEM is the one that is wrong, and is to be named.
bad() {
  local name=$1 value=$2 program before after
  shift 2
  ACCEPTED=$(accepted "$name")
  before=$(touched)
  for program in "${PROGRAMS[@]}"; do
    STATUS=0
    OUTPUT=$(with "$@" "$name=$value" timeout -k 1 2 "$program" 2>&1) || STATUS=$?
    complaint "$program" "$name" "${ITEM-$value}"
  done
  after=$(touched)
  [[ $after == "$before" ]] || fault "$name=${value:0:60}: something was touched: $(diff <(echo "$before") <(echo "$after"))"
}
# At the end of a table.
all_refused() {
  same rules "$RULES" "$(rules)" || fault 'rules were touched'
  no_faults
}
# What is bad for every variable that is not a word of a list.
bad_text() {
  bad "$1" "$2$LONG"
  bad "$1" "$2"$'\001'
  bad "$1" "$2"$'a\nb'
  bad "$1" "$2"$'\e[31m'
  bad "$1" "$2"$'\177x'
}
bad_path() {
  bad "$1" relative/path
  bad "$1" "$MANY"
  bad_text "$1" /etc
}
bad_user() {
  local value
  for value in nosuchuser root toor 0 0:0 0:10050 10050:0 4294967295 4294967296 10050:4294967295 \
    10050:4294967296 -1 10050:-1 10050: :10050 10050:x 10050:10050:10050 10050x 0x2742 1.5 '10050 10050' \
    +10050 10050:+5 '10050: 5' 10050:-0; do
    bad "$1" "$value"
  done
  bad_text "$1" user
}

@test "MITMPROXY_TRANSPARENT, bad values: both programs refuse and touch nothing" {
  local value
  for value in maybe 2 -1 tru yess 'on off' 01; do bad MITMPROXY_TRANSPARENT "$value"; done
  bad_text MITMPROXY_TRANSPARENT y
  all_refused
}

@test "MITMPROXY_SSL_INSECURE, bad values" {
  local value
  for value in maybe 2 -1 tru yess 'on off'; do bad MITMPROXY_SSL_INSECURE "$value"; done
  bad_text MITMPROXY_SSL_INSECURE y
  all_refused
}

@test "MITMPROXY_PORT, bad values" {
  local value
  for value in abc 0 -1 65536 4294985377 18446744073709569697 18081x x18081 1.5 0x46a1 '18 081' 18081,18082 80 443 18080; do
    bad MITMPROXY_PORT "$value"
  done
  bad MITMPROXY_PORT 19999 HTTP_ADDR=:19999
  bad MITMPROXY_PORT "$(printf '1%.0s' {1..9000})"
  bad_text MITMPROXY_PORT 1
  all_refused
}

@test "MITMPROXY_SCRIPT, bad values" {
  local value good=$LAB/origin/locations
  for value in /nonexistent.py add_header.py ./add_header.py /etc; do bad MITMPROXY_SCRIPT "$value"; done
  for value in /nonexistent.py relative.py /etc; do
    ITEM=$value bad MITMPROXY_SCRIPT "$good,$value"
    ITEM=$value bad MITMPROXY_SCRIPT "$value, $good"
  done
  bad MITMPROXY_SCRIPT "$(printf "$good,%.0s" {1..65})"
  bad_path MITMPROXY_SCRIPT
  all_refused
}

@test "MITMPROXY_IGNORE_HOSTS, bad values" {
  bad MITMPROXY_IGNORE_HOSTS "$(printf 'a;%.0s' {1..65})"
  bad_text MITMPROXY_IGNORE_HOSTS example
  all_refused
}

@test "MITMPROXY_SET, bad values" {
  local value
  for value in novalue '=value' 'bad name=x'; do
    bad MITMPROXY_SET "$value"
    ITEM=$value bad MITMPROXY_SET "termlog_verbosity=info;$value"
  done
  bad MITMPROXY_SET "$(printf 'a=b;%.0s' {1..65})"
  bad_text MITMPROXY_SET name=
  all_refused
}

@test "MITMPROXY_SET cannot undo a promise: each option is refused, and our variable for it named" {
  local option variable
  while read -r option variable; do
    bad MITMPROXY_SET "$option=x"
    ITEM=$option bad MITMPROXY_SET "flow_detail=1; $option=x"
    [[ $variable == fixed ]] || variable="set by $P$variable;"
    has "$OUTPUT" "$option is $variable" || fault "$option: $variable is not named"
  done <<'TABLE'
mode MITMPROXY_PORT
listen_host MITMPROXY_PORT
listen_port MITMPROXY_PORT
rawtcp MITMPROXY_NON_HTTP
tcp_hosts MITMPROXY_NON_HTTP
udp_hosts MITMPROXY_NON_HTTP
ignore_hosts MITMPROXY_IGNORE_HOSTS
allow_hosts MITMPROXY_IGNORE_HOSTS
stream_large_bodies MITMPROXY_STREAM_REQUESTS
tcp_timeout MITMPROXY_IDLE_TIMEOUT
ssl_insecure MITMPROXY_SSL_INSECURE
scripts MITMPROXY_SCRIPT
confdir MITMPROXY_CONFDIR
termlog_verbosity LOG_LEVEL
upstream_cert fixed
connection_strategy fixed
validate_inbound_headers fixed
websocket fixed
server fixed
TABLE
  bad MITMPROXY_SET egress_anything=x
  has "$OUTPUT" 'shipped addons' || fault egress_
  all_refused
  # Others that only begin so are mitmproxy's to judge.
  attempt with MITMPROXY_SET='body_size_limit=1m;mode_x=1;scripts2=x' setup
  [[ $STATUS == 0 ]]
}

# What of the other tool limits or protects: "NAME value", a line each.
policies() {
  cat <<'TABLE'
MODE dns+nft
MODE dns
RULES {"defaultAction":"deny"}
RULES {"defaultAction":"allow","egress":[{"action":"deny","target":"x.test"}]}
POLICY_FILE /var/egress/policy.json
PUBLIC_POLICY {"version":1}
UPSTREAM_PROXY http://secret-value.test:3128
UPSTREAM_PROXY_AUTH secret-value
CREDENTIAL_VAULT_REQUIRE_TLS true
CREDENTIAL_ANYTHING secret-value
DENY_WEBHOOK https://secret-value.test
BLOCK_DOH_443 true
BLOCK_DOH_443 treu
DOH_BLOCKLIST 192.0.2.1
DNS_UPSTREAM 192.0.2.53
NAMESERVER_EXEMPT 192.0.2.53
TABLE
}

@test "a policy that is not ours to enforce: exit 78, what is not enforced, nothing touched, also when off" {
  local name value program before switch
  before=$(touched)
  while read -r name value; do
    for switch in on off; do
      for program in "${PROGRAMS[@]}"; do
        attempt with MITMPROXY_TRANSPARENT=$switch "$name=$value" timeout 5 "$program" >/dev/null
        [[ $STATUS == 78 ]] || fault "$program, $switch, $name: status $STATUS: $OUTPUT"
        [[ $(grep -c ' error ' <<<"$OUTPUT") == 1 && $(wc -l <<<"$OUTPUT") == 1 ]] || fault "$name: $OUTPUT"
        has "$OUTPUT" "$P$name: .* not enforced here.*${P}ENFORCED_ELSEWHERE=$name " || fault "$name: $OUTPUT"
        lacks "$OUTPUT" secret-value || fault "$name: its value is in the log"
      done
    done
  done < <(policies)
  same 'what is there' "$before" "$(touched)" || fault 'something was touched'
  # All at once, a line each.
  attempt with MODE=dns+nft RULES='{}' UPSTREAM_PROXY=http://x setup
  [[ $STATUS == 78 && $(grep -c ' error ' <<<"$OUTPUT") == 3 ]] || fault 'not all'
  all_refused
}

@test "ENFORCED_ELSEWHERE: a policy that another container enforces is in order, and no other one" {
  local name value family
  while read -r name value; do
    family=$name
    case $name in PUBLIC_*) family='PUBLIC_*' ;; UPSTREAM_PROXY*) family='UPSTREAM_PROXY*' ;; CREDENTIAL_*) family='CREDENTIAL_*' ;; esac
    accepted ENFORCED_ELSEWHERE | grep -qwF -e "$family" || fault "$family is not in --help"
    for value in "$name=$value ENFORCED_ELSEWHERE=$name" "$name=$value ENFORCED_ELSEWHERE=HTTP,$name" \
      "$name=$value ENFORCED_ELSEWHERE= $P$name ,$family"; do
      attempt with "${value%% ENFORCED*}" "ENFORCED${value##* ENFORCED}" setup >/dev/null
      if [[ $value == *=HTTP,* ]]; then
        [[ $STATUS == 78 ]] && has "$OUTPUT" "${P}ENFORCED_ELSEWHERE=\"HTTP\".*accepted: MODE, " || fault "$value: $OUTPUT"
      else
        [[ $STATUS == 0 ]] || fault "$value: $OUTPUT"
      fi
    done
  done < <(policies)
  attempt with MODE=dns+nft RULES='{}' ENFORCED_ELSEWHERE=MODE setup
  [[ $STATUS == 78 && $(grep -c ' error ' <<<"$OUTPUT") == 1 ]] || fault 'another one'
  has "$OUTPUT" "${P}RULES: " || fault 'RULES is not named'
  attempt with CREDENTIAL_A=1 CREDENTIAL_B=1 'ENFORCED_ELSEWHERE=CREDENTIAL_*' setup
  [[ $STATUS == 0 ]] || fault 'a family'
  # What limits nothing needs nobody else, and is not one of these.
  for value in TOKEN MITMPROXY_PORT LOG_LEVEL MOD mode 'MODE*'; do
    ITEM=$value bad ENFORCED_ELSEWHERE "MODE,$value"
  done
  bad_text ENFORCED_ELSEWHERE MODE
  no_faults
}

@test "what switches a policy off is no policy, and what limits nothing is only said to have no effect" {
  local value
  for value in MODE= 'MODE=  ' BLOCK_DOH_443=false BLOCK_DOH_443=0 BLOCK_DOH_443=Off MODE=off DENY_WEBHOOK= \
    'RULES={ "defaultAction": "allow" }' 'RULES={"defaultAction":"allow","egress":[]}' UPSTREAM_PROXY=none; do
    attempt with "$value" setup
    [[ $STATUS == 0 ]] || fault "$value"
    lacks "$OUTPUT" ' warn ' || fault "$value: a warning"
  done
  for value in TOKEN=secret-value MAX_RULES=1 SANDBOX_ID=x METRICS_EXTRA_ATTRS=a=b DNS_UPSTREAM_TIMEOUT=5 \
    DNS_UPSTREAM_PROBE=x DNS_UPSTREAM_PROBE_INTERVAL_SEC=1 PROFILE=sidecar; do
    attempt with "$value" setup
    [[ $STATUS == 0 ]] || fault "$value"
    has "$OUTPUT" " warn .*$P${value%%=*}: has no effect here" || fault "$value: no warning"
    lacks "$OUTPUT" 'did you mean|secret-value' || fault "$value: a silly suggestion, or its value"
  done
  no_faults
}

@test "MITMPROXY_CONFDIR, STATE_FILE and EXPORT_DIR, bad values" {
  bad_path MITMPROXY_CONFDIR
  bad_path STATE_FILE
  bad STATE_FILE /
  bad STATE_FILE "$LAB/run/"
  bad_path EXPORT_DIR
  all_refused
}

@test "EXPORT_MOUNT and EXPORT_DIR, paths that the variables in trust.env cannot name" {
  local value
  # shellcheck disable=SC2016 # no expansion is wanted
  for value in '/with blank' /with:colon "/with'quote" '/with"quote' '/with$dollar' '/with;semicolon' '/with\backslash'; do
    bad EXPORT_MOUNT "$value"
    bad EXPORT_DIR "$value"
  done
  bad_path EXPORT_MOUNT
  all_refused
  # Where the application sees it elsewhere, the directory itself may have any name.
  attempt with EXPORT_DIR="$LAB/with blank:" EXPORT_MOUNT=/opt/a_b-c.d+e@f setup prepare
  [[ $STATUS == 0 ]]
  same trust.env /opt/a_b-c.d+e@f/certs "$(sed -n 's/^SSL_CERT_DIR=//p' "$LAB/with blank:/trust.env")"
}

@test "MITMPROXY_UPSTREAM_TRUST_DIR and MITMPROXY_SCRIPTS_DIR, bad values" {
  bad MITMPROXY_UPSTREAM_TRUST_DIR /nonexistent
  bad MITMPROXY_UPSTREAM_TRUST_DIR /etc/passwd
  bad_path MITMPROXY_UPSTREAM_TRUST_DIR
  bad MITMPROXY_SCRIPTS_DIR /nonexistent
  bad MITMPROXY_SCRIPTS_DIR /etc/passwd
  bad MITMPROXY_SCRIPTS_DIR /etc # no stream.py
  bad_path MITMPROXY_SCRIPTS_DIR
  all_refused
}

@test "MITMPROXY_BIN, bad values" {
  local value
  install -m 0644 /bin/true "$LAB/plain"
  for value in /nonexistent/mitmdump ./mitmdump bin/mitmdump nosuchprogram "$LAB" "$LAB/plain"; do
    bad MITMPROXY_BIN "$value"
  done
  bad_text MITMPROXY_BIN mitm
  bad MITMPROXY_BIN "$MANY"
  all_refused
}

@test "MITMPROXY_USER, bad values" {
  bad_user MITMPROXY_USER
  all_refused
}

@test "HEALTHD_USER, bad values" {
  bad_user HEALTHD_USER
  # The mitmproxy user, by whatever name: it must not read the key.
  bad HEALTHD_USER "$MITM_UID"
  bad HEALTHD_USER "$MITM_UID:20000"
  bad HEALTHD_USER mitmproxy
  bad HEALTHD_USER alias
  bad HEALTHD_USER nobody MITMPROXY_USER=65534
  all_refused
}

@test "HTTP_ADDR, bad values" {
  local value
  for value in xx 18080 : :0 :-1 :65536 :abc :18080x localhost:18080 1.2.3:18080 256.0.0.1:18080 \
    ::1:18080 '[::1]' '[::1]18080' '[::1:18080' '[127.0.0.1]:18080' '[zz]:18080' 127.0.0.1: '[]:18080'; do
    bad HTTP_ADDR "$value"
  done
  bad_text HTTP_ADDR :18080
  all_refused
}

@test "MITMPROXY_NON_HTTP and MITMPROXY_STREAM_REQUESTS, bad values" {
  local value
  for value in maybe on 1 'reject log' rejected; do bad MITMPROXY_NON_HTTP "$value"; done
  for value in m k 8mb 8g 1.5m -1 +1 '8 m' 0x10 134217729 131073k 129m 18446744073709551616 18014398509481985k 1mk; do
    bad MITMPROXY_STREAM_REQUESTS "$value"
  done
  bad_text MITMPROXY_NON_HTTP log
  bad_text MITMPROXY_STREAM_REQUESTS 1
  all_refused
}

@test "MITMPROXY_NO_NAME, bad and good values" {
  local value
  for value in reject allow on 1 'verify passthrough' pass; do bad MITMPROXY_NO_NAME "$value"; done
  bad_text MITMPROXY_NO_NAME verify
  all_refused
  for value in verify passthrough PASSTHROUGH; do
    attempt with MITMPROXY_NO_NAME="$value" setup
    [[ $STATUS == 0 ]] || fault "$value"
  done
  no_faults
}

@test "MITMPROXY_IDLE_TIMEOUT, bad and good values" {
  local value
  for value in 0 -1 +1 1.5 1h 604801 18446744073709551616 never; do bad MITMPROXY_IDLE_TIMEOUT "$value"; done
  bad_text MITMPROXY_IDLE_TIMEOUT 1
  all_refused
  for value in 1 604800; do
    attempt with MITMPROXY_IDLE_TIMEOUT="$value" setup
    [[ $STATUS == 0 ]] || fault "$value"
  done
  no_faults
}

@test "MITMPROXY_STREAM_REQUESTS and MITMPROXY_NON_HTTP, good values" {
  local value
  for value in 0 1 134217728 0k 131072k 131072K 128m 128M 8m; do
    attempt with MITMPROXY_STREAM_REQUESTS="$value" setup
    [[ $STATUS == 0 ]] || fault "$value"
  done
  for value in reject log allow ALLOW; do
    attempt with MITMPROXY_NON_HTTP="$value" setup
    [[ $STATUS == 0 ]] || fault "$value"
  done
  no_faults
}

@test "LOG_LEVEL and LOG_FORMAT, bad values" {
  local value
  for value in loud 7 'info warn' info,warn; do bad LOG_LEVEL "$value"; done
  for value in xml 1 'text json'; do bad LOG_FORMAT "$value"; done
  bad_text LOG_LEVEL info
  bad_text LOG_FORMAT text
  all_refused
}

@test "lists of ports: ranges and all; bad values" {
  local name value
  for name in MITMPROXY_EXTRA_PORTS MITMPROXY_EXCLUDE_PORTS; do
    for value in 0 65536 x -1 8000- -8999 8999-8000 8000-65536 8000--8999 8000-8999-9999 1-65535 '80 81' all-90; do
      bad $name "$value"
    done
    bad $name "$(seq -s, 1000 1064)"
  done
  # What would exclude everything.
  bad MITMPROXY_EXCLUDE_PORTS all
  for value in allow,reject yes; do
    bad MITMPROXY_FORWARDED "$value"
    bad OTHER_TRAFFIC "$value"
  done
  bad OTHER_TRAFFIC reject MITMPROXY_IPV6=off
  all_refused
  for value in all ALL 1-80 8000-8999,8080 'all, 8080' 18000-18100; do
    attempt with MITMPROXY_EXTRA_PORTS="$value" MITMPROXY_EXCLUDE_PORTS=5432,6000-6100 setup
    [[ $STATUS == 0 ]] || fault "$value: status $STATUS"
  done
  # A range leaves our own ports out, where one of them by itself is an error.
  lacks "$(rules)" 'dports[^ ]*(18080|18081)[^0-9]'
  bad MITMPROXY_PORT 18081 MITMPROXY_EXTRA_PORTS=18081
  no_faults
}

@test "a list with one bad item is reported once, and its other items count for nothing" {
  bad MITMPROXY_EXTRA_PORTS 8080,x MITMPROXY_PORT=8080
  bad MITMPROXY_EXCLUDE_UIDS 1000,+5
  bad MITMPROXY_EXCLUDE_CIDRS 10.0.0.0/8,10.1.0.0/8
  all_refused
}

# unreachable NAME VALUE REASON: setup refuses what user MITM_UID cannot reach and leaves the
# rules alone; healthd, which may outlive the fault, says it on /healthz.
unreachable() {
  attempt with "$1=$2" setup
  [[ $STATUS == 78 ]] || fault "$2: setup: status $STATUS"
  has "$OUTPUT" "user ([^ ]+ )?.?$MITM_UID\\b.*$3" || fault "$2: setup: user and reason are not named"
  same rules "$RULES" "$(rules)" || fault "$2: rules"
  in_pod setup
  spawn healthd env "$P$1=$2" healthd
  told() { grep -qE -e "^503 mitm not ready: .*user ([^ ]+ )?.?$MITM_UID\\b.*$1" <<<"$(healthz)"; }
  wait_until 3 told "$3" || fault "$2: healthd: $(healthz)"
  kill "$SPAWNED"
  await_exit "$SPAWNED" 6
}
@test "what the mitmproxy user cannot read or execute is named" {
  local closed=$LAB/closed
  install -m 0600 /dev/null "$LAB/private.py"
  install -m 0700 /bin/true "$LAB/private"
  install -d -m 0700 "$closed"
  install -m 0644 /dev/null "$closed/addon.py"
  install -m 0755 /bin/true "$closed/mitmdump"
  unreachable MITMPROXY_SCRIPT "$LAB/private.py" "$LAB/private.py"
  unreachable MITMPROXY_BIN "$LAB/private" "$LAB/private"
  # It is a directory on the way that has to be opened.
  unreachable MITMPROXY_SCRIPT "$closed/addon.py" "directory $closed "
  unreachable MITMPROXY_BIN "$closed/mitmdump" "directory $closed "
  no_faults
}

@test "a directory for the state file that others use as well is left as it is" {
  local before
  mkdir -m 1777 "$LAB/tmp"
  touch "$LAB/tmp/foreign"
  before=$(files "$LAB/tmp")
  attempt with STATE_FILE="$LAB/tmp/state" setup
  rm -f "$LAB/tmp/state"
  same directory "$(stat -c '%a %U:%G' "$LAB/tmp")" '1777 root:root'
}

@test "the default user must exist as well" {
  sed -i '/^mitmproxy:/d' "/etc/netns/$POD/passwd"
  local program
  for program in "${PROGRAMS[@]}"; do
    attempt in_pod env -u ${P}MITMPROXY_USER timeout -k 1 2 "$program"
    ACCEPTED=$(accepted MITMPROXY_USER)
    complaint "$program" MITMPROXY_USER mitmproxy
  done
  no_faults
}

@test "several errors are reported together, a line for each, before anything is touched" {
  local program
  lab_down
  lab_up
  local before
  before=$(snapshot)
  for program in "${PROGRAMS[@]}"; do
    attempt with MITMPROXY_PORT=abc MITMPROXY_USER=root HTTP_ADDR=:x LOG_LEVEL=loud MITMPROXY_SSL_INSECURE=maybe \
      MITMPROXY_SCRIPT=/nonexistent.py timeout 3 "$program"
    [[ $STATUS == 78 ]]
    [[ $(grep -c . <<<"$OUTPUT") == 6 ]]
    for name in MITMPROXY_PORT MITMPROXY_USER HTTP_ADDR LOG_LEVEL MITMPROXY_SSL_INSECURE MITMPROXY_SCRIPT; do
      [[ $(grep -c "$P$name=" <<<"$OUTPUT") == 1 ]]
    done
    same 'what is there' "$before" "$(snapshot)"
  done
}

@test "every subcommand that does something refuses a bad configuration" {
  local command before
  before=$(snapshot)
  for command in prepare redirect 'redirect --wait' status; do
    # shellcheck disable=SC2086 # words
    attempt with MITMPROXY_PORT=abc timeout 3 setup $command
    [[ $STATUS == 78 ]]
    same 'what is there' "$before" "$(snapshot)"
  done
}

@test "setup status with a configuration that does not hold: what is wrong, live rules and state, exit 78" {
  local bad
  for bad in MITMPROXY_PORT=abc STATE_FILE=relative MITMPROXY_USER=nosuchuser MITMPROXY_SCRIPT=/nonexistent.py MODE=dns; do
    attempt with "$bad" timeout 5 setup status
    [[ $STATUS == 78 ]] || fault "$bad: status $STATUS"
    has "$OUTPUT" " error .*$P${bad%%=*}" || fault "$bad: not named"
    has "$OUTPUT" '^  .*nat.*18081' || fault "$bad: no live rules"
    has "$OUTPUT" '^NOT as it should be' || fault "$bad: no verdict"
    [[ $bad == STATE_FILE* ]] || has "$OUTPUT" '^  setup +ready' || fault "$bad: no state"
  done
  in_pod setup clear
  attempt with MITMPROXY_PORT=abc timeout 5 setup status
  has "$OUTPUT" '^  none of ours' || fault 'rules of ours that are not there'
  no_faults
}

# cleared WHAT CMD...: exit 0, no rules of ours, a warning that matches WHAT (and no error).
cleared() {
  local what=$1
  shift
  in_pod setup redirect 2>/dev/null || fault 'redirect'
  attempt capable net_admin,net_raw "$@"
  [[ $STATUS == 0 ]] || fault "$*: status $STATUS"
  nothing_of_ours || fault "$*: rules are left"
  lacks "$OUTPUT" ' error ' || fault "$*: an error"
  [[ -z $what ]] || has "$OUTPUT" " warn .*$what" || fault "$*: no warning of $what"
}

@test "setup clear removes the rules whatever the other variables are, with NET_ADMIN and NET_RAW" {
  local bad
  cleared '' setup clear
  state_is setup.state disabled || fault 'not recorded'
  for bad in MITMPROXY_PORT=abc MITMPROXY_PORT=80 MITMPROXY_USER=nosuchuser MITMPROXY_USER=4294967295 HEALTHD_USER=root \
    HTTP_ADDR=x LOG_LEVEL=loud MITMPROXY_TRANSPARENT=maybe MITMPROXY_SCRIPT=/nonexistent.py MITMPROXY_BIN=/nonexistent \
    MITMPROXY_SET=mode=x MITMPROXY_EXCLUDE_CIDRS=x REDIRECT_BACKEND=x EXPORT_DIR=x MODE=dns+nft ENFORCED_ELSEWHERE=x \
    STATE_FILE=relative STATE_FILE=/nonexistent/there/state; do
    case $bad in
      STATE_FILE=/*) cleared 'state file is not up to date' env "$P$bad" setup clear ;;
      *) cleared "$P${bad%%=*}" env "$P$bad" setup clear ;;
    esac
    case $bad in STATE_FILE=*) ;; *) state_is setup.state disabled || fault "$bad: not recorded" ;; esac
    same 'group of the state directory' "$MITM_UID" "$(stat -c %g "$LAB/run")" || fault "$bad"
  done
  no_faults
}

@test "setup clear as root, with a user that is not known: the state directory stays that of the user before" {
  attempt with MITMPROXY_USER=nosuchuser setup clear
  [[ $STATUS == 0 ]]
  same 'group of the state directory' "$MITM_UID" "$(stat -c %g "$LAB/run")"
  state_is setup.state disabled
}

@test "setup clear without a state directory that it can write: the rules go, with a warning" {
  # Another user's, as a container with another root has it; and gone, as a debug container has it.
  chown $OTHER_UID:$OTHER_UID "$LAB/run"
  attempt capable net_admin,net_raw setup clear
  [[ $STATUS == 0 ]] && has "$OUTPUT" ' warn .*state file is not up to date' || fault 'of another user'
  nothing_of_ours || fault 'of another user: rules are left'
  chown 0:$MITM_UID "$LAB/run"
  in_pod setup redirect 2>/dev/null
  mv "$LAB/run" "$LAB/away"
  attempt capable net_admin,net_raw setup clear
  [[ $STATUS == 0 ]] && has "$OUTPUT" ' warn .*state file is not up to date' || fault 'gone'
  nothing_of_ours || fault 'gone: rules are left'
  [[ ! -e $LAB/run ]] || fault 'it made one that nobody sees'
  mv "$LAB/away" "$LAB/run"
  # Read-only.
  in_pod setup redirect 2>/dev/null
  read_only() {
    mount --bind "$LAB/run" "$LAB/run" && mount -o remount,ro,bind "$LAB/run"
    "$@"
  }
  attempt in_pod bash -c "$(declare -f read_only); LAB=$LAB; read_only setup clear"
  [[ $STATUS == 0 ]] && has "$OUTPUT" ' warn .*state file is not up to date.*Read-only' || fault 'read-only'
  nothing_of_ours || fault 'read-only: rules are left'
  no_faults
}

@test "setup redirect from a debug container: NET_ADMIN and NET_RAW, and the volume with the state" {
  in_pod setup clear
  # Not of the mitmproxy user's group: it cannot be given, but it can be written.
  chown 0:0 "$LAB/run"
  attempt capable net_admin,net_raw setup redirect
  [[ $STATUS == 0 ]] && has "$OUTPUT" ' warn .*CAP_CHOWN.*left as it is' || fault 'of root alone'
  state_is setup.state ready || fault 'not recorded'
  in_pod setup clear
  # Without it nothing is installed: healthd would not know of the rules.
  mv "$LAB/run" "$LAB/away"
  attempt capable net_admin,net_raw setup redirect
  [[ $STATUS == 77 ]] || fault "gone: status $STATUS"
  has "$OUTPUT" ' error .*CAP_CHOWN.*debug container needs the volume' || fault 'gone: not said what is missing'
  [[ ! -e $LAB/run ]] || fault 'it made one that nobody sees'
  nothing_of_ours || fault 'gone: rules'
  no_faults
}

@test "surrounding white space is trimmed" {
  attempt with MITMPROXY_PORT=$' \t 18085\n' MITMPROXY_TRANSPARENT=' yes ' HTTP_ADDR=' :18090 ' LOG_LEVEL=$'\twarn' \
    MITMPROXY_USER=" $MITM_UID " EXPORT_DIR=" $EXPORT " setup
  [[ $STATUS == 0 && -z $OUTPUT ]] # no information at level warn
  has "$(rules)" 'dports 80,443 -j REDIRECT --to-ports 18085$'
  has "$(rules)" '127.0.0.2/32 .*REDIRECT --to-ports 18090$'
}

@test "items of lists are trimmed, and only white space is empty" {
  local scripts=$STAGE/usr/share/opensandbox/mitmscripts
  attempt with MITMPROXY_SCRIPT=" $scripts/add_header.py , $scripts/stream.py " MITMPROXY_SET=' a=b ; c=d ' \
    MITMPROXY_IGNORE_HOSTS='   ' MITMPROXY_PORT=' ' setup
  [[ $STATUS == 0 ]]
  has "$(rules)" 'dports 80,443 -j REDIRECT --to-ports 18081$'
}

@test "an empty value is the default" {
  local variable empty=()
  for variable in $(compgen -e $P); do empty+=("$variable="); done
  # In places of its own: the defaults are paths of the machine.
  places() {
    mount -t tmpfs none /run
    mount -t tmpfs none /opt
    mkdir -p /run/opensandbox-egress /opt/opensandbox/mitmscripts
    cp "$STAGE"/usr/share/opensandbox/mitmscripts/*.py /opt/opensandbox/mitmscripts
    setup status || true
    setup
    cat /run/opensandbox-egress/state
  }
  with_places() { in_pod env PATH="$(dirname "$MITMDUMP"):$PATH" "$@" bash -c "$(declare -f places); places"; }
  attempt with_places "${empty[@]}" "${P}MITMPROXY_TRANSPARENT=" "${P}LOG_LEVEL=error"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'setup.state=disabled' # off by default
  attempt with_places "${empty[@]}" "${P}MITMPROXY_TRANSPARENT=1" "${P}LOG_LEVEL=error"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'setup.state=ready'
  has "$OUTPUT" "uid $MITM_UID"           # mitmproxy
  has "$OUTPUT" "$LAB/home/.mitmproxy"    # in the home of the user
  has "$OUTPUT" '/opt/opensandbox$'
  has "$(rules)" 'dports 80,443 -j REDIRECT --to-ports 18081$'
  has "$(rules)" '127.0.0.2/32 .*REDIRECT --to-ports 18080$'
}

@test "all words for on and off" {
  local word
  for word in 1 true yes y on; do
    attempt with MITMPROXY_TRANSPARENT="$word" setup
    [[ $STATUS == 0 ]]
    has "$(rules)" 'dports 80,443 -j REDIRECT'
  done
  for word in 0 false no n off; do
    attempt with MITMPROXY_TRANSPARENT=1 setup
    attempt with MITMPROXY_TRANSPARENT="$word" setup
    [[ $STATUS == 0 ]]
    state_is setup.state disabled
    nothing_of_ours
  done
}

@test "an unknown variable with our prefix is a warning that suggests the nearest name" {
  suggests() { # WRONG RIGHT
    attempt with "$1=1" setup
    [[ $STATUS == 0 ]]
    [[ $(grep -c warn <<<"$OUTPUT") == 1 ]]
    has "$OUTPUT" "$P$1\\b.*$P$2\\b"
  }
  suggests MITMPROXY_PROT MITMPROXY_PORT
  suggests MITMPROXY_TRANSPARANT MITMPROXY_TRANSPARENT
  suggests HTTP_ADR HTTP_ADDR
  # Without the prefix it is none of our business.
  attempt in_pod env OPENSANDBOX_OTHER=1 setup
  lacks "$OUTPUT" warn
}

@test "healthd warns of an unknown variable, too" {
  spawn healthd env ${P}MITMPROXY_TRANSPARENT=off ${P}MITMPROXY_PROT=1 healthd
  wait_until 3 grep -q "${P}MITMPROXY_PROT.*${P}MITMPROXY_PORT" "$LAB/healthd.log"
}

# without CAPABILITY CMD...: as root, but for that one.
without() {
  local capability=$1
  shift
  in_pod setpriv --bounding-set "-$capability" --inh-caps "-$capability" "$@"
}

# missing CAPABILITY COMMAND...: each of these commands of setup ("" for all) ends without it, and says so.
missing() {
  local capability=$1 command
  shift
  for command; do
    attempt without "$capability" setup ${command:+"$command"}
    [[ $STATUS == 77 ]] || fault "$capability, setup $command: status $STATUS"
    has "$OUTPUT" "CAP_${capability^^}" || fault "$capability, setup $command: not named"
    same rules "$BEFORE" "$(rules)" || fault "$capability, setup $command: rules"
  done
}
@test "setup without a capability: exit 77, its name, the rules as before" {
  in_pod setup clear
  BEFORE=$(rules)
  # Without CAP_NET_RAW "auto" takes nft.
  give REDIRECT_BACKEND=iptables
  missing net_admin redirect ''
  missing net_raw redirect ''
  # What the CA's files need; they have to be made for that.
  rm -r "$CONFDIR"
  missing setuid prepare ''
  missing setgid prepare ''
  no_faults
}

@test "setup as an ordinary user: exit 77 and a capability, nothing touched" {
  local before
  before=$(snapshot)
  attempt as_app setup
  [[ $STATUS == 77 ]]
  has "$OUTPUT" 'CAP_[A-Z_]+'
  same 'what is there' "$before" "$(snapshot)"
  attempt as_app setup clear
  [[ $STATUS == 77 ]]
  has "$OUTPUT" 'CAP_[A-Z_]+'
  same 'what is there' "$before" "$(snapshot)"
}

@test "healthd as root without a capability for the drop: exit 77 and its name" {
  local capability
  for capability in setuid setgid; do
    attempt without $capability timeout 3 healthd
    [[ $STATUS == 77 ]] || fault "$capability: status $STATUS"
    has "$OUTPUT" "CAP_${capability^^}" || fault "$capability: not named"
    pod_is_empty || fault "$capability: something runs"
  done
  no_faults
}

@test "healthd as another user than the mitmproxy user refuses" {
  attempt as_app timeout 3 healthd
  [[ $STATUS == 77 || $STATUS == 78 ]]
  has "$OUTPUT" "$MITM_UID|MITMPROXY_USER|CAP_SETUID"
  pod_is_empty
}

@test "wrong usage: exit 64, nothing touched" {
  local words before
  before=$(snapshot)
  for words in 'setup bogus' 'setup --bogus' 'setup -x' 'setup prepare x' 'setup clear x' 'setup status x' \
    'setup redirect x' 'setup redirect --bogus' 'setup redirect --wait=' 'setup redirect --wait=abc' \
    'setup redirect --wait=-1' 'setup redirect --wait=99999999999' 'setup prepare --wait' 'setup prepare redirect' \
    'healthd bogus' 'healthd --bogus' 'healthd --probe x' 'healthd --probe=x'; do
    # shellcheck disable=SC2086 # words
    attempt in_pod timeout 3 $words
    [[ $STATUS == 64 ]] || fault "$words: status $STATUS"
    [[ -n $OUTPUT ]] || fault "$words: says nothing"
    same 'what is there' "$before" "$(snapshot)" || fault "$words: touched something"
  done
  no_faults
}

@test "--help lists every variable, --version a version, whatever the configuration" {
  local program name
  for program in "${PROGRAMS[@]}"; do
    attempt with MITMPROXY_PORT=abc timeout 3 "$program" --help
    [[ $STATUS == 0 ]]
    has "$OUTPUT" "$P"
    for name in MITMPROXY_{TRANSPARENT,PORT,SCRIPT,IGNORE_HOSTS,CONFDIR,UPSTREAM_TRUST_DIR,SSL_INSECURE,USER,BIN,SCRIPTS_DIR,SET} \
      HEALTHD_USER HTTP_ADDR STATE_FILE EXPORT_DIR LOG_LEVEL LOG_FORMAT; do
      has "$OUTPUT" "^ +($P)?$name\$"
    done
    attempt with MITMPROXY_PORT=abc timeout 3 "$program" --version
    [[ $STATUS == 0 ]]
    has "$OUTPUT" "^$program [0-9]+\.[0-9]+"
  done
}

@test "--help goes to standard output, errors to standard error" {
  [[ -z $(in_pod setup --help 2>&1 >/dev/null) ]]
  [[ -z $(in_pod setup bogus 2>/dev/null) ]]
  [[ -z $(with LOG_LEVEL=loud setup 2>/dev/null) ]]
}

@test "LOG_FORMAT=json: every line is an object, errors of the configuration too" {
  attempt with LOG_FORMAT=json LOG_LEVEL=debug MITMPROXY_PROT=$'"\\\001' setup
  [[ $STATUS == 0 ]]
  [[ -n $OUTPUT ]]
  while read -r line; do python3 -c 'import json, sys; assert json.loads(sys.argv[1])["message"]' "$line"; done <<<"$OUTPUT"
  attempt with LOG_FORMAT=json MITMPROXY_PORT=$'a"\\\001' setup
  [[ $STATUS == 78 ]]
  while read -r line; do python3 -c 'import json, sys; assert json.loads(sys.argv[1])["message"]' "$line"; done <<<"$OUTPUT"
}

@test "off: setup removes its rules, and only them, and records it" {
  in_pod setup clear
  in_pod iptables-legacy -w -t nat -A OUTPUT -p tcp --dport 9999 -j ACCEPT
  local before
  before=$(rules)
  in_pod setup
  refute same rules "$before" "$(rules)"
  attempt with MITMPROXY_TRANSPARENT=off setup
  [[ $STATUS == 0 ]]
  same rules "$before" "$(rules)"
  state_is setup.state disabled
  # And once more, with nothing there.
  attempt in_pod env -u ${P}MITMPROXY_TRANSPARENT setup
  [[ $STATUS == 0 ]]
  state_is setup.state disabled
}

@test "off: healthd answers 200 ok and starts no mitmdump" {
  with MITMPROXY_TRANSPARENT=off setup
  spawn healthd env ${P}MITMPROXY_TRANSPARENT=off healthd
  wait_until 5 healthz_is '200 ok'
  [[ -z $(processes "$MITM_UID" mitmdump) ]]
  refute listens "$PROXY_PORT"
  down
  [[ $STATUS == 0 ]]
}
