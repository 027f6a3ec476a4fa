"""What is run on the code: `nox -s tests`, `lint`, `types`, `bench`, `accuracy`, `recognisers`, `mariadb`, `upstream`, `docs`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: 3.11, 3.12, …: what the classifiers promise is what is tested.
SUPPORTED = [
    c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if c.startswith("Programming Language :: Python :: 3.")
]
#: The majors of openai that the integration is tested against; the first runs with the whole suite.
OPENAI = ("openai>=3,<4", "openai>=2.45,<3")
MEMBERS = (".", *(f"integrations/{name}" for name in ("openai", "dbapi", "gliner", "presidio", "spacy")))
CHECKOUT = tuple(part for member in MEMBERS for part in ("-e", member))
TESTING = ("-r", "requirements/tests.txt", "-c", "requirements/pins.txt")

nox.options.sessions = ["lint", "types", "tests", "recognisers", "docs"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
# A Python that is not here is said below, by name; it is no error on a developer's machine.
nox.options.error_on_missing_interpreters = False


def _works(python: Path | str, version: str) -> bool:
    probe = "import sys, sqlite3, ssl; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", probe], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _installed() -> list[str]:
    """The supported Pythons of this machine: on the path, of pyenv, of uv. Their folders go first on the path."""
    homes = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    homes.append(Path.home() / ".local" / "share" / "uv" / "python")
    found = []
    for version in SUPPORTED:
        name = f"python{version}"
        places = [shutil.which(name), *(home / "bin" / name for place in homes for home in sorted(place.glob("*")))]
        if version == "{}.{}".format(*sys.version_info[:2]):
            places.insert(0, sys.executable)
        for place in places:
            if place and Path(place).exists() and _works(place, version):
                if Path(place).name == name:
                    os.environ["PATH"] = f"{Path(place).parent}{os.pathsep}{os.environ['PATH']}"
                found.append(version)
                break
    return found


PYTHONS = _installed()
#: Tests of text alone, without a server, process or file, and a third of the time: what passes on two Pythons passes between.
PURE = ("tests/text", "tests/sql")
#: One process of tests more than there are cores: they wait for servers, disks and one another a third of the time.
WORKERS = str((os.cpu_count() or 1) + 1)
MISSING = [version for version in SUPPORTED if version not in PYTHONS]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite on every supported Python that is installed: whole on the oldest, there with openai's older major, too, and the newest."""
    if MISSING:
        session.warn(f"NOT TESTED, not installed on this machine: Python {', '.join(MISSING)}")
    session.install(*CHECKOUT, *TESTING, OPENAI[0])
    between = session.python not in (PYTHONS[0], PYTHONS[-1])
    usual = ("-n", WORKERS, *(f"--ignore={room}" for room in PURE if between))
    session.run("python", "-m", "pytest", *(session.posargs or usual))
    if not session.posargs and session.python == PYTHONS[0]:
        for older in OPENAI[1:]:
            session.install(older)
            session.run("python", "-m", "pytest", "-n", WORKERS, "integrations/openai/tests")


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, and the walls between the rooms."""
    session.install(*CHECKOUT, "-r", "requirements/lint.txt", "-c", "requirements/pins.txt")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, on what ships; and the typed use of the public API."""
    session.install(*CHECKOUT, *TESTING, "-r", "requirements/lint.txt", OPENAI[0])
    session.run("mypy")
    session.run("mypy", "tests/typing/api.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Every budget, paired with the bare call; writes docs/performance.md. `-- --smoke` runs each once, writes nothing."""
    session.install(*CHECKOUT, *TESTING, OPENAI[0])
    peers = () if "--smoke" in session.posargs else ("--peers", _peers(session))
    session.run("python", "-m", "benchmarks", *peers, *session.posargs)


def _peers(session: nox.Session) -> str:
    """A Python that has the peers: what they depend on is no business of ours. One that cannot be installed is named as not
    measured.
    """
    home = Path(session.create_tmp()) / "peers"
    peers = str(home / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    session.run("python", "-m", "venv", str(home), silent=True)
    for peer in (ROOT / "requirements" / "peers.txt").read_text(encoding="utf-8").split():
        session.run(peers, "-m", "pip", "install", "--quiet", peer, external=True, success_codes=[0, 1])
    return peers


@nox.session
def accuracy(session: nox.Session) -> None:
    """What is found and what is missed, beside what people use today; writes docs/accuracy.md. `-- --small` writes nothing."""
    session.install(*CHECKOUT, *TESTING)
    session.run("python", "-m", "accuracy", "--peers", _peers(session), *session.posargs)


@nox.session(python=PYTHONS[:1])
def recognisers(session: nox.Session) -> None:
    """The adapters for names, with the libraries that they adapt, which no other session has: they pin much besides."""
    session.install(*CHECKOUT, *TESTING, "-r", "requirements/recognisers.txt")
    # A test that finds no library is skipped, elsewhere; here that would be a failure that nobody sees.
    session.run("python", "-c", "import presidio_analyzer, spacy")
    session.run("python", "-m", "pytest", *(f"integrations/{name}/tests" for name in ("gliner", "presidio", "spacy")))


@nox.session(python=PYTHONS[:1])
def mariadb(session: nox.Session) -> None:
    """MariaDB's own connector, which is built here from source: it needs a compiler and MariaDB's client library."""
    session.install(*CHECKOUT, *TESTING, "-r", "requirements/mariadb.txt")
    session.run("python", "-c", "import mariadb")
    session.run("python", "-m", "pytest", "integrations/dbapi/tests/test_dbapi_mariadb.py", *session.posargs)


@nox.session(python=PYTHONS[:1])
def upstream(session: nox.Session) -> None:
    """SQLAlchemy's own tests, without guardai and with it: `nox -s upstream`; others: `nox -s upstream -- NAME …`."""
    session.install(*CHECKOUT, *TESTING, "pip")  # which fetches the tests, and which an environment of uv lacks
    session.run("python", "-m", "upstream", *(session.posargs or ("sqlalchemy",)))


@nox.session
def docs(session: nox.Session) -> None:
    """The commands and the Python of the docs and the examples, executed."""
    session.install(*CHECKOUT, *TESTING, OPENAI[0])
    session.run("python", "-m", "pytest", "tests/docs", *session.posargs)
