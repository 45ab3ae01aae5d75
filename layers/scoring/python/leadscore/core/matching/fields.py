"""The index of one field: from a value to the conjunctions whose clause on this field holds.

Invariants: a conjunction that says nothing about the field is in every answer, so that the answers of all fields can
be combined with `&` alone; the work per value is bounded by its length and by the number of distinct tests.
"""

from __future__ import annotations

from collections.abc import Sequence

from leadscore.core.matching.effects import Bits, FieldTests, union
from leadscore.core.matching.numbers import NumberLine
from leadscore.core.matching.texts import build_text_finder
from leadscore.core.patterns import Clause

_EXACT_INTEGERS = 2.0**53
_MEMO_VALUES = 1024
_MEMO_LENGTH = 256


class _Absent:
    """The type of the one value that stands for a field that is not there."""

    __slots__ = ()


ABSENT = _Absent()


class FieldIndex:
    """All clauses on one field, at most one of each conjunction.

    `used` are the conjunctions that have a clause here. `absent` is the answer where the field is not there; `null`,
    `true` and `false` are the answers for these values; `texts` and `numbers` those for the values that tests name,
    and `other` the one for a value that passes no test. Arrays and objects are not values: `arrays` takes them apart.
    """

    __slots__ = (
        "_answer",
        "_find_text",
        "absent",
        "false",
        "line",
        "null",
        "numbers",
        "other",
        "ranged",
        "texts",
        "true",
        "used",
    )

    def __init__(self, clauses: Sequence[tuple[Bits, Clause]], every: Bits) -> None:
        self.used = union(bit for bit, _ in clauses)
        neutral = every & ~self.used
        self.absent = neutral | union(bit for bit, clause in clauses if clause.absent)
        tests = FieldTests(clauses, neutral, every)
        self._answer = tests.answer
        self._find_text = build_text_finder(tests)
        self.line = NumberLine(tests)
        self.ranged = bool(tests.ranges)
        self.other = tests.answer()
        self.null = tests.answer(tests.null.proved, tests.null.blocked)
        self.true = tests.answer(tests.flags[True].proved, tests.flags[True].blocked)
        self.false = tests.answer(tests.flags[False].proved, tests.flags[False].blocked)
        self.texts: dict[str, Bits] = {}
        for text, effect in tests.texts.items():
            proved, blocked = (0, 0) if self._find_text is None else self._find_text(text)
            self.texts[text] = tests.answer(proved | effect.proved, blocked | effect.blocked)
        self.numbers = {number: self.line.find(number) for number in tests.numbers}

    @property
    def reads_texts_whole(self) -> bool:
        """Whether the answer for a text that is not in `texts` is always `other`."""
        return self._find_text is None

    @property
    def reads_numbers_whole(self) -> bool:
        """Whether the answer for a number that is not in `numbers` as it stands is always `other`.

        Beyond 2^53 two whole numbers can be equal as doubles without being equal in Python.
        """
        return not self.ranged and all(-_EXACT_INTEGERS < number < _EXACT_INTEGERS for number in self.numbers)

    def find(self, value: object) -> Bits:
        """Return the conjunctions that `value` leaves standing."""
        if isinstance(value, str):
            return self.find_text(value)
        if value is None:
            return self.null
        if isinstance(value, bool):
            return self.true if value else self.false
        if isinstance(value, int | float):
            return self.line.find(value)
        return self.other

    def find_text(self, text: str) -> Bits:
        """Return the conjunctions that `text` leaves standing."""
        known = self.texts.get(text)
        if known is not None:
            return known
        return self.other if self._find_text is None else self._answer(*self._find_text(text))


class AnswerTable(dict[object, Bits]):
    """The answers of one field as a dict that works out missing ones; it remembers a bounded number of short texts.

    Its only keys are ABSENT, null and texts, so that True, which Python takes for 1, can never hit a number.
    """

    __slots__ = ("_index", "_room")

    def __init__(self, index: FieldIndex) -> None:
        super().__init__()
        self._index = index
        self._fill()

    def _fill(self) -> None:
        self.clear()
        self[ABSENT] = self._index.absent
        self[None] = self._index.null
        self.update(self._index.texts)
        self._room = _MEMO_VALUES

    def __missing__(self, value: object) -> Bits:
        index = self._index
        if value.__class__ is not str:
            return index.find(value)
        answer = index.find_text(value)
        if len(value) <= _MEMO_LENGTH:
            if not self._room:
                self._fill()
            self._room -= 1
            self[value] = answer
        return answer
