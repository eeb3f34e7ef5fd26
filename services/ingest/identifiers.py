"""Ids are taken as they are, if they can be told apart and name nobody."""

import re
import unicodedata

from schemas.intake import MAX_IDENTIFIER
from schemas.problems import INVALID_SUBJECT, PERSONAL_SUBJECT, Refused

# Cc are control characters, Cs halves of surrogate pairs: neither has a place in UTF-8 text that people compare.
_REFUSED_CATEGORIES = ("Cc", "Cs")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+[0-9]{8,15}|1[3-9][0-9]{9}")
_SEPARATORS = str.maketrans("", "", " -.()/")


def check(field: str, subject: str, *, allow_personal: bool = False) -> None:
    """Refused, naming the field, if nobody can have this id."""
    if flawed := flaw(subject):
        raise Refused(INVALID_SUBJECT, f"{field} {flawed}", field=field)
    if not allow_personal and (looks_like := personal(subject)):
        raise Refused(PERSONAL_SUBJECT, f"{field} looks like {looks_like}", field=field)


def flaw(text: str, longest: int = MAX_IDENTIFIER) -> str | None:
    """What is wrong with `text` as an id, to be read after its name; None if it can be used."""
    if 0 < len(text) <= longest and text.isascii() and text.isprintable() and text[0] != " " and text[-1] != " ":
        return None
    if not text:
        return "is empty"
    if len(text) > longest:
        return f"has {len(text)} characters, {longest} are the most"
    if unreadable(text):
        return "holds a control character"
    if text != text.strip():
        return "has a blank at an end"
    return None


def unreadable(text: str) -> bool:
    """Whether a control character is in it."""
    if text.isascii() and text.isprintable():
        return False
    return any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in text)


def personal(subject: str) -> str | None:
    """What personal data `subject` looks like: "an e-mail address", "a telephone number", None if like none.

    A telephone number is + and 8 to 15 digits or a Chinese mobile number, written with separators or without.
    """
    if "@" in subject and _EMAIL.fullmatch(subject):
        return "an e-mail address"
    if _PHONE.fullmatch(subject.translate(_SEPARATORS)):
        return "a telephone number"
    return None
