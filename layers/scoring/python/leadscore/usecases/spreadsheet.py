"""The ranked list as CSV, for spreadsheets.

What people typed into a product ends in cells that a spreadsheet may run as formulas. So a text that begins as a
formula does is written with a single quote before it, as OWASP's page on CSV injection advises.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

from leadscore.core.p_convert import CalibrationNote, tell_calibration

_TEXTS = ("id", "name", "email", "title", "company")
_POINTS = ("score", "fit", "engagement")
_CHANCE = ("p_convert", "p_convert_low", "p_convert_high", "p_convert_calibration")
COLUMNS = (*_TEXTS, *_POINTS, "tier", "reasons", *_CHANCE)
# owasp.org/www-community/attacks/CSV_Injection, and requirement 1.2.10 of OWASP's ASVS 5; with the full-width forms.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")


def write_csv(leads: Iterable[Mapping[str, object]], note: CalibrationNote) -> str:
    """Return lines of the ranked list, given as their plain JSON types, as RFC 4180 has it, under a row of names.

    Points are rounded to one decimal; reasons are one cell: `pricing-page +15.0; executive +10.0`. Chances have four
    decimals; beside each is what it was calibrated on, or why there is none.
    """
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    told = tell_calibration(note)
    writer.writerows(_cells(lead, told) for lead in leads)
    return text.getvalue()


def _cells(lead: Mapping[str, object], calibration: str) -> list[str]:
    texts = [_harmless(str(lead[column])) for column in _TEXTS]
    points = [f"{lead[column]:.1f}" for column in _POINTS]
    tier, reasons = _harmless(str(lead["tier"])), _reasons(lead["reasons"])
    return [*texts, *points, tier, reasons, *_chance(lead.get("p_convert")), calibration]


def _chance(chance: object) -> list[str]:
    return [f"{chance[end]:.4f}" if isinstance(chance, Mapping) else "" for end in ("value", "low", "high")]


def _reasons(reasons: object) -> str:
    listed = reasons if isinstance(reasons, Sequence) else ()
    return "; ".join(f"{reason['criterion']} {reason['points']:+.1f}" for reason in listed)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
