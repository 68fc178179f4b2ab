# shellcheck shell=bash
# Which mitmdump to use: sourced by deps.sh, which provides one, and by
# stage.sh, which runs it. ROOT is the source tree.

VENV=$ROOT/build/venv

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

# Is the virtual environment whole, and made from requirements.txt as it is now?
venv_is_current() {
  [[ -f $VENV/requirements.sha256 ]] &&
    (cd "$ROOT" && sha256sum --check --status "$VENV/requirements.sha256") &&
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
