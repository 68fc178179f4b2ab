#!/usr/bin/env bats
# What stands in deploy/ and in the Dockerfile, without running it.

source "$BATS_TEST_DIRNAME/../lib/suite.sh"
source "$ROOT/tests/lib/container.sh"

KUBERNETES=$ROOT/deploy/kubernetes
MANIFESTS=("$KUBERNETES"/{pod,sidecar-classic,ca-secret}.yaml)

setup() {
  need "$TOOLS/bin/kubernetes-validate"
  WORK=$(mktemp -d)
}
teardown() {
  [[ -z ${WORK-} ]] || rm -r "$WORK"
  lab_down
}

# Against the schema of a Kubernetes version, strictly. (cert-manager's kinds have none here.)
valid() {
  "$TOOLS/bin/python3" - "$2" >"$WORK/kubernetes.yaml" <<'EOF'
import sys, yaml
with open(sys.argv[1]) as file:
    documents = [each for each in yaml.safe_load_all(file) if "cert-manager" not in each["apiVersion"]]
assert documents
print(yaml.safe_dump_all(documents))
EOF
  "$TOOLS/bin/kubernetes-validate" --strict --kubernetes-version "$1" "$WORK/kubernetes.yaml"
}

# Somebody's Deployment with the component: prints the result.
with_component() {
  mkdir -p "$WORK/shop"
  cp -r "$KUBERNETES/component" "$WORK/"
  cat >"$WORK/shop/deployment.yaml" <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
spec:
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec:
      volumes: [{ name: data, emptyDir: {} }]
      initContainers: [{ name: migrate, image: example/shop }]
      containers:
        - name: application
          image: example/shop
          env: [{ name: COLOUR, value: green }]
          volumeMounts: [{ name: data, mountPath: /data }]
EOF
  printf 'resources: [deployment.yaml]\ncomponents: [../component]\n' >"$WORK/shop/kustomization.yaml"
  "$TOOLS/bin/kustomize" build "$WORK/shop"
}

# The variables of egress and application, one a line.
environment() { "$TOOLS/bin/python3" "$ROOT/tests/lib/kubernetes.py" environment "$1"; }

@test "every manifest is what the schema of Kubernetes says, and a wrong one is found" {
  local manifest version
  for manifest in "${MANIFESTS[@]}"; do
    for version in 1.29 1.37; do
      attempt valid $version "$manifest"
      [[ $STATUS == 0 ]] || fault "$manifest against $version: $OUTPUT"
    done
  done
  # The classic one is for older clusters.
  attempt valid 1.25 "$KUBERNETES/sidecar-classic.yaml"
  [[ $STATUS == 0 ]] || fault "1.25: $OUTPUT"
  sed 's/readOnlyRootFilesystem/readOnlyRootFileSystem/' "$KUBERNETES/pod.yaml" >"$WORK/wrong.yaml"
  attempt valid 1.29 "$WORK/wrong.yaml"
  [[ $STATUS != 0 ]] || fault 'a misspelt field is not found'
  no_faults
}

@test "certs/ over /etc/ssl/certs: the line that each manifest has in a comment" {
  local file
  cp -r "$KUBERNETES" "$WORK/kubernetes"
  for file in {pod,sidecar-classic,ca-secret,component/application}.yaml; do
    sed -i 's,# \(- { name: export\, mountPath: /etc/ssl/certs\),\1,' "$WORK/kubernetes/$file"
    has "$(<"$WORK/kubernetes/$file")" '^ *- { name: export, mountPath: /etc/ssl/certs, subPath: ca/certs, readOnly: true }' || fault "$file"
  done
  for file in {pod,sidecar-classic,ca-secret}.yaml; do
    attempt valid 1.29 "$WORK/kubernetes/$file"
    [[ $STATUS == 0 ]] || fault "$file"
  done
  no_faults
}

