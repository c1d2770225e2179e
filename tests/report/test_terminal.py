"""Tables on the terminal."""

import io

from rich.console import Console

from zncc_cli.report.terminal import summary_table


def test_summary_table_prints_labels_and_values_and_no_markup():
    console = Console(file=io.StringIO(), width=80)
    summary_table([("zncc", "0.21 -> 0.98"), ("file", "[bold]a[/bold].tif"), ("pairs", 3)], console)
    printed = console.file.getvalue()
    assert [line.split()[0] for line in printed.splitlines()] == ["zncc", "file", "pairs"]
    assert "[bold]a[/bold].tif" in printed
