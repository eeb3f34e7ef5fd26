"""Maximum likelihood over parameters above 0: several starts, then Newton steps, then a look at what came out."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Vector = NDArray[np.float64]
LogLikelihood = Callable[[Vector], tuple[float, Vector]]
"""Parameters -> log-likelihood and its gradient by the parameters."""

_BOUND = 14.0  # of a parameter's logarithm: a millionth to a million
_FLAT = 1e-7  # of the gradient by the logarithms, per observation
_STEP = 1e-4
_SAME = 1e-6  # of log-likelihoods, per observation


class Estimate(msgspec.Struct, frozen=True):
    """What was found.

    parameters:     by name.  errors: their standard errors, from the curvature at the maximum; empty if it has none
    log_likelihood: at the maximum
    observations:   customers it rests on
    starts, agree:  how many starts were tried, and how many ended at the same maximum
    slope:          the largest component of the gradient by the parameters' logarithms, per observation
    flaws:          why it should not be used; empty if it may
    """

    parameters: dict[str, float]
    errors: dict[str, float]
    log_likelihood: float
    observations: int
    starts: int
    agree: int
    slope: float
    flaws: list[str]


def maximise(
    names: Sequence[str], log_likelihood: LogLikelihood, starts: Sequence[Sequence[float]], observations: int
) -> Estimate:
    """The parameters under which the data are likeliest; what is wrong with them stands in `flaws`."""

    def loss(logs: Vector) -> tuple[float, Vector]:
        parameters = np.exp(logs)
        value, gradient = log_likelihood(parameters)
        return -value / observations, -gradient * parameters / observations

    ends = [
        minimize(
            loss,
            np.log(start),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_BOUND, _BOUND)] * len(names),
            options={"maxiter": 2_000, "ftol": 1e-15, "gtol": _FLAT / 10},
        )
        for start in starts
    ]
    best = min(ends, key=lambda end: float(end.fun))
    logs, curvature = _newton(loss, best.x)
    value, gradient = loss(logs)
    slope = float(np.abs(gradient).max())
    agree = sum(float(end.fun) - value <= _SAME for end in ends)
    curved = bool(np.linalg.eigvalsh(curvature).min() > 0)
    parameters = np.exp(logs)
    errors = parameters * np.sqrt(np.diag(np.linalg.inv(curvature)) / observations) if curved else np.array([])
    return Estimate(
        parameters=dict(zip(names, parameters.tolist(), strict=True)),
        errors=dict(zip(names, errors.tolist(), strict=False)),
        log_likelihood=-value * observations,
        observations=observations,
        starts=len(starts),
        agree=agree,
        slope=slope,
        flaws=_flaws(dict(zip(names, logs.tolist(), strict=True)), slope, agree, len(starts), curved),
    )


def _newton(loss: Callable[[Vector], tuple[float, Vector]], logs: Vector) -> tuple[Vector, NDArray[np.float64]]:
    """A few steps nearer to where the gradient is 0, each taken only if it does not raise the loss; the curvature."""
    for _ in range(5):
        curvature = _curvature(loss, logs)
        if np.linalg.eigvalsh(curvature).min() <= 0:
            break
        value, gradient = loss(logs)
        ahead = np.clip(logs - np.linalg.solve(curvature, gradient), -_BOUND, _BOUND)
        if np.abs(gradient).max() < _FLAT / 1_000 or loss(ahead)[0] > value + 1e-13 * abs(value):
            break
        logs = ahead
    return logs, _curvature(loss, logs)


def _curvature(loss: Callable[[Vector], tuple[float, Vector]], logs: Vector) -> NDArray[np.float64]:
    """Second derivatives, from differences of the gradient."""
    rows = [(loss(logs + step)[1] - loss(logs - step)[1]) / (2 * _STEP) for step in np.eye(len(logs)) * _STEP]
    square = np.array(rows)
    return (square + square.T) / 2


def _flaws(logs: Mapping[str, float], slope: float, agree: int, starts: int, curved: bool) -> list[str]:
    flaws = [
        f"{name} runs off to {'0' if log < 0 else 'infinity'}: the data do not say what it is"
        for name, log in logs.items()
        if abs(log) > _BOUND - 1
    ]
    if not flaws and slope > _FLAT:
        flaws.append(f"it did not converge: the slope at the end is {slope:.1g}, above {_FLAT:.0e}")
    if not flaws and not curved:
        flaws.append("the likelihood is flat at its maximum: the data do not tell the parameters apart")
    if not flaws and agree < 2:
        flaws.append(f"only {agree} of {starts} starts ended there: the maximum may not be the highest")
    return flaws
