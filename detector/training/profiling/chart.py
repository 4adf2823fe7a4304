"""What was measured, as a picture."""

from __future__ import annotations

from pathlib import Path

from detector.data.atomic import atomic_write
from detector.training.profiling.measure import Profile


def draw(result: Profile, path: Path) -> None:
    """Draw stages, loaders, and the step beside its limit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    stages, loaders, step = figure.subplots(1, 3)
    names = list(result.stages)
    colours = ["C1" if name == result.bottleneck else "C0" for name in names]
    bars = stages.barh(names, list(result.stages.values()), color=colours)
    stages.bar_label(bars, fmt="%.3g", padding=2)
    stages.margins(x=0.2)
    stages.invert_yaxis()
    stages.set(title="each stage alone", xlabel="ms a picture")
    bars = loaders.bar(list(result.loaders), list(result.loaders.values()))
    loaders.bar_label(bars, fmt="%.0f")
    loaders.axhline(1e3 * result.batch / result.limit_ms, color="C3", linestyle="--", label="what the network takes")
    loaders.set(title="each loader alone", ylabel="pictures/s", yscale="log")
    loaders.legend(loc="lower left")
    bars = step.bar([result.loader, "ready batch"], [result.step_ms, result.limit_ms], color=["C0", "C7"])
    step.bar_label(bars, fmt="%.4g")
    step.set(title=f"a step of {result.batch}: input {result.input_share:.1%}", ylabel="ms")
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=120)
