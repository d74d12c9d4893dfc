import asyncio

from streetvision_core.serving.backend import Answer
from streetvision_core.serving.cache import CacheKey, MemoryCache
from streetvision_core.types import Verdict


def answer(version="v1"):
    return Answer(Verdict(0.9, "classifier", True, (), version, "certified", 0.1), 2, 2, "native")


def get_all(cache, *keys):
    async def run():
        return [await cache.get(key) for key in keys]

    return asyncio.run(run())


def test_memory_cache__keeps_bytes_versions_and_policies_apart():
    cache, kept = MemoryCache(10, 60), answer()
    asyncio.run(cache.put(CacheKey("a", "v1", "certified"), kept))
    others = [CacheKey("b", "v1", "certified"), CacheKey("a", "v2", "certified"), CacheKey("a", "v1", "plan")]
    assert get_all(cache, CacheKey("a", "v1", "certified"), *others) == [kept, None, None, None]


def test_memory_cache__least_recently_used_goes_first():
    cache, keys = MemoryCache(2, 60), [CacheKey(name, "v1", "p") for name in "abc"]
    asyncio.run(cache.put(keys[0], answer()))
    asyncio.run(cache.put(keys[1], answer()))
    get_all(cache, keys[0])
    asyncio.run(cache.put(keys[2], answer()))
    assert [found is not None for found in get_all(cache, *keys)] == [True, False, True]


def test_memory_cache__forgets_after_its_time():
    cache, key = MemoryCache(2, 0.02), CacheKey("a", "v1", "p")

    async def run():
        await cache.put(key, answer())
        before = await cache.get(key)
        await asyncio.sleep(0.05)
        return before, await cache.get(key)

    before, after = asyncio.run(run())
    assert before is not None
    assert after is None


def test_memory_cache__of_no_entries_keeps_nothing():
    cache, key = MemoryCache(0, 60), CacheKey("a", "v1", "p")
    asyncio.run(cache.put(key, answer()))
    assert get_all(cache, key) == [None]
