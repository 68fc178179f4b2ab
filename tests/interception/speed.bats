#!/usr/bin/env bats
# mitmscripts/speed.py: mitmproxy does what it does without, sooner. In the version of the test
# environment, and in the image's.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/hooks.sh"
source "$ROOT/tests/lib/versions.sh"

PIECES=(dispatch hooks_at_once type_checks header_index idle_addons options authorities)

setup_file() {
  suite_up
  lab_for_file
  VERSIONS=$MITMDUMP
  image=$(mitmproxy_12) && [[ $image == "$MITMDUMP" ]] || VERSIONS+=" $image"
  export VERSIONS
  cp "$ROOT/tests/lib/speed_probe.py" "$LAB"
}

# probe MITMDUMP ARGUMENT...: see tests/lib/speed_probe.py.
probe() {
  local python
  python=$(sed -n '1s/^#! *//p' "$1")
  shift
  attempt as_mitm env HOME="$LAB/home" PYTHONDONTWRITEBYTECODE=1 timeout 60 "$python" "$LAB/speed_probe.py" \
    "$STAGE/usr/share/opensandbox/mitmscripts" "$@"
  [[ $STATUS == 0 ]]
}

@test "addons, messages and fields are treated as without the pieces" {
  local mitmdump patch without
  for mitmdump in $VERSIONS; do
    for patch in '' addon_errors; do
      probe "$mitmdump" seen $patch
      without=$OUTPUT
      has "$without" '^  request: version 2$'
      probe "$mitmdump" seen $patch "${PIECES[@]}"
      same "$mitmdump $patch" "$without" "$OUTPUT"
    done
  done
}

@test "each piece spares most of the calls that it is about" {
  local mitmdump piece without with
  for mitmdump in $VERSIONS; do
    for piece in "${PIECES[@]}"; do
      probe "$mitmdump" counts
      without=$(awk "/^$piece / { print \$2 }" <<<"$OUTPUT")
      # Hooks at once need the dispatch that knows of them.
      # shellcheck disable=SC2046 # words
      probe "$mitmdump" counts $([[ $piece != hooks_at_once ]] || echo dispatch) "$piece"
      with=$(awk "/^$piece / { print \$2 }" <<<"$OUTPUT")
      ((with * 2 < without)) || fault "$mitmdump: $piece: $with calls, $without without it"
    done
  done
  no_faults
}

# goes_without NAME PIECE...: where something of that name is another, all pieces are there but these.
goes_without() {
  local pieces=" ${PIECES[*]}" piece
  for piece in "${@:2}"; do
    pieces=${pieces/ $piece/}
  done
  has "$OUTPUT" "^$1 applied:$pieces$" || fault "$1"
}
@test "a piece steps aside where something that it is written for is another, and says so" {
  local mitmdump name
  for mitmdump in $VERSIONS; do
    probe "$mitmdump" guards
    has "$OUTPUT" '^mitmproxy [0-9.]+ goes without the piece dispatch: .*trigger_event is unknown$' || fault 'not said'
    for name in trigger_event _iter_hooks safecall args; do
      goes_without "$name" dispatch hooks_at_once
    done
    for name in hook_task server_event; do
      goes_without "$name" hooks_at_once
    done
    goes_without __post_init__ type_checks
    for name in get_all _kconv _native; do
      goes_without "$name" header_index
    done
    goes_without request idle_addons
    goes_without current options
    for name in parse_authority is_valid_host; do
      goes_without "$name" authorities
    done
  done
  no_faults
}

# A mitmdump with the pieces but those that are named, which says which there are.
faster_without() {
  cat >"$LAB/home/start.py" <<'PYTHON'
import os, runpy, sys
import mitmproxy.tools.dump
scripts, without, *sys.argv = sys.argv[1:]
sys.path.insert(0, scripts)
import speed
print("pieces:", *speed.apply(print, without.split(",")), flush=True)
runpy.run_path(sys.argv[0], run_name="__main__")
PYTHON
  fake_mitmdump <<FAKE
#!/bin/sh
exec "$(sed -n '1s/^#! *//p' "$1")" "$LAB/home/start.py" "$STAGE/usr/share/opensandbox/mitmscripts" "$2" "$1" "\$@"
FAKE
}

@test "hooks, their order, and what clients are answered: as without the pieces" {
  local mitmdump
  need legacy
  hooks_addon
  for mitmdump in $VERSIONS; do
    faster_without "$mitmdump" ''
    up
    observe >"$LAB/with"
    down
    has "$(<"$LAB/up.log")" "pieces: ${PIECES[*]}$"
    faster_without "$mitmdump" "$(IFS=, && echo "${PIECES[*]}")"
    up
    observe >"$LAB/without"
    down
    has "$(<"$LAB/up.log")" 'pieces:$'
    same "$mitmdump" "$(<"$LAB/without")" "$(<"$LAB/with")"
    has "$(<"$LAB/with")" '^/plain response '
  done
}
