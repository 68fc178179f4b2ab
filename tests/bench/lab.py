"""Namespaces, volumes, processes and clocks for the benchmarks.

The driver itself goes into a fresh network namespace (of its only thread), and
what it starts is there, too. Such a namespace has no name: it is gone with the
last process in it.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(os.environ["ROOT"])
BUILD = pathlib.Path(os.environ["BUILD"])
VOLUMES = pathlib.Path(os.environ["VOLUMES"])
PREFIX = "OPENSANDBOX_EGRESS_"
MITM_UID = int(os.environ["MITM_UID"])
HEALTH_UID = int(os.environ["HEALTH_UID"])
MITMDUMP = os.environ["MITMDUMP"]
HEALTH_PORT, PROXY_PORT = 18080, 18081
CLONE_NEWNET = 0x40000000

quick = os.environ["ROUNDS"] == "1"
libc = ctypes.CDLL(None, use_errno=True)


def by_launcher():
    """What stands in front of mitmdump's path to have it forked by launch.py."""
    return [sys.executable, str(ROOT / "tests/lib/launched.py"), str(ROOT / "mitmscripts/launch.py")]


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def in_namespace(name=None):
    """Be in the namespace of that name, or in a fresh one, and come back."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if name:
            with open(f"/run/netns/{name}", "rb") as there:
                check(libc.setns(there.fileno(), CLONE_NEWNET))
        else:
            check(libc.unshare(CLONE_NEWNET))
            bring_up_loopback()
        yield
    finally:
        check(libc.setns(before, CLONE_NEWNET))
        os.close(before)


def bring_up_loopback():
    for which in "all", "default":
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("0")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Volumes:
    """Confdir, export and state of one pod, and the environment that says so."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=VOLUMES))
        self.directory.chmod(0o755)
        self.confdir = self.directory / "confdir" / "mitmproxy"
        self.export = self.directory / "export" / "ca"
        for volume in self.confdir, self.export:
            volume.parent.mkdir()
            volume.parent.chmod(0o777)  # as Kubernetes makes an emptyDir
        self.environment = os.environ | {
            # Users of the bench alone, for whom no user database is to be asked.
            PREFIX + "MITMPROXY_USER": f"{MITM_UID}:{MITM_UID}",
            PREFIX + "HEALTHD_USER": f"{HEALTH_UID}:{HEALTH_UID}",
            PREFIX + "MITMPROXY_CONFDIR": str(self.confdir),
            PREFIX + "EXPORT_DIR": str(self.export),
            PREFIX + "STATE_FILE": str(self.directory / "state" / "state"),
            PREFIX + "MITMPROXY_UPSTREAM_TRUST_DIR": "/etc/ssl/certs",
            PREFIX + "MITMPROXY_SCRIPT": "",
        }

    def remove(self):
        shutil.rmtree(self.directory)


@contextlib.contextmanager
def volumes():
    ours = Volumes()
    try:
        yield ours
    finally:
        ours.remove()


def seconds(*commands, environment=None):
    """Run the commands one after the other and tell how long that took."""
    environment = environment or os.environ
    with tempfile.TemporaryFile(dir=VOLUMES) as output:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
        ]
        paths = [shutil.which(command[0]) or command[0] for command in commands]
        started = time.perf_counter()
        for path, command in zip(paths, commands):
            pid = os.posix_spawn(path, command, environment, file_actions=actions)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if status != 0:
                output.seek(0)
                sys.exit(f"{' '.join(command)}: status {status}: {output.read().decode()}")
        return time.perf_counter() - started


def milliseconds(*commands, environment=None):
    return seconds(*commands, environment=environment) * 1000


@contextlib.contextmanager
def running(command, environment=None, log=None):
    """A daemon: ended politely, then by force."""
    with open(log or os.devnull, "wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition, what, limit=60):
    """Poll every millisecond. Tells when it came true."""
    deadline = time.perf_counter() + limit
    while not condition():
        if time.perf_counter() > deadline:
            sys.exit(f"{what}: not within {limit} s")
        time.sleep(0.001)
    return time.perf_counter()


def listens(port):
    """Does anybody listen on that port in IPv4, here? Asks without a connection."""
    with open("/proc/thread-self/net/tcp", encoding="ascii") as sockets:
        return any(
            line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
            for line in sockets.readlines()[1:]
        )


def http_status(port=HEALTH_PORT, path="/healthz"):
    """The status with which loopback answers at the moment, 0 for none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = connection.recv(64)
    except OSError:
        return 0
    return int(answer[9:12] or b"0")


def is_healthy():
    return http_status() == 200


@contextlib.contextmanager
def ready_healthd(of):
    """The pod's order: setup, then healthd until it says 200. Gives its process."""
    seconds(["setup"], environment=of.environment)
    with running(["healthd"], of.environment, of.directory / "healthd.log") as process:
        wait_for(is_healthy, "healthd ready")
        yield process


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()


class Processes:
    """Those of a healthd, by what they are."""

    def __init__(self, healthd):
        (self.runner,) = children(healthd.pid)
        below = {pid: name_of(pid) for pid in children(self.runner)}
        self.workers = [pid for pid, name in below.items() if name == "mitmdump"]
        self.launcher = next(pid for pid, name in below.items() if name == "launcher")
        self.mitmproxy = [self.launcher, *self.workers]
        self.all = [healthd.pid, self.runner, *self.mitmproxy]


def processor_seconds(*pids):
    """User and system time of these processes."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
