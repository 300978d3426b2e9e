from __future__ import annotations

import base64

import jinja2
import pytest

from casting_inspect import page


@pytest.fixture
def template(monkeypatch, tmp_path):
    base = (page.TEMPLATES / "base.html").read_text(encoding="utf-8")
    (tmp_path / "base.html").write_text(base, encoding="utf-8")
    text = '{% extends "base.html" %}{% block content %}<p>{{ text }}</p>{% endblock %}'
    (tmp_path / "one.html").write_text(text, encoding="utf-8")
    monkeypatch.setattr(page, "TEMPLATES", tmp_path)
    return "one.html"


def test_what_is_put_into_a_page_is_escaped(template):
    html = page.render(template, title="a <b>", text='<script>"</script>')
    assert "<title>a &lt;b&gt;</title>" in html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_value_that_is_not_given_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="text"):
        page.render(template, title="a")


def test_nothing_is_loaded_from_elsewhere(template):
    html = page.render(template, title="a", text="b")
    assert "http" not in html
    assert "src=" not in html


@pytest.mark.parametrize(
    ("share", "digits", "text"), [(0.1234, 1, "12.3 %"), (1.0, 0, "100 %"), (None, 1, "-")]
)
def test_percent(share, digits, text):
    assert page.percent(share, digits) == text


def test_a_picture_stands_in_the_page():
    uri = page.data_uri(b"\x89PNG\xff")
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG\xff"
