"""Hashes of a graph: equal for equal graphs, and a change reaches exactly what depends on it."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from xmpress.study.graph import Graph, Step

KINDS = ("train", "compress", "evaluate", "speed")


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Steps that need and use some of those before them."""
    found: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        before = [step.name for step in found]
        chosen = draw(st.lists(st.sampled_from(before), unique=True) if before else st.just([]))
        cut = draw(st.integers(0, len(chosen)))
        found.append(
            Step(
                name=f"s{number}",
                kind=draw(st.sampled_from(KINDS)),
                inputs={"number": number, "value": draw(st.integers(0, 3))},
                run=lambda work: {},
                needs=tuple(chosen[:cut]),
                uses=tuple(chosen[cut:]),
            )
        )
    return found


def hashes(found: list[Step]) -> Mapping[str, str]:
    graph = Graph()
    for step in found:
        graph.add(step)
    return graph.hashes()


@given(steps())
def test_equal_graphs_have_equal_hashes(found: list[Step]) -> None:
    again = [Step(s.name, s.kind, dict(s.inputs), lambda work: {}, s.needs, s.uses) for s in found]
    assert hashes(found) == hashes(again)


@given(steps(), st.data())
def test_a_change_reaches_exactly_the_dependants(found: list[Step], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(found) - 1))
    old = found[at]
    changed = Step(old.name, old.kind, {**old.inputs, "value": 9}, old.run, old.needs, old.uses)
    before, after = hashes(found), hashes([*found[:at], changed, *found[at + 1 :]])
    graph = Graph()
    for step in found:
        graph.add(step)
    reached = {name for name in before if before[name] != after[name]}
    assert reached == {old.name, *graph.dependants(old.name)}


@given(steps())
def test_what_is_made_without_a_failed_step_is_something_else(found: list[Step]) -> None:
    graph = Graph()
    for step in found:
        graph.add(step)
    known = graph.hashes()
    for step in found:
        if step.uses:
            assert graph.hash(step, known, without=step.uses[:1]) != known[step.name]
