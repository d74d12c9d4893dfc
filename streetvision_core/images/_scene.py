"""Where a scene changes, by FFmpeg's own `scene` score (filter `select`)."""

from __future__ import annotations

from typing import Any


class SceneCuts:
    """Fed pictures in order, says which ones differ from the one before by more than motion explains.

    Args:
        score: 0 to 1; FFmpeg's documentation calls 0.3 to 0.5 sane.
    """

    def __init__(self, score: float) -> None:
        self._expression = f"gt(scene,{score})"
        self._form: tuple[int, int, str] | None = None
        self._graph: Any = None

    def saw(self, picture: Any) -> bool:
        """Whether this picture begins another scene; the first one does not."""
        from av.error import BlockingIOError as NothingSelected

        form = (picture.width, picture.height, picture.format.name)
        changed = self._form is not None and form != self._form
        if form != self._form:
            self._graph, self._form = self._build(picture), form
        self._graph.push(picture)
        try:
            self._graph.pull()
        except NothingSelected:
            return changed
        return True

    def _build(self, picture: Any) -> Any:
        from av.filter import Graph

        graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
        )
        graph.link_nodes(source, graph.add("select", self._expression), graph.add("buffersink")).configure()
        return graph
