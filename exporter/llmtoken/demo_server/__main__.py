"""`python -m llmtoken.demo_server`: run the demo model server by itself."""

from __future__ import annotations

import argparse

import uvicorn

from llmtoken.demo_server import create_app

parser = argparse.ArgumentParser(prog="python -m llmtoken.demo_server", description="A model server without a model.")
parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
arguments = parser.parse_args()
uvicorn.run(create_app(), host=arguments.host, port=arguments.port, access_log=False, server_header=False)
