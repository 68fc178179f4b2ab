"""Registries, an object store, a WebSocket's echo and language models: serve.py DIRECTORY PORT.

The origin's nginx passes what begins with their paths on to this. DIRECTORY has what make.py
has made. /egress-bucket lists one object. /websocket sends back each message.

/v1/chat/completions and /v1/messages answer in the event streams of two providers of language
models, token by token. Each token after the first is sent only when the client has written down
that it has the one before: a line in DIRECTORY/arrived/MODEL, where MODEL is the model asked for.
If that does not happen within 5 s, the next token is "LATE".
"""

import base64
import hashlib
import http.server
import json
import os
import struct
import sys
import time

ROOT, PORT = sys.argv[1], int(sys.argv[2])
TOKENS = ["one ", "by ", "one ", "they ", "arrive."]
LISTING = (
    '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>egress-bucket</Name><Prefix></Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
    "<Contents><Key>demo.txt</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;b5ea3a0e4ff4f6b6b2ae2f2c3ff1d9a1&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"
    "</ListBucketResult>"
)
KINDS = {".json": "application/json", ".html": "text/html", ".xml": "application/xml"}


def arrived(model):
    try:
        with open(os.path.join(ROOT, "arrived", os.path.basename(model)), encoding="utf-8") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def tokens(model):
    for number, token in enumerate(TOKENS):
        deadline = time.monotonic() + 5
        while arrived(model) < number and time.monotonic() < deadline:
            time.sleep(0.01)
        with open(os.path.join(ROOT, "sent", os.path.basename(model)), "a", encoding="utf-8") as file:
            file.write(f"{time.time():.4f}\n")
        yield token if arrived(model) == number else "LATE"


def chat(model):
    for token in tokens(model):
        choice = {"index": 0, "delta": {"role": "assistant", "content": token}, "finish_reason": None}
        yield None, {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    yield None, "[DONE]"


def messages(model):
    message = {"id": "1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    yield "message_start", {"message": message}
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
    for token in tokens(model):
        yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": token}}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 5}}
    yield "message_stop", {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="application/octet-stream", status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/websocket":
            return self.echo()
        if path.startswith("/egress-bucket"):
            if path.endswith("/demo.txt"):
                return self.answer(b"demo\n", "text/plain", ETag='"1"', Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")
            return self.answer(LISTING.encode(), "application/xml")
        file = os.path.join(ROOT, path.strip("/"))
        for name in (file, file + "/index.html", file + "/index.json"):
            if ".." not in path and os.path.isfile(name):
                return self.answer_file(name)
        return self.answer(b"not here\n", "text/plain", 404)

    do_HEAD = do_GET

    def answer_file(self, name):
        with open(name, "rb") as file:
            data = file.read()
        headers, kind = {}, KINDS.get(os.path.splitext(name)[1], "application/octet-stream")
        if "/manifests/" in name:
            kind = json.loads(data)["mediaType"]
            headers["Docker_Content_Digest"] = "sha256:" + hashlib.sha256(data).hexdigest()
        self.answer(data, kind, **headers)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        stream = {"/v1/chat/completions": chat, "/v1/messages": messages}.get(self.path.partition("?")[0])
        if stream is None:
            return self.answer(b"not here\n", "text/plain", 404)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event, data in stream(json.loads(body)["model"]):
            if event is not None:
                data = {"type": event, **data}
                self.wfile.write(f"event: {event}\n".encode())
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"data: {text}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
            self.send_header(name, value)
        self.end_headers()
        while True:
            first, second = self.rfile.read(2)
            length = second & 127
            if length == 126:
                (length,) = struct.unpack(">H", self.rfile.read(2))
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([first, length]) + data)
            self.wfile.flush()
            if first & 15 == 8:
                self.close_connection = True
                return

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
