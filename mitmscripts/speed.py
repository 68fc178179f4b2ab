"""Spend less processor time on each request, and change nothing of what mitmproxy does.

apply() is called once, when mitmproxy has been imported and before it runs. Each piece replaces
functions of mitmproxy by others that do the same. It first compares the source of all that it
replaces or relies on with what it was written for: 11.0.2 and 12.3.1. If something differs, in a
newer mitmproxy or by another hand, this piece steps aside, and a line says so. Without a piece,
everything is as it was, only slower.

mitmproxy_patches.py changes mitmproxy later, and what it replaces keeps its name and parameters.
"""

import asyncio
import collections
import contextvars
import dataclasses
import functools
import hashlib
import inspect
import itertools
import linecache
import types
from collections.abc import Mapping
from types import ModuleType

from mitmproxy import addonmanager, ctx, exceptions, flow, hooks, http, optmanager, version
from mitmproxy.addons import maplocal
from mitmproxy.addons import onboarding as onboarding_addon
from mitmproxy.coretypes import multidict
from mitmproxy.net import check as net_check
from mitmproxy.net.http import url
from mitmproxy.proxy import commands, mode_servers, server
from mitmproxy.utils import asyncio_utils, strutils

NOTHING = object()
NEEDS_TASK = object()
# Hooks of one connection that run in a row, before others have their turn.
AT_ONCE_MAX = 32

without_task = False  # Does what runs now belong to no task of its own?


class Unknown(Exception):
    """Something is not as in the versions for which a piece was written."""


def check(owner, **digests):
    """Are these functions the known ones? Digests of several versions stand side by side."""
    for name, known in digests.items():
        if digest(vars(owner).get(name)) not in known.split():
            raise Unknown(f"{owner.__name__}.{name}")


