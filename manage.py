#!/usr/bin/env python3
"""Run a management command: `./manage.py [lms] [--settings NAME] <command> …`."""

import importlib.util
import os
import sys


class UnknownSettings(Exception):
    """A settings name that leads nowhere; the text is for the operator."""


def main(argv: list[str]) -> int:
    """Run the command line `argv` (its first word is this program) and return the exit status."""
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        print(
            "Django is not installed for this Python; run `make install`, then venv/bin/python manage.py",
            file=sys.stderr,
        )
        return 1
    try:
        settings, arguments = split_settings(argv[1:])
        os.environ["DJANGO_SETTINGS_MODULE"] = find_settings(settings or os.environ.get("DJANGO_SETTINGS_MODULE"))
    except UnknownSettings as error:
        print(f"manage.py: {error}", file=sys.stderr)
        return 2
    if arguments[:1] == ["lms"]:
        arguments = arguments[1:]
    execute_from_command_line([argv[0], *arguments])
    return 0


def split_settings(arguments: list[str]) -> tuple[str, list[str]]:
    """Take `--settings NAME` or `--settings=NAME` out of the arguments, wherever it stands; the last one counts."""
    name, words = "", iter(arguments)
    rest: list[str] = []
    for word in words:
        if word == "--":
            return name, [*rest, word, *words]
        option, equals, value = word.partition("=")
        if option != "--settings":
            rest.append(word)
            continue
        name = value if equals else next(words, "")
        if not name:
            raise UnknownSettings("--settings needs a name, for example devstack_docker")
    return name, rest


def find_settings(name: str | None) -> str:
    """Return the module that a settings name stands for; a short name is one in lms/envs."""
    from lms.celery import DEFAULT_SETTINGS

    if not name:
        return DEFAULT_SETTINGS
    if "." in name:
        return name
    module = f"lms.envs.{name}"
    if not name.isidentifier() or importlib.util.find_spec(module) is None:
        raise UnknownSettings(f"there are no settings named {name!r}: lms/envs/{name}.py is missing")
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv))
