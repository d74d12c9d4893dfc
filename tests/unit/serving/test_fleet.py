import asyncio
import hashlib
from collections import Counter
from datetime import UTC, datetime

import pytest

from streetvision_core.errors import NotReadyError
from streetvision_core.serving.backend import Image
from streetvision_core.serving.fleet import Fleet
from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.servers import ServerSpec, write_specs
from streetvision_core.serving.wire import Status
from streetvision_core.settings import ServingSettings

IMAGES = [Image(b"", str(i), hashlib.sha256(str(i).encode()).hexdigest()) for i in range(4000)]


def fleet_of(**weights):
    specs = [ServerSpec(name, f"unix:/tmp/{name}", weight) for name, weight in weights.items()]
    fleet = Fleet(specs, ServingSettings(), FleetMetrics())
    for server in fleet.servers:
        server.status = server.last = Status(server.spec.name, "certified", datetime.now(UTC))
    return fleet


def chosen(fleet, images=IMAGES):
    return [fleet.identity(image)[0] for image in images]


def test_identity__shares_follow_the_weights():
    counts = Counter(chosen(fleet_of(blue=9, green=1, drained=0)))
    assert counts["blue"] == pytest.approx(3600, abs=4 * (4000 * 0.9 * 0.1) ** 0.5)
    assert counts["drained"] == 0


def test_identity__an_image_moves_only_to_the_server_that_grew():
    before = chosen(fleet_of(blue=9, green=1))
    after = chosen(fleet_of(blue=9, green=3))
    assert {(a, b) for a, b in zip(before, after, strict=True) if a != b} == {("blue", "green")}


def test_identity__a_lost_servers_images_go_to_the_others_and_come_back():
    fleet = fleet_of(blue=1, green=1)
    before = chosen(fleet)
    lost, fleet.servers[0].status = fleet.servers[0].status, None
    assert set(chosen(fleet)) == {"green"}
    fleet.servers[0].status = lost
    assert chosen(fleet) == before


def test_identity__a_server_lost_a_moment_ago_counts_for_an_image_but_is_not_ready():
    fleet = fleet_of(blue=1)
    (server,) = fleet.servers
    server.last_at, server.status = asyncio.new_event_loop().time(), None
    assert fleet.identity(IMAGES[0]) == ("blue", "certified")
    with pytest.raises(NotReadyError):
        fleet.identity()
    server.last_at -= 100
    with pytest.raises(NotReadyError):
        fleet.identity(IMAGES[0])


def test_identity__all_drained_is_named():
    with pytest.raises(NotReadyError, match="weight 0 for every model server"):
        fleet_of(blue=0).identity()


def test_look__takes_over_a_changed_file_and_keeps_the_old_list_when_it_is_broken(tmp_path):
    file = tmp_path / "models.yaml"
    specs = [ServerSpec("blue", "unix:/tmp/no-blue", 1)]
    write_specs(file, specs)

    async def scenario():
        fleet = Fleet(specs, ServingSettings(), FleetMetrics(), file)
        (blue,) = fleet.servers
        file.write_text("nonsense: [")
        await fleet.look()
        kept = [s.spec.name for s in fleet.servers]
        write_specs(file, [ServerSpec("blue", "unix:/tmp/no-blue", 0), ServerSpec("green", "unix:/tmp/no-green", 2)])
        await fleet.look()
        assert fleet.servers[0] is blue  # and so keeps its connections
        return kept, [(s.spec.name, s.spec.weight) for s in fleet.servers]

    assert asyncio.run(scenario()) == (["blue"], [("blue", 0), ("green", 2)])
