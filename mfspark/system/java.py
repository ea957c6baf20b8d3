"""The Java that Spark would start, and whether Spark runs on it."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mfspark.errors import ConfigError
from mfspark.system.connect import remote_server

REMEDY = (
    "install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) "
    "or set JAVA_HOME to one"
)
_G1_CORRUPTS = {(25, 0, 0), (25, 0, 1), (25, 0, 2)}


@dataclass(frozen=True)
class Java:
    """A Java installation; `version` is empty where it does not say."""

    program: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version)) or 'of unknown version'} in {self.program}"

    @property
    def problem(self) -> str:
        """Why Spark cannot run on it; empty where it can."""
        if not self.version:
            return "its version cannot be told"
        if (*self.version, 0, 0)[:3] in _G1_CORRUPTS:
            return "JDK 25.0.0 to 25.0.2 corrupt memory in their G1 collector"
        return "Spark needs Java 17 or later" if self.version[0] < 17 else ""

    @property
    def tested(self) -> bool:
        """Whether it is one of the versions that mfspark is tested on."""
        return self.version[:1] in ((17,), (21,))


def find_java() -> Java | None:
    """Return the Java that Spark would start: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    program = Path(home, "bin", "java") if home else shutil.which("java")
    if not program or not os.access(program, os.X_OK):
        return None
    return Java(Path(program), _version_of(Path(program)))


def require_java() -> None:
    """Raise ConfigError with the remedy where Spark would find no Java that it runs on.

    A Spark Connect server elsewhere has a Java of its own.
    """
    if remote_server():
        return
    java = find_java()
    if java is None:
        home = os.environ.get("JAVA_HOME")
        where = f"JAVA_HOME = {home} has no bin/java" if home else "there is no java on PATH"
        raise ConfigError(f"Spark needs Java: {where}", REMEDY)
    if java.problem:
        raise ConfigError(f"Spark cannot run on Java {java}: {java.problem}", REMEDY)


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a Java version such as 17.0.12, 21, 25.0.1-ea or 1.8.0_392."""
    numbers = re.match(r"\d+(\.\d+)*", text.strip())
    return tuple(int(n) for n in numbers[0].split(".")) if numbers else ()


def _version_of(program: Path) -> tuple[int, ...]:
    """Read the version from the installation's file `release`, which is faster than asking."""
    release = program.resolve().parent.parent / "release"
    try:
        found = re.search(r'^JAVA_VERSION="([^"]*)"', release.read_text(), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        found = None
    if not found:
        try:
            said = subprocess.run(
                [program, "-version"], capture_output=True, text=True, timeout=30, check=False
            ).stderr
        except (OSError, subprocess.TimeoutExpired):
            return ()
        found = re.search(r' version "([^"]*)"', said)
    return parse_version(found[1]) if found else ()
