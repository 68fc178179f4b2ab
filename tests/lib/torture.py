"""Faults at random, against the real thing, and a witness who checks every 200.

Usage: torture.py SECONDS SEED HEALTHD DIRECTORY, in the pod, as root, with the environment that
setup and healthd have. DIRECTORY is for the log and for a small file system in memory with the
state file. healthd is started again whenever it ends, as a container would be. A round is some
seconds of many faults, or one fault alone that lasts until healthd must have seen it; then calm:
everything is put right, and it must be ready within READY seconds.

Prints the seed, faults and figures; status 1 if a 200 was not true, if a probe was not answered,
if it was not ready again in time, or did not end as it should.
"""

import collections
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

from witness import Witness, children, process_state

PREFIX = "OPENSANDBOX_EGRESS_"
READY = 5.0  # not counting what mitmdump itself takes to start beyond a second
CPUS = len(os.sched_getaffinity(0))
ROUND = 9.0
OTHER_UID = 20002
HEALTH, PROXY = ("127.0.0.1", 18080), 18081
APPLICATIONS = {"": ("203.0.113.10", 80), "6": ("2001:db8::16", 80)}

duration, seed, healthd_path, directory = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
families = ("", "6") if os.environ["IPV6"] == "1" else ("",)
volume = directory + "/volume"
state = os.environ[PREFIX + "STATE_FILE"] = volume + "/run/state"
ca = os.environ[PREFIX + "MITMPROXY_CONFDIR"] + "/mitmproxy-ca.pem"
chance = random.Random(seed)
wanted = int(os.environ.get(PREFIX + "MITMPROXY_WORKERS", "1"))
witness = Witness(PROXY, state, ca, families, wanted)
log = open(directory + "/torture.log", "ab")
problems, counts, exits = [], collections.Counter(), collections.Counter()
reasons, recoveries = collections.Counter(), []
running, alone = True, False


def problem(text):
    problems.append(text)
    print("PROBLEM after %.1f s: %s" % (time.monotonic() - begun, text), flush=True)


def setup(*arguments):
    succeeded = subprocess.run(["setup", *arguments], stdout=log, stderr=log, check=False).returncode == 0
    if not succeeded:
        witness.accept_a_moment_of_rules()
    return succeeded


def kill(pid, what):
    try:
        if pid:
            os.kill(pid, what)
    except ProcessLookupError:
        pass


# What stands around healthd: the container's restart, a prober, an application.


