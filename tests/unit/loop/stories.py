"""Made-up stories: every section filled, pictures drawn by the test itself."""

import datetime as dt

import numpy as np

from streetvision_core.loop.report.fields import Estimate, Plot
from streetvision_core.loop.report.models import (
    Band,
    Bands,
    Change,
    Check,
    Comparison,
    Gate,
    Honesty,
    RealPhotos,
    RealRow,
    WorldRow,
)
from streetvision_core.loop.report.pictures import png_of_figure, thumbnail
from streetvision_core.loop.report.queries import (
    DoubtedPicture,
    Doubts,
    Hard,
    HardPicture,
    Latency,
    StageExits,
    Traffic,
)
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.steps import StepResult

DAY = dt.date(2026, 11, 23)
MODES = ("night", "rain", "fog", "glare", "occlusion", "far", "small", "unusual")
REASONS = ("close to the threshold", "detectors disagree", "confident and wrong", "unlike anything seen")


def street(seed: int) -> np.ndarray:
    """A crude street: sky, road, lane marks, a few cones, noise as a photo has it."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((270, 480, 3), np.float64)
    light = rng.uniform(0.35, 1.0)
    picture[:130] = np.array([150, 190, 225]) * light
    picture[130:] = np.array([95, 95, 100]) * light
    for y in range(140, 270, 26):
        picture[y : y + 12, 236:244] = 220 * light
    for _ in range(int(rng.integers(0, 6))):
        x, y, size = int(rng.integers(20, 440)), int(rng.integers(150, 250)), int(rng.integers(6, 26))
        for row in range(size):
            half = max(1, row * 2 // 5)
            picture[min(269, y - size + row), max(0, x - half) : x + half] = np.array([235, 110, 30]) * light
    return np.clip(picture + rng.normal(0, 9, picture.shape), 0, 255).astype(np.uint8)


def hard_pictures(count: int) -> tuple[HardPicture, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        HardPicture(
            jpeg_base64=thumbnail(street(seed)),
            source=f"scene-{41000 + seed} · letterbox-224 · level {seed % 4}",
            p_roadwork=float(np.clip(rng.beta(2, 2), 0.02, 0.98)),
            stage=("classifier", "detectors", "ocr")[seed % 3],
            reason=REASONS[seed % 4],
            truth=(1, 0, 1, None)[seed % 4],
            modes=tuple(sorted({MODES[seed % 8], MODES[(seed * 3) % 8]})),
        )
        for seed in range(count)
    )


def doubts() -> Doubts:
    shown = [
        DoubtedPicture(
            thumbnail(street(90 + given)), f"query-{given}", "drive-7 (native)", given, 0.031, 0.9 - 0.8 * given
        )
        for given in (0, 1)
    ]
    return Doubts(judged=160, suspects=3, pictures=tuple(shown))


def reliability_plot() -> Plot:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfect")
    axes.plot(
        [0.05, 0.2, 0.4, 0.6, 0.8, 0.95], [0.03, 0.17, 0.44, 0.63, 0.82, 0.97], "o-", color="#0068a8", label="v0008"
    )
    axes.set_xlabel("stated probability")
    axes.set_ylabel("share that is road work")
    axes.legend()
    return Plot(
        "Reliability", png_of_figure(figure), "Points lie close to the diagonal.", "On the diagonal, 0.8 means 80 %."
    )


def steps() -> tuple[StepResult, ...]:
    rows = [
        ("ingest", "Take in the day's queries", "done", 31.2),
        ("mine", "Mine the hardest frames", "done", 44.0),
        ("annotate", "Annotate and review", "skipped", 12.5),
        ("synthesize", "Render what is missing", "done", 88.1),
        ("train", "Train the challenger", "done", 52.7),
        ("calibrate", "Calibrate and certify", "done", 9.4),
        ("promote", "Gate and promote", "done", 3.1),
    ]
    return tuple(
        StepResult(
            name, title, status, seconds=seconds, attempts=1, html=f"steps/{name}.html", notebook=f"steps/{name}.ipynb"
        )
        for name, title, status, seconds in rows
    )


def change() -> Change:
    return Change(
        champion="v0007",
        challenger="v0008",
        learned_from="It learned from 1,934 real photos and 1,120 mined and synthesized frames of seven days.",
        comparisons=(
            Comparison(
                "MCC", "rendered, held out", 400, Estimate(0.712, 0.64, 0.78), Estimate(0.781, 0.72, 0.84), groups=122
            ),
            Comparison(
                "Recall", "rendered, held out", 400, Estimate(0.82, 0.76, 0.87), Estimate(0.884, 0.83, 0.93), groups=122
            ),
            Comparison(
                "Brier score",
                "rendered, held out",
                400,
                Estimate(0.101, 0.08, 0.12),
                Estimate(0.083, 0.07, 0.10),
                groups=122,
                lower_is_better=True,
            ),
            Comparison(
                "MCC", "real photos, TEST", 388, Estimate(0.861, 0.81, 0.91), Estimate(0.858, 0.80, 0.90), groups=201
            ),
        ),
    )


def gate(promoted: bool) -> Gate:
    reasons = (
        ("On 400 held-out rendered frames the challenger is right on 41 that the champion misses, and wrong on 18.",)
        if promoted
        else ("The challenger gains 21 held-out frames and loses 17: that can be luck (p = 0.31).",)
    )
    return Gate(
        promoted,
        (*reasons, "On real photos of every origin it is no worse than five points."),
        (
            Check(
                "Superior overall on rendered frames, held out",
                "p = 0.002 (41 gained, 18 lost)" if promoted else "p = 0.31 (21 gained, 17 lost)",
                "p < 0.05",
                promoted,
                "An exact paired test by group: would an equal challenger gain this much by luck?",
            ),
            Check("No worse on real photos: ROADWork", "−0.3 points, at worst −2.1", "at worst −5.0 points", True),
            Check("No worse on real photos: other origins", "+0.4 points, at worst −3.8", "at worst −5.0 points", True),
        ),
    )


def day_story(*, promoted: bool = True, pictures: int = 12, **changes: object) -> DayStory:
    values: dict[str, object] = {
        "day": DAY,
        "profile": "embedded",
        "generated_at": "2026-11-23T04:12:09+00:00",
        "champion": "v0008" if promoted else "v0007",
        "summary": "Rain and dusk made most of the trouble. A hundred and sixty frames went to review.",
        "traffic": Traffic(
            frames=1360,
            said_roadwork=631,
            correct=1247,
            exits=(
                StageExits("classifier", 941, 38.2),
                StageExits("detectors", 322, 121.0),
                StageExits("ocr", 97, 655.0),
            ),
            latency=Latency(41.0, 402.0, 1180.0),
            sources={"rendered drives": 880, "rendered single frames": 480},
            eras={"native": 912, "letterbox-224": 300, "crop-224": 148},
            absent_stages={"vlm": "no package carries an image-text model; it is never pretended"},
        ),
        "hard": Hard(
            mined=160,
            pictures=hard_pictures(pictures),
            modes={"night": 31, "rain": 44, "far": 28, "occlusion": 19, "glare": 12, "fog": 9},
            reasons={
                "close to the threshold": 71,
                "detectors disagree": 48,
                "confident and wrong": 22,
                "unlike anything seen": 19,
            },
            reviewer="The exact truth of rendered frames stands in for the reviewer.",
        ),
        "doubts": doubts(),
        "change": change(),
        "gate": gate(promoted),
        "bands": Bands(
            0.05,
            0.05,
            (
                Band("classifier", True, 0.08, 0.94, 0.68, 402, 11, "Exact binomial bound, one row per group."),
                Band("detectors", True, 0.21, 0.88, 0.81, 478, 14),
                Band(
                    "ocr",
                    False,
                    None,
                    None,
                    None,
                    None,
                    None,
                    "Only 41 groups reach this stage; 59 without error are needed.",
                ),
            ),
            "CALIBRATE holds 593 groups.",
            tuple(
                WorldRow(made, answers, 240, 120, *(Estimate(v, v - 0.05, v + 0.05) for v in (mcc, 0.9, 0.3)), serves)
                for made, answers, mcc, serves in (
                    ("photographs", "photographs", 0.79, True),
                    ("photographs", "rendered frames", 0.34, True),
                    ("rendered frames", "photographs", 0.71, False),
                    ("rendered frames", "rendered frames", 0.61, False),
                )
            ),
        ),
        "plots": (reliability_plot(), reliability_plot()),
        "real": RealPhotos(
            (
                RealRow(
                    "all origins",
                    388,
                    Estimate(0.931, 0.90, 0.95),
                    Estimate(0.94, 0.90, 0.97),
                    Estimate(0.08, 0.05, 0.12),
                    Estimate(0.86, 0.80, 0.90),
                    201,
                ),
                RealRow(
                    "ROADWork",
                    240,
                    Estimate(0.942, 0.91, 0.97),
                    Estimate(0.95, 0.91, 0.98),
                    Estimate(0.07, 0.03, 0.12),
                    Estimate(0.88, 0.81, 0.93),
                    120,
                ),
                RealRow(
                    "Wikimedia Commons", 148, Estimate(0.912, 0.85, 0.95), Estimate(0.92, 0.84, 0.97), None, None, 81
                ),
            ),
            "TEST photos only: never trained on, never calibrated on.",
        ),
        "honesty": Honesty(
            known=("Subnet 72 is halted; a miner there earns nothing today.", "Labels of rendered frames are exact."),
            measured=("Every number of real photos, on 388 photos.", "Time to answer, on two cores without a GPU."),
            estimated=("Quality on a validator's stream: rendered frames stand in for it.",),
            unknown=("What stage 3 (vision-language model) would add: it is absent in this profile.",),
        ),
        "steps": steps(),
    }
    return DayStory(**{**values, **changes})
