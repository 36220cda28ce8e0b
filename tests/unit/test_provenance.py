import yaml

from xmpress.provenance import digest, lock_text


def test_the_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


def test_a_lock_holds_settings_seeds_data_and_versions():
    lock = yaml.safe_load(lock_text({"train": {"steps": 3}}, seeds=[1], data={"d.csv": "abc"}))
    assert lock["train"] == {"steps": 3}
    assert lock["seeds"] == [1]
    assert lock["data"] == {"d.csv": "abc"}
    assert lock["hash"] == digest({"train": {"steps": 3}})
    assert lock["versions"]["numpy"]