def keep_healthd():
    while running:
        process = subprocess.Popen([healthd_path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        witness.healthd = process.pid
        process.wait()
        witness.healthd = None
        exits[process.returncode] += 1
        left = [pid for pid in (witness.runner, witness.launcher, *witness.workers) if pid]
        threading.Thread(target=watch_the_end, args=(left, process.returncode)).start()


def watch_the_end(pids, status):
    """What healthd has started must end without it, though mitmdump may take its five seconds."""
    deadline = time.monotonic() + 7
    while any(process_state(pid) not in "XZ" for pid in pids):
        if time.monotonic() > deadline:
            problem(f"healthd ended ({status}) and left some of {pids} behind")
            return
        time.sleep(0.02)


def probe():
    """Code and reason; None if nobody listens, or who listened was ended meanwhile."""
    asked, pid = time.monotonic(), witness.healthd
    try:
        with socket.create_connection(HEALTH, timeout=1) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
    except TimeoutError:
        if pid and process_state(pid) == "S" and witness.healthd == pid:
            problem("a probe was not answered within a second")
        return None, ""
    except OSError:
        return None, ""
    if not answer:
        return None, ""
    code, body = answer[9:12], answer.partition(b"\r\n\r\n")[2]
    reason = body.decode("utf-8", "replace").strip()
    if "\ufffd" in reason:
        problem("an answer that is no UTF-8: %r" % body)
    if code == b"200":
        witness.was_told(asked, time.monotonic())
    return code, reason


def keep_probing():
    while running:
        code, reason = probe()
        counts[code.decode() if code else "none"] += 1
        if code == b"503":
            reasons["".join("N" if c.isdigit() else c for c in reason[:76])] += 1
        time.sleep(0.02)


def application():
    """New connections all the time: what hangs has somebody waiting."""
    held = collections.deque()
    while running:
        family = chance_of_application.choice(families)
        client = socket.socket(socket.AF_INET6 if family else socket.AF_INET)
        client.setblocking(False)
        client.connect_ex(APPLICATIONS[family])
        held.append(client)
        if len(held) > 12:
            held.popleft().close()
        time.sleep(0.15)


# The faults. Each is a generator that does harm and yields until when that shall last; then it
# puts right what it did. What it needs for itself stands in FAULTS below.


def span(least, most):
    return most if alone else chance.uniform(least, most)


def any_worker():
    workers_now = list(witness.workers)
    return chance.choice(workers_now) if workers_now else 0


def kill_mitmdump():
    kill(any_worker(), chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
    yield 0.5


def stop_mitmdump():
    pid = any_worker()
    kill(pid, signal.SIGSTOP)
    # Now and then long enough for a restart.
    yield 40 if duration > 120 and chance.random() < 0.1 else span(0.3, 9)
    kill(pid, signal.SIGCONT)


def kill_runner():
    kill(witness.runner, signal.SIGKILL)
    yield 0.5


def stop_runner():
    pid = witness.runner
    kill(pid, signal.SIGSTOP)
    if chance.random() < 0.5:
        kill(any_worker(), signal.SIGKILL)
    yield span(0.2, 9)
    kill(pid, signal.SIGCONT)


def kill_launcher():
    kill(witness.launcher, chance.choice((signal.SIGKILL, signal.SIGTERM)))
    yield 0.5


def stop_launcher():
    pid = witness.launcher
    kill(pid, signal.SIGSTOP)
    yield span(0.3, 9)
    kill(pid, signal.SIGCONT)


def kill_healthd():
    kill(witness.healthd, signal.SIGKILL)
    yield 0.5


def end_healthd():
    pid, asked = witness.healthd, time.monotonic()
    kill(pid, chance.choice((signal.SIGTERM, signal.SIGINT)))
    before = exits[0]
    while witness.healthd == pid and time.monotonic() < asked + 7:
        yield 0.05
    if witness.healthd == pid:
        problem("healthd runs 7 s after SIGTERM")
        kill(pid, signal.SIGKILL)
    elif pid and exits[0] == before:
        problem(f"healthd did not end with 0 after SIGTERM: {dict(exits)}")


def signal_healthd():
    pid = chance.choice((witness.healthd, witness.runner))
    kill(pid, chance.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH)))
    yield 0.2


def spoil_state():
    whole = open(state, "rb").read() if os.path.isfile(state) else b""
    try:
        how = chance.choice(("gone", "gone", "empty", "torn", "noise", "large", "other version", "pipe", "link", "not ready"))
        if how in ("gone", "pipe", "link"):
            os.unlink(state)
        if how == "pipe":
            os.mkfifo(state, 0o666)
        elif how == "link":
            os.symlink("/etc/hostname", state)
        elif how != "gone":
            with open(state, "wb") as file:
                file.write(
                    {
                        "empty": b"",
                        "torn": whole[: chance.randrange(len(whole) + 1)],
                        "noise": chance.randbytes(700),
                        "large": whole + b"\0" * 20000,
                        "other version": whole.replace(b"version=1", b"version=7"),
                        "not ready": whole.replace(b"setup.state=ready", b"setup.state=running"),
                    }[how]
                )
    except OSError:
        pass  # full, or read-only
    yield span(0.1, 3)
    while not set_up():
        yield 0.3


def set_up():
    """What the operator does. (It fails while the disk is full.)"""
    if not setup():
        return False
    witness.accept_as_good()
    return True


def spoil_rules():
    family, name = chance.choice(witness.tables())
    saved = subprocess.run([f"ip{family}tables-legacy-save", "-t", name], capture_output=True, check=True).stdout
    change = chance.choice((["-F"], ["-F", "OUTPUT"], ["-F", "OPENSANDBOX_EGRESS"], ["-D", "OUTPUT", "-j", "OPENSANDBOX_EGRESS"]))
    subprocess.run([f"ip{family}tables-legacy", "-w", "-t", name, *change], stdout=log, stderr=log, check=False)
    yield span(0.5, 13)
    if chance.random() < 0.5:
        subprocess.run([f"ip{family}tables-legacy-restore"], input=saved, stdout=log, stderr=log, check=False)
    else:
        while not setup("redirect"):
            yield 0.3


def fill_disk():
    try:
        with open(volume + "/hog", "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
    except OSError:
        pass
    yield chance.uniform(0.5, 6)
    if os.path.exists(volume + "/hog"):
        os.unlink(volume + "/hog")


def forbid_writing():
    remount("ro")
    yield chance.uniform(0.5, 6)
    remount("rw")


def remount(how):
    subprocess.run(["mount", "-o", "remount," + how, volume], stdout=log, stderr=log, check=False)


def spoil_ca():
    shutil.copy2(ca, ca + ".aside")
    if chance.random() < 0.5:
        os.unlink(ca)
    else:
        with open(ca, "ab") as file:
            file.write(b"# not what setup has checked\n")
    yield span(0.3, 5)
    shutil.chown(ca + ".aside", 10042, 10042)
    os.rename(ca + ".aside", ca)


def replace_ca():
    os.unlink(ca)
    while not setup():
        yield 0.3
    witness.ca_changed = time.monotonic()
    witness.accept_as_good()
    yield 0.5


def take_port():
    """Kill mitmdump, and have its port before the next one."""
    thief = subprocess.Popen(
        ["setpriv", f"--reuid={OTHER_UID}", f"--regid={OTHER_UID}", "--clear-groups", sys.executable, "-c", THIEF],
        stdin=subprocess.PIPE, stdout=log, stderr=log,
    )  # fmt: skip
    yield 0.3
    kill(any_worker(), signal.SIGKILL)
    yield chance.uniform(1, 4)
    thief.stdin.close()
    thief.wait()


THIEF = f"""
import select, socket, sys, time
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        held = socket.create_server(("127.0.0.1", {PROXY}))
        sys.stdin.read()
    except OSError:
        time.sleep(0.001)
"""

# Fault, how often, and what it needs for itself.
FAULTS = (
    (kill_mitmdump, 4, "mitmdump"),
    (stop_mitmdump, 4, "mitmdump"),
    (take_port, 1, "mitmdump"),
    (kill_launcher, 2, "launcher"),
    (stop_launcher, 2, "launcher"),
    (kill_runner, 1, "healthd"),
    (stop_runner, 2, "healthd mitmdump ca"),  # what only the runner sees has to wait
    (kill_healthd, 1, "healthd"),
    (end_healthd, 1, "healthd"),
    (signal_healthd, 2, "healthd"),
    (spoil_state, 4, "state ca"),
    (spoil_rules, 4, "rules"),
    (fill_disk, 2, "disk"),
    (forbid_writing, 1, "disk"),
    (spoil_ca, 2, "ca"),
    (replace_ca, 1, "ca state"),
)


# What does not end a process, so that healthd must find it out.
QUIET = (spoil_rules, spoil_rules, stop_mitmdump, spoil_ca, spoil_state, stop_runner)


class Harm:
    """A fault that goes on."""

    def __init__(self, fault, needs):
        self.steps, self.needs, self.name = fault(), set(needs.split()), fault.__name__
        self.step()

    def step(self):
        """False when it is over."""
        try:
            self.until = time.monotonic() + next(self.steps)
            return True
        except StopIteration:
            return False


def harm(seconds):
    """A round of faults, then the end of all of them."""
    active, deadline, following = [], time.monotonic() + seconds, 0.0
    resting = {}  # what was needed by a fault is left alone for a second, or nobody would see it well
    while time.monotonic() < deadline or active:
        now = time.monotonic()
        if now > deadline + 20:
            problem("faults do not end: " + " ".join(one.name for one in active))
            return
        for one in [one for one in active if one.until <= now or (now > deadline and one.until - now > 1)]:
            if not one.step():
                active.remove(one)
                resting.update((need, now + 1) for need in one.needs)
        busy = set().union(*(one.needs for one in active)) | {need for need, until in resting.items() if until > now}
        if following <= now < deadline:
            following = now + chance.expovariate(1.2)
            fault, _, needs = chance.choices(FAULTS, [weight for _, weight, _ in FAULTS])[0]
            if not busy & set(needs.split()):
                counts["fault " + fault.__name__] += 1
                active.append(Harm(fault, needs))
        time.sleep(0.02)


def harm_alone():
    """One fault, which nothing else hides, to its end."""
    global alone
    fault = chance.choice(QUIET)
    counts["alone " + fault.__name__] += 1
    alone = True
    one = Harm(fault, "")
    while one.until > time.monotonic() or one.step():
        time.sleep(0.02)
    alone = False


def recover():
    """All faults have ended: setup runs once more, then it must be ready by itself."""
    if not set_up():
        problem("setup fails although nothing is wrong")
    started = time.monotonic()
    while time.monotonic() < started + READY + 25:
        code, reason = probe()
        # A new CA, for one, need not have been noticed yet.
        if code == b"200" and not witness.wrong_now():
            break
        time.sleep(0.02)
    took = time.monotonic() - started
    starts = witness.starts_since(started)
    recoveries.append(took)
    if took - sum(max(0, start - 1) for start in starts) > READY * overload():
        problem(
            "ready only %.1f s after the faults (mitmdump started in %s): %s, %s"
            % (took, " and ".join("%.1f s" % start for start in starts), reason, witness.wrong_now())
        )
    time.sleep(0.7)
    if witness.is_blind() or not all(worker.is_alive() for worker in workers):
        problem("the witness does not look, or nobody asks")
    if witness.wrong_now():
        problem(f"ready, but {witness.wrong_now()}")


def overload():
    """How many times what is usual this machine has to do: more than two for each processor are ready to run."""
    return max(1, os.getloadavg()[0] / CPUS / 2)


def prepare():
    os.mkdir(volume)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "torture", volume], check=True)
    if not setup():
        sys.exit("setup failed")
    witness.accept_as_good()
    witness.accept_rules_as_good()


