"""What the mail after an enrolment, a payment and a demo class says, beside what every stock mail keeps to."""

from __future__ import annotations

import re

import pytest

from .page import Page, one_line
from .stock import DATES, DEMO, ENROLLMENT, LANGUAGES, NO_BRAND, PAYMENT, demo, enrollment, parts, payment

each_language = pytest.mark.parametrize("language", LANGUAGES)
COURSE = re.compile(r"<strong [^>]*>Tides &amp; Shores</strong>")
SUBJECTS = {
    (ENROLLMENT, True): ("You are enrolled: {}", "Inscripción confirmada: {}", "Inscription confirmée\xa0: {}"),
    (ENROLLMENT, False): (
        "You are enrolled at {}",
        "Tu inscripción en {} está confirmada",
        "Votre inscription sur {} est confirmée",
    ),
    (PAYMENT, True): ("Payment received: {}", "Pago recibido: {}", "Paiement reçu\xa0: {}"),
    (PAYMENT, False): ("{} has received your payment", "{} ha recibido tu pago", "{} a bien reçu votre paiement"),
    (DEMO, True): (
        "After your demo class: {}",
        "Después de tu clase de prueba: {}",
        "Après votre cours de démonstration\xa0: {}",
    ),
}
AMOUNTS = {"en": "1,249.00", "es": "1\xa0249,00", "fr": "1\xa0249,00"}


@each_language
@pytest.mark.parametrize(("message", "titled"), SUBJECTS)
def test_its_subject_names_the_course_or_the_platform(language: str, message: str, titled: bool) -> None:
    make = {ENROLLMENT: enrollment, PAYMENT: payment, DEMO: demo}[message]
    rendered = parts(message, make(titled=titled, language=language))
    subject = dict(zip(LANGUAGES, SUBJECTS[message, titled], strict=True))[language]
    assert rendered["subject.txt"].strip() == subject.format("Tides & Shores" if titled else "Example Academy")
    assert Page(rendered["head.html"]).chunks == [one_line(rendered["subject.txt"])]


@each_language
def test_an_enrolment_mail_names_course_and_day_or_leads_to_the_dashboard(language: str) -> None:
    full, undated, bare = (
        parts(ENROLLMENT, enrollment(language=language, **values))
        for values in ({}, {"dated": False}, {"titled": False})
    )
    assert COURSE.search(full["body.html"]) and DATES[language] in full["body.txt"]
    assert COURSE.search(undated["body.html"]) and DATES[language] not in undated["body.txt"]
    assert "Tides" not in bare["body.txt"]
    assert "https://example.com/course/" in full["body.txt"]
    assert "https://example.com/home/" in bare["body.txt"] and "https://example.com/course/" not in bare["body.txt"]


def test_a_message_of_one_s_own_is_a_paragraph_escaped_in_html_and_literal_in_text() -> None:
    rendered = parts(ENROLLMENT, enrollment(custom_message="Bring <b>a pencil</b> & paper.\nWe begin at nine."))
    assert ">Bring &lt;b&gt;a pencil&lt;/b&gt; &amp; paper.<br>We begin at nine.</p>" in rendered["body.html"]
    assert "\n\nBring <b>a pencil</b> & paper.\nWe begin at nine.\n\n" in rendered["body.txt"]


@each_language
def test_a_receipt_names_each_row_in_its_header_cell(language: str) -> None:
    html = parts(PAYMENT, payment(language=language))["body.html"]
    rows = [one_line(re.sub("<[^>]*>", "", row)) for row in re.findall(r"<tr>(<th .*?)</tr>", html)]
    labels = {
        "en": ("Amount:", "Date:", "Paid with:", "Reference:"),
        "es": ("Importe:", "Fecha:", "Pagado con:", "Referencia:"),
        "fr": ("Montant\xa0:", "Date\xa0:", "Payé par\xa0:", "Référence\xa0:"),
    }
    values = (f"{AMOUNTS[language]}&nbsp;EUR", DATES[language], "card &amp; co", "TX-&lt;81&gt;-0042")
    expected = [f"{label}{value}" for label, value in zip(labels[language], values, strict=True)]
    assert rows == [one_line(row) for row in expected]


def test_a_receipt_s_text_reads_line_by_line() -> None:
    text = parts(PAYMENT, payment())["body.txt"]
    lines = "Amount: 1,249.00 EUR\nDate: March 2, 2026\nPaid with: card & co\nReference: TX-<81>-0042"
    assert f"\n\n{lines}\n\nKeep this email" in text


@pytest.mark.parametrize(
    ("name", "label"), [("amount", "Amount:"), ("date", "Date:"), ("method", "Paid with:"), ("txn_ref", "Reference:")]
)
def test_a_receipt_leaves_out_what_it_does_not_know(name: str, label: str) -> None:
    full, less = (parts(PAYMENT, payment(**values)) for values in ({}, {name: ""}))
    for part in ("body.html", "body.txt"):
        assert label in full[part] and label not in less[part]
    assert less["body.html"].count('scope="row"') == 3


def test_a_receipt_of_which_nothing_is_known_has_no_table() -> None:
    rendered = parts(PAYMENT, payment(amount="", date="", method="", txn_ref=""))
    assert "<th" not in rendered["body.html"] and "m-panel" not in rendered["body.html"]
    assert "\n\n\n" not in rendered["body.txt"]


def test_an_amount_without_a_currency_stands_alone() -> None:
    assert "Amount: 49.00\n" in parts(PAYMENT, payment(amount="49.00", currency=""))["body.txt"]


@each_language
@pytest.mark.parametrize("title", ["Meet & greet", ""])
@pytest.mark.parametrize("dated", [True, False])
def test_a_demo_mail_recalls_the_class_as_far_as_it_is_known(language: str, title: str, dated: bool) -> None:
    rendered = parts(DEMO, demo(title=title, dated=dated, language=language, brand=NO_BRAND))
    assert bool(re.search(r"<strong [^>]*>Meet &amp; greet</strong>", rendered["body.html"])) == bool(title)
    assert ("Meet & greet" in rendered["body.txt"]) == bool(title)
    assert (DATES[language] in rendered["body.txt"]) == dated
    assert COURSE.search(rendered["body.html"])
    assert " ." not in rendered["body.txt"] and "  " not in rendered["body.txt"]
