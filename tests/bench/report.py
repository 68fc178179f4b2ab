"""The results as JSON, as a Markdown table, and as a chart."""

import json
import subprocess

import chart


def table(results, about):
    lines = [
        "| | what | ours | beside | ratio | must be |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        verdict = "✓" if result.met else "✗"
        others = [who for who in result.values if who not in (result.ours, *result.also)]
        beside = "<br>".join(f"{who}: {result.with_spread(who)}" for who in others) or "–"
        ours = f"{result.ours}: {result.with_spread(result.ours)}"
        for who in result.also:
            beside += f"<br>({who}: {result.with_spread(who)})"
        lines.append(
            f"| {verdict} | {result.row.what} | {ours} | {beside} "
            f"| {result.ratio_text()} | {result.row.required()} |"
        )
    met = sum(result.met for result in results)
    lines += [
        "",
        f"{met} of {len(results)} met. Medians, quartiles in brackets; the ratio is to the best "
        "of the others; what stands in brackets on its own is shown only.",
        "",
        f"{about['time']}, {about['processors']} processors, Linux {about['kernel']}, "
        f"{about['rounds']} rounds, load {about['load_before']:.1f} before and "
        f"{about['load_after']:.1f} after; " + "; ".join(about["versions"].values()),
    ]
    return "\n".join(lines) + "\n"


def table_of_steps(steps):
    lines = ["", "From the start of a container with empty volumes until it is ready:", ""]
    lines += ["| step | ms |", "|---|---|"]
    lines += [f"| {name} | {median:.1f} |" for name, median in steps.items()]
    return "\n".join(lines) + "\n" if steps else ""


def write(directory, results, steps, about):
    document = {
        "machine": about,
        "results": [result.as_dict() for result in results],
        "steps": steps,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (directory / "results.json").write_text(text + "\n", encoding="utf-8")
    (directory / "results.md").write_text(
        table(results, about) + table_of_steps(steps), encoding="utf-8"
    )
    script = chart.script(results, about, directory / "results.svg")
    subprocess.run(["gnuplot", "-"], input=script, text=True, check=True)
