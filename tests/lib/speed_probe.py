"""What mitmscripts/speed.py must leave as it is, what it spares, and that it steps aside, as text.

Usage, with a Python that has mitmproxy: speed_probe.py SCRIPTS_DIR seen|counts|guards PIECE...

The pieces that are named are applied, and after them addon_errors of mitmproxy_patches.py if that is
among them. `seen` has to print the same with pieces and without.
"""

import asyncio
import contextlib
import contextvars
import copy
import dataclasses
import logging
import os
import pathlib
import pickle
import sys
import tempfile
import traceback
import types

scripts, what, *pieces = sys.argv[1:]
patched = "addon_errors" in pieces
sys.path.insert(0, scripts)

import mitmproxy.tools.dump
from mitmproxy import addonmanager, exceptions, hooks, http, master, options, optmanager
from mitmproxy.addons import maplocal, script
from mitmproxy.net import check
from mitmproxy.net.http import url
from mitmproxy.proxy import commands, events, mode_servers, mode_specs, server
from mitmproxy.proxy.layers.http import HttpRequestHeadersHook, HttpRequestHook, HttpResponseHook
from mitmproxy.test import tflow

import speed

ALL = [piece.__name__ for piece in speed.PIECES]
FIELDS = [(b"Host", b"a"), (b"X-Two", b"1"), (b"x-two", b"\xe4"), (b"Empty", b"")]


def apply(chosen):
    return speed.apply(print, [name for name in ALL if name not in chosen])


def frames(trace):
    """The functions of addons in a traceback; mitmproxy's own are not to be the same."""
    return [frame.name for frame in traceback.extract_tb(trace) if frame.filename == __file__]


class Log(logging.Handler):
    """Prints what is logged."""

    def emit(self, record):
        print("  log:", record.levelname, record.getMessage())
        if record.exc_info:
            kind, value, trace = record.exc_info
            print("    ", repr(value), frames(trace))


class Addon:
    """An addon with hooks, some addons inside, and a name."""

    def __init__(self, name, *inside, **attributes):
        self.name = name
        if inside:
            self.addons = list(inside)
        self.__dict__.update(attributes)

    def __repr__(self):
        return self.name


def says(name, then=None):
    """A hook that prints its addon's name, and then does something."""

    def request(flow):
        print("  request:", name)
        return then(flow) if then else None

    return request


def speaker(name, *inside, then=None, **attributes):
    return Addon(name, *inside, request=says(name, then), **attributes)


def fails(error):
    def act(_):
        raise error

    return act


async def slow(_):
    await asyncio.sleep(0.001)
    print("    after waiting in", asyncio.current_task() is not None)


async def slow_and_fails(_):
    await asyncio.sleep(0.001)
    raise ValueError("late")


def module(name, **attributes):
    made = types.ModuleType(name)
    made.__dict__.update(attributes)
    made.name = name
    return made


class Property:
    name = "property"

    @property
    def request(self):
        raise ValueError("in a property")


class NoList:
    name = "nolist"

    @property
    def addons(self):
        raise ValueError("no list")


class Anything:
    """Has every hook, but no addons."""

    name = "anything"

    def __getattr__(self, name):
        if name == "addons":
            raise AttributeError(name)
        return lambda *_: print("  anything:", name)


@contextlib.asynccontextmanager
async def running(*addons):
    made = master.Master(options.Options())
    # An error while a line of the log is an event would be a line of the log again, and so on.
    made._legacy_log_events.uninstall()
    made.addons.add(*addons)
    yield made
    made.addons.chain = []


async def trigger(made, flow, what=""):
    """Every way in which a hook is run."""
    manager = made.addons
    for way in manager.trigger_event, manager.handle_lifecycle:
        print(" ", way.__name__, what)
        try:
            await way(HttpRequestHook(flow))
        except BaseException as error:
            print("  raised:", repr(error), frames(error.__traceback__))
        print("  flow:", flow.metadata, flow.response and flow.response.status_code)
        flow.metadata, flow.response = {}, None
    print("  trigger", what)
    try:
        manager.trigger(HttpRequestHook(flow))
    except BaseException as error:
        print("  raised:", repr(error))


