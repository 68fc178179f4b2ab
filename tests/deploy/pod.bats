#!/usr/bin/env bats
# A pod as deploy/kubernetes/sidecar-classic.yaml has it, unchanged, played by podman.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/container.sh"

MANIFEST=$ROOT/deploy/kubernetes/sidecar-classic.yaml
SIDECAR=intercepted-egress APPLICATION=intercepted-application

setup_file() {
  suite_up
  images_up
  node_for_file
  play "$MANIFEST" intercepted
}
teardown_file() { node_down; suite_down; }

# What must stay the same: the CA that is exported, and the rules.
ca_and_rules() {
  podman exec $APPLICATION cat /opt/opensandbox/ca/mitmproxy-ca-cert.pem
  container_rules $SIDECAR
}

# The application's requests, one after the other: curl's status each, "0" when answered.
start_client() {
  podman exec $APPLICATION sh -c "
    for i in \$(seq 400); do
      curl -s -o /dev/null --max-time 5 -A $1 https://shop.example.test/ && echo 0 || echo \$?
      sleep 0.02
    done" </dev/null >"$LAB/client.log" 2>&1 &
  CLIENT=$!
  wait_until 10 client_saw 0
}
client_saw() { grep -qx "$1" "$LAB/client.log"; }
# answered_again LINES: an answer after the first so many lines
answered_again() { tail -n +"$(($1 + 1))" "$LAB/client.log" | grep -qx 0; }

@test "the application is intercepted, and verifies with mounted files alone" {
  # It asks from its first instruction, and again until the sidecar is there.
  wait_until 20 has_logged $APPLICATION '^X-OpenSandbox-Egress: 1' || { podman logs $APPLICATION; false; }
  container_intercepted $APPLICATION
  container_intercepted $APPLICATION https://example.com/
  attempt podman exec $APPLICATION curl -sS http://shop.example.test/
  has "$OUTPUT" '^X-OpenSandbox-Egress: 1'
  # Nothing in its image trusts the CA.
  attempt podman exec $APPLICATION env -u SSL_CERT_FILE -u SSL_CERT_DIR -u CURL_CA_BUNDLE curl -sS https://shop.example.test/
  [[ $STATUS == 60 || $STATUS == 77 ]]
}

@test "/healthz, by probe and from the node" {
  attempt podman exec $SIDECAR healthd --probe
  [[ $STATUS == 0 && $OUTPUT == ok ]]
  attempt podman exec $SIDECAR healthd --probe=livez
  [[ $STATUS == 0 ]]
  local address
  address=$(nsenter -t "$(container_pid $SIDECAR)" -n ip -4 -o address show dev eth0 | sed 's|.*inet \([0-9.]*\)/.*|\1|')
  attempt on_node curl -sS "http://$address:18080/healthz"
  [[ $OUTPUT == ok ]]
}

@test "sidecar and application: ordinary users, no capability, read-only roots" {
  unprivileged $SIDECAR 10042
  unprivileged $SIDECAR 10042 'mitmdump .*transparent'
  unprivileged $APPLICATION 20001
  local name
  for name in $SIDECAR $APPLICATION; do
    denied 'Read-only file system' --user 0 "$name" touch /file
  done
}

@test "what the sidecar may not" {
  local before
  before=$(container_rules $SIDECAR)
  denied 'needs CAP_NET_ADMIN' $SIDECAR setup redirect
  denied 'needs CAP_NET_ADMIN' $SIDECAR setup clear
  denied 'Operation not permitted' $SIDECAR python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)'
  denied 'Operation not permitted' $SIDECAR python3 -c 'import os; os.setuid(0)'
  denied 'Permission denied' $SIDECAR cat /etc/shadow
  denied 'No such file' $SIDECAR ls /export
  denied 'Read-only file system' $SIDECAR sh -c 'echo >/confdir/mitmproxy/config.yaml'
  denied 'Read-only file system' $SIDECAR rm /confdir/mitmproxy/mitmproxy-ca.pem
  denied 'Permission denied' $SIDECAR sh -c 'echo >>/opt/opensandbox/mitmscripts/add_header.py'
  denied 'Read-only file system' --user 0 $SIDECAR sh -c 'echo >>/opt/opensandbox/mitmscripts/add_header.py'
  # None of that has changed anything.
  same rules "$before" "$(container_rules $SIDECAR)"
  ready_within 10 $SIDECAR
  container_intercepted $APPLICATION
}