def digest(function):
    """The beginning of the SHA-256 of a function's source, None if there is none."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    if code is None:
        return None
    source, in_body = [], False
    for line in linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]:
        indentation = len(line) - len(line.lstrip())
        if not source:
            outermost = indentation
        elif in_body and line.strip() and indentation <= outermost:
            break
        source.append(line)
        in_body = in_body or line.endswith(":\n")
    return hashlib.sha256("".join(source).rstrip().encode()).hexdigest()[:12]


def dispatch():
    """Of some forty addons a few have a given hook. Do not ask the others.

    mitmproxy enters a context manager, starts a coroutine and two generators for every addon. Which
    of its own addons have a hook stands in a table, made anew when it has other addons; all others
    are asked each time, because they may change. The order is as ever.
    """
    manager = addonmanager.AddonManager
    check(
        manager,
        trigger_event="db74871d8e75",
        trigger="3b1afc3b5605",
        invoke_addon="cd1810258238",
        _iter_hooks="6419d8290f54",
    )
    check(
        addonmanager, safecall="d3efc056da12", cut_traceback="23623e26ba71", traverse="7235ad007525"
    )
    check(hooks.Hook, args="b4c12a0f0666")
    stock_trigger_event, stock_trigger = manager.trigger_event, manager.trigger

    async def trigger_event(self, event):
        if not isinstance(event, hooks.Hook):
            return await stock_trigger_event(self, event)
        for addon, is_leaf in asked(self, event.name):
            try:
                if not is_leaf:
                    await self.invoke_addon(addon, event)
                elif (result := invoke_leaf(addon, event)) is not None:
                    await finish(result)
            except Exception:
                try:
                    with addonmanager.safecall():
                        raise
                except exceptions.AddonHalt:
                    return

    def trigger(self, event):
        if not isinstance(event, hooks.Hook):
            return stock_trigger(self, event)
        for addon, _ in asked(self, event.name):
            try:
                self.invoke_addon_sync(addon, event)
            except Exception:
                try:
                    with addonmanager.safecall():
                        raise
                except exceptions.AddonHalt:
                    return

    def asked(self, name):
        """The addons that may have a hook, and those that come to them meanwhile. Is each one of
        mitmproxy's own, with its own function and without others in it?"""
        chain = self.chain
        table = self.__dict__.get("_speed_table")
        if table is None or table[0] != chain:
            table = self._speed_table = list(chain), {}
        if name not in table[1]:
            table[1][name] = [(addon, is_leaf(addon, name)) for addon in chain if may_have(addon, name)]
        yield from table[1][name]
        for addon in itertools.islice(chain, len(table[0]), None):
            yield addon, False

    def may_have(addon, name):
        return not is_known(addon) or hasattr(addon, name) or hasattr(addon, "addons")

    def is_leaf(addon, name):
        if not is_known(addon) or hasattr(addon, "addons"):
            return False
        function = getattr(addon, name)
        return inspect.ismethod(function) and function.__module__.startswith("mitmproxy.addons.")

    def is_known(addon):
        """What mitmproxy's own addons have does not change by itself."""
        kind = type(addon)
        return kind.__module__.startswith("mitmproxy.addons.") and not hasattr(kind, "__getattr__")

    async def invoke_addon(self, addon, event):
        """The name counts: a logged traceback begins behind it."""
        assert isinstance(event, hooks.Hook)
        name = event.name
        pending = []  # the addons that are still to come, of each level
        while addon is not NOTHING:
            if type(addon) is ModuleType and "__getattr__" not in addon.__dict__:
                attribute = addon.__dict__.get  # getattr would make an exception if there is none
            else:
                attribute = functools.partial(getattr, addon)
            function = attribute(name, None)
            if function and (callable(function) or is_to_be_called(addon, function, name)):
                result = function(*event.args())
                if result is not None:
                    await finish(result)
            inside = attribute("addons", NOTHING)
            if inside is not NOTHING:
                pending.append(iter(inside))
            addon = NOTHING
            while pending and (addon := next(pending[-1], NOTHING)) is NOTHING:
                pending.pop()

    def of_a_leaf():
        def invoke_addon(addon, event):
            """The name counts, as above."""
            return getattr(addon, event.name)(*event.args())

        return invoke_addon

    async def finish(result):
        if inspect.isawaitable(result):
            if without_task:
                await a_task()
            await result

    def is_to_be_called(addon, function, name):
        if isinstance(function, ModuleType):
            return False
        raise exceptions.AddonManagerError(f"Addon handler {name} ({addon}) not callable")

    @functools.lru_cache(256)
    def names_of_fields(kind):
        return tuple(field.name for field in dataclasses.fields(kind))

    def args(self):
        return [getattr(self, name) for name in names_of_fields(type(self))]

    invoke_leaf = of_a_leaf()
    manager.trigger_event, manager.trigger = trigger_event, trigger
    manager.invoke_addon = invoke_addon
    hooks.Hook.args = args


def idle_addons():
    """Two of mitmproxy's addons have work to do for each request, also where nobody uses them."""
    map_local, onboarding = maplocal.MapLocal, onboarding_addon.Onboarding
    check(map_local, request="f87505f0706a")
    check(onboarding, request="5021358dcd13")
    stock_map, stock_serve = map_local.request, onboarding.request

    def map_request(self, flow):
        if self.replacements:
            stock_map(self, flow)

    def serve_request(self, flow):
        return stock_serve(self, flow) if ctx.options.onboarding else None

    map_local.request, onboarding.request = map_request, serve_request


def options():
    """An option's value is copied twice for whoever looks at it. Do not copy what cannot change."""
    option = optmanager._Option
    check(option, current="8ad1a4af7e54")
    stock_current = option.current

    def current(self):
        value = self._default if self.value is optmanager.unset else self.value
        return value if type(value) in (bool, int, str, type(None)) else stock_current(self)

    option.current = current


def authorities():
    """The same few names are taken apart and checked in each request. Remember some."""
    check(url, parse_authority="b1c5af10dbda")
    check(net_check, is_valid_host="0796d4796882", is_valid_port="6ba7874547da")
    stock_parse = url.parse_authority
    remembered = functools.lru_cache(256)(stock_parse)

    def parse_authority(authority, check):
        if type(authority) in (str, bytes) and len(authority) <= 255:
            return remembered(authority, bool(check))
        return stock_parse(authority, check)

    url.parse_authority = parse_authority


