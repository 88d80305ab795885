"""Pages stand alone, say everything to everybody, and no text of somebody else's becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from party_client.agreements import check, compile_toml
from party_client.attestation import TrustedRoots
from party_client.leak_report import leak_report
from party_client.pages.leak_report_page import leak_report_page
from party_client.pages.markup import Markup, element
from protos.formats.agreement import Agreement
from protos.formats.errors import ConcordatError
from tests.unit.party_client.written_agreement import write

NOW = datetime(2026, 7, 1, tzinfo=UTC)
VOID = {"br", "hr", "meta"}
PAGE = {"html", "head", "meta", "title", "style", "body", "main", "header", "section", "div", "footer"}
TEXT = {"h1", "h2", "h3", "p", "strong", "a", "code", "pre", "span", "ul", "li", "dl", "dt", "dd"}
TABLE = {"table", "caption", "thead", "tbody", "tr", "th", "td"}
PICTURE = {
    "figure",
    "figcaption",
    "svg",
    "desc",
    "g",
    "rect",
    "line",
    "path",
    "circle",
    "text",
    "defs",
    "pattern",
}
TAGS = PAGE | TEXT | TABLE | PICTURE


class Parsed(HTMLParser):
    """A page as a browser would take it apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(agreement: Agreement) -> str:
    return leak_report_page(leak_report(check(agreement, now=NOW, roots=TrustedRoots.aws())))


@pytest.fixture(scope="module")
def agreement(tmp_path_factory: pytest.TempPathFactory) -> Agreement:
    return compile_toml(write(tmp_path_factory.mktemp("agreement")))


@pytest.fixture(scope="module")
def parsed(agreement: Agreement) -> Parsed:
    return Parsed(page_of(agreement))


def test_every_element_is_closed_and_none_runs_or_loads_anything(parsed: Parsed) -> None:
    assert parsed.open == []
    assert set(parsed.tags) <= TAGS
    loads = {name for name, _ in parsed.attributes if re.match(r"on|src|srcset|style|xlink|action", name)}
    assert loads == set()
    links = {value for name, value in parsed.attributes if name == "href"}
    assert links == {"#query-delay_by_wind"}
    assert not any("://" in value for _, value in parsed.attributes)


def test_the_policy_allows_the_style_in_the_page_and_nothing_else(agreement: Agreement) -> None:
    page = page_of(agreement)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.replace("&#x27;", "'") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import", style)
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 640px"):
        assert rule in style


def test_links_and_labels_lead_somewhere(parsed: Parsed) -> None:
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value for name, value in parsed.attributes if name == "aria-labelledby"}
    wanted |= {value[1:] for name, value in parsed.attributes if name == "href"}
    wanted |= {value[5:-1] for name, value in parsed.attributes if name == "fill" and "url" in value}
    assert wanted <= set(ids)


def test_pictures_and_tables_say_what_they_are(parsed: Parsed) -> None:
    assert parsed.tags.count("svg") == 3
    assert parsed.tags.count("desc") == 3
    assert [value for name, value in parsed.attributes if name == "role" and value == "img"] == ["img"] * 3
    assert parsed.tags.count("caption") == parsed.tags.count("table")
    assert parsed.tags.count("h1") == 1


def test_the_page_says_what_the_report_says(agreement: Agreement, parsed: Parsed) -> None:
    report = leak_report(check(agreement, now=NOW, roots=TrustedRoots.aws()))
    shown = " ".join("".join(parsed.text).split())
    (query,) = report.queries
    said = [
        *(item.sentence for item in query.observations),
        *query.budget.sentences,
        *query.check.inferences,
        *query.check.parameters,
        *(use.rule for use in query.check.uses),
        *(place for use in query.check.uses for place in use.places),
        *(reason for stake in query.stakes for reason in stake.fan_out.because),
        *(f"{stake.fan_out.unit_reaches_rows:,}" for stake in query.stakes),
        *report.check.warnings,
        agreement.digest().hex(),
        "Illustration with made-up groups",
        "granted, not used",
    ]
    assert [sentence for sentence in said if sentence not in shown] == []


def test_a_refused_query_is_on_the_page(agreement: Agreement) -> None:
    (query,) = agreement.queries
    refused = replace(query, sql="SELECT f.delay AS <b>")
    shown = "".join(Parsed(page_of(replace(agreement, queries=(refused,)))).text)
    assert "REFUSED." in shown
    assert "SELECT f.delay AS <b>" in shown


HOSTILE = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.text(st.sampled_from("<>&\"'`/=-! \n]scriptyleog"), max_size=60),
    st.sampled_from(
        [
            "</title><script>alert(1)</script>",
            "</style><style>*{display:none}</style>",
            '"><img src=x onerror=alert(1)>',
            "' onmouseover='alert(1)",
            "</svg></figure><iframe srcdoc='x'>",
            "<!-- ",
            "]]><![CDATA[",
            "&lt;b&gt;&#x3c;script&#x3e;",
        ]
    ),
)


def without_cut_texts(parsed: Parsed) -> list[str]:
    """Its elements; a text in a picture that has no room has its whole self in a `title` of its own."""
    return [tag for tag in parsed.tags if tag != "title"]


@given(texts=st.tuples(HOSTILE, HOSTILE, HOSTILE, HOSTILE))
def test_no_text_breaks_out(agreement: Agreement, texts: tuple[str, str, str, str]) -> None:
    title, purpose, literal, name = texts
    (query,) = agreement.queries
    quoted = literal.replace("'", "''")
    sql = query.sql.replace("WHERE f.year", f"WHERE '{quoted}' <> 'x' AND f.year")
    plain = replace(agreement, queries=(replace(query, sql=sql.replace(f"'{quoted}'", "''")),))
    try:
        hostile = replace(
            agreement,
            title=title,
            purpose=purpose,
            queries=(replace(query, sql=sql),),
            releases=(replace(agreement.releases[0], name=name),),
        )
    except ConcordatError:
        return  # a text that no agreement may have
    made = Parsed(page_of(hostile))
    assert made.open == []
    assert set(made.tags) <= TAGS
    if not any("REFUSED" in text for text in made.text):
        expected = Parsed(page_of(plain))
        assert without_cut_texts(made) == without_cut_texts(expected)
        assert [key for key, _ in made.attributes] == [key for key, _ in expected.attributes]


@given(HOSTILE, HOSTILE)
def test_an_element_holds_any_text(content: str, attribute: str) -> None:
    made = Parsed(element("p", {"title": attribute}, content, [content, Markup("<br>")]).text)
    assert (made.tags, made.open) == (["p", "br"], [])
    assert [name for name, _ in made.attributes] == ["title"]


@pytest.mark.parametrize("name", ["a b", "p>", "", 'x"', "1a"])
def test_names_are_the_programs_own(name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        element(name)
    with pytest.raises(ValueError, match="not the name"):
        element("p", {name: "x"})


@pytest.mark.parametrize("name", ["onclick", "style", "src", "srcset", "xlink:href", "OnLoad"])
def test_attributes_that_run_or_load_are_never_written(name: str) -> None:
    with pytest.raises(ValueError, match="could run or load"):
        element("p", {name: "x"})


def test_what_hides_or_reorders_text_is_shown(tmp_path: Path) -> None:
    shown = "".join(Parsed(element("p", None, "pay \u202e100\u202c\u200b").text).text)
    assert shown == "pay \\u202e100\\u202c\\u200b"
