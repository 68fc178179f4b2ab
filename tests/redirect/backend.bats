#!/usr/bin/env bats
# Two interfaces of the kernel, one list of rules: which is chosen, what it then holds, and
# how one follows the other.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

NEEDS=(legacy ipv6)

setup_file() { suite_up; fault_library; }

NFT_TABLE=opensandbox_egress
ORIGINS='203.0.113.10 2001:db8::16'

# What is in a backend's tables when nothing is; the gate is neither's.
nothing_of() {
  case $1 in
    nft) same 'nft tables' '' "$(listing nft | without_gate)" ;;
    iptables) lacks "$(listing legacy)" OPENSANDBOX ;;
  esac
}
# The same of the gate, too: nothing is left.
nothing_left_of() { nothing_of "$1" && same gate '' "$(listing gate)"; }
other_than() { [[ $1 == nft ]] && echo iptables || echo nft; }
# The lines of setup's log that say which backend it is.
choices() { grep -E ' info +setup: backend (iptables|nft)' <<<"$OUTPUT" || true; }
# chosen BACKEND REASON: in one line of the log; the rules are there, and only there.
chosen() {
  [[ $STATUS == 0 ]] || fault "status $STATUS"
  same 'lines about the choice' 1 "$(choices | wc -l)" || fault "$*"
  has "$(choices)" "backend $1: .*$2" || fault "$*"
  golden "$1-default" "$(listing "$1")" || fault "$*"
  nothing_of "$(other_than "$1")" || fault "$*"
  state_is setup.backend "$1" || fault "state file: $(state setup.backend)"
  state_is setup.state ready || fault "state file: $(state setup.state)"
}

# --- which one

@test "auto takes the legacy tables where they are, and says so in one line" {
  attempt in_pod setup redirect
  chosen iptables legacy
  attempt with REDIRECT_BACKEND=auto setup redirect
  chosen iptables legacy
  no_faults
}

@test "without legacy tables auto takes nft, says so in one line, and everything works" {
  local error
  # ENOPROTOOPT: no ip_tables at all; ENOENT: no table.
  for error in ENOPROTOOPT ENOENT; do
    attempt broken FAULT_NO_LEGACY=$error setup redirect
    chosen nft legacy
    attempt broken FAULT_NO_LEGACY=$error setup redirect
    chosen nft legacy
    attempt broken FAULT_NO_LEGACY=$error setup clear
    [[ $STATUS == 0 ]] || fault "clear: $STATUS"
    nothing_left_of nft || fault "clear"
  done
  attempt broken FAULT_NO_LEGACY=ENOENT setup
  [[ $STATUS == 0 ]]
  up healthd
  attempt app_curl https://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$' || fault 'IPv4 is not intercepted'
  attempt app_curl https://six.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1$' || fault 'IPv6 is not intercepted'
  attempt broken FAULT_NO_LEGACY=ENOENT setup status
  [[ $STATUS == 0 ]] || fault "status: $STATUS"
  no_faults
}

@test "one table or extension that is missing is enough for nft, and is named" {
  local table extension
  for table in 4:nat 4:filter 6:nat 6:filter; do
    attempt broken FAULT_NO_TABLE=$table setup redirect
    chosen nft "${table#*:}.*IPv${table%:*}"
    in_pod setup clear
  done
  for extension in addrtype owner tcp multiport REDIRECT REJECT; do
    attempt broken FAULT_NO_EXTENSION=$extension setup redirect
    chosen nft $extension
    in_pod setup clear
  done
  no_faults
}

@test "an expression of nft that is missing: exit 69, and the rule named that needs it" {
  local expression
  for expression in fib redir reject; do
    attempt broken FAULT_NO_EXPRESSION=$expression REDIRECT_BACKEND=nft setup redirect
    [[ $STATUS == 69 ]] || fault "$expression: status $STATUS"
    has "$OUTPUT" " error .*nft: .*No such file or directory: .*$expression" || fault "$expression: not named"
    nothing_left_of nft || fault "$expression"
    attempt broken FAULT_NO_EXPRESSION=$expression FAULT_NO_LEGACY=ENOENT setup redirect
    [[ $STATUS == 69 ]] || fault "auto, $expression: status $STATUS"
    has "$OUTPUT" " error .*No such file or directory: .*$expression" || fault "auto, $expression: not named"
  done
  has "$OUTPUT" ' error .*modules .*nft_fib_inet' || fault 'nothing that can be done'
  # What is there stays, and is seen.
  with REDIRECT_BACKEND=nft setup redirect
  attempt broken FAULT_NO_EXPRESSION=fib REDIRECT_BACKEND=nft MITMPROXY_EXTRA_PORTS=8443 setup redirect
  [[ $STATUS == 69 ]] || fault "with rules in place: status $STATUS"
  golden nft-default "$(listing nft)" || fault 'with rules in place'
  no_faults
}

@test "a table that is not needed may be missing" {
  attempt broken FAULT_NO_TABLE=6:nat MITMPROXY_IPV6=reject setup redirect
  [[ $STATUS == 0 ]]
  has "$(choices)" 'backend iptables'
  golden iptables-ipv6-reject "$(listing iptables)"
}

@test "a kernel without IPv6 needs none of its tables" {
  in_pod sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 ||
    skip_or_fail '/proc/sys is read-only'
  local backend
  for backend in iptables nft auto; do
    attempt broken FAULT_NO_IPV6=1 REDIRECT_BACKEND=$backend setup redirect
    [[ $STATUS == 0 ]] || fault "$backend: $STATUS"
    state_is setup.state ready || fault "$backend: $(state setup.state)"
    attempt broken FAULT_NO_IPV6=1 REDIRECT_BACKEND=$backend setup clear
    [[ $STATUS == 0 ]] || fault "$backend: clear: $STATUS"
  done
  no_faults
}

