from collections import Counter
from pathlib import Path

from lightning_abkd.language.data._reports import FileReport, log_reports, report_parts, table_of


def report(name, **counts):
    return FileReport(Path(name), 9, 7, Counter(counts))


def test_the_table_has_a_line_for_each_thing_that_happened():
    lines = table_of([report("a.jsonl", cut=2), report("b.jsonl", dropped=1, never=0)]).split("\n")
    assert [line.split() for line in lines] == [
        ["a.jsonl", "b.jsonl"],
        ["records", "9", "9"],
        ["cut", "2", "0"],
        ["dropped", "0", "1"],
        ["samples", "7", "7"],
    ]


def test_files_of_one_name_are_told_apart_by_their_folders():
    assert "dolly/test.jsonl  vicuna/test.jsonl" in table_of([report("dolly/test.jsonl"), report("vicuna/test.jsonl")])


def test_each_report_is_logged_once(monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.data._reports.rank_zero_info", logged.append)
    reports = [report("a.jsonl")]
    for _ in range(2):
        log_reports(reports)
    assert len(logged) == 1


def test_reasons_are_what_happened():
    assert report("a", cut=2, dropped=1).reasons == "cut: 2, dropped: 1"
    assert report("a").reasons == "no record"


def test_what_is_not_trained_on_is_said_of_the_file_that_was_read_last():
    reports = [report("a.jsonl"), report("b.jsonl")]
    report_parts(reports, 2, 0)
    report_parts([], 1, 1)
    assert table_of(reports).split("\n")[-1].split() == ["set", "aside", "for", "validation", "0", "2"]
