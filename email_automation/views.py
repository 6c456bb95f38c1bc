"""The pages a mail's links lead to."""

from django.http import HttpRequest, HttpResponse


def stub(request: HttpRequest, token: str = "") -> HttpResponse:
    return HttpResponse("")
