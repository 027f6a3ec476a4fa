"""Keys in the forms that providers publish, web tokens and private keys: random, of no account, made at run time only.

Nothing here is a key: a form is what a provider writes before one, and how long the rest is.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from random import Random

__all__ = ["PROVIDERS", "key", "jwt", "private_key"]

_SETS = {
    "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "l": "abcdefghijklmnopqrstuvwxyz0123456789",
    "u": "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "2": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "h": "0123456789abcdef",
    "n": "0123456789",
    "b": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    "s": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "w": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_",
    "q": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}
_PART = re.compile(r"\{([a-z2])([0-9]+)\}")

#: Provider → forms: text, and {set length} for what is random; {uuid} for a UUID, {number} for base64 of one.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "github": ("ghp_{a36}", "gho_{a36}", "ghs_{a36}", "github_pat_{a22}_{a59}"),
    "gitlab": ("glpat-{b20}", "gldt-{b20}", "glrt-{b20}", "glptt-{h40}"),
    "aws": ("AKIA{216}", "ASIA{216}"),
    "aws_secret": ("{s40}",),
    "openai": ("sk-proj-{b48}", "sk-{a20}T3BlbkFJ{a20}", "sk-svcacct-{b60}"),
    "anthropic": ("sk-ant-api03-{b93}AA", "sk-ant-admin01-{b93}AA"),
    "google": ("AIza{b35}",),
    "google_oauth": ("GOCSPX-{b28}",),
    "google_access": ("ya29.{b120}",),
    "slack": ("xoxb-{n12}-{n12}-{a24}", "xoxp-{n12}-{n12}-{n12}-{h32}", "xapp-1-A{u10}-{n13}-{h64}"),
    "slack_webhook": ("hooks.slack.com/services/T{u10}/B{u10}/{a24}",),
    "discord_webhook": ("discord.com/api/webhooks/{n18}/{b68}",),
    "discord_bot": ("{number}.G{a5}.{b38}",),
    "stripe": ("sk_live_{a24}", "rk_live_{a24}", "sk_test_{a99}", "whsec_{a32}"),
    "square": ("sq0atp-{b22}", "sq0csp-{b43}"),
    "paypal_braintree": ("access_token$production${l16}${h32}",),
    "twilio": ("SK{h32}",),
    "sendgrid": ("SG.{b22}.{b43}",),
    "mailgun": ("key-{h32}",),
    "mailchimp": ("{h32}-us12", "{h32}-us5"),
    "brevo": ("xkeysib-{h64}-{a16}",),
    "postmark": ("{uuid}",),
    "telegram": ("{n10}:AA{b33}",),
    "npm": ("npm_{a36}",),
    "pypi": ("pypi-AgEIcHlwaS5vcmc{b70}",),
    "rubygems": ("rubygems_{h48}",),
    "crates": ("cio{a32}",),
    "docker": ("dckr_pat_{b27}",),
    "heroku": ("HRKU-AA{b58}",),
    "digitalocean": ("dop_v1_{h64}", "doo_v1_{h64}"),
    "shopify": ("shpat_{h32}", "shpss_{h32}"),
    "databricks": ("dapi{h32}", "dapi{h32}-2"),
    "huggingface": ("hf_{a34}",),
    "azure_storage": ("{s86}==",),
    "azure_client": ("{a3}8Q~{b34}", "{a3}7Q~{b34}"),
    "linear": ("lin_api_{a40}",),
    "notion": ("ntn_{a46}", "secret_{a43}"),
    "figma": ("figd_{b40}",),
    "airtable": ("pat{a14}.{h64}",),
    "atlassian": ("ATATT3xFfGF0{b171}={u8}",),
    "grafana": ("glsa_{a32}_{h8}", "glc_eyJ{s100}="),
    "newrelic": ("NRAK-{u27}",),
    "datadog": ("{h32}",),
    "sentry": ("sntrys_eyJ{s120}=_{s43}", "sntryu_{h64}"),
    "vault": ("hvs.{b92}", "hvb.{b140}"),
    "terraform": ("{a14}.atlasv1.{b67}",),
    "doppler": ("dp.pt.{a43}", "dp.st.prd.{a43}"),
    "pulumi": ("pul-{h40}",),
    "planetscale": ("pscale_tkn_{b43}", "pscale_pw_{b43}"),
    "supabase": ("sbp_{h40}", "sb_secret_{b31}"),
    "flyio": ("fo1_{b43}",),
    "netlify": ("nfp_{a36}",),
    "vercel": ("{a24}",),
    "cloudflare": ("{b40}",),
    "fastly": ("{b32}",),
    "postman": ("PMAK-{h24}-{h34}",),
    "tailscale": ("tskey-auth-{a17}-{a32}", "tskey-api-{a17}-{a32}"),
    "groq": ("gsk_{a52}",),
    "xai": ("xai-{a80}",),
    "replicate": ("r8_{a37}",),
    "perplexity": ("pplx-{a48}",),
    "openrouter": ("sk-or-v1-{h64}",),
    "langsmith": ("lsv2_pt_{h32}_{h10}",),
    "langfuse": ("sk-lf-{uuid}",),
    "tavily": ("tvly-{a32}", "tvly-dev-{a32}"),
    "pinecone": ("pcsk_{w70}",),
    "cohere": ("{a40}",),
    "elevenlabs": ("sk_{h48}",),
    "alibaba": ("LTAI5t{a18}",),
    "tencent": ("AKID{a32}",),
    "age": ("AGE-SECRET-KEY-1{q58}",),
    "dropbox": ("sl.u.{b140}",),
    "facebook": ("EAA{a150}",),
    "hubspot": ("pat-na1-{uuid}", "pat-eu1-{uuid}"),
    "okta": ("00{b40}",),
    "artifactory": ("AKCp8{a68}", "cmVmdGtu{a56}"),
    "sonar": ("sqp_{h40}", "squ_{h40}"),
    "dynatrace": ("dt0c01.{224}.{264}",),
    "snyk": ("{uuid}",),
    "buildkite": ("bkua_{h40}",),
    "circleci": ("CCIPAT_{a22}_{h40}",),
    "launchdarkly": ("sdk-{uuid}", "api-{uuid}"),
    "asana": ("1/1{n15}:{h32}", "2/1{n15}/1{n15}:{h32}"),
    "clickup": ("pk_{n8}_{u32}",),
    "typeform": ("tfp_{b44}_{a14}",),
    "contentful": ("CFPAT-{b43}",),
    "readme": ("rdme_{l70}",),
    "duffel": ("duffel_live_{b43}",),
    "easypost": ("EZAK{a54}", "EZTK{a54}"),
    "shippo": ("shippo_live_{h40}",),
    "plaid": ("access-production-{uuid}",),
    "lob": ("live_{h35}",),
    "flutterwave": ("FLWSECK_TEST-{h32}-X", "FLWSECK-{h32}-X"),
    "adobe": ("p8e-{a32}",),
    "infracost": ("ico-{a32}",),
    "prefect": ("pnu_{a36}",),
    "scalingo": ("tk-us-{b48}",),
    "nytimes": ("{b32}",),
    "confluent": ("{a64}",),
    "deepseek": ("sk-{h32}",),
    "weights_biases": ("{h40}",),
}
#: Those whose keys look like any random word: found, if at all, by the name that they are assigned to.
NAMELESS = (
    "aws_secret",
    "okta",
    "postmark",
    "azure_storage",
    "datadog",
    "vercel",
    "cloudflare",
    "fastly",
    "snyk",
    "cohere",
    "nytimes",
    "confluent",
    "weights_biases",
)


def key(rng: Random, arg: str) -> str:
    """A key of the provider `arg`; of any whose keys tell where they come from if empty or `any`."""
    provider = arg if arg and arg != "any" else rng.choice([p for p in PROVIDERS if p not in NAMELESS])
    form = rng.choice(PROVIDERS[provider]).replace("{uuid}", str(uuid.UUID(int=rng.getrandbits(128), version=4)))
    form = form.replace(
        "{number}", base64.b64encode(str(rng.randint(10**17, 2 * 10**18)).encode()).decode().rstrip("=")
    )
    return _PART.sub(lambda part: "".join(rng.choices(_SETS[part[1]], k=int(part[2]))), form)


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def jwt(rng: Random, arg: str) -> str:
    """A web token of RFC 7519, signed by nobody. `arg`: `keyed` for one that names its key."""
    head = {"alg": rng.choice(("HS256", "RS256", "ES256")), "typ": "JWT"}
    if arg == "keyed":
        head["kid"] = rng.randbytes(8).hex()
    issued = rng.randint(1_600_000_000, 1_760_000_000)
    claims = {
        "sub": str(rng.randint(1000, 10**9)),
        "iat": issued,
        "exp": issued + 3600,
        "scope": rng.choice(("read", "admin", "openid email")),
    }
    return f"{_segment(head)}.{_segment(claims)}.{''.join(rng.choices(_SETS['b'], k=rng.choice((43, 86, 342))))}"


_DASHES = "-" * 5


def private_key(rng: Random, arg: str) -> str:
    """A block of RFC 7468. `arg`: `json` (line feeds escaped), `indent` (four spaces), or an algorithm: rsa, ec, openssh, pgp, pkcs8."""
    kind = arg if arg in ("rsa", "ec", "openssh", "pgp", "pkcs8") else rng.choice(("rsa", "ec", "openssh", "pkcs8"))
    name = {
        "rsa": "RSA PRIVATE KEY",
        "ec": "EC PRIVATE KEY",
        "openssh": "OPENSSH PRIVATE KEY",
        "pkcs8": "PRIVATE KEY",
        "pgp": "PGP PRIVATE KEY BLOCK",
    }[kind]
    lines = ["".join(rng.choices(_SETS["s"], k=64)) for _ in range({"ec": 2}.get(kind, rng.randint(5, 12)))]
    lines.append("".join(rng.choices(_SETS["s"], k=rng.randint(10, 40))) + rng.choice(("", "=", "==")))
    if kind == "pgp":
        lines = ["", *lines, "=" + "".join(rng.choices(_SETS["s"], k=4))]
    by = {"json": "\\n", "indent": "\n    "}.get(arg, "\n")
    return by.join((f"{_DASHES}BEGIN {name}{_DASHES}", *lines, f"{_DASHES}END {name}{_DASHES}"))
