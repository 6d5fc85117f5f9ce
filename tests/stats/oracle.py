"""Reference answers of other people's statistics: SciPy, statsmodels, limma, Apache Otava.

python3 tests/stats/oracle.py --write   writes tests/fixtures/statistics.json
python3 tests/stats/oracle.py --check   computes all of it again; exits with 1 where it differs

Inputs stand in the JSON beside the answers, so a test reads both. They are literal here, or drawn
with a fixed seed. `--check` allows a relative difference of 1e-6, and in what is drawn by chance its
own `tolerance`. limma needs R and Debian's r-bioc-limma; where Rscript is missing, `--check` says so
and leaves that part out, and `--write` keeps what the file has.

Each key has a list of cases, but for those with an answer per line.

versions         of what computed the answers; not checked
bh               {p, adjusted}: Benjamini and Hochberg, monotone, in the order of p
mann_whitney     {a, b, u, p, p_absolute}: u counts the pairs with a above b, a tie for a half
permutation      {a, b, difference, p, p_absolute}: mean of a less mean of b, all relabellings
                 In both, p is SciPy's: twice the smaller tail, at most 1. p_absolute is the share of
                 relabellings at least as far from what is expected. Without ties, or with equally
                 many values, the two are the same up to rounding.
bootstrap        {values, confidence, resamples, mean, standard_error, percentile, bca, tolerance}: of
                 the mean; intervals as [low, high]. Two honest runs of so many resamples differ by
                 less than `tolerance`. With r resamples take tolerance * sqrt(resamples / r).
tost             {a, b, low, high, p, p_low, p_high}: low < mean of a less mean of b < high, variances
                 pooled; p is the greater of p_low (against being below low) and p_high
t                {a, b, difference, t, df, p, confidence, interval}: mean of a less mean of b, variances
                 pooled, two-sided
digamma          [{x, value}]
trigamma         [{x, value}]
moderated        {name, variance, df, coefficient, stdev_unscaled, df_prior, var_prior, var_post,
                 df_total, t, p}: limma's squeezeVar and eBayes. A df_prior of null is infinite.
                 df, stdev_unscaled, df_prior and var_prior are one number each. `squeezeVar_help` has
                 no estimates: coefficient, stdev_unscaled, df_total, t and p are null.
change_points    {source, significance, permutations, cases: [{name, values, indices,
                 first_statistic}]}: indices of the first values of new segments; first_statistic is
                 the greatest scaled energy distance in the whole series, of segments of three or more
"""

import argparse
import csv
import importlib.metadata
import io
import json
import math
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from otava.change_point_divisive.calculator import PairDistanceCalculator
from otava.change_point_divisive.detector import ChangePointDetector
from otava.change_point_divisive.significance_test import PermutationsSignificanceTester
from scipy import special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind

HERE = pathlib.Path(__file__).resolve().parent
FIXTURE = HERE.parent / "fixtures" / "statistics.json"
PACKAGES = ("numpy", "scipy", "statsmodels", "apache-otava")
RELATIVE = 1e-6
CONFIDENCE = 0.95
# The values that a segment of ours has at least.
SHORTEST = 3

# Samples without ties, of one size and of two; then some that are alike, and some with ties.
FIVE_A, FIVE_B = [12.1, 11.8, 12.9, 12.4, 11.5], [13.2, 12.6, 13.9, 12.2, 14.1]
FOUR, SIX = [101.5, 99.2, 104.8, 97.1], [103.3, 108.9, 106.4, 100.7, 111.2, 98.6]
EIGHT_A = [5.1, 4.9, 5.3, 5.0, 5.2, 4.8, 5.1, 5.0]
EIGHT_B = [5.2, 5.0, 5.1, 5.3, 4.9, 5.2, 5.1, 5.2]
TIED_A, TIED_B = [3, 5, 5, 7, 8], [5, 7, 9, 9, 10]
TIED_FOUR, TIED_SIX = [1, 2, 2, 4], [2, 3, 4, 4, 6, 7]
# Benjamini and Hochberg 1995, *Controlling the False Discovery Rate*, their table of 15 p-values.
PUBLISHED_P = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
    0.6528, 0.7590, 1.0000,
]
TIED_P = [0.04, 0.01, 0.04, 0.2, 0.01, 0.9, 0.04, 0.03, 1.0, 0.2]
PLACES = [0.05, 0.1, 0.5, 1.0, 2.5, 4.0, 10.0, 50.0]


def bh():
    cases = (PUBLISHED_P, TIED_P)
    return [{"p": p, "adjusted": multipletests(p, method="fdr_bh")[1].tolist()} for p in cases]


def exact(a, b, statistic, expected):
    """Both kinds of two-sided p, over all relabellings."""

    def p(statistic, alternative):
        test = stats.permutation_test(
            (a, b), statistic, n_resamples=np.inf, alternative=alternative, vectorized=False
        )
        return float(test.pvalue)

    # Rounded, so that what is equal ties.
    def rounded(a, b):
        return round(statistic(a, b), 9)

    def far(a, b):
        return round(abs(statistic(a, b) - expected), 9)

    return {"p": p(rounded, "two-sided"), "p_absolute": p(far, "greater")}


