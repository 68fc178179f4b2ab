# shellcheck shell=bash
# Other versions of mitmproxy than the pinned one, each in a virtual environment of its
# own below build/: sourced by deps.sh, which makes them, and by versions.bats.

# The newest 10.x, and an 11.x that is not the pinned one (11.1 needs Python 3.12).
# shellcheck disable=SC2034 # for them
OTHER_VERSIONS=(10.4.2 11.0.0)

version_venv() { echo "$ROOT/build/mitmproxy-$1"; }

# Is it whole? An upgrade of the system's Python leaves an environment without modules.
version_is_there() {
  "$(version_venv "$1")/bin/python3" -c 'import mitmproxy.version, sys; sys.exit(mitmproxy.version.VERSION != sys.argv[1])' "$1" 2>/dev/null
}

# Make it from Python's package index.
make_version() {
  local venv
  venv=$(version_venv "$1")
  rm -rf "$venv"
  if /usr/bin/python3 -m venv "$venv" &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 "mitmproxy==$1"; then
    version_is_there "$1" && return 0
  fi
  rm -rf "$venv"
  return 1
}

# Print the path of that mitmdump, where the mitmproxy user can run it.
version_mitmdump() {
  local venv copy
  venv=$(version_venv "$1")
  if [[ $(become_mitm mitmdump_version "$venv/bin/mitmdump") == "$1" ]]; then
    echo "$venv/bin/mitmdump"
    return
  fi
  # As in stage.sh: a copy, whose first line names the copy's interpreter.
  copy=$STAGE/mitmproxy-$1
  [[ -d $copy ]] || cp -a "$venv" "$copy"
  rm -f "$copy/bin/mitmdump"
  printf '#!%s\nimport sys\nfrom mitmproxy.tools.main import mitmdump\nsys.exit(mitmdump())\n' \
    "$copy/bin/python3" >"$copy/bin/mitmdump"
  chmod 0755 "$copy/bin/mitmdump"
  echo "$copy/bin/mitmdump"
}