# no_interface FAULT...: refused with a sentence that says what to do, and nothing touched.
no_interface() {
  local before
  before=$(inside everything)
  attempt broken "$@" setup redirect
  [[ $STATUS == 69 ]] || fault "$*: status $STATUS"
  has "$OUTPUT" ' error .*iptables.*nft' || fault "$*: what was tried is not named"
  has "$OUTPUT" ' error .*(nf_tables|modprobe|module)' || fault "$*: nothing that can be done"
  same 'tables' "$before" "$(inside everything)" || fault "$*"
  state_is setup.state failed || fault "$*: setup.state=$(state setup.state)"
  [[ -n $(state setup.error) ]] || fault "$*: no setup.error"
}
@test "with neither interface: exit 69, and a sentence that says what to do" {
  local error without
  foreign_rules
  for error in ENOPROTOOPT ENOENT; do
    for without in FAULT_NO_NETLINK=EPROTONOSUPPORT FAULT_NO_NFTABLES=1; do
      no_interface FAULT_NO_LEGACY=$error $without
    done
  done
  no_faults
}

@test "an interface that was asked for and is not there: exit 69, and the other is not taken" {
  local lack
  for lack in FAULT_NO_LEGACY=ENOPROTOOPT FAULT_NO_LEGACY=ENOENT FAULT_NO_TABLE=4:nat FAULT_NO_EXTENSION=owner; do
    attempt broken $lack REDIRECT_BACKEND=iptables setup redirect
    [[ $STATUS == 69 ]] || fault "$lack: status $STATUS"
    has "$OUTPUT" ' error .*iptables' || fault "$lack: not named"
    nothing_of nft || fault "$lack"
    nothing_left_of iptables || fault "$lack"
  done
  for lack in FAULT_NO_NETLINK=EPROTONOSUPPORT FAULT_NO_NFTABLES=1; do
    attempt broken $lack REDIRECT_BACKEND=nft setup redirect
    [[ $STATUS == 69 ]] || fault "$lack: status $STATUS"
    has "$OUTPUT" ' error .*nft' || fault "$lack: not named"
    nothing_of nft || fault "$lack"
    nothing_left_of iptables || fault "$lack"
    state_is setup.state failed || fault "$lack: setup.state=$(state setup.state)"
  done
  no_faults
}

# without_a_gate WHAT: the rules are there, in the legacy tables, and nothing else; that there is no
# gate is said in the log and in the state file.
without_a_gate() {
  same 'legacy tables' "$(without_gate <"$ROOT/tests/redirect/golden/iptables-default.rules")" "$(listing legacy)" || fault "$1"
  nothing_of nft || fault "$1"
  same gate '' "$(listing gate)" || fault "$1"
  state_is setup.state ready || fault "$1: setup.state=$(state setup.state)"
  state_is setup.gate '' || fault "$1: setup.gate=$(state setup.gate)"
  has "$(state setup.gate_error)" nft || fault "$1: setup.gate_error=$(state setup.gate_error)"
  has "$OUTPUT" ' warn  setup: no gate at the devices: .*nft' || fault "$1: the log does not say that there is no gate"
}
@test "a kernel with legacy tables need not have nftables: setup, status, clear" {
  local lack
  for lack in FAULT_NO_NETLINK=EPROTONOSUPPORT FAULT_NO_NFTABLES=1; do
    attempt broken $lack setup
    [[ $STATUS == 0 ]] || fault "$lack: status $STATUS"
    without_a_gate "$lack"
    attempt broken $lack setup status
    [[ $STATUS == 0 ]] || fault "$lack: status of status $STATUS"
    has "$OUTPUT" '^  no gate at the devices: .*nft' || fault "$lack: status does not say that there is no gate"
    attempt broken $lack setup clear
    [[ $STATUS == 0 ]] || fault "$lack: status of clear $STATUS"
    nothing_left_of iptables || fault "$lack: clear"
    in_pod setup clear
  done
  no_faults
}

@test "a kernel that has no hook at the devices: the rules without the gate, a warning, and it is on /healthz" {
  local backend
  for backend in iptables nft; do
    attempt broken FAULT_NO_EGRESS=1 REDIRECT_BACKEND=$backend setup
    [[ $STATUS == 0 ]] || fault "$backend: status $STATUS"
    if [[ $backend == iptables ]]; then
      without_a_gate 'no hook'
    else
      same 'nft tables' "$(without_gate <"$ROOT/tests/redirect/golden/nft-default.rules")" "$(listing nft)" || fault nft
      has "$OUTPUT" ' warn  setup: no gate at the devices: .*nft' || fault 'nft: the log does not say it'
    fi
    attempt broken FAULT_NO_EGRESS=1 REDIRECT_BACKEND=$backend setup status
    [[ $STATUS == 0 ]] || fault "$backend: status of status $STATUS"
    has "$OUTPUT" '^  no gate at the devices: ' || fault "$backend: status does not say it"
  done
  up healthd
  has "$(verbose)" '^\[!\]gate missing: .*nft' || fault "$(verbose)"
  attempt in_pod setup redirect
  wait_until 5 condition gate ' ok$' || fault "$(verbose)"
  no_faults
}

# --- what it holds

