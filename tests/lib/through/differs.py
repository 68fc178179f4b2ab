"""Where the two ways differ today, and why. A row that differs no longer has to leave the table."""

KNOWN = {
    "By design: what two parsers could understand differently is refused with 400 (docs/security.md).": """
        HTTP/1: HTTP/1.1 without Host, TLS
        HTTP/1: HTTP/1.1 without Host, plain
        HTTP/1: HTTP/1.2, TLS
        HTTP/1: HTTP/1.2, plain
        HTTP/1: Transfer-Encoding: gzip, chunked, TLS
        HTTP/1: Transfer-Encoding: gzip, chunked, plain
        HTTP/1: a body of two equal lengths, TLS
        HTTP/1: a body of two equal lengths, plain
        HTTP/1: a byte order mark, TLS
        HTTP/1: a byte order mark, plain
        HTTP/1: a field's value in two lines, TLS
        HTTP/1: a field's value in two lines, plain
        HTTP/1: a length in a list, TLS
        HTTP/1: a length in a list, plain
        HTTP/1: lower-case get, TLS
        HTTP/1: lower-case get, plain
        HTTP/1: two spaces in the request line, TLS
        HTTP/1: two spaces in the request line, plain
        HTTP: target: a fragment, TLS
        HTTP: target: a fragment, h2
        HTTP: target: a fragment, plain
    """,
    "By design: CONNECT asks for a forward proxy, by which requests would pass unseen, and is 400 (docs/troubleshooting.md).": """
        HTTP/1: CONNECT, TLS
        HTTP/1: CONNECT, plain
    """,
    "By design: Upgrade and Connection go on for WebSocket alone, and no tunnel opens behind a 101 (docs/security.md).": """
        HTTP/1: Connection names a field, TLS
        HTTP/1: Connection names a field, plain
        HTTP/1: Upgrade: foo, declined, TLS
        HTTP/1: Upgrade: foo, declined, plain
        HTTP/1: Upgrade: h2c, TLS
        HTTP/1: Upgrade: h2c, plain
        HTTP/1: answer of 101 to another protocol, TLS
        HTTP/1: answer of 101 to another protocol, plain
    """,
    "By design: interim answers and the trailers of HTTP/1.1 are left out (docs/security.md).": """
        HTTP: 100 that nobody has asked for, TLS
        HTTP: 100 that nobody has asked for, h2
        HTTP: 100 that nobody has asked for, plain
        HTTP: 102, TLS
        HTTP: 102, h2
        HTTP: 102, plain
        HTTP: 103 twice, TLS
        HTTP: 103 twice, h2
        HTTP: 103 twice, plain
        HTTP: 103, TLS
        HTTP: 103, h2
        HTTP: 103, plain
        HTTP: 199, TLS
        HTTP: 199, h2
        HTTP: 199, plain
        HTTP: trailers of a request, TLS
        HTTP: trailers of a request, plain
        HTTP: trailers of an answer, TLS
        HTTP: trailers of an answer, plain
    """,
    "mitmproxy answers Expect: 100-continue itself, before the origin has seen the request, and takes the field away.": """
        HTTP: Expect: 100-continue, accepted, TLS
        HTTP: Expect: 100-continue, accepted, h2
        HTTP: Expect: 100-continue, accepted, plain
        HTTP: Expect: 100-continue, large, accepted, TLS
        HTTP: Expect: 100-continue, large, accepted, h2
        HTTP: Expect: 100-continue, large, accepted, plain
        HTTP: Expect: 100-continue, large, refused with 413, TLS
        HTTP: Expect: 100-continue, large, refused with 413, h2
        HTTP: Expect: 100-continue, large, refused with 413, plain
        HTTP: Expect: 100-continue, not heeded, TLS
        HTTP: Expect: 100-continue, not heeded, h2
        HTTP: Expect: 100-continue, not heeded, plain
        HTTP: Expect: 100-continue, refused with 401, TLS
        HTTP: Expect: 100-continue, refused with 401, h2
        HTTP: Expect: 100-continue, refused with 401, plain
        HTTP: Expect: 100-continue, refused with 413, TLS
        HTTP: Expect: 100-continue, refused with 413, h2
        HTTP: Expect: 100-continue, refused with 413, plain
        HTTP: Expect: 100-continue, refused with 417, TLS
        HTTP: Expect: 100-continue, refused with 417, h2
        HTTP: Expect: 100-continue, refused with 417, plain
    """,
    "By design: a request body up to MITMPROXY_STREAM_REQUESTS is held until it is whole (docs/addons.md).": """
        HTTP: a request and its answer at once, TLS
        HTTP: a request and its answer at once, h2
        HTTP: a request and its answer at once, plain
        HTTP: an answer before the request's body, TLS
        HTTP: an answer before the request's body, h2
        HTTP: an answer before the request's body, plain
        HTTP: upload: chunks as they come, TLS
        HTTP: upload: chunks as they come, h2
        HTTP: upload: chunks as they come, plain
        HTTP: upload: pieces of a known length, TLS
        HTTP: upload: pieces of a known length, h2
        HTTP: upload: pieces of a known length, plain
        ends: close by the client in the request, h2
        ends: half-closed by the server before the request has ended, TLS
        ends: half-closed by the server before the request has ended, plain
        ends: reset by the client in the request, h2
    """,
    "stream.py holds an answer of a known length up to 1 MiB until it is whole; what comes after the head, or not, is not seen before.": """
        HTTP: pieces of 256 kB of a known length, TLS
        HTTP: pieces of 256 kB of a known length, h2
        HTTP: pieces of 256 kB of a known length, plain
        HTTP: small pieces of a known length, TLS
        HTTP: small pieces of a known length, h2
        HTTP: small pieces of a known length, plain
        HTTP: the head comes before a small body, TLS
        HTTP: the head comes before a small body, h2
        HTTP: the head comes before a small body, plain
        ends: a server that stalls in the body, TLS
        ends: a server that stalls in the body, plain
    """,
    "mitmproxy takes the next request when the one before is answered.": """
        HTTP/1: a second request before the first answer, TLS
        HTTP/1: a second request before the first answer, plain
    """,
    "After Connection: close, and after HTTP/1.0, mitmproxy closes by itself, where direct both wait.": """
        HTTP/1: Connection: close of the server, who does not close, TLS
        HTTP/1: Connection: close of the server, who does not close, plain
        HTTP/1: Connection: close that the server does not heed, TLS
        HTTP/1: Connection: close that the server does not heed, plain
        HTTP/1: answer of HTTP/1.0, TLS
        HTTP/1: answer of HTTP/1.0, plain
        HTTP/1: answer with Connection: close, TLS
        HTTP/1: answer with Connection: close, plain
    """,
    "By design: an answer that is no HTTP/1.1 to the letter is 502, and what follows an answer is dropped.": """
        HTTP/1: answer and more bytes, TLS
        HTTP/1: answer and more bytes, plain
        HTTP/1: answer of 204 with a body, TLS
        HTTP/1: answer of 204 with a body, plain
        HTTP/1: answer of 304 and more bytes, TLS
        HTTP/1: answer of 304 and more bytes, plain
        HTTP/1: answer of HTTP/0.9, TLS
        HTTP/1: answer of HTTP/0.9, plain
        HTTP/1: answer of HTTP/2 to HTTP/1, TLS
        HTTP/1: answer of HTTP/2 to HTTP/1, plain
        HTTP/1: answer of half a head, TLS
        HTTP/1: answer of half a head, plain
        HTTP/1: answer that is none, TLS
        HTTP/1: answer that is none, plain
        HTTP/1: answer with a length and chunks, TLS
        HTTP/1: answer with a length and chunks, plain
        HTTP/1: answer with a space before a colon, TLS
        HTTP/1: answer with a space before a colon, plain
        HTTP/1: answer with two equal lengths, TLS
        HTTP/1: answer with two equal lengths, plain
        HTTP/1: answer with two lengths, TLS
        HTTP/1: answer with two lengths, plain
    """,
    "What breaks off in its head, or is held by stream.py, is 502.": """
        bodies: an answer that ends before its length, TLS
        bodies: an answer that ends before its length, plain
        ends: closed by the server after the head, TLS
        ends: closed by the server after the head, plain
        ends: closed by the server in a body with a length, TLS
        ends: closed by the server in a body with a length, plain
        ends: closed by the server in the head, TLS
        ends: closed by the server in the head, plain
        ends: cut by the server after the head, TLS
        ends: cut by the server in a body with a length, TLS
        ends: cut by the server in the head, TLS
        ends: reset by the server after the head, TLS
        ends: reset by the server after the head, plain
        ends: reset by the server in a body with a length, TLS
        ends: reset by the server in a body with a length, plain
        ends: reset by the server in the head, TLS
        ends: reset by the server in the head, plain
    """,
    "By design: a head above 256 KiB is refused (docs/security.md).": """
        HTTP: a field of 1 MB in an answer, TLS
        HTTP: a field of 1 MB in an answer, plain
    """,
    "The one transfer coding is written in small letters.": """
        HTTP/1: Transfer-Encoding: Chunked, plain
        HTTP/1: Transfer-Encoding: Chunked, TLS
    """,
    "By design: CONNECT in HTTP/2 is refused (RST_STREAM PROTOCOL_ERROR); an extended one nobody has offered.": """
        HTTP/2: extended CONNECT, which nobody has offered, h2
    """,
    "What was chosen in ALPN is spoken: what is no HTTP/2 does not pass.": """
        HTTP/2: what is no HTTP/2 where it was chosen, h2
    """,
    "By design: pings and pongs go on empty (docs/security.md).": """
        WebSocket: a ping of the server, TLS
        WebSocket: a ping of the server, plain
        WebSocket: a ping with a payload, TLS
        WebSocket: a ping with a payload, plain
        WebSocket: a pong that nobody has asked for, TLS
        WebSocket: a pong that nobody has asked for, plain
        WebSocket: five pings, TLS
        WebSocket: five pings, plain
    """,
    "mitmproxy collects a message of a WebSocket before it goes on.": """
        WebSocket: a fragment as it comes, TLS
        WebSocket: a fragment as it comes, plain
    """,
    "mitmproxy holds a WebSocket to the rules, and says which was broken.": """
        WebSocket: a masked frame of the server, TLS
        WebSocket: a masked frame of the server, plain
        WebSocket: an unknown opcode, TLS
        WebSocket: an unknown opcode, plain
        WebSocket: text that is no UTF-8, TLS
        WebSocket: text that is no UTF-8, plain
    """,
    "By design: a message above 16 MiB ends a WebSocket with 1009 (docs/security.md).": """
        WebSocket: a message of 20 MiB, plain
    """,
    "mitmproxy accepts connections before it has the origin's: one that cannot be had is 502, at the latest after 30 s.": """
        origin: an origin that cannot be reached (ICMP), TLS
        origin: an origin that cannot be reached (ICMP), plain
        origin: an origin that does not answer, TLS
        origin: an origin that does not answer, plain
        origin: an origin that refuses connections, TLS
        origin: an origin that refuses connections, plain
    """,
    "By design: mitmproxy verifies the origin in the client's place, and says 502 (docs/troubleshooting.md).": """
        origin: TLS 1.0 alone at the origin, TLS
        origin: a certificate that has expired, TLS
        origin: a certificate that has expired, h2
        origin: a certificate that is not valid yet, TLS
        origin: a certificate that is not valid yet, h2
        origin: a certificate that is of an unknown CA, TLS
        origin: a certificate that is of an unknown CA, h2
        origin: a certificate that is of another name, TLS
        origin: a certificate that is of another name, h2
        origin: a certificate that is self-signed, TLS
        origin: a certificate that is self-signed, h2
        origin: an expired certificate, which the client does not check, TLS
        origin: an origin that answers a ClientHello with access_denied, TLS
        origin: an origin that answers a ClientHello with handshake_failure, TLS
        origin: an origin that answers a ClientHello with internal_error, TLS
        origin: an origin that answers a ClientHello with plain HTTP, TLS
        origin: an origin that answers a ClientHello with unrecognized_name, TLS
        origin: an origin that closes after the ClientHello, TLS
        origin: an origin that closes after the ClientHello, h2
        origin: an origin that resets after the ClientHello, TLS
        origin: an origin that resets after the ClientHello, h2
    """,
    "mitmproxy's own TLS stands on both sides: versions and ciphers need not agree, and old ones are not offered.": """
        origin: TLS 1.0 alone at the origin, and the client takes it, TLS
        origin: TLS 1.2 at the client, 1.3 at the origin, TLS
        origin: a cipher that the client has not, TLS
    """,
    "A client's certificate cannot be passed on: an origin that must have it is 502 (docs/troubleshooting.md).": """
        origin: a client's certificate that may be shown, shown, TLS
        origin: a client's certificate that must be shown, not shown, TLS
        origin: a client's certificate that must be shown, not shown, h2
        origin: a client's certificate that must be shown, shown, TLS
    """,
    "By design: without SNI the origin's certificate is verified for its address (MITMPROXY_NO_NAME).": """
        origin: no SNI, TLS
        origin: no SNI, h2
    """,
}
DIFFERS = {row.strip(): reason for reason, rows in KNOWN.items() for row in rows.strip().splitlines()}
