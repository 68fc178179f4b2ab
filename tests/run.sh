#!/usr/bin/env bash
# `make check`: run the suites tests/*.bats, or those named (`rules` is
# tests/rules.bats), as root. The last line is "N passed, N failed"; status 0
# only if something ran and nothing failed.
#   SANITIZE=1     the programs are built with sanitizers; any report fails the run
#   REQUIRE_ALL=1  a test that cannot run on this machine fails
#   JOBS=n         so many suites at once (two for each processor)
set -euo pipefail

# shellcheck source=tests/lib/lab.sh
source "$(dirname "$0")/lib/lab.sh"

# Begun first, or the end of the run would wait for one of them.
SLOW='escape fault hostile backend rotation ca-source write-failure health pod-native'

# Print the files of the suites named in the arguments, or of all.
suites() {
  local name
  # shellcheck disable=SC2046,SC2086 # words
  (($# > 0)) || set -- $SLOW $(basename -as .bats "$ROOT"/tests/*.bats | grep -vxF "${SLOW// /$'\n'}")
  for name in "$@"; do
    [[ $name == *.bats ]] || name=$ROOT/tests/$name.bats
    [[ -f $name ]] || {
      echo "no such suite: $name" >&2
      return 1
    }
    echo "$name"
  done
}

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

status=0
# Suites wait more than they work, and share nothing.
jobs=()
((${#files[@]} == 1)) || ! command -v parallel >/dev/null || jobs=(--jobs "${JOBS:-$(($(nproc) * 2))}" --no-parallelize-within-files)
bats --tap --timing "${jobs[@]}" "${files[@]}" | tee "$STAGE/results" || status=$?
passed=$(grep -c '^ok ' "$STAGE/results" || true)
skipped=$(grep -c '^ok .* # skip' "$STAGE/results" || true)
failed=$(grep -c '^not ok ' "$STAGE/results" || true)
# bats itself may fail: a suite that cannot be parsed, a teardown of a file.
((status == 0 || failed > 0)) || failed=1
sanitizer_reports || failed=$((failed + 1))

echo
echo "$((passed - skipped)) passed, $failed failed$( ((skipped == 0)) || echo ", $skipped skipped")"
((failed == 0 && passed > skipped))