def u_statistic(a, b):
    """How many pairs have the value of a above that of b, with half of the ties."""
    difference = np.subtract.outer(np.asarray(a), np.asarray(b))
    return float((difference > 0).sum() + (difference == 0).sum() / 2)


def mann_whitney():
    cases = []
    for a, b in ((FIVE_A, FIVE_B), (FOUR, SIX), (TIED_A, TIED_B), (TIED_FOUR, TIED_SIX)):
        u = u_statistic(a, b)
        case = {"a": a, "b": b, "u": u} | exact(a, b, u_statistic, len(a) * len(b) / 2)
        if len(set(a + b)) == len(a + b):
            test = stats.mannwhitneyu(a, b, alternative="two-sided", method="exact")
            assert test.statistic == u and math.isclose(test.pvalue, case["p"], rel_tol=1e-9)
            case["p"] = float(test.pvalue)
        cases.append(case)
    return cases


def permutation():
    def difference(a, b):
        return float(np.mean(a) - np.mean(b))

    cases = ((FIVE_A, FIVE_B), (FOUR, SIX), (TIED_A, TIED_B))
    return [
        {"a": a, "b": b, "difference": difference(a, b)} | exact(a, b, difference, 0.0)
        for a, b in cases
    ]


def bootstrap():
    random = np.random.default_rng(1)
    cases = []
    for values in (random.lognormal(3, 0.5, 12), random.lognormal(1, 0.8, 30)):
        values = [round(float(value), 3) for value in values]
        case = {"values": values, "confidence": CONFIDENCE, "resamples": 99_999}
        case["mean"] = float(np.mean(values))
        for method in ("percentile", "bca"):
            answer = stats.bootstrap(
                (values,),
                np.mean,
                n_resamples=case["resamples"],
                confidence_level=CONFIDENCE,
                method=method,
                batch=10_000,
                rng=np.random.default_rng(2),
            )
            case[method] = [float(end) for end in answer.confidence_interval]
        case["standard_error"] = float(answer.standard_error)
        # An end of a percentile interval has a standard error of 0.0085 standard errors of the
        # mean (sqrt(0.025 * 0.975 / resamples), over the normal density at 1.96); one of BCa, whose
        # bias is drawn as well, about 0.012. Four of those, and two runs.
        case["tolerance"] = 0.07 * case["standard_error"]
        cases.append(case)
    return cases


def tost():
    cases = []
    for a, b, low, high in (
        (EIGHT_A, EIGHT_B, -0.3, 0.3),
        (EIGHT_A, EIGHT_B, -0.1, 0.2),
        (FOUR, SIX, -10.0, 10.0),
    ):
        p, (_, p_low, _), (_, p_high, _) = ttost_ind(a, b, low, high, usevar="pooled")
        case = {"a": a, "b": b, "low": low, "high": high}
        cases.append(case | {"p": float(p), "p_low": float(p_low), "p_high": float(p_high)})
    return cases


def student():
    cases = []
    for a, b in ((FIVE_A, FIVE_B), (FOUR, SIX), (EIGHT_A, EIGHT_B)):
        test = stats.ttest_ind(a, b, equal_var=True)
        interval = test.confidence_interval(CONFIDENCE)
        cases.append(
            {
                "a": a,
                "b": b,
                "difference": float(np.mean(a) - np.mean(b)),
                "t": float(test.statistic),
                "df": float(test.df),
                "p": float(test.pvalue),
                "confidence": CONFIDENCE,
                "interval": [float(interval.low), float(interval.high)],
            }
        )
    return cases


def polygamma(order):
    return [{"x": x, "value": float(special.polygamma(order, x))} for x in PLACES]


def change_points():
    random = np.random.default_rng(3)
    levels = {
        "one shift": [(100, 30), (108, 25)],
        "two shifts": [(100, 20), (112, 20), (100, 20)],
        "none": [(100, 50)],
    }
    settings = {"significance": 0.01, "permutations": 499}
    cases = []
    for name, parts in levels.items():
        noise = np.concatenate([random.normal(level, 2, count) for level, count in parts])
        values = [round(float(value), 4) for value in noise]
        tester = PermutationsSignificanceTester(
            max_pvalue=settings["significance"],
            permutations=settings["permutations"],
            calculator=PairDistanceCalculator,
            seed=4,
        )
        found = ChangePointDetector(tester, PairDistanceCalculator).get_change_points(values)
        # Otava's segments may be a single value; where they are shorter than three, its distances
        # are left out. Row and column are one and two before where the right side begins and ends.
        distances = PairDistanceCalculator(np.array(values))._get_Q_vals(0, len(values))
        start, end = np.indices(distances.shape) + np.array([1, 2])[:, None, None]
        greatest = distances[(start >= SHORTEST) & (end - start >= SHORTEST)].max()
        cases.append(
            {
                "name": name,
                "values": values,
                "indices": [int(point.index) for point in found],
                "first_statistic": float(greatest),
            }
        )
    source = "apache-otava: PairDistanceCalculator, PermutationsSignificanceTester"
    return {"source": source} | settings | {"cases": cases}


