"""Whether a value is a key somebody made, or a word, a name, a blank in a template.

Two scores say so, apart from one another, each from 0 to 1:

- `strength` is how much of a surprise the value is: its Shannon entropy times its length, against the 64 bits that make
  a key hard to guess;
- `ordinary` is how much of it people or programs write when they do not mean a secret: a blank to be filled in, a
  reference, a name in a program, a word.

What is left of the first when the second is taken away decides, with a bar for each kind of name it is assigned to.
Where a provider's prefix says what a value is, only a blank speaks against it: a key that is masked in vain costs less than
one that gets out.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Final

from guardai.text.validators.common import Validator

__all__ = ["TEMPLATE", "VALIDATORS", "entropy", "likely", "ordinary", "strength"]

#: Bits by which a value that nobody can guess surprises.
_STRONG: Final = 64.0
#: What is read of a value: longer ones are no less random.
_READ: Final = 64


def entropy(value: bytes) -> float:
    """Shannon's, in bits a byte (Shannon 1948)."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in (value.count(bytes((c,))) for c in set(value)))


def strength(value: bytes) -> float:
    """How much of a surprise a value is: 0 for `aaaa`, about 0.4 for eight random characters, 1 from twenty on."""
    head = value[:_READ]
    return min(1.0, entropy(head) * len(head) / _STRONG) if head else 0.0


# ---- what is ordinary ----

