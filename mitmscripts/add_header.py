"""Mark every request that went through the proxy.

The smallest useful addon: what the origin receives carries
`X-OpenSandbox-Egress: 1`, whatever the client had put there.
"""

NAME = "X-OpenSandbox-Egress"


def request(flow):
    # CGI and its like take a name with "_" for the one with "-".
    for name in [*flow.request.headers]:
        if name.replace("_", "-").lower() == NAME.lower():
            del flow.request.headers[name]
    # HTTP/2 has lower case only. mitmproxy would change it, and log a line for
    # every request.
    http1 = flow.request.http_version.startswith("HTTP/1")
    flow.request.headers[NAME if http1 else NAME.lower()] = "1"