def finish(threads):
    global running
    running = False
    pid, asked = witness.healthd, time.monotonic()
    kill(pid, signal.SIGTERM)
    threads[0].join(8)
    if threads[0].is_alive():
        problem("healthd does not end")
    print("the last healthd ended after %.1f s" % (time.monotonic() - asked))
    witness.running = False
    for thread in witness.threads + threads[1:]:
        thread.join(5)
    if children(os.getpid()):
        problem(f"left: {children(os.getpid())}")


def say():
    faults = {name[6:]: number for name, number in counts.items() if name.startswith("fault ")}
    alone = {name[6:]: number for name, number in counts.items() if name.startswith("alone ")}
    print("alone: " + ", ".join("%s %d" % item for item in sorted(alone.items())))
    print("faults: %d (%s)" % (sum(faults.values()), ", ".join("%s %d" % item for item in sorted(faults.items()))))
    print("probes: %d answered 200, %d 503, %d not (healthd not there)" % (counts["200"], counts["503"], counts["none"]))
    print("healthd ended: %s" % ", ".join("status %d: %d" % item for item in sorted(exits.items())))
    print(
        "ready after faults: %d times, median %.2f s, slowest %.2f s"
        % (len(recoveries), statistics.median(recoveries), max(recoveries))
    )
    for reason, number in reasons.most_common(12):
        print("  %5d x %s" % (number, reason))
    for fact in sorted({fact for fact, _, _ in witness.lies}):
        told = [(seconds, detail) for lie, seconds, detail in witness.lies if lie == fact]
        print("LIE: 200, %d times, up to %.1f s after this went wrong: %s: %s" % (len(told), max(told)[0], fact, max(told)[1]))
    print("lies: %d, problems: %d" % (len(witness.lies), len(problems)))


chance_of_application = random.Random(seed)
begun = time.monotonic()
print("seed", seed, flush=True)
prepare()
witness.start()
workers = [threading.Thread(target=work, daemon=True) for work in (keep_healthd, keep_probing, application)]
for worker in workers:
    worker.start()
recover()
while time.monotonic() < begun + duration:
    harm(min(ROUND, max(2, begun + duration - time.monotonic())))
    recover()
    harm_alone()
    recover()
finish(workers)
say()
sys.exit(bool(problems or witness.lies))
