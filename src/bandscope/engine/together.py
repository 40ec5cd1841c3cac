"""Several classifiers in one pass: every image is decoded and filtered once, and each classifier gets a store."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from bandscope.cube.lock import writing
from bandscope.cube.place import Place
from bandscope.cube.store import Store
from bandscope.engine import run as engine
from bandscope.engine.filling import ready
from bandscope.engine.job import Job
from bandscope.engine.subject import Subject
from bandscope.errors import InputError, StoreError


def fill_together(
    subjects: Sequence[Subject], places: Sequence[Place], settings: engine.Settings, *, overwrite: bool
) -> None:
    """Measure several classifiers in one pass over their images, each into a store of its own.

    Raises:
        InputError: their preprocessing differs, or two of them have one place.
        StoreError: a store holds something else, or was begun with other settings; nothing was changed.
    """
    _check_together(subjects, places)
    pairs: list[tuple[Job, Store]] = []
    with ExitStack() as locks:
        for subject, place in zip(subjects, places, strict=True):
            like = _like(subject, pairs[0][0]) if pairs else subject
            pairs.append(ready(like, place, settings, overwrite=overwrite))
            locks.enter_context(writing(place, shared=not settings.share.alone))
        first, *others = (job.layout.conditions() for job, _ in pairs)
        for place, conditions in zip(places[1:], others, strict=True):
            if conditions != first:
                raise StoreError(f"{place} and {places[0]} hold other conditions; go on with each alone.")
        engine.run(pairs, settings)


def _check_together(subjects: Sequence[Subject], places: Sequence[Place]) -> None:
    first, *others = subjects
    own = first.classifier.preprocess.to_json()
    for subject in others:
        other = subject.classifier.preprocess.to_json()
        if differing := [f"{key}: {own[key]} and {other[key]}" for key in own if own[key] != other[key]]:
            raise InputError(
                f"{first.classifier.spec} and {subject.classifier.spec} cannot be audited in one pass, because their "
                f"preprocessing differs ({'; '.join(differing)}); audit each alone."
            )
    if twice := [place for number, place in enumerate(places) if place in places[:number]]:
        raise InputError(f"Two models would write into {twice[0]}; each needs a store of its own.")


def _like(subject: Subject, job: Job) -> Subject:
    """A subject under the conditions of a job, and in its batches."""
    plan = job.plan
    request = replace(subject.request, batch_size=plan.batch_size, threads=plan.threads, device=plan.device)
    return replace(subject, layout=job.layout, request=request, pilot=None)
