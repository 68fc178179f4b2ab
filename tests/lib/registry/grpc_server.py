"""A gRPC server without TLS: grpc_server.py PORT. egress.Demo/Say streams back three times what it is told."""

import sys
from concurrent import futures

import grpc


def say(request, _context):
    for _ in range(3):
        yield request


server = grpc.server(futures.ThreadPoolExecutor(4))
handler = grpc.unary_stream_rpc_method_handler(say)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("egress.Demo", {"Say": handler}),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