# The configurations of the golden files: one "NAME VARIABLE=VALUE..." per line.
configurations() {
  cat <<'TABLE'
default
extra-ports MITMPROXY_EXTRA_PORTS=8080,8443,1,65535,3000,3001,3002,3003,3004,3005,3006,3007,3008
ipv6-reject MITMPROXY_IPV6=reject
ipv6-off MITMPROXY_IPV6=off
quic-allow MITMPROXY_QUIC=allow
quic-allow-ipv6-reject MITMPROXY_QUIC=allow MITMPROXY_IPV6=reject
quic-allow-ipv6-off MITMPROXY_QUIC=allow MITMPROXY_IPV6=off
forwarded-allow MITMPROXY_FORWARDED=allow
all-ports MITMPROXY_EXTRA_PORTS=all,8080
port-ranges MITMPROXY_EXTRA_PORTS=8000-8999,8500-9100,79,81,18000-18100 MITMPROXY_EXCLUDE_PORTS=5432,443,6000-6100
many-ranges MITMPROXY_EXTRA_PORTS=1000-1001,1010-1011,1020-1021,1030-1031,1040-1041,1050-1051,1060-1061,1070-1071
other-traffic OTHER_TRAFFIC=reject
other-traffic-ipv6-reject OTHER_TRAFFIC=reject MITMPROXY_IPV6=reject MITMPROXY_QUIC=allow
excluded-cidrs MITMPROXY_EXCLUDE_CIDRS=10.0.0.0/8,192.0.2.64/26,198.51.100.7,2001:db8:1::/48,2001:db8:2::80/121,fd00::1
excluded-uids MITMPROXY_EXCLUDE_UIDS=0,65534,4294967294
other-ports MITMPROXY_PORT=65535 HTTP_ADDR=127.0.0.1:19000 MITMPROXY_USER=4294967294
everything MITMPROXY_PORT=1 HTTP_ADDR=[::1]:65535 MITMPROXY_USER=1 MITMPROXY_EXTRA_PORTS=8080,8443 MITMPROXY_IPV6=reject MITMPROXY_QUIC=reject MITMPROXY_EXCLUDE_CIDRS=10.0.0.0/8,2001:db8:1::/48 MITMPROXY_EXCLUDE_UIDS=0,777
TABLE
}
# for_configurations CMD: call it with the name and the variables of each.
for_configurations() {
  local name variables
  while read -r name variables; do
    # shellcheck disable=SC2086 # several variables
    "$1" "$name" $variables
  done < <(configurations)
}

real_and_dry_runs_agree() {
  local name=$1 backend text
  shift
  for backend in iptables nft; do
    text=$(with "$@" REDIRECT_BACKEND=$backend setup redirect --dry-run) || fault "$name $backend: dry run"
    attempt with "$@" REDIRECT_BACKEND=$backend setup redirect
    [[ $STATUS == 0 ]] || fault "$name $backend: status $STATUS"
    golden "$backend-$name" "$(listing $backend)" || fault "$name $backend: the real run"
    golden "$backend-$name" "$(run_dry $backend "$text")" || fault "$name $backend: the dry run"
    nothing_of "$(other_than $backend)" || fault "$name $backend: rules of the other backend"
    attempt with "$@" REDIRECT_BACKEND=$backend setup clear
    nothing_left_of $backend || fault "$name $backend: clear"
  done
}
@test "golden files: real run and dry run give these listings, in both backends" {
  printf 'search example.test\nnameserver 192.0.2.53\n nameserver 192.0.2.54\nnameserver\tfe80::53%%eth0 # ours\nnameserver 192.0.2.x\n' \
    >"/etc/netns/$POD/resolv.conf"
  for_configurations real_and_dry_runs_agree
  no_faults
}

# The kernel takes no rule with a user id that the pod's user namespace does not have.
@test "a pod with a user namespace of its own has all rules, in both backends" {
  local backend own=$LAB/own
  mkdir -p "$own"
  chown 1000000:1000000 "$own"
  for backend in iptables nft; do
    attempt env XTABLES_LOCKFILE="$own/lock" ${P}STATE_FILE="$own/run/state" ${P}EXPORT_DIR="$own/export" \
      ${P}MITMPROXY_CONFDIR="$own/conf" ${P}OTHER_TRAFFIC=reject ${P}REDIRECT_BACKEND=$backend \
      /usr/bin/python3 "$ROOT/tests/lib/user_namespace.py" bash -c 'ip link set lo up; setup redirect && setup status'
    # The kernel makes none in a chroot, as Debian 13 is one in .ci/run.
    [[ $STATUS != 3 ]] || skip 'no user namespaces here'
    has "$OUTPUT" "$backend: .* rules installed, canary proved" || fault "$backend"
    lacks "$OUTPUT" '^  (MISSING|EXTRA) ' || fault "$backend: status"
  done
  no_faults
}

@test "--dry-run needs no privilege, changes nothing, and prints rules and nothing else" {
  local before backend text
  foreign_rules
  in_pod setup
  before=$(snapshot)
  for backend in iptables nft auto; do
    give REDIRECT_BACKEND=$backend
    text=$(in_pod setup redirect --dry-run 2>"$LAB/log") || fault "$backend: root: $?"
    # Nobody, without any capability, in a namespace where nothing is set up, with nowhere to write.
    same "$backend" "$text" "$(as_app env ${P}STATE_FILE=/nonexistent/state setpriv \
      --inh-caps=-all --no-new-privs setup redirect --dry-run 2>"$LAB/log")" || fault "$backend: $(<"$LAB/log")"
    [[ $backend == auto ]] || golden "$backend-default" "$(run_dry $backend "$text")" || fault "$backend"
  done
  # Debian's iptables-restore would put them where neither status nor clear looks.
  text=$(with REDIRECT_BACKEND=iptables setup redirect --dry-run)
  has "$text" '^# iptables-legacy-restore --noflush$' || fault 'the program for IPv4 is not named'
  has "$text" '^# ip6tables-legacy-restore --noflush$' || fault 'the program for IPv6 is not named'
  has "$text" '^#.*nf_tables.*neither setup status nor$' || fault 'it is not said why'
  # For the kernel that it runs on.
  same auto "$text" "$(with REDIRECT_BACKEND=auto setup redirect --dry-run)" || fault auto
  same 'auto without legacy tables' "$(with REDIRECT_BACKEND=nft setup redirect --dry-run)" \
    "$(broken FAULT_NO_LEGACY=ENOENT setup redirect --dry-run)" || fault 'auto without legacy tables'
  same 'what is there' "$before" "$(snapshot)" || fault 'something changed'
  # What is wrong is wrong here, too.
  attempt with MITMPROXY_IPV6=maybe setup redirect --dry-run
  [[ $STATUS == 78 ]] || fault "a bad value: $STATUS"
  no_faults
}

