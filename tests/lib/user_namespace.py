"""Runs a command in a user and a network namespace of its own, which has 65536 of the machine's user ids,
as pods with hostUsers: false have.

Usage: user_namespace.py COMMAND...   root there is the user 1000000 here
"""

import ctypes
import os
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

made, made_end = os.pipe()
mapped, mapped_end = os.pipe()
child = os.fork()
if child == 0:
    os.close(made)
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        os._exit(3)
    os.write(made_end, b"?")
    os.read(mapped, 1)
    os.setgid(0)
    os.setuid(0)
    os.execvp(sys.argv[1], sys.argv[1:])
os.close(made_end)
if os.read(made, 1):
    for kind in ("uid", "gid"):
        with open("/proc/%d/%s_map" % (child, kind), "w") as file:
            file.write("0 1000000 65536")
os.write(mapped_end, b"!")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
