"""The text that is made from HTML where people write none."""

from __future__ import annotations

import time

import pytest

from email_automation.templating.plain import plain_text, tidy
from email_automation.templating.subject import one_line


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<p>a\n   b</p>\n\n\n<p>c</p>", "a b\n\nc"),
        ("<h1>a</h1>b<h2>c</h2>d", "a\n\nb\n\nc\n\nd"),
        ("a<br>b<br><br>c", "a\nb\n\nc"),
        ("<ul><li>a</li><li>b <b>c</b></li></ul>d", "- a\n- b c\n\nd"),
        ("<ul>\n<li>a\n<li>b\n</ul>", "- a\n- b"),
        ("<ol><li>a</li><li>b</li></ol><ol><li>c</li></ol>", "1. a\n2. b\n\n1. c"),
        ("<ul><li>a<ol><li>b</li><li>c</li></ol></li><li>d</li></ul>", "- a\n  1. b\n  2. c\n- d"),
        ("<ul><li><p>a</p></li></ul>", "- a"),
        ('<a href="https://a.example/?b=1&amp;c=2">d</a>', "d: https://a.example/?b=1&c=2"),
        ('<a href="https://a.example/">https://a.example/</a>', "https://a.example/"),
        ('<a href="mailto:a@a.example">a@a.example</a>', "a@a.example"),
        ('<a href="https://a.example/"><img src="b.png" alt="c"></a>', "c: https://a.example/"),
        ('<a href="https://a.example/"><img src="b.png"></a>', "https://a.example/"),
        ('<a href="https://a.example/">d</a>, and <a href="#e">e</a>.', "d: https://a.example/, and e."),
        ("<a>a</a>", "a"),
        ("<table><tr><th>a</th><td>b</td></tr><tr><th>c</th><td>d</td></tr></table>", "a | b\nc | d"),
        ('<table role="presentation"><tr><td>a</td><td>b</td></tr></table>', "a\n\nb"),
        ("<p>&lt;b&gt; &amp; &euro; &#8364; &nbsp;x&nbsp;y</p>", "<b> & € €  x y"),
        ("<pre>a\n  b</pre>c", "a\n  b\n\nc"),
        ("<hr><p>a</p><hr>", "a"),
        ("<div><div>a</div></div>", "a"),
        ("<p>a</p>   <p>   </p><p>b</p>", "a\n\nb"),
        ("<b>a</b> <i>b</i>", "a b"),
        ("<b>a </b> b", "a b"),
        ("<!-- a --><p>b</p>", "b"),
        ("", ""),
        ("<p>你好</p><p>عربي</p>", "你好\n\nعربي"),
        ("<dl><dt>a</dt><dd>b</dd><dt>c</dt><dd>d</dd></dl>", "a\nb\nc\nd"),
    ],
)
def test_it_reads_as_a_person_would_write_it(html: str, text: str) -> None:
    assert plain_text(html) == text


def test_it_has_no_tower_of_blank_lines_and_no_blanks_at_the_ends() -> None:
    assert tidy("\n\na  \r\n\n\n\n b\t\n\n") == "a\n\n b"


def test_it_is_quick() -> None:
    html = '<p>a <b>b</b> <a href="https://a.example">c</a></p>\n' * 200
    started = time.thread_time()
    plain_text(html)
    assert time.thread_time() - started < 0.1


def test_a_subject_is_one_line_and_keeps_what_keeps_words_together() -> None:
    assert one_line(" a\r\nb\tc\x00d\u2028e\u2029f\x85g  h ") == "a b c d e f g h"
    assert one_line("Semaine 3\xa0: tout") == "Semaine 3\xa0: tout"
