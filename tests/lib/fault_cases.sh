# shellcheck shell=bash disable=SC2153 # variables of the suites
# What fault.bats and fault-switch.bats share: a setup whose system calls fail, or that is killed, on
# its way from one list of rules to another, and what the tables may be then.

# shellcheck disable=SC2034 # for suite.sh
NEEDS=(legacy ipv6)

setup_file() { suite_up; fault_library; }

setup() { test_up; foreign_rules; }

ORIGINS='203.0.113.10 2001:db8::16'
# What is in place before, and what shall be: every table differs.
OLD_CONFIGURATION=(MITMPROXY_PORT=18085 MITMPROXY_EXCLUDE_UIDS=7 MITMPROXY_EXTRA_PORTS=8080)
NEW_CONFIGURATION=(MITMPROXY_EXCLUDE_CIDRS='10.1.0.0/16,2001:db8:1::/48')

# The beginning: from_empty BACKEND, or from_older BACKEND [BACKEND OF THE OLDER ONE].
from_empty() {
  BACKEND=$1
  restore() { in_pod setup clear; }
  learn
}
from_older() {
  BACKEND=$1 BEFORE=${2-$1}
  restore() { with REDIRECT_BACKEND="$BEFORE" "${OLD_CONFIGURATION[@]}" setup redirect; }
  learn
  # shellcheck disable=SC2086 # several addresses
  start_probe 0.005 80 $ORIGINS
}
# All tables as they are: one listing is taken per case, so it has to be quick.
now() {
  in_pod bash -c '{ iptables-legacy-save && echo IPv6 && ip6tables-legacy-save && nft list ruleset; } |
    sed -e "/^#/d" -e "s/ \[[0-9]*:[0-9]*\]//" -e "/^\*/s/^/table /"'
}
# OLD and NEW are the listings. The tables are left as at the beginning.
learn() {
  give REDIRECT_BACKEND="$BACKEND"
  with "${NEW_CONFIGURATION[@]}" setup redirect 2>/dev/null
  NEW=$(now)
  begin_again
  OLD=$(now)
  refute same tables "$OLD" "$NEW" >/dev/null
  CASES=0
}
begin_again() { restore >"$LAB/restore.log" 2>&1 || fault "cannot restore: $(<"$LAB/restore.log")"; }
# What the probe found, where there is one, and whether anything was tried at all.
conclude() {
  [[ -z ${PROBE-} ]] || {
    stop_probe
    nothing_came_through || fault 'something came through'
  }
  echo "$CASES cases"
  ((CASES >= $1)) || fault "only $CASES cases, $1 or more were expected"
  no_faults
}

