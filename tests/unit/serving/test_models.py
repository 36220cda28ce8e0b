"""Replacing models while they are used."""

import asyncio
import shutil

import pytest

from xmpress.errors import BundleError
from xmpress.runtime.bundle import Bundle, write_manifest
from xmpress.serving.settings import ModelSpec


def renew(folder, version):
    """Write another version of a bundle in its place."""
    manifest = Bundle.open(folder).manifest.model_copy(update={"version": version})
    write_manifest(folder, manifest)


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


async def version(client, **asked):
    answer = await client.post("/v1/analyze", {"texts": ["good"], **asked})
    assert answer.status == 200, answer.body
    return answer.json["version"]


def test_a_new_bundle_takes_over_and_the_old_one_finishes(serving, folder):
    async def check(client):
        old = client.engines[0]
        old.gate.clear()
        waiting = asyncio.create_task(version(client))
        await asyncio.sleep(0.1)
        renew(folder, "8")
        assert await client.service.models.reload() == 1
        assert await version(client) == "8"
        assert not waiting.done()
        old.gate.set()
        assert await waiting == "7"
        assert await client.service.models.reload() == 0
        text = client.service.metrics.text().decode()
        assert 'xmpress_reloads_total{result="ok"} 1.0' in text
        assert 'xmpress_model_info{model="tiny",version="7"}' not in text

    serving(check, [ModelSpec(folder)])


def test_a_broken_bundle_is_not_taken(serving, folder):
    async def check(client):
        (folder / "tokenizer.json").write_text("{}")
        renewed = (folder / "xmpress.json").read_text().replace('"7"', '"8"')
        (folder / "xmpress.json").write_text(renewed)
        assert await client.service.models.reload() == 0
        assert await version(client) == "7"
        assert (
            'xmpress_reloads_total{result="failed"} 1.0' in client.service.metrics.text().decode()
        )

    serving(check, [ModelSpec(folder)])


def test_a_version_that_is_served_already_is_not_taken(serving, tiny_bundle, folder):
    async def check(client):
        renew(folder, "7")  # as the other, though not the same
        assert await client.service.models.reload() == 0
        assert await version(client, version="6") == "6"

    renew(folder, "6")
    serving(check, [ModelSpec(tiny_bundle), ModelSpec(folder, "tiny")])


def test_a_watched_bundle_is_replaced_by_itself(serving, folder):
    async def check(client):
        renew(folder, "8")
        while await version(client) == "7":
            await asyncio.sleep(0.02)

    serving(check, [ModelSpec(folder)], watch=0.05)


def test_what_cannot_be_served_is_told(serving, folder, monkeypatch):
    from xmpress.serving import models
    from xmpress.serving.metrics import Metrics
    from xmpress.serving.settings import ServeSettings

    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match="incomplete"):
        models.ServedModel(ModelSpec(folder), ServeSettings(), Metrics())