# --- one after the other

# The listing that a first run gives, in a namespace that nobody used.
first_run() { elsewhere "env \"\$@\" ${P}STATE_FILE=$LAB/first/state setup redirect 2>$LAB/log && everything" "$@"; }

# A value for every variable, other than the default and than the lab's.
changes() {
  cat <<TABLE
LOG_LEVEL=debug
LOG_FORMAT=json
MITMPROXY_TRANSPARENT=off
MITMPROXY_PORT=18085
MITMPROXY_SCRIPT=$STAGE/usr/share/opensandbox/mitmscripts/stream.py
MITMPROXY_IGNORE_HOSTS=^pinned
MITMPROXY_CONFDIR=$LAB/home/other
MITMPROXY_UPSTREAM_TRUST_DIR=/etc/ssl/certs
MITMPROXY_SSL_INSECURE=on
MITMPROXY_USER=12345
MITMPROXY_BIN=/bin/true
MITMPROXY_SCRIPTS_DIR=$STAGE/usr/share/opensandbox/../opensandbox/mitmscripts
MITMPROXY_SET=flow_detail=1
MITMPROXY_EXTRA_PORTS=8080,9443
MITMPROXY_IPV6=reject
MITMPROXY_QUIC=allow
MITMPROXY_FORWARDED=allow
MITMPROXY_EXCLUDE_PORTS=5432,6000-6100
OTHER_TRAFFIC=reject
MITMPROXY_NON_HTTP=allow
MITMPROXY_NO_NAME=passthrough
MITMPROXY_STREAM_REQUESTS=1m
MITMPROXY_IDLE_TIMEOUT=60
MITMPROXY_EXCLUDE_CIDRS=10.1.0.0/16,2001:db8:1::/48
MITMPROXY_EXCLUDE_UIDS=0,777
REDIRECT_BACKEND=iptables
HEALTHD_USER=10044
HTTP_ADDR=127.0.0.1:18090
STATE_FILE=$LAB/other/state
EXPORT_DIR=$LAB/other-export
MITMPROXY_CA_DIR=$LAB/ca
MITMPROXY_WRITABLE_SCRIPTS=on
MITMPROXY_FAST=off
MITMPROXY_WORKERS=2
EXPORT_MOUNT=/somewhere/else
ENFORCED_ELSEWHERE=MODE
TABLE
}
# Every variable that setup knows. (`setup` alone would be the function of bats.)
variables() { in_pod setup --help | sed -nE 's/^  ([A-Z][A-Z_0-9]+)$/\1/p'; }
@test "the table of changes knows every variable" {
  local name
  (($(variables | wc -l) > 20))
  for name in $(variables); do
    has "$(changes)" "^$name=" >/dev/null || fault "no change of $name"
  done
  no_faults
}
@test "changing every variable between two runs ends in exactly the new rules" {
  local backend change plain changed known
  known=$'\n'$(variables)$'\n'
  for backend in iptables nft; do
    give REDIRECT_BACKEND=$backend
    plain=$(first_run X=1) || fault "$backend: first run"
    attempt in_pod setup redirect
    same "$backend" "$plain" "$(inside everything)" || fault "$backend: first run"
    while read -r change; do
      [[ $backend != iptables || $change != REDIRECT_BACKEND=* ]] || change=REDIRECT_BACKEND=nft
      [[ $known == *$'\n'"${change%%=*}"$'\n'* ]] || continue # not yet built
      changed=$(first_run "$P$change") || fault "$backend $change: first run: $(<"$LAB/log")"
      attempt with "$change" setup redirect
      [[ $STATUS == 0 ]] || fault "$backend $change: status $STATUS"
      same 'tables' "$changed" "$(inside everything)" || fault "$backend $change: the new rules"
      attempt in_pod setup redirect
      [[ $STATUS == 0 ]] || fault "$backend $change: status $STATUS of the way back"
      same 'tables' "$plain" "$(inside everything)" || fault "$backend $change: the way back"
    done < <(changes)
    in_pod setup clear
  done
  no_faults
}

@test "iptables, nft, iptables: exactly the new rules each time, foreign ones untouched" {
  local foreign backend expected
  foreign_rules
  foreign=$(inside everything)
  for backend in iptables nft iptables nft auto; do
    attempt with REDIRECT_BACKEND=$backend setup redirect
    [[ $STATUS == 0 ]] || fault "$backend: status $STATUS"
    expected=$backend
    # Where rules are in place, auto has no reason to look elsewhere; but it may.
    [[ $backend != auto ]] || expected=$(state setup.backend)
    state_is setup.backend "$expected" || fault "$backend: $(state setup.backend)"
    if [[ $expected == nft ]]; then
      lacks "$(listing legacy)" OPENSANDBOX || fault "$backend: legacy rules are left"
      has "$(listing nft)" "inet $NFT_TABLE" || fault "$backend: no rules"
    else
      lacks "$(listing nft)" "inet $NFT_TABLE" || fault "$backend: nft rules are left"
      has "$(listing legacy)" OPENSANDBOX || fault "$backend: no rules"
    fi
    has "$(listing gate)" skuid || fault "$backend: no gate"
    same 'foreign rules' "$foreign" "$(inside everything | without_ours)" || fault "$backend: foreign rules"
  done
  attempt in_pod setup clear
  same 'all tables' "$foreign" "$(inside everything)" || fault clear
  # Clear does not ask which backend it was.
  with REDIRECT_BACKEND=nft setup redirect
  attempt with REDIRECT_BACKEND=iptables setup clear
  same 'all tables' "$foreign" "$(inside everything)" || fault 'clear of the other backend'
  no_faults
}

