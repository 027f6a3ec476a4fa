"""A policy bundle: Cedar policies, a catalog and detectors in a directory, read, checked and proved before it can be used."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import cedarpy
import msgspec

from guardai.errors import BundleError
from guardai.model import Label
from guardai.policy.catalog import Catalog
from guardai.policy.faults import doubts, faults
from guardai.policy.lens import counted
from guardai.policy.problem import Problem
from guardai.policy.schema import schema
from guardai.policy.selftest import silent
from guardai.policy.slices import Index
from guardai.policy.source import Fault, Policy, parse, split
from guardai.policy.stored import Stored, belongs_to, taken
from guardai.policy.tally import Counted
from guardai.policy.tree import Scope, reads, scope
from guardai.policy.vocabulary import known_label

__all__ = ["STARTER", "Bundle", "check", "stored_index"]

#: The bundle that ships in the package.
STARTER: Final = Path(__file__).parent / "starter"
#: No policy file is this large; a device or a mistake is.
_MAX_BYTES: Final = 32 * 1024 * 1024
#: What a text has in it that names a counter, were it by escapes in a string.
_MAY_COUNT: Final = re.compile(r"\bcount\b|resource_count|\\")


class Bundle:
    """A bundle that was read and found whole. It does not change after it was built, apart from caches.

    Attributes:
        name: the manifest's, else the directory's.
        path: where it was read from.
        digest: sha256, hexadecimal, over the names and contents of its files.
        policies: `@id` → policy, with source, annotations, file and line.
        catalog: what the organisation knows.
        index: the policies by what they can concern.
        detectors: what stands in its `detectors.toml`; None if there is none. Only its labels are read here.
        labels: those of the catalog, of the detectors, and those that it was told.
        warnings: what is worth a look.
        counted: the counters that its policies read; None if they read none.
    """

    __slots__ = ("catalog", "counted", "detectors", "digest", "index", "labels", "name", "path", "policies", "warnings")

    def __init__(self, read: _Read) -> None:
        self.name = read.name
        self.path = read.path
        self.digest = read.digest
        self.policies = read.policies
        self.catalog = read.catalog
        self.index = read.index
        self.detectors = read.detectors
        self.labels = read.labels
        self.counted = Counted.of(_counters(read.policies, read.scopes))
        self.warnings: tuple[Problem, ...] = tuple(one for one in read.problems if one.severity == "warning")

    @classmethod
    def load(cls, path: Path | None = None, labels: Iterable[str] = (), *, index: bytes | None = None) -> Bundle:
        """Reads a bundle.

        Args:
            path: a directory with `policies/*.cedar` and, if there is anything to say, `catalog.toml`,
                `detectors.toml` and `manifest.json` (`name`, `version`). None is the bundle that ships in the package.
            labels: what installed packs of detectors find, beyond what is built in.
            index: what `stored_index` made of exactly these files, from where only the bundle's signer can have put it.
                Then a policy is parsed when the first question reaches it. One that does not belong here is not looked at.

        Raises:
            BundleError: it cannot be used; names the file, and the line where there is one.
        """
        read = _Read(path or STARTER, labels, index)
        errors = [problem for problem in read.problems if problem.severity == "error"]
        if errors:
            more = f" (and {len(errors) - 1} more; `guardai policy check {read.path}` lists them)" if errors[1:] else ""
            raise BundleError(f"{errors[0]}{more}")
        return cls(read)

    def knows(self, label: str) -> bool:
        """Whether the label is in the vocabulary: built in, of an open family, in the catalog, or of a detector."""
        return known_label(label, self.labels)


def check(path: Path | None = None, labels: Iterable[str] = ()) -> list[Problem]:
    """Everything that is wrong with a bundle: what `load` refuses, and what Cedar's schema validation finds.

    Of `detectors.toml` only the labels are read: what they find is tried by `guardai.text.trial`.
    """
    read = _Read(path or STARTER, labels)
    problems = read.problems
    policies = list(read.policies.values())
    for policy in policies:
        problems += doubts(policy, read.labels)
    result = cedarpy.validate_policies("\n".join(policy.source for policy in policies), schema())
    for error in result.errors:
        # Cedar numbers the policies of a text: policy0, policy1, …
        policy = policies[int(error.policy_id.removeprefix("policy"))]
        message = error.error.removeprefix(f"for policy `{error.policy_id}`, ")
        problems.append(Problem("error", policy.file, policy.line, policy.id, message))
    return sorted(set(problems), key=lambda one: (one.severity, one.file, one.line, one.policy, one.message))


def stored_index(path: Path, labels: Iterable[str] = ()) -> bytes:
    """What a bundle's builder puts into it, under its signature, so that processes load it in a tenth of the time.

    Args:
        path: the bundle's directory.
        labels: what packs of detectors find, those of the processes that will load it. With others they parse everything.

    Raises:
        BundleError: the bundle cannot be used.
    """
    Bundle.load(path, labels)
    read = _Read(path, labels)
    warnings = [one for one in read.problems if one.severity == "warning"]
    return Stored(read.policies, read.scopes, warnings).encoded(read.texts, belongs_to(read.digest, read.labels))


class _Read:
    """A directory as it was read: what is in it, and what is wrong with it."""

    def __init__(self, path: Path, labels: Iterable[str], index: bytes | None = None) -> None:
        self.path = path
        self.labels = frozenset(labels)
        self.detectors: bytes | None = None
        self.problems: list[Problem] = []
        self.policies: dict[str, Policy] = {}
        self.catalog = Catalog()
        self.name = "starter" if path == STARTER else path.resolve().name
        contents = self._files()
        self.digest = _digest(contents)
        self.scopes: dict[str, Scope] = {}
        self.texts: dict[str, str] = {}
        for file, content in contents.items():
            try:
                if file == "detectors.toml":
                    self.detectors = content
                    self.labels |= _found_by(content.decode(), file)
                elif file == "catalog.toml":
                    self.catalog = Catalog.parse(content.decode(), file, self.labels)
                    self.labels |= self.catalog.labels
                elif file == "manifest.json":
                    self._manifest(content)
                else:
                    self.texts[file] = content.decode()
            except UnicodeDecodeError:
                self._error(file, 0, "not UTF-8 text")
            except BundleError as error:
                self._error(file, 0, str(error).removeprefix(f"{file}: "))
        stored = taken(index, self.texts, belongs_to(self.digest, self.labels)) if index and not self.problems else None
        if stored is not None:
            self.policies, self.scopes, self.problems = stored.policies, stored.scopes, stored.warnings
        else:
            for file, text in self.texts.items():
                self._cedar(file, text)
            for policy in self.policies.values():
                self.problems += faults(policy, self.labels)
                self.scopes[policy.id] = scope(policy.tree)
        if not self.policies and not self.problems:
            self._error("policies", 0, "no policy in any file; without one everything would be denied")
        self.index = Index(self.policies.values(), self.scopes)
        if all(problem.severity != "error" for problem in self.problems):
            self.problems += silent(self.policies, self.scopes, self.index)

    def _error(self, file: str, line: int, message: str, policy: str = "") -> None:
        self.problems.append(Problem("error", file, line, policy, message))

    def _files(self) -> dict[str, bytes]:
        if not self.path.is_dir():
            self._error(str(self.path), 0, "no such directory; `guardai init` makes a policy folder")
            return {}
        policies = sorted((self.path / "policies").glob("*.cedar"))
        if not policies:
            self._error(str(self.path), 0, "no policies/*.cedar in it; a bundle is a folder with policies/*.cedar")
        # The detectors first: the catalog may speak of their labels.
        names = ("detectors.toml", "catalog.toml", "manifest.json")
        optional = [file for name in names if (file := self.path / name).exists()]
        contents = {}
        for file in (*optional, *policies):
            name = file.relative_to(self.path).as_posix()
            try:
                if file.stat().st_size > _MAX_BYTES:
                    self._error(name, 0, f"larger than {_MAX_BYTES} bytes")
                else:
                    contents[name] = file.read_bytes()
            except OSError as error:
                self._error(name, 0, f"cannot be read: {error.strerror}")
        return contents

    def _manifest(self, content: bytes) -> None:
        try:
            manifest: Any = msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            raise BundleError(f"manifest.json: not JSON: {error}") from None
        if not isinstance(manifest, dict) or not all(isinstance(value, str) for value in manifest.values()):
            raise BundleError('manifest.json: must be an object of strings, such as {"name": "shop", "version": "3"}')
        for key in manifest.keys() - {"name", "version"}:
            # An expiry or a digest that nobody looks at would be worse than none.
            raise BundleError(f"manifest.json: {key} is not a key of the manifest; allowed here: name, version")
        self.name = manifest.get("name", self.name)

    def _cedar(self, file: str, text: str) -> None:
        try:
            pieces = split(text)
        except Fault as fault:
            self._error(file, fault.line, str(fault))
            return
        for line, piece in pieces:
            try:
                policy = parse(piece, file, line)
            except Fault as fault:
                self._error(file, fault.line, str(fault))
                continue
            other = self.policies.get(policy.id)
            if other:
                self._error(file, line, f"@id is taken by the policy in {other.file}:{other.line}", policy.id)
            else:
                self.policies[policy.id] = policy


def _counters(policies: dict[str, Policy], scopes: dict[str, Scope]) -> Iterator[tuple[Iterable[str], Iterable[str]]]:
    """The counters that each policy reads, with its actions. Only a policy that may name one is parsed for it."""
    for policy in policies.values():
        if _MAY_COUNT.search(policy.source) and (names := counted(reads(policy.tree))):
            yield names, scopes[policy.id].actions


def _found_by(text: str, file: str) -> frozenset[str]:
    """The labels that the detectors of a file give. What else stands there is for who finds with them."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BundleError(f"{file}: not TOML: {error}") from None
    labels = set()
    for kind in ("detector", "number"):
        entries = table.get(kind, [])
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict) or "label" not in entry:
                raise BundleError(f"{file}: a [[{kind}]] has no label, such as 'pii.employee_id'")
            try:
                labels.add(str(Label(entry["label"])))
            except (TypeError, ValueError) as error:
                raise BundleError(f"{file}: [[{kind}]]: {error}") from None
    return frozenset(labels)


def _digest(contents: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(contents.items()):
        # Lengths first: two files cannot be cut differently and give the same digest.
        encoded = name.encode()
        whole.update(len(encoded).to_bytes(8, "big") + encoded + len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()
