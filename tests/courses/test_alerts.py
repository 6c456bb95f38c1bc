"""An alert …"""

from typing import Any

from courses import alerts
from courses.alerts import MAX_ENTRIES, Alert, Entry


def entry(text: str = "401", **ids: Any) -> Entry:
    return Entry(severity="error", step="send", text=text, ids=ids)


def test_of_nothing_is_none() -> None:
    assert alerts.of_entries("licences", []) is None


def test_merges_equal_texts_and_keeps_all_ids() -> None:
    alert = alerts.of_entries("licences", [entry(enterprise="a"), entry(enterprise=["b", "a"], plan=7)], run_id=3)
    assert alert is not None
    assert (alert.faults, alert.entries[0].ids) == (2, {"enterprise": ("a", "b"), "plan": ("7",)})
    assert str(alert) == "licences run=3 faults=2 entries=error send: 401 (enterprise=a,b plan=7)"


def test_keeps_apart_what_differs_in_severity_step_or_text() -> None:
    others = [Entry(severity="warning", step="send", text="401"), Entry(severity="error", step="plan", text="401")]
    alert = alerts.of_entries("licences", [entry(), *others, entry("500")])
    assert alert is not None
    assert (len(alert.entries), alert.faults) == (4, 3)


def test_counts_what_is_too_much_to_name() -> None:
    alert = alerts.of_entries("licences", [entry(f"text {number}") for number in range(MAX_ENTRIES + 5)])
    assert alert is not None
    assert (len(alert.entries), alert.more_entries, alert.faults) == (MAX_ENTRIES, 5, MAX_ENTRIES + 5)
    assert str(alert).endswith(" and 5 more")


def test_reaches_the_other_sinks_when_one_fails(settings: Any, told: list[Alert], caplog: Any) -> None:
    settings.ALERT_SINKS = ["courses.nowhere", *settings.ALERT_SINKS]
    alerts.tell(Alert(source="licences", faults=1))
    assert told == [Alert(source="licences", faults=1)]
    assert "alert sink courses.nowhere failed: ImportError" in caplog.text


def test_of_a_lasting_fault_is_news_once() -> None:
    assert [alerts.is_news("outbox"), alerts.is_news("outbox"), alerts.is_news("other")] == [True, False, True]
