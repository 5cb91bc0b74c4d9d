"""Means over runs of the board: over the seeds of a configuration, and over the values of an option."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dfad.report.board import METRICS, differing, is_free, of_corpus, option_names


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per configuration: mean and standard deviation of each metric over the finished runs that share it.

    Returns:
        The options but the seed, `seeds` (how many runs), and per metric two columns: `val/eer`, its mean, and
        `val/eer sd`, with n − 1; NaN for one run.
    """
    done = frame[frame["status"] == "finished"]
    options = [name for name in option_names(done) if name != "seed"]
    key = _alike(done, ["status", "clips", *(name for name in options if not is_free(name))])
    metrics = [name for name in done.columns if "/" in name]
    groups = done[metrics].groupby(key, sort=False)
    means, sds = groups.mean(), groups.std(ddof=1)
    spread = [part for name in metrics for part in (means[name], sds[name].rename(f"{name} sd"))]
    first = done.loc[~key.duplicated(), options].set_axis(means.index)
    return pd.concat([first, groups.size().rename("seeds"), *spread], axis=1).reset_index(drop=True)


def over_values(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """One row per configuration: how its metrics are over the values of an option, such as the groups held out.

    The runs of one value, its seeds, count as one: their mean. Finished runs that have a value count, and those with
    null have none. Clips differ between the values of an option of the data, so there the place of the data, and not
    what is in it, tells configurations apart.

    Args:
        frame: of `dfad.report.board`.
        key: the option.

    Returns:
        The options but `key` and the seed, `groups` (how many values), `seeds` (runs of each, such as `3` or `2–3`),
        and of each of `METRICS`, such as `test/eer`: its mean over the values, `test/eer low` and `test/eer high`
        (95 % interval of that mean by Student's t with n − 1, NaN for one value), `test/eer worst`, the highest of
        the values, and `test/eer worst at`, which one that is.
    """
    done = frame[(frame["status"] == "finished") & frame[key].notna()]
    options = [name for name in option_names(done) if name not in (key, "seed")]
    config, metrics = _alike(done, _telling(done, key)), list(METRICS)
    groups = done[metrics].groupby([config, done[key].map(repr)], sort=False)
    values, runs = groups.mean(), groups.size()
    typed = dict(zip(done[key].map(repr), done[key], strict=True))
    rows: list[dict[str, Any]] = []
    for name in config.unique():
        means, count = values.loc[name], runs.loc[name]
        seeds = str(count.min()) + (f"–{count.max()}" if count.max() > count.min() else "")
        row: dict[str, Any] = {"groups": len(means), "seeds": seeds}
        for metric in metrics:
            row |= _spread(metric, means[metric].to_numpy(float), [typed[value] for value in means.index])
        rows.append(row)
    first = done.loc[~config.duplicated(), options].reset_index(drop=True)
    found = pd.DataFrame(rows, columns=["groups", "seeds", *_spread_names(metrics)])
    return pd.concat([first, found], axis=1)


def other_clips(frame: pd.DataFrame, key: str) -> list[Any]:
    """The values of an option of the data whose runs are alike but for the seed, and yet were made on other clips."""
    done = frame[(frame["status"] == "finished") & frame[key].notna()]
    alike = _alike(done, [*_telling(done, key), key])
    mixed = alike.map(done["clips"].groupby(alike).nunique()) > 1
    return list(dict.fromkeys(done[key][mixed]))


def _telling(done: pd.DataFrame, key: str) -> list[str]:
    """What tells configurations apart when the values of `key` do not."""
    varied = differing(done)
    follows = {name for name in option_names(done) if name.startswith(f"{key}.") and name not in varied}
    of_data = key.split(".")[0] == "data"
    names = option_names(done)
    places = [name for name in names if of_corpus(name) in ("data.path", "data.root")] if of_data else ["clips"]
    told = ["status", *places, *(name for name in names if not is_free(name))]
    return [name for name in told if name in done and name not in {key, "seed"} | follows]


def _alike(done: pd.DataFrame, names: list[str]) -> pd.Series:
    """The same word for the rows that share all values."""
    words = [repr(values) for values in done[names].itertuples(index=False, name=None)]
    return pd.Series(words, done.index, dtype=object)


def _spread(metric: str, means: np.ndarray, values: list[Any]) -> dict[str, Any]:
    """Mean, interval and worst of a metric over values. Shape: means: (values,)."""
    mean, half = float(np.mean(means)), float("nan")
    if len(means) > 1:
        from scipy.special import stdtrit  # the board itself shall be there at once

        half = float(stdtrit(len(means) - 1, 0.975) * np.std(means, ddof=1) / np.sqrt(len(means)))
    worst = int(np.argmax(np.nan_to_num(means, nan=-np.inf)))
    known = not np.isnan(means).all()
    most = 1.0 if metric.split("/")[1] in ("eer", "auroc", "accuracy") else float("inf")
    ends = np.clip([mean - half, mean + half], 0.0, most).tolist()  # as far as there are such values
    found = (mean, *ends, float(means[worst]), values[worst] if known else float("nan"))
    return dict(zip(_spread_names([metric]), found, strict=True))


def _spread_names(metrics: list[str]) -> list[str]:
    return [name + part for name in metrics for part in ("", " low", " high", " worst", " worst at")]
