"""/healthz under load: 32 clients, a new connection for each request."""

import contextlib
import pathlib

import lab
from benchmarks import load
from row import Row

ROWS = [
    Row("/healthz, 32 clients, a connection each: requests", "/s", at_least=1),
    Row("/healthz, 32 clients: 99th percentile", "ms", at_most=1),
]
NGINX_PORT = 18090
CLIENTS = 32
DURATION = "1s" if lab.quick else "3s"
CONFIGURATION = """daemon off;
user nobody nogroup;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  scgi_temp_path {directory}; uwsgi_temp_path {directory};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }}
}}
"""


def forget_connections_soon():
    """The kernel's table of connections, for both, holds minutes of a load test otherwise."""
    for state in "time_wait", "close", "last_ack":
        path = pathlib.Path(f"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_{state}")
        with contextlib.suppress(OSError):
            path.write_text("1", encoding="ascii")


@contextlib.contextmanager
def contenders():
    with lab.volumes() as ours:
        path = ours.directory / "nginx.conf"
        path.write_text(CONFIGURATION.format(directory=ours.directory, port=NGINX_PORT))
        nginx = ["nginx", "-e", str(ours.directory / "error.log"), "-c", str(path)]
        with lab.ready_healthd(ours), lab.running(nginx):
            lab.wait_for(lambda: lab.http_status(NGINX_PORT) == 200, "nginx answers")
            forget_connections_soon()
            yield {
                "healthd": lambda: load.on(lab.HEALTH_PORT, CLIENTS, DURATION),
                "nginx, one worker": lambda: load.on(NGINX_PORT, CLIENTS, DURATION),
            }