CHAINS = {
    "in order, with addons inside": lambda: [
        speaker("a"), Addon("none"), speaker("b", speaker("c"), Addon("d", speaker("e")), speaker("f")),
        Addon("g", Addon("h", speaker("i"))), speaker("j"),
    ],
    "an error, and the next goes on": lambda: [
        speaker("a", then=fails(ValueError("here"))), speaker("b", then=fails(KeyError("there"))), speaker("c"),
    ],
    "an error leaves out what is inside": lambda: [
        speaker("a", speaker("b", then=fails(ValueError("b"))), speaker("c")), speaker("d"),
    ],
    "halt": lambda: [speaker("a"), speaker("b", speaker("c"), then=fails(exceptions.AddonHalt())), speaker("d")],
    "halt inside": lambda: [speaker("a", speaker("b", then=fails(exceptions.AddonHalt())), speaker("c")), speaker("d")],
    "an error of options": lambda: [speaker("a", then=fails(exceptions.OptionsError("options"))), speaker("b")],
    "an end": lambda: [speaker("a", then=fails(asyncio.CancelledError("end"))), speaker("b")],
    "asynchronous": lambda: [Addon("a", request=slow), speaker("b", then=slow), Addon("c", request=slow_and_fails), speaker("d")],
    "modules": lambda: [
        module("m", request=says("m"), addons=[speaker("n")]), module("o"),
        Addon("p", module("q"), module("r", __getattr__=lambda name: says("r") if name == "request" else fails(AttributeError(name))(0))),
    ],
    "what is no function": lambda: [Addon("a", request=types), Addon("b", request=7), Addon("c", request=0), speaker("d")],
    "odd attributes": lambda: [Property(), NoList(), Addon("p", Property(), speaker("q")), Anything(), Addon("list", addons=7), speaker("z")],
}  # fmt: skip


async def see_chains(flow):
    for what, chain in CHAINS.items():
        print(what)
        async with running(*()) as made:
            made.addons.chain = chain()  # without what add() itself would say of odd ones
            await trigger(made, flow)
    print("what is no hook")
    async with running(speaker("a")) as made:
        for way in made.addons.trigger_event, made.addons.trigger:
            try:
                result = way("request")
                await result if asyncio.iscoroutine(result) else None
            except Exception as error:
                print("  raised:", repr(error))


async def see_changes(flow):
    print("attributes that come later")
    plain, inside, unit = Addon("plain"), Addon("inside"), module("unit")
    async with running(plain, Addon("outer", inside), unit) as made:
        await trigger(made, flow, "before")
        for addon in plain, inside, unit:
            addon.request = says(addon.name)
        await trigger(made, flow, "on objects")
        plain.request, inside.addons = None, [speaker("deep")]
        del unit.request
        await trigger(made, flow, "changed again")
        Addon.request = lambda self, flow: print("  class:", self)
        try:
            del plain.request
            await trigger(made, flow, "on the class")
        finally:
            del Addon.request

    print("addons that come and go while a hook runs")
    for what, act in {
        "added": lambda made, first, last: made.addons.add(speaker(f"new{len(made.addons)}")),
        "removed": lambda made, first, last: last in made.addons and made.addons.remove(last),
        "removes itself": lambda made, first, last: first in made.addons and made.addons.remove(first),
        "all": lambda made, first, last: made.addons.clear(),
        "gets one inside": lambda made, first, last: last.addons.append(speaker("inner")),
        "loses one inside": lambda made, first, last: last.addons and last.addons.pop(),
        "gives a hook to the next": lambda made, first, last: setattr(last, "request", says("given")),
    }.items():
        first, last = Addon("first"), Addon("last", speaker("x"), speaker("y"))
        async with running(first, Addon("middle"), last) as made:
            first.request = says("first", lambda _: act(made, first, last) and None)
            await trigger(made, flow, what)
            await trigger(made, flow, what + ", once more")

    print("an addon inside that adds one beside itself")
    inner = Addon("inner")
    outer = Addon("outer", inner, speaker("x"))

    def grow(_):
        if len(outer.addons) < 5:
            outer.addons.append(speaker(f"grown{len(outer.addons)}"))

    inner.request = says("inner", grow)
    async with running(outer) as made:
        await trigger(made, flow)

    print("options that change while a hook runs")

    def configure(updated):
        print("  configure:", sorted(updated))
        if made.options.ssl_insecure:
            raise exceptions.OptionsError("not that")

    async with running(Addon("heeds", configure=configure)) as made:
        changes = [{"rawtcp": False}, {"ssl_insecure": True}, {"rawtcp": True}]
        made.addons.add(speaker("changes", then=lambda _: made.options.update(**changes.pop(0))))
        await trigger(made, flow)
        print(" ", made.options.ssl_insecure, made.options.rawtcp)


