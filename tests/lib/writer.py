"""Somebody else who changes the legacy tables, with iptables and its lock, without a pause.

Usage: writer.py NAME append|insert|chain SEED

Adds and deletes rules of its own in nat and filter of both families until SIGTERM: at the end
of OUTPUT, at its beginning, or in a chain of its own that comes and goes. Then it prints the
rules that it must have now, "PROGRAM TABLE RULE" in the order of the table, and "operations N".
Ends with 1 and iptables' own words if one of its commands fails.
"""

import random
import signal
import subprocess
import sys

NAME, MODE = sys.argv[1:3]
TABLES = [(p, t) for p in ("iptables-legacy", "ip6tables-legacy") for t in ("nat", "filter")]
running = True
operations = 0


def stop(*_):
    global running
    running = False


def change(program, table, *words):
    global operations
    # A signal to the group must not end it half way.
    done = subprocess.run(
        [program, "-w", "-t", table, *words], capture_output=True, text=True, start_new_session=True
    )
    operations += 1
    if done.returncode != 0:
        print("failed: %s -t %s %s: %s" % (program, table, " ".join(words), done.stderr.strip()))
        sys.exit(1)


class Table:
    def __init__(self, program, table):
        self.where = program, table
        self.rules = []
        self.chain = "OUTPUT" if MODE != "chain" else "CHAIN-" + NAME
        self.has_chain = MODE != "chain"

    def add(self, rule):
        if not self.has_chain:
            change(*self.where, "-N", self.chain)
            change(*self.where, "-A", "OUTPUT", "-p", "udp", "--dport", "7", "-j", self.chain)
            self.has_chain = True
        if MODE == "insert":
            change(*self.where, "-I", self.chain, "1", *rule.split())
            self.rules.insert(0, rule)
        else:
            change(*self.where, "-A", self.chain, *rule.split())
            self.rules.append(rule)

    def delete(self, rule):
        change(*self.where, "-D", self.chain, *rule.split())
        self.rules.remove(rule)

    def give_up_chain(self):
        change(*self.where, "-D", "OUTPUT", "-p", "udp", "--dport", "7", "-j", self.chain)
        change(*self.where, "-F", self.chain)
        change(*self.where, "-X", self.chain)
        self.rules = []
        self.has_chain = False


signal.signal(signal.SIGTERM, stop)
random.seed(sys.argv[3])
tables = [Table(*where) for where in TABLES]
number = 0
print("begin", flush=True)
while running:
    one = random.choice(tables)
    if one.rules and random.random() < 0.45:
        one.delete(random.choice(one.rules))
    elif MODE == "chain" and one.has_chain and random.random() < 0.1:
        one.give_up_chain()
    else:
        number += 1
        one.add("-p tcp -m tcp --dport %d -m comment --comment %s-%d -j ACCEPT" % (9000 + number % 999, NAME, number))
for one in tables:
    for rule in one.rules:
        print(*one.where, "-A", one.chain, rule)
print("operations", operations)
