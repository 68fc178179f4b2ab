#!/usr/bin/env bash
# `make bench`: measure the programs beside what people would use instead, and
# write results.json, results.md and results.svg.
#   BENCH='a b'  only these (the files of tests/bench/benchmarks)
#   ROUNDS=n     how often each is measured (1: quickly, to see that it runs)
#   OUT=DIR      where the results go (build/bench)
#   MEMORY=DIR   where the volumes are, which other users must be able to enter
set -euo pipefail

source "$(dirname "$0")/../lib/lab.sh"

((EUID == 0)) || {
  echo "network namespaces need root: sudo make bench" >&2
  exit 1
}
BUILD=$ROOT/${BUILD:-build}
OUT=${OUT:-$BUILD/bench}
VOLUMES=''
down() {
  lab_down
  stage_down
  rm -rf ${VOLUMES:+"$VOLUMES"}
}
trap down EXIT
mkdir -p "$OUT"
env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" SANITIZE="${SANITIZE-}" bench-programs
stage_up
lab_up
# Volumes are in memory, as those of a pod: a disk's syncs would drown the rest.
VOLUMES=$(mktemp -d "${MEMORY:-/dev/shm}/egress-bench-XXXXXX")
chmod 0755 "$VOLUMES"
export ROOT BUILD OUT VOLUMES POD MITM_UID HEALTH_UID ROUNDS="${ROUNDS:-10}" BENCH="${BENCH-}"
export PYTHONDONTWRITEBYTECODE=1
# In a process namespace of its own: what a benchmark has started ends with it.
unshare --pid --fork --kill-child --mount-proc /usr/bin/python3 "$ROOT/tests/bench/bench.py"
