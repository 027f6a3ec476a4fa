"""What the tests of all drivers begin with."""

import pytest

import guardai


@pytest.fixture
def start(home, policy):
    """Starts guardai for databases: `start(cedar, catalog)`; with the starter policy where nothing is given."""

    def init(text=None, catalog="", **settings):
        more = {} if text is None else {"policy": policy(text, catalog)}
        guardai.init(home=home, integrations=["dbapi"], **more, **settings)

    return init
