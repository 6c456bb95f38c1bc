"""Templates that must be refused when they are saved: hostile, broken, or only wrong."""

from __future__ import annotations

from typing import NamedTuple

SUBJECT, HTML, TEXT = "subject", "html_content", "text_content"


class Hostile(NamedTuple):
    """One source, where it is wrong (0: nowhere in particular), and a part of what is said about it."""

    field: str
    source: str
    line: int
    fragment: str


#: What reaches code, other templates, the request or the settings.
REACHING = (
    Hostile(HTML, "<p>Hi</p>\n{% load i18n %}", 2, "{% load %} is not available here; tags are comment, firstof"),
    Hostile(HTML, '{% include "admin/base.html" %}', 1, "{% include %} is not available"),
    Hostile(HTML, '{% extends "admin/base.html" %}', 1, "{% extends %} is not available"),
    Hostile(HTML, "{% block content %}x{% endblock %}", 1, "{% block %} is not available"),
    Hostile(TEXT, "Hi\n\n{% debug %}", 3, "{% debug %} is not available"),
    Hostile(TEXT, '{% ssi "/etc/passwd" %}', 1, "{% ssi %} is not available"),
    Hostile(HTML, '{% url "admin:index" %}', 1, "{% url %} is not available"),
    Hostile(SUBJECT, "{% now 'Y' %}", 1, "{% now %} is not available"),
    Hostile(
        HTML, "{% autoescape off %}{{ user.first_name }}{% endautoescape %}", 1, "{% autoescape %} is not available"
    ),
    Hostile(HTML, "{% filter upper %}x{% endfilter %}", 1, "{% filter %} is not available"),
    Hostile(HTML, "{% csrf_token %}", 1, "{% csrf_token %} is not available"),
    Hostile(HTML, "{% lorem 100000 p %}", 1, "{% lorem %} is not available"),
    Hostile(HTML, '{% trans "Hello" %}', 1, "{% trans %} is not available"),
    Hostile(HTML, "{% blocktrans %}x{% endblocktrans %}", 1, "{% blocktrans %} is not available"),
    Hostile(HTML, "{% cycle 'a' 'b' %}", 1, "{% cycle %} is not available"),
    Hostile(HTML, "{% querystring a=1 %}", 1, "{% querystring %} is not available"),
    Hostile(HTML, "<p>\n{{ user.password }}</p>", 2, "user.password: no such variable; user has first_name, last_name"),
    Hostile(HTML, "{{ course.delete }}", 1, "course.delete: no such variable; course has title, key"),
    Hostile(HTML, "{{ course.__class__ }}", 1, "may not begin with underscores"),
    Hostile(HTML, "\n\n{{ site_name.__class__.__mro__ }}", 3, "may not begin with underscores"),
    Hostile(HTML, "{{ _secret }}", 1, "may not begin with underscores"),
    Hostile(HTML, "{{ request }}", 1, "request: no such variable; there are "),
    Hostile(HTML, "{{ request.user.password }}", 1, "request.user.password: no such variable"),
    Hostile(HTML, "{{ message.context }}", 1, "message.context: no such variable"),
    Hostile(HTML, "{{ channel }}", 1, "channel: no such variable"),
    Hostile(HTML, "{{ brand.from_address }}", 1, "brand.from_address: no such variable"),
    Hostile(HTML, "{{ settings.SECRET_KEY }}", 1, "settings.SECRET_KEY: no such variable"),
    Hostile(HTML, "{{ user.first_name.upper }}", 1, "user.first_name is a text and has no parts"),
    Hostile(HTML, "{{ user.first_name.format }}", 1, "user.first_name is a text and has no parts"),
    Hostile(HTML, "{{ user.first_name.0 }}", 1, "user.first_name is a text and has no parts"),
    Hostile(HTML, "{{ user.items }}", 1, "user.items: no such variable"),
    Hostile(HTML, "{% for key, value in user.items %}{{ key }}{% endfor %}", 1, "user.items: no such variable"),
    Hostile(HTML, "{{ user.clear }}", 1, "user.clear: no such variable"),
    Hostile(HTML, "{{ week_highlights.clear }}", 1, "week_highlights is a list"),
    Hostile(HTML, "{{ week_highlights.append }}", 1, "week_highlights is a list"),
    Hostile(HTML, "{{ week_num.real }}", 1, "week_num is a number and has no parts"),
    Hostile(HTML, "{{ week_highlights.99 }}", 1, "week_highlights.99: no such variable"),
    Hostile(HTML, "{{ user..password }}", 1, "user..password: no such variable"),
    Hostile(HTML, "{{ block.super }}", 1, "block.super: no such variable"),
    Hostile(HTML, "{{ forloop.counter }}", 1, "forloop.counter: no such variable"),
    Hostile(HTML, '{{ _("Hello") }}', 1, "_(…) is not available"),
    Hostile(HTML, '{{ site_name|default:_("Hello") }}', 1, "_(…) is not available"),
)

