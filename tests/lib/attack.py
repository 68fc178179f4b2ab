"""What a hostile mitmproxy user does, and the rounds in which setup has to bear it.

attack.py swap A B            exchange these two names, without a pause, until killed
attack.py follow DIRECTORY TO put a link to TO in the place of each new name in DIRECTORY
attack.py lock PATH...        hold a lock on each
attack.py rounds ...          see rounds()
"""

import argparse
import ctypes
import fcntl
import hashlib
import os
import stat
import subprocess
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_EXCHANGE = 2


def swap(first, second):
    first, second = os.fsencode(first), os.fsencode(second)
    while True:
        if libc.renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) != 0:
            time.sleep(0.001)


def follow(directory, target):
    while True:
        try:
            known = set(os.listdir(directory))
            break
        except OSError:
            time.sleep(0.001)
    count = 0
    while True:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name in known or name.endswith(".taken"):
                continue
            count += 1
            path = os.path.join(directory, name)
            try:
                os.rename(path, f"{path}.taken")
                os.symlink(target, path)
            except OSError:
                pass


def lock(paths):
    held = [os.open(path, os.O_RDONLY) for path in paths]
    for descriptor in held:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(1000)


def snapshot(vault):
    """All that must not change in the directory that is none of setup's business."""
    lines = []
    for directory, directories, names in os.walk(vault):
        for path in [directory] + [os.path.join(directory, name) for name in sorted(names)]:
            info = os.lstat(path)
            # Links to it come and go: their number is not compared.
            line = [path, stat.filemode(info.st_mode), info.st_uid, info.st_gid, info.st_ino]
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    line += [info.st_size, info.st_mtime_ns, hashlib.sha256(file.read()).hexdigest()]
            lines.append(" ".join(map(str, line)))
        directories.sort()
    return "\n".join(lines)


def leaks(places, vault, secrets, thorough):
    """Files below places, other than those of the vault, that hold a secret."""
    own = set()
    for directory, _, names in os.walk(vault):
        own |= {os.lstat(os.path.join(directory, name)).st_ino for name in names}
    found = []
    for place in places:
        for directory, directories, names in os.walk(place):
            # One file for each root of the system: a look now and then will do.
            if "certs" in directories and not thorough:
                directories.remove("certs")
            for name in names:
                path = os.path.join(directory, name)
                try:
                    info = os.lstat(path)
                    if not stat.S_ISREG(info.st_mode) or info.st_ino in own:
                        continue
                    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                    if os.fstat(descriptor).st_ino in own:
                        os.close(descriptor)
                        continue
                    with open(descriptor, "rb") as file:
                        content = file.read()
                except OSError:
                    continue
                if any(secret in content for secret in secrets):
                    found.append(path)
    return found


def rounds(arguments):
    """Run setup again and again while somebody attacks.

    After each round nothing in the vault may have changed, none of its secrets (the lines
    of the file --secrets) be in what setup wrote, and setup must have ended by itself:
    with an error, or with the certificate exported that it should export, which is, in
    turn, --expect (each a CA_DIR and a certificate, DIRECTORY:FILE, or :FILE without CA_DIR).
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int)
    parser.add_argument("--vault")
    parser.add_argument("--secrets")
    parser.add_argument("--expect", action="append")
    parser.add_argument("--export")
    parser.add_argument("--places", nargs="+")
    parser.add_argument("--limit", type=float, default=10)
    parser.add_argument("--command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    with open(options.secrets, "rb") as file:
        secrets = file.read().splitlines()
    before = snapshot(options.vault)
    statuses = {}
    wrong = 0
    slowest = 0
    messages = {}

    def fault(text):
        nonlocal wrong
        wrong += 1
        if wrong <= 10:
            print(f"WRONG: round {index}: {text}")

    for index in range(options.count):
        ca_dir, _, certificate = options.expect[index % len(options.expect)].partition(":")
        environment = dict(os.environ)
        environment.pop("OPENSANDBOX_EGRESS_MITMPROXY_CA_DIR", None)
        if ca_dir:
            environment["OPENSANDBOX_EGRESS_MITMPROXY_CA_DIR"] = ca_dir
        started = time.monotonic()
        try:
            done = subprocess.run(
                options.command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=options.limit
            )
        except subprocess.TimeoutExpired:
            fault(f"runs still after {options.limit} s")
            continue
        slowest = max(slowest, time.monotonic() - started)
        statuses[done.returncode] = statuses.get(done.returncode, 0) + 1
        output = done.stdout + done.stderr
        for line in output.decode(errors="replace").splitlines():
            if " error " in line:
                text = line.partition(" error ")[2]
                messages[text] = messages.get(text, 0) + 1
        if done.returncode not in (0, 1, 69, 77, 78):
            fault(f"status {done.returncode}: {output.decode(errors='replace')}")
        if any(secret in output for secret in secrets):
            fault("a secret is in the log")
        if done.returncode == 0 and certificate:
            # Nobody but root writes there, so it can be looked at when setup is done.
            with open(os.path.join(options.export, "mitmproxy-ca-cert.pem"), "rb") as file:
                exported = file.read()
            with open(certificate, "rb") as file:
                if exported.strip() != file.read().strip():
                    fault("status 0, and another certificate is exported")
        after = snapshot(options.vault)
        if after != before:
            fault("the vault has changed")
            sys.stdout.writelines(f"  {line}\n" for line in set(after.splitlines()) ^ set(before.splitlines()))
            before = after
        for path in leaks(options.places, options.vault, secrets, index % 20 == 0 or index + 1 == options.count):
            fault(f"a secret is in {path}")
    print(f"{options.count} rounds: {statuses} (status: times), slowest {slowest:.2f} s")
    for text, times in sorted(messages.items(), key=lambda item: -item[1])[:8]:
        print(f"  {times} times: {text[:160]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "swap":
        swap(*rest)
    elif what == "follow":
        follow(*rest)
    elif what == "lock":
        lock(rest)
    elif what == "rounds":
        sys.exit(rounds(rest))