# The configurations between which a client shall find no gap: one per line.
switches() {
  cat <<'TABLE'
REDIRECT_BACKEND=nft
REDIRECT_BACKEND=iptables
REDIRECT_BACKEND=nft MITMPROXY_EXTRA_PORTS=8080
REDIRECT_BACKEND=nft MITMPROXY_EXCLUDE_UIDS=777 MITMPROXY_EXCLUDE_CIDRS=10.1.0.0/16
REDIRECT_BACKEND=iptables MITMPROXY_EXCLUDE_CIDRS=10.1.0.0/16,2001:db8:1::/48
REDIRECT_BACKEND=iptables MITMPROXY_EXTRA_PORTS=8443
TABLE
}
# switch N CMD: N runs of setup, from one of them to the next; CMD gets the variables.
switch() {
  local n=0 variables
  while ((n < $1)); do
    while read -r variables && ((n < $1)); do
      # shellcheck disable=SC2086 # several variables
      attempt with $variables setup redirect >/dev/null
      [[ $STATUS == 0 ]] || fault "$variables: status $STATUS: $OUTPUT"
      n=$((n + 1))
    done < <(switches)
  done
}

@test "50 switches: not one request of a client in a tight loop arrives unintercepted" {
  up
  local pid
  pid=$(mitmdump_pid)
  # shellcheck disable=SC2016 # for the client's shell
  for name in shop.example.test six.example.test; do
    spawn "client-$name" setpriv --reuid $APP_UID --regid $APP_UID --clear-groups bash -c '
      while :; do
        curl -s -o /dev/null --max-time 5 -A "looping-$0" "http://$0/?[1-20]" && echo ok || echo $?
      done' "$name"
  done
  wait_until 5 origin_saw looping-shop >/dev/null
  wait_until 5 origin_saw looping-six >/dev/null
  switch 50
  same 'kinds of answers' ok "$(sort -u "$LAB"/client-*.log)" || fault 'a client was not served'
  same mitmdump "$pid" "$(mitmdump_pid)" || fault 'mitmdump was restarted'
  state_is mitm.restarts 0 || fault 'mitmdump was restarted'
  same 'not intercepted' 0 "$(grep looping "$LAB/origin/access.log" | grep -vc 'egress="1"')" || fault 'at the origin'
  (($(grep -c looping "$LAB/origin/access.log") > 100)) || fault 'too few requests to tell'
  healthz_is '200 ok' || fault "$(healthz)"
  no_faults
}

@test "50 switches: not one connection or datagram gets past, in either family" {
  in_pod setup redirect
  # shellcheck disable=SC2086 # several addresses
  start_probe 0 80 $ORIGINS
  switch 50
  stop_probe
  nothing_came_through
  no_faults
}

@test "rules that come to a namespace where mitmdump runs, and go: nobody is refused" {
  local backend
  up
  in_pod setup clear
  # (With a pause: a source port that comes again within 10 s meets what connection tracking
  # remembers of its last connection, without NAT.)
  # shellcheck disable=SC2086 # several addresses
  start_probe 0.005 80 $ORIGINS
  for _ in {1..25}; do
    for backend in iptables nft; do
      attempt with REDIRECT_BACKEND=$backend setup redirect >/dev/null
      [[ $STATUS == 0 ]] || fault "$backend: status $STATUS: $OUTPUT"
      attempt in_pod setup clear >/dev/null
      [[ $STATUS == 0 ]] || fault "clear: status $STATUS: $OUTPUT"
    done
  done
  stop_probe
  # (A handshake that is under way when NAT goes gets no answer any more.)
  has "$PROBED" '^connected [0-9]{3,} refused 0 ' || fault 'somebody was refused'
  no_faults
}

# --- proof

# A connection that is dropped on its way to the canary, before nat, proves nothing.
canary_is_lost() {
  local backend=$1 family=$2 canary=127.0.0.2/32 old
  [[ -z $family ]] || canary=::1/128
  give REDIRECT_BACKEND="$backend"
  old=$(inside everything)
  in_pod "ip${family}tables-legacy" -w -t mangle -A OUTPUT -d $canary -p tcp --dport 9 -j DROP
  attempt with MITMPROXY_PORT=18085 setup redirect
  [[ $STATUS == 69 ]] || fault "$*: status $STATUS"
  has "$OUTPUT" ' error .*canary .*: timed out$' || fault "$*: not named"
  same tables "$old" "$(inside everything)" || fault "$*: tables"
  state_is setup.state failed || fault "$*: $(state setup.state)"
  in_pod "ip${family}tables-legacy" -w -t mangle -F
}
@test "a canary that is lost, in either family and backend: exit 69, and the rules as before" {
  local backend family
  for backend in iptables nft; do
    for family in '' 6; do
      [[ -n $family ]] || canary_is_lost $backend '' # from nothing
      with REDIRECT_BACKEND=$backend setup redirect
      canary_is_lost $backend "$family" # from older rules
      in_pod setup clear
    done
  done
  no_faults
}
@test "nft: rules that somebody flushed in one family alone turn health red within a period" {
  give REDIRECT_BACKEND=nft
  up
  in_pod nft flush chain inet $NFT_TABLE nat_ipv6
  wait_until 12 healthz_is 503
  has "$(healthz)" '^503 mitm not ready: '
}

# --- capabilities

# The same as `capable`, as an ordinary user.
capable_user() {
  local set="-all${1:+,+${1//,/,+}}"
  shift
  in_pod setpriv --reuid $APP_UID --regid $APP_UID --clear-groups --inh-caps="$set" --ambient-caps="$set" "$@"
}
PREPARE=chown,setuid,setgid
# state_directory OWNER: made before, as a volume is; making it for two users needs CHOWN.
state_directory() {
  install -d -m 0775 -o "$1" -g "$MITM_UID" "$LAB/run"
}

