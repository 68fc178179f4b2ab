"""Addon: answers 403 to paths that begin with /refuse-request or /refuse-requestheaders, in
the hook of that name."""

from mitmproxy import http


def refuse(flow, hook):
    if flow.request.path.startswith(f"/refuse-{hook}/"):
        flow.response = http.Response.make(403, b"refused\n", {"Content-Type": "text/plain"})


def requestheaders(flow):
    refuse(flow, "requestheaders")


def request(flow):
    refuse(flow, "request")
