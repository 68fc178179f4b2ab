"""Addon: raises in the hook that a path names (/raise-request/...), and reads the text of
those that begin with /text/, as addons do that look for secrets. Replaces the body of others
(/replace/..., /text-in-requestheaders/...), or takes away its length (/no-length/...), or the reason
of a WebSocket's end (/websocket/...)."""


def fail(flow, hook):
    if flow.request.path.startswith(f"/raise-{hook}/"):
        raise RuntimeError(f"raised in {hook}, as asked for")


def requestheaders(flow):
    fail(flow, "requestheaders")
    if flow.request.path.startswith("/text-in-requestheaders/"):
        flow.request.text = "replaced"


def request(flow):
    fail(flow, "request")
    if flow.request.path.startswith("/replace/"):
        flow.request.text = "replaced"
    if flow.request.path.startswith("/no-length/"):
        flow.request.headers.pop("content-length", None)
    if flow.request.path.startswith("/text/"):
        assert flow.request.text is not None


def responseheaders(flow):
    fail(flow, "responseheaders")


def websocket_message(flow):
    if flow.request.path.startswith("/websocket-counts/"):
        flow.websocket.messages[-1].content = b"%d" % len(flow.websocket.messages)
    if flow.request.path.startswith("/websocket-raises/"):
        raise RuntimeError("raised in websocket_message, as asked for")


def tcp_message(flow):
    if b"raise-tcp" in flow.messages[-1].content:
        raise RuntimeError("raised in tcp_message, as asked for")


def websocket_end(flow):
    if flow.request.path.startswith("/websocket/"):
        flow.websocket.close_reason = ""
