from streetvision_core.cli._evaluation import evaluation_text


def test_evaluation_text__photos_are_told_as_tables():
    told = evaluation_text({"markdown": "| all | 0.76 |", "unseen_origins": {"markdown": "| all | 0.67 |"}, "made": {}})
    assert told.index("| all | 0.76 |") < told.index("Origins answered") < told.index("| all | 0.67 |")


def test_evaluation_text__a_report_is_told_by_origin_and_era():
    metric = {"point": 0.5, "low": 0.4, "high": 0.6}
    unknown = {"point": None, "low": None, "high": None}
    part = {"name": "all", "n": 12, "metrics": {"mcc": metric, "auc": unknown}}
    era = part | {"name": "era native"}
    told = evaluation_text({"certified": {"overall": part, "by_origin": [], "by_era": [era]}, "made": {}})
    assert [line.split("n =")[0].split() for line in told.splitlines()] == [
        ["certified", "all"],
        ["certified", "era", "native"],
    ]
    assert told.count("mcc 0.500 [0.400, 0.600]") == 2
    assert "auc" not in told
