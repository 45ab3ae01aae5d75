"""The list as CSV reads back as it was, and no cell of it is a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.p_convert import CalibrationNote, CalibrationSample
from leadscore.usecases.spreadsheet import COLUMNS, write_csv

LEAD: dict[str, object] = {
    "id": "ada",
    "name": "Ada",
    "email": "ada@acme.example",
    "title": "CEO",
    "company": "Acme",
    "score": 52.96,
    "fit": 18.0,
    "engagement": -34.96,
    "tier": "hot",
    "reasons": [
        {"criterion": "free-trial", "label": "Free trial", "points": 20.0},
        {"criterion": "bounced", "label": "Bounced", "points": -2.25},
    ],
    "p_convert": {"value": 0.12344, "low": 0.09, "high": 0.16},
}
NOTE = CalibrationNote("current", CalibrationSample("2026-01-02T03:04:05.000Z", 1200, 140, 30.0, "abc"))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_lead_is_a_row_under_the_names_of_the_columns() -> None:
    assert write_csv([LEAD], NOTE) == (
        "id,name,email,title,company,score,fit,engagement,tier,reasons,"
        "p_convert,p_convert_low,p_convert_high,p_convert_calibration\r\n"
        "ada,Ada,ada@acme.example,CEO,Acme,53.0,18.0,-35.0,hot,free-trial +20.0; bounced -2.2,"
        '0.1234,0.0900,0.1600,"within 30 days; calibrated 2026-01-02 on 1,200 leads, of whom 140 converted"\r\n'
    )


def test_no_chance_is_empty_cells_and_why() -> None:
    [row] = read(write_csv([{**LEAD, "p_convert": None}], CalibrationNote("stale", NOTE.sample)))
    assert {row[f"p_convert{end}"] for end in ("", "_low", "_high")} == {""}
    assert row["p_convert_calibration"] == "the calibration of 2026-01-02 is older than 45 days"


def test_no_lead_is_the_names_alone() -> None:
    assert write_csv([], NOTE) == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize("column", ["id", "name", "email", "title", "company", "tier"])
@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *"＝＋－＠", "\0"])
def test_a_text_that_a_spreadsheet_would_run_is_quoted(column: str, start: str) -> None:
    text = write_csv([{**LEAD, column: f"{start}1+1"}], NOTE)
    [row] = read(text)
    assert row[column] == f"'{start}1+1"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_other_text_is_read_back_as_it_was(name: str) -> None:
    [row] = read(write_csv([{**LEAD, "name": f"x{name}"}], NOTE))
    assert row["name"] == f"x{name}"
    assert list(row) == list(COLUMNS)