async def see_scripts(flow):
    print("a script that is loaded again, and removed")
    text = "def request(flow): print('  request: version {}')\n"
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "one.py")
        path.write_text(text.format(1))
        async with running(script.ScriptLoader()) as made:
            script.ReloadInterval = 0.01
            made.options.update(scripts=[str(path)])
            await asyncio.sleep(0.1)
            await trigger(made, flow, "first")
            path.write_text(
                text.format(2)
                + "addons = []\nclass A:\n  def update(self, flows): print('  update: A')\naddons = [A()]\n"
            )
            os.utime(path, (path.stat().st_mtime + 5,) * 2)
            await asyncio.sleep(0.2)
            await trigger(made, flow, "second")
            made.options.update(scripts=[])
            await trigger(made, flow, "removed")


class Known(Addon):
    """Stands for one of mitmproxy's own."""

    def request(self, flow):
        print("  request:", self)
        return self.then(flow) if hasattr(self, "then") else None


class KnownAsynchronous(Known):
    async def request(self, flow):
        print("  request:", self)
        await slow_and_fails(flow)


class KnownWithoutHook(Addon):
    pass


Known.__module__ = KnownAsynchronous.__module__ = KnownWithoutHook.__module__ = "mitmproxy.addons.known"
Known.request.__module__ = "mitmproxy.addons.known"


async def see_known(flow):
    """mitmproxy's own addons, which may be looked at once."""
    for what, of in {
        "works": {}, "fails": {"then": fails(ValueError("known"))}, "halts": {"then": fails(exceptions.AddonHalt())},
        "ends": {"then": fails(asyncio.CancelledError("end"))}, "gives what is to be awaited": {"then": slow},
        "gives something": {"then": lambda flow: 7},
    }.items():  # fmt: skip
        print("one of mitmproxy's own that", what)
        without = KnownWithoutHook("without")
        async with running(speaker("a"), without, Known("known", **of), KnownAsynchronous("slow"), speaker("b")) as made:
            await trigger(made, flow)
            made.addons.chain.insert(0, made.addons.chain.pop())
            await trigger(made, flow, "in another order")
            made.addons.chain[2] = Known("in its place")
            await trigger(made, flow, "one replaced")
            made.addons.remove(made.addons.chain[1])
            made.addons.add(KnownWithoutHook("more", speaker("inside")))
            await trigger(made, flow, "others")


async def see_idle(flow):
    print("addons that are seldom used")
    made = mitmproxy.tools.dump.DumpMaster(options.Options(), with_termlog=False, with_dumper=False)
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        for host, changes in (
            ("mitm.it", {"onboarding": False}), ("mitm.it", {"onboarding": True}), ("a.test", {}),
            ("a.test", {"map_local": [f"|a.test|{file.name}"]}), ("b.test", {}), ("a.test", {"map_local": []}),
        ):  # fmt: skip
            made.options.update(**changes)
            flow.response, flow.request.host = None, host
            await made.addons.trigger_event(HttpRequestHook(flow))
            print(" ", host, *changes, flow.response and (flow.response.status_code, len(flow.response.content)))
    flow.response = None


