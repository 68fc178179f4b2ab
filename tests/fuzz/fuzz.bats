#!/usr/bin/env bats
# The parsers, under sanitizers, on every input that fuzzing has found worth keeping. What must
# hold for each of them stands in the harnesses, tests/fuzz/*.c.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

OBJECTS=build/sanitize/obj
setup_file() {
  cd "$ROOT" || return 1
  # Whatever make called us must not have its own flags in here.
  env -u MAKEFLAGS -u MAKELEVEL make -s SANITIZE=1 build/sanitize/fuzz-{http,state,config}
}
setup() {
  cd "$ROOT" || return 1
  SCRATCH=$(mktemp -d)
}
teardown() { rm -rf "$SCRATCH"; }

# replay TARGET: every file of the corpus goes through its harness, and breaks nothing.
replay() {
  attempt "build/sanitize/fuzz-$1" "tests/fuzz/corpus/$1"
  [[ $STATUS == 0 ]]
  same inputs "$(find "tests/fuzz/corpus/$1" -type f | wc -l) inputs" "$(tail -n 1 <<<"$OUTPUT")"
}

@test "HTTP requests: one answer to each, however it comes in" { replay http; }

@test "state files: read as they were written, or refused" { replay state; }

@test "configurations: taken as they are, or refused and reported" { replay config; }

# mutant TARGET FILE EDIT: the corpus must notice when the parser in FILE is broken by sed's EDIT.
mutant() {
  local target=$1 file=$2 edit=$3 objects
  sed "$edit" "$file" >"$SCRATCH/mutant.c"
  if cmp -s "$file" "$SCRATCH/mutant.c"; then
    fault "$file: $edit changes nothing"
    return 0
  fi
  mapfile -t objects < <({ find common -name '*.c' && printf '%s\n' healthd/http/{request,answer}.c; } |
    sed "s|^|$OBJECTS/|; s|c$|o|" | grep -vxF "$OBJECTS/${file%.c}.o")
  [[ $target != config ]] || objects+=("$OBJECTS"/tests/fuzz/config_*.o)
  # shellcheck disable=SC2046 # words
  cc -std=c11 -D_GNU_SOURCE -DSCRIPTS_DIR='"/opt/opensandbox/mitmscripts"' -I. -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -w \
    $(pkg-config --cflags libbsd-overlay libmd) -o "$SCRATCH/mutant" "$SCRATCH/mutant.c" \
    "$OBJECTS/tests/fuzz/$target.o" $OBJECTS/tests/fuzz/replay.o "${objects[@]}" \
    $(pkg-config --libs libbsd-overlay libmd)
  STATUS=0
  # Its reports are wanted, and not among those that fail a run.
  OUTPUT=$(env -u ASAN_OPTIONS -u UBSAN_OPTIONS "$SCRATCH/mutant" "tests/fuzz/corpus/$target" 2>&1) || STATUS=$?
  # It has begun, and not come to the end.
  [[ $STATUS != 0 && $OUTPUT == "tests/fuzz/corpus/$target/"* && $OUTPUT != *' inputs' ]] ||
    fault "$file with $edit: not noticed: ${OUTPUT: -300}"
}

@test "a broken HTTP parser is noticed" {
  mutant http healthd/http/request.c 's/fields->hosts > 1/fields->hosts > 2/'
  mutant http healthd/http/request.c 's/is_http11 && fields->hosts == 0/false/'
  mutant http healthd/http/request.c 's/whole ? line : rest/rest/'
  mutant http healthd/http/request.c "s/, '?', &before_query/, '#', \&before_query/"
  mutant http healthd/http/request.c 's/target.size < HTTP_PATH_SIZE/target.size <= HTTP_PATH_SIZE/'
  mutant http healthd/http/answer.c 's/: out_size - 1/: out_size/'
  mutant http healthd/http/request.c 's/size >= HTTP_REQUEST_MAX/size > HTTP_REQUEST_MAX/'
  mutant http healthd/http/answer.c 's/answer->head_only ? ""/answer->canary ? ""/'
  no_faults
}

@test "a broken state file parser is noticed" {
  mutant state common/state/text.c 's/< key->size ? 0 : -1/< key->size ? 0 : 0/'
  mutant state common/base/characters.c 's/{0x7f, 0x9f}/{0x80, 0x9f}/'
  mutant state common/base/characters.c 's/{0x7f, 0x9f}/{0x7f, 0x7f}/'
  mutant state common/state/text.c 's/"version=1"/"version=2"/'
  mutant state common/state/text.c 's/  *memset(state, 0, sizeof(\*state));$//'
  mutant state common/state/text.c 's/strndup(text, size)/strdup(text)/'
  mutant state common/state/text.c 's/make_printable(printable);//'
  no_faults
}

@test "a broken configuration parser is noticed" {
  mutant config common/config/reserved_options.c 's/("listen_port"/("listen_post"/'
  mutant config common/config/parsers.c 's/list->count == CONFIG_LIST_MAX/list->count > CONFIG_LIST_MAX/'
  mutant config common/config/parsers.c 's/strtonum(value, 1, max/strtonum(value, 0, max/'
  mutant config common/config/network_parsers.c 's/range->last < range->first/false/'
  mutant config common/config/network_parsers.c 's/bit = cidr->prefix/bit = cidr->prefix + 1/'
  mutant config common/config/user.c 's/"0123456789"/"+0123456789"/'
  mutant config common/config/load.c 's/length >= CONFIG_VALUE_MAX/length > CONFIG_VALUE_MAX/'
  mutant config common/config/check.c 's/config->port == config->http.port/false/'
  mutant config common/base/log.c 's/is_unprintable(utf8_code(at, length))/false/'
  no_faults
}
