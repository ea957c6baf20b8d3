"""Run a command with an object store beside it, in whose environment it runs: NAME COMMAND..."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.object_stores import SERVERS

if __name__ == "__main__":
    name, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory, SERVERS[name](Path(directory)) as server:
        environment = {**os.environ, **server.environment}
        ended = subprocess.run(command, env=environment, check=False)
    sys.exit(ended.returncode)
