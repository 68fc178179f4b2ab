#!/usr/bin/env python3
"""Checks what must be so in a manifest with our two containers: manifests.py IMAGE FILE...

Prints what is wrong. Documents that are not pods and have no pod template are passed over.
"""

import sys

import yaml

CAPABILITIES = ["NET_ADMIN", "NET_RAW", "CHOWN", "SETUID", "SETGID"]
TRUST = "/opt/opensandbox/ca/merged-ca-certificates.pem"


def pod_of(document):
    if document["kind"] == "Pod":
        return document["spec"]
    return document.get("spec", {}).get("template", {}).get("spec")


def mounts(container):
    return {each["name"]: each.get("readOnly", False) for each in container["volumeMounts"]}


def security_faults(pod, container):
    """What holds for setup and sidecar alike."""
    security = container["securityContext"]
    seccomp = security.get("seccompProfile") or pod.get("securityContext", {}).get("seccompProfile")
    if seccomp != {"type": "RuntimeDefault"}:
        yield "seccomp"
    if security["allowPrivilegeEscalation"] or not security["readOnlyRootFilesystem"]:
        yield "may escalate, or write to its root"
    if security["capabilities"]["drop"] != ["ALL"]:
        yield "does not drop all capabilities"
    if set(container["resources"]) != {"requests", "limits"}:
        yield "resources"


def setup_faults(container):
    if container["args"] != ["setup"]:
        yield "arguments"
    if container["securityContext"]["capabilities"]["add"] != CAPABILITIES:
        yield "capabilities"


def sidecar_faults(container, setup):
    security = container["securityContext"]
    if container["args"] != ["healthd"]:
        yield "arguments"
    if "add" in security["capabilities"] or (security["runAsUser"], security["runAsNonRoot"]) != (10042, True):
        yield "is privileged"
    if not {"readinessProbe", "livenessProbe"} < set(container):
        yield "probes"
    if not {"startupProbe", "lifecycle"} & set(container):
        yield "nothing holds the application back"
    if mounts(container) != {"confdir": True, "state": False}:
        yield "mounts"
    if container["env"] != setup["env"]:
        yield "another environment than setup"


def application_faults(container):
    if mounts(container).get("export") is not True or {"confdir", "state", "ca"} & set(mounts(container)):
        yield "mounts"
    environment = {each["name"]: each["value"] for each in container["env"]}
    if environment["SSL_CERT_FILE"] != TRUST:
        yield "does not trust the bundle"
    if container["securityContext"].get("runAsUser") == 10042:
        yield "runs as the mitmproxy user"


def faults(pod, image):
    containers = {each["name"]: each for each in pod["initContainers"] + pod["containers"]}
    setup, sidecar = containers["egress-setup"], containers["egress"]
    if pod["initContainers"][0] is not setup:
        yield "setup is not the first"
    for volume in pod["volumes"]:
        if volume["name"] in ("confdir", "state") and volume["emptyDir"]["medium"] != "Memory":
            yield f"{volume['name']} is not in memory"
    for container in (setup, sidecar):
        if container["image"] != image:
            yield f"image {container['image']}, not {image}"
        for fault in security_faults(pod, container):
            yield f"{container['name']}: {fault}"
    for name, found in (
        ("setup", setup_faults(setup)),
        ("sidecar", sidecar_faults(sidecar, setup)),
        ("application", application_faults(containers["application"])),
    ):
        for fault in found:
            yield f"{name}: {fault}"


def main():
    image, *paths = sys.argv[1:]
    for path in paths:
        with open(path, encoding="utf-8") as file:
            pods = [pod_of(document) for document in yaml.safe_load_all(file) if document]
        if not any(pods):
            print(f"{path}: no pod")
        for pod in filter(None, pods):
            for fault in faults(pod, image):
                print(f"{path}: {fault}")


main()