def see_options():
    print("options")
    made = mitmproxy.tools.dump.DumpMaster(options.Options(), with_termlog=False).options
    for changed in False, True:
        for name in sorted(made.keys()):
            value = getattr(made, name)
            print(" ", name, repr(value), type(value))
            if isinstance(value, list):
                value.append("mine")
                print("   ", getattr(made, name))
        made.update(ssl_insecure=not changed, ignore_hosts=["a", "b"], stream_large_bodies="3m", listen_port=1)
    made.reset()
    print(" ", made.ssl_insecure, made.ignore_hosts, made.stream_large_bodies, made.listen_port)


def see_authorities():
    print("authorities")
    for authority in (
        "a", "a.test:1", "a.test:", "a.test:x", "a.test:65536", "A.Test.", "[::1]:443", "::1", "[::1", "1.2.3.4", "", ":1",
        "m\xfcnchen.test", "xn--mnchen-3ya.test", "a b", "a" * 63, "a" * 64, ".".join(["a" * 50] * 5), ".".join(["a" * 50] * 6), "\x00",
    ):  # fmt: skip
        for known in authority, authority.encode(), bytearray(authority.encode()):
            for check in True, False, 1, 0:
                for _ in range(2):
                    try:
                        found = url.parse_authority(known, check)
                        print(" ", found, [type(part) for part in found])
                    except Exception as error:
                        print(" ", known, check, repr(error))


class Hooks:
    """In the place of a connection's layers: begins hooks, and others when these are done."""

    def __init__(self, flow):
        self.flow, self.left = flow, 0

    def handle_event(self, event):
        hook = event.command if isinstance(event, events.HookCompleted) else None
        print("  layer:", type(event).__name__, hook and hook.name)
        self.left -= hook is not None
        yield from self.begin(hook)

    def begin(self, hook):
        if hook is None:
            made = [HttpRequestHeadersHook(self.flow), HttpRequestHook(self.flow)]
        else:
            made = [HttpResponseHook(self.flow)] if hook.name == "request" else []
        self.left += len(made)
        for hook in made:
            yield hook
            yield commands.Log(f"after {hook.name}", logging.WARNING)


@dataclasses.dataclass
class OddHook(commands.StartHook):
    """Has not the one argument that a hook of a connection has."""


class Writer:
    @staticmethod
    def get_extra_info(name, default=None):
        return ("127.0.0.1", 1) if name.endswith("name") else default


@contextlib.asynccontextmanager
async def connection(hooks, *addons):
    async with running(*addons) as made:
        mode = mode_specs.ProxyMode.parse("regular")
        handler = mode_servers.ProxyConnectionHandler(made, None, Writer(), made.options, mode)
        handler.layer = hooks
        yield handler


async def see_connections():
    variable = contextvars.ContextVar("variable", default="nothing")

    def intercepts(flow):
        flow.intercept()
        asyncio.get_running_loop().call_later(0.01, lambda: print("  resumed") or flow.resume())

    def remembers(flow):
        print("  variable:", variable.get())
        variable.set("something")

    async def waits(flow):
        async with asyncio.timeout(5):
            print("  task:", asyncio.current_task().get_name())
            await asyncio.sleep(0.001)
        remembers(flow)
        await asyncio.sleep(0.001)

    async def waits_in_vain(flow):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(5)
        print("  time is over")
        raise ValueError("late")

    every = lambda hook: {name: hook for name in ("requestheaders", "request", "response")}
    for what, addons in {
        "what addons do at once": [speaker("a", response=says("b")), speaker("c", then=fails(ValueError("c")))],
        "what is asynchronous": [speaker("a"), Addon("w", **every(waits)), speaker("b", Addon("x", **every(waits))), speaker("c")],
        "an error after waiting": [Addon("v", **every(waits_in_vain)), speaker("c", response=says("c"))],
        "variables of a context": [Addon("r", **every(remembers))],
        "a flow that is held": [Addon("i", request=intercepts), speaker("a", response=says("b"))],
    }.items():  # fmt: skip
        print("hooks of a connection:", what)
        async with connection(Hooks(tflow.tflow()), *addons) as handler:
            await handler.server_event(events.Start())
            while handler.layer.left:
                await asyncio.sleep(0.01)

    print("hooks of a connection: one that fails by itself, and many")
    async with connection(Hooks(tflow.tflow()), speaker("a")) as handler:
        failed = asyncio.Future()
        asyncio.get_running_loop().set_exception_handler(lambda _, seen: failed.set_result(seen["exception"]))
        handler.layer.begin = lambda hook: iter([OddHook()] if hook is None else [])
        await handler.server_event(events.Start())
        print(" ", repr(await failed))
        asyncio.get_running_loop().set_exception_handler(None)
        handler.layer.left = 200
        many = [HttpRequestHook(handler.layer.flow)] * 200
        handler.layer.begin = lambda hook: iter(many if hook is None else [])
        await handler.server_event(events.Start())
        while handler.layer.left:
            await asyncio.sleep(0.01)


