"""What a witness outside sees of the system, by his own means, and whether a 200 was true.

Facts are looked at again and again in /proc, in the kernel's tables of sockets and rules, and in
the files; healthd has no part in that. A fact is bad from the end of the first look that says so.
A 200 is a lie if something was bad for longer than healthd may take to notice (LATENCY) when it
was asked for, and was still bad at a look that began after the answer. What is said of one worker is
a fact of its own, (NAME, PID).
"""

import hashlib
import os
import stat
import subprocess
import threading
import time

# Seconds until healthd must know: half a second where it looks or is told at once (what the
# machine takes to let it run), a period of the canary, six seconds for what is stopped.
LATENCY = {"process": 0.5, "listener": 0.5, "state file": 0.5, "CA": 2.5, "CA in use": 2.5, "hang": 6.5, "runner": 6.5}
LATENCY_RULES = 10.5


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def children(pid):
    return [int(word) for word in read(f"/proc/{pid}/task/{pid}/children").split()]


def process_state(pid):
    """The letter, X if it is not there."""
    text = read(f"/proc/{pid}/stat")
    return chr(text[text.rindex(b")") + 2]) if text else "X"


def descriptors_of(pid):
    """The inodes of its sockets, and whether it has an event loop."""
    inodes, has_loop = set(), False
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            has_loop = has_loop or target == "anon_inode:[eventpoll]"
            if target.startswith("socket:["):
                inodes.add(int(target[8:-1]))
    except OSError:
        pass
    return inodes, has_loop


def listeners(port):
    """The inodes of each family's sockets that listen on loopback at this port."""
    found = []
    for path, address in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        family = set()
        for line in read(f"/proc/self/net/{path}").decode().splitlines()[1:]:
            word = line.split()
            if word[1] == f"{address}:{port:04X}" and word[3] == "0A":
                family.add(int(word[9]))
        found.append(family)
    return found


def table(family, name):
    """The rules of a table, without remarks and counters."""
    text = subprocess.run([f"ip{family}tables-legacy-save", "-t", name], capture_output=True, check=False).stdout
    return [line.split(b" [")[0] for line in text.splitlines() if not line.startswith(b"#")]


def setup_half(path):
    """The lines of the state file that setup writes, None if there is no such file to read."""
    try:
        # It may be a pipe, or become one meanwhile.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            lines = file.read(65536).split(b"\n")
    except OSError:
        return None
    if lines[0] != b"version=1":
        return None
    # The time is when it was written, not what is so.
    return [line for line in lines if line.startswith(b"setup.") and not line.startswith(b"setup.time=")]


