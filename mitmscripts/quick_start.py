"""Start mitmdump sooner: python3 quick_start.py MITMDUMP [ARGUMENT ...]

Most of its start is spent on importing modules, of which a transparent proxy
never uses many: LDAP and htpasswd for proxy authentication, a web server with
templates for mitm.it, parsers of images, the clipboard. Here these are imported when something
first uses them, and Python's garbage collector, which finds nothing to collect
in modules that are being imported, rests until all are there. MITMDUMP is then
run as it stands: nothing else differs, and nothing of mitmproxy is changed.
"""

import contextlib
import gc
import importlib
import runpy
import sys
import types
import typing
from importlib.machinery import PathFinder

# Modules, and what others take out of them by name while they are imported: functions,
# classes, and types for annotations. A module of which anything else is asked is loaded then.
DEFERRED = {
    "asgiref.compatibility": {},
    "asgiref.wsgi": {},
    "http.cookiejar": {},
    "ldap3": {},
    "mitmproxy.addons.onboardingapp": {"app": "application"},
    "mitmproxy.command_lexer": {"unquote": "function"},
    "mitmproxy.contentviews._view_image.image_parser": {},
    "mitmproxy.contentviews.image.image_parser": {},
    "mitmproxy.contrib.wbxml.ASCommandResponse": {},
    "mitmproxy.flowfilter": {"TFilter": "type"},
    "passlib.apache": {},
    "pyparsing": {},
    "pyperclip": {},
    "ruamel.yaml": {"YAML": "class"},
    "service_identity": {},
    "werkzeug": {},
    "werkzeug.security": {"safe_join": "function"},
}


class Deferred(types.ModuleType):
    """A module whose code runs when an attribute is asked for that it has not yet."""

    def __getattr__(self, name):
        if name == "__path__":  # asked of whatever something is imported from
            raise AttributeError(name)
        load(self)
        return getattr(self, name)


def load(module):
    if type(module) is not Deferred:
        return
    load_package_of(module.__name__)
    if type(module) is not Deferred:
        return  # the package needed it
    module.__class__ = types.ModuleType
    loader = module.__spec__.loader.real
    module.__spec__.loader = module.__loader__ = loader
    loader.exec_module(module)


def load_package_of(name):
    """A package's own code runs before that of its modules: they may rely on it."""
    package = name.rpartition(".")[0]
    load(sys.modules.get(package))


class Loader:
    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return None  # a usual one

    def exec_module(self, module):
        module.__class__ = Deferred
        for name, kind in DEFERRED[module.__name__].items():
            setattr(module, name, STAND_INS[kind](module, name))


def stand_in_function(module, name):
    def function(*args, **kwargs):
        load(module)  # whereupon the name is another function's
        return getattr(module, name)(*args, **kwargs)

    return function


def stand_in_type(module, name):
    return typing.Callable


class Class:
    """What stands for a class until it is called, derived from, or asked anything."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def real(self):
        load(self.module)
        return getattr(self.module, self.name)

    def __call__(self, *args, **kwargs):
        return self.real()(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.real(), name)

    def __mro_entries__(self, bases):
        return (self.real(),)

    def __instancecheck__(self, instance):
        return isinstance(instance, self.real())

    def __subclasscheck__(self, subclass):
        return issubclass(subclass, self.real())


class Application:
    """What stands for the web application until it is asked something."""

    def __init__(self, module, name):
        self.config = {}
        self.module, self.name = module, name

    def __getattr__(self, name):
        return getattr(self.real(), name)

    def __call__(self, environ, start_response):
        return self.real()(environ, start_response)

    def real(self):
        load(self.module)
        real = getattr(self.module, self.name)
        if self.config is not real.config:
            real.config.update(self.config)
            self.config = real.config
        return real


STAND_INS = {
    "application": Application,
    "class": Class,
    "function": stand_in_function,
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
    gc.disable()
    del sys.argv[0]
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    sys.meta_path.insert(0, Finder)
    with contextlib.suppress(ImportError):  # MITMDUMP says so itself, in its own words
        importlib.import_module("mitmproxy.tools.dump")
    gc.freeze()
    gc.enable()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
