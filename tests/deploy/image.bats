#!/usr/bin/env bats
# The image: what is in it, and one container of it that does everything.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/container.sh"

setup_file() {
  suite_up
  images_up
  node_for_file
}
teardown_file() { node_down; suite_down; }
teardown() {
  # Who shares a namespace goes first, and podman does not sort them.
  podman rm --force --time 1 application >/dev/null 2>&1 || true
  podman rm --force --all --time 10 >/dev/null 2>&1 || true
}

in_image() { podman run --rm --network none --no-healthcheck --entrypoint '' "$IMAGE" "$@"; }

# single NAME [OPTIONS]: the default command, detached.
single() {
  local name=$1
  shift
  podman run -d --name "$name" -e ${P}MITMPROXY_TRANSPARENT=true \
    -e ${P}MITMPROXY_SCRIPT=/opt/opensandbox/mitmscripts/add_header.py "$@" "$IMAGE"
}

@test "labels, health check, entrypoint, and a user of a fixed number" {
  attempt podman image inspect --format '{{json .Labels}} {{json .HealthCheck}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}' "$IMAGE"
  has "$OUTPUT" "\"org.opencontainers.image.version\":\"${IMAGE#*:}\""
  has "$OUTPUT" '"org.opencontainers.image.revision":"[0-9a-f]'
  has "$OUTPUT" '"org.opencontainers.image.licenses":"MIT AND GPL-2.0-only"'
  has "$OUTPUT" '"Test":\["CMD","healthd","--probe"\]'
  has "$OUTPUT" '\["/usr/local/sbin/entrypoint.sh"\] null$'
  attempt in_image id mitmproxy
  has "$OUTPUT" '^uid=10042\(mitmproxy\) gid=10042\(mitmproxy\)'
}

@test "no compiler, no pip, no program that changes rules, nothing setuid beyond the base" {
  # shellcheck disable=SC2016 # the container's shell
  attempt in_image sh -c 'for program in sh mitmdump "$@"; do command -v "$program" || true; done' sh \
    cc gcc make ld strip pip pip3 iptables ip6tables iptables-nft xtables-nft-multi nft ip curl gpg mitmproxy mitmweb
  same programs $'/usr/bin/sh\n/usr/local/bin/mitmdump' "$OUTPUT"
  attempt in_image python3 -c 'import pip'
  has "$OUTPUT" 'No module named'
  attempt in_image /opt/mitmproxy/bin/python3 -c 'import pip'
  has "$OUTPUT" 'No module named'
  attempt in_image find /usr /opt -xdev -name '*.h' -o -xdev -name '*.a' -o -xdev -path '*/pip/*'
  same 'headers and archives' '' "$OUTPUT"
  same 'setuid programs' "$(podman run --rm --network none "$BASE_IMAGE" find / -xdev -perm /6000)" \
    "$(in_image find / -xdev -perm /6000)"
}

@test "mitmproxy 12 as it was published, with byte code for all of it" {
  attempt in_image mitmdump --version
  has "$OUTPUT" '^Mitmproxy: 12\.'
  # What pip installed is what is there, but for other programs and the web interface's pages.
  attempt in_image /opt/mitmproxy/bin/python3 -c '
import base64, csv, hashlib, importlib.metadata
package = importlib.metadata.distribution("mitmproxy")
same, gone = 0, set()
for name, digest, _ in csv.reader(package.read_text("RECORD").splitlines()):
    path = package.locate_file(name)
    if not digest:
        continue
    if not path.exists():
        gone.add("/".join(name.split("/")[:4]))
        continue
    kind, _, value = digest.partition("=")
    actual = base64.urlsafe_b64encode(hashlib.new(kind, path.read_bytes()).digest())
    assert actual.rstrip(b"=").decode() == value, f"{name} differs"
    same += 1
print(same, "files the same; gone:", *sorted(gone))'
  [[ $STATUS == 0 ]]
  has "$OUTPUT" '^[0-9]{3} files the same; gone: \.\./\.\./\.\./bin mitmproxy/tools/web/static$'
  # shellcheck disable=SC2016 # the container's shell
  attempt in_image sh -c '
    for source in $(find /opt -name "*.py"); do
      set -- "${source%/*}/__pycache__/$(basename "$source" .py)".*.pyc
      [ -e "$1" ] || echo "no byte code: $source"
    done'
  same 'byte code' '' "$OUTPUT"
}

