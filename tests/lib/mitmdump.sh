# shellcheck shell=bash
# Which mitmdump to use: sourced by deps.sh, which provides one, and by
# stage.sh, which runs it. ROOT is the source tree.

VENV=$ROOT/build/venv

# Print the lock file for /usr/bin/python3: one for 3.12 and later, and one for that of Debian 12.
lock_file() {
  local version
  version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [[ -f $ROOT/requirements-python$version.txt ]]; then
    echo "requirements-python$version.txt"
  else
    echo requirements.txt
  fi
}

# install_locked FILE PYTHON...: exactly what the lock file FILE names, and nothing from source: no
# code of the index runs at installation. (--no-deps: nothing beside what it names.)
install_locked() {
  local file=$1
  shift
  "$@" -m pip install --quiet --disable-pip-version-check --retries 1 \
    --only-binary :all: --no-deps --require-hashes -r "$ROOT/$file"
}

# The version of the mitmdump at path $1 ("11.0.2"), nothing if it does not run.
mitmdump_version() {
  # It looks into HOME, which need not be open to whom this is run as.
  HOME=/nonexistent "$1" --version 2>/dev/null | sed -n 's/^Mitmproxy: //p'
}

# Is it one that mitmscripts/mitmproxy_patches.py takes? Its first and last version stand there.
mitmdump_fits() {
  local version first last
  version=$(mitmdump_version "$1")
  IFS=/ read -r first last < <(sed -n 's|^FIRST, LAST = (\(.*\)), (\(.*\))$|\1/\2|p' \
    "$ROOT/mitmscripts/mitmproxy_patches.py" | sed 's/, /./g')
  [[ -n $version ]] && sort -V -c 2>/dev/null <<<"$first"$'\n'"$version"$'\n'"$last"
}

# Make the mitmdump of the virtual environment $1. Its first line names the interpreter. (Remove,
# do not overwrite: it may be a link to that of another environment.)
bind_program() {
  rm -f "$1/bin/mitmdump"
  printf '#!%s\nimport sys\nfrom mitmproxy.tools.main import mitmdump\nsys.exit(mitmdump())\n' \
    "$1/bin/python3" >"$1/bin/mitmdump"
  chmod 0755 "$1/bin/mitmdump"
}

# Is the virtual environment whole, and made from the lock file as it is now?
venv_is_current() {
  [[ -f $VENV/requirements.sha256 ]] &&
    (cd "$ROOT" && [[ $(sha256sum "$(lock_file)") == "$(<"$VENV/requirements.sha256")" ]]) &&
    # An upgrade of the system's Python leaves an environment without modules.
    "$VENV/bin/python3" -c 'import mitmproxy.version' 2>/dev/null
}

# Print the path of the mitmdump to use: the machine's own, if it fits, or the one in build/venv.
mitmdump_path() {
  local own
  own=$(command -v mitmdump || true)
  if [[ -n $own ]] && mitmdump_fits "$own"; then
    echo "$own"
  elif venv_is_current; then
    echo "$VENV/bin/mitmdump"
  else
    echo "no mitmdump: run 'make deps' first" >&2
    return 1
  fi
}