# inject FAULT: one run of setup with that fault. Status 1: there was no such call.
# STATUS, OUTPUT, NOW (the listing) and HIT (the call, as fault.c notes it) are what became of it.
inject() {
  : >"$LAB/fault.log"
  STATUS=0
  OUTPUT=$(broken FAULT="$1" FAULT_LOG="$LAB/fault.log" "${NEW_CONFIGURATION[@]}" setup redirect 2>&1) || STATUS=$?
  HIT=$(<"$LAB/fault.log") HIT=${HIT%%$'\n'*}
  [[ -n $HIT ]] || {
    begin_again
    return 1
  }
  CASES=$((CASES + 1))
  NOW=$(now)
}
# The outcome is new with status 0, or old with another, and what is said agrees.
whole() {
  local what="$1 ($HIT)" state
  state=$(<"$STATE")
  case $STATUS in
    0)
      same tables "$NEW" "$NOW" || fault "$what: status 0, and the tables are not the new ones"
      [[ $state == *setup.state=ready* ]] || fault "$what: status 0, and setup.state=$(state setup.state)"
      ;;
    1 | 69 | 77)
      same tables "$OLD" "$NOW" || fault "$what: status $STATUS, and the tables are not the old ones"
      [[ $state == *setup.state=failed* ]] || fault "$what: status $STATUS, and setup.state=$(state setup.state)"
      [[ $state =~ setup\.error=[a-z] ]] || fault "$what: no setup.error"
      [[ ${OUTPUT##*$'\n'} =~ \ error\ +setup:\ .*$(culprit "$1") ]] || fault "$what: $(culprit "$1") is not named: $(last_words)"
      ;;
    *) fault "$what: status $STATUS: $(last_words)" ;;
  esac
  echo "$what: status $STATUS: $(last_words)"
}
last_words() { echo "${OUTPUT##*$'\n'}"; }
# What the message must name: the thing, or what is needed where nothing is permitted.
culprit() {
  local thing
  case $HIT in
    *original*) thing='(proof|canary|original)' ;;
    *" nat"*) thing='(iptables|ip6tables|IPv[46]).*nat' ;;
    *" filter"*) thing='(iptables|ip6tables|IPv[46]).*filter' ;;
    *netlink*) thing='(nft|netlink)' ;;
    *) thing='(iptables|ip6tables|nft|proof|canary|port|::1|IPv6)' ;;
  esac
  [[ $1 != *:EPERM ]] || thing+='|needs CAP_NET_(ADMIN|RAW)'
  echo "($thing)"
}

# each_call CALL WHAT: the first, the second... until there are no more of them.
each_call() {
  local n
  for ((n = 1; n < 500; n++)); do
    inject "$1:$n:$2" || return 0
    whole "$1:$n:$2"
    [[ $NOW == "$OLD" ]] || begin_again
  done
  fault "$1 has no end"
}
# Read calls and errors from standard input.
each_fault() {
  local call error
  while read -r call error; do each_call "$call" "$error"; done
}

# Each table is entirely old or entirely new. (What comes in, and what is forwarded, are lists of their own
# in their table.)
tables_are_whole() {
  local table is
  for table in '4 nat' '4 filter' '4 filter INPUT' '4 filter FORWARD' '6 nat' '6 filter' '6 filter INPUT' '6 filter FORWARD' 'inet opensandbox_egress' 'netdev opensandbox_egress'; do
    is=$(table_of "$table" "$NOW")
    [[ $is == "$(table_of "$table" "$OLD")" || $is == "$(table_of "$table" "$NEW")" ]] ||
      fault "$1: table $table is neither old nor new: $is"
  done
}
# table_of "FAMILY TABLE [HOOK]" LISTING: that part of what `now` prints.
table_of() {
  awk -v wanted="$1" '
    BEGIN { family = 4 }
    /^IPv6$/ { family = 6 }
    /^table \*/ { table = family " " substr($2, 2) }
    /^table (inet|netdev)/ { table = $2 " " $3 }
    { list = table (table !~ /filter$/ ? "" : /OPENSANDBOX_EGRESS_FORWARD/ ? " FORWARD" : /OPENSANDBOX_EGRESS_INPUT/ ? " INPUT" : "") }
    list == wanted' <<<"$2"
}

# killed CALL: SIGKILL before and after each of its calls.
killed() {
  local n when
  for when in kill-before kill-after; do
    for ((n = 1; ; n++)); do
      inject "$1:$n:$when" || break
      [[ $STATUS == 137 ]] || fault "$1:$n:$when: status $STATUS"
      tables_are_whole "$1:$n:$when"
      # The next run repairs, and status knows that it is needed.
      refute with "${NEW_CONFIGURATION[@]}" setup status >/dev/null 2>&1 || fault "$1:$n:$when: status is content"
      attempt with "${NEW_CONFIGURATION[@]}" setup redirect >/dev/null
      [[ $STATUS == 0 ]] || fault "$1:$n:$when: then: status $STATUS: $OUTPUT"
      same tables "$NEW" "$(now)" || fault "$1:$n:$when: not repaired"
      begin_again
    done
  done
}
