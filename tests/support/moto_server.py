"""Run moto's server on a port of this machine: moto_server.py PORT

moto looks whether a condition holds, and then puts: on a busy machine two threads do so at one
time, and both of two writers are told that they won. Here it answers one request after the other.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from moto import server

if __name__ == "__main__":
    alone = threading.Lock()
    run = server.run_simple

    def run_in_turn(host: str, port: int, application: Any, **options: Any) -> None:
        def in_turn(environ: Any, start_response: Any) -> Any:
            with alone:
                return application(environ, start_response)

        run(host, port, in_turn, **options)

    server.run_simple = run_in_turn
    server.main(["-H", "127.0.0.1", "-p", sys.argv[1]])
