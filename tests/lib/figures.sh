# shellcheck shell=bash
# What a process costs, as /proc says.

# In KiB: resident, the most that was ever resident, and what is its own (private and written to).
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }
most_resident() { awk '/^VmHWM:/ { print $2 }' "/proc/$1/status"; }
private() { awk '/^Private_Dirty:/ { print $2 }' "/proc/$1/smaps_rollup"; }
descriptors() { find "/proc/$1/fd" -mindepth 1 | wc -l; }
# Processor time so far, user and system, in milliseconds.
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/$1/stat"; }

# Sanitizers have memory of their own, which grows.
memory_counts() { [[ -z ${SANITIZE-} ]]; }

# The processes once healthd is up, SPAWNED being the one that was started: RESPONDER, RUNNER.
# shellcheck disable=SC2034 # for the caller
find_healthd() {
  RESPONDER=$SPAWNED
  RUNNER=$(pgrep -P "$SPAWNED" -u "$MITM_UID" healthd)
}

# In one line.
figures() {
  echo "resident $(resident "$1") KiB, private $(private "$1") KiB, most $(most_resident "$1") KiB," \
    "$(descriptors "$1") descriptors, $(cpu_ms "$1") ms of processor"
}
# Say it whether the test passes or not: TAP takes it for a comment.
report() { echo "# $*" >&3; }
# How many children of process $1 have died and are not reaped.
zombies() { pgrep -P "$1" --runstates Z | wc -l; }