@test "what the application may not" {
  local key
  # Neither key nor state is in its file system.
  key=$(podman exec --user 0 $APPLICATION find / -xdev -name 'mitmproxy-ca.pem' -o -xdev -name state -path '*egress*' || true)
  same 'key or state' '' "$key"
  denied 'No such file' $APPLICATION cat /confdir/mitmproxy/mitmproxy-ca.pem
  denied 'No such file' $APPLICATION cat /state/egress/state
  denied 'Directory nonexistent' $APPLICATION sh -c 'echo x >/state/egress/state'
  denied 'Read-only file system' $APPLICATION sh -c 'echo x >/opt/opensandbox/ca/merged-ca-certificates.pem'
  denied 'Read-only file system' $APPLICATION mkdir /opt/opensandbox/mitmscripts
  denied 'Operation not permitted' $APPLICATION python3 -c 'import os; os.setuid(10042)'
  denied 'Operation not permitted' $APPLICATION python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)'
  # It sees no process of the sidecar.
  attempt podman exec $APPLICATION sh -c 'cat /proc/[0-9]*/cmdline'
  lacks "$OUTPUT" 'healthd|mitmdump'
}

@test "sidecar killed: refused meanwhile, then as before, with the same CA and rules" {
  local before lines restarted
  before=$(ca_and_rules)
  restarted=$(podman inspect --format '{{.State.StartedAt}}' $SIDECAR)
  start_client killed
  lines=$(wc -l <"$LAB/client.log")
  kill -KILL "$(container_pid $SIDECAR)"
  wait_until 20 client_saw 7
  ready_within 30 $SIDECAR
  lines=$(wc -l <"$LAB/client.log")
  wait_until 20 answered_again "$lines"
  kill "$CLIENT"
  wait "$CLIENT" || true
  [[ $(podman inspect --format '{{.State.StartedAt}}' $SIDECAR) != "$restarted" ]]
  same 'CA and rules' "$before" "$(ca_and_rules)"
  # Nothing got through unintercepted, and the client has tried.
  lacks "$(origin_saw 'agent="killed"')" 'egress="-"'
  container_intercepted $APPLICATION
}

@test "the sidecar ends on SIGTERM, quickly and with status 0" {
  local started took
  started=$(milliseconds)
  podman stop --time 20 $SIDECAR
  took=$(($(milliseconds) - started))
  echo "# stopped within $took ms" >&3
  ((took < 10000))
  same status 'exited 0' "$(container_status $SIDECAR)"
  attempt podman exec $APPLICATION curl -sS --max-time 5 https://shop.example.test/
  [[ $STATUS == 7 ]]
  podman start $SIDECAR
  ready_within 30 $SIDECAR
  container_intercepted $APPLICATION
}

@test "pod made anew with its volumes kept: stale state recognised, the same CA" {
  local ca
  ca=$(podman exec $APPLICATION cat /opt/opensandbox/ca/mitmproxy-ca-cert.pem)
  # podman removes an emptyDir with the pod, but for one that somebody else has as well.
  podman create --name keeper -v confdir:/confdir -v state:/state -v export:/export "$IMAGE" true
  podman pod stop --time 10 intercepted
  podman pod rm intercepted
  attempt podman volume ls
  has "$OUTPUT" 'confdir'
  has "$OUTPUT" 'state'
  # A sidecar alone, in a namespace where setup has not run.
  podman run -d --name stale --user 10042:10042 --cap-drop all -v confdir:/confdir:ro -v state:/state \
    -e ${P}MITMPROXY_TRANSPARENT=true -e ${P}MITMPROXY_CONFDIR=/confdir/mitmproxy \
    -e ${P}STATE_FILE=/state/egress/state "$IMAGE" healthd
  wait_until 10 says stale 'setup ran in another network namespace'
  podman rm -f --time 10 stale
  play "$MANIFEST" intercepted
  same CA "$ca" "$(podman exec $APPLICATION cat /opt/opensandbox/ca/mitmproxy-ca-cert.pem)"
  container_intercepted $APPLICATION
}
