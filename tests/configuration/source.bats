#!/usr/bin/env bats
# What is written about the programs agrees with what they say themselves.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"

setup() { :; }

# "NAME DEFAULT", a line for each variable that --help of program $1 lists.
variables() {
  "$STAGE/usr/sbin/$1" --help | awk '
    /^  [A-Z][A-Z0-9_]+$/ { name = $1 }
    name && /; default: / { sub(/.*; default: /, ""); print name " " $0; name = "" }'
}
# The table of docs/configuration.md: the first and the last cell of each row, without decoration.
table() {
  sed -n "s/^| *\(.*[^ ]\) *| *\$/\1/p" "$ROOT/docs/configuration.md" | tr -d '\`' | sed "s/$P//g" |
    awk -F ' *[|] *' 'NF >= 3 { print $1 "|" $NF }'
}
readme_exists() {
  [[ -f $ROOT/README.md ]] || {
    echo 'there is no README.md'
    return 1
  }
}

@test "the table of variables has every variable that setup --help lists, with its default" {
  readme_exists
  local name default row
  while read -r name default; do
    row=$(table | grep -wE "^[^|]*$name" || true)
    [[ -n $row ]] || {
      fault "$name is not in the table"
      continue
    }
    grep -qF -e "$default" <<<"${row#*|}" || fault "$name: default is $default, the table says ${row#*|}"
  done < <(variables setup)
  (($(variables setup | wc -l) >= 17)) || fault 'setup --help lists fewer variables than there are'
  no_faults
}

@test "the table of variables has no variable that the programs do not know" {
  readme_exists
  local name
  for name in $(table | sed 's/|.*//' | grep -oE '[A-Z][A-Z0-9_]{5,}'); do
    variables setup | grep -qw "^$name" || fault "$name is unknown to setup"
  done
  no_faults
}

@test "both programs list the same variables" {
  same variables "$(variables setup)" "$(variables healthd)"
}

@test "README names the commands that a newcomer needs, and shows the data flow" {
  readme_exists
  local words
  for words in 'make demo' 'make check' '/healthz' 'setup status' 'setup clear' 'entrypoint.sh'; do
    grep -qF -e "$words" "$ROOT/README.md" || fault "no $words"
  done
  grep -qE 'mermaid|──|-->|\.svg' "$ROOT/README.md" || fault 'no diagram'
  no_faults
}

@test "the places that HACKING.md and the documents name are there" {
  local file place
  for file in README.md HACKING.md docs/*.md; do
    # shellcheck disable=SC2016 # a pattern
    for place in $(grep -oE '`(common|setup|healthd|mitmscripts|tests|docs|deploy)/[A-Za-z0-9_./-]*`|\]\([^):#]+' "$ROOT/$file" | tr -d '`' | sed 's/^](//' | grep -v '^http'); do
      [[ -e $ROOT/$place || -e $ROOT/$(dirname "$file")/$place ]] || fault "$file: no $place"
    done
  done
  no_faults
}

@test "make install: the programs look where the prefix puts the addons" {
  local prefix default
  # What is built already need not be built again.
  mkdir "$BATS_TEST_TMPDIR/build"
  cp -a "$ROOT"/build/{obj,healthd,setup*} "$BATS_TEST_TMPDIR/build/" 2>/dev/null || true
  for prefix in /usr /usr/local; do
    attempt env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" install BUILD="$BATS_TEST_TMPDIR/build" \
      PREFIX="$prefix" DESTDIR="$BATS_TEST_TMPDIR$prefix"
    [[ $STATUS == 0 ]]
    attempt "$BATS_TEST_TMPDIR$prefix$prefix/sbin/setup" --help
    default=$(sed -n '/MITMPROXY_SCRIPTS_DIR/,/default/s/.*default: //p' <<<"$OUTPUT")
    [[ -f $BATS_TEST_TMPDIR$prefix$default/admission.py ]] || fault "$prefix: $default"
  done
  no_faults
}

@test "make image takes docker only if its daemon answers, else podman, else buildah" {
  local bin=$BATS_TEST_TMPDIR/bin tool
  mkdir "$bin"
  for tool in sh make basename git sed; do ln -s "$(command -v $tool)" "$bin/$tool"; done
  builder() { env PATH="$bin" make -n -C "$ROOT" image | grep -oE '[a-z]+ build ' | head -n 1; }
  printf '#!/bin/sh\nexit 1\n' >"$bin/docker"
  printf '#!/bin/sh\n' >"$bin/buildah"
  chmod 0755 "$bin/docker" "$bin/buildah"
  same 'no daemon' 'buildah build ' "$(builder)"
  cp "$bin/buildah" "$bin/podman"
  same 'no daemon' 'podman build ' "$(builder)"
  cp "$bin/buildah" "$bin/docker"
  same 'a daemon' 'docker build ' "$(builder)"
}

@test "entrypoint.sh is POSIX sh, clean under shellcheck" {
  need shellcheck
  has "$(head -n 1 "$ROOT/entrypoint.sh")" '^#!/bin/sh'
  attempt shellcheck "$ROOT/entrypoint.sh"
  [[ $STATUS == 0 ]]
}
