#!/usr/bin/env bash
# `make check`: run the suites tests/*/*.bats of a tier, or those named (`rules` is
# tests/redirect/rules.bats, `redirect` all in that folder; or a path), as root. The last line
# is "N passed, N failed"; status 0 only if something ran and nothing failed.
#   TIER=short     all but those in LONG below; long: these; all
#   SANITIZE=1     the programs are built with sanitizers; any report fails the run
#   REQUIRE_ALL=1  a test that cannot run on this machine fails
#   JOBS=n         so many suites at once (two for each processor)
set -euo pipefail

source "$(dirname "$0")/lib/lab.sh"

# For a night, or before a release: they take long, and few changes reach what they try.
LONG='torture endurance load restarts versions through volume more-clients bench'
# Begun first, or the end of the run would wait for one of them.
SLOW='escape fault hostile backend fault-switch speed rotation ca-source write-failure health pod-native real-clients'

# Print the files of the suites and folders named in the arguments, or of all of the tier.
suites() {
  local name
  if (($# == 0)); then
    name=$(of_tier) || return
    # shellcheck disable=SC2086 # words
    set -- $name
  fi
  for name in "$@"; do
    compgen -G "$ROOT/tests/*/$name.bats" || folder "$ROOT/tests/$name" || folder "$name" || file "$name" || {
      echo "no such suite: $name (a suite: $(all_suites | xargs); a folder: $(folders | xargs); or a path)" >&2
      return 1
    }
  done
}
folder() { compgen -G "$(realpath -m "$1")/*.bats"; }
file() { [[ $1 == *.bats && -f $1 ]] && realpath "$1"; }
all_suites() { basename -as .bats "$ROOT"/tests/*/*.bats; }
folders() { dirname "$ROOT"/tests/*/*.bats | xargs basename -a | uniq; }

of_tier() {
  local others
  others=$(all_suites | grep -vxF "$(words "$SLOW $LONG")")
  case ${TIER:-short} in
    short) words "$SLOW $others" ;;
    long) words "$LONG" ;;
    all) words "$SLOW $LONG $others" ;;
    *) echo "no such tier: $TIER" >&2 && return 1 ;;
  esac
}
words() { tr ' ' '\n' <<<"$1"; }

# Print the sanitizers' reports; status 1 if there is one.
sanitizer_reports() {
  [[ -d $STAGE/asan ]] || return 0
  local reports
  mapfile -t reports < <(find "$STAGE/asan" -type f)
  ((${#reports[@]} == 0)) || {
    cat "${reports[@]}" >&2
    return 1
  }
}

((EUID == 0)) || {
  echo "network namespaces need root: sudo make check" >&2
  exit 1
}
files=$(suites "$@")
mapfile -t files <<<"$files"
trap stage_down EXIT
stage_up

# Where every user may be.
cd /

status=0
# Suites wait more than they work, and share nothing.
jobs=()
((${#files[@]} == 1)) || [[ ${JOBS-} == 1 ]] || ! command -v parallel >/dev/null || jobs=(--jobs "${JOBS:-$(($(nproc) * 2))}" --no-parallelize-within-files)
bats --tap --timing "${jobs[@]}" "${files[@]}" | tee "$STAGE/results" || status=$?
passed=$(grep -c '^ok ' "$STAGE/results" || true)
skipped=$(grep -c '^ok .* # skip' "$STAGE/results" || true)
failed=$(grep -c '^not ok ' "$STAGE/results" || true)
# bats itself may fail: a suite that cannot be parsed, a teardown of a file.
((status == 0 || failed > 0)) || failed=1
sanitizer_reports || failed=$((failed + 1))

sed -n 's/^ok [0-9]* \(.*\) in [0-9]*ms # skip/skipped: \1:/p' "$STAGE/results"
echo
echo "$((passed - skipped)) passed, $failed failed$( ((skipped == 0)) || echo ", $skipped skipped")"
((failed == 0 && passed > skipped))