#: What switches escaping off, or makes much of little.
FILTERS = (
    Hostile(
        HTML, "<p>a</p>\n<p>{{ user.first_name|safe }}</p>", 2, "the filter 'safe' is not available here; filters are"
    ),
    Hostile(HTML, "{{ week_highlights|safeseq|join:'' }}", 1, "'safeseq' is not available"),
    Hostile(HTML, "{{ user.first_name|escapejs }}", 1, "'escapejs' is not available"),
    Hostile(HTML, "{{ user|json_script:'x' }}", 1, "'json_script' is not available"),
    Hostile(HTML, "{{ user|pprint }}", 1, "'pprint' is not available"),
    Hostile(TEXT, "{{ site_name|ljust:'99999999' }}", 1, "'ljust' is not available"),
    Hostile(TEXT, "{{ site_name|center:99999999 }}", 1, "'center' is not available"),
    Hostile(TEXT, "{{ week_num|stringformat:'099999999d' }}", 1, "'stringformat' is not available"),
    Hostile(TEXT, "{{ site_name|wordwrap:1 }}", 1, "'wordwrap' is not available"),
    Hostile(HTML, "{{ site_url|urlize }}", 1, "'urlize' is not available"),
    Hostile(HTML, "{{ site_name|striptags }}", 1, "'striptags' is not available"),
    Hostile(HTML, "{{ week_highlights|random }}", 1, "'random' is not available"),
    Hostile(HTML, "{{ week_highlights|unordered_list }}", 1, "'unordered_list' is not available"),
    Hostile(HTML, "{{ week_num|floatformat:99999999 }}", 1, "at most 10 places"),
    Hostile(HTML, "{% with n=99999999 %}\n{{ week_num|floatformat:n }}{% endwith %}", 2, "at most 10 places"),
    Hostile(
        HTML, "{{ week_highlights|add:week_highlights|length }}", 1, "add cannot be used here: it is made for numbers"
    ),
    Hostile(HTML, "{{ site_name|add:site_name }}", 1, "add cannot be used here: it is made for numbers"),
    Hostile(HTML, "{{ user.first_name|default:request }}", 1, "request: no such variable"),
    Hostile(HTML, "{{ user.first_name|default:user.password }}", 1, "user.password: no such variable"),
    Hostile(HTML, "{{ user.first_name|default:user.__dict__ }}", 1, "may not begin with underscores"),
    Hostile(HTML, "{{ site_name|cut }}", 1, "cut requires 2 arguments"),
    Hostile(HTML, "{{ site_name|upper:'x' }}", 1, "upper requires 1 arguments"),
    Hostile(HTML, "{{ payment.date|date:'Y' }}", 1, "it is made for dates; this is already written out"),
    Hostile(HTML, "{{ site_name|join:', ' }}", 1, "it is made for lists"),
    Hostile(HTML, "{{ user|first }}", 1, "it is made for lists and texts"),
    Hostile(HTML, "{{ user.first_name|divisibleby:2 }}", 1, "it is made for numbers"),
    Hostile(HTML, "{{ week_num|divisibleby:0 }}", 1, "divisibleby cannot be used here"),
    Hostile(HTML, "{{ week_highlights|dictsort:'name' }}", 1, "the elements have no name"),
    Hostile(HTML, "{{ user.first_name|slice:'a' }}", 1, "slice cannot be used here"),
)