#: A blank to be filled in, wherever in a value: `YOUR_API_KEY`, `<token>`, `xxxx`, `${VAR}`, `changeme`.
_BLANK: Final = re.compile(
    rb"(?i)(?:\A|[^a-z])(?:your|insert|enter|put|paste|replace)(?![a-z]{13})[a-z_\-. ]{0,26}?"
    rb"(?:password|passwd|pass|pwd|secret|token|key|credentials?|value|here|id)(?![a-z])|"
    rb"change[_\-]?(?:me|it|this)|replace[_\-]?(?:me|this|with)|place[_\-]?holder|insert[_\-]|redacted|censored|"
    rb"example|dummy|"
    rb"x{4,}|\*{3}|\.{3}|_{4,}|-{4,}+(?!BEGIN\b)|#{4,}|([^A-Za-z0-9])\1{5}|"
    rb"\$\{|\{\{|\}\}|<%|%>|\$\(|%\(|\{[a-z_.0-9()\[\]]{0,40}\}|\A<[^>]{1,60}>?\Z|\A\[[a-z_ \-]{1,40}\]?\Z|\A%[a-z_]{1,40}%?\Z|"
    rb"\A\$[a-z_][a-z0-9_]*(?![a-z0-9_!#^])|"
    rb"\A@[a-z_@]|\A[a-z]+://|\A--?[a-z][a-z0-9\-]{0,20}\Z|"
    rb"process\.env|os\.environ|getenv|environ\[|env\.|config\.|settings\.|secrets\.|vault[:/]|ssm[:/]|keyvault|secretref|"
    rb"valuefrom|arn:aws|secretsmanager|op://|file:|"
    rb"\xe2\x80\xa6|\xe2\x80\xa2"  # an ellipsis, a bullet
)
#: Words that stand for a value, and are also part of what people choose: `Default#2024`, `None4me!`.
_STOPGAP: Final = re.compile(
    rb"(?i)(?:\A|(?<=[^a-z]))(?:my|the|add|use|some|any|new|old|get|set)(?![a-z]{13})[a-z_\-. ]{0,26}?"
    rb"(?:password|passwd|pass|pwd|secret|token|key|credentials?|value|here|id)(?![a-z])|"
    rb"masked|hidden|removed|sample(?![a-z])|(?<![a-z])(?:fake|foo|bar|baz|foobar|lorem|ipsum|todo|fixme|tbd|n/a|none|null|nil|"
    rb"undefined|not[_\-]?set|unset|empty|blank|default|optional|required|string|str|boolean|integer)(?![a-z])"
)
#: Escapes and what joins code: no key holds them, a regular expression and a template do.
_CODE: Final = re.compile(
    rb"\\[a-zA-Z(\[]|[a-zA-Z_\])]\[|[a-zA-Z_]\(|\)\.|\[\^|\(\?|=>|->|::|&&|\|\||\A[.,;:=+*/?|&!~^-]+\Z"
)
#: What a program calls something: words joined by dots, underscores, arrows.
_NAME: Final = re.compile(rb"[A-Za-z_$@][A-Za-z0-9_]*(?:(?:\.|::?|->|-|/)[A-Za-z_$][A-Za-z0-9_]*)*[;,)\]]{0,3}\Z")
#: A word and its number, as tests and lists have them.
_NUMBERED: Final = re.compile(
    rb"(?i)(?:tests?|testing|demo|user|username|abc|temp|tmp|name|value|field|item|arg|param|column|col|row|key|id|node|host|"
    rb"server|db|data|file|page|line|part|step|type|class|group|level|version|string|text|word|token|latin|utf|[a-z])[_\-]?[0-9]{1,4}\Z"
)
#: A machine and its port, a user and its numbers.
_HOST: Final = re.compile(rb"[A-Za-z0-9.\-]+(?::[0-9]{2,5}){1,3}\Z")
_GROUPS: Final = re.compile(rb"[0-9]+")
_PATH: Final = re.compile(rb"(?:\.{0,2}|~|[A-Za-z]:)?(?:[/\\][A-Za-z0-9_.@+\-\x80-\xff]{0,40}){2,}\Z")
_DATE: Final = re.compile(rb"(?:[0-9T:.\-/+Z ]|\xe2\x80[\x90-\x95]|\xe2\x88\x92)+\Z")
_WORDS: Final = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_CHANGES: Final = re.compile(rb"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
#: The pairs of letters that make up nine tenths of English text, and most of what its neighbours have.
_PAIRS: Final = frozenset(
    b"th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne "
    b"ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa "
    b"ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp "
    b"fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu rn sc gi da "
    b"yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew mu br bi pt ak pu ui rg ib "
    b"ki rk ys ob sw ok ik ub ph mm ud nn ef lf ft my dr sk".split()
)


def _wordy(value: bytes) -> float:
    """The share of a value that is words: runs of three letters and more whose pairs are those that words have."""
    known = 0
    for run in _WORDS.findall(value):
        if len(run) >= 3:
            lower = run.lower()
            pairs = len(lower) - 1
            if sum(lower[at : at + 2] in _PAIRS for at in range(pairs)) >= (0.75 if pairs < 7 else 0.6) * pairs:
                known += len(run)
    return known / len(value)


#: An address is masked as one: it is no part of a value that it stands behind or within.
_BESIDE: Final = re.compile(rb"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9.\-]{1,100}\.[A-Za-z]{2,}")


#: What a form says to who is to type a password, in scripts other than Latin; a digit or a sign behind it makes it one.
_ASKED_FOR: Final = re.compile(
    (
        "(?:парол|лозинк|(?:на)?пример(?=[.:!?]|\\Z)|приклад(?=[.:!?]|\\Z)|введи|введіть|повтори|укажит|вкажіть|обязательн|обов(?:’|'|ʼ)?язков"
        "|неверн|невірн|забыли|забули|κωδικ|συνθηματικ|παράδειγμα|εισάγετε|密码|密碼|口令|(?:请|請)(?:输入|輸入|填|设置|設定|确认|確認|再次)|必须|必須|必填"
        "|示例|例(?:如|えば|：|:|\\Z)|パスワード|(?:を|再)?入力(?:し|する|必|\\Z)|비밀번호|암호(?!화)|예시|입력(?:하|해|\\Z)|필수|كلمة|סיסמ|รหัสผ่าน|पासवर्ड)"
        "[^!-@\\[-`{-~]{0,60}[.!?]?"
    ).encode()
)


def _is_blank(value: bytes) -> bool:
    """Whether a value is to be filled in. A word that stands for one counts where what it leaves is no surprise."""
    head = value[:128]
    # The `example` of `Qz#7o9, ann@example.com` says nothing of what stands before the address.
    head = _BESIDE.sub(b"", head) or head
    if _BLANK.search(head):
        return True
    if not head.isascii() and _ASKED_FOR.fullmatch(head.decode("utf-8", "replace").lower().encode()):
        return True
    rest = _STOPGAP.sub(b"", head)
    if len(rest) == len(head):
        return False
    if any(c in _CHOSEN for c in rest) and _digits(rest):
        return False
    return not rest or strength(rest) - _wordy(rest) < 0.4


def ordinary(value: bytes) -> float:
    """How much of a value is a blank, a reference, a name or words: 1 for `YOUR_API_KEY`, 0 for random characters."""
    head = value[:_READ]
    if _is_blank(value) or _PATH.match(head) or _DATE.match(head):
        return 1.0
    if _CODE.search(value[:128]) and (len(value) < 20 or _wordy(head) >= 0.1):
        return 1.0
    if _HOST.match(value) or _NUMBERED.match(value):
        return 1.0
    words = _wordy(head)
    # What a program calls something has few digits, and words or what joins them.
    if len(value) < 40 and len(_GROUPS.findall(value)) <= 2 and _NAME.match(value):
        joined = not value.isalnum() and (value == value.lower() or value == value.upper())
        return 1.0 if words >= 0.3 or joined else words
    return words


#: The same behind a provider's prefix, where no word of three letters may speak against what was drawn at random.
_FILLED: Final = re.compile(
    rb"(?i)x{5,}|\*{3}|\.{3}|_{4,}|example|placeholder|redacted|changeme|insert[_\-]|dummy|"
    rb"your[_\-]|(?<![A-Za-z0-9])my[_\-]|[_\-](?:here|goes|value|key|token|secret)\Z|"
    rb"\$\{|\{\{|<[a-z_\- ]{2,40}>|\xe2\x80\xa6|\xe2\x80\xa2"
)


def _blank(value: bytes) -> bool:
    return _FILLED.search(value) is not None


#: Algorithms and encodings that end in a number.
_ALGORITHM: Final = re.compile(
    rb"(?i)(?:sha|md|utf|base|rsa|aes|des|x|v|oauth|argon|bcrypt|scrypt|pbkdf|ipv|ed|hs|rs|es|latin|cp)[_\-.]?"
    rb"[0-9]{1,4}[a-z]{0,8}(?:[_\-.][a-z0-9]{1,8}){0,3}"
)
#: What sentences about passwords and tokens have, with digits in it.
_TECHNICAL: Final = re.compile(
    rb"(?i)(?:rfc|iso|http|tls|ssl|win|python|py|level|step|section|chapter|figure|table|part|type|version|page|port|localhost|"
    rb"line|key|token|user|id|pin|h|p|s|e|c|windows|mysql|postgres|oracle|ntlm)[_\-.]?[0-9]{1,4}(?:[_\-.][a-z0-9]{1,8}){0,3}"
)


# ---- what is assigned to a name ----

#: Passwords that everybody uses, by their frequency in published leaks; what is also an ordinary word in code is left out.
_COMMON: Final = frozenset(
    b"letmein iloveyou monkey dragon sunshine princess football baseball superman batman trustno1 starwars passw0rd p@ssw0rd "
    b"p@ssword pa$$word pa$$w0rd passw0rd1 password1 password12 password123 password1! password123! admin123 admin1234 root123 "
    b"welcome1 welcome123 welcome1! abc123 a1b2c3d4 1q2w3e4r 1q2w3e4r5t 1qaz2wsx zaq12wsx q1w2e3r4 hunter2 hunter12 shadow1 "
    b"michael1 jordan23 charlie1 ashley1 nicole1 daniel1 babygirl lovely1 flower1 letmein1 letmein123 monkey123 dragon123 "
    b"iloveyou1 sunshine1 princess1 football1 master123 killer123 secret123 s3cr3t s3cret secr3t "
    b"summer2023 winter2023 summer2024 winter2024 summer2025 winter2025 spring2024 autumn2024 toor correcthorsebatterystaple".split()
)
_UUID: Final = re.compile(rb"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_SPECIAL: Final = b"!@#$%^&*?+=~|\"'"
#: Those of them that no type and no reference has: `string|null`, `default=1`.
_CHOSEN: Final = b"!@#$%^&*+~"
#: `ab(cd)12`: behind a bracket that closes, code has no letter; and none between a word and a digit has such a sign.
_GLUED: Final = re.compile(rb"[A-Za-z0-9]\([A-Za-z0-9]{1,20}\)[A-Za-z0-9]|[A-Za-z][#!~][0-9]")
#: What masking has written.
_MASKED: Final = re.compile(rb"\[[A-Z][A-Z0-9_]*(?::[A-Za-z0-9_]+)*\]|<[A-Z][A-Z0-9_]*_[0-9]+>|\*{3}")


def _digits(value: bytes) -> int:
    return len(value) - len(value.translate(None, b"0123456789"))


def _code(value: bytes) -> bool:
    return _CODE.search(value[:128]) is not None and not _GLUED.search(value[:128])


def _password(value: bytes) -> bool | None:
    """What is assigned to a password: anything but a blank, a reference or a plain word.

    True: nobody writes it for anything else. None: letters and digits, as a person may choose. False: a word.
    """
    lower = value.lower()
    if lower in _COMMON:
        return True
    if len(value) < 4 or _is_blank(value) or _code(value) or _PATH.match(value):
        return False
    if _HOST.match(value) or _NUMBERED.match(value) or _ALGORITHM.fullmatch(value) or _MASKED.fullmatch(value):
        return False
    if _DATE.match(value):
        return None if len(value) >= 6 and value.isdigit() else False
    digits, special = _digits(value), any(c in _SPECIAL for c in value[1:])
    mixed = value != lower and value != value.upper()
    if digits and special and value.upper() != value.lower():
        return True  # what most of them are, in a third of the time that it takes to weigh one
    left = strength(value) - ordinary(value)
    if left >= 0.4 and digits and len(value) >= 8:
        return True
    if not digits:
        # Without a digit, only what no name and no sentence has: signs within, or letters that make no words.
        if special and mixed and len(value) >= 8 and not _NAME.match(value):
            return None
        if mixed and len(value) >= 8 and value.isalnum() and len(_WORDS.findall(value)) >= 3 and left >= 0.35:
            return None
        return None if len(value) >= 10 and left >= 0.4 and (value.isalnum() or not _NAME.match(value)) else False
    if _NAME.match(value) and not value.isalnum() and left < 0.3:
        return False  # `sha256_hash`, `user-1`
    return None if len(value) >= 6 else False


#: What sentences, labels and errors about passwords have, and what hardly anybody puts into one: 14 languages' smallest
#: words, and what forms say.
_SPOKEN: Final = frozenset(
    "a an the of to in on at is are be was for and or not no with your you my our this that it its by from as if has have do does "
    "can may must should will please than then when what which who one too enter type set get use used using change changed "
    "password passwords passwd passphrase passcode pass pwd secret secrets token key keys pin code credentials login user username "
    "email mail account field value string text required optional invalid incorrect wrong valid missing empty failed error new old "
    "current confirm confirmation repeat again forgot forgotten lost reset show hide hidden strong weak match least most more less "
    "characters character chars letters digits numbers long short minimum maximum min max only same different update save cancel "
    "sign log here there encrypted plain file path name number length policy generated default expired expires input "
    "der die das den dem ein eine einen und oder nicht ist sind für mit von zu im am bitte ihr ihre dein deine neues altes passwort "
    "passwörter kennwort eingeben vergessen zeichen mindestens wiederholen falsch benutzer "
    "le la les un une des du de et ou ne pas est sont pour avec dans sur votre vos mon ton veuillez mot passe oublié nouveau "
    "caractères saisir saisissez confirmer "
    "el los las una y o del es su tu para con por en que se contraseña clave nueva olvidado olvidada introduzca caracteres "
    "il lo gli i e di da per non che tua password inserisci dimenticata nuova caratteri "
    "os as uma do dos das em com não sua senha nova esqueceu digite deve ter "
    "het een van voor met uw je niet wachtwoord vergeten nieuw tekens moet "
    "och att är inte ditt din lösenord och til ikke er dit passord adgangskode glemt "
    "w na nie jest twoje hasło nowe i do".encode().split()
)
_CAPITALS: Final = re.compile(rb"[A-Z]{3,}\]|_[0-9]{1,6}>")


def _phrase(value: bytes) -> bool | None:
    """Several words in a string that is assigned to a password, and are none for a person to read: `correct horse …`."""
    words = value.split(b" ")
    if len(words) == 2 and not words[1]:
        return None if _password(words[0]) is not False else False  # one word, and a space before its string ends
    if (
        not 2 <= len(words) <= 8
        or b"" in words
        or value[-1:] in b".:,;?"
        or _is_blank(value)
        or _CAPITALS.search(value)
    ):
        return False
    if not _SPOKEN.isdisjoint(word.strip(b"!.,;:?()'\"").lower() for word in words):
        return False
    if not _digits(value):
        # As dice choose them: four at least, small, none twice. Three may be the label of a button.
        drawn = len(words) >= 4 and len(set(words)) == len(words)
        return (
            None
            if drawn and all(3 <= len(word) <= 9 and word.isalpha() and word.islower() for word in words)
            else False
        )
    joined = value.replace(b" ", b"")
    mixed = any(
        _digits(word) and word[:1].isalpha() and not _TECHNICAL.fullmatch(word) and not _ALGORITHM.fullmatch(word)
        and not _NUMBERED.match(word)
        for word in words
    )  # fmt: skip
    special = any(c in _SPECIAL for c in joined[1:]) and joined != joined.lower() and len(words) <= 3
    return None if (mixed or special) and _password(joined) is not False else False


#: What a program puts another value in the place of, from end to end.
_REFERENCE: Final = re.compile(
    rb"(?:<[^>]*>|\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|%[A-Za-z_]*%)\Z|\$[{(]|\{\{|<%|%[({]|[A-Za-z_$][\w.$]*[(\[].*[)\]];?\Z"
)
#: A regular expression.
_EXPRESSION: Final = re.compile(rb"\\[wdsbWDSB]|\[\^|\(\?|\][+*{?]|\.[*+]|\{[0-9]+,")
_OPENING: Final = b"<{[($@/%&*"
#: Letters of scripts that do not separate words.
_WIDE: Final = re.compile(rb"[\xe3-\xed]")


def _barred(value: bytes) -> bool:
    """Whether a value of its own is a reference, an expression, or masked."""
    if _MASKED.search(value) or _REFERENCE.match(value) or _EXPRESSION.search(value):
        return True
    return _WIDE.search(value) is not None and any(c in b"()[]{}<>" for c in value)


#: What fills a blank, wherever in a value, and may be part of what a person chooses.
_FILLING: Final = re.compile(rb"(?i)example|dummy|x{4,}|\.{3,}|_{4,}|-{4,}|#{4,}|([^A-Za-z0-9])\1{5,}")


def _alone(value: bytes) -> bool | None:
    """What stands under a password's name as a value of its own, in a leaf or a cell: its brackets and signs are no code's."""
    if _barred(value):
        return False
    if len(value.split()) > 1:
        return _phrase(value)
    if (judged := _password(value)) is not False:
        return judged
    if len(value) < 6 or _WIDE.search(value) or _PATH.match(value) or _DATE.match(value):
        return False
    if not value.translate(None, _SIGNS):
        return None if len(set(value)) >= 5 and not _is_blank(value) else False
    rest = _FILLING.sub(b"", value)
    if len(value) > len(rest) > len(value) / 2:
        return _alone(rest)  # it covers less than half
    opened = value.lstrip(_OPENING)
    mixed = value != value.lower() and value != value.upper()
    special = any(c in _SPECIAL or c in _OPENING for c in value[1:])
    if not _digits(value) or value.upper() == value.lower() or not (mixed or special) or len(opened) < 4:
        return False
    return None if not _is_blank(opened) else False


#: What schemas, forms and answers say of a password in one word, besides what sentences do.
_SAID: Final = frozenset(
    b"automatic available basic blocked bool boolean bytes disabled enabled external failure false forbidden granted integer "
    b"internal kerberos locked manual medium mismatch private public random readonly refused rejected removed revoked sensitive "
    b"success temporary textarea unchanged unknown updated varchar verified visible".split()
)
#: What speaks of passwords in any form: `newpassword`, `plaintext`, `bcrypt`, `invalidated`.
_SPEAKS: Final = re.compile(rb"pass|word|wort|text|hash|crypt|secret|token|requir|option|valid|allow|match")
_PLAIN: Final = re.compile(rb"[a-z]{5,20}\Z")


def _alone_plain(value: bytes) -> bool | None:
    """The same under a name that ends in the password's: a word is one that says nothing of passwords, and so is `Pa55`."""
    if (judged := _alone(value)) is not False:
        return judged
    if len(value) == 4:
        mixed = value != value.lower() and value != value.upper()
        return None if mixed and value.isalnum() and _digits(value) >= 2 else False
    if not _PLAIN.match(value) or _is_blank(value) or value in _SPOKEN or value in _SAID or _SPEAKS.search(value):
        return False
    return None


def _alone_human(value: bytes) -> bool | None:
    """The same under the name of a secret."""
    return False if _barred(value) or len(value.split()) > 1 else _human(value)


def _alone_assigned(value: bytes) -> bool | None:
    """The same under the name of a key or a token."""
    return False if _barred(value) or len(value.split()) > 1 else _assigned(value)


_SIGNS: Final = bytes(c for c in range(0x21, 0x7F) if not chr(c).isalnum())


def _assigned(value: bytes) -> bool | None:
    """What is assigned to a token, a key or a secret: random, or else it is a name or a sentence."""
    if len(value) < 8 or value[0] in b"$%{<[*&!/~\\(" or value.upper() == value.lower():
        return None if value.isdigit() and len(value) >= 20 else False
    digits = _digits(value)
    if not digits and len(value) < 20:
        return False
    words = ordinary(value)
    left = strength(value) - words
    if not digits:
        # Random letters, in both cases and no words: one in forty keys of twenty characters has no digit.
        return None if len(value) >= 20 and left >= 0.65 and len(_WORDS.findall(value)) * 5 >= len(value) else False
    if left < 0.35:
        return False
    if words >= 0.4 or (words >= 0.2 and len(value) < 24 and (digits < 4 or len(_CHANGES.findall(value)) < 3)):
        return False  # `sha256_hash`, `hunter2000`, `Base64Encoder`
    return True if left >= 0.6 and len(value) >= 16 else None


def _certain(value: bytes) -> bool | None:
    """What a sentence tells, `the password is x`: letters and digits that are no technical term."""
    if _TECHNICAL.fullmatch(value) or _password(value) is False:
        return False
    if value.lower() in _COMMON:
        return True
    digits = _digits(value)
    if not digits or digits == len(value) or len(value) < 6:
        return digits == len(value) and len(value) >= 6
    # `8-16`, `30days`, `2nd`: a number with its unit is none.
    return not re.match(rb"[0-9]{1,5}[^0-9]?[A-Za-z]{0,12}[.,;:!?]?\Z", value)


def _announced(value: bytes) -> bool | None:
    """What follows a name without a sign of assignment, as in `--password x`: only what is certainly a secret."""
    return _password(value) is not False and _certain(value) is True


def _human(value: bytes) -> bool | None:
    """What is assigned to a secret: random, or what a person chooses and nobody writes for anything else."""
    if (drawn := _assigned(value)) is not False:
        return drawn
    mixed = value != value.lower() and value != value.upper()
    chosen = _password(value) is True and (mixed or value.lower() in _COMMON)
    # A path and an address are what a secret is found by.
    return None if chosen and not re.search(rb"[/:]|\A[^A-Za-z0-9$]", value) else False


def _surprising(value: bytes) -> bool | None:
    """What stands behind a name with nothing but a space between: no term of a sentence that holds a digit looks like it."""
    if value.lower() in _COMMON:
        return True
    if len(value) < 8 or not _announced(value) or _ALGORITHM.fullmatch(value):
        return False
    mixed = value != value.lower() and value != value.upper()
    if not mixed and not any(c in _CHOSEN for c in value[1:]):
        return False
    return _wordy(value) < 0.4


def _identified(value: bytes) -> bool | None:
    """What is assigned to a key of any kind: a UUID is an identifier there."""
    return False if _UUID.fullmatch(value) else _assigned(value)


def _sure(value: bytes) -> bool | None:
    """What stands behind a key's name with nothing but a space between: random for certain, and no identifier."""
    return None if _identified(value) is True and _drawn(value, 0.2) and len(_CHANGES.findall(value)) >= 4 else False


# ---- what a prefix announces ----


def likely(value: bytes) -> bool | None:
    """Behind a prefix of its own: all but blanks and repetitions."""
    return not _blank(value) and entropy(value[-_READ:]) >= 2.2


def _spread(value: bytes, bits: float) -> bool:
    """Whether characters repeat no more than chance has it; short values cannot have many bits a byte."""
    head = value[:_READ]
    return entropy(head) >= min(bits, 0.62 * math.log2(len(head)))


#: What a provider begins its keys with is not drawn.
_PREFIX: Final = re.compile(rb"\A[A-Za-z][A-Za-z0-9]{1,11}[_\-.]")


def _drawn(value: bytes, wordy: float) -> bool:
    """Whether characters stand together as chance has it: a digit among them, or capitals and small letters in no order."""
    head = _PREFIX.sub(b"", value[:_READ])
    words = _wordy(head) if head else 1.0
    if _digits(value):
        return words < wordy
    return words < 0.35 and len(value) >= 16 and len(_WORDS.findall(head)) * 5 >= len(head)


def _mixed(value: bytes) -> bool | None:
    """Letters and digits, as random keys have and words joined by dashes have not."""
    return _spread(value, 2.8) and not _blank(value) and _drawn(value, 0.5)


def _dense(value: bytes) -> bool | None:
    """Small letters, capitals and digits together, and no words: for prefixes that are short."""
    if value == value.lower() or value == value.upper() or not _spread(value, 3.2):
        return False
    return not _blank(value) and _drawn(value, 0.5)


def _random(value: bytes) -> bool | None:
    return _spread(value, 3.0)


TEMPLATE: Final = re.compile(
    rb"(?i)[${<\[*].*|%(?![0-9a-f]{2}).*|x{3,}|\.{3,}|(?:your|my)?[_\-]?(?:password|passwd|pass|pwd|pw|secret|token|changeme|user|example)"
)


def _url_password(value: bytes) -> bool | None:
    """Not a template's blank, and not the word itself."""
    return False if TEMPLATE.fullmatch(value) else None


def _told(value: bytes) -> bool | None:
    """Where a form has a place for a password: all but a blank and the word itself."""
    if TEMPLATE.fullmatch(value) or _is_blank(value) or (_CODE.search(value[:128]) and not _digits(value)):
        return False
    return None


VALIDATORS: Final[MappingProxyType[str, Validator]] = MappingProxyType(
    {
        "alone": _alone,
        "alone_assigned": _alone_assigned,
        "alone_human": _alone_human,
        "alone_plain": _alone_plain,
        "announced": _announced,
        "assigned": _assigned,
        "certain": _certain,
        "dense": _dense,
        "human": _human,
        "identified": _identified,
        "key": likely,
        "mixed": _mixed,
        "password": _password,
        "phrase": _phrase,
        "random": _random,
        "sure": _sure,
        "surprising": _surprising,
        "told": _told,
        "url_password": _url_password,
    }
)
