#!/usr/bin/env bats
# deploy/compose.yaml, unchanged, run by podman-compose.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/container.sh"

EGRESS=deploy_egress_1 APPLICATION=deploy_application_1

setup_file() { suite_up; images_up; }
setup() { node_up; }
teardown() { node_down; }

healthy() { podman healthcheck run $EGRESS >/dev/null 2>&1; }
# In the order that the file asks for: this podman cannot wait for a health check.
compose_up() {
  compose up -d egress
  wait_until 30 healthy
  compose up -d application
}

@test "compose.yaml: intercepted from the first request on, by a read-only container with five capabilities" {
  compose_up
  wait_until 20 has_logged $APPLICATION '^X-OpenSandbox-Egress' || true
  attempt podman logs $APPLICATION
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
  has "$OUTPUT" 'issuer: .*CN=mitmproxy'
  container_intercepted $APPLICATION
  lacks "$(origin_saw curl)" 'example.com.*egress="-"'
  unprivileged_application
  denied 'Read-only file system' --user 0 $EGRESS touch /opt/file
  denied 'No such file' $APPLICATION ls /confdir
  denied 'Read-only file system' $APPLICATION touch /opt/opensandbox/ca/file
}
unprivileged_application() {
  local status
  status=$(<"/proc/$(container_pid $APPLICATION)/status")
  has "$status" '^Uid:	20001	20001	20001	20001$'
  has "$status" '^Cap(Eff|Bnd):	0{16}$'
  has "$status" '^NoNewPrivs:	1$'
}

@test "compose.yaml: down and up keeps the CA" {
  local ca
  compose_up
  ca=$(podman exec $APPLICATION cat /opt/opensandbox/ca/mitmproxy-ca-cert.pem)
  compose down
  compose_up
  same CA "$ca" "$(podman exec $APPLICATION cat /opt/opensandbox/ca/mitmproxy-ca-cert.pem)"
  container_intercepted $APPLICATION
}
