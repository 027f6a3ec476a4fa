"""One example or more of every kind that the packs find, and every engine.

No example is a key: each is put together here, and no provider ever issued one.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

scanning = importlib.import_module("guardai.text.scanner")

# Found by the tests beside it: they are modules of no package.
_spec = importlib.util.spec_from_file_location("secret_samples", Path(__file__).with_name("secret_samples.py"))
secret_samples = sys.modules["secret_samples"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(secret_samples)


def _body(length, alphabet="aB3dE5gH7jK9mN1pQ2sT4vW6yZ8"):
    return (alphabet * (length // len(alphabet) + 1))[:length]


def _hex(length):
    return _body(length, "0a1b2c3d4e5f6789")


_B64 = "MIIEpAIBAAKCAQEA7bq0ZxYkP1o2r3s4t5u6v7w8x9y0A1B2C3D4E5F6G7H8"


EXAMPLES = [
    ("pii.email", "john.doe@example.com", ""),
    ("pii.email", "o'neil+tag@mail.example.co.uk", ""),
    ("pii.email", "пётр@пример.com", ""),
    ("pii.phone", "+1 (415) 555-2671", ""),
    ("pii.phone", "+14155552671", ""),
    ("pii.phone", "+44 20 7946 0958", ""),
    ("pii.phone", "(415) 555-2671", ""),
    ("pii.phone", "415-555-2671 x123", ""),
    ("pii.phone", "01 23 45 67 89", ""),
    ("pii.phone", "020 7946 0958", ""),
    ("pii.phone", "782 2652", "Phone: "),
    ("pii.phone", "0431 19 97 94", "call me on "),
    ("pii.phone", "5551234567", "mobile "),
    ("pii.phone", "13812345678", "电话"),
    ("pii.card", "4111 1111 1111 1111", ""),
    ("pii.card", "4111111111111111", ""),
    ("pii.card", "378282246310005", ""),
    ("pii.card", "3782 822463 10005", ""),
    ("pii.card", "5555-5555-5555-4444", ""),
    ("pii.card", "2223003122003222", ""),
    ("pii.card", "6011111111111117", ""),
    ("pii.card", "3530111333300000", ""),
    ("pii.card", "30569309025904", ""),
    ("pii.card", "4000000000000000006", ""),
    ("pii.card", "676770000005", "debit card "),
    ("pii.card", "4222222222222", "my visa is "),
    ("pii.iban", "GB29 NWBK 6016 1331 9268 19", ""),
    ("pii.iban", "DE89370400440532013000", ""),
    ("pii.iban", "NO9386011117947", ""),
    ("pii.iban", "MT84MALT011000012345MTLCAST001S", ""),
    ("pii.us_ssn", "078-05-1120", ""),
    ("pii.us_ssn", "123456789", "social security number is "),
    ("pii.ip", "10.20.30.40", ""),
    ("pii.ip", "8.8.8.8", "ping "),
    ("pii.ip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", ""),
    ("pii.ip", "2001:db8::1", ""),
    ("pii.ip", "fe80::1ff:fe23:4567:890a", ""),
    ("pii.us_itin", "912-78-1234", ""),
    ("pii.us_itin", "912781234", "ITIN "),
    ("pii.bic", "DEUTDEFF500", "BIC: "),
    ("pii.bic", "BNPAFRPP", "SWIFT code "),
    ("pii.mac", "00:1B:44:11:3A:B7", ""),
    ("pii.mac", "00-1b-44-11-3a-b7", ""),
    ("pii.mac", "00-14-22-01-23-45", "MAC address "),
    ("pii.mac", "001b.4411.3ab7", ""),
    ("pii.dob", "12 March 1980", "born on "),
    ("pii.dob", "March 12, 1980", "Birthday: "),
    ("pii.dob", "1980-03-12", "dob="),
    ("pii.dob", "12.3.1980", "geb. am "),
    ("pii.dob", "12 августа 1980", "родился "),
    ("pii.dob", "1980年3月12日", "出生日期："),
    ("pii.geo", "52.5200", "lat: "),
    ("pii.geo", "13.4050, 52.5200", '"coordinates": ['),
    ("pii.geo", "52.5200° N, 13.4050° E", "at "),
    ("pii.geo", "40°26′46″N", ""),
    ("pii.geo", "52.5200,13.4050", "geo:"),
    ("pii.crypto", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ""),
    ("pii.crypto", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", ""),
    ("pii.crypto", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", ""),
    ("pii.crypto", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", ""),
    ("pii.crypto", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359", "wallet "),
    ("pii.crypto", "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ", ""),
    ("secret.url_password", "s3cr3t-p@ss", "postgres://app:"),
    ("secret.jwt", "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + _body(43), ""),
    ("secret.private_key", f"-----BEGIN RSA PRIVATE KEY-----\n{_B64}\n{_B64}==\n-----END RSA PRIVATE KEY-----", ""),
    ("secret.private_key", f"-----BEGIN PRIVATE KEY-----\\n{_B64}\\n-----END PRIVATE KEY-----", ""),
    (
        "secret.private_key",
        f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,AB12\n\n{_B64}\n-----END RSA PRIVATE KEY-----",
        "",
    ),
    ("secret.aws_access_key", "AKIA" + "IOSFODNN7EXAMPLE", ""),
    ("secret.aws_secret_key", "wJalrXUtnFEMI/K7MDENG" + "/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = "),
    ("secret.github_token", "ghp_" + _body(36), ""),
    ("secret.github_token", "github_" + "pat_" + _body(22) + "_" + _body(59), ""),
    ("secret.gitlab_token", "glpat-" + _body(20), ""),
    ("secret.slack_token", "xox" + "b-123456789012-123456789012-" + _body(24), ""),
    ("secret.slack_webhook", "hooks.slack" + ".com/services/T0AAAAAAA/B0AAAAAAA/" + _body(24), "https://"),
    ("secret.discord_webhook", "discord" + ".com/api/webhooks/123456789012345678/" + _body(68), "https://"),
    (
        "secret.teams_webhook",
        "webhook.office"
        + ".com/webhookb2/"
        + "-".join(_hex(n) for n in (8, 4, 4, 4, 12))
        + "@"
        + "-".join(_hex(n) for n in (8, 4, 4, 4, 12))
        + "/IncomingWebhook/"
        + _hex(32),
        "https://acme.",
    ),
    ("secret.stripe_key", "sk_" + "live_" + _body(24), ""),
    ("secret.stripe_key", "whsec" + "_" + _body(32), ""),
    ("secret.anthropic_key", "sk-" + "ant-api03-" + _body(93) + "AA", ""),
    ("secret.openai_key", "sk-" + "proj-" + _body(48), ""),
    ("secret.openai_key", "sk-" + _body(48), ""),
    ("secret.openrouter_key", "sk-" + "or-v1-" + _hex(64), ""),
    ("secret.langfuse_key", "sk-" + "lf-" + "-".join(_hex(n) for n in (8, 4, 4, 4, 12)), ""),
    ("secret.google_api_key", "AIza" + _body(35), ""),
    ("secret.google_oauth", "GOC" + "SPX-" + _body(28), ""),
    ("secret.google_oauth", "ya29" + "." + _body(60), ""),
    ("secret.google_oauth", "1//0" + _body(64), ""),
    ("secret.sendgrid_key", "SG" + "." + _body(22) + "." + _body(43), ""),
    ("secret.twilio_key", "SK" + _hex(32), ""),
    ("secret.npm_token", "npm_" + _body(36), ""),
    ("secret.pypi_token", "pypi-" + "AgEIcHlwaS5vcmc" + _body(60), ""),
    ("secret.huggingface_token", "hf_" + _body(34, "aBcDeFgHiJkLmNoPqRsT"), ""),
    ("secret.huggingface_token", "api_org_" + _body(34, "aBcDeFgHiJkLmNoPqRsT"), ""),
    ("secret.azure_storage_key", _body(86, "aB3/dE5+gH7jK9mN1pQ2") + "==", "AccountName=x;AccountKey="),
    ("secret.azure_client_secret", "abC8" + "Q~" + _body(34), ""),
    ("secret.azure_sas", _body(44, "aB3%dE5gH7jK9mN1pQ2") + "%3D", "?sv=2022&sig="),
    ("secret.digitalocean_token", "dop_" + "v1_" + _hex(64), ""),
    ("secret.shopify_token", "shpat_" + _hex(32), ""),
    ("secret.telegram_bot_token", "1234567890" + ":AA" + _body(33), ""),
    ("secret.telegram_bot_token", "bot1234567890" + ":AA" + _body(33), "https://api.telegram.org/"),
    ("secret.mailgun_key", "key-" + _hex(32), ""),
    ("secret.databricks_token", "dapi" + _hex(32), ""),
    ("secret.linear_key", "lin_" + "api_" + _body(40), ""),
    ("secret.notion_token", "ntn_" + _body(46), ""),
    ("secret.notion_token", "secret_" + _body(43), ""),
    ("secret.grafana_token", "glsa_" + _body(32) + "_" + _hex(8), ""),
    ("secret.vault_token", "hvs" + "." + _body(90), ""),
    ("secret.terraform_token", _body(14) + ".atlas" + "v1." + _body(64), ""),
    ("secret.doppler_token", "dp.pt" + "." + _body(43), ""),
    ("secret.postman_key", "PMAK-" + _hex(24) + "-" + _hex(34), ""),
    ("secret.newrelic_key", "NRAK-" + _body(27, "AB3DE5GH7"), ""),
    ("secret.figma_token", "figd_" + _body(40), ""),
    ("secret.airtable_token", "pat" + _body(14) + "." + _hex(64), ""),
    ("secret.atlassian_token", "ATATT3" + _body(186), ""),
    ("secret.dropbox_token", "sl" + "." + _body(140), ""),
    ("secret.square_token", "sq0" + "atp-" + _body(22), ""),
    ("secret.docker_token", "dckr_" + "pat_" + _body(27), ""),
    ("secret.heroku_key", "HRKU-" + "AA" + _body(58), ""),
    ("secret.groq_key", "gsk_" + _body(52), ""),
    ("secret.xai_key", "xai-" + _body(80), ""),
    ("secret.replicate_token", "r8_" + _body(37), ""),
    ("secret.perplexity_key", "pplx-" + _body(48), ""),
    ("secret.langsmith_key", "lsv2_" + "pt_" + _hex(32) + "_" + _hex(10), ""),
    ("secret.tavily_key", "tvly-" + _body(32), ""),
    ("secret.pinecone_key", "pcsk_" + _body(60), ""),
    ("secret.supabase_key", "sbp_" + _hex(40), ""),
    ("secret.supabase_key", "sb_" + "secret_" + _body(31), ""),
    ("secret.sentry_token", "sntrys_" + _body(80), ""),
    ("secret.netlify_token", "nfp_" + _body(36), ""),
    ("secret.planetscale_token", "pscale_" + "tkn_" + _body(43), ""),
    ("secret.rubygems_key", "rubygems_" + _hex(48), ""),
    ("secret.alibaba_key", "LTAI" + _body(20), ""),
    ("secret.brevo_key", "xkeysib-" + _hex(64) + "-" + _body(16), ""),
    ("secret.mailchimp_key", _hex(32) + "-us" + "12", ""),
    ("secret.tailscale_key", "tskey-" + "auth-" + _body(17) + "-" + _body(32), ""),
    ("secret.pulumi_token", "pul-" + _hex(40), ""),
    ("secret.flyio_token", "fo1_" + _body(43), ""),
    ("secret.age_key", "AGE-SECRET-" + "KEY-1" + _body(58, "QPZRY9X8GF2TVDW0"), ""),
    ("secret.bearer_token", _body(40), "Authorization: Bearer "),
    ("secret.generic", "hunter2X99!", 'password = "'),
    ("secret.generic", "9f8e7d6c5b4a39281706f5e4", "api_key: "),
]

# One of every other label of the secrets pack.
EXAMPLES += secret_samples.examples({label for label, _, _ in EXAMPLES})


@pytest.fixture(scope="session")
def examples():
    """(label, value, what has to stand before it) of every kind."""
    return EXAMPLES


_MODULES = {"hyperscan": "hyperscan", "re2": "re2"}
_built = {}


def _engine(name):
    if name not in _built:
        _built[name] = scanning.build(name)
    return _built[name]


@pytest.fixture(scope="module", params=scanning.ENGINES)
def engine(request):
    """Everything in the test runs on this engine."""
    name = request.param
    if name in _MODULES:
        pytest.importorskip(_MODULES[name])
    before = scanning._configured._made
    scanning._configured._made = _engine(name)
    yield _built[name]
    scanning._configured._made = before


@pytest.fixture(scope="session")
def plain():
    """The engine that all others must agree with."""
    return _engine("python")


@pytest.fixture(scope="session", params=list(_MODULES))
def native(request):
    """Each engine of native code that can be imported here."""
    pytest.importorskip(_MODULES[request.param])
    return _engine(request.param)


def pytest_generate_tests(metafunc):
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", EXAMPLES, ids=[f"{label}-{at}" for at, (label, _, _) in enumerate(EXAMPLES)])
