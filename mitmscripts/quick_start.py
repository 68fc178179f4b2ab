"""Start mitmdump sooner: python3 quick_start.py MITMDUMP [ARGUMENT ...]

Most of its start is spent on importing modules, many of which a transparent
proxy never uses: LDAP and htpasswd for proxy authentication, a web server with
templates for mitm.it, parsers of images, the clipboard. Here these are imported
when something first uses them, and Python's garbage collector, which finds
nothing to collect in modules that are being imported, rests until all are
there. MITMDUMP is then run as it stands: nothing else differs, and nothing of
mitmproxy is changed.
"""

import contextlib
import gc
import importlib
import runpy
import sys
import threading
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


def main():
    global starting
    gc.disable()
    del sys.argv[0]
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    sys.meta_path.insert(0, Finder)
    with contextlib.suppress(ImportError):  # MITMDUMP will report it itself
        importlib.import_module("mitmproxy.tools.dump")
    starting = False
    gc.freeze()
    gc.enable()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
