"""Who made the photos behind the starter pack, under which licence, and how to cite them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Source(NamedTuple):
    """Where an origin's photos come from, and the citation its makers ask for."""

    where: str
    citation: str
    horizon: float | None = None
    """Height of the horizon as a share of the picture, where the camera's is known; None for the middle."""


SOURCES: Final[Mapping[str, Source]] = {
    "CMU ROADWork / Mi3-Lab": Source(
        "ROADWork data set, Carnegie Mellon University, doi:10.1184/R1/26093197 (ODC-By 1.0); clips as published in "
        "the repository Mi3-Lab/workzone (MIT)",
        "Ghosh et al., ROADWork: A Dataset and Benchmark for Learning to Recognize, Observe, Analyze and Drive Through "
        "Work Zones, ICCV 2025, arXiv:2406.07661",
    ),
    "German Traffic Sign Detection Benchmark": Source(
        "GTSDB, Institut für Neuroinformatik, Ruhr-Universität Bochum",
        "Houben, Stallkamp, Salmen, Schlipsing and Igel, Detection of Traffic Signs in Real-World Images: The German "
        "Traffic Sign Detection Benchmark, IJCNN 2013",
        horizon=0.63,
    ),
    "Udacity CarND": Source(
        "Udacity Self-Driving Car Engineer Nanodegree, lane-finding projects (MIT, copyright Udacity, Inc.)",
        "Udacity, CarND-LaneLines-P1 and CarND-Advanced-Lane-Lines",
    ),
}


def attribution_text(licences: Mapping[str, str], photos: Mapping[str, int]) -> str:
    """ATTRIBUTION.md.

    Args:
        licences: licence by origin, for the origins that are in the pack.
        photos: number of photos by origin.
    """
    lines = [
        "# Attribution",
        "",
        "The starter pack holds numbers computed from the photos below, and their labels. It holds no photo. The",
        "labels were made for this project by one rater.",
    ]
    for origin in sorted(licences):
        source = SOURCES[origin]
        lines += [
            "",
            f"## {origin}",
            "",
            f"* Photos: {photos[origin]}",
            f"* Source: {source.where}",
            f"* Licence: {licences[origin]}",
            f"* Cite: {source.citation}",
        ]
    return "\n".join(lines) + "\n"
