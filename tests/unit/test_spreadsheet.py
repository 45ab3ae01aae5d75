"""The list as CSV reads back as it was, and no cell of it is a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
}


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_lead_is_a_row_under_the_names_of_the_columns() -> None:
    assert write_csv([LEAD]) == (
        "id,name,email,title,company,score,fit,engagement,tier,reasons\r\n"
        "ada,Ada,ada@acme.example,CEO,Acme,53.0,18.0,-35.0,hot,free-trial +20.0; bounced -2.2\r\n"
    )


def test_no_lead_is_the_names_alone() -> None:
    assert write_csv([]) == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize("column", ["id", "name", "email", "title", "company", "tier"])
@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *"＝＋－＠", "\0"])
def test_a_text_that_a_spreadsheet_would_run_is_quoted(column: str, start: str) -> None:
    text = write_csv([{**LEAD, column: f"{start}1+1"}])
    [row] = read(text)
    assert row[column] == f"'{start}1+1"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_other_text_is_read_back_as_it_was(name: str) -> None:
    [row] = read(write_csv([{**LEAD, "name": f"x{name}"}]))
    assert row["name"] == f"x{name}"
    assert list(row) == list(COLUMNS)