@test "NET_ADMIN and NET_RAW, and what prepare needs, are enough for libiptc" {
  give MITMPROXY_CONFDIR="$LAB/volume/.mitmproxy"
  mkdir "$LAB/volume"
  attempt capable net_admin,net_raw,$PREPARE setup
  chosen iptables ''
  [[ -s $LAB/volume/.mitmproxy/mitmproxy-ca.pem && -s $BUNDLE ]] || fault 'no CA'
  attempt capable net_admin,net_raw,$PREPARE env ${P}REDIRECT_BACKEND=iptables setup
  chosen iptables ''
  attempt capable net_admin,net_raw setup clear
  [[ $STATUS == 0 ]] || fault "clear: $STATUS"
  no_faults
}
@test "NET_ADMIN and NET_RAW are enough for redirect, for root and for others" {
  state_directory 0
  attempt capable net_admin,net_raw setup redirect
  chosen iptables ''
  attempt capable net_admin,net_raw setup clear
  nothing_left_of iptables || fault clear
  rm -r "$LAB/run"
  state_directory $APP_UID
  attempt capable_user net_admin,net_raw setup redirect
  chosen iptables ''
  no_faults
}
@test "NET_ADMIN alone is enough for nft, asked for or not" {
  give MITMPROXY_CONFDIR="$LAB/volume/.mitmproxy"
  mkdir "$LAB/volume"
  attempt capable net_admin,$PREPARE setup
  chosen nft NET_RAW
  attempt capable net_admin setup redirect
  chosen nft NET_RAW
  attempt capable net_admin setup clear
  [[ $STATUS == 0 ]] || fault "clear: $STATUS"
  nothing_left_of nft || fault clear
  attempt capable net_admin env ${P}REDIRECT_BACKEND=nft setup redirect
  chosen nft ''
  no_faults
}
@test "NET_ADMIN alone, with rules in the legacy tables: never rules of both" {
  state_directory 0
  in_pod setup redirect
  attempt capable net_admin setup redirect
  # It cannot remove those rules, or it finds a way: the two must not stand side by side.
  if [[ $STATUS == 0 ]]; then
    nothing_of iptables || fault 'ready with rules of both'
  else
    nothing_of nft || fault 'nft rules are left'
    golden iptables-default "$(listing iptables)" || fault 'the rules are not as before'
    has "$OUTPUT" 'NET_RAW' || fault 'the missing capability is not named'
  fi
  no_faults
}

# lacks_capability NAME CAPABILITIES CMD...: exit 77, the name of what is missing, nothing changed.
lacks_capability() {
  local name=$1 present=${2^^} before
  shift
  before=$(inside everything)
  attempt capable "$@"
  [[ $STATUS == 77 ]] || fault "without $name: $*: status $STATUS"
  has "$OUTPUT" " error .*(CAP_)?$name" || fault "without $name: $*: not named"
  lacks "$(grep ' error ' <<<"$OUTPUT" || true)" "CAP_(${present//,/|})\\b" || fault "without $name: another is named, too"
  same tables "$before" "$(inside everything)" || fault "without $name: $*: tables"
}
@test "each capability that is missing is named, and the exit status is 77" {
  foreign_rules
  state_directory 0
  lacks_capability NET_RAW net_admin env ${P}REDIRECT_BACKEND=iptables setup redirect
  lacks_capability NET_ADMIN net_raw env ${P}REDIRECT_BACKEND=iptables setup redirect
  lacks_capability NET_ADMIN net_raw env ${P}REDIRECT_BACKEND=nft setup redirect
  lacks_capability NET_ADMIN '' env ${P}REDIRECT_BACKEND=nft setup redirect
  lacks_capability NET_ADMIN net_raw setup redirect
  lacks_capability NET_ADMIN '' setup redirect
  lacks_capability NET_ADMIN "$PREPARE" setup
  # Where there are rules of ours, clear needs it as well.
  in_pod setup redirect
  lacks_capability NET_ADMIN '' setup clear
  with REDIRECT_BACKEND=nft setup redirect
  lacks_capability NET_ADMIN '' setup clear
  no_faults
}
@test "each capability that prepare lacks is named, and the exit status is 77" {
  local name
  give MITMPROXY_CONFDIR="$LAB/volume/.mitmproxy"
  mkdir "$LAB/volume"
  lacks_capability CHOWN setuid,setgid setup prepare
  lacks_capability SETUID chown,setgid setup prepare
  lacks_capability SETGID chown,setuid setup prepare
  no_faults
}

# --- drift

# drifted DESCRIPTION PATTERN: status names it (a new line matches), redirect repairs it.
# RIGHT_STATUS and RIGHT are what status and tables are when all is right.
drifted() {
  attempt in_pod setup status >/dev/null
  [[ $STATUS != 0 ]] || fault "$1: status 0"
  diff <(echo "$RIGHT_STATUS") <(echo "$OUTPUT") | grep '^>' | grep -qE -e "$2" ||
    fault "$1: $2 is not named: $(diff <(echo "$RIGHT_STATUS") <(echo "$OUTPUT"))"
  attempt in_pod setup redirect >/dev/null
  [[ $STATUS == 0 ]] || fault "$1: not repaired: $STATUS: $OUTPUT"
  same tables "$RIGHT" "$(inside everything)" || fault "$1: not repaired"
  attempt in_pod setup status >/dev/null
  [[ $STATUS == 0 ]] || fault "$1: status $STATUS after repair: $OUTPUT"
}
# Set all up, with CA and mitmdump, so that status has nothing to complain about.
all_is_right() {
  give REDIRECT_BACKEND="$1" MITMPROXY_IPV6="${2-redirect}"
  foreign_rules
  up
  attempt in_pod setup status
  [[ $STATUS == 0 ]]
  RIGHT_STATUS=$OUTPUT
  RIGHT=$(inside everything)
}