#: What is spelled or put together wrongly, also where no example comes by.
WRONG = (
    Hostile(HTML, "<p>{{ payment.amout }}</p>", 1, "payment.amout: no such variable; payment has amount, currency"),
    Hostile(SUBJECT, "Hi {{ user.firstname }}", 1, "user.firstname: no such variable; user has first_name"),
    Hostile(TEXT, "Hi\n{{ usr.first_name }}", 2, "usr.first_name: no such variable; there are "),
    Hostile(HTML, "{% if x.y.z %}a{% endif %}", 1, "x.y.z: no such variable"),
    Hostile(HTML, "{% if user %}a\n{% elif payment.foo %}b{% endif %}", 2, "payment.foo: no such variable"),
    Hostile(HTML, "{% if user %}a{% else %}\n{{ nowhere }}{% endif %}", 2, "nowhere: no such variable"),
    Hostile(HTML, "{% if False %}\n\n{{ nowhere }}{% endif %}", 3, "nowhere: no such variable"),
    Hostile(HTML, "{% if user or nowhere %}a{% endif %}", 1, "nowhere: no such variable"),
    Hostile(HTML, "{% if not user and nowhere == 3 %}a{% endif %}", 1, "nowhere: no such variable"),
    Hostile(
        HTML, "{% for x in week_highlights %}a{% empty %}\n{{ nowhere }}{% endfor %}", 2, "nowhere: no such variable"
    ),
    Hostile(HTML, "{% for x in nothing %}{{ x.a }}{% endfor %}", 1, "nothing: no such variable"),
    Hostile(HTML, "{% for x in week_highlights %}\n{{ x.title }}{% endfor %}", 2, "x is a text and has no parts"),
    Hostile(HTML, "{% for x in week_highlights %}{% endfor %}{{ x }}", 1, "x: no such variable"),
    Hostile(HTML, "{% for x in user %}{{ x }}{% endfor %}", 1, "user is a group of variables, not a list"),
    Hostile(HTML, "{% for x in site_name %}{{ x }}{% endfor %}", 1, "site_name is a text, not a list"),
    Hostile(HTML, "{% for a, b in week_highlights %}{{ a }}{% endfor %}", 1, "not 2 values each"),
    Hostile(HTML, "{% with a=nowhere %}{{ a }}{% endwith %}", 1, "nowhere: no such variable"),
    Hostile(HTML, "{% firstof nowhere user.first_name %}", 1, "nowhere: no such variable"),
    Hostile(HTML, "{% ifchanged nowhere %}a{% endifchanged %}", 1, "nowhere: no such variable"),
    Hostile(HTML, "{% regroup week_highlights by title as groups %}", 1, "title: no such variable"),
    Hostile(HTML, "{% widthratio nowhere 3 100 %}", 1, "nowhere: no such variable"),
    Hostile(HTML, "{% widthratio user.first_name 3 100 %}", 1, "user.first_name is a text, not a number"),
    Hostile(HTML, "{{ user }}", 1, "user is a group of variables; it has first_name"),
    Hostile(HTML, "{{ week_highlights }}", 1, "week_highlights is a list"),
    Hostile(HTML, "{% if payment.amount > 10 %}a{% endif %}", 1, "is never true: one is a text, the other a number"),
    Hostile(HTML, "{% if user %}\n<p>a</p>", 1, "{% if %} is never ended; {% endif %} is missing"),
    Hostile(HTML, "<p>a</p>\n{% for x in week_highlights %}", 2, "{% for %} is never ended"),
    Hostile(HTML, "{% endif %}", 1, "{% endif %} ends or divides nothing"),
    Hostile(HTML, "a\n{% else %}", 2, "{% else %} ends or divides nothing"),
    Hostile(
        HTML,
        "{% if user %}\n{% for x in week_highlights %}\n{% endif %}\n{% endfor %}",
        3,
        "due for the {% for %} of line 2",
    ),
    Hostile(HTML, "{% if user %}{% else %}{% else %}{% endif %}", 1, "{% else %} where {% endif %} is due"),
    Hostile(HTML, "{% if %}a{% endif %}", 1, "Unexpected end of expression"),
    Hostile(HTML, "{% if user = 3 %}a{% endif %}", 1, "Could not parse the remainder"),
    Hostile(HTML, "{% for x week_highlights %}a{% endfor %}", 1, "'for' statements"),
    Hostile(HTML, "{% comment %}\na", 1, "{% comment %} is never ended"),
    Hostile(HTML, "{% verbatim %}a", 1, "{% verbatim %} is never ended"),
    Hostile(HTML, "{% with %}a{% endwith %}", 1, "'with' expected at least one variable assignment"),
    Hostile(HTML, "{% templatetag nothing %}", 1, "Invalid templatetag argument"),
    Hostile(HTML, "a\n{{ }}", 2, "Empty variable tag"),
    Hostile(HTML, "{% %}", 1, "Empty block tag"),
    Hostile(HTML, "{{ user first_name }}", 1, "Could not parse the remainder"),
    Hostile(HTML, "<p>Hi\n{{ user.first_name }</p>", 2, "a stray {{"),
    Hostile(HTML, "<p>Hi { user.first_name }}</p>", 1, "a stray }}"),
    Hostile(TEXT, "Hi {{ user.\nfirst_name }}", 1, "a stray {{"),
    Hostile(SUBJECT, "Hi {% if user %", 1, "a stray {%"),
    Hostile(TEXT, "{# a remark\nthat goes on #}", 1, "a stray {#"),
    Hostile(SUBJECT, "Two\nlines", 2, "a subject has one line"),
    Hostile(SUBJECT, "x" * 201, 0, "it has more than 200 characters in en"),
    Hostile(SUBJECT, "{% if not user %}a{% endif %}", 0, "it is empty in en"),
    Hostile(SUBJECT, "  ", 0, "it is empty"),
    Hostile(HTML, " \n ", 0, "it is empty"),
)

