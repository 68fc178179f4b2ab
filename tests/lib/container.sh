# shellcheck shell=bash disable=SC2034,SC2153 # variables of, and for, the suites
# Real containers.
#
# Images are built by buildah into a store below build/, once for all suites. What runs is
# podman's, with a store, networks and locks of its own in $LAB, so that nothing of the
# machine's containers is seen or touched. Its host's network is the lab's namespace POD: that
# is the node here, the containers have namespaces of their own behind a bridge in it.

source "$ROOT/tests/lib/versions.sh"

IMAGES=$ROOT/build/image
IMAGE=opensandbox-egress:$(sed -n 's/^VERSION *:= *//p' "$ROOT/Makefile")
BASE_IMAGE=docker.io/library/debian:trixie-slim
# podman-compose, hadolint, kustomize, and Kubernetes' schemas: made by deps.sh.
TOOLS=$ROOT/build/tools
# The application that the manifests name.
APPLICATION_IMAGE=docker.io/curlimages/curl:8.16.0

# Where an overlay cannot lie on an overlay, files are copied.
storage_driver() { [[ $(stat -f -c %T "$1") == overlayfs ]] && echo vfs || echo overlay; }

# images_up: build, unless they are there already, the base image, the image, the application.
images_up() {
  local tool
  for tool in buildah podman debootstrap jq "$TOOLS/bin/python3"; do need "$tool"; done
  mkdir -p "$IMAGES"
  # Suites run side by side.
  exec {IMAGES_LOCK}>"$IMAGES/lock"
  flock "$IMAGES_LOCK"
  IMAGES_RUN=$(mktemp -d /tmp/egress-build-XXXXXX)
  local status=0
  { provide_base && build_image && build_application; } >"$IMAGES_RUN/log" 2>&1 || status=$?
  if ((status == 0)); then cp "$IMAGES_RUN/log" "$IMAGES/log"; else tail -n 50 "$IMAGES_RUN/log"; fi
  # The store is mounted on itself by whoever uses it.
  umount "$IMAGES/store/overlay" 2>/dev/null || true
  rm -rf "$IMAGES_RUN"
  exec {IMAGES_LOCK}>&-
  export ORIGIN_PKI=$IMAGES/pki
  return $status
}

on_images() {
  local tool=$1
  shift
  "$tool" --root "$IMAGES/store" --runroot "$IMAGES_RUN/store" \
    --storage-driver "$(storage_driver "$IMAGES")" "$@"
}

# The base is made of Debian's packages, as Debian's own image is, since that cannot be pulled
# everywhere. It brings the CA of the lab's origin, as a company's base image brings the company's.
# It is made anew when it is old, or when the origin has other names.
provide_base() {
  local made_of
  made_of=$(printf '%s\n' "$HOSTS" "$(declare -f slim_base import_base)" | sha256sum)
  if [[ $(cat "$IMAGES/made-of" 2>/dev/null) == "$made_of" &&
    -n $(find "$IMAGES/made-of" -mtime -7) ]] && on_images buildah inspect --type image "$BASE_IMAGE" >/dev/null; then
    return 0
  fi
  rm -rf "$IMAGES/store" "$IMAGES/pki" "$IMAGES/made-of"
  mkdir -p "$IMAGES/pki"
  origin_make_certificates "$IMAGES/pki"
  debootstrap --variant=minbase trixie "$IMAGES_RUN/base" "$(debian_mirror)" || return
  slim_base "$IMAGES_RUN/base" || return
  import_base "$IMAGES_RUN/base" || return
  echo "$made_of" >"$IMAGES/made-of"
}