@test "least privilege, probes, volumes and images in every manifest" {
  with_component >"$WORK/component.yaml"
  attempt "$TOOLS/bin/python3" "$ROOT/tests/lib/manifests.py" "$IMAGE" "${MANIFESTS[@]}" "$WORK/component.yaml"
  [[ $STATUS == 0 ]]
  same faults '' "$OUTPUT"
  sed 's/add: \[NET_ADMIN/add: [SYS_ADMIN, NET_ADMIN/; s/readOnly: true/readOnly: false/' "$KUBERNETES/pod.yaml" >"$WORK/wrong.yaml"
  attempt "$TOOLS/bin/python3" "$ROOT/tests/lib/manifests.py" "$IMAGE" "$WORK/wrong.yaml"
  has "$OUTPUT" 'setup: capabilities'
  has "$OUTPUT" 'sidecar: mounts'
  has "$OUTPUT" 'application: mounts'
}

@test "the component adds everything to a Deployment, and takes nothing from it" {
  with_component >"$WORK/component.yaml"
  attempt valid 1.29 "$WORK/component.yaml"
  [[ $STATUS == 0 ]]
  attempt "$TOOLS/bin/python3" "$ROOT/tests/lib/kubernetes.py" get "$WORK/component.yaml" Deployment \
    '[[each["name"] for each in it["spec"]["template"]["spec"][kind]] for kind in ("initContainers", "containers", "volumes")]'
  same parts "[['egress-setup', 'egress', 'migrate'], ['application'], ['confdir', 'state', 'export', 'data']]" "$OUTPUT"
  has "$(<"$WORK/component.yaml")" 'name: COLOUR'
  has "$(<"$WORK/component.yaml")" 'mountPath: /data'
}

@test "the same environment everywhere: pod, component, compose" {
  local expected
  expected=$(environment "$KUBERNETES/pod.yaml")
  has "$expected" "^egress ${P}MITMPROXY_TRANSPARENT=true$"
  has "$expected" '^application SSL_CERT_FILE='
  with_component >"$WORK/component.yaml"
  same component "$expected" "$(environment "$WORK/component.yaml" | grep -v '=green$')"
  same classic "$expected" "$(environment "$KUBERNETES/sidecar-classic.yaml")"
  same compose "$expected" "$(environment "$ROOT/deploy/compose.yaml")"
  same ca-secret "$expected" "$(environment "$KUBERNETES/ca-secret.yaml" | grep -v MITMPROXY_CA_DIR)"
}

@test "what applications are told is what setup exports: pod.yaml, and the table in docs/clients.md" {
  lab_up
  with EXPORT_MOUNT=/opt/opensandbox/ca setup prepare
  same pod.yaml "$(sed 's/^/application /' "$EXPORT/trust.env" | sort)" \
    "$(environment "$KUBERNETES/pod.yaml" | grep '^application ')"
  same docs/clients.md "$(cut -d= -f1 "$EXPORT/trust.env")" \
    "$(grep -oE "^. .[A-Z0-9_]+. . " "$ROOT/docs/clients.md" | tr -cd "A-Z0-9_\n")"
}

@test "compose.yaml: the images and capabilities of the pods" {
  attempt "$TOOLS/bin/python3" -c '
import sys, yaml
services = yaml.safe_load(open(sys.argv[1]))["services"]
for name in ("egress", "application"):
    it = services[name]
    print(name, it["image"], *it["cap_drop"], "+", *it.get("cap_add", []), it["read_only"])' "$ROOT/deploy/compose.yaml"
  same compose "egress $IMAGE ALL + NET_ADMIN NET_RAW CHOWN SETUID SETGID True
application $APPLICATION_IMAGE ALL + True" "$OUTPUT"
}

@test "hadolint finds nothing in the Dockerfile" {
  attempt "$TOOLS/bin/hadolint" --no-color --ignore DL3008 "$ROOT/Dockerfile"
  same hadolint '' "$OUTPUT"
}

@test "the README's sections are these files" {
  local file
  for file in pod.yaml sidecar-classic.yaml ca-secret.yaml component compose.yaml; do
    grep -qE "deploy/(kubernetes/)?$file" "$ROOT/README.md" || fault "$file is not in the README"
  done
  lacks "$(<"$ROOT/README.md")" '^ *initContainers:' || fault 'a manifest of its own'
  no_faults
}