#: What would run code, load something, or break the frame of the mail.
MARKUP = (
    Hostile(HTML, "<p>a</p>\n<script>alert(1)</script>", 2, "<script> is not possible here"),
    Hostile(HTML, "<SCRIPT src='https://x.example'></SCRIPT>", 1, "<script> is not possible here"),
    Hostile(HTML, '<iframe src="https://x.example"></iframe>', 1, "<iframe> is not possible"),
    Hostile(HTML, "<object></object>", 1, "<object> is not possible"),
    Hostile(HTML, '<embed src="x">', 1, "<embed> is not possible"),
    Hostile(HTML, '<form action="https://x.example"><input name="a"></form>', 1, "<form> is not possible"),
    Hostile(HTML, "<textarea>", 1, "<textarea> is not possible"),
    Hostile(HTML, '<base href="https://x.example">', 1, "<base> is not possible"),
    Hostile(HTML, '<meta http-equiv="refresh" content="0">', 1, "<meta> is not possible"),
    Hostile(HTML, '<link rel="stylesheet" href="https://x.example">', 1, "<link> is not possible"),
    Hostile(HTML, "<style>a { display: none }</style>", 1, "<style> is not possible here: a style sheet would reach"),
    Hostile(HTML, "<svg></svg>", 1, "<svg> is not possible"),
    Hostile(HTML, "<body><p>a</p></body>", 1, "<body> is not possible here: the frame of the mail brings it"),
    Hostile(HTML, "<p onclick='a()'>a</p>", 1, "the attribute onclick is not possible"),
    Hostile(HTML, '<img src="https://x.example/a.png"\nonerror="a()">', 2, "the attribute onerror is not possible"),
    Hostile(HTML, '<a href="javascript:alert(1)">a</a>', 1, "href must not begin with javascript:"),
    Hostile(HTML, '<a href=" JavaScript:alert(1)">a</a>', 1, "href must not begin with JavaScript:"),
    Hostile(HTML, '<a href="java&#115;cript:alert(1)">a</a>', 1, "href must not begin with javascript:"),
    Hostile(HTML, '<a href="java\tscript:alert(1)">a</a>', 1, "href must not begin with javascript:"),
    Hostile(HTML, '<a href="vbscript:a">a</a>', 1, "href must not begin with vbscript:"),
    Hostile(HTML, '<a href="data:text/html,<b>">a</a>', 1, "is the quote of href closed?"),
    Hostile(HTML, '<a href="data:text/html,a">a</a>', 1, "href must not begin with data:"),
    Hostile(HTML, '<img src="data:image/svg+xml,a">', 1, "src must not begin with data:"),
    Hostile(HTML, '<a href="{{ site_name }}:alert(1)">a</a>', 1, "href must not begin with a tag and a colon"),
    Hostile(HTML, '<a href="java{# #}script:alert(1)">a</a>', 1, "href must not begin with script:"),
    Hostile(
        HTML, '<a href="{% if user %}https:{% else %}javascript:{% endif %}a">a</a>', 1, "href must not begin with"
    ),
    Hostile(HTML, '{% with a="javascript:b" %}<a href="{{ a }}">a</a>{% endwith %}', 1, "an address that runs code"),
    Hostile(HTML, '<a href="{{ site_name|default:"javascript:b" }}">a</a>', 1, "an address that runs code"),
    Hostile(HTML, '<p style="position:fixed">a</p>', 1, "position: is not possible"),
    Hostile(HTML, '<p style="color:red;position : {{ site_name }}">a</p>', 1, "position : is not possible"),
    Hostile(HTML, "<p\xa0onclick='a()'>a</p>", 1, "a blank or > is missing"),
    Hostile(HTML, "<p class='a'\xa0onclick='a()'>a</p>", 1, "put a blank after the value of class"),
    Hostile(HTML, "<b\x0b>a</b>", 1, "a blank or > is missing"),
    Hostile(HTML, "<p {% firstof user.first_name ' as ' %}>a</p>", 1, "it stands in a tag, outside a value"),
    Hostile(HTML, "<p {% widthratio week_num 3 100 as width %}>a</p>", 1, "it stands in a tag, outside a value"),
    Hostile(HTML, '<p style="width: exp/**/ression(a)">a</p>', 1, "expression( is not possible"),
    Hostile(HTML, "<p>a</p></td></tr></table>", 1, "</td> without its <td>: it would break the frame"),
    Hostile(HTML, "<p>a</p>\n</div>", 2, "</div> without its <div>"),
    Hostile(HTML, "<div>\n<p>a</p>", 1, "<div> is never closed"),
    Hostile(HTML, "<p>a</p>\n<b>b", 2, "<b> is never closed"),
    Hostile(HTML, "<b><i>a</b></i>", 1, "</b> while <i> of line 1 is open"),
    Hostile(HTML, "<td>a</td>", 1, "<td> must stand directly in <tr>"),
    Hostile(HTML, "<tr><td>a</td></tr>", 1, "<tr> must stand directly in <table>"),
    Hostile(HTML, "<table><table></table></table>", 1, "<table> stands directly in <table>"),
    Hostile(HTML, "<table><tr><p>a</p></tr></table>", 1, "<p> stands directly in <tr>"),
    Hostile(HTML, "{% if user %}<div>{% endif %}a</div>", 1, "<div> is not closed inside its {% if %}"),
    Hostile(HTML, "<div>{% if user %}</div>{% endif %}", 1, "</div> closes a <div> from outside its {% if %}"),
    Hostile(HTML, "{% for x in week_highlights %}<b>{% endfor %}</b>", 1, "<b> is not closed inside its {% for %}"),
    Hostile(HTML, "{% if user %}<!--{% endif %} a -->", 1, "different places of a tag"),
    Hostile(HTML, '<p {% if user %}class="a{% endif %}">a</p>', 1, "different places of a tag"),
    Hostile(HTML, "<p>a</p>\n<!-- a", 2, "a comment that is never ended"),
    Hostile(HTML, "<!--> a -->", 1, "a comment must not begin with >"),
    Hostile(HTML, "<!-- a --!>", 1, "a comment ends with -->"),
    Hostile(HTML, "<!--[if mso]><table><![endif]-->", 1, "a comment must not begin with >, -> or [if"),
    Hostile(HTML, "<!doctype html><p>a</p>", 1, "<! is not possible here"),
    Hostile(HTML, "<?php a ?>", 1, "<? is not possible here"),
    Hostile(HTML, '<a href="https://x.example>a</a>\n<p class="b">c</p>', 1, "is the quote of href closed?"),
    Hostile(HTML, '<p>a</p>\n<p class="b', 2, "<p is never ended"),
    Hostile(HTML, "<p", 1, "a blank or > is missing"),
    Hostile(HTML, "<a href={{ site_url }}>a</a>", 1, "put quotes around the value of href"),
    Hostile(HTML, "<p {{ site_name }}>a</p>", 1, "put quotes around site_name"),
    Hostile(HTML, "<p{% if user %} class='a'{% endif %}>a</p>", 1, "a blank or > is missing"),
    Hostile(HTML, "<{{ site_name }}>a", 1, "a < right before a template tag"),
    Hostile(HTML, "<p/>a", 1, "<p/> does not close itself"),
    Hostile(HTML, "<p>a</p\n", 1, "is no end tag"),
    Hostile(HTML, "{% verbatim %}<script>{% endverbatim %}", 1, "<script> is not possible"),
)