# What Debian leaves out of its slim image: documentation, translations, caches.
slim_base() {
  local root=$1
  cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'EOF'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
EOF
  echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/docker-no-languages"
  echo 'APT::Keep-Downloaded-Packages "false";' >"$root/etc/apt/apt.conf.d/docker-clean"
  find "$root/usr/share/doc" -type f ! -name copyright -delete
  rm -rf "$root"/usr/share/{groff,info,lintian,locale,man}/* "$root"/var/lib/apt/lists/* \
    "$root"/var/cache/apt/* "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/debconf/*-old
  install -D -m 0644 "$IMAGES/pki/private-ca.crt" "$root/usr/local/share/ca-certificates/lab.crt"
}

import_base() {
  local container
  container=$(on_images buildah from scratch) &&
    on_images buildah add --quiet "$container" "$1" / &&
    on_images buildah config --cmd bash "$container" &&
    on_images buildah commit --quiet --rm "$container" "$BASE_IMAGE"
}

build_flags() {
  local dir=$IMAGES_RUN/machine path
  machine_files "$dir" /run/machine
  echo "--network host --isolation chroot --layers --pull-never"
  echo "-v $dir:/run/machine:ro -v $dir/pip.conf:/etc/pip.conf:ro"
  echo "-v $dir/apt.conf:/etc/apt/apt.conf.d/00machine:ro"
  for path in "${MACHINE_PATHS[@]}"; do
    [[ ! -e $path ]] || echo "-v $path:$path:ro"
  done
}

build_image() {
  env -u MAKEFLAGS -u MAKELEVEL make -C "$ROOT" image IMAGE_FLAGS="$(build_flags | tr '\n' ' ')" \
    BUILDER="buildah --root '$IMAGES/store' --runroot $IMAGES_RUN/store --storage-driver $(storage_driver "$IMAGES")"
}

# The application is somebody else's image, with curl in it and, for the tests, a Python.
build_application() {
  # shellcheck disable=SC2046 # flags
  on_images buildah build $(build_flags) -t "$APPLICATION_IMAGE" - <<EOF
FROM $BASE_IMAGE
RUN apt-get update \
 && apt-get install -y --no-install-recommends curl python3-minimal
EOF
}

# --- running them

# node_up: a lab whose pod is the node, and a podman of its own.
node_up() {
  lab_up
  local dir=$LAB/podman name
  mkdir -p "$dir/networks"
  printf '127.0.0.1 localhost\n::1 localhost\n%s' "$HOSTS" >"$dir/hosts"
  cat >"$dir/storage.conf" <<EOF
[storage]
driver = "$(storage_driver "$LAB")"
graphroot = "$dir/store"
runroot = "$dir/run"
[storage.options]
additionalimagestores = ["$IMAGES/store"]
EOF
  cat >"$dir/containers.conf" <<EOF
[containers]
base_hosts_file = "$dir/hosts"
[engine]
runtime = "test"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "$dir/tmp"
[engine.runtimes]
test = ["$ROOT/tests/lib/oci-runtime"]
[network]
network_backend = "netavark"
network_config_dir = "$dir/networks"
EOF
  # What the lab has set for programs outside of containers.
  for name in ${!OPENSANDBOX_EGRESS_*}; do unset "$name"; done
}
node_for_file() {
  export LAB_OF_FILE=1
  node_up
  export LAB POD ORIGIN IPV6
}
node_down() {
  if [[ -n ${LAB-} && -d $LAB/podman ]]; then
    podman pod rm --force --all --time 1 >/dev/null 2>&1 || true
    podman rm --force --all --time 1 >/dev/null 2>&1 || true
    umount "$LAB/podman/store/overlay" 2>/dev/null || true
  fi
  lab_down
}

# on_node CMD...: run in the node's network namespace, but see the machine's /sys, cgroups and
# all, which ip-netns(8) would hide. (Descriptor 3 is that of bats, which would wait for it.)
on_node() {
  CONTAINERS_CONF=$LAB/podman/containers.conf CONTAINERS_STORAGE_CONF=$LAB/podman/storage.conf \
    nsenter --net="/run/netns/$POD" "$@" 3>&-
}
podman() { on_node podman "$@"; }
compose() { on_node "$TOOLS/bin/podman-compose" -f "$ROOT/deploy/compose.yaml" "$@"; }

container_pid() { podman inspect --format '{{.State.Pid}}' "$1"; }
container_status() { podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$1"; }
ready() { podman exec "$1" healthd --probe >/dev/null 2>&1; }
# ready_within SECONDS NAME
ready_within() {
  wait_until "$1" ready "$2" || {
    podman exec "$2" healthd --probe || true
    podman logs "$2" 2>&1 || true
    podman ps -a
    return 1
  }
}
# says NAME PATTERN: does /healthz of the container say so?
says() { grep -qE -e "$2" <<<"$(podman exec "$1" healthd --probe 2>&1)"; }

# has_logged NAME PATTERN
has_logged() { podman logs "$1" 2>&1 | grep -E -e "$2" >/dev/null; }

# The rules in a container's network namespace, and the gate, as they can be compared.
container_rules() {
  local pid family table
  pid=$(container_pid "$1")
  for family in '' 6; do
    for table in nat filter; do
      nsenter -t "$pid" -n "ip${family}tables-legacy-save" -t $table | sed -e '/^#/d' -e 's/ *\[[0-9]*:[0-9]*\]//'
    done
  done
  nsenter -t "$pid" -n nft list table netdev opensandbox_egress
}

# play FILE POD: play a manifest unchanged, wait until POD intercepts.
play() {
  podman kube play "$1" >"$LAB/play.log" 2>&1 || {
    cat "$LAB/play.log"
    podman logs "$2-egress-setup" || true
    return 1
  }
  ready_within 30 "$2-egress"
}
# play_native FILE POD: the same after the one step that podman needs; prints what that changes.
play_native() {
  "$TOOLS/bin/python3" "$ROOT/tests/lib/kubernetes.py" without-native-sidecars "$1" >"$LAB/${1##*/}" 2>"$LAB/step.diff"
  sed 's/^/# /' "$LAB/step.diff" >&3
  play "$LAB/${1##*/}" "$2"
}

