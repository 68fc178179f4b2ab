#!/usr/bin/env bash
# Fuzz a parser: run.sh libfuzzer|afl http|state|config [SECONDS]. Starts from the
# corpus in the tree and leaves it as it is; what was found stays in a directory
# that is named at the end. Status 0 only if nothing was found.
#   run.sh minimise http|state|config DIRECTORY...  add to the corpus what reaches
#                                                   code that it does not
#   run.sh coverage http|state|config               lines that the corpus reaches
# Needs clang, libclang-rt-dev and llvm, or afl++ (Debian's packages).
set -euo pipefail
cd "$(dirname "$0")/../.."

# build ENGINE TARGET OPTIMIZE DRIVER: print where the harness is.
build() {
  local directory=build/fuzz/$1
  make -s CC="${CC-clang}" BUILD="$directory" OPTIMIZE="$3" DRIVER="$4" "$directory/fuzz-$2" >&2
  echo "$directory/fuzz-$2"
}
SANITIZERS='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
build_libfuzzer() { build libfuzzer "$1" "-O1 -g -fsanitize=fuzzer-no-link $SANITIZERS" -fsanitize=fuzzer; }
build_afl() { CC=afl-clang-fast build afl "$1" "-O1 -g $SANITIZERS" -fsanitize=fuzzer; }

# More than the parsers take.
LONGEST=9000

libfuzzer() {
  local harness status=0
  harness=$(build_libfuzzer "$1")
  mkdir "$FOUND/corpus"
  "$harness" -max_total_time="$2" -max_len=$LONGEST -timeout=10 -print_final_stats=1 \
    -dict="tests/fuzz/dict/$1" -artifact_prefix="$FOUND/" "$FOUND/corpus" "tests/fuzz/corpus/$1" || status=$?
  return "$status"
}

afl() {
  local harness
  harness=$(build_afl "$1")
  export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1
  afl-fuzz -i "tests/fuzz/corpus/$1" -o "$FOUND" -x "tests/fuzz/dict/$1" -V "$2" -G $LONGEST -- "$harness"
  # It ends with 0 whatever it has found.
  [[ -z $(find "$FOUND/default/crashes" "$FOUND/default/hangs" -name 'id:*') ]]
}

minimise() {
  local harness
  harness=$(build_libfuzzer "$1")
  "$harness" -merge=1 -use_counters=0 -max_len=$LONGEST "tests/fuzz/corpus/$1" "${@:2}"
}

coverage() {
  local harness profile
  harness=$(build coverage "$1" '-O0 -g -fprofile-instr-generate -fcoverage-mapping' \
    build/fuzz/coverage/obj/tests/fuzz/replay.o)
  profile=$harness.profile
  LLVM_PROFILE_FILE=$profile.raw "$harness" "tests/fuzz/corpus/$1" | tail -n 1
  llvm-profdata merge -o "$profile" "$profile.raw"
  llvm-cov report "$harness" -instr-profile="$profile" healthd common
  echo "by line: llvm-cov show $harness -instr-profile=$profile healthd common"
}

engine=${1-} target=${2-}
[[ " libfuzzer afl minimise coverage " == *" $engine "* && -f tests/fuzz/$target.c && -d tests/fuzz/corpus/$target ]] || {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 64
}
shift 2
case $engine in
  minimise | coverage) "$engine" "$target" "$@" ;;
  *)
    FOUND=$(mktemp -d "${TMPDIR:-/tmp}/fuzz-$engine-$target-XXXXXX")
    status=0
    "$engine" "$target" "${1:-60}" || status=$?
    echo "found: $FOUND"
    exit "$status"
    ;;
esac
