import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.errors import SettingsError
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.types import Verdict


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    verdict = Verdict(0.9, "classifier", True, (), "v1", "certified", 0.1)
    now = datetime.now(UTC)
    data = [bytes([i]) * 99 for i in range(3)]
    with QueryLog(tmp_path / "data" / "queries") as log:
        log.append_many(
            [
                NewQuery(one, verdict, "native", f"g{i}", "http", now - timedelta(days=100 * i))
                for i, one in enumerate(data)
            ]
        )
    return data


def read(*words, code=0):
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout)


def test_check__says_what_is_damaged(photographs, tmp_path):
    found = read("log", "check")
    assert (found["ok"], found["queries"], found["bad_rows"]) == (True, 3, [])
    with QueryLog(tmp_path / "data" / "queries") as log:
        log._db.execute("UPDATE queries SET verdict = '{}' WHERE id = 2")
    assert read("log", "check", code=1)["bad_rows"] == [2]
    assert "bad rows: 1, the first: 2" in CliRunner().invoke(app, ["log", "check"]).output


def test_prune__deletes_what_is_too_old(photographs, monkeypatch):
    assert read("log", "prune")["too_old"] == 2
    monkeypatch.setenv("SV_RETENTION__MAX_GIB", "1e-9")
    assert read("log", "prune")["too_much"] == 1


def test_prune__without_a_log(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    assert read("log", "prune") is None
    assert "there is no query log yet" in CliRunner().invoke(app, ["log", "prune"]).output


def test_forget__by_file_and_by_digest(photographs, tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(photographs[0])
    digest = hashlib.sha256(photographs[1]).hexdigest()
    assert read("forget", str(file), digest, "--yes")["queries"] == 2
    with QueryLog(tmp_path / "data" / "queries") as log:
        assert [row.group for row in log.rows()] == ["g2"]


def test_forget__asks_first(photographs):
    result = CliRunner().invoke(app, ["forget", "a" * 64])
    assert isinstance(result.exception, SettingsError)
    assert "--yes" in str(result.exception)
