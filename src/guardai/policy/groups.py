"""Groups of people that policies name for approval: one that is written in two ways is two groups, and one has no members."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guardai.policy.places import Places
from guardai.policy.problem import Problem
from guardai.policy.source import Policy
from guardai.policy.tree import approvals

__all__ = ["misspelt"]

#: Below it, words differ by a letter on purpose; by one too many or too few already above two.
_LONG = 4


def misspelt(policies: Sequence[Policy]) -> Iterator[Problem]:
    """Groups that are probably another one's name, misspelt: named by one policy, and all but named so by more."""
    used: dict[str, list[Policy]] = {}
    for policy in policies:
        named = {policy.annotations["approval"]} if "approval" in policy.annotations else set()
        for group in named | frozenset().union(*approvals(policy.tree)):
            used.setdefault(group, []).append(policy)
    for group, by in used.items():
        like = [
            other
            for other in used
            if other != group and _alike(group, other) and (len(used[other]), group) > (len(by), other)
        ]
        if like:
            policy = by[0]
            line, column = Places(policy).word(f'"{group}"')
            others = ", ".join(one.id for one in used[like[0]][:3])
            message = f"group {group!r} is asked here, {like[0]!r} by {others}: two groups, or one misspelt?"
            yield Problem("warning", policy.file, line, policy.id, message, column)


def _alike(one: str, other: str) -> bool:
    """Whether two names are one but for capitals and dashes, or for one letter of a longer word."""
    words, others = ([word for word in re.split(r"[-_. /]+", name.casefold()) if word] for name in (one, other))
    if "".join(words) == "".join(others):
        return True
    if len(words) != len(others):
        return False
    different = [(word, word_) for word, word_ in zip(words, others, strict=True) if word != word_]
    return len(different) == 1 and _one_letter(*different[0])


def _one_letter(one: str, other: str) -> bool:
    """One letter too many, too few, another, or two exchanged. Numbers differ on purpose."""
    if min(len(one), len(other)) < _LONG - (len(one) != len(other)) or abs(len(one) - len(other)) > 1:
        return False
    begin = 0
    while begin < min(len(one), len(other)) and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < min(len(one), len(other)) - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    mine, theirs = one[begin : len(one) - end], other[begin : len(other) - end]
    if any(letter.isdigit() for letter in mine + theirs):
        return False
    if len(mine) == len(theirs) == 2:
        return mine == theirs[::-1]
    return max(len(mine), len(theirs)) == 1
