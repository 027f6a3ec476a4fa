"""Values that only a name gives away: what is assigned to `password`, to `API_TOKEN`, to `heroku_api_key`.

The forms in which a name has a value are many, in code, in settings, in markup, in a command, in a sentence; they are
put together here, once. What names there are is data: ours below, the providers' in `secrets/named.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from guardai.text.detectors.detector import Detector, PackError
from guardai.text.validators import VALIDATORS, Validator

__all__ = ["generic", "named"]

# ---- the pieces ----

#: What closes a name: quotes of a JSON key, brackets of an item or a cast.
_CLOSE: Final = r"""\\{0,2}+["'`\])]{0,3}+"""
#: `password: str = …`, `var token string = …`: the type, where an equals sign follows it.
_TYPE: Final = r"(?:(?:\s?:|[ \t])\s?[A-Za-z][\w.\[\]<>?|]{0,24}(?=\s{0,2}=))?"
#: Signs behind which a value may stand as it is, and those behind which only a quoted one is meant.
_SIGN: Final = r"(?::{1,3}=?|\?=|=(?![=>~])|\xef\xbc\x9a|\xef\xbc\x9d)"
_SIGNS: Final = r"(?::{1,3}=?|\?=|[=!]={1,2}|[=\-+]?>|=|[+.]=|\|\||[,(]|\xef\xbc\x9a|\xef\xbc\x9d)"
#: What stands between the two: the sign and a string's quote, `"`, r", @", \" within another; the sign alone; the `>` of
#: an element; `value:` behind `name: DB_PASSWORD`; nothing but a space, as in `#define AP_PASSWORD "…"`.
_BETWEEN: Final = (
    rf"(?:{_CLOSE}\s{{0,4}}+(?:{_SIGNS}\s{{0,8}}[A-Za-z@$]{{0,2}}\\{{0,3}}[\"'`]"
    rf"|{_SIGN}[ \t]{{0,4}}(?:[|>][+\-]?\r?\n[ \t]{{1,12}})?|>\s{{0,16}})"
    r"""|["']?,?\s{1,24}["']?[Vv]alue["']?\s{0,3}[:=]\s{0,3}["']?|[ \t]{1,8}")"""
)
#: A string without whitespace; or a word that is not quoted, up to whitespace, a comma, a semicolon, without the full stop
#: of its sentence. Nothing behind a value but the next character decides: by then it has left a stream.
_VALUE: Final = (
    r"""(?P<value>(?<=["'`])[^\s"'`\\\x00]{%d,160}(?=\\{0,3}["'`])"""
    r"""|(?<!["'`])[^\s"'`,;<>(){}\[\]&|\x00$%%*\\~][^\s"'`,;<>(){}\[\]&|\x00\\]{%d,160}(?<!\.)"""
    r"""(?=\.{0,3}(?:[\s"'`,;<)}\]&|\x00\\]|\Z)))"""
)
#: Verbs of sentences that tell a value; or a colon.
_IS: Final = r"(?::|[ \t](?:is|was|are|ist|lautet|war|est|es|era|\xc3\xa8|\xc3\xa9|to|jest|er|\xc3\xa4r|on|je|[:\-]|\xe2\x80\x94|\xe2\x80\x93):?)"


def _assigned(shortest: int) -> str:
    """What stands between a name and its value, and the value of at least so many characters."""
    return f"{_TYPE}{_BETWEEN}{_VALUE % (shortest, shortest - 1)}"


# ---- passwords, tokens and keys of nobody in particular ----

_PASSWORDS: Final = (
    r"(?:pass(?:word|wd|wort|phrase|code|ord|e(?!port))|passw|pwd|kennwort|contrase(?:\xc3\xb1|n)a|senha|parola|wachtwoord|haslo|heslo|jelszo|"
    r"senord|adgangskode|salasana|sifre|lozinka|geslo|sandi)"
)
_PASSWORD_LITERALS: Final = (
    "passw", "passphrase", "passcode", "passord", "passe", "pwd", "kennwort", "contrase", "senha", "parola", "wachtwoord",
    "haslo", "heslo", "jelszo", "senord", "adgangskode", "salasana", "sifre", "lozinka", "geslo", "sandi",
)  # fmt: skip
#: Without a script's small letters and capitals being one.
_PASSWORDS_ELSEWHERE: Final = (
    "пароль", "Пароль", "ПАРОЛЬ", "пароля", "парола", "Парола", "лозинка", "hasło", "Hasło", "jelszó", "Jelszó", "şifre", "Şifre",
    "κωδικός", "密码", "密碼", "口令", "パスワード", "비밀번호", "암호", "पासवर्ड", "รหัสผ่าน", "المرور", "السر", "סיסמה", "סיסמא", "khẩu",
)  # fmt: skip
#: What stands between such a word and its value; and the value.
_ELSEWHERE: Final = (
    r"(?:(?!\xef\xbc\x9a)[^\s:=0-9A-Z]){0,12}"
    r"(?:[ \t]?(?:[:=]|\xef\xbc\x9a|\xe2\x80\x94|\xe2\x80\x93|是|为|為|は|は、|는|은|to|:)[ \t]{0,2}|[ \t])"
    r"[\"'`「『«“]{0,3}(?P<value>[!-~]{6,128}(?<![.\"'`,;]))"
)
_KEYS: Final = (
    r"(?:secret|token|credentials?|creds|(?:api|app|access|account|auth|client|consumer|crypto|decryption|deploy|encryption|"
    r"hmac|jwt|license|master|private|secret|service|session|shared|signing|storage|subscription|webhook)[_\-. ]?key|"
    r"[_\-]key|[_\-]auth)"
)
_KEY_LITERALS: Final = (
    "secret", "token", "credential", "creds", "apikey", "accesskey", "appkey", "authkey", "accountkey", "clientkey", "encryptionkey",
    "masterkey", "privatekey", "servicekey", "sharedkey", "signingkey", "storagekey", "_key", "-key", ".key", "_auth", "-auth",
)  # fmt: skip


def _modest(name: str) -> Validator:
    """A validator whose yes is no more than a perhaps: any other kind that fits knows better what the value is."""
    check = VALIDATORS[name]
    return lambda value: None if check(value) is not False else False


def generic() -> tuple[Detector, ...]:
    """What is assigned to a name that says that it is secret."""
    title = "A password, token or key, by the name that it is assigned to"
    kind = partial(Detector, label="secret.generic", title=title, run="", rank=1)
    rest = r"[A-Za-z0-9_\-.]{0,24}+(?<![_\-a-z][Ii][Dd])(?<!\.)"
    words = r"(?:[ \t][A-Za-z]{1,14}){0,4}?"
    return (
        kind(
            example='password = "…"',
            literals=_PASSWORD_LITERALS,
            ignore_case=True,
            before="",
            pattern=f"{_PASSWORDS}{rest}{_assigned(4)}",
            validator=_modest("password"),
            score=0.6,
        ),
        kind(
            example="DB_PASS=…",
            literals=("pass", "pw", "psw", "pswd"),
            then=r"[:=\"' ]",
            ignore_case=True,
            before="A-Za-z",
            pattern=rf"(?:pass|pw|psw|pswd){_assigned(4)}",
            validator=_modest("password"),
            score=0.6,
        ),
        kind(
            example="api_key: …",
            literals=_KEY_LITERALS,
            ignore_case=True,
            before="",
            pattern=f"(?<!:){_KEYS}{rest}{_assigned(8)}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="API key: …",
            literals=("api ", "access ", "auth ", "encryption ", "private ", "license "),
            then="k",
            ignore_case=True,
            before="A-Za-z",
            pattern=rf"{_KEYS}(?:{_TYPE}{_BETWEEN}|{words}{_IS}[ \t]{{1,2}}[\"'`]?){_VALUE % (8, 7)}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="the password is …",
            literals=(*(name for name in _PASSWORD_LITERALS if name != "passe"), "passe ", "secret ", "token "),
            ignore_case=True,
            before="",
            pattern=rf"(?:{_PASSWORDS}|secret|token)[a-z]{{0,4}}{words}{_IS}[ \t]{{1,2}}[\"'`]?(?P<value>[^\s\"'`,;<>(){{}}\[\]]{{5,160}}(?<![.]))(?=[\"'`,;.]{{0,3}}(?:[\s<]|\Z))",
            validator=_modest("certain"),
            score=0.5,
        ),
        kind(
            example="пароль: …",
            literals=_PASSWORDS_ELSEWHERE,
            before="",
            pattern=f"(?:{'|'.join(_PASSWORDS_ELSEWHERE)}){_ELSEWHERE}",
            validator=_modest("certain"),
            score=0.6,
        ),
    )


# ---- keys of providers ----

#: A name begins where a word does, or a hump: `prodHerokuKey`. `CameraKit` holds no Meraki.
_BEGINS: Final = r"(?-i:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
#: From the name on: its rest, perhaps more words, the sign, perhaps a name within (`heroku: {key: …}`), the value.
_NAMED: Final = (
    _BEGINS + r"[\w.\-]{2,48}+(?:[ \t][\w\-]{1,12}){0,4}(?<![_\-a-z][Ii][Dd])(?<!ur[li])(?<!hash)(?<!sha)(?<!name)"
    rf"(?:{_TYPE}{_CLOSE}\s{{0,4}}+(?:{_SIGNS})\s{{0,8}}"
    r"|[ \t]{1,3}(?:is|was)[ \t]{1,3}|(?<=key|ken|ret|pat|ass|ord|ate|KEY|KEN|RET|PAT|ASS|ORD)[ \t]{1,3})"
    r"""(?:[{\[(]?\s{0,16}["']?[\w\-]{0,16}(?:[Kk]ey|KEY|[Tt]oken|TOKEN|[Ss]ecret|SECRET|[Aa]uth|[Pp]ass|PASS|[Cc]red)[\w\-]{0,16}["']?\s{0,2}[:=]\s{0,4})?"""
    r"""(?:[A-Za-z@]{0,2}\\{0,3}["'`])?(?P<value>[A-Za-z0-9_][A-Za-z0-9_+/=.:|%\-]{10,178}[A-Za-z0-9_=])(?![A-Za-z0-9_+/=|%\-])"""
)
#: Behind a word that people use for other things, too: what makes it part of a name.
_PARTS: Final = (
    "_", "-", ".", " ", "access", "admin", "api", "app", "auth", "client", "http", "key", "pass", "secret", "token", "write",
)  # fmt: skip
#: How the words of a name are joined.
_JOINTS: Final = ("_", "-", ".", "")


def _shaped(shape: str, value: bytes) -> bool | None:
    return VALIDATORS["mixed"](value) if re.fullmatch(shape.encode(), value) else False


def named(path: Path) -> tuple[Detector, ...]:
    """Reads `[[named]]`: keys whose shape many things have, found where a provider's name is in that of the variable.

    Each has a `label`, `title` and `example`, the `names` to look for, with an underscore between two words, the `value`
    as an expression, and `common` if the names are words that mean other things, too.

    Raises:
        PackError: it cannot be read or used.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"{path.name}: {error}") from error
    return tuple(detector for entry in table["named"] for detector in _named(entry))


def _named(entry: Mapping[str, Any]) -> Iterator[Detector]:
    common = entry.get("common", False)
    one = partial(
        Detector,
        label=entry["label"],
        title=entry["title"],
        example=entry["example"],
        ignore_case=True,
        before="",
        pattern=_NAMED,
        run="",
        validator=partial(_shaped, entry["value"]),
        score=0.85,
        rank=6,
    )
    names: list[str] = []
    for name in entry["names"]:
        first, _, rest = name.partition("_")
        if first and rest:
            names += [name.replace("_", joint) for joint in _JOINTS]
            # An anchor ends where whitespace begins; what follows it is looked at behind it.
            yield one(literals=(f"{first} ",), then=rest.partition("_")[0])
        else:
            names += [name + part for part in _PARTS] if common else [name]
    yield one(literals=tuple(dict.fromkeys(names)))
