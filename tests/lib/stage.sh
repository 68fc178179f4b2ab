# shellcheck shell=bash
# What is tested, in a place that every user can enter: a checkout may lie in a
# directory that is private to its owner, and mitmdump runs as somebody else.
#
#   $STAGE/usr    what `make install` installs
#   $STAGE/lib    the tests' own programs in Python, which other users run as well
#   $STAGE/venv   a copy of mitmdump
#   $STAGE/pki    the origin's certificates, and the upstream trust directory
#   $STAGE/asan   reports of the sanitizers
#
# Made once for a whole run: STAGE in the environment says where it is.

stage_up() {
  [[ -z ${STAGE-} ]] || return 0
  # Not in TMPDIR, which may be private as well.
  STAGE=$(mktemp -d /tmp/egress-stage-XXXXXX)
  STAGE_OWNER=$BASHPID
  chmod 0755 "$STAGE"
  # Whatever make called us must not have its own flags in here.
  # As it is installed by default: another prefix would be compiled in. Then to where the tests look.
  env -u MAKEFLAGS -u MAKELEVEL make -s -C "$ROOT" install \
    PREFIX=/usr/local DESTDIR="$STAGE/installed" SANITIZE="${SANITIZE-}"
  mkdir "$STAGE/usr" "$STAGE/usr/share"
  mv "$STAGE"/installed/usr/local/* "$STAGE/usr/"
  mv "$STAGE/installed/opt/opensandbox" "$STAGE/usr/share/"
  mkdir "$STAGE/lib" "$STAGE/pki"
  cp "$ROOT"/tests/lib/*.py "$STAGE/lib/"
  origin_make_certificates "$STAGE/pki"
  stage_mitmdump
  stage_sanitizers
  export STAGE MITMDUMP MITMDUMP_VERSION
}

# Remove the stage, if this shell made it.
stage_down() {
  [[ ${STAGE_OWNER-} == "$BASHPID" ]] || return 0
  rm -rf "$STAGE"
  unset STAGE STAGE_OWNER
}

# MITMDUMP becomes one that the mitmproxy user can run, MITMDUMP_VERSION its version.
stage_mitmdump() {
  MITMDUMP=$(mitmdump_path)
  if [[ $MITMDUMP == "$VENV"/* ]]; then
    stage_tree "$VENV" "$STAGE/venv"
    bind_program "$STAGE/venv"
    MITMDUMP=$STAGE/venv/bin/mitmdump
  fi
  MITMDUMP_VERSION=$(become_mitm mitmdump_version "$MITMDUMP")
  [[ -n $MITMDUMP_VERSION ]] || {
    echo "$MITMDUMP cannot be executed by other users" >&2
    return 1
  }
}

# The Python of mitmdump's environment, for rows and origins that need its libraries, whichever version runs.
client_python() { sed -n '1s/^#!//p' "$MITMDUMP"; }

# stage_tree ORIGINAL COPY. Links are quicker than copies, and possible on the same file system
# only. So a file of the copy is removed before it is written anew: it may be the original.
stage_tree() {
  cp -al "$1" "$2" 2>/dev/null || {
    rm -rf "$2"
    cp -a "$1" "$2"
  }
}

# Reports go to files: a test may throw standard error away.
stage_sanitizers() {
  [[ -n ${SANITIZE-} ]] || return 0
  mkdir -m 1777 "$STAGE/asan"
  chmod 1777 "$STAGE/asan"
  export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:log_path=$STAGE/asan/report
  export UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1:log_path=$STAGE/asan/report
}
