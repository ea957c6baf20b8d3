"""The files a data engineer copies: configuration, Spark settings, crontab, DAG, Makefile, Java."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mfspark.config.config import Config
from mfspark.config.loading import load_config
from mfspark.config.section import Section
from mfspark.system import spark as session

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"


# --- nightly.toml -------------------------------------------------------------------------------


def test_nightly_toml_is_the_defaults_written_out() -> None:
    assert load_config(CONF / "nightly.toml") == Config()


def test_nightly_toml_names_every_section() -> None:
    values = tomllib.loads((CONF / "nightly.toml").read_text())

    def missing(config: Section, found: dict[str, Any], path: str = "") -> list[str]:
        sections = {n: v for n, v in config if isinstance(v, Section)}
        absent = [path + name for name in sections if name not in found]
        below = [
            missing(section, found[name], f"{path}{name}.")
            for name, section in sections.items()
            if name in found
        ]
        return absent + [name for names in below for name in names]

    assert missing(Config(), values) == []


# --- spark-defaults.conf ------------------------------------------------------------------------


def spark_defaults() -> dict[str, str]:
    lines = (CONF / "spark-defaults.conf").read_text().splitlines()
    set_lines = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    found = {key: value.strip() for key, value in set_lines}
    assert len(found) == len(set_lines), "a setting is given twice"
    return found


def test_spark_defaults_are_those_of_the_session() -> None:
    found = spark_defaults()
    for key, value in session._DEFAULTS.items():
        assert found.get(key) == value, key
    for key, value in session._FIXED.items():
        assert found.get(key, value) == value, key  # may be left out, never contradicted


def test_spark_defaults_leave_the_cluster_to_spark_submit() -> None:
    text = (CONF / "spark-defaults.conf").read_text()
    assert not re.search(r"^\s*#?\s*spark\.(master|submit\.deployMode)\b", text, re.MULTILINE)
    machine = [key for key in spark_defaults() if re.search("memory|cores|instances|host", key)]
    assert machine == []


def test_what_is_proposed_for_machines_with_nothing_of_ours_fits_the_package() -> None:
    proposed = dict(
        line.removeprefix("#").split(maxsplit=1)
        for line in (CONF / "spark-defaults.conf").read_text().splitlines()
        if re.match(r"#spark\.(archives|pyspark)\b", line)
    )
    archive, name = proposed["spark.archives"].split("#")
    assert archive in (ROOT / "scripts" / "package.sh").read_text()
    assert proposed["spark.pyspark.python"].startswith(f"./{name}/")
    # Or the driver, beside which nothing is unpacked in client mode, would look there too.
    assert not proposed["spark.pyspark.driver.python"].startswith("./")


# --- Dockerfile (its style is hadolint's, in make check) ------------------------------------------


def dockerfile() -> list[list[str]]:
    """Return the instructions, each as its words."""
    text = (CONF / "kubernetes" / "Dockerfile").read_text()
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split() for line in lines.splitlines() if line.strip()]


def test_the_image_is_made_of_what_there_is_and_nothing_else_is_sent() -> None:
    copied = [words[1:-1] for words in dockerfile() if words[0] == "COPY"]
    sources = [each for words in copied if not words[0].startswith("--from") for each in words]
    packed = [each for each in sources if each.startswith("dist/")]
    assert packed == ["dist/requirements.txt", "dist/mfspark-*.whl"]  # make package
    assert all((ROOT / each).exists() for each in sources if each not in packed)
    ignored = (CONF / "kubernetes" / "Dockerfile.dockerignore").read_text().splitlines()
    assert [line for line in ignored if not line.startswith("#")] == [
        "*",
        *(f"!{each}".replace("mfspark-*", "*") for each in sources),
    ]


def test_the_image_has_a_python_that_mfspark_takes_and_a_spark_that_it_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = [words[1] for words in dockerfile() if words[0] == "FROM"]
    found = {image.split(":")[0]: image.split(":")[1] for image in images}

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(n) for n in re.findall(r"\d+", text)[:2])

    (spark,) = (each for each in project["dependencies"] if each.startswith("pyspark"))
    assert numbers(found["python"]) >= numbers(project["requires-python"])
    assert numbers(found["spark"]) >= numbers(spark.split(",")[0])
    assert "java17" in found["spark"] or "java21" in found["spark"]


def test_the_image_does_not_run_as_root() -> None:
    users = [words[1] for words in dockerfile() if words[0] == "USER"]
    assert users
    assert int(users[-1]) > 0  # a number: Kubernetes can tell that it is not root


# --- crontab ------------------------------------------------------------------------------------


def crontab() -> tuple[dict[str, str], list[tuple[list[str], str]]]:
    """Return the environment and the jobs (five time fields, command as the shell gets it)."""
    environment: dict[str, str] = {}
    jobs: list[tuple[list[str], str]] = []
    for line in (CONF / "crontab.example").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if found := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            environment[found[1]] = found[2]
            continue
        *times, command = line.split(maxsplit=5)
        assert re.search(r"(?<!\\)%", command) is None, "cron ends the command at a bare %"
        jobs.append((times, command.replace("\\%", "%")))
    return environment, jobs


def test_crontab_parses_and_names_files_that_exist() -> None:
    environment, jobs = crontab()
    assert {"SHELL", "MAILTO", "MFSPARK_HOME", "RATINGS", "LOGS"} == set(environment)
    for times, command in jobs:
        assert all(re.fullmatch(r"\*(/\d+)?|\d+", field) for field in times)
        subprocess.run(["bash", "-n", "-c", command], check=True)
    nightly = jobs[0][1]
    for path in ("scripts/in_env.sh", "conf/spark-defaults.conf", "conf/nightly.toml"):
        assert path in nightly
        assert (ROOT / path).is_file()


@pytest.fixture
def stub_home(tmp_path: Path) -> Path:
    """A home whose `in_env.sh` writes down what it was asked to run and ends with $STUB_STATUS."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "in_env.sh").write_text(
        '#!/bin/bash\nfor word in "$@"; do echo "word: $word"; done\n'
        'echo "a warning" >&2\nexit "${STUB_STATUS:-0}"\n'
    )
    (scripts / "in_env.sh").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("status", [0, 3, 75])