def type_checks():
    """Look at the types of a new message at once. mitmproxy's own check has the last word on all
    but what is plainly right."""
    check(http.MessageData, __post_init__="dd16b76f0a3e")
    stock = http.MessageData.__post_init__
    plain = {kind: {kind} for kind in (bytes, str, int, float, http.Headers)}
    plain |= {kind | None: {kind, type(None)} for kind in plain}
    try:
        expected = {
            kind: [(field.name, plain[field.type]) for field in dataclasses.fields(kind)]
            for kind in (http.RequestData, http.ResponseData)
        }
    except KeyError as error:
        raise Unknown(f"type {error}") from error

    def check_types(self):
        values = self.__dict__
        for name, kinds in expected.get(type(self), ((None, ()),)):
            if type(values.get(name)) not in kinds:
                stock(self)
                return

    http.MessageData.__post_init__ = check_types


def header_index():
    """Find fields by name in an index, which is made anew when a message has other fields.

    They are a tuple of tuples of bytes, so a change of one is another tuple. What an addon has put
    together otherwise is looked through as ever.
    """
    headers = http.Headers
    check(http, _native="e102d06fbbf5", _always_bytes="4ee72ad9a86c")
    check(strutils, always_bytes="91bf68568b3c")
    check(headers, get_all="22e8cae87ac5", _kconv="7af08bc9667d", _reduce_values="883dffa03a29")
    check(multidict._MultiDict, __getitem__="19362d8fb7e0", get_all="11e34ba8e42c")
    if (headers.__contains__, headers.get) != (Mapping.__contains__, Mapping.get):
        raise Unknown("Headers.get")
    stock_get_all, stock_getitem = headers.get_all, headers.__getitem__
    stock_contains, stock_get = headers.__contains__, headers.get

    def values_of(self, name):
        """The values of a field, None if only mitmproxy's own functions can tell."""
        fields, index = self.__dict__.get("_speed_index", (None, None))
        if fields is not self.fields:
            fields = self.fields
            index = index_of(fields) if type(self) is headers else None
            self.__dict__["_speed_index"] = fields, index
        if index is None:
            return None
        if type(name) is not str:
            name = http._always_bytes(name)
        else:
            name = name.encode("utf-8", "surrogateescape")
        return index.get(name.lower(), ())

    def index_of(fields):
        if type(fields) is not tuple:
            return None
        index = {}
        for field in fields:
            if type(field) is not tuple or len(field) != 2 or type(field[0]) is not bytes:
                return None
            index.setdefault(field[0].lower(), []).append(field[1])
        return index

    def get_all(self, name):
        values = values_of(self, name)
        if values is None:
            return stock_get_all(self, name)
        return [http._native(value) for value in values]

    def getitem(self, key):
        values = values_of(self, key)
        if values is None:
            return stock_getitem(self, key)
        if not values:
            raise KeyError(key)
        return ", ".join([http._native(value) for value in values])

    def contains(self, key):
        values = values_of(self, key)
        return stock_contains(self, key) if values is None else bool(values)

    def get(self, key, default=None):
        values = values_of(self, key)
        if values is None:
            return stock_get(self, key, default)
        return ", ".join([http._native(value) for value in values]) if values else default

    headers.get_all, headers.__getitem__ = get_all, getitem
    headers.__contains__, headers.get = contains, get


@types.coroutine
def a_task():
    """Wait until what runs has become a task."""
    yield NEEDS_TASK


@types.coroutine
def rest_of(coroutine, waits_for):
    """Go on with a coroutine that has begun without a task, and has come to where it waits."""
    try:
        if waits_for is NEEDS_TASK:
            waits_for = coroutine.send(None)
        while True:
            try:
                value = yield waits_for
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(value)
    except StopIteration:
        return


