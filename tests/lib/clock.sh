# shellcheck shell=bash
# A clock that can be set, for the programs in the lab alone:
# `clock_library` in setup_file. See clock.c.

clock_library() {
  export CLOCK_LIBRARY=$STAGE/clock.so
  preload_library clock
}

# set_clock SECONDS: so much later than the machine's (before it, if negative), from now on.
# Programs that shall see it are begun with "${CLOCK_PRELOADED[@]}".
set_clock() {
  /usr/bin/python3 -c 'import os, struct, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)
os.write(fd, struct.pack("=q", int(sys.argv[2])))' "$LAB/clock" "$1"
  # The sanitizers insist on being loaded first.
  # shellcheck disable=SC2034 # for the caller
  CLOCK_PRELOADED=(env CLOCK="$LAB/clock" LD_PRELOAD="$CLOCK_LIBRARY"
    ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0")
}