def test_crontab_job_logs_and_mails_failures_only(stub_home: Path, status: int) -> None:
    _, jobs = crontab()
    environment = {
        "PATH": os.environ["PATH"],
        "MFSPARK_HOME": str(stub_home),
        "RATINGS": "/data/*.csv",
        "LOGS": str(stub_home),
        "STUB_STATUS": str(status),
    }
    done = subprocess.run(
        ["bash", "-c", jobs[0][1]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    (log,) = stub_home.glob("*.log")
    words = re.findall("^word: (.*)$", log.read_text(), re.MULTILINE)
    assert "a warning" in log.read_text()
    assert words[0] == "spark-submit"
    assert words[words.index("--run-date") + 1] == log.stem
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", log.stem)
    assert words[words.index("--ratings") + 1] == "/data/*.csv"  # mfspark expands the glob itself
    if status:
        assert f"ended with status {status}" in done.stdout
        assert "word: spark-submit" in done.stdout
    else:
        assert done.stdout == ""
    assert "exit code:" not in done.stdout  # schedulers parse these words
    assert done.stderr == ""


# --- Airflow ------------------------------------------------------------------------------------


def dag_tree() -> ast.Module:
    return ast.parse((CONF / "airflow" / "mfspark_nightly.py").read_text())


def test_dag_imports_nothing_but_airflow_and_the_standard_library() -> None:
    nodes = list(ast.walk(dag_tree()))
    modules = [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    roots = {module.split(".")[0] for module in modules}
    assert roots == {"__future__", "datetime", "os", "airflow"}


def dag_command(job: str) -> str:
    """Return what a task's shell gets, with the template of the date filled in."""
    values = [
        ast.literal_eval(node.value)
        for node in dag_tree().body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMAND"
    ]
    return values[0].format(job=job).replace("{{ ds }}", "2026-11-22")


@pytest.mark.parametrize(
    ("environment", "rest"),
    [
        ({}, []),
        (
            {
                "MFSPARK_RATINGS": "/a b/*.csv",
                "MFSPARK_WAREHOUSE": "/w",
                "MFSPARK_ITEMS": "i.csv",
                "MFSPARK_USERS": "u.csv",
            },
            [
                *("--ratings", "/a b/*.csv", "--users", "u.csv"),
                *("--items", "i.csv", "--warehouse", "/w"),
            ],
        ),
    ],
)
def test_dag_task_runs_spark_submit_with_what_the_environment_names(
    stub_home: Path, environment: dict[str, str], rest: list[str]
) -> None:
    env = {"PATH": os.environ["PATH"], "MFSPARK_HOME": str(stub_home), **environment}
    done = subprocess.run(
        ["bash", "-c", dag_command("train_als")],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.findall("^word: (.*)$", done.stdout, re.MULTILINE) == [
        *("spark-submit", "--properties-file", "conf/spark-defaults.conf", "jobs/train_als.py"),
        *("--config", "conf/nightly.toml", "--run-date", "2026-11-22"),
        *rest,
    ]


def test_dag_task_says_what_is_missing() -> None:
    done = subprocess.run(
        ["bash", "-c", dag_command("train_als")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "set MFSPARK_HOME to the clone of mfspark" in done.stderr


# --- docs ---------------------------------------------------------------------------------------


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs" / "dependencies.md").read_text()
    explained = text.replace(" >=", ">=")
    missing = [name for name in project["dependencies"] if name not in explained]
    assert missing == []


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


# --- make, Java ---------------------------------------------------------------------------------

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@needs_make
def test_make_alone_lists_every_target() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  make ([a-z-]+) ", make(), re.MULTILINE)
    assert listed == targets


@needs_make
def test_make_run_passes_its_variables_on() -> None:
    command = make(
        *("-n", "run", "RATINGS=a.csv b-*.csv", "USERS=u.csv", "ITEMS=m.csv", "WAREHOUSE=w"),
        "ARGS=--set seed=7",
    )
    words = " ".join(command.replace("\\\n", " ").split())
    assert words.endswith(
        "mfspark run --warehouse 'w' --ratings 'a.csv' --ratings 'b-*.csv' "
        "--users 'u.csv' --items 'm.csv' --set seed=7"
    )


def fake_java(home: Path, version: str, release_file: bool) -> Path:
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-01' >&2\n")
    java.chmod(0o755)
    if release_file:
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def find_java(java_home: Path, path: str = "/usr/bin:/bin") -> str:
    done = subprocess.run(
        [str(ROOT / "scripts" / "find_java.sh")],
        env={"PATH": path, "JAVA_HOME": str(java_home), "HOME": str(java_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == bool(done.stdout)
    return done.stdout.strip()


@pytest.mark.parametrize("release_file", [True, False])
@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("17.0.15", True),
        ("17.0.15+6", True),
        ("21", True),
        ("21-ea", True),
        ("21.0.2-ea", True),
        ("25.0.1", False),
        ("25.0.3", False),
        ("11.0.2", False),
        ("1.8.0_392", False),
    ],
)
def test_java_17_and_21_serve_and_no_other(
    tmp_path: Path, version: str, good: bool, release_file: bool
) -> None:
    home = fake_java(tmp_path / "jdk", version, release_file)
    assert (find_java(home) == str(home)) == good


def test_java_of_path_serves_where_java_home_does_not(tmp_path: Path) -> None:
    old = fake_java(tmp_path / "old", "11.0.2", True)
    new = fake_java(tmp_path / "new", "21.0.1", True)
    assert find_java(old, f"{new}/bin:/usr/bin:/bin") == str(new)
    assert find_java(tmp_path / "none", f"{new}/bin:/usr/bin:/bin") == str(new)
