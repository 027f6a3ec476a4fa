"""Bundles from a few lines of Cedar."""

import pytest

from guardai.policy import Bundle, Engine


@pytest.fixture
def folder(tmp_path):
    """Writes a policy folder: file name → Cedar, or just Cedar."""
    made = 0

    def write(cedar, catalog=None, **more):
        nonlocal made
        made += 1
        root = tmp_path / f"bundle-{made}"
        (root / "policies").mkdir(parents=True)
        for name, text in ({"test.cedar": cedar} if isinstance(cedar, str) else cedar).items():
            (root / "policies" / name).write_text(text, encoding="utf-8")
        if catalog is not None:
            (root / "catalog.toml").write_text(catalog, encoding="utf-8")
        for name, text in more.items():
            (root / name.replace("_", ".")).write_text(text, encoding="utf-8")
        return root

    return write


@pytest.fixture
def bundle(folder):
    return lambda cedar, catalog=None: Bundle.load(folder(cedar, catalog))


@pytest.fixture
def engine(bundle):
    return lambda cedar, catalog=None: Engine(bundle(cedar, catalog))
