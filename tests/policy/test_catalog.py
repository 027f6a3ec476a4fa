"""The catalog: databases, columns, models, tools, and default masks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardai.errors import BundleError
from guardai.policy import Catalog, DatabaseEntry, ModelEntry, ToolEntry
from guardai.policy.catalog import bare_url, is_loopback

CATALOG = Catalog.parse(
    """
[databases."postgresql://*.example.com*/shop"]
environment = "prod"
region = "eu"
[databases."sqlite:///*/shop.db"]
name = "store"

[columns]
"customers.email" = ["pii.email"]
"*.iban" = ["pii.iban"]
"customers.*" = ["dataset.customers"]

[[models]]
host = "loopback"
provider = "local"
region = "local"
trust = "internal"
[[models]]
host = "api.openai.com"
name = "gpt-*"
provider = "openai"
region = "us"
[[models]]
host = "*.openai.azure.com"
provider = "azure"

[tools."search_*"]
effects = "read"
trust = "internal"
[tools."*"]
effects = "write"

[labels]
pii = "token"
"pii.card" = "partial"
"hr.salary" = "hash"
"""
)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("postgresql://db.example.com:5432/shop", DatabaseEntry("shop", "prod", "eu")),
        ("postgresql://me:pw@db.example.com/shop?sslmode=require", DatabaseEntry("shop", "prod", "eu")),
        ("postgresql://elsewhere/shop", DatabaseEntry("shop")),
        ("sqlite:///var/lib/shop.db", DatabaseEntry("store")),
        ("sqlite:///var/lib/other.db", DatabaseEntry("other")),
        ("sqlite:///:memory:", DatabaseEntry("memory")),
        (":memory:", DatabaseEntry("memory")),
        ("sqlite:///C:\\data\\my.shop.db", DatabaseEntry("my.shop")),
        ("duckdb:///.hidden", DatabaseEntry(".hidden")),
        ("", DatabaseEntry("database")),
        ("postgresql://host/", DatabaseEntry("host")),
    ],
)
def test_a_database_is_found_by_its_address(url, entry):
    assert CATALOG.database(url) == entry


@given(st.text(alphabet=st.characters(exclude_characters="@")), st.text())
def test_no_credential_is_left_in_an_address_whatever_characters_it_has(path, secret):
    assert bare_url(f"postgresql://user:{secret}@host/{path}").startswith("postgresql://host/")


def test_credential_in_the_parameters_is_cut_too():
    assert bare_url("mysql://host/db?user=a@b&password=hidden") == "mysql://b"
    assert bare_url("mysql://host/db?password=hidden") == "mysql://host/db"
    assert bare_url("sqlite:///home/a@b/my.db?key=hidden") == "sqlite:///home/a@b/my.db"


@pytest.mark.parametrize(
    ("table", "column", "labels"),
    [
        ("customers", "email", {"pii.email", "dataset.customers"}),
        ("CUSTOMERS", "Email", {"pii.email", "dataset.customers"}),
        ("public.customers", "email", {"pii.email", "dataset.customers"}),
        ("shop.public.customers", "iban", {"pii.iban", "dataset.customers"}),
        ("orders", "iban", {"pii.iban"}),
        ("orders", "email", set()),
        ("vip_customers", "email", set()),
    ],
)
def test_a_column_has_the_labels_of_every_pattern(table, column, labels):
    for _ in range(2):
        assert CATALOG.column_labels(table, column) == labels


def test_columns_are_remembered_in_bounds(monkeypatch):
    monkeypatch.setattr("guardai.policy.catalog._REMEMBERED", 8)
    catalog = Catalog({"columns": {"t.a*": ["pii.email"]}})
    for number in range(50):
        assert catalog.column_labels("t", f"a{number}") == {"pii.email"}
    assert len(catalog._seen) <= 8


def test_a_catalog_without_columns_says_so():
    assert CATALOG.has_columns
    assert not Catalog().has_columns
    assert Catalog().column_labels("t", "c") == frozenset()


LOCAL = ModelEntry("local", "local", "internal")


@pytest.mark.parametrize(
    ("host", "name", "entry"),
    [
        ("api.openai.com", "gpt-4o", ModelEntry("openai", "us", "listed")),
        ("API.OpenAI.com:443", "gpt-4o", ModelEntry("openai", "us", "listed")),
        ("api.openai.com.", "gpt-4o", ModelEntry("openai", "us", "listed")),
        ("api.openai.com", "o9", ModelEntry()),
        ("eu.openai.azure.com", "x", ModelEntry("azure", "unknown", "listed")),
        ("evil.com/.openai.azure.com", "x", ModelEntry()),
        ("evil.com#.openai.azure.com", "x", ModelEntry()),
        ("a@b.openai.azure.com", "x", ModelEntry()),
        ("evil.com\n.openai.azure.com", "x", ModelEntry()),
        ("api.openai.com.evil.com", "gpt-4o", ModelEntry()),
        ("localhost", "m", LOCAL),
        ("localhost:8080", "m", LOCAL),
        ("api.localhost", "m", LOCAL),
        ("127.0.0.1:11434", "m", LOCAL),
        ("127.9.9.9", "m", LOCAL),
        ("[::1]:8080", "m", LOCAL),
        ("::1", "m", LOCAL),
        ("::ffff:127.0.0.1", "m", LOCAL),
        ("loopback", "m", ModelEntry()),
        ("localhost.evil.com", "m", ModelEntry()),
        ("127.0.0.1.evil.com", "m", ModelEntry()),
        ("10.0.0.1", "m", ModelEntry()),
        ("", "m", ModelEntry()),
    ],
)
def test_a_model_is_found_by_host_and_name(host, name, entry):
    assert CATALOG.model(host, name) == entry


def test_this_machine_is_trusted_only_if_the_catalog_says_so():
    assert Catalog().model("127.0.0.1", "m") == ModelEntry("", "unknown", "unlisted")


@given(st.text())
def test_any_host_has_an_answer(host):
    assert CATALOG.model(host, "m").trust in ("internal", "listed", "unlisted")
    assert is_loopback(host) in (True, False)


def test_a_tool_is_found_by_its_name():
    assert CATALOG.tool("search_web") == ToolEntry("read", "", "unknown", "internal")
    assert CATALOG.tool("delete_all") == ToolEntry("write", "", "unknown", "listed")
    assert Catalog().tool("x") == ToolEntry("unknown", "", "unknown", "unlisted")


def test_the_nearest_labels_mask_counts():
    masks = [CATALOG.mask(label) for label in ("pii.email", "pii.card", "pii.card.visa", "hr.salary", "hr.x", "pii")]
    assert masks == ["token", "partial", "partial", "hash", "redact", "token"]


def test_labels_are_those_of_columns_and_of_labels():
    assert CATALOG.labels == {"pii.email", "pii.iban", "dataset.customers", "pii.card", "hr.salary"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense = 1", "c.toml: nonsense is not a key of the catalog; allowed here: databases, columns"),
        ('[databases."x"]\nenviroment = "p"', 'c.toml: databases."x".enviroment is not a key'),
        ('[databases."x"]\nregion = 3', 'c.toml: databases."x".region must be a string'),
        ("databases = 3", "c.toml: databases must be a table"),
        ("[databases]\nx = 3", 'c.toml: databases."x" must be a table'),
        ("[models]\nhost = 'x'", "c.toml: models must be written [[models]]"),
        ("[[models]]\ntrust = 'unlisted'", "c.toml: models[1].trust must be 'internal' or 'listed'"),
        ("[[models]]\n[[models]]\nmodel = 'x'", "c.toml: models[2].model is not a key"),
        ('[tools."t"]\neffects = "maybe"', 'c.toml: tools."t".effects must be'),
        ('[columns]\n"t.c" = "pii.email"', 'c.toml: columns."t.c" must be a list of labels'),
        ('[columns]\n"t.c" = [3]', "must be a list of labels"),
        ('[columns]\n"email" = ["pii.email"]', 'c.toml: columns."email" must be a pattern for table.column'),
        ('[columns]\n"t.c" = ["PII"]', 'c.toml: columns."t.c" names not a label'),
        ('[labels]\n"pii" = "blur"', 'c.toml: labels."pii" must be one of drop, null, redact'),
        ('[labels]\n"pii" = ["redact"]', 'c.toml: labels."pii" must be one of drop, null, redact'),
        ('[labels]\n"pi" = "redact"', 'c.toml: labels."pi" covers no label'),
        ("a = ", "c.toml: not TOML"),
    ],
)
def test_a_fault_names_file_and_key(text, says):
    with pytest.raises(BundleError) as caught:
        Catalog.parse(text, "c.toml")
    assert says in str(caught.value)