# Legacy tables: in the CHAIN that HOOK leads to, in IN_TABLE of FAMILY (nothing or 6).
legacy() { in_pod "ip${FAMILY}tables-legacy" -w -t "$IN_TABLE" "$@"; }
legacy_rule() { legacy -S "$CHAIN" | sed -n "$(($1 + 1))s/^-A $CHAIN //p"; }
# (INPUT has one rule.)
second() { [[ $HOOK == INPUT ]] && echo 1 || echo 2; }
legacy_rule_removed() { legacy -D "$CHAIN" "$(second)"; }
legacy_last_rule_removed() { legacy -D "$CHAIN" "$(legacy -S "$CHAIN" | grep -c '^-A')"; }
legacy_rules_reordered() {
  local rule at=2
  [[ $HOOK == OUTPUT ]] || at=1
  rule=$(legacy_rule $at)
  legacy -D "$CHAIN" $at
  # shellcheck disable=SC2086 # a rule is several words
  legacy -A "$CHAIN" $rule
  [[ $HOOK != INPUT ]] || legacy -A "$CHAIN" -p tcp --dport 4444 -j RETURN
}
legacy_rule_changed() { legacy -R "$CHAIN" "$(second)" -o lo -p tcp --dport 4444 -j RETURN; }
legacy_local_without_device() { legacy -R "$CHAIN" "$(second)" -m addrtype --dst-type LOCAL -j RETURN; }
legacy_local_without_address() { legacy -R "$CHAIN" "$(second)" -o lo -j RETURN; }
legacy_local_elsewhere() { legacy -R "$CHAIN" "$(second)" -o lo -m addrtype --dst-type UNICAST -j RETURN; }
# (Only what is sent has an owner.)
legacy_owner_with_flags() {
  if [[ $HOOK != OUTPUT ]]; then
    legacy -R "$CHAIN" 1 -p tcp -m tcp --tcp-flags SYN,ACK SYN -j RETURN
  else
    legacy -R "$CHAIN" 3 -p tcp -m tcp --tcp-flags SYN,ACK SYN -m owner --uid-owner $MITM_UID -j RETURN
  fi
}
legacy_verdict_changed() { legacy -R "$CHAIN" "$(second)" -o lo -m addrtype --dst-type LOCAL -j ACCEPT; }
legacy_rule_added() { legacy -I "$CHAIN" 2 -p tcp --dport 4444 -j ACCEPT; }
legacy_rule_appended() { legacy -A "$CHAIN" -p tcp --dport 4444 -j ACCEPT; }
legacy_chain_flushed() { legacy -F "$CHAIN"; }
legacy_jump_removed() { legacy -D "$HOOK" -j "$CHAIN"; }
legacy_jump_second() { legacy -A "$HOOK" -j "$CHAIN"; }
legacy_jump_doubled() { legacy -I "$HOOK" 1 -j "$CHAIN"; }
legacy_jump_behind() { legacy -I "$HOOK" 1 -p tcp --dport 4444 -j ACCEPT; }
legacy_jump_last() {
  legacy_jump_removed
  legacy_jump_second
}
legacy_jump_narrowed() {
  legacy_jump_removed
  legacy -I "$HOOK" 1 -p tcp -j "$CHAIN"
}
legacy_jump_to_elsewhere() {
  legacy_jump_removed
  legacy -I "$HOOK" 1 -j FOREIGN
}

