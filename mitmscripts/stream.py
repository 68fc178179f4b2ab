"""Pass on at once what the origin sends piece by piece.

mitmproxy collects a whole response before the client sees the first byte of
it. Event streams never end, and chunked responses (progress output, tokens of
a language model) are of use only as they arrive, so both are streamed here.
Large responses are, too, because collecting them takes their size in memory.
Addons see the headers of a streamed response but not its body. One that needs
the body sets `flow.response.stream = False` in its own `responseheaders`: it
is loaded after this one, so its word counts.
"""

LARGE = 1024 * 1024


def responseheaders(flow):
    response = flow.response
    if response.status_code == 101:
        return  # WebSocket: passed on frame by frame, whatever is said here
    content_type = response.headers.get("content-type", "").lower()
    event_stream = content_type.startswith("text/event-stream")
    # HTTP/1.1 says "chunked", HTTP/2 and 3 just give no length.
    length = response.headers.get("content-length")
    if event_stream or length is None or int(length) > LARGE:
        response.stream = True
