"""Values that only a name gives away: what is assigned to `password`, to `API_TOKEN`, to `heroku_api_key`.

The forms in which a name has a value are many, in code, in settings, in markup, in a command, in a sentence; they are
put together here, once. What names there are is data: ours below, the providers' in `secrets/named.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from guardai.text.detectors.detector import Detector, Opening, PackError
from guardai.text.judging.signs import SIGN
from guardai.text.validators import VALIDATORS, Validator

__all__ = ["SHORT_NAMES", "generic", "named"]

# ---- the pieces ----

#: What closes a name: quotes of a JSON key, brackets of an item or a cast, stars, what has no width; the tag that it stood in.
_CLOSE: Final = r"""\\{0,7}+(?:["'`\])*]|\xe2\x80[\x8b-\x8f]){0,3}+(?:</[A-Za-z]\w{0,7}>){0,2}+"""
#: Between a name and its sign, and behind the sign: what lines up the values of many.
_GAP: Final = r"[ \t]{0,40}+"
#: `password: str = …`, `var token [32]byte = …`: the type, where an equals sign follows it; and `char password[32] = "…"`, where
#: a string does.
_TYPE: Final = (
    r"(?:(?:\s?:|[ \t])\s?(?:&(?:'\w{1,8}[ \t])?)?[A-Za-z\[*][\w.\[\]<>?|]{0,24}"
    r"(?:(?:,|[ \t]\|)[ \t][A-Za-z][\w.\[\]<>?]{0,16}){0,2}(?=\s{0,20}=)"
    r"""|\[\w{0,16}\](?=\s{0,20}=\s{0,8}[A-Za-z@]{0,2}["']))?"""
)
#: Signs behind which a value may stand as it is, and those behind which only a quoted one is meant.
_SIGN: Final = r"(?::{1,3}=?|\?=|=(?![=>~])|\xef\xbc\x9a|\xef\xbc\x9d)"
_SIGNS: Final = (
    r"(?::{1,3}=?|\?=|[=!]={1,2}|[=\-+]?>|<-|=|[+.]=|\|\||[,(]|\xef\xbc\x9a|\xef\xbc\x9d"
    # What takes the place of a value that is not there.
    r"|\?\?=?|\?:|(?<=[^\"'`][ \t])or(?=[ \t]))"
)
#: A quote of a typographer, where a space follows it: `« … »`. Without one it is a sign of the value (`judging/signs.py`).
_SPACED_QUOTE: Final = r"(?:\xc2\xab|\xe2\x80[\x98-\x9f\xb9]|\xe3\x80[\x8a\x8c\x8e])[ \t]"
#: What closes a name behind its sign, `**Password:** …`, `<b>Password:</b> …`; and what opens its value.
_CLOSE_MARK: Final = r"(?:[*_]{1,3}[ \t]|(?:</[A-Za-z]\w{0,7}>){1,2})?+"
_OPEN_MARK: Final = rf"(?:\*\*|<[A-Za-z]\w{{0,7}}>)[ \t]?|{_SPACED_QUOTE}|(?<=:[ \t])(?:!!|&)\w{{1,24}}[ \t]{{1,4}}"
#: `SecretStr("…")`, `new String("…")`: what makes a value of a string, and does not look one up by it; or brackets around one.
_MADE: Final = (
    r"(?:(?:new[ \t])?(?:secret(?:str|string|bytes)?|str|string(?:::from)?|(?:\[\])?bytes?|some|just|optional\.of|buffer\.from)"
    r"""\(\s{0,8}|\((?=["'][^\s"']{4,40}["']\)))"""
)
#: `"name": "DB_PASSWORD", "value": "…"`, on two lines or on one.
_PAIRED: Final = (
    r"""(?:\\{0,3}["']?(?:,\s{0,24}|\s{1,24})\\{0,3}["']?[Vv]alue\\{0,3}["']?\s{0,3}[:=]\s{0,3}\\{0,3}["']?"""
    # `variable "db_password" { default = "…" }`
    r"""|"\s{0,4}\{\s{0,16}(?:(?:type|sensitive|nullable)\s{0,16}=\s{0,4}\w{1,12}\s{1,16}){0,3}default\s{0,16}=\s{0,4}")"""
)
#: What stands between the two: the sign and a string's quote, `"`, r", @", \" within another; the sign alone; the `>` of
#: an element; `value:` behind `name: DB_PASSWORD`; nothing but a space, as in `#define AP_PASSWORD "…"`.
_BETWEEN: Final = (
    rf"(?:{_PAIRED}|{_CLOSE}(?:\s{{0,4}}+|{_GAP})"
    rf"(?:{_SIGNS}{_CLOSE_MARK}(?:\s{{0,8}}|{_GAP})(?:{_OPEN_MARK}|{_MADE})?+[A-Za-z@$]{{0,2}}\\{{0,7}}(?:\"\"\"|'''|[\"'`])"
    rf"|{_SIGN}{_CLOSE_MARK}{_GAP}(?:{_OPEN_MARK})?+(?:[|>][+\-]?\r?\n[ \t]{{1,12}})?|>\s{{0,16}}(?:<!\[CDATA\[)?)"
    r"""|[ \t]{1,8}")"""
)
#: `<password type="…">`: attributes of the element.
_ATTRIBUTES: Final = r"""(?:[ \t][\w:.\-]{1,24}=["'][^\s"'<>]{0,40}["']){1,2}>\s{0,16}"""


def _strings(inside: str, *, closed: bool = True) -> str:
    """Strings whose opening quote was just read, up to the quote that closes each: the same one, escaped as often.

    A quote within a string is escaped once more than those around it, or doubled as in SQL; another one may stand there as it
    is. Three kinds are told apart, which nearly all are, because each costs the proof that no text takes too long.

    Args:
        inside: the inside of a string, with `{item}` for what it is made of and `{first}` for what it may begin with.
        closed: whether the quote that closes it must be there.
    """
    made = []
    for escape, quote in (("", '"'), ("", "'"), (r"\\", '"')):
        escaped = rf"""{escape}\\(?:{escape}["'`/]|\\{escape})"""
        first = rf"""[^\s"'`\\\x00]|{escaped}"""
        item = rf"""[^\s{quote}\\\x00]|{escaped}""" + ("" if escape else rf"|{quote}{quote}(?=[A-Za-z0-9])")
        made.append(
            rf"(?<={escape}{quote})(?<!\\{escape}{quote})"
            + inside.replace("{first}", first).replace("{item}", item)
            + (f"(?={escape}{quote})" if closed else "")
        )
    return "|".join(made)


def _has_foreign(inside: str) -> str:
    """Ahead: a sign that is not ASCII in a word of what this is the inside of a character class for, of at most 160 bytes.

    A value that has one goes on as far as it may, whatever ends it: what stands behind such a sign may be another text,
    `…。f(x)`, and say nothing of the value (`judging/signs.py`).
    """
    return rf"(?=[{inside}]{{0,160}}?{SIGN})"  # what is excluded is ASCII, so that all bytes of signs and letters are in it


#: A word that is not quoted. It goes on behind an ampersand, unless a letter says that the next part of a query begins or what
#: HTML writes so; and with brackets, if they are closed and more follows.
_UNQUOTED: Final = r"""^\s"'`,;<>(){}\[\]&|\x00\\"""
_BARE: Final = (
    r"""(?<!["'`])(?:[^\s"'`,;<>(){}\[\]&|\x00$%%*\\~]|\$(?=[A-Za-z0-9_]{1,24}[!#^]))"""
    rf"""(?:[{_UNQUOTED}]|&[0-9!$*+\-?@^~]|\([A-Za-z0-9]{{1,20}}\)[A-Za-z0-9]){{%(rest)d,160}}"""
)
#: A string without whitespace; or a word that is not quoted, up to whitespace, a comma, a semicolon, without the full stop
#: of its sentence. Nothing behind a value but the next character decides: by then it has left a stream.
_VALUE: Final = (
    r"(?P<value>"
    + _strings(r"(?:{first})(?:{item}){<rest>,160}").replace("%", "%%").replace("<rest>", "%(rest)d")
    # One that another quote closes, or that goes on behind a space: as far as it goes.
    + r"""|(?<=["'`])[^\s"'`\\\x00]{%(least)d,160}(?=\\{0,7}["'`]%(or)s)"""
    + rf"|{_BARE}"
    + r"""(?<!\.)(?<!\*\*)(?=(?:\*\*)?\.{0,3}(?:[\s"'`,;<)}\]&|\x00\\]|\Z))"""
    + rf"|{_has_foreign(_UNQUOTED)}{_BARE}+)"
)
#: A string of several words; and one that has not come to its end.
_WORDS: Final = rf"(?P<value>{_strings('(?:{first})(?:{item}|[ ](?=[^ ])){5,120}')})"
_OPEN: Final = _strings(r"(?:(?:{first})(?:{item}|[ ]){0,120})?[\\\"'`]{0,8}\Z", closed=False)
#: The same as `_VALUE` where quotes are written in the way of HTML or of a URL.
_ENCODED: Final = (
    r"""(?:&quot;|&#34;|%%22)?(?:\s|%%20)?(?::|=|%%3[AaDd])(?:\s|%%20)?(?:&quot;|&#34;|%%22)"""
    r"""(?P<value>(?:[^\s"'`&%%<>\\\x00]|%%[013-9A-Fa-f][0-9A-Fa-f]|%%2[013-9A-Fa-f]){%d,100})(?=&quot;|&#34;|%%22)"""
)
#: Verbs of sentences that tell a value; or a colon.
_IS: Final = r"(?::|[ \t](?:is|was|are|ist|lautet|war|est|es|era|\xc3\xa8|\xc3\xa9|to|jest|er|\xc3\xa4r|on|je|[:\-]|\xe2\x80\x94|\xe2\x80\x93):?)"

#: What a sentence says of a password in brackets, or which one it is, and a colon: `Password (temporary):`, `Passwort 2:`. What tells that
#: something else follows, `password (length):`, is no remark.
_REMARK: Final = (
    r"[ \t]?(?!.(?i:(?:user|login|utf)|"
    r"(?:age|count|date|email|e-mail|exp|file|hint|id|int|last|len|length|limit|mail|max|min|name|path|policy|rules?|size|str|string|ttl|type)(?![a-z])))"
    r"(?:\([^\s()\[\]][^()\[\]\r\n:=]{0,23}\)|\[[^\s()\[\]0-9][^()\[\]\r\n:=]{0,23}\]|#?[0-9]{1,2}|/[A-Za-z]{2,12})[ \t]?[:=]"
)

#: Between a name and a value that has to prove itself: a space, an arrow, the border of a cell, a tag's end and the next one's
#: beginning, the end of the line behind a colon or behind the header of a form's part.
_BESIDE: Final = (
    r"(?:[ \t]{1,8}(?:(?:[\-=]?>|\xe2\x86\x92|\xe2\x87\x92|\xe2\x9e[\x94\x9c])[ \t]{1,8})?"
    r"|[*_`]{0,3}[ \t]{0,40}+\|[ \t]{0,40}+[*`]{0,3}"
    r"|(?:</[A-Za-z][^<>]{0,24}>\s{0,16}){1,2}(?:<[A-Za-z][^<>]{0,48}>\s{0,16}){1,2}"
    r"|(?:[*_]{0,3}:[*_]{0,3}[ \t]{0,8}|\]?\"(?=\r?\n\r?\n))(?:\r?\n[ \t]{0,8}){0,2}(?:```\w{0,10}\r?\n[ \t]{0,8})?[*`]{0,3})"
)


def _assigned(shortest: int) -> str:
    """What stands between a name and its value, and the value of at least so many characters."""
    return f"(?:{_ATTRIBUTES}|{_TYPE}{_BETWEEN}){_value(shortest)}"


def _value(shortest: int) -> str:
    # A key proves itself: a space behind one ends its string or begins what else stands there. A password is a phrase perhaps.
    return _VALUE % {"least": shortest, "rest": shortest - 1, "or": "|[ ]" if shortest >= 8 else ""}


# ---- passwords, tokens and keys of nobody in particular ----

_PASSWORDS: Final = (
    r"(?:pass(?:word|wd|wort|phrase|code|ord|(?-i:e(?![a-z])|E(?![A-Z])))|passw|pwd|kennwort|contrase(?:\xc3[\xb1\x91]|n)a|senha|parola|wachtwoord|haslo|heslo|jelszo|"
    r"senord|adgangskode|salasana|sifre|lozinka|geslo|sandi)"
)
_PASSWORD_LITERALS: Final = (
    "passw", "passphrase", "passcode", "passord", "passe", "pwd", "kennwort", "contrase", "senha", "parola", "wachtwoord",
    "haslo", "heslo", "jelszo", "senord", "adgangskode", "salasana", "sifre", "lozinka", "geslo", "sandi",
)  # fmt: skip


def _cased(*words: str) -> tuple[str, ...]:
    """As they are, with a capital, in capitals: an expression over bytes folds no letters but those of English."""
    return tuple(dict.fromkeys(form for word in words for form in (word, word[:1].upper() + word[1:], word.upper())))


_PASSWORDS_ELSEWHERE: Final = (
    *_cased(
        "пароль", "пароля", "пароли", "парола", "лозинка", "hasło", "jelszó", "şifre", "κωδικός", "κωδικος", "khẩu",
    ),
    "ŞİFRE", "密码", "密碼", "口令", "パスワード", "비밀번호", "암호", "पासवर्ड", "รหัสผ่าน", "المرور", "السر", "סיסמה", "סיסמא",
)  # fmt: skip
#: How a quote or the end of a line is written within a string; and a backslash within a value, which is none of that.
_ESCAPE: Final = r"\\(?:\\{0,7}[\"'`]|\\{0,6}[nrt])"
_BACKSLASH: Final = r"\\(?!\\{0,7}[\"'`]|\\{0,6}[nrt])"
#: What stands between such a word and its value, more words if a sign follows them; and the value.
_ELSEWHERE: Final = (
    r"(?:(?!\xef\xbc\x9a)[^\s:=0-9A-Z]){0,12}"
    r"(?:(?:[ \t][^\s!-@\[-`{-~]{1,24}){0,3}[ \t]?(?:[:=]|\xef\xbc\x9a|\xe2\x80\x94|\xe2\x80\x93|(?<=[ \t])-(?=[ \t]))[ \t]{0,2}"
    r"|(?:[ \t][^\s!-@\[-`{-~]{1,24}){0,2}[ \t](?:là|είναι|คือ|هي|היא)[ \t]"
    r"|[ \t]?(?:是|为|為|は|は、|는|은|to)[ \t]{0,2}|[ \t])"
    rf"(?:{_SPACED_QUOTE}|(?:\\{{0,7}}[\"'`「『«“]){{0,3}})"
    # What is masked already is none; and a quote is within a value if what stands behind it closes nothing.
    r"(?!\[[A-Z][A-Z0-9_]*[:\]])"
    rf"(?P<value>(?:[!#-&(-\[\]-_a-~]|{_BACKSLASH}|[\"'`](?=[A-Za-z0-9!#$%(*+@\[^_{{~?\-])){{6,128}}(?<![.,;}}\])]))"
)
#: What is called a key and is secret; what is called so and is not says nothing here.
_KEY_WORDS: Final = (
    "access", "account", "aes", "api", "app", "auth", "cipher", "client", "consumer", "crypto", "decryption", "deploy", "enc",
    "encryption", "hmac", "jwt", "licence", "license", "master", "private", "secret", "service", "session", "shared", "signing",
    "storage", "subscription", "webhook",
)  # fmt: skip
#: Keys that identify, sort or route, and keys that are public; tokens that say where to go on.
_PLAIN_KEYS: Final = (
    "cache", "composite", "correlation", "dedup", "deduplication", "foreign", "idempotency", "kms", "lookup", "natural", "object",
    "partition", "primary", "pub", "public", "publishable", "range", "routing", "row", "s3", "shard", "site", "sort", "surrogate",
    "translation", "unique",
)  # fmt: skip
_PLAIN_TOKENS: Final = ("continuation", "cursor", "next", "page", "pagination", "publickey", "resume", "sync")
#: What ends a name whose value is about a secret.
_ABOUT: Final = (
    "address", "algorithm", "arn", "attempts", "count", "endpoint", "expiration", "expires", "expiry", "fingerprint", "format",
    "hint", "label", "lastset", "length", "lifetime", "limit", "name", "path", "policy", "prefix", "status", "strength", "symbol",
    "type", "ttl", "uri", "url", "version",
)  # fmt: skip


def _behind(*words: str) -> str:
    """One of these directly before. Said as not none of them, it is one way to read a text and not as many as there are."""
    return f"(?!{_never(*words)})"


def _never(*words: str) -> str:
    """None of these directly before: those of one length together, because a lookbehind has one width."""
    return "".join(f"(?<!{'|'.join(alike)})" for alike in _by_length(words))


def _by_length(words: Iterable[str]) -> Iterator[list[str]]:
    for _, group in groupby(sorted(words, key=len), key=len):
        alike = list(group)
        # Four at a time: what is too much to be counted cannot be proved to be safe.
        yield from (alike[at : at + 4] for at in range(0, len(alike), 4))


_NO_PLAIN_TOKEN: Final = _never(*(word + joint for word in _PLAIN_TOKENS for joint in ("", "_", "-")))
_NO_PLAIN_KEY: Final = _never(*_PLAIN_KEYS)
#: Short ones end a name only behind a joint or as a hump: `password_age`, no `storage`.
_NOT_ABOUT: Final = _never(*_ABOUT) + r"(?<![_\-.]age)(?<![_\-.](?:at|on))(?-i:(?<!Age)(?<!At|On))"
#: And after a space: `token count: 1234`.
_NO_MORE: Final = rf"(?![ \t](?:{'|'.join(_ABOUT)})(?![A-Za-z]))"
#: Several, and how many they are: `passwords leaked: 1000000`.
_NO_COUNT: Final = r"(?!(?<=s)[ \t][A-Za-z \t]{1,60}:[ \t]{1,2}[0-9.,]{1,20}(?![^\s;]))"
#: No atom of Elixir and no symbol of Ruby, `:token`, and no part of an address, `arn:aws:secretsmanager:…`; `Jwt:Token` is a name.
_NO_ATOM: Final = r"(?:(?<!:)|(?<=\w:)(?![\w.\-]{1,24}:\S))"
_ANY_KEY: Final = ("_key", "-key")
_KEYS: Final = (
    rf"(?:secret|{_NO_PLAIN_TOKEN}token|credentials?|creds|(?:{'|'.join(_KEY_WORDS)})[_\-. ]?key|"
    rf"{_behind(*_KEY_WORDS)}[_\-.]key|[_\-]auth|[_\-]pat(?![A-Za-z]))"
)
_KEY_LITERALS: Final = (
    "secret", "token", "credential", "creds", *(f"{word}key" for word in _KEY_WORDS), *_ANY_KEY, ".key", "_auth", "-auth",
    *(f"{joint}pat{sign}" for joint in "_-" for sign in ("=", ":", '"', "'", " ")),
)  # fmt: skip
#: Before `pass` and the like, written as one word.
_GLUED: Final = (
    "admin", "bind", "cert", "db", "ftp", "http", "imap", "key", "ldap", "login", "mail", "mongo", "mysql", "pg", "pop", "postgres",
    "proxy", "redis", "root", "smtp", "sql", "ssh", "store", "sudo", "user", "vnc", "wifi", "wpa",
)  # fmt: skip
#: What passes, too, and is no password: `renderPass`.
_PASSES: Final = (
    "back", "by", "final", "first", "forward", "last", "light", "multi", "one", "render", "second", "shader", "shadow", "single",
    "third", "two",
)  # fmt: skip
#: A short name begins where a word does, or a hump, or behind what it is often written with.
_SHORT: Final = rf"(?-i:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?:{_never(*_PASSES)})|" + _behind(*_GLUED)
#: What a test reports, or how many passed: `PASS: TestParse`, `pass=120 fail=3`.
_VERDICT: Final = r"(?<![\w\-.?&])pass(?:(?-i:(?<=PASS)):[ \t]{1,4}[^\s\"'`]|[:=][ \t]{0,4}[0-9]{1,12}(?![^\s,;)]))"
#: Names of passwords that mean other things, too.
SHORT_NAMES: Final = ("pass", "pw", "psw", "pswd", "psk", "mdp", "clave")
#: An API key, in other languages: in one word, and with the word for a key before or behind.
_KEYS_ELSEWHERE: Final = (
    "API-Schlüssel", "API-Schluessel", "APIキー", "API密钥", "API-ключ", "API-nyckel", "API-sleutel", "密钥", "密鑰", "令牌", "токен",
    "Токен", "ТОКЕН", "トークン", "토큰",
)  # fmt: skip


def _modest(name: str) -> Validator:
    """A validator whose yes is no more than a perhaps: any other kind that fits knows better what the value is."""
    check = VALIDATORS[name]

    def perhaps(value: bytes) -> bool | None:
        plain = _ESCAPED.sub(b"", value) if b"\\" in value else value
        return None if check(plain) is not False and not _APART.search(plain) else False

    return perhaps


#: Where code joins strings, `"'+name+'"`: a quote beside a sign that does it.
_APART: Final = re.compile(rb"[\"'`][+.,)\]};&|=]|[+.,(\[{=&|][\"'`]")
#: How a quote is written within a string.
_ESCAPED: Final = re.compile(rb"\\+(?=[\"'`])")


def generic() -> tuple[Detector, ...]:
    """What is assigned to a name that says that it is secret."""
    title = "A password, token or key, by the name that it is assigned to"
    kind = partial(Detector, label="secret.generic", title=title, run="", rank=1)
    rest = rf"[A-Za-z0-9_\-.]{{0,24}}+(?<![_\-a-z][Ii][Dd])(?<!\.){_NOT_ABOUT}"
    words = r"(?:[ \t][A-Za-z]{1,14}){0,4}?"
    # A string of words is what a person reads, in most places: only a sign that assigns makes one a password.
    several = (
        rf"(?:{_PASSWORDS}{rest}|(?:{_SHORT})(?:{'|'.join(SHORT_NAMES)})[0-9]{{0,2}}){_CLOSE}{_GAP}(?:{_SIGN}|=>){_GAP}"
        r"""[A-Za-z@$]{0,2}\\{0,3}["'`]"""
    )
    ends = rf"(?=(?:\*\*)?\.{{0,3}}(?:[\s<|\"'`,;)\]}}]|{_ESCAPE}|\Z))"
    inside = r"^\s\"'`,;<>(){}\[\]|\\"
    bare = rf"[{inside}]{{6,128}}"
    word = rf"(?P<value>{bare}(?<![.:?])(?<!!\")(?<!\*\*){ends}|{_has_foreign(inside)}{bare}+)"
    long = (
        rf"(?P<value>[A-Za-z0-9][A-Za-z0-9_\-+/]{{18,100}}[A-Za-z0-9_=](?:{ends}|(?=[\x80-\xff])[{inside}]{{1,48}}+))"
    )
    told = rf"(?!\*)(?:[^\s\"'`,;<>(){{}}\[\]\\]|{_BACKSLASH}){{5,160}}"
    told = rf"(?P<value>{told}(?<!\.)(?<!\*\*)(?=(?:\*\*)?\.{{0,3}}(?:[\s<\"'`,;)\]}}]|{_ESCAPE}|\Z))|{_has_foreign(inside)}{told}+)"
    opened = rf"""(?:\*\*[ \t]?|["'`]|{_SPACED_QUOTE})?"""
    # Of these an anchor ends where whitespace begins.
    spaced = tuple(f"{word} " for word in _KEY_WORDS)
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
            literals=SHORT_NAMES,
            then=r"[:=\"' 0-9>\xe2]",
            ignore_case=True,
            before="",
            pattern=rf"(?={_SHORT})(?!{_VERDICT})(?:{'|'.join(SHORT_NAMES)})[0-9]{{0,2}}{_assigned(4)}",
            validator=_modest("password"),
            score=0.6,
        ),
        *(
            Opening(
                label="secret.generic",
                title=title,
                example='password = "… … …"',
                literals=literals,
                then=then,
                ignore_case=True,
                before="",
                # The look ahead is for speed: most strings are one word.
                pattern=f"{several}(?=[^ \"'`]{{1,60}} ){_WORDS}",
                opens=f"{several}(?:{_OPEN})",
                run="",
                spaced=True,
                validator=_modest("phrase"),
                score=0.5,
                rank=1,
            )
            for literals, then in (
                (tuple(name for name in _PASSWORD_LITERALS if name != "passe"), ""),
                ((*SHORT_NAMES, "passe"), "[:=\"']"),
                (tuple(f"{name} " for name in (*SHORT_NAMES, "passe")), "[:=]"),
            )
        ),
        kind(
            example="api_key: …",
            literals=_KEY_LITERALS,
            ignore_case=True,
            before="",
            pattern=f"{_NO_ATOM}{_KEYS}{rest}{_NO_MORE}{_assigned(8)}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="HEROKU_KEY=…",
            literals=_ANY_KEY,
            ignore_case=True,
            before="",
            pattern=rf"{_NO_PLAIN_KEY}[_\-]key{rest}{_assigned(8)}",
            validator=_modest("identified"),
            score=0.6,
        ),
        kind(
            example="SECRET=…",
            literals=("secret", "redis_auth", "redis-auth"),
            ignore_case=True,
            before="",
            pattern=rf"{_NO_ATOM}(?:secret(?:[_\-. ]?key)?|redis[_\-]auth){_assigned(6)}",
            validator=_modest("human"),
            score=0.6,
        ),
        kind(
            example="API key: …",
            literals=(*spaced, *(f"{word}{joint}" for word in _KEY_WORDS for joint in "_-")),
            then="k",
            ignore_case=True,
            before="A-Za-z",
            pattern=rf"{_KEYS}(?:{_TYPE}{_BETWEEN}|{words}{_IS}[ \t]{{1,2}}{opened}){_value(8)}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="the password is …",
            literals=(*(name for name in _PASSWORD_LITERALS if name != "passe"), "passe ", "secret ", "token "),
            ignore_case=True,
            before="",
            pattern=rf"(?:(?:{_PASSWORDS}|secret|token)[a-z]{{0,4}}{_NO_COUNT}{_NO_MORE}{words}{_IS}|{_PASSWORDS}[a-z]{{0,4}}{_REMARK})[ \t]{{1,2}}{opened}{told}",
            validator=_modest("certain"),
            score=0.5,
        ),
        kind(
            example="ENV DB_PASSWORD …",
            literals=(
                *_PASSWORD_LITERALS,
                *(f"{name}{sign}" for name in ("pass", "pw", "mdp", "psk") for sign in " :"),
            ),
            ignore_case=True,
            before="",
            pattern=rf"(?:{_PASSWORDS}{rest}|(?<![A-Za-z])(?:pass|pw|mdp|psk)){_BESIDE}{word}",
            validator=_modest("surprising"),
            score=0.5,
        ),
        *(
            kind(
                example="api-token …",
                literals=literals,
                then=then,
                ignore_case=True,
                before="",
                pattern=rf"{_NO_ATOM}{_KEYS}{_BESIDE}{long}",
                validator=_modest("sure"),
                score=0.5,
            )
            for literals, then in ((_KEY_LITERALS, ""), (spaced, "k"))
        ),
        kind(
            example="password=&quot;…&quot;",
            literals=_PASSWORD_LITERALS,
            ignore_case=True,
            before="",
            pattern=f"{_PASSWORDS}{rest}{_ENCODED % 4}",
            validator=_modest("password"),
            score=0.6,
        ),
        kind(
            example="%22token%22%3A%22…%22",
            literals=_KEY_LITERALS,
            ignore_case=True,
            before="",
            pattern=f"{_KEYS}{rest}{_ENCODED % 8}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="пароль: …",
            literals=_PASSWORDS_ELSEWHERE,
            before="",
            pattern=f"(?:{'|'.join(_PASSWORDS_ELSEWHERE)}){_ELSEWHERE}",
            validator=_modest("certain"),
            score=0.6,
        ),
        kind(
            example="API-Schlüssel: …",
            literals=_KEYS_ELSEWHERE,
            before="",
            pattern=f"(?:{'|'.join(_KEYS_ELSEWHERE)}){_ELSEWHERE}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="clé API : …",
            literals=("lé ", "cle ", "clave ", "chave ", "chiave ", "klucz ", "ключ "),
            then="[Aa][Pp][Ii]",
            before="",
            pattern=rf"(?:lé|cle|clave|chave|chiave|klucz|ключ) [Aa][Pp][Ii]{_ELSEWHERE}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="API Schlüssel: …",
            literals=("API ",),
            then="[Ss]chl",
            before="A-Za-z",
            pattern=rf"API [Ss]chl(?:ü|ue)ssel{_ELSEWHERE}",
            validator=_modest("assigned"),
            score=0.6,
        ),
        kind(
            example="API キー：…",
            literals=("API ",),
            then="[^ -~]",
            before="A-Za-z",
            pattern=rf"API (?:キー|密钥|密鑰|ключ|키){_ELSEWHERE}",
            validator=_modest("assigned"),
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
