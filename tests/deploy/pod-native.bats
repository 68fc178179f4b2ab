#!/usr/bin/env bats
# Pods with a native sidecar: deploy/kubernetes/pod.yaml and ca-secret.yaml. podman knows no
# native sidecars, so one mechanical step comes before, whose difference is printed.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/container.sh"

MANIFESTS=$ROOT/deploy/kubernetes

setup_file() { suite_up; images_up; }
setup() { node_up; }
teardown() { node_down; }

@test "pod.yaml: intercepted by a sidecar without root and capabilities; ends on SIGTERM" {
  play_native "$MANIFESTS/pod.yaml" intercepted
  unprivileged intercepted-egress 10042
  unprivileged intercepted-egress 10042 'mitmdump .*transparent'
  unprivileged intercepted-application 20001
  container_intercepted intercepted-application
  # What the export says is what the manifest says.
  # shellcheck disable=SC2016 # the container's shell
  attempt podman exec intercepted-application sh -c '
    while IFS= read -r line; do
      name=${line%%=*}
      eval "value=\$$name"
      [ "$line" = "$name=$value" ] || echo "differs: $line"
    done </opt/opensandbox/ca/trust.env'
  same trust.env '' "$OUTPUT"
  podman stop --time 20 intercepted-egress
  same status 'exited 0' "$(container_status intercepted-egress)"
}

@test "a Job-like pod: the sidecar alone is restarted, so the application's end ends the pod" {
  local manifest
  for manifest in pod ca-secret; do
    attempt "$TOOLS/bin/python3" "$ROOT/tests/lib/kubernetes.py" get "$MANIFESTS/$manifest.yaml" Pod \
      'it["spec"]["restartPolicy"], [each["name"] for kind in ("initContainers", "containers") for each in it["spec"][kind] if each.get("restartPolicy") == "Always"], [each["name"] for each in it["spec"]["containers"]]'
    same "$manifest" "('Never', ['egress'], ['application'])" "$OUTPUT"
  done
}

@test "ca-secret.yaml: the CA of the Secret, which only the init container sees" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 300 -subj '/O=egress/CN=egress' \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$LAB/tls.key" -out "$LAB/tls.crt" 2>"$LAB/openssl.log"
  # The Secret that cert-manager would make of the Certificate. Straight into podman's store, for its
  # `kube play` does not decode the data of one.
  printf 'data:\n  tls.crt: |\n%s\n  tls.key: |\n%s\n' "$(sed 's/^/    /' "$LAB/tls.crt")" "$(sed 's/^/    /' "$LAB/tls.key")" |
    podman secret create egress-ca -
  play_native "$MANIFESTS/ca-secret.yaml" intercepted-by-own-ca
  container_intercepted intercepted-by-own-ca-application https://shop.example.test/ 'CN=egress'
  same CA "$(fingerprint "$LAB/tls.crt")" \
    "$(podman exec intercepted-by-own-ca-application cat /opt/opensandbox/ca/mitmproxy-ca-cert.pem | fingerprint)"
  denied 'No such file' intercepted-by-own-ca-egress ls /ca
  denied 'No such file' intercepted-by-own-ca-application ls /ca
}
