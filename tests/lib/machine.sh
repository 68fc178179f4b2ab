# shellcheck shell=bash disable=SC2034 # variables for others
# What another Debian on this machine (an image, a root) must be given for it to reach the
# package registries.

# The mirror from which this machine installs its own packages.
debian_mirror() {
  local codename
  # shellcheck disable=SC1091 # the machine's
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  apt-get --print-uris update | sed -n "s|^'\(.*\)/dists/$codename/[^/]*'.*|\1|p" | head -n 1
}

# By whichever pip is there: none needs to be outside of build/.
pip_configuration() {
  local python
  for python in "$ROOT"/build/{venv,tools}/bin/python3 /usr/bin/python3; do
    "$python" -m pip config list 2>/dev/null && return
  done
}

# machine_files DIR PLACE: certificates.pem, pip.conf and apt.conf in DIR, which will be seen as PLACE.
machine_files() {
  mkdir -p "$1"
  cp -L "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" "$1/certificates.pem"
  {
    echo '[global]'
    echo "cert = $2/certificates.pem"
    pip_configuration |
      sed -nE "s/^[^=]*\.((extra-)?index-url|trusted-host|proxy)='(.*)'$/\1 = \3/p"
  } >"$1/pip.conf"
  echo "Acquire::https::CAInfo \"$2/certificates.pem\";" >"$1/apt.conf"
}
# ... and these files of the machine, where they are.
MACHINE_PATHS=(/etc/resolv.conf /etc/hosts /etc/apt/auth.conf.d)
