"""A policy bundle: Cedar policies, a catalog and detectors, in a folder or in one file; read, checked and proved before use."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from guardai.errors import BundleError
from guardai.model import Label
from guardai.policy.catalog import Catalog
from guardai.policy.extension import NOTHING
from guardai.policy.faults import doubts, faults
from guardai.policy.folder import BEFORE, folder_files, folder_manifest
from guardai.policy.groups import misspelt
from guardai.policy.lens import counted
from guardai.policy.pace import breathe
from guardai.policy.problem import Problem
from guardai.policy.reach import idle
from guardai.policy.schema import SCHEMA_FILE, extension, parsed, schema_text
from guardai.policy.selftest import silent
from guardai.policy.slices import Index
from guardai.policy.source import Fault, Policy, cut, parse
from guardai.policy.stored import Stored, belongs_to, taken
from guardai.policy.tally import Counted
from guardai.policy.tree import Scope, reads, scope
from guardai.policy.trust.archive import INDEX, MAX_BYTES, unpack
from guardai.policy.trust.manifest import content_digest, moment, opened
from guardai.policy.validate import validated
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
        version: the manifest's, else "".
        expires: from when on it decides nothing any more; None is never. A folder does not expire.
        path: where it was read from.
        digest: sha256, hexadecimal, over the names and contents of the files that decide: the same for a folder and for the
            file that was built from it.
        policies: `@id` → policy, with source, annotations, file and line.
        catalog: what the organisation knows.
        index: the policies by what they can concern.
        detectors: what stands in its `detectors.toml`; None if there is none. Only its labels are read here.
        labels: those of the catalog, of the detectors, and those that it was told.
        types: the entity types that its `schema.cedarschema` adds.
        schema: the Cedar schema that its policies are checked with: guardai's, and what its `schema.cedarschema` adds.
        warnings: what is worth a look.
        counted: the counters that its policies read; None if they read none.
    """

    __slots__ = (
        "catalog", "counted", "detectors", "digest", "expires", "index", "labels", "name", "path", "policies", "schema",
        "types", "version", "warnings",
    )  # fmt: skip

    def __init__(self, read: _Read) -> None:
        self.name = read.name
        self.version = read.version
        self.expires = read.expires
        self.path = read.path
        self.digest = read.digest
        self.policies = read.policies
        self.catalog = read.catalog
        self.index = read.index
        self.detectors = read.detectors
        self.labels = read.labels
        self.counted = Counted.of(_counters(read.policies, read.scopes))
        self.types = read.extension.types
        self.schema = schema_text(read.extension)
        self.warnings: tuple[Problem, ...] = tuple(one for one in read.problems if one.severity == "warning")

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        labels: Iterable[str] = (),
        *,
        index: bytes | None = None,
        data: bytes | None = None,
        now: datetime | None = None,
        signed: bool = False,
    ) -> Bundle:
        """Reads a bundle. Who made it is not asked here: see `guardai.policy.trust`.

        Args:
            path: a directory with `policies/*.cedar` and, if there is anything to say, `catalog.toml`, `detectors.toml` and
                `manifest.json` (`name`, `version`, `requires`); or a file that `guardai bundle build` made. None is the
                bundle that ships in the package.
            labels: what installed packs of detectors find, beyond what is built in.
            index: what `stored_index` made of exactly these files, from where only the bundle's signer can have put it.
                Then a policy is parsed when the first question reaches it. One that does not belong here is not looked at.
            data: the file's content, where it has been read already; then `path` only tells where it is from.
            now: the time by which it may have expired; by default the clock's.
            signed: keys that are trusted vouch for the file, and so for the index that stands in it.

        Raises:
            BundleError: it cannot be used; names the file, and the line where there is one.
        """
        read = _Read(path or STARTER, labels, index, data, signed=signed)
        if read.expires is not None and read.expires <= (now or datetime.now(UTC)):
            raise BundleError(f"{read.path}: it expired at {read.expires:%Y-%m-%d %H:%M:%S} UTC; get a newer one")
        errors = [problem for problem in read.problems if problem.severity == "error"]
        if errors:
            more = f" (and {len(errors) - 1} more; `guardai policy check {read.path}` lists them)" if errors[1:] else ""
            raise BundleError(f"{errors[0]}{more}")
        return cls(read)

    def knows(self, label: str) -> bool:
        """Whether the label is in the vocabulary: built in, of an open family, in the catalog, or of a detector."""
        return known_label(label, self.labels)


def check(path: Path | None = None, labels: Iterable[str] = ()) -> list[Problem]:
    """Everything that is wrong with a bundle: what `load` refuses, and what only shows when it is looked at as a whole.

    Errors are what Cedar's schema validation finds, comparisons with what cannot be, and policies that never apply.
    Warnings are policies that another covers, permits that no call reaches, and groups that are probably misspelt.
    Of `detectors.toml` only the labels are read: what they find is tried by `guardai.text.trial`.
    """
    read = _Read(path or STARTER, labels)
    problems = read.problems
    policies = list(read.policies.values())
    for policy in policies:
        problems += doubts(policy, read.labels, read.extension)
    problems += validated(policies, parsed(schema_text(read.extension)))
    wrong = {one.policy for one in problems if one.severity == "error"}
    right = [policy for policy in policies if policy.id not in wrong]
    done = list(idle(right, read.extension.resources, complete=not wrong))
    # What never applies is an error; that it was silent in the self-test says no more.
    never = {one.policy for one in done if one.severity == "error"}
    problems = [
        one for one in problems if one.severity == "error" or one.policy not in never or "self-test" not in one.message
    ]
    problems += [*done, *misspelt(policies)]
    return sorted(
        set(problems), key=lambda one: (one.severity, one.file, one.line, one.column, one.policy, one.message)
    )