class Witness:
    """Looks, and judges what the prober has been told."""

    def __init__(self, port, state, ca, families, wanted):
        self.port, self.state, self.ca, self.families, self.wanted = port, state, ca, families, wanted
        self.healthd = None  # its process id
        self.runner = self.launcher = 0
        self.workers = []  # process ids
        self.generation = None  # which workers live
        self.first_seen, self.loops = {}, {}  # by process id of a worker
        self.ca_changed = 0.0
        self.bad_since, self.detail, self.lies = {}, {}, []
        self.asked = {"quick": [], "rules": []}  # (asked, answered) for each 200 that waits for a look
        self.lock, self.running = threading.Lock(), True
        self.looked = {}  # when, last, by kind

    def accept_as_good(self):
        """What stands now is what setup has made. (It need not stay long enough for a look.)"""
        self.setup_half = setup_half(self.state)
        self.ca_digest = hashlib.sha256(read(self.ca)).digest()
        self.bad_since.pop("state file", None)
        self.bad_since.pop("CA", None)

    def accept_rules_as_good(self):
        self.rules = {key: table(*key) for key in self.tables()}

    def accept_a_moment_of_rules(self):
        """A setup that failed took its rules back. Meanwhile a canary may have come through."""
        for fact in [fact for fact in self.bad_since if str(fact).startswith("rules")]:
            self.bad_since.pop(fact, None)

    def tables(self):
        return [(family, name) for family in self.families for name in ("nat", "filter")]

    def start(self):
        self.threads = [threading.Thread(target=loop, daemon=True) for loop in (self.look_quickly, self.look_at_rules)]
        for thread in self.threads:
            thread.start()

    def was_told(self, asked, answered):
        with self.lock:
            for waiting in self.asked.values():
                waiting.append((asked, answered))

    def find_processes(self):
        self.runner = next(iter(children(self.healthd)), 0) if self.healthd else 0
        ours = children(self.runner) if self.runner else []
        launchers = [pid for pid in ours if read(f"/proc/{pid}/comm") == b"launcher\n"]
        self.launcher = launchers[0] if launchers else 0
        self.workers = [pid for pid in ours if pid not in launchers]

    def quick_facts(self):
        """{fact: what is wrong, or nothing}"""
        self.find_processes()
        now = time.monotonic()
        states = {pid: process_state(pid) for pid in self.workers}
        alive = [pid for pid, state in states.items() if state not in "XZ"]
        if set(alive) != self.generation:
            # Between two looks there may have been as many as are wanted.
            self.generation = set(alive)
            self.bad_since.pop("process", None)
        half, digest = setup_half(self.state), hashlib.sha256(read(self.ca)).digest()
        facts = {
            "process": "" if len(alive) >= self.wanted else f"{len(alive)} of {self.wanted} workers live",
            "runner": "the runner is stopped" if self.runner and process_state(self.runner) == "T" else "",
            "state file": "" if half == self.setup_half else f"setup's half is {half}",
            "CA": "" if digest == self.ca_digest else "not the one that setup has checked",
        }
        families = listeners(self.port)[: len(self.families)]
        for pid in alive:
            self.first_seen.setdefault(pid, now)
            own, has_loop = descriptors_of(pid)
            if has_loop:
                self.loops.setdefault(pid, now)
            listens = all(own & family for family in families)
            facts["listener", pid] = "" if listens else f"worker {pid} does not listen"
            facts["hang", pid] = f"worker {pid} is stopped" if states[pid] == "T" else ""
            old = self.first_seen[pid] <= self.ca_changed
            facts["CA in use", pid] = f"worker {pid} is older than the CA" if old else ""
        return facts

    def rule_facts(self):
        return {
            f"rules {name} IPv{family or '4'}": "" if table(family, name) == self.rules[family, name] else "not as set up"
            for family, name in self.tables()
        }

    def look(self, facts, kind):
        begun = time.monotonic()
        seen = facts()
        ended = time.monotonic()
        for fact in [fact for fact in self.bad_since if isinstance(fact, tuple)]:
            if kind == "quick" and fact not in seen:
                self.bad_since.pop(fact, None)
        for fact, wrong in seen.items():
            if not wrong:
                self.bad_since.pop(fact, None)
            else:
                self.bad_since.setdefault(fact, ended)
                self.detail[fact] = wrong
        with self.lock:
            ripe = [times for times in self.asked[kind] if times[1] < begun]
            self.asked[kind] = [times for times in self.asked[kind] if times[1] >= begun]
        for asked, _ in ripe:
            self.judge(asked, seen)
        self.looked[kind] = ended

    def is_blind(self):
        """Who has not looked for long has seen no lie either."""
        return any(time.monotonic() - self.looked.get(kind, 0) > 10 for kind in self.asked)

    def judge(self, asked, seen):
        for fact in seen:
            since = self.bad_since.get(fact)
            name = fact[0] if isinstance(fact, tuple) else fact
            if since is not None and asked > since + LATENCY.get(name, LATENCY_RULES):
                self.lies.append((name, asked - since, self.detail[fact]))

    def look_quickly(self):
        while self.running:
            self.look(self.quick_facts, "quick")
            time.sleep(0.02)

    def look_at_rules(self):
        while self.running:
            self.look(self.rule_facts, "rules")
            time.sleep(0.2)

    def wrong_now(self):
        return {fact: self.detail[fact] for fact in list(self.bad_since)}

    def starts_since(self, moment):
        """How long each worker took from its start to its event loop, of those that did since then."""
        return [
            until - max(self.first_seen[pid], moment)
            for pid, until in list(self.loops.items())
            if until > moment
        ]
