"""Templates that must be accepted, and what they say for the sample values of a course update."""

from __future__ import annotations

from typing import NamedTuple


class Good(NamedTuple):
    """One source for the HTML and what its text says."""

    source: str
    text: str


FIRST, SECOND, THIRD = "Read a tide table", "Plot a course across a current", "Check yourself with a quiz"
COURSE = "Coastal Navigation for Beginners"

GOOD = (
    Good("<p>Hello</p>", "Hello"),
    Good("Only a text", "Only a text"),
    Good("<p>Hi {{ user.first_name }},</p>", "Hi Ada,"),
    Good("<p>{{user.first_name}}</p>", "Ada"),
    Good("<p>{{ user.full_name|upper }}</p>", "ADA WHITCOMBE"),
    Good("<p>{{ user.first_name|default:'there' }}</p>", "Ada"),
    Good('<p>{{ user.first_name|default:"there"|lower|capfirst }}</p>', "Ada"),
    Good("<p>{% if user.first_name %}Hi {{ user.first_name }}{% else %}Hi there{% endif %}</p>", "Hi Ada"),
    Good("{% if course %}<p>{{ course.title }}</p>{% endif %}", COURSE),
    Good("{% if not course %}<p>None</p>{% elif payment %}<p>Paid</p>{% else %}<p>Some</p>{% endif %}", "Paid"),
    Good("{% if week_num == 3 and course_count >= 1 %}yes{% endif %}", "yes"),
    Good('{% if payment.method == "card" %}card{% endif %}', "card"),
    Good('{% if "tide" in week_highlights.0 %}tide{% endif %}', "tide"),
    Good("{% if week_highlights|length > 2 %}many{% endif %}", "many"),
    Good("{% if payment.method in 'card cash' %}known{% endif %}", "known"),
    Good("{% if payment is None %}none{% else %}paid{% endif %}", "paid"),
    Good("<ul>{% for x in week_highlights %}<li>{{ x }}</li>{% endfor %}</ul>", f"- {FIRST}\n- {SECOND}\n- {THIRD}"),
    Good("<ul>{% for x in week_highlights %}<li>{{ x }}{% endfor %}</ul>", f"- {FIRST}\n- {SECOND}\n- {THIRD}"),
    Good("<ol>{% for x in week_highlights|slice:':2' %}<li>{{ x }}</li>{% endfor %}</ol>", f"1. {FIRST}\n2. {SECOND}"),
    Good("{% for x in week_highlights reversed %}{{ forloop.revcounter0 }}{% endfor %}", "210"),
    Good(
        "<p>{% for x in week_highlights %}{{ forloop.counter }}{% if not forloop.last %}, {% endif %}{% endfor %}</p>",
        "1, 2, 3",
    ),
    Good(
        "{% for x in week_highlights|slice:':1' %}{% for y in week_highlights %}{{ forloop.parentloop.counter }}"
        "{% endfor %}{% empty %}nothing{% endfor %}",
        "111",
    ),
    Good("<p>{{ week_highlights|join:', ' }}</p>", f"{FIRST}, {SECOND}, {THIRD}"),
    Good(
        "<p>{{ week_highlights|first }} … {{ week_highlights|last|truncatewords:2 }}</p>", f"{FIRST} … Check yourself …"
    ),
    Good("<p>{{ week_highlights.1 }}</p>", SECOND),
    Good("<p>Week {{ week_num|add:1 }}</p>", "Week 4"),
    Good("<p>{{ course_count }} course{{ course_count|pluralize }}</p>", "1 course"),
    Good("<p>{{ payment.amount|floatformat:2 }} {{ payment.currency }}</p>", "49.00 EUR"),
    Good("<p>{{ show_upsell|yesno:'yes,no' }}</p>", "yes"),
    Good("{% with name=user.first_name %}<p>{{ name }}</p>{% endwith %}", "Ada"),
    Good("{% with user.first_name as name %}<p>{{ name }}</p>{% endwith %}", "Ada"),
    Good("<p>{% firstof payment.method 'unknown' %}</p>", "card"),
    Good("{% firstof payment.method course.org as what %}<p>{{ what }}</p>", "card"),
    Good("{% for x in week_highlights %}{% ifchanged x|length %}!{% else %}={% endifchanged %}{% endfor %}", "!!!"),
    Good("<p>{% widthratio week_num 11 100 %}%</p>", "27%"),
    Good("{% comment %}<script>{{ nowhere }}{% load x %}{% endcomment %}<p>a</p>", "a"),
    Good("{# a remark #}<p>a</p>", "a"),
    Good("<p>{% verbatim %}{{ x }}{% endverbatim %} {% templatetag openbrace %}</p>", "{{ x }} {"),
    Good("{% spaceless %}<p>a</p>\n  <p>b</p>{% endspaceless %}", "a\n\nb"),
    Good("<p>1 < 2 & 3 > 2 &amp; &euro;</p>", "1 < 2 & 3 > 2 & €"),
    Good("<p>a<br>b<br/>c</p><hr>", "a\nb\nc"),
    Good("<p>a\n<p>b", "a\n\nb"),
    Good('<p><a href="{{ cta_url }}">Go on</a></p>', "Go on: https://example.com/courses/"),
    Good("<a class='button' href='{{ cta_url }}'>Go on</a>", "Go on: https://example.com/courses/"),
    Good('<a class="button quiet" href="{{ site_url }}/a?b=1&amp;c=2#d">Go</a>', "Go: https://example.com/a?b=1&c=2#d"),
    Good('<a href="{% if course %}{{ course.url }}{% else %}https://example.com/{% endif %}">Go</a>', "Go: https://"),
    Good(
        '<a href="{{ site_url }}/a?b=1&amp;c={{ week_num }}&d={{ week_num }}">Go</a>',
        "Go: https://example.com/a?b=1&c=3&d=3",
    ),
    Good("<p>{% spaceless %}a {% endspaceless %}b</p>", "a b"),
    Good("{%if user%}\t<p>a</p>{%else%}b{%endif%}", "a"),
    Good('<a href="mailto:help@example.com">Write to us</a>', "Write to us: help@example.com"),
    Good('<a href="tel:+34123">Call</a> <a href="https://a.example/">https://a.example/</a>', "Call: +34123 https://a"),
    Good("<a href=https://a.example title=x>a</a>", "a: https://a.example"),
    Good('<img src="https://a.example/a.png" alt="A chart" width=100>', "A chart"),
    Good('<img src="data:image/png;base64,AAAA" alt="A dot">', "A dot"),
    Good('<p class="a" {% if course %}style="color:red"{% endif %}>a</p>', "a"),
    Good('<p style="background-position:top">a</p>', "a"),
    Good('<p style="color:{% if course %}red{% else %}blue{% endif %}">a</p>', "a"),
    Good('<p class="a"{% if course %} id="b"{% endif %}>a</p>', "a"),
    Good("<table><tr><th>a<td>b<tr><th>c<td>d</table>", "a | b\nc | d"),
    Good(
        "<table><thead><tr><th>a</th></tr></thead><tbody>{% for x in week_highlights %}<tr><td>{{ x }}</td></tr>"
        "{% endfor %}</tbody></table>",
        f"a\n{FIRST}\n{SECOND}\n{THIRD}",
    ),
    Good('<table role="presentation"><tr><td><p>a</p></td><td>b</td></tr></table>', "a\n\nb"),
    Good("<div><h2>a</h2><blockquote>b</blockquote><pre>c\n  d</pre></div>", "a\n\nb\n\nc\n  d"),
    Good("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"),
    Good("<dl><dt>a</dt><dd>b</dd></dl>", "a\nb"),
    Good("<p>{{ site_name|linebreaksbr }}</p>{{ site_name|linebreaks }}", "Harbour Learning\n\nHarbour Learning"),
    Good("<p>{{ site_name|escape }} {{ site_name|force_escape }}</p>", "Harbour Learning Harbour Learning"),
    Good("<P CLASS=x>a</P>", "a"),
    Good("<!-- a remark --><p>a</p>", "a"),
    Good("<p>¡Hola! 你好 👋 عربي</p>", "¡Hola! 你好 👋 عربي"),
    Good("<p>a</p>\r\n<p>b</p>", "a\n\nb"),
    Good("<p>{{ unsubscribe_url }} {{ preferences_url }}</p>", "https://example.com/email/unsubscribe/example/ "),
    Good("<p>{{ enrollment.date }} {{ payment.txn_ref }} {{ course.price }}</p>", "March 2, 2026 TX-20260302-17 49.00"),
    Good("<p>javascript: a language. On Monday, onclick</p>", "javascript: a language. On Monday, onclick"),
)
SUBJECTS = (
    "Week {{ week_num }} of {{ course.title }}",
    "{{ user.first_name }}, your week",
    "{% if course %}{{ course.title|truncatechars:30 }}{% else %}Your course{% endif %}",
    "50% off & more <now>",
    "x" * 200,
)
TEXTS = ("", "Hi {{ user.first_name }},\n\n{% for x in week_highlights %}- {{ x }}\n{% endfor %}", "a < b > c & d")
