"""`sam3i verify`: the AI verifier with a progress bar."""

import asyncio
from pathlib import Path

from sam3i_agent.agent.language.budgets import Meter
from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.language.ledger import MemoryLedger
from sam3i_agent.cli.progress import progress_bar
from sam3i_agent.core.contracts import Budgets
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.evaluation.verification import (
    Judge,
    ModelJudge,
    OfflineJudge,
    VerificationReport,
    verify_dataset,
)
from sam3i_agent.segmodel.checkpoints.loading import open_segmenter


def verify_with_progress(
    dataset: Path,
    out: Path,
    *,
    images: Path | None,
    drop: bool,
    model: ModelChoice,
    language: LanguageChoice | None,
    budgets: Budgets,
) -> VerificationReport:
    """Verify a dataset with a language model where one is named, else with rules."""

    async def run() -> VerificationReport:
        with progress_bar("verifying") as (bar, task):

            async def verify(judge: Judge) -> VerificationReport:
                return await verify_dataset(
                    dataset, judge, out, images=images, drop=drop, advance=advance
                )

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            if language is None:
                return await verify(OfflineJudge(open_segmenter(model)))
            side = language_factory(language)(Meter(budgets, MemoryLedger()))
            try:
                return await verify(ModelJudge(side))
            finally:
                await side.close()

    return asyncio.run(run())
