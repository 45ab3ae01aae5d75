"""The generated walker: one Python function that reads exactly the indexed fields of an event.

It is straight-line code over dict lookups: no loop over fields, no dispatch on operators. Where one field tells kinds
of events apart (`type`), each kind has a branch of its own that reads only what can still matter. An event that has
an array or object where a value was expected, or the other way round, ends in a TypeError or AttributeError (a number
beyond all doubles in an OverflowError) and is then read exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from leadscore.core.matching.arrays import PathNode
from leadscore.core.matching.effects import Bits, union
from leadscore.core.matching.fields import ABSENT, AnswerTable, FieldIndex

Walker = Callable[[Mapping[str, object]], Bits]

_MOST_BRANCHES = 8
_FEW = 64


class Reading(NamedTuple):
    """How generated code reads one form of event; each member writes an expression.

    `open` turns an object into what `leaf` and `child` read from by name. A missing leaf reads as ABSENT, a missing
    child as None. A thing that cannot be read so ends in a TypeError or AttributeError.
    """

    open: Callable[[str], str]
    leaf: Callable[[str, str], str]
    child: Callable[[str, str], str]


DICTS = Reading(
    open=lambda value: f"{value}.get",
    leaf=lambda opened, name: f"{opened}({name!r}, ABSENT)",
    child=lambda opened, name: f"{opened}({name!r})",
)


def build_walker(
    root: PathNode, indexes: Sequence[FieldIndex], every: Bits, reading: Reading, read_unusual: Walker
) -> Walker:
    """Return the function from an event to the conjunctions it satisfies; `read_unusual` takes unusual events."""
    source = _Source(indexes, reading)
    source.write_walker(root, every)
    constants = {"ABSENT": ABSENT, "bisect_right": bisect_right, "read_unusual": read_unusual}
    names: dict[str, object] = {**source.names, **constants}
    # Generated code is what makes this fast. It holds nothing foreign but field names and values, written by `repr`.
    exec(compile("\n".join(source.lines), "<event walker>", "exec"), names)  # noqa: S102
    walker: Walker = names["walk"]  # type: ignore[assignment]
    return walker


class _Source:
    """The lines of the walker and the constants they name."""

    def __init__(self, indexes: Sequence[FieldIndex], reading: Reading) -> None:
        self._indexes = indexes
        self._reading = reading
        self.lines: list[str] = []
        self.names: dict[str, object] = {}
        self._tables: dict[int, AnswerTable] = {}
        self._variables = 0

    def _write(self, indent: int, line: str) -> None:
        self.lines.append("    " * indent + line)

    def write_walker(self, root: PathNode, every: Bits) -> None:
        """Write the whole function."""
        self._write(0, "def walk(event):")
        self._write(1, "try:")
        self._write(2, f"opened = {self._reading.open('event')}")
        kinds = self._find_kinds(root)
        if kinds is None:
            self._write(2, f"bits = {every:#x}")
            self._write_fields(root, "opened", 2, every, -1)
        else:
            self._write_branches(root, kinds)
        self._write(1, "except (TypeError, AttributeError, OverflowError):")
        self._write(2, "return read_unusual(event)")
        self._write(1, "return bits")

    def _find_kinds(self, root: PathNode) -> tuple[str, int] | None:
        """Return the name and number of the top-level field that tells the most conjunctions apart by a few texts."""
        found: tuple[int, str, int] | None = None
        for name, child in root.children.items():
            for number in child.fields[:1]:
                index = self._indexes[number]
                if index.reads_texts_whole and 1 < len(index.texts) <= _MOST_BRANCHES:
                    found = max(found or (0, "", 0), (index.used.bit_count(), name, number))
        return None if found is None else (found[1], found[2])

    def _write_branches(self, root: PathNode, kinds: tuple[str, int]) -> None:
        name, number = kinds
        index = self._indexes[number]
        self._write(2, f"kind = {self._reading.leaf('opened', name)}")
        word = "if"
        for text, bits in index.texts.items():
            self._write(2, f"{word} kind == {text!r}:")
            self._write(3, f"bits = {bits:#x}")
            self._write_fields(root, "opened", 3, bits, number)
            word = "elif"
        alive = union((index.other, index.absent, index.null, index.true, index.false, *index.line.answers))
        self._write(2, "else:")
        self._write_answer(number, "kind", 3, "bits = ")
        self._write_fields(root, "opened", 3, alive, number)

    def _write_fields(self, node: PathNode, opened: str, indent: int, alive: Bits, known: int) -> None:
        """Write the reading of an opened object; `known` is a field that was read before."""
        for name, child in node.children.items():
            for number in child.fields:
                if number != known and self._indexes[number].used & alive:
                    self._write_answer(number, self._reading.leaf(opened, name), indent, "bits &= ")
        for name, child in node.children.items():
            if child.children:
                self._write_child(name, child, opened, indent, alive)

    def _write_child(self, name: str, child: PathNode, opened: str, indent: int, alive: Bits) -> None:
        below = [n for n in child.below if n not in child.fields and self._indexes[n].used & alive]
        if not below:
            return
        used = union(self._indexes[number].used for number in below) & alive
        absent = alive
        for number in below:
            absent &= self._indexes[number].absent
        self._variables += 1
        value, inner = f"value{self._variables}", f"opened{self._variables}"
        if used.bit_count() <= _FEW:
            self._write(indent, f"if bits & {used:#x}:")
            indent += 1
        self._write(indent, f"{value} = {self._reading.child(opened, name)}")
        self._write(indent, f"if {value} is None:")
        self._write(indent + 1, f"bits &= {absent:#x}")
        self._write(indent, "else:")
        self._write(indent + 1, f"{inner} = {self._reading.open(value)}")
        self._write_fields(child, inner, indent + 1, alive, -1)

    def _write_answer(self, number: int, value: str, indent: int, assign: str) -> None:
        index = self._indexes[number]
        if index.reads_texts_whole and index.reads_numbers_whole:
            self._write_lookup(number, value, indent, assign)
            return
        if number not in self._tables:
            self._tables[number] = self.names[f"table{number}"] = AnswerTable(index)
            self.names[f"cuts{number}"], self.names[f"answers{number}"] = index.line.cuts, index.line.answers
        if not index.ranged:
            self._write(indent, f"{assign}table{number}[{value}]")
            return
        self._write(indent, f"value = {value}")
        line = f"answers{number}[bisect_right(cuts{number}, float(value))]"
        is_number = "value.__class__ is int or value.__class__ is float"
        self._write(indent, f"{assign}{line} if {is_number} else table{number}[value]")

    def _write_lookup(self, number: int, value: str, indent: int, assign: str) -> None:
        """Write the reading of a field on which every test is exact, so that one plain dict holds all its answers."""
        index = self._indexes[number]
        table: dict[Any, Bits] = {ABSENT: index.absent, None: index.null, **index.texts}
        table.update(index.numbers)
        self.names[f"find{number}"], self.names[f"other{number}"] = table.get, index.other
        if table.get(True, index.other) == index.true and table.get(False, index.other) == index.false:
            self._write(indent, f"{assign}find{number}({value}, other{number})")
            return
        # To Python True is 1, in JSON it is not: here a boolean must not reach the table.
        self._write(indent, f"value = {value}")
        flags = f"{index.true:#x} if value is True else {index.false:#x} if value is False"
        self._write(indent, f"{assign}{flags} else find{number}(value, other{number})")