def hooks_at_once():
    """Run the hooks of a connection without a task for each, as long as no addon waits in one.

    An asynchronous function of an addon begins in a task of its own, as ever. What runs in a row is
    bounded, and what is above that gets its tasks.
    """
    handler = mode_servers.ProxyConnectionHandler
    check(
        server.ConnectionHandler,
        hook_task="3b1a1629926a",
        server_event="ac6e59393ecb fb648b86405f",
    )
    check(server.TimeoutWatchdog, disarm="16fa664ca42a")
    check(handler, handle_hook="1444933f3c99")
    check(addonmanager.AddonManager, handle_lifecycle="ed513d36fe20")
    check(flow.Flow, wait_for_resume="0e751801ecae")
    check(asyncio_utils, set_task_debug_info="b121f94e9a53")
    if handler.server_event is not server.ConnectionHandler.server_event:
        raise Unknown("ProxyConnectionHandler.server_event")
    if addonmanager.AddonManager.invoke_addon.__module__ != __name__:
        raise Unknown("AddonManager.invoke_addon")  # The piece dispatch knows of tasks.
    tasks = set()  # The event loop alone would not keep them.

    class WithoutHooks:
        """A layer whose hooks are put aside, with the context in which they are wanted."""

        def __init__(self, layer, hooks):
            self.layer, self.hooks = layer, hooks

        def handle_event(self, event):
            for command in self.layer.handle_event(event):
                if isinstance(command, commands.StartHook):
                    self.hooks.append((command, contextvars.copy_context()))
                else:
                    yield command

    class Pending:
        """The hooks of a connection that have not begun yet."""

        def __init__(self):
            self.hooks = collections.deque()
            self.tasks = 0  # have been made for hooks, and have not had their turn yet
            self.at_work = False

    async def server_event(self, event):
        pending = self.__dict__.get("_speed_pending")
        if pending is None:
            pending = self._speed_pending = Pending()
        layer = self.layer
        self.layer = WithoutHooks(layer, pending.hooks)
        try:
            await server.ConnectionHandler.server_event(self, event)
        finally:
            self.layer = layer
        if pending.at_work:
            return  # This comes from a hook below, where the others are begun.
        pending.at_work = True
        try:
            begun = 0
            while pending.hooks:
                begun += 1
                hook, context = pending.hooks.popleft()
                begin(self, hook, context, begun <= AT_ONCE_MAX and not pending.tasks)
        finally:
            pending.at_work = False

    def begin(self, hook, context, at_once):
        rest, waits_for = self.hook_task(hook), NEEDS_TASK
        if at_once:
            rest, waits_for = run(rest, context)
        if rest is not None:
            make_task(self, hook, context, go_on(self._speed_pending, rest, waits_for))

    def make_task(self, hook, context, coroutine):
        self._speed_pending.tasks += 1
        task = asyncio.get_running_loop().create_task(coroutine, context=context)
        name = f"handle_hook({hook.name})"
        asyncio_utils.set_task_debug_info(task, name=name, client=self.client.peername)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def run(coroutine, context):
        """What is left to be run, if it comes to where it waits, and what it waits for."""
        global without_task
        without_task = True
        try:
            return coroutine, context.run(coroutine.send, None)
        except StopIteration:
            return None, None
        except Exception as error:
            return fail(error), NEEDS_TASK
        finally:
            without_task = False

    async def go_on(pending, coroutine, waits_for):
        pending.tasks -= 1
        await rest_of(coroutine, waits_for)

    async def fail(error):
        raise error

    handler.server_event = server_event


PIECES = [dispatch, hooks_at_once, type_checks, header_index, idle_addons, options, authorities]


def apply(log, without=()):
    """Apply the pieces but those that are named. The function `log` takes a line. Returns the names
    of the pieces that are in place."""
    applied = []
    for piece in PIECES:
        name = piece.__name__
        if name in without:
            continue
        try:
            piece()
            applied.append(name)
        except (Unknown, AttributeError) as error:
            log(f"mitmproxy {version.VERSION} goes without the piece {name}: {error} is unknown")
    return applied