@test "size by part" {
  attempt in_image sh -c 'du -xsk /opt/mitmproxy /usr/lib/python3* /usr/share/ca-certificates /usr/local/sbin /opt/opensandbox'
  printf '# %s\n' "$(podman image inspect --format '{{.Size}}' "$IMAGE") bytes, of which base $(podman image inspect --format '{{.Size}}' "$BASE_IMAGE"); KiB:" \
    "${OUTPUT//$'\n'/$'\n# '}" >&3
  (($(podman image inspect --format '{{.Size}}' "$IMAGE") - $(podman image inspect --format '{{.Size}}' "$BASE_IMAGE") < 110000000))
}

@test "one container, default command, NET_ADMIN and NET_RAW added: intercepts" {
  single one --cap-add NET_ADMIN,NET_RAW -v export:/opt/opensandbox/ca -e ${P}EXPORT_DIR=/opt/opensandbox/ca
  ready_within 30 one
  same 'health check' 0 "$(podman healthcheck run one >/dev/null 2>&1; echo $?)"
  podman run -d --name application --network container:one --user 20001:20001 --cap-drop all --read-only \
    -v export:/opt/opensandbox/ca:ro -e CURL_CA_BUNDLE=/opt/opensandbox/ca/merged-ca-certificates.pem \
    "$APPLICATION_IMAGE" sleep 600
  container_intercepted application
  unprivileged_processes one
  # Byte code is there: nothing has been written beside the sources.
  attempt podman diff one
  lacks "$OUTPUT" '/opt/mitmproxy|__pycache__'
  podman stop --time 20 one
  same status 'exited 0' "$(container_status one)"
}

# Whoever serves and whoever intercepts has no capability, though the container has.
unprivileged_processes() {
  local pid
  for pid in $(container_processes "$1" '.'); do
    [[ $(readlink "/proc/$pid/exe") != */healthd || $(awk '/^PPid/ { print $2 }' "/proc/$pid/status") != 1 ]] || continue
    has "$(<"/proc/$pid/status")" '^CapEff:	0{16}$'
    has "$(<"/proc/$pid/status")" '^Uid:	(10042|65534)	'
  done
}

@test "one container with a read-only root: what must be writable is a volume" {
  single one --read-only --cap-add NET_ADMIN,NET_RAW -v confdir:/confdir -v export:/export --tmpfs /state \
    -e ${P}MITMPROXY_CONFDIR=/confdir/mitmproxy -e ${P}EXPORT_DIR=/export/ca -e ${P}STATE_FILE=/state/egress/state
  ready_within 30 one
  denied 'Read-only file system' one touch /opt/opensandbox/file
}

@test "one container without the capabilities: stays up, 503, names the one that is missing" {
  single none --cap-drop NET_RAW
  wait_until 20 says none 'CAP_NET_ADMIN' || fault "without both: $(podman exec none healthd --probe)"
  single raw --cap-add NET_RAW
  wait_until 20 says raw 'CAP_NET_ADMIN' || fault "without NET_ADMIN: $(podman exec raw healthd --probe)"
  local name
  for name in none raw; do
    same status 'running 0' "$(container_status $name)" || fault "$name has ended"
    printf '# %s: %s\n' $name "$(podman exec $name healthd --probe)" >&3
  done
  no_faults
}

@test "one container with NET_ADMIN alone: nft, which needs no more" {
  single one --cap-add NET_ADMIN --cap-drop NET_RAW
  ready_within 30 one
  has "$(podman logs one 2>&1)" 'backend nft'
}
