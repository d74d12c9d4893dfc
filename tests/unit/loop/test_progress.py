import io

from rich.console import Console

from streetvision_core.loop.progress import LogProgress, TerminalProgress, default_progress
from streetvision_core.loop.steps import Step, StepResult

STEPS = [Step("mine", "mine.ipynb", "Mine the hardest"), Step("train", "train.ipynb", "Train [bold]it[/bold]")]


def test_terminal_progress__draws_steps_cells_and_ends():
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with TerminalProgress(console) as progress:
        progress.begin("daily 2026-11-23", STEPS)
        progress.step_began(STEPS[0])
        progress.cell_began(2, 9)
        progress._live.refresh()
        progress.step_ended(StepResult("mine", "Mine the hardest", "failed", note="ValueError: [red]", seconds=1.5))
        progress.step_ended(StepResult("train", "Train", "blocked", note="needs mine"))
    text = console.file.getvalue()
    for part in (
        "daily 2026-11-23",
        "cell 2 of 9",
        "Mine the hardest",
        "✗",
        "ValueError: [red]",
        "Train [bold]it",
        "0 of 2",
    ):
        assert part in text


def test_default_progress__is_plain_without_a_terminal():
    assert isinstance(default_progress(), LogProgress)


def test_log_progress__writes_one_line_per_event(capsys):
    with LogProgress() as progress:
        progress.begin("daily", STEPS)
        progress.step_began(STEPS[0])
        progress.step_ended(StepResult("mine", "Mine", "done", seconds=2.0))
    out = "".join(capsys.readouterr())
    assert [word in out for word in ("pipeline_began", "step_began", "step_ended")] == [True] * 3
