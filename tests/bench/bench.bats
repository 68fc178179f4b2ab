#!/usr/bin/env bats
# `make bench` in its shortest form: every benchmark runs and says something
# sane. How fast things are is not judged here.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

setup_file() {
  suite_up
  need go
  need gnuplot
  need wrk
  unshare --net iptables-legacy -t nat -S OUTPUT >/dev/null 2>&1 || skip_or_fail 'the kernel has no legacy tables'
  export RESULTS=$BATS_FILE_TMPDIR/results MEMORY=$STAGE/bench ROUNDS=1
  mkdir "$MEMORY"
  OUT=$RESULTS "$ROOT/tests/bench/run.sh" >"$BATS_FILE_TMPDIR/log" 2>&1 || {
    cat "$BATS_FILE_TMPDIR/log"
    return 1
  }
}

setup() { :; }

# json EXPRESSION: print the value of a Python expression over `results`, a list.
json() {
  /usr/bin/python3 - "$RESULTS/results.json" "$1" <<'PYTHON'
import json, sys
document = json.load(open(sys.argv[1], encoding="utf-8"))
print(eval(sys.argv[2], {"results": document["results"], "machine": document["machine"]}))
PYTHON
}

@test "every benchmark has run" {
  local file name ran
  ran=$(json '" ".join(sorted({r["benchmark"] for r in results}))')
  for file in "$ROOT"/tests/bench/benchmarks/*.py; do
    grep -q '^ROWS' "$file" || continue
    name=${file##*/}
    grep -qw "${name%.py}" <<<"$ran" || fault "${name%.py} is not in the results: $ran"
  done
  no_faults
}

@test "every figure is a positive number, and its ratio follows from it" {
  local strange
  # What grows may, once, shrink.
  strange=$(json '[r["what"] for r in results for c in r["contenders"].values()
    if r["benchmark"] != "growth" and not (0 < c["min"] <= c["median"] <= c["max"] < 1e6)]')
  same 'strange figures' '[]' "$strange"
  strange=$(json '[r["what"] for r in results if r["rival"] and abs(r["ratio"]
    * r["contenders"][r["rival"]]["median"] - r["contenders"][r["ours"]]["median"]) > 1e-6]')
  same 'wrong ratios' '[]' "$strange"
}

@test "what is measured beside what is told, with what it must be" {
  same 'without a rival' "['wakeups']" "$(json '[r["benchmark"] for r in results if not r["rival"]]')"
  same 'without a requirement' '[]' "$(json '[r["what"] for r in results if r["required"][0] not in "≤≥"]')"
}

@test "table and chart have a row for each figure" {
  local what
  while read -r what; do
    grep -qF -e "$what" "$RESULTS/results.md" || fault "not in the table: $what"
    grep -qF -e "$what" "$RESULTS/results.svg" || fault "not in the chart: $what"
  done < <(json '"\n".join(r["what"] for r in results)')
  no_faults
  has "$(head -c 400 "$RESULTS/results.svg")" '<svg'
  has "$(tail -n 3 "$RESULTS/results.svg")" '</svg>'
}

@test "a table of the steps from the start to ready" {
  local step
  for step in 'setup prepare' 'a worker, from the fork' 'setup redirect' 'says 200' 'together'; do
    has "$(<"$RESULTS/results.md")" "^\\| [^|]*${step}[^|]* \\| [0-9.]+ \\|$" || fault "$step"
  done
  no_faults
}

@test "nothing is left behind" {
  same 'files' '' "$(ls -A "$MEMORY")"
  same 'processes' '' "$(grep -lsF "VOLUMES=$MEMORY" /proc/[0-9]*/environ || true)"
}

@test "one benchmark by its name, and none by a wrong one" {
  OUT=$BATS_TEST_TMPDIR BENCH=size attempt "$ROOT/tests/bench/run.sh"
  [[ $STATUS == 0 ]]
  same figures 1 "$(RESULTS=$BATS_TEST_TMPDIR json 'len(results)')"
  OUT=$BATS_TEST_TMPDIR BENCH=nonsense attempt "$ROOT/tests/bench/run.sh"
  [[ $STATUS != 0 ]]
  has "$OUTPUT" 'no such benchmark: nonsense'
}