def outcome(act):
    try:
        return repr(act())
    except Exception as error:
        return repr(error)


def see_types():
    print("types of messages")
    good = {
        "http_version": b"HTTP/1.1",
        "headers": http.Headers(FIELDS),
        "content": None,
        "trailers": None,
        "timestamp_start": 1.5,
        "timestamp_end": None,
    }
    kinds = {
        http.RequestData: {"host": "a", "port": 1, "method": b"GET", "scheme": b"", "authority": b"", "path": b"/"},
        http.ResponseData: {"status_code": 200, "reason": b"OK"},
    }
    for kind, more in kinds.items():
        other = type("Other", (kind,), {})
        for name in (None, *good, *more):
            for value in (None, 1, 1.5, True, "x", b"x", bytearray(b"x"), http.Headers(), ()):
                arguments = {**good, **more}
                if name is not None:
                    arguments[name] = value
                print(
                    " ",
                    kind.__name__,
                    name,
                    repr(value),
                    outcome(lambda: kind(**arguments)),
                    outcome(lambda: other(**arguments)),
                )


NAMES = ["host", "HOST", b"Host", "x-two", "X-Two", "empty", "none", "", "\udcff", 7, None, ["host"]]


def see_headers(headers):
    for name in NAMES:
        print("   ", repr(name), *(outcome(lambda: act(name)) for act in (
            headers.get_all, headers.__getitem__, headers.__contains__, headers.get, lambda n: headers.get(n, 5),
        )))  # fmt: skip
    print(
        "   ",
        outcome(
            lambda: (list(headers), list(headers.items()), list(headers.items(True)), len(headers), bytes(headers))
        ),
    )


class LastWins(http.Headers):
    def get_all(self, name):
        return super().get_all(name)[-1:]


class CaseCounts(http.Headers):
    @staticmethod
    def _kconv(key):
        return key


def see_all_headers():
    changes = {
        "as made": lambda h: None,
        "set": lambda h: h.__setitem__("x-two", "3"),
        "added": lambda h: h.add("host", "b"),
        "inserted": lambda h: h.insert(0, b"X-Two", "0"),
        "deleted": lambda h: h.__delitem__("Host"),
        "popped": lambda h: h.pop("x-two"),
        "all set": lambda h: h.set_all("x-two", ["7", "8", "9"]),
        "cleared": lambda h: h.clear(),
        "list": lambda h: setattr(h, "fields", [list(field) for field in FIELDS]),
        "lists in it": lambda h: setattr(h, "fields", tuple(list(field) for field in FIELDS)),
        "text": lambda h: setattr(h, "fields", (("host", "a"),)),
        "three": lambda h: setattr(h, "fields", ((b"host", b"a", b"b"),)),
    }
    for kind in http.Headers, LastWins, CaseCounts:
        for what, change in changes.items():
            print("headers:", kind.__name__, what)
            headers = kind(FIELDS)
            see_headers(headers)
            change(headers)
            see_headers(headers)
            for made in (
                headers.copy,
                lambda: copy.copy(headers),
                lambda: copy.deepcopy(headers),
                lambda: pickle.loads(pickle.dumps(headers)),
            ):
                try:
                    other = made()
                except Exception as error:
                    print("   ", repr(error))
                    continue
                see_headers(other)
                print("   ", other == headers)
            if what == "list":
                headers.fields[0] = (b"Other", b"1")
            elif what == "lists in it":
                headers.fields[0][0] = b"Other"
            see_headers(headers)


