"""The finder of one field for texts that no pattern names whole: prefix, suffix, wildcard, ignored case, network.

Like the walker it is generated, so that a field costs only the kinds of tests it has, and few tests are tried in
line. The work is bounded: one bisection for all prefixes, one search per part of a wildcard. Leftmost
placement of a wildcard's parts is exact, so nothing backtracks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from leadscore.core.matching.effects import Bits, Effect, FieldTests
from leadscore.core.patterns import Cidr

TextFinder = Callable[[str], tuple[Bits, Bits]]
"""From a text to what the tests it passes prove and block together."""

_FEW = 4
_LONGEST_ADDRESS = 45


def build_text_finder(tests: FieldTests) -> TextFinder | None:
    """Return the finder for all tests but the exact ones; None where there are no others."""
    source = _Source()
    source.write_edges("text", tests.prefixes, tests.suffixes)
    source.write_wildcards(tests.wildcards)
    source.write_networks(tests.networks)
    if tests.folded or tests.folded_prefixes or tests.folded_suffixes:
        source.write("folded = text.casefold()")
        source.write_whole("folded", tests.folded)
        source.write_edges("folded", tests.folded_prefixes, tests.folded_suffixes)
    return source.compile() if source.lines else None


class _Source:
    """The lines of the finder and the constants they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[str, object] = {"bisect_right": bisect_right, "in_order": _in_order}

    def compile(self) -> TextFinder:
        code = ["def find(text):", "    proved = blocked = 0", *self.lines, "    return proved, blocked"]
        # Generated code holds nothing foreign but texts of patterns, written by `repr`.
        exec(compile("\n".join(code), "<text finder>", "exec"), self._names)  # noqa: S102
        find: TextFinder = self._names["find"]  # type: ignore[assignment]
        return find

    def write(self, line: str, indent: int = 1) -> None:
        self.lines.append("    " * indent + line)

    def _write_test(self, condition: str, effect: Effect, indent: int = 1) -> None:
        self.write(f"if {condition}:", indent)
        if effect.proved:
            self.write(f"proved |= {effect.proved:#x}", indent + 1)
        if effect.blocked:
            self.write(f"blocked |= {effect.blocked:#x}", indent + 1)

    def _name(self, value: object) -> str:
        name = f"table{len(self._names)}"
        self._names[name] = value
        return name

    def write_whole(self, variable: str, effects: dict[str, Effect]) -> None:
        """Write the lookup of the text in `variable` as a whole."""
        if effects:
            self.write(f"effect = {self._name(effects)}.get({variable})")
            self.write("if effect is not None:")
            self.write("proved |= effect.proved", 2)
            self.write("blocked |= effect.blocked", 2)

    def write_edges(self, variable: str, prefixes: dict[str, Effect], suffixes: dict[str, Effect]) -> None:
        """Write the search for all prefixes and suffixes of the text in `variable`."""
        if len(prefixes) <= _FEW:
            for text, effect in prefixes.items():
                self._write_test(f"{variable}.startswith({text!r})", effect)
        else:
            self._write_longest(variable, prefixes)
        if len(suffixes) <= _FEW:
            for text, effect in suffixes.items():
                self._write_test(f"{variable}.endswith({text[::-1]!r})", effect)
        else:
            self.write(f"reverse = {variable}[::-1]")
            self._write_longest("reverse", suffixes)

    def _write_longest(self, variable: str, prefixes: dict[str, Effect]) -> None:
        texts, effects, shorter = (self._name(column) for column in _sort_prefixes(prefixes))
        self.write(f"at = bisect_right({texts}, {variable}) - 1")
        self.write("while at >= 0:")
        self.write(f"if {variable}.startswith({texts}[at]):", 2)
        self.write(f"effect = {effects}[at]", 3)
        self.write("proved |= effect.proved", 3)
        self.write("blocked |= effect.blocked", 3)
        self.write("break", 3)
        self.write(f"at = {shorter}[at]", 2)

    def write_wildcards(self, wildcards: dict[tuple[str, ...], Effect]) -> None:
        """Write each wildcard as a condition; those with the same beginning share its test."""
        by_first: dict[str, list[tuple[tuple[str, ...], Effect]]] = {}
        for parts, effect in wildcards.items():
            by_first.setdefault(parts[0], []).append((parts[1:], effect))
        for first, group in by_first.items():
            if first:
                self.write(f"if text.startswith({first!r}):")
            for rest, effect in group:
                self._write_test(_write_condition(len(first), rest), effect, indent=2 if first else 1)

    def write_networks(self, networks: dict[Cidr, Effect]) -> None:
        """Write the search for the networks that hold the text as an address."""
        if networks:
            self.write(f"if len(text) <= {_LONGEST_ADDRESS} and ('.' in text or ':' in text):")
            self.write(f"for effect in {self._name(_Networks(networks).find)}(text):", 2)
            self.write("proved |= effect.proved", 3)
            self.write("blocked |= effect.blocked", 3)


def _write_condition(start: int, rest: tuple[str, ...]) -> str:
    """Return the condition that `text` from `start` on fits anything, then these parts with anything between them."""
    *middle, last = rest
    end = f"len(text) - {len(last)}" if last else "len(text)"
    conditions = [f"text.endswith({last!r})"] if last else []
    if not middle:
        conditions.append(f"len(text) >= {start + len(last)}")
    elif len(middle) == 1 and not start and not last:
        conditions.append(f"{middle[0]!r} in text")
    elif len(middle) == 1:
        conditions.append(f"text.find({middle[0]!r}, {start}, {end}) >= 0")
    else:
        conditions.append(f"in_order(text, {middle!r}, {start}, {end})")
    return " and ".join(conditions)


def _in_order(text: str, parts: Iterable[str], start: int, end: int) -> bool:
    for part in parts:
        at = text.find(part, start, end)
        if at < 0:
            return False
        start = at + len(part)
    return True


def _sort_prefixes(effects: dict[str, Effect]) -> tuple[list[str], list[Effect], list[int]]:
    """Return the prefixes in order, their effects with those of shorter ones added, and where the next shorter one is.

    All prefixes of a text are the last one that is not after it in this order, or shorter ones of that; so
    the first that is found on the way down is the longest, and holds the effects of all.
    """
    texts = sorted(effects)
    shorter: list[int] = []
    for i, text in enumerate(texts):
        at = i - 1
        while at >= 0 and not text.startswith(texts[at]):
            at = shorter[at]
        shorter.append(at)
        if at >= 0:
            effects[text].add(effects[texts[at]])
    return texts, [effects[text] for text in texts], shorter


class _Networks:
    """Tries each distinct network on a text that may be an IP address."""

    __slots__ = ("_networks", "_parse")

    def __init__(self, networks: dict[Cidr, Effect]) -> None:
        # Only a ruleset that asks about addresses pays for this import at a cold start.
        from ipaddress import ip_address

        self._parse = ip_address
        self._networks = list(networks.items())

    def find(self, text: str) -> list[Effect]:
        """Return what each network that holds the address `text` does; nothing for any other text."""
        try:
            address = self._parse(text)
        except ValueError:
            return []
        version, number = address.version, int(address)
        return [e for n, e in self._networks if n.version == version and n.first <= number <= n.last]
