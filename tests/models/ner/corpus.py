"""Sentences with entities, drawn from templates and from the names that the package faker carries.

The names are split by a digest of each: four fifths are trained on, one fifth fills the held-out templates, which are
other sentences too. So the figures tell how well a name is found that was never seen, in a sentence that was never
seen. Names of persons are those of eighteen countries; places are the cities and countries of faker; organisations
are composed, as companies, universities, ministries, banks, clubs and abbreviations.
"""

import hashlib
import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCALES = (
    "cs_CZ", "de_DE", "en_GB", "en_IN", "en_NG", "en_US", "es_ES", "et_EE", "fi_FI", "fr_FR", "hu_HU", "it_IT",
    "nl_NL", "no_NO", "pl_PL", "pt_BR", "sv_SE", "tr_TR",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SUFFIXES = ("Inc", "Ltd", "Group", "GmbH", "& Sons", "Corporation", "Industries", "Holdings", "Partners", "AG", "LLC")
SLOT = re.compile(r"\{(\w+)\}")
KINDS = ("PER", "ORG", "LOC", "DATE")


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity of a sentence, by the places of its characters."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the entities in it."""

    text: str
    mentions: tuple[Mention, ...]


def compose(count: int, seed: int) -> list[Sentence]:
    """Return sentences to train on."""
    drawer = _Drawer(random.Random(seed), "templates.toml", held_out=False)
    return [drawer.sentence() for _ in range(count)]


def compose_held_out(each: int, seed: int) -> list[Sentence]:
    """Return `each` sentences from every held-out template."""
    drawer = _Drawer(random.Random(seed), "heldout.toml", held_out=True)
    return [drawer.fill(template) for _ in range(each) for template in drawer.templates]


def is_held_out(name: str) -> bool:
    """Tell on which side of the split a name lies."""
    return hashlib.sha256(name.lower().encode()).digest()[0] % 5 == 0


@cache
def _names(held_out: bool) -> dict[str, tuple[str, ...]]:
    """Return first and last names, cities and countries of one side of the split."""
    people = [import_module(f"faker.providers.person.{locale}").Provider for locale in LOCALES]
    address = import_module("faker.providers.address.en").Provider
    geography = import_module("faker.providers.geo").Provider
    pools: dict[str, set[str]] = {
        "first": {name for person in people for name in person.first_names},
        "last": {name for person in people for name in person.last_names},
        "city": {place[2] for place in geography.land_coords},
        "country": {country for country in address.countries if "(" not in country},
    }
    return {
        pool: tuple(sorted(name for name in names if is_held_out(name) is held_out)) for pool, names in pools.items()
    }


class _Drawer:
    def __init__(self, choose: random.Random, file: str, *, held_out: bool) -> None:
        content: dict[str, Any] = tomllib.loads((HERE / file).read_text(encoding="utf-8"))
        self.templates: Sequence[str] = content["sentences"]
        self._content = content
        self._names = _names(held_out)
        self._choose = choose

    def sentence(self) -> Sentence:
        return self.fill(self._choose.choice(self.templates))

    def fill(self, template: str) -> Sentence:
        """Put names and words into the slots of a template, noting where the names lie."""
        text, mentions, end = "", [], 0
        for slot in SLOT.finditer(template):
            text += template[end : slot.start()]
            end = slot.end()
            kind = slot[1]
            filling = self._entity(kind) if kind in KINDS else self._choose.choice(self._content[f"{kind}s"])
            if kind in KINDS:
                mentions.append(Mention(kind, len(text), len(text) + len(filling)))
            text += filling
        return Sentence(text + template[end:], tuple(mentions))

    def _entity(self, kind: str) -> str:
        draw = {"PER": self._person, "ORG": self._organisation, "LOC": self._place, "DATE": self._date}[kind]
        return draw()

    def _pick(self, pool: str) -> str:
        return self._choose.choice(self._names[pool])

    def _word(self, pool: str) -> str:
        word: str = self._choose.choice(self._content[pool])
        return word

    def _person(self) -> str:
        first, last = self._pick("first"), self._pick("last")
        initial = self._choose.choice("ABCDEFGHJKLMNPRSTW")
        forms = (f"{first} {last}",) * 6 + (last, last, first, f"{first} {initial}. {last}", f"{initial}. {last}")
        return self._choose.choice((*forms, f"{first} {last}-{self._pick('last')}"))

    def _place(self) -> str:
        city, country = self._pick("city"), self._pick("country")
        forms = (city, city, city, country, country, f"{self._choose.choice(('northern', 'southern'))} {country}")
        return self._choose.choice((*forms, f"{self._choose.choice(('Lake', 'Mount', 'Port', 'San'))} {city}"))

    def _organisation(self) -> str:
        last, city, word, industry = (
            self._pick("last"),
            self._pick("city"),
            self._word("words"),
            self._word("industries"),
        )
        letters = "".join(self._choose.sample("ABCDEFGHIKLMNPRSTUVW", self._choose.choice((3, 3, 4))))
        suffix = self._choose.choice(SUFFIXES)
        return self._choose.choice(
            (
                f"{last} {suffix}", f"{last} {suffix}", f"{word} {industry}", f"{word} {industry}",
                f"{word} {industry} {suffix}", f"{last} {industry}", f"{last}-{self._pick('last')}",
                f"{last}, {self._pick('last')} and {self._pick('last')}", f"University of {city}",
                f"{city} University", f"Bank of {self._pick('country')}", f"{city} United", f"FC {city}",
                f"Ministry of {self._word('ministries')}", f"Institute of {self._word('fields')}", letters, letters,
                f"{last} Foundation", f"{city} Hospital", f"{city} {industry}", f"{word} {suffix}",
            )
        )  # fmt: skip

    def _date(self) -> str:
        day, month, year = self._choose.randint(1, 28), self._choose.randint(1, 12), self._choose.randint(1890, 2035)
        name, weekday = MONTHS[month - 1], self._choose.choice(DAYS)
        ending = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
        return self._choose.choice(
            (
                f"{day} {name} {year}", f"{day} {name} {year}", f"{name} {day}, {year}", f"{name} {day}, {year}",
                f"{day} {name}", f"{name} {day}", f"{name} {year}", f"{year}", f"{year}",
                f"{year}-{month:02}-{day:02}", f"{day:02}/{month:02}/{year}", f"{weekday}", f"next {weekday}",
                f"{weekday}, {name} {day}", f"the {day}{ending} of {name}",
            )
        )  # fmt: skip
