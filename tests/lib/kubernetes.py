#!/usr/bin/env python3
"""What the tests do with manifests.

    kubernetes.py without-native-sidecars FILE
        print the manifest as podman can play it, which knows no native sidecars: those
        initContainers that have a restartPolicy become containers, the first ones, without it,
        and kinds that are not Kubernetes' own are left out. The difference goes to standard error.
    kubernetes.py environment FILE
        print the variables of egress and application, in a manifest or a file of compose
    kubernetes.py get FILE KIND EXPRESSION
        evaluate a Python expression with `it` as the manifest of that kind, print the result
"""

import difflib
import sys

import yaml


def load(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


class Plain(yaml.SafeDumper):
    """Writes what anchors share as often as it is used."""

    def ignore_aliases(self, data):
        return True


def dump(documents):
    return yaml.dump_all(documents, Dumper=Plain, sort_keys=False)


def without_native_sidecars(documents):
    documents = [document for document in documents if document["apiVersion"] in ("v1", "apps/v1")]
    for document in documents:
        spec = document["spec"]
        sidecars = [each for each in spec["initContainers"] if "restartPolicy" in each]
        for sidecar in sidecars:
            spec["initContainers"].remove(sidecar)
            del sidecar["restartPolicy"]
        spec["containers"] = sidecars + spec["containers"]
    return documents


def environments(document):
    """Pairs of a container's name and its variables."""
    if "services" in document:
        for name, service in document["services"].items():
            yield name, service["environment"]
        return
    spec = document["spec"]
    spec = spec.get("template", {}).get("spec", spec)
    for container in spec.get("initContainers", []) + spec.get("containers", []):
        if container["name"] in ("egress", "application"):
            yield container["name"], {each["name"]: each["value"] for each in container["env"]}


def main():
    command, path, *rest = sys.argv[1:]
    documents = load(path)
    if command == "environment":
        pairs = [pair for document in documents for pair in environments(document)]
        print(*sorted(f"{name} {key}={value}" for name, variables in pairs for key, value in variables.items()), sep="\n")
        return
    if command == "get":
        kind, expression = rest
        (it,) = [document for document in documents if document["kind"] == kind]
        print(eval(expression, {"it": it}))  # pylint: disable=eval-used # the tests' own
        return
    before = dump(documents)
    after = dump(without_native_sidecars(documents))
    sys.stderr.writelines(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), path, "played")
    )
    sys.stdout.write(after)


main()
