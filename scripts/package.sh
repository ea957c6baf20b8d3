#!/usr/bin/env bash
# Build into dist/ what a cluster needs whose machines have nothing of ours (docs/deploy.md):
#
#   mfspark-VERSION-py3-none-any.whl   for images and environments of your own
#   mfspark-VERSION.zip                for --py-files: mfspark alone, where the packages it needs are there
#   environment.tar.gz                 for --archives: Python, mfspark, its packages, but pyspark, which clusters have
#   requirements.txt                   the versions in it, for images
#
# The archive holds a copy of the Python behind `python`, so the machines need none. They need the same kind of
# processor and a C library as new as this machine's: build it on a system like theirs. Where pip would take torch
# for GPUs, set PIP_EXTRA_INDEX_URL to PyTorch's index of wheels for the CPU, which are a tenth of the size.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=$PWD/build/environment
# From another folder, and without what the caller's Python sees: or a clone's mfspark would pass for one in there.
unset PYTHONPATH PYTHONHOME
in_there() { (cd / && env -i HOME=/nonexistent PATH=/usr/bin:/bin "$environment/bin/python" -E -s "$@"); }
step() { printf 'package: %3d s  %s\n' "$SECONDS" "$*" >&2; }

rm -rf build dist
step "wheel and zip"
python -m pip wheel -qq --no-deps --wheel-dir dist .
wheel=$(echo dist/mfspark-*.whl)
cp "$wheel" "${wheel%-py3-none-any.whl}.zip" # spark-submit takes a wheel only by this name

step "a copy of Python"
python - "$environment" <<'PYTHON'
import os
import shutil
import sys
import sysconfig
from pathlib import Path

target, stdlib = Path(sys.argv[1]), Path(sysconfig.get_path("stdlib"))
left_out = ("site-packages", "dist-packages", "EXTERNALLY-MANAGED", "test", "idlelib", "turtledemo", "config-*")
shutil.copytree(stdlib, target / "lib" / stdlib.name, ignore=shutil.ignore_patterns(*left_out))
for library in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython*.so*"):
    shutil.copy(library, target / "lib", follow_symlinks=False)
(target / "bin").mkdir()
shutil.copy(os.path.realpath(sys.executable), target / "bin" / stdlib.name)
PYTHON
# Wherever it is unpacked, it finds its own library: some Pythons look for it at a fixed place only.
name=$(basename "$environment"/bin/*)
cat >"$environment/bin/python" <<SH
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
LD_LIBRARY_PATH=\$here/../lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec "\$here/$name" "\$@"
SH
chmod +x "$environment/bin/python"

step "packages"
requirements=build/requirements.txt
python - >"$requirements" <<'PYTHON'
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
needed = project["dependencies"] + project["optional-dependencies"].get("cloud", [])
print(*(each for each in needed if not each.startswith("pyspark")), sep="\n")
PYTHON
install() { python -m pip --python "$environment/bin/python" install -qq --no-warn-script-location "$@"; }
install "$(grep '^torch' "$requirements")" # first and alone, as in setup.sh
install --requirement "$requirements"
install --no-deps "$wheel"
python -m pip --python "$environment/bin/python" freeze | grep -v '^mfspark' >dist/requirements.txt
# What nobody imports: tests, and what C compilers read.
find "$environment/lib" -depth -type d \( -name tests -o -name include \) -path '*-packages/*' -exec rm -rf {} +
find "$environment/lib" -name '*.a' -delete
in_there -c 'import torch, mfspark.grid.training
if torch.version.cuda: print("package: this torch is built for GPUs, and very large: see scripts/package.sh")' >&2

step "archive"
tar -C "$environment" -czf dist/environment.tar.gz .
step "done"
du -h dist/* >&2