# What is wrong with the foreign rules after a drift of OUTPUT or FORWARD is put right by hand.
undo_foreign() {
  legacy -D "$HOOK" -p tcp --dport 4444 -j ACCEPT 2>/dev/null || legacy -D "$HOOK" -j FOREIGN 2>/dev/null || true
}
@test "iptables: whatever is changed behind our back is named, and repaired" {
  all_is_right iptables
  local drift where
  for drift in $(compgen -A function legacy_); do
    [[ $drift != legacy_rule && $drift != legacy_rules ]] || continue
    for FAMILY in '' 6; do
      for where in nat:OUTPUT filter:OUTPUT filter:INPUT filter:FORWARD; do
        IN_TABLE=${where%:*} HOOK=${where#*:} CHAIN=OPENSANDBOX_EGRESS
        [[ $HOOK == OUTPUT ]] || CHAIN=OPENSANDBOX_EGRESS_$HOOK
        $drift
        attempt in_pod setup status >/dev/null
        has "$OUTPUT" "ip${FAMILY}tables.* $IN_TABLE .*($CHAIN|$HOOK)\\b" >/dev/null || fault "$drift: table not named"
        if [[ $drift == legacy_jump_behind || $drift == legacy_jump_to_elsewhere ]]; then
          # Somebody else's rule is not removed: ours goes to the front.
          [[ $STATUS != 0 ]] || fault "$drift: ip${FAMILY}tables -t $IN_TABLE $HOOK: status 0"
          in_pod setup redirect 2>/dev/null || fault "$drift: redirect fails"
          same 'first rule' "-A $HOOK -j $CHAIN" "$(legacy -S "$HOOK" | sed -n 2p)" || fault "$drift"
          undo_foreign
          same tables "$RIGHT" "$(inside everything)" || fault "$drift: ip${FAMILY}tables -t $IN_TABLE $HOOK"
          continue
        fi
        drifted "$drift: ip${FAMILY}tables -t $IN_TABLE $HOOK" "($CHAIN|$HOOK|-o lo)"
      done
    done
  done
  no_faults
}

# nftables: in the chain IN of our table, or of the gate ("inet opensandbox_egress nat_ipv4").
nft() { in_pod nft "$@"; }
# The handle of rule $1 of the chain, which is that of the only one where there are no more.
# shellcheck disable=SC2086 # a chain is three words
{
  handle() { nft -a list chain $IN | sed -nE 's/^\t\t.*# handle //p' | head -n "$1" | tail -n 1; }
  nft_rules() { nft list chain $IN | sed -n '/^\t\ttype /d; s/^\t\t//p'; }
  nft_rule() { nft_rules | sed -n "$1p"; }
  nft_rule_removed() { nft delete rule $IN handle "$(handle 1)"; }
  nft_last_rule_removed() { nft delete rule $IN handle "$(handle 1000)"; }
  nft_rules_reordered() {
    local rule
    rule=$(nft_rule 1)
    nft_rule_removed
    # Where there is one rule alone, another is added.
    nft add rule $IN "$rule"
    (($(nft_rules | wc -l) > 1)) || nft add rule $IN tcp dport 4444 return
  }
  nft_rule_changed() { nft replace rule $IN handle "$(handle 2)" tcp dport 4444 return; }
  nft_rule_added() { nft insert rule $IN tcp dport 4444 accept; }
  nft_rule_appended() { nft add rule $IN tcp dport 4444 accept; }
  nft_rule_doubled() { nft add rule $IN "$(nft_rule 1)"; }
  nft_chain_flushed() { nft flush chain $IN; }
}
# The chains of that table of ours: inet, netdev.
chains_of() { nft list table "$1" $NFT_TABLE | sed -n "s/^\tchain \(.*\) {/$1 $NFT_TABLE \1/p"; }

# drifts FAMILY: each of these in each chain of the table.
drifts() {
  local drift chains
  mapfile -t chains < <(chains_of "$1")
  ((${#chains[@]} > 1)) || fault "no chains in table $1"
  for IN in "${chains[@]}"; do
    for drift in $(compgen -A function nft_); do
      [[ $drift != nft_rule && $drift != nft_rules ]] || continue
      $drift
      drifted "$drift: $IN" '(4444|return|jump|redirect|reject|drop|chain|skuid)'
    done
  done
  no_faults
}
@test "nft: whatever is changed behind our back in a chain is named, and repaired" {
  all_is_right nft
  drifts inet
}
@test "nft: so is what is changed in a chain of the gate" {
  all_is_right nft
  drifts netdev
}
@test "iptables: so is what is changed in a chain of the gate" {
  all_is_right iptables
  drifts netdev
}
gate_damaged() {
  all_is_right "$1"
  local gate="netdev $NFT_TABLE"
  # shellcheck disable=SC2086 # two words
  {
    nft add table $gate '{ flags dormant; }'
    drifted dormant dormant
    nft flush table $gate
    drifted flushed 'skuid'
    nft delete table $gate
    drifted deleted "(table|$NFT_TABLE)"
    nft add chain $gate another
    drifted 'chain added' another
    nft add chain $gate "gate_$(pod_device)" '{ policy drop; }'
    drifted 'policy changed' 'policy drop'
    nft flush chain $gate "gate_$(pod_device)"
    nft delete chain $gate "gate_$(pod_device)"
    drifted 'a device left out' eth0
  }
  no_faults
}
pod_device() { ip -n "$POD" -o link show eth0 | cut -d: -f1; }
@test "nft: a gate that is dormant, flushed, deleted or extended is named, and repaired" { gate_damaged nft; }
@test "iptables: a gate that is dormant, flushed, deleted or extended is named, and repaired" { gate_damaged iptables; }

@test "nft: a table that is dormant, flushed, deleted or extended is named, and repaired" {
  all_is_right nft
  nft add table inet $NFT_TABLE '{ flags dormant; }'
  drifted dormant dormant
  nft flush table inet $NFT_TABLE
  drifted flushed 'redirect to'
  nft delete table inet $NFT_TABLE
  drifted deleted "(table|$NFT_TABLE)"
  nft add chain inet $NFT_TABLE another '{ type nat hook output priority -150; policy accept; }'
  drifted 'chain added' another
  nft add chain inet $NFT_TABLE filter_output '{ policy drop; }'
  drifted 'policy changed' 'policy drop'
  nft add set inet $NFT_TABLE named '{ type ipv4_addr; }'
  drifted 'set added' named
  no_faults
}

@test "nft: rules that its library lists in the words of another version are the same rules" {
  attempt broken FAULT_NFT_WORDS=1 REDIRECT_BACKEND=nft setup
  [[ $STATUS == 0 ]]
  lacks "$OUTPUT" 'lists table .* otherwise'
  attempt broken FAULT_NFT_WORDS=1 REDIRECT_BACKEND=nft setup redirect
  [[ $STATUS == 0 ]]
  has "$OUTPUT" 'nft: [0-9]+ rules were there already'
  attempt broken FAULT_NFT_WORDS=1 REDIRECT_BACKEND=nft setup status
  [[ $STATUS == 0 ]]
}

# Without setup-nft nft cannot be used, and nobody is told that all is well.
@test "setup-nft missing: named, exit 1, nothing begun; status does not know" {
  copy_programs
  rm "$LAB/usr/libexec/opensandbox-egress/setup-nft"
  attempt with REDIRECT_BACKEND=nft "$LAB/usr/sbin/setup"
  [[ $STATUS == 1 ]]
  has "$OUTPUT" 'cannot be executed: .*/setup-nft: No such file'
  lacks "$OUTPUT" 'made a new CA|cannot put the rules back'
  with REDIRECT_BACKEND=nft setup
  attempt with REDIRECT_BACKEND=nft setup status
  [[ $STATUS == 0 ]]
  attempt with MITMPROXY_TRANSPARENT=off "$LAB/usr/sbin/setup" status
  [[ $STATUS == 1 ]]
  has "$OUTPUT" 'UNKNOWN: .*/setup-nft: No such file'
}