def moderated_input():
    """Cases of estimates: drawn about an inverse chi-squared prior, and about one variance."""
    random = np.random.default_rng(5)
    count, df, stdev = 40, 8, math.sqrt(2 / 5)
    rows = []
    for name, prior_df in (("prior of 6", 6), ("one variance", None), ("heavy prior", 2)):
        truth = np.full(count, 0.04)
        if prior_df is not None:
            truth = 0.04 * prior_df / random.chisquare(prior_df, count)
        # With a spread below that of chi-squared, no prior is wide enough.
        variance = truth * random.chisquare(df if prior_df else 10 * df, count)
        variance /= df if prior_df else 10 * df
        effect = np.where(np.arange(count) < 8, 0.4, 0.0)
        coefficient = effect + random.normal(0, stdev * np.sqrt(truth))
        rows += [
            (name, float(f"{v:.6g}"), df, float(f"{c:.6g}"), stdev)
            for v, c in zip(variance, coefficient, strict=True)
        ]
    return rows


def moderated():
    """What limma says, or None where R is not there; and its version."""
    if shutil.which("Rscript") is None:
        return None, None
    table = ["case\tvariance\tdf\tcoefficient\tstdev_unscaled"]
    table += ["\t".join(str(field) for field in row) for row in moderated_input()]
    run = subprocess.run(
        ["Rscript", "--vanilla", HERE / "limma.R"],
        input="\n".join(table) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        sys.exit(f"limma.R failed:\n{run.stderr}")
    cases = {}
    for row in csv.DictReader(io.StringIO(run.stdout), delimiter="\t"):
        cases.setdefault(row.pop("case"), []).append(row)
    of_a_row = ("variance", "coefficient", "var_post", "df_total", "t", "p")
    of_a_case = ("df", "stdev_unscaled", "df_prior", "var_prior")
    answers = []
    for name, rows in cases.items():
        case = {"name": name}
        for key in of_a_case:
            assert len({row[key] for row in rows}) == 1, f"{key} differs in {name}"
            case[key] = number(rows[0][key])
        for key in of_a_row:
            column = [number(row[key]) for row in rows]
            case[key] = None if column[0] is None else column
        answers.append(case)
    return answers, run.stderr.strip().splitlines()[-1]


def number(text):
    """What R wrote; None for what is missing or infinite."""
    value = math.nan if text == "NA" else float(text)
    return value if math.isfinite(value) else None


def computed(stored):
    """The whole document; what R cannot compute here is what was stored."""
    document = {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "bh": bh(),
        "mann_whitney": mann_whitney(),
        "permutation": permutation(),
        "bootstrap": bootstrap(),
        "tost": tost(),
        "t": student(),
        "digamma": polygamma(0),
        "trigamma": polygamma(1),
        "change_points": change_points(),
    }
    document["moderated"], version = moderated()
    document["versions"]["limma"] = version
    if document["moderated"] is None:
        print("limma: Rscript is not there; this part is NOT checked", file=sys.stderr)
        if stored is None:
            sys.exit("there is no file to keep limma's answers from: install r-bioc-limma")
        document["moderated"] = stored["moderated"]
        document["versions"]["limma"] = stored["versions"]["limma"]
    return document


def differences(path, ours, stored, tolerance=0.0):
    """Where two documents differ, in words."""
    if isinstance(ours, dict) and isinstance(stored, dict):
        if ours.keys() != stored.keys():
            yield f"{path}: keys {sorted(ours)} and {sorted(stored)}"
            return
        for key in ours:
            drawn = key in ("percentile", "bca", "standard_error")
            allowed = ours["tolerance"] if drawn else 0.0
            # The tolerance itself is a share of what is drawn.
            allowed = 0.05 * ours[key] if key == "tolerance" else allowed
            yield from differences(f"{path}.{key}", ours[key], stored[key], allowed)
    elif isinstance(ours, list) and isinstance(stored, list):
        if len(ours) != len(stored):
            yield f"{path}: {len(ours)} and {len(stored)} long"
            return
        for index, (one, other) in enumerate(zip(ours, stored, strict=True)):
            yield from differences(f"{path}[{index}]", one, other, tolerance)
    elif is_number(ours) and is_number(stored):
        if not math.isclose(ours, stored, rel_tol=RELATIVE, abs_tol=tolerance):
            yield f"{path}: {ours!r} and {stored!r}"
    elif type(ours) is not type(stored) or ours != stored:
        yield f"{path}: {ours!r} and {stored!r}"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true")
    action.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    stored = json.loads(FIXTURE.read_text()) if FIXTURE.is_file() else None
    document = computed(stored)
    if arguments.write:
        FIXTURE.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        print(f"wrote {FIXTURE}")
        return
    if stored is None:
        sys.exit(f"{FIXTURE} is not there: run with --write")
    del document["versions"], stored["versions"]
    found = list(differences("", document, stored))
    for line in found:
        print(f"differs{line}", file=sys.stderr)
    print(f"{len(document)} parts, {len(found)} differences")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
