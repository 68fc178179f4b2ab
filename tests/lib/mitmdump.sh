# shellcheck shell=bash
# Which mitmdump to use: sourced by deps.sh, which provides one, and by
# stage.sh, which runs it. ROOT is the source tree.

VENV=$ROOT/build/venv

# The version of the mitmdump at path $1 ("11.0.2"), nothing if it does not run.
mitmdump_version() {
  # It looks into HOME, which need not be open to whom this is run as.
  HOME=/nonexistent "$1" --version 2>/dev/null | sed -n 's/^Mitmproxy: //p'
}

# Two listeners (IPv4 and IPv6) need version 9.
mitmdump_is_new() {
  local version
  version=$(mitmdump_version "$1")
  version=${version%%.*}
  ((${version:-0} >= 9))
}

# Is the virtual environment whole, and made from requirements.txt as it is now?
venv_is_current() {
  [[ -f $VENV/requirements.sha256 ]] &&
    (cd "$ROOT" && sha256sum --check --status "$VENV/requirements.sha256") &&
    # An upgrade of the system's Python leaves an environment without modules.
    "$VENV/bin/python3" -c 'import mitmproxy.version' 2>/dev/null
}

# Print the path of the mitmdump to use: a new one of the machine's own, the
# one in build/venv, or else an old one of the machine's own.
mitmdump_path() {
  local own
  own=$(command -v mitmdump || true)
  if [[ -n $own ]] && mitmdump_is_new "$own"; then
    echo "$own"
  elif venv_is_current; then
    echo "$VENV/bin/mitmdump"
  elif [[ -n $own ]]; then
    echo "$own"
  else
    echo "no mitmdump: run 'make deps' first" >&2
    return 1
  fi
}