def stored_index(path: Path, labels: Iterable[str] = (), data: bytes | None = None) -> bytes:
    """What a bundle's builder puts into it, under its signature, so that processes load it in a tenth of the time.

    Args:
        path: the bundle's directory.
        labels: what packs of detectors find, those of the processes that will load it. With others they parse everything.
        data: of a bundle file, its content.

    Raises:
        BundleError: the bundle cannot be used.
    """
    Bundle.load(path, labels, data=data)
    read = _Read(path, labels, None, data)
    warnings = [one for one in read.problems if one.severity == "warning"]
    return Stored(read.policies, read.scopes, warnings).encoded(read.texts, belongs_to(read.digest, read.labels))


class _Read:
    """A directory or file as it was read: what is in it, and what is wrong with it."""

    def __init__(
        self,
        path: Path,
        labels: Iterable[str],
        index: bytes | None = None,
        data: bytes | None = None,
        *,
        signed: bool = False,
    ) -> None:
        self.path = path
        self.labels = frozenset(labels)
        self.detectors: bytes | None = None
        self.problems: list[Problem] = []
        self.policies: dict[str, Policy] = {}
        self.catalog = Catalog()
        self.extension = NOTHING
        self.name = "starter" if path == STARTER else path.resolve().name if data is None else path.name
        self.version = ""
        self.expires: datetime | None = None
        self._index = index
        self._signed = signed
        contents = self._packed(data) if data is not None or path.is_file() else self._files()
        self.digest = content_digest(contents)
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
                elif file == SCHEMA_FILE:
                    self.extension = extension(content.decode())
                else:
                    self.texts[file] = content.decode()
            except Fault as fault:
                self._error(file, fault.line, str(fault), column=fault.column)
            except UnicodeDecodeError:
                self._error(file, 0, "not UTF-8 text")
            except BundleError as error:
                self._error(file, 0, str(error).removeprefix(f"{file}: "))
        index = self._index
        stored = taken(index, self.texts, belongs_to(self.digest, self.labels)) if index and not self.problems else None
        if stored is not None:
            self.policies, self.scopes, self.problems = stored.policies, stored.scopes, stored.warnings
        else:
            for file, text in self.texts.items():
                self._cedar(file, text)
            for policy in self.policies.values():
                breathe()
                self.problems += faults(policy, self.labels)
                self.scopes[policy.id] = scope(policy.tree)
        if not self.policies and not self.problems:
            self._error("policies", 0, "no policy in any file; without one everything would be denied")
        self.index = Index(self.policies.values(), self.scopes)
        if all(problem.severity != "error" for problem in self.problems):
            self.problems += silent(self.policies, self.scopes, self.index, self.extension.types)

    def _error(self, file: str, line: int, message: str, policy: str = "", column: int = 0) -> None:
        self.problems.append(Problem("error", file, line, policy, message, column))

    def _packed(self, data: bytes | None) -> Mapping[str, bytes]:
        """What decides in a bundle file, in the order in which it is read."""
        try:
            if data is None:
                with self.path.open("rb") as file:
                    data = file.read(MAX_BYTES + 1)
            members = unpack(data)
            manifest = opened(members)
        except OSError as error:
            self._error(str(self.path), 0, f"cannot be read: {error.strerror}")
            return {}
        except BundleError as error:
            self._error(str(self.path), 0, str(error))
            return {}
        if self._signed:
            self._index = members.get(INDEX)
        self.name, self.version = manifest.name, manifest.version
        self.expires = moment(manifest.expires) if manifest.expires else None
        names = [name for name in BEFORE if name in members]
        return {
            name: members[name] for name in (*names, *sorted(one for one in members if one.startswith("policies/")))
        }

    def _files(self) -> Mapping[str, bytes]:
        if not self.path.is_dir():
            self._error(str(self.path), 0, "no such directory; `guardai init` makes a policy folder")
            return {}
        files = folder_files(self.path)
        if not any(name.startswith("policies/") for name in files):
            self._error(str(self.path), 0, "no policies/*.cedar in it; a bundle is a folder with policies/*.cedar")
        contents = {}
        for name, file in files.items():
            try:
                if file.stat().st_size > _MAX_BYTES:
                    self._error(name, 0, f"larger than {_MAX_BYTES} bytes")
                elif name == "manifest.json":
                    said = folder_manifest(self.path)
                    self.name, self.version = said.get("name", self.name), said.get("version", "")
                else:
                    contents[name] = file.read_bytes()
            except OSError as error:
                self._error(name, 0, f"cannot be read: {error.strerror}")
            except BundleError as error:
                self._error(name, 0, str(error).removeprefix(f"{name}: "))
        return contents

    def _cedar(self, file: str, text: str) -> None:
        try:
            pieces = cut(text)
        except Fault as fault:
            self._error(file, fault.line, str(fault), column=fault.column)
            return
        for line, column, piece in pieces:
            try:
                policy = parse(piece, file, line, column)
            except Fault as fault:
                self._error(file, fault.line, str(fault), column=fault.column)
                continue
            other = self.policies.get(policy.id)
            if other:
                taken = f"@id is taken by the policy in {other.file}:{other.line}"
                self._error(file, line, taken, policy.id, column)
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
