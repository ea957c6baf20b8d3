#!/usr/bin/env bash
# Set up everything the commands need: Java 17 or 21, and a virtual environment with mfspark in it.
# Safe to call again. `make` calls it only when pyproject.toml or the scripts have changed.
#
#   MFSPARK_VENV    directory of the virtual environment (default .venv)
#   MFSPARK_PYTHON  Python 3.11 or later to make it with (default: the first one found)
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${MFSPARK_VENV:-.venv}
stamps=$venv/.mfspark-setup # and the checksum of this clone's path: one environment may serve several clones

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 2
}
can_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }
install_package() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" </dev/null >&2
}

ensure_java() {
    scripts/find_java.sh >/dev/null && return
    local remedy="install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME to one, then run this again"
    can_install || fail "no Java 17 or 21 was found; $remedy"
    say "no Java 17 or 21 was found: installing it with apt-get"
    apt-get update -qq </dev/null >&2 || say "apt-get update failed; trying with the old lists"
    install_package openjdk-17-jre-headless || install_package openjdk-21-jre-headless ||
        fail "apt-get could not install Java; $remedy"
    scripts/find_java.sh >/dev/null || fail "Java was installed, but none of version 17 or 21 is found; $remedy"
}

is_recent_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local python
    for python in ${MFSPARK_PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if is_recent_python "$python"; then
            printf '%s\n' "$python"
            return
        fi
    done
    fail "no Python 3.11 or later was found; install one, or name it in MFSPARK_PYTHON"
}

ensure_venv() {
    if is_recent_python "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    local python
    python=$(find_python)
    say "making the virtual environment $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" 2>/dev/null && return
    local package
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    can_install || fail "$python has no module venv; install it (Debian, Ubuntu: apt-get install $package)"
    apt-get update -qq </dev/null >&2 || true
    install_package "$package" && "$python" -m venv --clear "$venv" ||
        fail "cannot make a virtual environment in $venv with $python"
}

ensure_java
ensure_venv
say "installing packages into $venv (the first time takes a few minutes)"
# torch first and by pip alone: where pip is set up to find a build for the CPU, that one is taken.
"$venv/bin/python" -m pip install -qq --disable-pip-version-check "torch>=2.10,<2.14"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable ".[dev]"
say "compiling kernels, by a night of the survey"
trial=$(mktemp -d)
scripts/in_env.sh mfspark run --warehouse "$trial" >/dev/null 2>&1 ||
    say "that night failed; kernels are compiled when they are first used ('make run' shows why)"
rm -rf "$trial"
rm -f "$stamps"-* # mfspark in this environment is now this clone's, and no other's
touch "$stamps-$(pwd -P | cksum | cut -d ' ' -f 1)"
say "done: Java in $(scripts/find_java.sh), packages in $venv"
