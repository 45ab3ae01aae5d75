"""The picture in the README shows what Slack is sent today: `python -m tests.slack_picture` draws it anew."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.slack_picture import PICTURE, draw_sample


def test_the_picture_is_of_the_blocks_as_they_are() -> None:
    assert PICTURE.read_text(encoding="utf-8") == draw_sample()


def test_it_is_a_small_image_that_says_what_the_alert_says() -> None:
    picture = ElementTree.fromstring(draw_sample())
    said = " ".join("".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text"))

    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Hot lead: Grace Hopper (Acme)" in said
    assert "+20.0  Started a free trial, 4 minutes ago" in said
    assert len(draw_sample()) < 6000