async def see():
    logging.getLogger().addHandler(Log())
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    flow = tflow.tflow()
    await see_chains(flow)
    await see_changes(flow)
    await see_scripts(flow)
    await see_connections()
    await see_known(flow)
    await see_idle(flow)
    see_options()
    see_authorities()
    see_types()
    see_all_headers()


def calls(act):
    """How many functions of Python are called."""
    count = 0

    def notice(_, event, __):
        nonlocal count
        count += event == "call"

    sys.setprofile(notice)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def drive(result):
    with contextlib.suppress(StopIteration):
        result and result.send(None)


async def tasks():
    """How many tasks are made for the hooks of a connection."""
    loop, count = asyncio.get_running_loop(), 0

    def make(loop, coroutine, **others):
        nonlocal count
        count += 1
        return asyncio.Task(coroutine, loop=loop, **others)

    async with connection(Hooks(tflow.tflow())) as handler:
        loop.set_task_factory(make)
        with contextlib.redirect_stdout(None):
            await handler.server_event(events.Start())
            while handler.layer.left:
                await asyncio.sleep(0.01)
        loop.set_task_factory(None)
    return count


async def count():
    made = mitmproxy.tools.dump.DumpMaster(options.Options(), with_termlog=False)
    flow = tflow.tflow()
    headers = http.Headers(FIELDS)

    def run():
        with contextlib.suppress(StopIteration):
            made.addons.trigger_event(hooks.UpdateHook([flow])).send(None)

    print("dispatch", calls(run))
    made.options.onboarding = False
    idle = [made.addons.get("maplocal"), made.addons.get("onboarding")]
    print("idle_addons", calls(lambda: [drive(addon.request(flow)) for addon in idle]))
    print("options", calls(lambda: made.options.ssl_insecure))
    url.parse_authority(b"a.test:1", True)
    print("authorities", calls(lambda: url.parse_authority(b"a.test:1", True)))
    print("hooks_at_once", await tasks())
    print("type_checks", calls(lambda: http.ResponseData(b"HTTP/1.1", headers, b"", None, 1.5, None, 200, b"OK")))
    print("header_index", calls(lambda: [headers.get("x-two") for _ in range(20)]))


def guard():
    """Replace, one after the other, what the pieces rely on."""
    for owner, name in (
        (addonmanager.AddonManager, "trigger_event"), (addonmanager.AddonManager, "_iter_hooks"),
        (addonmanager, "safecall"), (hooks.Hook, "args"), (server.ConnectionHandler, "hook_task"),
        (server.ConnectionHandler, "server_event"), (http.MessageData, "__post_init__"),
        (http.Headers, "get_all"), (http.Headers, "_kconv"), (http, "_native"), (optmanager._Option, "current"),
        (maplocal.MapLocal, "request"), (url, "parse_authority"), (check, "is_valid_host"),
    ):  # fmt: skip
        child = os.fork()
        if child == 0:
            stock = getattr(owner, name)
            setattr(owner, name, lambda *args, **kwargs: stock(*args, **kwargs))
            print(name, "applied:", *speed.apply(print), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


applied = apply(pieces)
if patched:
    import mitmproxy_patches as patches

    patches.apply(None, None, [piece.__name__ for piece in patches.PIECES if piece is not patches.addon_errors])
assert applied == [name for name in ALL if name in pieces], applied
if what == "seen":
    asyncio.run(see())
elif what == "counts":
    asyncio.run(count())
else:
    guard()