# container_intercepted NAME [URL]: a container's request is answered, verified with the files that
# it has mounted, by a certificate of our CA, and the origin sees the header.
container_intercepted() {
  attempt podman exec "$1" curl -sSv --max-time 10 "${2:-https://shop.example.test/}"
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
  has "$OUTPUT" "issuer: .*${3:-CN=mitmproxy}"
  has "$OUTPUT" 'SSL certificate verify ok'
}

# denied PATTERN NAME CMD...: must fail in the container, with an error that matches; shown.
denied() {
  local pattern=$1
  shift
  attempt podman exec "$@"
  printf '# %s\n' "$*" "  ${OUTPUT//$'\n'/$'\n#   '}" >&3
  [[ $STATUS != 0 ]] || {
    echo "not denied: $*"
    return 1
  }
  has "$OUTPUT" "$pattern"
}

# unprivileged NAME UID [COMMAND]: what the kernel says of a container's first process, or of that
# whose command line matches.
unprivileged() {
  local pid status
  pid=$(container_pid "$1")
  [[ -z ${3-} ]] || pid=$(container_processes "$1" "$3" | head -n 1)
  status=$(<"/proc/$pid/status")
  has "$status" "^Uid:	$2	$2	$2	$2$"
  for set in Inh Prm Eff Bnd Amb; do has "$status" "^Cap$set:	0{16}$"; done
  has "$status" '^NoNewPrivs:	1$'
  has "$status" '^Seccomp:	2$'
}
# Process ids of a container whose command line matches: NAME PATTERN
container_processes() {
  local namespace pid
  namespace=$(readlink "/proc/$(container_pid "$1")/ns/pid")
  for pid in /proc/[0-9]*; do
    [[ $(readlink "$pid/ns/pid" 2>/dev/null) == "$namespace" ]] || continue
    tr '\0' ' ' <"$pid/cmdline" 2>/dev/null | grep -qE -e "$2" && echo "${pid#/proc/}"
  done
}
