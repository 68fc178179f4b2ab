# shellcheck shell=bash
# The image's mitmproxy: sourced by deps.sh, which provides it, and by the suites that run it.

source "$ROOT/tests/lib/machine.sh"

# It needs a newer Python than Debian 12 has: there it is in a virtual environment of its own
# below build/, with the Python of Debian 13. Elsewhere it is the one in build/venv.
IMAGE_VERSION=12.3.1

version_venv() { echo "$ROOT/build/mitmproxy-$1"; }
python_is_new() { /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 12))'; }

# Is it whole? An upgrade of the system's Python leaves an environment without modules.
version_is_there() {
  "$(version_venv "$1")/bin/python3" -c 'import mitmproxy.version, sys; sys.exit(mitmproxy.version.VERSION != sys.argv[1])' "$1" 2>/dev/null
}

# In this clone, wherever it lay when that was made?
image_version_is_there() {
  local venv
  venv=$(version_venv "$IMAGE_VERSION")
  [[ -d $venv ]] && bind_version "$venv" && version_is_there "$IMAGE_VERSION"
}

# The image's, with the Python of Debian 13 in root/.
make_image_version() {
  local venv
  venv=$(version_venv "$IMAGE_VERSION")
  rm -rf "$venv"
  mkdir -p "$venv"
  if image_python "$venv" && bind_version "$venv" && fill_image_version "$venv"; then
    version_is_there "$IMAGE_VERSION" && return 0
  fi
  rm -rf "$venv"
  return 1
}

image_python() {
  local venv=$1 whole=$1/whole
  debootstrap --variant=minbase --include=python3,python3-venv trixie "$whole" "$(debian_mirror)" || return
  # What is there beside Python and libraries would only be copied.
  mkdir -p "$venv/root/usr/bin" "$venv/bin"
  cp -a "$whole"/usr/bin/python3.?? "$venv/root/usr/bin/" &&
    cp -a "$whole/usr/lib" "$venv/root/usr/" &&
    cp -a "$whole/usr/share/python-wheels" "$venv/wheels" &&
    rm -rf "$whole" "$venv"/root/usr/lib/{apt,dpkg,gcc,git-core,locale,systemd,udev}
}

# The kernel takes a program's loader by an absolute path only, so the interpreter is bound to
# the place where the environment lies: bind_version VENV, again after a copy or a move.
bind_version() {
  local venv=$1 system=$1/root original loader libraries
  # Bound already: others may be running it.
  [[ $(sed -n 1p "$venv/bin/mitmdump" 2>/dev/null) != "#!$venv/bin/python3" ]] || return 0
  original=$(echo "$system"/usr/bin/python3.??)
  libraries=$(echo "$system"/usr/lib/*-linux-gnu*)
  loader=$(patchelf --print-interpreter "$original")
  # Links of lib64 into it are relative to a root; the file itself is in the library directory.
  loader=$libraries/${loader##*/}
  rm -f "$system/usr/bin/python3" "$venv/pyvenv.cfg"
  # An old-style path counts for the libraries of modules as well.
  patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" \
    --output "$system/usr/bin/python3" "$original" || return
  chmod 0755 "$system/usr/bin/python3"
  ln -sfn ../root/usr/bin/python3 "$venv/bin/python3"
  printf 'home = %s\ninclude-system-site-packages = false\n' "$system/usr/bin" >"$venv/pyvenv.cfg"
  bind_program "$venv"
}

fill_image_version() {
  local venv=$1 wheel
  wheel=$(echo "$venv"/wheels/pip-*.whl)
  # A wheel of pip can run as it is.
  install_locked requirements.txt env PYTHONPATH="$wheel" "$venv/bin/python3" || return
  bind_program "$venv"
}

# Print the path of that mitmdump, where the mitmproxy user can run it: in a copy, as in stage.sh.
version_mitmdump() {
  local copy=$STAGE/mitmproxy-$1
  (
    # Suites run side by side.
    flock 9
    [[ -d $copy ]] || {
      stage_tree "$(version_venv "$1")" "$copy"
      bind_version "$copy"
    }
  ) 9>>"$STAGE/mitmproxy-$1.lock" || return
  echo "$copy/bin/mitmdump"
}

# Print the path of the image's mitmdump; status 1 where it cannot be had.
mitmproxy_12() {
  if [[ $MITMDUMP_VERSION == "$IMAGE_VERSION" ]]; then
    echo "$MITMDUMP"
    return
  fi
  image_version_is_there || make_image_version >/dev/null 2>&1 || return
  version_mitmdump "$IMAGE_VERSION"
}
