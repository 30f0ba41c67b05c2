"""`ptmoe serve`: answer over HTTP, in the forms of OpenAI, with adapters of one base model.

The model name of a request chooses the adapter. The environment variable PTMOE_API_KEY sets a key.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import socket

from ptmoe.runtime.arguments import add_adapters, count
from ptmoe.runtime.errors import PtmoeError

KEY = "PTMOE_API_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_adapters(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s, this machine")
    parser.add_argument("--port", type=_port, default=8000, help="default: %(default)s; 0: any free one")
    parser.add_argument(
        "--max-requests", type=count, default=256, metavar="N", help="questions at a time; more get 429 (default 256)"
    )
    parser.add_argument(
        "--max-body-bytes", type=count, default=1 << 20, metavar="N", help="largest request (default 1 MiB)"
    )


def run(args: argparse.Namespace) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers what it owes."""
    from ptmoe.runtime.progress import say
    from ptmoe.serving.opened import Limits, named_adapters, open_house

    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise PtmoeError(f"`ptmoe serve` needs {error.name}; run `pip install 'ptmoe[serve]'`") from None
    key = os.environ.get(KEY, "")
    if not key and not _is_loopback(args.host):
        raise PtmoeError(f"--host {args.host} can be reached from other machines; set {KEY} to a secret first")
    listening = listen(args.host, args.port)
    limits = Limits(args.max_new_tokens, None, args.max_batch_tokens)
    house = open_house(named_adapters(args.adapter), limits, args.base, args.trust_remote_code)
    from ptmoe.serving.app import Gate, make_app
    from ptmoe.serving.service import Service

    app = make_app(Service(house, args.max_requests), Gate(key, args.max_body_bytes))
    say(f"serving {', '.join(house.adapters)} at http://{args.host}:{listening.getsockname()[1]}/v1")
    # uvicorn drains on SIGTERM and then raises it again, which would end the process as if it had been killed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])
    say("stopped; every answer was given")


def listen(host: str, port: int) -> socket.socket:
    """Takes a port before the models are loaded; raises `PtmoeError` where that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
        # asyncio sets this only on sockets that it made; without it each reply waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise PtmoeError(f"{host}:{port} cannot be used ({error.strerror}); give another --host or --port") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"got {text!r:.40}; allowed: 0 (any free port) to 65535")
    return int(text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