#: What would use up the worker.
BOMBS = (
    Hostile(HTML, "a" * 100_001, 1, "more than 100000"),
    Hostile(HTML, "{{ site_name }}\n" * 1_001, 1_001, "more than 1000 tags"),
    Hostile(HTML, "a\n" + "{% if user %}" * 21 + "{% endif %}" * 21, 2, "nested more than 20 deep"),
    Hostile(HTML, "{% if user %}" * 10_000 + "{% endif %}" * 10_000, 1, "more than 100000"),
    Hostile(HTML, "{% if " + "user or " * 31 + "user %}a{% endif %}", 1, "a condition of more than 60 words"),
    Hostile(HTML, "{% if " + "not " * 61 + "user %}a{% endif %}", 1, "a condition of more than 60 words"),
    Hostile(HTML, "\n{{ site_name" + "|upper" * 200 + " }}", 2, "a tag of more than 1000 characters"),
    Hostile(HTML, "{{" * 1_000, 1, "a stray {{"),
    Hostile(
        HTML,
        "{% for a in week_highlights %}" * 7 + "x" + "{% endfor %}" * 7,
        1,
        "too many steps",
    ),
    Hostile(
        HTML,
        "a\n" + "{% for a in week_highlights %}" * 4 + "x" * 9_000 + "{% endfor %}" * 4,
        2,
        "writes more than 300000 characters",
    ),
    Hostile(
        TEXT,
        "{% with a='" + "x" * 900 + "' %}" + "{{ week_highlights|join:a|join:a }}" + "{% endwith %}",
        1,
        "join cannot be used here",
    ),
    Hostile(
        TEXT,
        "{% with a='" + "&" * 900 + "' %}{{ a" + "|force_escape" * 70 + " }}{% endwith %}" * 1,
        1,
        "writes more than 300000 characters",
    ),
)

HOSTILE = (*REACHING, *FILTERS, *WRONG, *MARKUP, *BOMBS)
