"""What `auto` chose for a store's forward passes, and what it turned down, in words."""

from collections.abc import Hashable, Mapping
from typing import Any


def choice_lines(attributes: Mapping[Hashable, Any] | Mapping[str, Any]) -> list[str]:
    """A line for what was chosen, and one for each faster candidate that was turned down; none without a choice.

    Args:
        attributes: of a store's root.
    """
    if not (choice := attributes.get("choice")):
        return []
    timed = [trial for trial in choice["trials"] if trial["milliseconds"]]
    reference = choice["trials"][0]
    chosen = next(trial for trial in timed if trial["verdict"] == "chosen")
    return [_chosen(chosen, reference, choice)] + [
        f"{_name(trial)} ({trial['milliseconds']:.1f} ms) was turned down: {trial['verdict']}"
        for trial in timed
        if trial["milliseconds"] < chosen["milliseconds"] and trial["agreement"] is not None
    ]


def _chosen(chosen: Mapping[str, Any], reference: Mapping[str, Any], choice: Mapping[str, Any]) -> str:
    taken = f"{_name(chosen)}, {chosen['milliseconds']:.1f} ms an image"
    if chosen["agreement"] is None and chosen != reference:
        return f"{taken}, as asked for ({_name(reference)}: {reference['milliseconds']:.1f} ms)"
    if chosen == reference:
        why = "nothing else was both faster and the same" if choice["images"] else "too short an audit for a choice"
        return f"{taken}: {why}"
    answers = choice["images"] * choice["conditions"]
    return (
        f"{taken} ({_name(reference)}: {reference['milliseconds']:.1f} ms); {chosen['agreement']:.1%} of "
        f"{answers:,} answers agree"
    )


def _name(trial: Mapping[str, Any]) -> str:
    return f"{trial['backend']} {trial['precision']}"
