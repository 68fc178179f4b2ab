"""Fork mitmdumps: python3 launch.py MITMDUMP [ARGUMENT ...]

Most of the start of a mitmdump is spent on importing modules. This process imports
them once, and forks a worker at each order of healthd's runner (healthd/runner/launcher.c),
which comes by descriptor 3 with two descriptors: where the worker sends its pulse, and
where it prints. What workers have in common is in memory once. A worker is the child
of a child that ends at once, so that it becomes the runner's own child: it lives on
when this process ends.

Many modules a transparent proxy never uses: LDAP and htpasswd for proxy authentication,
a web server with templates for mitm.it, parsers of images, the clipboard. These are
imported when something first uses them. Python's garbage collector, which finds nothing
to collect in modules that are being imported, rests until all are there.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import runpy
import signal
import socket
import sys
import threading
import time
import types
import typing
from importlib.machinery import PathFinder

# The deferred modules, and the names that mitmproxy's modules import from them: functions
# and classes, which they only call, and types for annotations. They get stand-ins for
# these. Any other access to a module loads it.
DEFERRED = {
    "http.cookiejar": {},
    "ldap3": {},
    "mitmproxy.addons.onboardingapp": {"app": "application"},
    "mitmproxy.command_lexer": {"unquote": "callable"},
    "mitmproxy.contentviews._view_image.image_parser": {},
    "mitmproxy.contentviews.image.image_parser": {},
    "mitmproxy.contrib.wbxml.ASCommandResponse": {},
    "mitmproxy.flowfilter": {"TFilter": "type"},
    "passlib.apache": {},
    "pyparsing": {},
    "pyperclip": {},
    "ruamel.yaml": {"YAML": "callable"},
    "service_identity": {},
    "werkzeug": {},
    "werkzeug.security": {"safe_join": "callable"},
}

# The attributes that a module has before its code has run.
OF_IMPORT = {
    "__cached__", "__class__", "__dict__", "__file__", "__loader__", "__name__", "__package__",
    "__path__", "__spec__",
}  # fmt: skip

starting = True
loading = set()  # names of modules whose code is running
locks = {name: threading.RLock() for name in DEFERRED}


class Deferred(types.ModuleType):
    """A module whose code runs when an attribute is first asked for that it lacks. Another
    thread that asks meanwhile waits, as for any import."""

    def __getattribute__(self, name):
        if name not in OF_IMPORT:
            kind = DEFERRED[self.__name__].get(name)
            if kind and starting and is_for_mitmproxy(sys._getframe(1)):
                return STAND_INS[kind](self, name)
            load(self)
        return types.ModuleType.__getattribute__(self, name)  # load changes the class


def is_for_mitmproxy(frame):
    """Does a module of mitmproxy ask for it? Frames of the import system are skipped."""
    while "importlib" in frame.f_globals.get("__name__", ""):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").startswith("mitmproxy.")


def load(module):
    if type(module) is not Deferred:
        return
    name = module.__name__
    load_package_of(name)
    with locks[name]:
        if type(module) is not Deferred or name in loading:
            return  # another thread has done it, or its own code asks
        loading.add(name)
        late = module.__loader__
        try:
            module.__spec__.loader = module.__loader__ = late.real
            late.real.exec_module(module)
            module.__class__ = types.ModuleType
        except BaseException:
            module.__spec__.loader = module.__loader__ = late
            raise
        finally:
            loading.remove(name)


def load_package_of(name):
    """A package's own code runs before that of its modules: they may rely on it."""
    package = name.rpartition(".")[0]
    load(sys.modules.get(package))


class Loader:
    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return None  # a normal module

    def exec_module(self, module):
        module.__class__ = Deferred


def stand_in_callable(module, name):
    def call(*args, **kwargs):
        return getattr(module, name)(*args, **kwargs)

    return call


def stand_in_type(module, name):
    return typing.Callable


class Application:
    """Stands for the web application until that is used."""

    def __init__(self, module, name):
        self.config = {}
        self.module, self.name = module, name

    def __getattr__(self, name):
        return getattr(self.real(), name)

    def __call__(self, environ, start_response):
        return self.real()(environ, start_response)

    def real(self):
        real = getattr(self.module, self.name)
        if self.config is not real.config:
            real.config.update(self.config)
            self.config = real.config
        return real


STAND_INS = {
    "application": Application,
    "callable": stand_in_callable,
    "type": stand_in_type,
}


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in DEFERRED:
            load_package_of(name)
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader)
        return spec


# Descriptors, as the runner places them.
CONTROL = PULSE = 3
SOCKETS = (4, 5)

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # linux/prctl.h
libc = ctypes.CDLL(None)


def import_mitmproxy():
    global starting
    gc.disable()
    sys.meta_path.insert(0, Finder)
    with contextlib.suppress(ImportError):  # MITMDUMP will report it itself
        importlib.import_module("mitmproxy.tools.dump")
        make_faster()
    starting = False
    # What is there by now stays as it is, and is not copied by a look at it.
    gc.freeze()
    gc.enable()


def make_faster():
    """See speed.py. Its directory is not on the path: what mitmdump imports is its own."""
    directory = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, directory)
    try:
        speed = importlib.import_module("speed")
        speed.apply(lambda line: print(line, file=sys.stderr, flush=True))
    except ImportError as error:
        # A mitmproxy in which a module is missing goes without all pieces.
        print(f"mitmproxy goes as it is: {error}", file=sys.stderr, flush=True)
    finally:
        sys.path.remove(directory)


def receive(control):
    """Wait for an order. Return the two descriptors, or end with the runner."""
    order, descriptors, *_ = socket.recv_fds(control, 64, 2, socket.MSG_CMSG_CLOEXEC)
    if not order:
        os._exit(0)
    return descriptors


def become_child_of(runner):
    """Wait until the parent, a child of the launcher, has ended. Then die with the runner."""
    while os.getppid() != runner:
        time.sleep(0.0005)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != runner:
        os._exit(1)


def begin_worker(runner, pulse, output):
    os.setpgid(0, 0)
    become_child_of(runner)
    libc.prctl(PR_SET_NAME, b"mitmdump")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(pulse, PULSE, inheritable=False)
    os.close(pulse)
    os.close(output)
    os.write(PULSE, f"pid {os.getpid()}".encode())


def fork_worker(runner, pulse, output):
    """Return True in the worker."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            begin_worker(runner, pulse, output)
            return True
        os._exit(0)
    os.close(pulse)
    os.close(output)
    os.waitpid(child, 0)
    return False


def main():
    del sys.argv[0]
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    runner = os.getppid()
    for descriptor in (CONTROL, *SOCKETS):
        with contextlib.suppress(OSError):
            os.set_inheritable(descriptor, False)
    libc.prctl(PR_SET_NAME, b"launcher")
    # What a terminal sends to all is the runner's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_mitmproxy()
    control = socket.socket(fileno=CONTROL)
    control.send(b"ready")
    while not fork_worker(runner, *receive(control)):
        pass
    control.detach()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
