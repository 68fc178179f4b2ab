"""Answers in pieces: the origin's nginx passes /events and /chunked on to this.

Usage: slow_origin.py PORT. The pause between the two pieces is ?pause=SECONDS.
"""

import http.server
import sys
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        pause = float(urllib.parse.parse_qs(url.query).get("pause", ["1"])[0])
        events = url.path == "/events"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if events else "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        form = "data: %s\n\n" if events else "%s\n"
        self.send_piece(form % "first")
        time.sleep(pause)
        self.send_piece(form % "second")
        self.send_piece("")

    def send_piece(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
