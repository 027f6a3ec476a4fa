"""Keys and bundle files."""

import pytest

from guardai.policy.trust import keys
from guardai.policy.trust.build import build

PERMIT = '@id("p") permit (principal, action, resource);'


@pytest.fixture
def key(tmp_path):
    """Makes a key pair by name; the path of the private one."""

    def make(name, passphrase=""):
        path = tmp_path / f"{name}.pem"
        keys.make(path, passphrase)
        return path

    return make


@pytest.fixture
def signer():
    return lambda path: keys.signer(str(path), lambda _: "")


@pytest.fixture
def built(folder):
    return lambda cedar=PERMIT, **given: build(folder(cedar, ""), **{"name": "shop", **given})
