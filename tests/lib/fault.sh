# shellcheck shell=bash
# A kernel that fails on demand: `fault_library` in setup_file. What can be asked for stands in fault.c.

# Compile the library that is preloaded.
fault_library() {
  export FAULT_LIBRARY=$STAGE/fault.so
  preload_library fault
}

# broken FAULT...=... [NAME=VALUE...] CMD...: like `with`, on a kernel with those faults.
broken() {
  local faults=()
  while [[ $1 == FAULT*=* ]]; do
    faults+=("$1")
    shift
  done
  local variables=()
  while [[ $1 == [A-Z]*=* ]]; do
    variables+=("$1")
    shift
  done
  # The sanitizers insist on being loaded first.
  with "${variables[@]}" env "${faults[@]}" LD_PRELOAD="$FAULT_LIBRARY" \
    ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" "$@"
}
