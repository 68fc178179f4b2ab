"""One mitmdump by launch.py, as healthd's runner starts it, but with any arguments.

Usage: launched.py LAUNCH.PY MITMDUMP [ARGUMENT ...]
Runs it to its end, with its exit status; what it prints comes out here.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with open(sys.argv[2], "rb") as script:
        interpreter = script.readline()[2:].decode().strip()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pulse, beats = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # As descriptor 3.
    launcher = subprocess.Popen(
        ["/bin/sh", "-c", 'exec 3<&"$0" && exec "$@"', str(theirs.fileno()), interpreter, *sys.argv[1:]],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    if ours.recv(16):
        socket.send_fds(ours, [b"fork"], [beats.fileno(), 1])
    beats.close()
    worker = int(pulse.recv(64).decode().removeprefix("pid "))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(worker, signal.SIGTERM))
    _, status = os.waitpid(worker, 0)
    ours.close()
    launcher.wait()
    sys.exit(os.waitstatus_to_exitcode(status))


main()
